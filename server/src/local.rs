//! This machine's time, and times and numbers as people write and read them: dates where a time is wanted, dates and hours of a customer's own
//! zone, groups of thousands.

use pricing::period::{Period, Zone};
use pricing::time::Instant;

pub(crate) use pricing::number::grouped;

/// The wall clock.
pub(crate) fn wall() -> Instant {
    ingest::Clock::now(&ingest::WallClock)
}

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
    let (Ok(time), Ok(zone)) = (instant.parse(), Zone::new(zone)) else { return instant.to_owned() };
    zone.local(time)
}

/// A stretch of time in a zone: its first and last day where it is cut at midnights there, else both of its times.
pub(crate) fn stretch(start: &str, end: &str, zone: &str) -> String {
    let (Ok(start), Ok(end), Ok(zone)) = (start.parse(), end.parse(), Zone::new(zone)) else {
        return format!("{start} to {end}");
    };
    zone.stretch(Period { start, end })
}

/// `1 event`, `2 events`.
pub(crate) fn counted(count: impl std::fmt::Display, word: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{} {word}{plural}", grouped(&count))
}

#[cfg(test)]
mod tests {
    use super::{counted, grouped, local, moment, stretch};

    #[test]
    fn dates_are_those_of_the_zone() {
        let berlin = "Europe/Berlin";
        assert_eq!(stretch("2025-12-31T23:00:00Z", "2026-01-31T23:00:00Z", berlin), "2026-01-01 to 2026-01-31");
        assert_eq!(stretch("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "UTC"), "2026-01-01");
        assert_eq!(
            stretch("2026-01-01T00:00:00Z", "2026-01-02T12:00:00Z", "UTC"),
            "2026-01-01 00:00 to 2026-01-02 12:00"
        );
        // The clock shows this hour twice.
        let new_york = stretch("2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "America/New_York");
        assert_eq!(new_york, "2026-11-01 01:00 -04 to 2026-11-01 01:00 -05");
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
