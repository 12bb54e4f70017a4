//! Why a command ends without success: one clear message on standard error, and the exit code.

use std::io::Write;
use std::process::ExitCode;

/// What people read when a command does not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Refused or failed: exit 1.
    Refused(String),
    /// The command line asks for what cannot be: exit 2.
    Usage(String),
    /// Whoever read standard output has left; nothing to say: exit 1.
    Closed,
}

/// The result of a command.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// Refused or failed, in words.
    pub(crate) fn refused(message: impl std::fmt::Display) -> Self {
        Self::Refused(message.to_string())
    }

    /// Wrong usage, in words.
    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// The same, with the words that say where.
    pub(crate) fn within(self, place: impl std::fmt::Display) -> Self {
        match self {
            Self::Refused(message) => Self::Refused(format!("{place}: {message}")),
            other => other,
        }
    }

    /// Prints the message, and says how to exit.
    pub(crate) fn report(&self) -> ExitCode {
        let mut stderr = std::io::stderr().lock();
        // Nobody is left to be told when standard error is gone, too.
        match self {
            Self::Refused(message) => {
                let _ = writeln!(stderr, "farthing: {message}");
                ExitCode::from(1)
            }
            Self::Usage(message) => {
                let _ = writeln!(stderr, "farthing: {message}");
                ExitCode::from(2)
            }
            Self::Closed => ExitCode::from(1),
        }
    }
}

/// Adds the words that say what was being done.
pub(crate) trait Context<T> {
    /// `what: cause`.
    fn context(self, what: impl std::fmt::Display) -> Result<T>;
}

impl<T, E: std::fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl std::fmt::Display) -> Result<T> {
        self.map_err(|cause| Failure::Refused(format!("{what}: {cause}")))
    }
}

/// The innermost cause, which is the one that says something.
pub(crate) fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Mistakes in a file, one on each line, each with the file's name as editors and people look for it.
pub(crate) fn mistakes(file: &std::path::Path, messages: &str) -> Failure {
    let lines: Vec<String> = messages.lines().map(|line| format!("{}: {line}", file.display())).collect();
    Failure::Refused(lines.join("\n"))
}

/// Reads a whole text file.
pub(crate) fn read_text(path: &std::path::Path) -> Result<String> {
    let bytes = std::fs::read(path).context(format_args!("cannot read {}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| Failure::refused(format_args!("{} is not UTF-8 text", path.display())))
}
