//! The one place where the invoicer's errors become answers.

use crate::{advance, close, ledger, publisher};
use proto::status::Problem;
use std::time::Duration;
use storage::{books, charges, log};

/// When to try again what is away for a moment.
const SOON: Duration = Duration::from_secs(1);

pub(super) fn unavailable(reason: &str) -> Problem {
    Problem::unavailable("UNAVAILABLE", SOON, reason)
}

pub(super) fn ledger(error: &ledger::Error) -> Problem {
    match error {
        ledger::Error::Books(error @ books::Error::Conflict { .. }) => {
            Problem::unavailable("CONFLICT", SOON, format!("{error}; send the call again"))
        }
        ledger::Error::Books(error) => unavailable(&error.to_string()),
        ledger::Error::Malformed { .. } => Problem::internal("BOOKS", error.to_string()),
    }
}

pub(super) fn charges(error: &charges::Error) -> Problem {
    match error {
        charges::Error::Unavailable { .. } => unavailable(&error.to_string()),
        _ => Problem::internal("CHARGES", error.to_string()),
    }
}

pub(super) fn log(error: &log::Error) -> Problem {
    match error {
        log::Error::Unavailable { .. } | log::Error::Unknown { .. } => unavailable(&error.to_string()),
        _ => Problem::internal("LOG", error.to_string()),
    }
}

pub(super) fn publisher(error: &publisher::Error) -> Problem {
    match error {
        publisher::Error::Ledger(error) => ledger(error),
        publisher::Error::Log(error) => log(error),
        publisher::Error::Waiting { .. } | publisher::Error::Refused { .. } | publisher::Error::LeaseLost => {
            unavailable(&error.to_string())
        }
        other => Problem::conflict("CLOCK", other.to_string()),
    }
}

pub(super) fn close(error: &close::Error) -> Problem {
    match error {
        close::Error::Ledger(error) => ledger(error),
        close::Error::Charges(error) => charges(error),
        close::Error::Publisher(error) => publisher(error),
        close::Error::Bill { .. } => Problem::conflict("BILL", error.to_string()),
    }
}

pub(super) fn advance(error: &advance::Error) -> Problem {
    match error {
        advance::Error::Publisher(error) => publisher(error),
        advance::Error::Close(error) => close(error),
        advance::Error::Charges(error) => charges(error),
        advance::Error::NotTest => Problem::conflict("NOT_TEST_CLOCK", error.to_string()),
        advance::Error::Back { .. } => Problem::invalid("CLOCK_BACK", error.to_string()),
        advance::Error::Halted { .. } => Problem::conflict("SHARD_HALTED", error.to_string()),
        advance::Error::Stuck { .. } => Problem::conflict("CLOCK_STUCK", error.to_string()),
    }
}
