//! What goes wrong, drawn from one seed.

use super::lock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often things go wrong, in a thousand calls each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chances {
    /// Nothing is done and the call fails.
    pub refused: u32,
    /// It is done, but the call fails.
    pub answer_lost: u32,
    /// Only a part is done, and the call fails.
    pub partial: u32,
    /// A write is done twice, as a client does that sends a doubtful one again.
    pub repeated: u32,
    /// The call takes up to `delay_max` (tokio's time, so a paused clock works).
    pub delayed: u32,
    /// The longest delay.
    pub delay_max: Duration,
}

/// How often things did go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Calls refused.
    pub refused: u64,
    /// Answers lost.
    pub answer_lost: u64,
    /// Calls done in part.
    pub partial: u64,
    /// Writes done twice.
    pub repeated: u64,
    /// Calls that took time.
    pub delayed: u64,
    /// Crashes.
    pub crashes: u64,
    /// Records that were lost in crashes; none of them was acknowledged.
    pub records_lost: u64,
}

/// A handle to the faults of a world. Clones share one state.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    random: StdRng,
    chances: Chances,
    seen: Seen,
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    pub(super) refused: bool,
    pub(super) answer_lost: bool,
    pub(super) repeated: bool,
    /// Of the parts, this many are done; taken modulo their count.
    pub(super) partial: Option<u64>,
    pub(super) delay: Option<Duration>,
}

// === impl Faults ===

impl Faults {
    /// Faults drawn from `seed`.
    pub fn new(seed: u64, chances: Chances) -> Self {
        Self(Arc::new(Mutex::new(State { random: StdRng::seed_from_u64(seed), chances, seen: Seen::default() })))
    }

    /// From now on these chances hold.
    pub fn set(&self, chances: Chances) {
        lock(&self.0).chances = chances;
    }

    /// From now on nothing goes wrong.
    pub fn heal(&self) {
        self.set(Chances::default());
    }

    /// What went wrong so far.
    pub fn seen(&self) -> Seen {
        lock(&self.0).seen
    }

    /// What happens to a call that writes.
    pub(super) fn write(&self) -> Fate {
        self.draw(true)
    }

    /// What happens to a call that reads.
    pub(super) fn read(&self) -> Fate {
        self.draw(false)
    }

    /// Every call draws the same number of times, so that one chance does not shift what another one does.
    fn draw(&self, writes: bool) -> Fate {
        let mut state = lock(&self.0);
        let chances = state.chances;
        let random = &mut state.random;
        let mut hit = |chance: u32| random.random_range(0..1000u32) < chance;
        let refused = hit(chances.refused);
        let answer_lost = hit(chances.answer_lost) && writes && !refused;
        let partial = hit(chances.partial) && writes && !refused && !answer_lost;
        let repeated = hit(chances.repeated) && writes && !refused && !partial;
        let delayed = hit(chances.delayed);
        let part = random.random::<u64>();
        let delay_us = u64::try_from(chances.delay_max.as_micros()).unwrap_or(u64::MAX);
        let delay = Duration::from_micros(random.random_range(0..=delay_us));
        let seen = &mut state.seen;
        seen.refused += u64::from(refused);
        seen.answer_lost += u64::from(answer_lost);
        seen.partial += u64::from(partial);
        seen.repeated += u64::from(repeated);
        seen.delayed += u64::from(delayed);
        Fate { refused, answer_lost, repeated, partial: partial.then_some(part), delay: delayed.then_some(delay) }
    }

    /// How many of `count` things survive a crash.
    pub(super) fn survivors(&self, count: usize) -> usize {
        let mut state = lock(&self.0);
        let kept = state.random.random_range(0..=count);
        state.seen.records_lost += u64::try_from(count - kept).unwrap_or(u64::MAX);
        kept
    }

    pub(super) fn crashed(&self) {
        lock(&self.0).seen.crashes += 1;
    }
}

// === impl Fate ===

impl Fate {
    /// Lets the delay pass.
    pub(super) async fn wait(&self) {
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
    }

    /// How many of `count` parts are done.
    pub(super) fn part_of(&self, count: usize) -> Option<usize> {
        let part = self.partial?;
        let count = u64::try_from(count).ok()?.max(1);
        usize::try_from(part % count).ok()
    }
}
