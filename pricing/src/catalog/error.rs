//! What is wrong with a file.

use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Error {
    /// The line it stands on, from 1; 0 where no line is to blame.
    pub line: usize,
    /// The column of that line, from 1; 0 where no line is to blame.
    pub column: usize,
    /// Where it stands, such as `plans.payg.prices.out.included`; empty for the file itself.
    pub key: String,
    /// What was found, what is allowed.
    pub message: String,
}

/// All mistakes of a file, in its order; never empty, bounded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Errors {
    /// The mistakes.
    pub errors: Vec<Error>,
    /// How many more there are.
    pub more: usize,
}

/// So many are reported one by one.
const ERRORS_MAX: usize = 50;

impl Errors {
    pub(super) fn new(mut errors: Vec<Error>) -> Self {
        errors.sort();
        errors.dedup();
        let more = errors.len().saturating_sub(ERRORS_MAX);
        errors.truncate(ERRORS_MAX);
        Self { errors, more }
    }

    pub(super) fn one(line: usize, column: usize, message: impl Into<String>) -> Self {
        Self::new(vec![Error { line, column, key: String::new(), message: message.into() }])
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(out, "line {}: ", self.line)?;
        }
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        out.write_str(&self.message)
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.errors.iter().enumerate() {
            if number > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{error}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(out, "\nand {more} more"),
        }
    }
}

/// The known word that a wrong one was probably meant to be, as the end of a message: `; did you mean 'graduated'?`, or
/// nothing.
pub fn near<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let distance = |word: &str| strsim::damerau_levenshtein(found, word);
    let best = known.into_iter().map(|word| (distance(word), word)).min();
    let close = |distance: usize, word: &str| distance <= 1 + word.chars().count().max(found.chars().count()) / 4;
    match best {
        Some((distance, word)) if found.len() <= 128 && close(distance, word) => format!("; did you mean '{word}'?"),
        _ => String::new(),
    }
}
