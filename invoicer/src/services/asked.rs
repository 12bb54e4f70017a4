//! What callers ask for, read: amounts, dates, names, reasons, statuses.

use crate::ledger::{Standing, Status};
use pricing::bill::{Ask, printed};
use pricing::currency::Currency;
use pricing::number::Minor;
use proto::code::Code;
use proto::status::Problem;
use proto::v1;

/// The longest name or reference that is kept.
const NAME_BYTES_MAX: usize = 128;

/// Which bills a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Status(Status),
    Standing(Standing),
}

/// Refuses what needs a reason and has none.
pub(super) fn reason(what: &str, reason: &str) -> Result<(), Problem> {
    if !reason.trim().is_empty() {
        return Ok(());
    }
    Err(Problem::invalid(Code::ReasonMissing, format!("{what} needs a reason: who decided it, and why"))
        .with_violation("reason", "missing"))
}

/// Printed money above zero.
pub(super) fn money(currency: Currency, field: &str, text: &str) -> Result<Minor, Problem> {
    let amount = signed(currency, field, text)?;
    if amount.0 > 0 {
        return Ok(amount);
    }
    let message = format!("{field} is {text}; send an amount above zero");
    Err(Problem::invalid(Code::AmountInvalid, message).with_violation(field, "above zero"))
}

/// Printed money.
pub(super) fn signed(currency: Currency, field: &str, text: &str) -> Result<Minor, Problem> {
    printed(currency, text).map_err(|error| {
        Problem::invalid(Code::AmountInvalid, format!("{field}: {}", error.0)).with_violation(field, error.0)
    })
}

/// What a credit note is to give back.
pub(super) fn credit(currency: Currency, asked: &v1::CreditRequest) -> Result<Ask, Problem> {
    if asked.amount.is_empty() == asked.lines.is_empty() {
        let message = "a credit note gives back lines or an amount; send one of the two";
        return Err(Problem::invalid(Code::AmountInvalid, message).with_violation("lines", "either these or amount"));
    }
    if asked.lines.is_empty() {
        return money(currency, "amount", &asked.amount).map(Ask::Amount);
    }
    let line = |line: &v1::CreditLine| {
        let amount = Some(&line.amount).filter(|amount| !amount.is_empty());
        let amount = amount.map(|amount| signed(currency, "lines.amount", amount)).transpose()?;
        Ok((line.line, amount))
    };
    asked.lines.iter().map(line).collect::<Result<_, _>>().map(Ask::Lines)
}

/// A day.
pub(super) fn date(field: &str, text: &str) -> Result<String, Problem> {
    match text.parse::<jiff::civil::Date>() {
        Ok(date) if date.to_string() == text => Ok(text.to_owned()),
        _ => Err(Problem::invalid(Code::DateInvalid, format!("{field} is '{text}'; send a day such as 2026-02-16"))
            .with_violation(field, "a day such as 2026-02-16")),
    }
}

/// A name that the caller chose.
pub(super) fn name(field: &str, text: String) -> Result<String, Problem> {
    if text.len() <= NAME_BYTES_MAX && !text.contains(char::is_control) {
        return Ok(text);
    }
    let allowed = format!("at most {NAME_BYTES_MAX} bytes without control characters");
    Err(Problem::invalid(Code::IdInvalid, format!("{field} has {} bytes; send {allowed}", text.len()))
        .with_violation(field, allowed))
}

/// A word for bills that a list shows; none for all of them.
pub(super) fn which(text: &str) -> Result<Option<Which>, Problem> {
    let status = Status::ALL.into_iter().find(|status| status.word() == text).map(Which::Status);
    let standing = Standing::ALL.into_iter().find(|standing| standing.word() == text).map(Which::Standing);
    match status.or(standing) {
        None if !text.is_empty() => {
            let words = Status::ALL.map(Status::word).into_iter().chain(Standing::ALL.map(Standing::word));
            let allowed = words.collect::<Vec<_>>().join(", ");
            let message = format!("'{text}' is no status; send one of {allowed}");
            Err(Problem::invalid(Code::StatusUnknown, message).with_violation("status", allowed))
        }
        found => Ok(found),
    }
}
