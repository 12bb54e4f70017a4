//! The one place where the invoicer's errors become answers.

use crate::close::Refusal;
use crate::{advance, close, ledger, publisher};
use proto::code::Code;
use proto::status::Problem;
use std::time::Duration;
use storage::{books, charges, log};

/// When to try again what is away for a moment.
const SOON: Duration = Duration::from_secs(1);

pub(super) fn unavailable(reason: &str) -> Problem {
    Problem::unavailable(Code::StorageUnavailable, SOON, reason)
}

pub(super) fn ledger(error: &ledger::Error) -> Problem {
    match error {
        ledger::Error::Books(error @ books::Error::Conflict { .. }) => {
            Problem::unavailable(Code::Conflict, SOON, format!("{error}; send the call again"))
        }
        ledger::Error::Books(error) => unavailable(&error.to_string()),
        ledger::Error::Malformed { .. } => Problem::internal(Code::BooksDamaged, error.to_string()),
    }
}

pub(super) fn charges(error: &charges::Error) -> Problem {
    match error {
        charges::Error::Unavailable { .. } => unavailable(&error.to_string()),
        charges::Error::Overflow { .. } | charges::Error::TooMany { .. } => {
            Problem::conflict(Code::AnswerTooLarge, error.to_string())
        }
        _ => Problem::internal(Code::ChargesDamaged, error.to_string()),
    }
}

pub(super) fn log(error: &log::Error) -> Problem {
    match error {
        log::Error::Unavailable { .. } | log::Error::Unknown { .. } => unavailable(&error.to_string()),
        _ => Problem::internal(Code::LogDamaged, error.to_string()),
    }
}

pub(super) fn publisher(error: &publisher::Error) -> Problem {
    match error {
        publisher::Error::Ledger(error) => ledger(error),
        publisher::Error::Log(error) => log(error),
        publisher::Error::Waiting { .. } | publisher::Error::Refused { .. } | publisher::Error::LeaseLost => {
            unavailable(&error.to_string())
        }
        publisher::Error::TooLarge { .. } => Problem::invalid(Code::RecordTooLarge, error.to_string()),
        other => Problem::conflict(Code::ClockRefused, other.to_string()),
    }
}

pub(super) fn document(error: &documents::Error) -> Problem {
    match error {
        documents::Error::NotIssued(_) => Problem::conflict(Code::NotIssued, error.to_string()),
        documents::Error::Refused(_) | documents::Error::Lacking(_) | documents::Error::Logo(_) => {
            Problem::conflict(Code::DocumentLacking, error.to_string())
        }
        _ => Problem::internal(Code::BooksDamaged, error.to_string()),
    }
}

pub(super) fn close(error: &close::Error) -> Problem {
    match error {
        close::Error::Ledger(error) => ledger(error),
        close::Error::Charges(error) => charges(error),
        close::Error::Publisher(error) => publisher(error),
        close::Error::Bill { .. } => Problem::conflict(Code::BillState, error.to_string()),
        close::Error::Refused { refusal, .. } => match refusal {
            Refusal::Changed => Problem::conflict(Code::DraftChanged, error.to_string()),
            Refusal::TooMuch => Problem::conflict(Code::MoreThanLeft, error.to_string()),
            Refusal::Taken => Problem::conflict(Code::NameTaken, error.to_string()),
            Refusal::NoLine => Problem::invalid(Code::LineInvalid, error.to_string()),
            Refusal::NoEntry => Problem::not_found(Code::EntryNotFound, error.to_string()),
        },
    }
}

pub(super) fn advance(error: &advance::Error) -> Problem {
    match error {
        advance::Error::Publisher(error) => publisher(error),
        advance::Error::Close(error) => close(error),
        advance::Error::Charges(error) => charges(error),
        advance::Error::NotTest => Problem::conflict(Code::NotTestClock, error.to_string()),
        advance::Error::Back { .. } => Problem::invalid(Code::ClockBack, error.to_string()),
        advance::Error::Halted { .. } => Problem::conflict(Code::ShardHalted, error.to_string()),
        advance::Error::Stuck { .. } => Problem::conflict(Code::ClockStuck, error.to_string()),
    }
}
