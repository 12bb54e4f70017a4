//! The quantity of one meter in one group of one subscription's period.

use super::{Aggregate, Error, Moment, Reading};
use crate::number::Quantity;
use crate::time::Instant;
use std::collections::BTreeSet;

/// What a meter remembers of a period, for one group. The order in which events are applied does not show in it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// `count` and `sum`: the quantity. `time_weighted`: the integral that was settled last.
    Sum(Quantity),
    /// `max`: the largest value so far.
    Max(Option<Quantity>),
    /// `unique`: the texts so far, exactly.
    Unique(BTreeSet<Box<str>>),
    /// `latest`: the latest value so far.
    Latest(Option<Box<Latest>>),
}

/// The latest value, and what decides that it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Latest {
    time: Instant,
    id: Box<str>,
    source: Box<str>,
    value: Quantity,
}

/// What an event will do to a state: made by [`State::preview`], done by [`State::apply`] of the same state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a change does nothing until it is applied"]
pub struct Change<'a> {
    /// The state's quantity after it.
    pub quantity: Quantity,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'a> {
    /// The quantity is all there is to know.
    Set,
    /// A text that was not there.
    Insert(&'a str),
    /// A later value.
    Replace(Moment<'a>),
    /// Nothing to remember: a smaller value, a known text, an earlier event.
    Keep,
}

impl State {
    /// Before the first event.
    pub const fn new(aggregate: Aggregate) -> Self {
        match aggregate {
            Aggregate::Count | Aggregate::Sum | Aggregate::TimeWeighted(_) => Self::Sum(Quantity::ZERO),
            Aggregate::Max => Self::Max(None),
            Aggregate::Unique => Self::Unique(BTreeSet::new()),
            Aggregate::Latest => Self::Latest(None),
        }
    }

    /// The quantity so far: zero before the first event. A `max` of only negative values is negative, and `latest` may be.
    #[inline]
    pub fn quantity(&self) -> Quantity {
        match self {
            Self::Sum(quantity) | Self::Max(Some(quantity)) => *quantity,
            Self::Unique(texts) => count(texts.len()).unwrap_or(Quantity::MAX),
            Self::Latest(Some(latest)) => latest.value,
            Self::Max(None) | Self::Latest(None) => Quantity::ZERO,
        }
    }

    /// What an event would do; nothing is changed. A reading that does not suit the aggregate changes nothing (it cannot
    /// come from the same meter).
    ///
    /// # Errors
    /// [`Error::Overflow`].
    #[inline]
    pub fn preview<'a>(&self, reading: Reading<'a>, moment: Moment<'a>) -> Result<Change<'a>, Error> {
        let before = self.quantity();
        let (quantity, step) = match (self, reading) {
            (Self::Sum(sum), Reading::Value(value)) => {
                (sum.add(value).map_err(|reason| Error::Overflow { reason })?, Step::Set)
            }
            (Self::Max(largest), Reading::Value(value)) if largest.is_none_or(|largest| value > largest) => {
                (value, Step::Set)
            }
            (Self::Unique(texts), Reading::Text(text)) if !texts.contains(text) => {
                let quantity = count(texts.len() + 1).map_err(|reason| Error::Overflow { reason })?;
                (quantity, Step::Insert(text))
            }
            (Self::Latest(latest), Reading::Value(value))
                if latest.as_ref().is_none_or(|latest| moment > latest.moment()) =>
            {
                (value, Step::Replace(moment))
            }
            _ => (before, Step::Keep),
        };
        Ok(Change { quantity, step })
    }

    /// Does what was previewed.
    #[inline]
    pub fn apply(&mut self, change: Change<'_>) {
        let quantity = change.quantity;
        match (self, change.step) {
            (Self::Sum(sum), Step::Set) => *sum = quantity,
            (Self::Max(largest), Step::Set) => *largest = Some(quantity),
            (Self::Unique(texts), Step::Insert(text)) => {
                texts.insert(Box::from(text));
            }
            (Self::Latest(latest), Step::Replace(Moment { time, id, source })) => {
                let new = Latest { time, id: Box::from(id), source: Box::from(source), value: quantity };
                *latest = Some(Box::new(new));
            }
            _ => {}
        }
    }

    /// Settles a `time_weighted` quantity at what [`super::Levels`] weigh. Other states stay.
    pub fn settle(&mut self, quantity: Quantity) {
        if let Self::Sum(sum) = self {
            *sum = quantity;
        }
    }
}

impl Latest {
    fn moment(&self) -> Moment<'_> {
        Moment { time: self.time, id: &self.id, source: &self.source }
    }
}

/// So many, as a quantity.
fn count(length: usize) -> Result<Quantity, crate::number::Error> {
    Quantity::from_whole(i128::try_from(length).unwrap_or(i128::MAX))
}
