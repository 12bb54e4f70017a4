//! Subscriptions: a customer on a version of a plan, as a timeline of terms. A change never alters the past: it ends the
//! term that runs and begins another, so that no price changes inside a period.

use crate::curve::Curve;
use crate::group::Filter;
use crate::id::{CustomerId, PriceId, SubscriptionId};
use crate::period::{Grid, Period, Share};
use crate::plan::PlanRef;
use crate::time::{Instant, Span};
use std::collections::BTreeMap;

mod plan_ahead;

/// A subscription's whole timeline, as the log's `Customer` records and the books hold it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Subscription {
    /// Its name.
    pub id: SubscriptionId,
    /// Who is billed.
    pub customer: CustomerId,
    /// Start of its first billed period. Usage before it is refused as `not_backfilled`.
    pub first_billed: Instant,
    /// Without gaps or overlaps, in order; the last may be open.
    pub terms: Vec<Term>,
}

/// A stretch of a subscription in which nothing about it changes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Term {
    /// Its first moment.
    pub from: Instant,
    /// The first moment after it; absent while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
    /// What is sold.
    pub plan: PlanRef,
    /// Where its periods are cut; the first and the last are clipped to the term.
    pub grid: Grid,
    /// Usage is shown and discounted by 100 %; no fees, minimum or commitment.
    #[serde(default)]
    pub trial: bool,
    /// Which of the customer's events are its own.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// Curves that replace those of the plan.
    #[serde(default)]
    pub overrides: BTreeMap<PriceId, Curve>,
}

/// What a subscription is to be, all names resolved: dates are moments, the plan is a version, the grid is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub id: SubscriptionId,
    /// Who is billed.
    pub customer: CustomerId,
    /// The plan's version. The one it has, where the plan does not change.
    pub plan: PlanRef,
    /// Where periods are cut.
    pub grid: Grid,
    /// Its first moment.
    pub from: Instant,
    /// The first moment after it.
    pub until: Option<Instant>,
    /// The end of its trial.
    pub trial_until: Option<Instant>,
    /// When another plan takes the place of the one that runs.
    pub change: When,
    /// Bills the periods that were over when the subscription came.
    pub backfill: bool,
    /// Which of the customer's events are its own.
    pub filter: Filter,
    /// Curves that replace those of the plan.
    pub overrides: BTreeMap<PriceId, Curve>,
}

/// When another plan takes the place of the one that runs. All other changes act from the next period on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At the next period's start.
    #[default]
    PeriodEnd,
    /// At log time + future skew, which ends the running period there.
    Now,
}

/// Why a subscription cannot be what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It would end before it begins.
    #[error("`until` {until} is before `from` {from}")]
    EndsBeforeItBegins {
        /// Its first moment.
        from: Instant,
        /// Its end.
        until: Instant,
    },
    /// Events up to log time + future skew may be priced already.
    #[error(
        "`until` {until} is too early; the earliest end is now {earliest} (log time and how far ahead events may be)"
    )]
    EndsTooEarly {
        /// As wanted.
        until: Instant,
        /// What is allowed.
        earliest: Instant,
    },
    /// It is over, and what is over is billed.
    #[error("it ended at {until} and cannot change any more; declare another subscription, with an id of its own")]
    Ended {
        /// Its end.
        until: Instant,
    },
    /// Its first moment is past.
    #[error("it began at {from}; a `from` that is past cannot change (found {wanted})")]
    Begun {
        /// As it is.
        from: Instant,
        /// As wanted.
        wanted: Instant,
    },
    /// Bills belong to one customer.
    #[error("it belongs to customer '{customer}' and cannot move to '{wanted}'; end it and declare another")]
    OtherCustomer {
        /// As it is.
        customer: CustomerId,
        /// As wanted.
        wanted: CustomerId,
    },
    /// Beyond what times hold.
    #[error(transparent)]
    Time(#[from] crate::time::Error),
}

impl Subscription {
    /// A new subscription's timeline, as it comes at `log_time`.
    ///
    /// # Errors
    /// [`Error::EndsBeforeItBegins`]; [`Error::EndsTooEarly`] before `log_time` + `future`.
    pub fn begin(wanted: &Wanted, log_time: Instant, future: Span) -> Result<Self, Error> {
        plan_ahead::begin(wanted, log_time, future)
    }

