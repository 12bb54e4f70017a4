//! Levels that hold until the next: what `time_weighted` meters keep for a customer, meter and group, across periods
//! and plan changes.

use super::Moment;
use crate::number::{self, Quantity};
use crate::time::Instant;
use ethnum::I256;

/// Level changes in their order: time, ties by id, then source. Before the first the level is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Levels(Vec<Level>);

/// The level from a moment on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Level {
    time: Instant,
    id: Box<str>,
    source: Box<str>,
    level: Quantity,
}

impl Levels {
    /// Adds a change, late ones at their place. The same moment again replaces its level.
    pub fn insert(&mut self, moment: Moment<'_>, level: Quantity) {
        let new = Level { time: moment.time, id: Box::from(moment.id), source: Box::from(moment.source), level };
        let at = self.place(&moment);
        match self.0.get_mut(at) {
            Some(known) if known.moment() == moment => *known = new,
            _ => self.0.insert(at, new),
        }
    }

    /// Σ level × time held inside `[from, to)` ÷ `unit`, with both times in nanoseconds (see
    /// [`super::LevelUnit::nanos`]); exact in 256 bits, then rounded once, half to even at 10⁻⁹.
    ///
    /// # Errors
    /// [`number::Error::Overflow`]; [`number::Error::DivisionByZero`] for a `unit` of nothing.
    pub fn weighted(&self, from: Instant, to: Instant, unit: i64) -> Result<Quantity, number::Error> {
        let first = self.at_or_before(from);
        weigh(self.0.iter().skip(first).map(|level| (level.time, level.level)), from, to, unit)
    }

    /// [`Levels::weighted`] as it would be after [`Levels::insert`], which is not done.
    ///
    /// # Errors
    /// The same.
    pub fn weighted_with(
        &self,
        moment: Moment<'_>,
        level: Quantity,
        from: Instant,
        to: Instant,
        unit: i64,
    ) -> Result<Quantity, number::Error> {
        let (before, after) = self.0.split_at(self.place(&moment));
        let after = after.iter().skip_while(|known| known.moment() == moment);
        let first = self.at_or_before(from);
        let changes = before.iter().skip(first).map(|known| (known.time, known.level));
        let changes = changes.chain([(moment.time, level)]).chain(after.map(|known| (known.time, known.level)));
        weigh(changes, from, to, unit)
    }

    /// The time `[from, to)` whose level a change at `moment` decides: up to the next change, if there is one. Only the
    /// periods that it touches need to be weighed again. Empty where another change has the same time and comes later.
    pub fn reach(&self, moment: Moment<'_>) -> (Instant, Option<Instant>) {
        let at = self.place(&moment);
        let next = self.0.iter().skip(at).find(|level| level.moment() > moment);
        (moment.time, next.map(|level| level.time))
    }

    /// The level that holds at a time.
    pub fn at(&self, time: Instant) -> Quantity {
        let after = self.0.partition_point(|level| level.time <= time);
        after.checked_sub(1).and_then(|last| self.0.get(last)).map_or(Quantity::ZERO, |level| level.level)
    }

    /// The level that held up to a time; what changes at that very time is left out.
    pub fn before(&self, time: Instant) -> Quantity {
        let after = self.0.partition_point(|level| level.time < time);
        after.checked_sub(1).and_then(|last| self.0.get(last)).map_or(Quantity::ZERO, |level| level.level)
    }

    /// Forgets the changes before `time`, except the last of them, which says what held then. What is weighed from
    /// `time` on stays the same, now and after any insertion at or after `time`.
    pub fn forget_before(&mut self, time: Instant) {
        let before = self.0.partition_point(|level| level.time < time);
        self.0.drain(..before.saturating_sub(1));
    }

    /// How many changes are kept.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True before the first change.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a change stands or would stand.
    fn place(&self, moment: &Moment<'_>) -> usize {
        // Almost always it is the newest.
        match self.0.last() {
            Some(last) if last.moment() < *moment => self.0.len(),
            _ => self.0.partition_point(|level| level.moment() < *moment),
        }
    }

    /// The index of the change that decides the level at `from`, or of the first.
    fn at_or_before(&self, from: Instant) -> usize {
        self.0.partition_point(|level| level.time <= from).saturating_sub(1)
    }
}

impl Level {
    fn moment(&self) -> Moment<'_> {
        Moment { time: self.time, id: &self.id, source: &self.source }
    }
}

/// The integral of changes in order of time over `[from, to)`.
fn weigh(
    changes: impl Iterator<Item = (Instant, Quantity)>,
    from: Instant,
    to: Instant,
    unit: i64,
) -> Result<Quantity, number::Error> {
    // Σ |level| × time is below 2¹²⁷ × 2⁶⁴, far inside 256 bits.
    let mut sum = I256::ZERO;
    let (mut since, mut level) = (from, Quantity::ZERO);
    for (time, next) in changes.take_while(|(time, _)| *time < to) {
        if time > since {
            sum += held(level, since, time);
            since = time;
        }
        level = next;
    }
    if to > since {
        sum += held(level, since, to);
    }
    Quantity::from_ratio(sum, i128::from(unit))
}

fn held(level: Quantity, from: Instant, to: Instant) -> I256 {
    I256::from(level.raw()) * I256::from(i128::from(to.nanos()) - i128::from(from.nanos()))
}
