//! Meters: how events become a quantity.
//!
//! The protocol is check, then apply, so that an event which any price refuses leaves every state untouched:
//!
//! ```text
//! reading = meter.read(properties)?            what the event says, or why it cannot be read
//! change  = state.preview(reading, moment)?    the quantity after it; nothing is changed yet
//! …every price is checked with change.quantity…
//! state.apply(change)                          cannot fail
//! ```
//!
//! `time_weighted` keeps [`Levels`] in place of a [`State`]: they outlive periods.

use crate::group::{Filter, Group};
use crate::id::MeterId;
use crate::number::{self, Quantity};
use crate::period::Share;
use crate::time::Instant;
use std::sync::Arc;

// A period's quantity, then levels across periods.
mod levels;
mod state;

pub use levels::Levels;
pub use state::{Change, State};

/// How the events of one type become one quantity per period and group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Meter {
    /// Its name.
    pub id: MeterId,
    /// The event type it reads.
    pub event: Arc<str>,
    /// How events are folded.
    pub aggregate: Aggregate,
    /// The property that holds the value; absent for `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Arc<str>>,
    /// Which events count.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// Properties that split the quantity, ordered by name.
    #[serde(default)]
    pub group_by: Vec<Arc<str>>,
}

/// See [`Meter::gauge`].
pub type Gauge<'a> = (&'a MeterId, &'a str, Option<&'a str>, &'a Filter, &'a [Arc<str>]);

/// How the values of events fold into a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// One for each event.
    Count,
    /// The sum of the values.
    Sum,
    /// The largest value; zero before the first.
    Max,
    /// How many different values, compared as text, byte for byte.
    Unique,
    /// The value of the latest event; ties in time go by id, then source.
    Latest,
    /// The value is a level that holds until the next; the quantity is its integral over the period in the given unit.
    TimeWeighted(LevelUnit),
}

/// The time unit of a `time_weighted` meter's integral.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LevelUnit {
    /// Level × seconds.
    Second,
    /// Level × hours.
    Hour,
    /// Level × days of 24 hours.
    Day,
    /// Level × the share of the full anchored period: the average level.
    Period,
}

/// What one event says to a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// A number; one for `count`.
    Value(Quantity),
    /// Text, for `unique`.
    Text(&'a str),
}

/// When and as what an event counts. The order decides `latest` and levels: time, ties by id, then source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment<'a> {
    /// The event's time.
    pub time: Instant,
    /// The event's id.
    pub id: &'a str,
    /// The event's source.
    pub source: &'a str,
}

/// Why a meter cannot read an event, or why a meter makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The event has no such property.
    #[error(
        "meter {meter} reads property {property}, which the event has not got; send it, as decimal text for a number"
    )]
    Missing {
        /// Which meter.
        meter: MeterId,
        /// Which property.
        property: Arc<str>,
    },
    /// The property holds no number that a quantity can hold exactly.
    #[error("meter {meter} cannot read property {property}: {reason}")]
    Unreadable {
        /// Which meter.
        meter: MeterId,
        /// Which property.
        property: Arc<str>,
        /// Why.
        reason: number::Error,
    },
    /// The quantity of the period would be too large.
    #[error("the event does not fit the period's quantity: {reason}")]
    Overflow {
        /// Why.
        reason: number::Error,
    },
    /// The meter does not say which property it reads.
    #[error("meter {meter} aggregates {aggregate} but names no value; write value: with the property to read")]
    NoValue {
        /// Which meter.
        meter: MeterId,
        /// How it aggregates.
        aggregate: &'static str,
    },
    /// A `count` reads no property.
    #[error("meter {meter} counts events but names value: {found}; leave it out, or aggregate sum")]
    NeedlessValue {
        /// Which meter.
        meter: MeterId,
        /// The property.
        found: Arc<str>,
    },
}

// === impl Meter ===

impl Meter {
    /// What decides which levels it sees: all but the unit, which is applied when they are weighed. So levels outlive a
    /// change of `per`, and of nothing else.
    pub fn gauge(&self) -> Gauge<'_> {
        (&self.id, self.event.as_ref(), self.value.as_deref(), &self.filter, self.group_by.as_slice())
    }

    /// What an event says, its properties looked up by name.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Unreadable`], [`Error::NoValue`].
    pub fn read<'a>(&self, property: impl Fn(&str) -> Option<&'a str>) -> Result<Reading<'a>, Error> {
        match &self.value {
            _ if self.aggregate == Aggregate::Count => Ok(Reading::Value(Quantity::ONE)),
            Some(name) => self.read_value(property(name)),
            None => Err(Error::NoValue { meter: self.id.clone(), aggregate: self.aggregate.name() }),
        }
    }

    /// The same for a caller that has looked the value property up itself; `count` looks at nothing.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Unreadable`].
    pub fn read_value<'a>(&self, value: Option<&'a str>) -> Result<Reading<'a>, Error> {
        if self.aggregate == Aggregate::Count {
            return Ok(Reading::Value(Quantity::ONE));
        }
        let property = || self.value.clone().unwrap_or_else(|| Arc::from("value"));
        let text = value.ok_or_else(|| Error::Missing { meter: self.id.clone(), property: property() })?;
        if self.aggregate == Aggregate::Unique {
            return Ok(Reading::Text(text));
        }
        Quantity::parse(text.as_bytes()).map(Reading::Value).map_err(|reason| Error::Unreadable {
            meter: self.id.clone(),
            property: property(),
            reason,
        })
    }

    /// The group that an event belongs to.
    pub fn group<'a>(&self, property: impl Fn(&str) -> Option<&'a str>) -> Group {
        Group::of(&self.group_by, property)
    }

    /// Refuses a meter that cannot read anything.
    ///
    /// # Errors
    /// [`Error::NoValue`], [`Error::NeedlessValue`].
    pub fn check(&self) -> Result<(), Error> {
        match (&self.value, self.aggregate) {
            (Some(found), Aggregate::Count) => {
                Err(Error::NeedlessValue { meter: self.id.clone(), found: found.clone() })
            }
            (None, Aggregate::Count) | (Some(_), _) => Ok(()),
            (None, aggregate) => Err(Error::NoValue { meter: self.id.clone(), aggregate: aggregate.name() }),
        }
    }
}

impl Aggregate {
    /// The word that catalog files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Unique => "unique",
            Self::Latest => "latest",
            Self::TimeWeighted(_) => "time_weighted",
        }
    }
}

impl LevelUnit {
    /// Nanoseconds in one unit; `full` is the full anchored period that the period at hand belongs to.
    pub const fn nanos(self, full: Share) -> i64 {
        match self {
            Self::Second => 1_000_000_000,
            Self::Hour => 3_600_000_000_000,
            Self::Day => 86_400_000_000_000,
            Self::Period => full.full,
        }
    }
}

impl Reading<'_> {
    /// The number that was read; none for text.
    pub const fn value(self) -> Option<Quantity> {
        match self {
            Self::Value(value) => Some(value),
            Self::Text(_) => None,
        }
    }
}
