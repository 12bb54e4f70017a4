//! Cycles: the rhythm of fees and commitments, which may be several periods long.
//!
//! | | counted from | clipped to |
//! |---|---|---|
//! | no `every` of its own | | the period itself |
//! | its own `every` | the full period that holds the first billed one of the same grid | the stretch in which the same plan version is sold on that grid, trials not counted |

use crate::period::{Anchor, Every, Grid, Period, Share};
use crate::subscription::{Subscription, Term};
use crate::time::{self, Instant};

/// One turn of a fee or commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    /// Not clipped.
    pub(crate) full: Period,
    /// Clipped to what is sold.
    pub(crate) part: Period,
}

impl Cycle {
    /// The cycle that holds a moment; none where nothing is sold then, or before the first billed period.
    pub(crate) fn at(
        subscription: &Subscription,
        every: Option<Every>,
        time: Instant,
    ) -> Result<Option<Self>, time::Error> {
        let index = subscription.terms.partition_point(|term| term.from <= time).checked_sub(1);
        let Some((index, term)) = index.and_then(|index| Some((index, subscription.terms.get(index)?))) else {
            return Ok(None);
        };
        if term.until.is_some_and(|until| until <= time) || time < subscription.first_billed {
            return Ok(None);
        }
        let longer = every.filter(|every| term.grid.every.per(*every).is_some_and(|count| count > 1));
        let Some(every) = longer else {
            let full = term.grid.containing(time)?;
            let part = full.clip(term.from.max(subscription.first_billed), term.until);
            return Ok(part.map(|part| Self { full, part }));
        };
        let same_grid = |other: &Term| other.grid == term.grid;
        let same_sale = |other: &Term| other.grid == term.grid && other.plan == term.plan && !other.trial;
        let (counted_from, _) = run(&subscription.terms, index, same_grid);
        let (sold_from, sold_until) = run(&subscription.terms, index, same_sale);
        let origin = term.grid.containing(counted_from.max(subscription.first_billed))?;
        let full = turns(&term.grid, every, origin).containing(time)?;
        Ok(full.clip(sold_from.max(subscription.first_billed), sold_until).map(|part| Self { full, part }))
    }

    /// How much of the full cycle is sold.
    pub(crate) fn share(&self) -> Share {
        Share::of(self.part, self.full)
    }
}

/// The stretch of consecutive terms around one for which something holds.
fn run(terms: &[Term], index: usize, holds: impl Fn(&Term) -> bool) -> (Instant, Option<Instant>) {
    let (before, after) = terms.split_at(index);
    let first = before.iter().rev().take_while(|term| holds(term)).last().or(after.first());
    let last = after.iter().skip(1).take_while(|term| holds(term)).last().or(after.first());
    (first.map_or(Instant::MIN, |term| term.from), last.and_then(|term| term.until))
}

/// Where full turns are cut, which are counted from the full period `origin`: the same grid, cut at the
/// origin's weekday or month only. (A period is cut at the last day of a month that is too short: the anchor's own day
/// is kept, not the origin's.)
fn turns(grid: &Grid, every: Every, origin: Period) -> Grid {
    let first = grid.zone.date(origin.start);
    let day = match grid.anchor {
        Anchor::Day(day) | Anchor::MonthDay(_, day) => day,
        Anchor::Calendar | Anchor::Weekday(_) => 1,
    };
    let anchor = match every {
        Every::Hour | Every::Day => Anchor::Calendar,
        Every::Week => Anchor::Weekday(first.weekday().to_monday_one_offset().unsigned_abs()),
        Every::Month => grid.anchor,
        Every::Quarter | Every::Year => Anchor::MonthDay(first.month().unsigned_abs(), day),
    };
    Grid { every, anchor, zone: grid.zone.clone() }
}
