//! Points in time as the log keeps them.

use std::fmt;
use std::str::FromStr;

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, so between the years 1678 and 2261. Text is RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

/// A length of time in nanoseconds, never negative. Written `40d`, `5m`, `1h`, `30s`, `250ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

/// The text is no time, or one outside the years 1678 to 2261.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not an RFC 3339 time with an offset.
    #[error("'{found}' is not a time; write RFC 3339 with an offset, such as 2026-01-31T00:00:00Z")]
    NotTime {
        /// The text.
        found: String,
    },
    /// Not a length of time.
    #[error("'{found}' is not a length of time; write a whole number and a unit, such as 40d, 1h, 5m, 30s or 250ms")]
    NotSpan {
        /// The text.
        found: String,
    },
    /// Beyond what 64 bits of nanoseconds hold.
    #[error("the time lies outside the years 1678 to 2261")]
    OutOfRange,
}

impl Instant {
    /// The earliest.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// From a protobuf `Timestamp`'s parts; none where they are out of range.
    pub const fn from_parts(seconds: i64, nanos: i32) -> Option<Self> {
        if nanos < 0 || nanos > 999_999_999 {
            return None;
        }
        match seconds.checked_mul(1_000_000_000) {
            Some(whole) => match whole.checked_add(nanos as i64) {
                Some(total) => Some(Self(total)),
                None => None,
            },
            None => None,
        }
    }

    /// Later by `span`; the last instant where that is beyond the range.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// Earlier by `span`; the first instant where that is beyond the range.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier`, zero if it is not after.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        let nanos = self.0.saturating_sub(earlier.0);
        Span(if nanos < 0 { 0 } else { nanos })
    }

    /// For calendar arithmetic.
    pub fn to_jiff(self) -> jiff::Timestamp {
        // Every i64 of nanoseconds lies inside jiff's years −9999 to 9999.
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// From calendar arithmetic.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn from_jiff(time: jiff::Timestamp) -> Result<Self, Error> {
        i64::try_from(time.as_nanosecond()).map(Self).map_err(|_| Error::OutOfRange)
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds; negative becomes zero.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(if nanos < 0 { 0 } else { nanos })
    }

    /// From whole seconds.
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as i64 * 1_000_000_000)
    }

    /// From whole hours.
    pub const fn from_hours(hours: u32) -> Self {
        Self(hours as i64 * 3_600_000_000_000)
    }

    /// From days of 24 hours.
    pub const fn from_days(days: u32) -> Self {
        Self::from_hours(24).times(days)
    }

    /// Nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Longer by `other`.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    const fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count as i64))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_jiff().fmt(out)
    }
}

impl FromStr for Instant {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let time: jiff::Timestamp = text.parse().map_err(|_| Error::NotTime { found: text.to_owned() })?;
        Self::from_jiff(time)
    }
}

const UNITS: [(&str, i64); 5] = [
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().rev().find(|(_, nanos)| self.0 != 0 && self.0 % nanos == 0) {
            Some((unit, nanos)) => write!(out, "{}{unit}", self.0 / nanos),
            None if self.0 == 0 => out.write_str("0s"),
            None => write!(out, "{}ns", self.0),
        }
    }
}

impl FromStr for Span {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let not_span = || Error::NotSpan { found: text.to_owned() };
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(not_span)?;
        let (count, unit) = text.split_at(unit_at);
        let count: i64 = count.parse().map_err(|_| not_span())?;
        let nanos = match unit {
            "ns" => 1,
            unit => UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(not_span)?.1,
        };
        count.checked_mul(nanos).map(Self).ok_or(Error::OutOfRange)
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
as_text!(Instant);
as_text!(Span);
