//! Numbers, times and states as people read them.

use pricing::number::grouped;
use pricing::period::Zone;
use pricing::time::Instant;
use prost_types::Timestamp;

/// A moment off the wire.
pub(crate) fn instant(time: Option<&Timestamp>) -> Option<Instant> {
    time.and_then(|time| Instant::from_parts(time.seconds, time.nanos))
}

/// A moment onto the wire.
pub(crate) fn timestamp(time: Instant) -> Timestamp {
    let nanos = i32::try_from(time.nanos().rem_euclid(1_000_000_000)).unwrap_or_default();
    Timestamp { seconds: time.nanos().div_euclid(1_000_000_000), nanos }
}

/// A moment, in UTC.
pub(crate) fn moment(time: Instant) -> String {
    format!("{} UTC", Zone::utc().local(time))
}

/// A zone by name; UTC where nobody knows it.
pub(crate) fn zone(name: &str) -> Zone {
    Zone::new(name).unwrap_or_else(|_| Zone::utc())
}

/// Printed money with its currency.
pub(crate) fn money(amount: &str, currency: &str) -> String {
    format!("{} {currency}", grouped(amount))
}

/// At most ten decimals; `…` says that there are more.
pub(crate) fn brief(number: &str) -> String {
    match number.split_once('.') {
        Some((whole, decimals)) if decimals.len() > 10 => {
            format!("{}.{}…", grouped(whole), decimals.get(..10).unwrap_or_default())
        }
        _ => grouped(number),
    }
}

/// With a large letter at its beginning.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// `1 bill`, `2 bills`.
pub(crate) fn counted(count: impl std::fmt::Display, word: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{} {word}{plural}", grouped(&count))
}

/// A state of a bill.
pub(crate) fn status(word: &str) -> &str {
    match word {
        "draft" => "Draft",
        "held" => "Held",
        "approved" => "Approved",
        "issued" => "Issued",
        "open" => "Open",
        "skipped" => "Nothing to pay",
        "partly_paid" => "Partly paid",
        "overdue" => "Overdue",
        "paid" => "Paid",
        "written_off" => "Written off",
        "void" | "voided" => "Void",
        other => other,
    }
}

/// What changed how much is left.
pub(crate) fn entry(kind: &str) -> &str {
    match kind {
        "payment" => "Payment",
        "credit" => "Credit note",
        "write_off" => "Written off",
        "reversal" => "Taken back",
        other => other,
    }
}

/// What an action says once it is done.
pub(crate) fn done(what: &str) -> Option<&'static str> {
    Some(match what {
        "approved" => "Approved: it is issued as soon as the customer's bills before it are.",
        "held" => "Held, until somebody approves, issues or releases it.",
        "released" => "Released: it goes on by itself.",
        "paid" => "The payment is written down.",
        "credited" => "The credit note is issued.",
        "voided" => "Voided: a credit note takes it back, and its bill is a draft again, held.",
        "written-off" => "Written off: what was left is not expected any more.",
        "reversed" => "Taken back, by an entry of its own.",
        "issued" => "Issued. Its bytes never change from now on.",
        "waived" => "Waived: the parked events of today no longer hold this bill. They stay parked.",
        "applied" => "The catalog is in force.",
        _ => return None,
    })
}

/// A group of a meter, such as `region=eu`.
pub(crate) fn group<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.sort();
    pairs.join(", ")
}
