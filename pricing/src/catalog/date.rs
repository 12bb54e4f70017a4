//! Moments as catalog files write them.

use crate::period::Zone;
use crate::time::Instant;
use jiff::civil::Date;
use std::fmt;
use std::str::FromStr;

/// A date, which is its midnight in the customer's time zone, or a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Such as `2026-01-15`.
    Date(Date),
    /// RFC 3339, such as `2026-01-15T09:30:00+01:00`.
    Instant(Instant),
}

/// The text is neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is not a date; write 2026-01-15 (midnight in the customer's time zone) or 2026-01-15T09:30:00Z")]
pub struct NotMoment {
    /// The text, cut to 64 characters.
    pub found: String,
}

impl Moment {
    /// The moment in a zone.
    ///
    /// # Errors
    /// [`crate::time::Error::OutOfRange`] outside the years 1678 to 2261.
    pub fn at(self, zone: &Zone) -> Result<Instant, crate::time::Error> {
        match self {
            Self::Date(day) => zone.midnight(day),
            Self::Instant(time) => Ok(time),
        }
    }
}

impl FromStr for Moment {
    type Err = NotMoment;
    fn from_str(text: &str) -> Result<Self, NotMoment> {
        let not_moment = || NotMoment { found: text.chars().take(64).collect() };
        let digits_and_dashes = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if digits_and_dashes {
            return text.parse().map(Self::Date).map_err(|_| not_moment());
        }
        text.parse().map(Self::Instant).map_err(|_| not_moment())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(day) => day.fmt(out),
            Self::Instant(time) => time.fmt(out),
        }
    }
}

impl serde::Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