    /// The timeline after a change that comes at `log_time`: what lies before `log_time` + `future` stays. Another plan
    /// acts at the next period's start, or with [`When::Now`] at that moment; all else (trial, zone, anchor, filter,
    /// overrides) from the next period on. Wanting what is there changes nothing.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn change(&self, wanted: &Wanted, log_time: Instant, future: Span) -> Result<Self, Error> {
        plan_ahead::change(self, wanted, log_time, future)
    }

    /// Ends it at a moment, which the caller has found late enough.
    pub(crate) fn end_at(&mut self, until: Instant) {
        plan_ahead::end(&mut self.terms, Some(until));
    }

    /// Its first moment; none if it ends where it begins.
    pub fn from(&self) -> Option<Instant> {
        self.terms.first().map(|term| term.from)
    }

    /// The first moment after it; none while open.
    pub fn until(&self) -> Option<Instant> {
        match self.terms.last() {
            Some(term) => term.until,
            None => Some(self.first_billed),
        }
    }

    /// The term that holds a moment.
    pub fn term_at(&self, time: Instant) -> Option<&Term> {
        let after = self.terms.partition_point(|term| term.from <= time);
        self.terms[..after].last().filter(|term| term.until.is_none_or(|until| time < until))
    }

    /// The period that holds a moment, its term, and how much of the full period it is. None outside the subscription.
    pub fn period_at(&self, time: Instant) -> Option<(Period, &Term, Share)> {
        let term = self.term_at(time)?;
        let (period, share) = term.period_at(time)?;
        Some((period, term, share))
    }

    /// The period that begins exactly here.
    pub fn period_starting(&self, start: Instant) -> Option<(Period, &Term, Share)> {
        self.period_at(start).filter(|(period, _, _)| period.start == start)
    }

    /// The period that ends exactly here.
    pub fn period_ending(&self, end: Instant) -> Option<(Period, &Term, Share)> {
        let last = Instant::from_nanos(end.nanos().checked_sub(1)?);
        self.period_at(last).filter(|(period, _, _)| period.end == end)
    }

    /// All periods, in order, from the one that holds `time` or else the first after it. Without end for an open
    /// subscription.
    pub fn periods_from(&self, time: Instant) -> impl Iterator<Item = (Period, &Term, Share)> {
        let first = self.terms.partition_point(|term| term.until.is_some_and(|until| until <= time));
        self.terms[first..].iter().flat_map(move |term| {
            let mut next = Some(time.max(term.from));
            std::iter::from_fn(move || {
                let (period, share) = term.period_at(next?)?;
                next = Some(period.end).filter(|end| term.until.is_none_or(|until| *end < until));
                Some((period, term, share))
            })
        })
    }

    /// The periods, billed or not, whose end lies in `(after, until]`, in order.
    pub fn periods_ending(&self, after: Instant, until: Instant) -> impl Iterator<Item = (Period, &Term, Share)> {
        self.periods_from(after).take_while(move |(period, _, _)| period.end <= until)
    }

    /// The periods, billed or not, whose start lies in `[from, until)`, in order.
    pub fn periods_starting(&self, from: Instant, until: Instant) -> impl Iterator<Item = (Period, &Term, Share)> {
        self.periods_from(from)
            .skip_while(move |(period, _, _)| period.start < from)
            .take_while(move |(period, _, _)| period.start < until)
    }

    /// The first period end after a moment; none when the subscription is over by then.
    pub fn next_period_end(&self, after: Instant) -> Option<Instant> {
        self.periods_from(after).next().map(|(period, _, _)| period.end)
    }

    /// True from the start of its first billed period on. Usage before it is refused as `not_backfilled`.
    pub fn is_billed(&self, time: Instant) -> bool {
        self.first_billed <= time
    }
}

impl Term {
    /// The period of this term that holds a moment, and how much of the full period it is.
    pub fn period_at(&self, time: Instant) -> Option<(Period, Share)> {
        let full = self.grid.containing(time).ok()?;
        let period = full.clip(self.from, self.until).filter(|period| period.contains(time))?;
        Some((period, Share::of(period, full)))
    }

    /// The full period that holds a moment, not clipped to the term.
    pub fn full_period_at(&self, time: Instant) -> Option<Period> {
        self.grid.containing(time).ok()
    }

    /// True where both sell the same in the same way, whenever they begin and end.
    pub(crate) fn sells_as(&self, other: &Self) -> bool {
        let Self { from: _, until: _, plan, grid, trial, filter, overrides } = self;
        (plan, grid, trial, filter, overrides)
            == (&other.plan, &other.grid, &other.trial, &other.filter, &other.overrides)
    }
}
