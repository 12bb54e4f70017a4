//! The stretch of time that bills are asked for.

use jiff::civil::Date;
use jiff::{ToSpan, tz::TimeZone};
use pricing::period::Period;
use pricing::time::Instant;
use std::str::FromStr;

/// A year, quarter, month or day of the calendar: which instants it holds depends on the customer's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    first: Date,
    length: Length,
}

/// How long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Year,
    Quarter,
    Month,
    Day,
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no period; write 2026, 2026-Q1, 2026-01 or 2026-01-31");
        let mut parts = text.split('-');
        let year: i16 =
            parts.next().filter(|year| year.len() == 4).and_then(|year| year.parse().ok()).ok_or_else(bad)?;
        let number = |text: &str| text.parse::<i8>().ok().filter(|_| text.len() == 2);
        let (month, day, length) = match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => (1, 1, Length::Year),
            (Some("Q1"), None, None) => (1, 1, Length::Quarter),
            (Some("Q2"), None, None) => (4, 1, Length::Quarter),
            (Some("Q3"), None, None) => (7, 1, Length::Quarter),
            (Some("Q4"), None, None) => (10, 1, Length::Quarter),
            (Some(month), None, None) => (number(month).ok_or_else(bad)?, 1, Length::Month),
            (Some(month), Some(day), None) => {
                (number(month).ok_or_else(bad)?, number(day).ok_or_else(bad)?, Length::Day)
            }
            _ => return Err(bad()),
        };
        Ok(Self { first: Date::new(year, month, day).map_err(|_| bad())?, length })
    }
}

impl Asked {
    /// The instants it holds in a zone.
    ///
    /// # Errors
    /// A zone that is not known, or instants beyond the years that are kept.
    pub(crate) fn within(self, zone: &str) -> Result<Period, String> {
        let zone = TimeZone::get(zone).map_err(|error| error.to_string())?;
        let length = match self.length {
            Length::Year => 1.year(),
            Length::Quarter => 3.months(),
            Length::Month => 1.month(),
            Length::Day => 1.day(),
        };
        let last = self.first.checked_add(length).map_err(|error| error.to_string())?;
        let begin = |date: Date| {
            let midnight = date.to_zoned(zone.clone()).map_err(|error| error.to_string())?;
            Instant::from_jiff(midnight.timestamp()).map_err(|error| error.to_string())
        };
        Ok(Period { start: begin(self.first)?, end: begin(last)? })
    }
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn a_month_is_cut_in_the_customers_zone() {
        let month: Asked = "2026-03".parse().unwrap();
        let berlin = month.within("Europe/Berlin").unwrap();
        assert_eq!(berlin.start.to_string(), "2026-02-28T23:00:00Z");
        assert_eq!(berlin.end.to_string(), "2026-03-31T22:00:00Z");
    }

    #[test]
    fn only_years_quarters_months_and_days_are_periods() {
        let utc = |text: &str| text.parse::<Asked>().unwrap().within("UTC").unwrap().end.to_string();
        assert_eq!(utc("2026"), "2027-01-01T00:00:00Z");
        assert_eq!(utc("2026-Q4"), "2027-01-01T00:00:00Z");
        assert_eq!(utc("2026-02"), "2026-03-01T00:00:00Z");
        assert_eq!(utc("2026-02-28"), "2026-03-01T00:00:00Z");
        for bad in ["", "26", "2026-1", "2026-13", "2026-Q5", "2026-02-30", "2026-01-01-01", "january"] {
            assert!(bad.parse::<Asked>().is_err(), "{bad}");
        }
    }
}
