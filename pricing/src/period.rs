//! Periods: half-open stretches of time cut in the customer's own time zone, stable across daylight-saving changes.

use crate::time::Instant;

/// The half-open time `[start, end)` of one bill's usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Period {
    /// The first moment inside.
    pub start: Instant,
    /// The first moment after.
    pub end: Instant,
}

/// How long a full period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the calendar's own words
pub enum Every {
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// Where in the calendar periods are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// At the calendar's own bounds: midnight, Monday, the 1st, 1 January.
    #[default]
    Calendar,
    /// On this day of the week, 1 = Monday.
    Weekday(u8),
    /// On this day of the month; where a month is shorter, on its last day (31 always means the last).
    Day(u8),
    /// On this month and day of the year (quarters count from it).
    MonthDay(u8, u8),
}

/// An IANA time zone out of the bundled database, never the system's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(jiff::tz::TimeZone);

/// Where full periods are cut.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Grid {
    /// How long.
    pub every: Every,
    /// From where.
    #[serde(default)]
    pub anchor: Anchor,
    /// In which zone.
    pub zone: Zone,
}

/// Elapsed time against the full anchored period, in nanoseconds: what fees, `included`, `cap`, `minimum` and commitment
/// of a short period scale by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Elapsed.
    pub elapsed: i64,
    /// The full period, above zero.
    pub full: i64,
}

/// The text is no time zone of the bundled database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is not an IANA time zone, such as Europe/Berlin or UTC")]
pub struct UnknownZone {
    /// The text.
    pub found: String,
}

impl Zone {
    /// Looks a name up.
    ///
    /// # Errors
    /// [`UnknownZone`].
    pub fn new(name: &str) -> Result<Self, UnknownZone> {
        jiff::tz::TimeZone::get(name).map(Self).map_err(|_| UnknownZone { found: name.to_owned() })
    }

    /// Coordinated universal time, the default.
    pub fn utc() -> Self {
        Self(jiff::tz::TimeZone::UTC)
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl serde::Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}
