//! Pages: how many, and where the next begins.

use proto::code::Code;
use proto::status::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

const DEFAULT: usize = 100;
const MAX: usize = 1_000;

/// How many entries a page has.
pub(super) fn size(asked: u32) -> Result<usize, Problem> {
    match usize::try_from(asked).unwrap_or(usize::MAX) {
        0 => Ok(DEFAULT),
        asked if asked <= MAX => Ok(asked),
        asked => {
            Err(Problem::invalid(Code::PageSizeInvalid, format!("page_size is {asked}; at most {MAX} are allowed"))
                .with_violation("page_size", format!("at most {MAX}")))
        }
    }
}

/// The token by which the page after `last` is asked for: opaque to callers.
pub(super) fn token<T: Serialize>(last: &T) -> String {
    let text = serde_json::to_string(last).unwrap_or_default();
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// What a token says; none for the first page.
pub(super) fn after<T: DeserializeOwned>(token: &str) -> Result<Option<T>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    let refused = || {
        Problem::invalid(
            Code::PageTokenInvalid,
            "page_token is none that this call gave; leave it out to begin with the first page",
        )
        .with_violation("page_token", "not a token of this call")
    };
    let digits: Option<Vec<u8>> = token
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    digits.and_then(|bytes| serde_json::from_slice(&bytes).ok()).map(Some).ok_or_else(refused)
}

/// Cuts a list that was read with one entry more than the page holds; returns the last entry's token when there is more.
pub(super) fn cut<T, K: Serialize>(entries: &mut Vec<T>, size: usize, key: impl Fn(&T) -> K) -> String {
    if entries.len() <= size {
        return String::new();
    }
    entries.truncate(size);
    entries.last().map(|last| token(&key(last))).unwrap_or_default()
}
