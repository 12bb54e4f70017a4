//! Times and numbers as people write and read them: dates where a time is wanted, dates and hours of a customer's own
//! zone, groups of thousands.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use pricing::time::Instant;

/// Reads a time; a plain date is its first moment in UTC.
///
/// # Errors
/// What is allowed.
pub(crate) fn moment(text: &str) -> Result<Instant, String> {
    let date = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let full = if date { format!("{text}T00:00:00Z") } else { text.to_owned() };
    full.parse().map_err(|_| {
        format!(
            "'{text}' is not a time; write a date (its midnight in UTC), such as 2026-02-02, or 2026-02-02T09:30:00Z"
        )
    })
}

/// An instant in a zone: `2026-01-01` for midnight there, else `2026-01-01 23:00`, with seconds where it has them.
pub(crate) fn local(instant: &str, zone: &str) -> String {
    let (Ok(time), Ok(zone)) = (instant.parse::<Timestamp>(), TimeZone::get(zone)) else { return instant.to_owned() };
    let there = time.to_zoned(zone);
    let (date, clock) = (there.date(), there.time());
    match (clock.hour(), clock.minute(), clock.second(), clock.subsec_nanosecond()) {
        (0, 0, 0, 0) => date.to_string(),
        (hour, minute, 0, 0) => format!("{date} {hour:02}:{minute:02}"),
        _ => format!("{date} {clock}"),
    }
}

/// A stretch of time in a zone: its first and last day where it is cut at midnights there.
pub(crate) fn stretch(start: &str, end: &str, zone: &str) -> String {
    let (first, after) = (local(start, zone), local(end, zone));
    if start == end {
        return first;
    }
    let is_date = |text: &str| text.len() == 10;
    let last = after.parse::<jiff::civil::Date>().ok().and_then(|after| after.yesterday().ok());
    match last.filter(|_| is_date(&first) && is_date(&after)) {
        Some(last) if last.to_string() == first => first,
        Some(last) => format!("{first} to {last}"),
        None => format!("{first} to {after}"),
    }
}

/// A decimal number with its thousands set apart: `1,234,567.891`.
pub(crate) fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    if whole.len() < 4 || !whole.bytes().all(|digit| digit.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut out = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// `1 event`, `2 events`.
pub(crate) fn counted(count: u64, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {word}{plural}", grouped(&count.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{counted, grouped, local, moment, stretch};

    #[test]
    fn dates_are_those_of_the_zone() {
        let berlin = "Europe/Berlin";
        assert_eq!(stretch("2025-12-31T23:00:00Z", "2026-01-31T23:00:00Z", berlin), "2026-01-01 to 2026-01-31");
        assert_eq!(stretch("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "UTC"), "2026-01-01");
        assert_eq!(stretch("2026-01-01T00:00:00Z", "2026-01-02T12:00:00Z", "UTC"), "2026-01-01 to 2026-01-02 12:00");
        assert_eq!(local("2026-07-01T10:30:05Z", berlin), "2026-07-01 12:30:05");
        assert_eq!(moment("2026-02-02").unwrap().to_string(), "2026-02-02T00:00:00Z");
        assert!(moment("2026-02-30").is_err() && moment("yesterday").is_err());
    }

    #[test]
    fn thousands_are_set_apart_before_the_point_only() {
        for (number, shown) in
            [("999", "999"), ("-1234567.8912", "-1,234,567.8912"), ("1000", "1,000"), ("0.00001", "0.00001")]
        {
            assert_eq!(grouped(number), shown);
        }
        assert_eq!((counted(1, "event"), counted(1200, "event")), ("1 event".to_owned(), "1,200 events".to_owned()));
    }
}
