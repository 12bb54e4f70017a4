//! Meters: how events become a quantity.

use crate::group::Filter;
use crate::id::MeterId;
use std::sync::Arc;

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
