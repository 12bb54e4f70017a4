//! The test clock: log time moves by hand, through every due moment.
//!
//! After each Tick the store must have caught up on every shard, and closing must have nothing left to do, before log time
//! moves on; so what happens in a test system does not depend on how fast the machine is.

use crate::close::{self, Closer, Progress};
use crate::publisher::{self, Publisher};
use pricing::time::{Instant, Span};
use std::sync::Arc;
use std::time::Duration;
use storage::charges::{self, Charges};
use storage::shard::Shard;
use tokio::sync::Mutex;

/// How a shard of the rater is, as far as the clock must know. The server passes the rater's status.
pub trait Shards: Send + Sync + 'static {
    /// Why the shard halted; none while it runs.
    fn halted(&self, shard: Shard) -> Option<String>;
}

/// Moves a test clock.
pub struct Advance {
    publisher: Arc<Publisher>,
    closer: Arc<Closer>,
    charges: Arc<dyn Charges>,
    shards: Arc<dyn Shards>,
    /// One caller at a time; and what the earlier ones saw.
    seen: Mutex<Seen>,
}

/// What was charged so far, and when that last changed: late usage is told in a manifest within the hour.
#[derive(Default)]
struct Seen {
    charged: Option<u64>,
    remanifest: Option<Instant>,
    /// Periods are due that the latest Tick did not get to: the next one goes on with them.
    close_due: bool,
}

/// Why log time does not move.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The publisher says no.
    #[error(transparent)]
    Publisher(#[from] publisher::Error),
    /// Closing says no.
    #[error(transparent)]
    Close(#[from] close::Error),
    /// The charges store says no.
    #[error(transparent)]
    Charges(#[from] charges::Error),
    /// Log time follows the wall clock here.
    #[error(
        "this is no test system: log time follows the wall clock; start one with `farthing serve --test-clock TIME`"
    )]
    NotTest,
    /// Log time never goes back.
    #[error("log time stands at {log_time} and never goes back to {to}")]
    Back {
        /// Asked for.
        to: Instant,
        /// Where it stands.
        log_time: Instant,
    },
    /// A shard waits for a person.
    #[error("shard {shard} halted: {reason}; see `farthing check`, then `farthing skip {shard} OFFSET --reason TEXT`")]
    Halted {
        /// The shard.
        shard: Shard,
        /// Why.
        reason: String,
    },
    /// Something that was due did not come.
    #[error("log time stopped at {log_time}: {reason}")]
    Stuck {
        /// How far it came.
        log_time: Instant,
        /// What was waited for.
        reason: String,
    },
}

/// The shortest step of log time: for a Tick that only goes on with what the one before did not get to.
const STEP: Span = Span::from_nanos(1);
/// Log time may stand these few steps behind `to` already.
const TOLERANCE: Span = Span::from_seconds(1);
/// The fold puts out changed manifests hourly.
const HOURLY: Span = Span::from_hours(1);
/// How often the store is asked how far it is; a condition, looked at, not a time that is waited.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_LAST: Duration = Duration::from_millis(20);
/// Without any progress of any shard for so long, something is wrong that no shard reports.
const NO_PROGRESS: Duration = Duration::from_secs(60);
/// Ticks in a row that may find manifests missing and bring none.
const FRUITLESS_MAX: u32 = 3;

// === impl Advance ===

impl Advance {
    /// A hand on this clock.
    pub fn new(
        publisher: Arc<Publisher>,
        closer: Arc<Closer>,
        charges: Arc<dyn Charges>,
        shards: Arc<dyn Shards>,
    ) -> Self {
        Self { publisher, closer, charges, shards, seen: Mutex::new(Seen::default()) }
    }

    /// Moves log time to `to`, through every due moment; answers when nothing due is left.
    ///
    /// # Errors
    /// See [`Error`]. Log time may have moved part of the way; calling again goes on.
    pub async fn to(&self, to: Instant) -> Result<Instant, Error> {
        if !self.publisher.is_test_clock() {
            return Err(Error::NotTest);
        }
        let mut seen = self.seen.lock().await;
        let log_time = self.publisher.log_time();
        if to.plus(TOLERANCE) < log_time {
            return Err(Error::Back { to, log_time });
        }
        self.closer.recheck().await;
        let mut fruitless = 0;
        let mut waiting = Vec::new();
        loop {
            let progress = self.settle(&mut seen).await?;
            let log_time = self.publisher.log_time();
            if progress.waiting.is_empty() || progress.waiting != waiting {
                fruitless = 0;
                waiting.clone_from(&progress.waiting);
            } else {
                fruitless += 1;
            }
            let again = seen.close_due || (!waiting.is_empty() && fruitless < FRUITLESS_MAX);
            if log_time >= to && !again {
                return if waiting.is_empty() { Ok(log_time) } else { Err(stuck(log_time, &waiting)) };
            }
            let next = next(&progress, &seen, log_time, to, again);
            let receipt = self.publisher.turn().await?.tick(next).await?;
            receipt.durable().await?;
        }
    }

    /// Waits until the store has caught up and a pass has nothing left to do.
    async fn settle(&self, seen: &mut Seen) -> Result<Progress, Error> {
        loop {
            let (charged, close_due) = self.caught_up().await?;
            let log_time = self.publisher.log_time();
            if seen.charged != Some(charged) {
                (seen.charged, seen.remanifest) = (Some(charged), Some(log_time.plus(HOURLY)));
            }
            seen.close_due = close_due;
            let progress = self.closer.pass().await?;
            if progress.written == 0 {
                return Ok(progress);
            }
        }
    }

    /// Waits until the store of every shard has passed the end of its log and log time; returns how many events were
    /// charged, and whether the fold has closes left over.
    async fn caught_up(&self) -> Result<(u64, bool), Error> {
        let log_time = self.publisher.log_time();
        let (mut charged, mut close_due) = (0u64, false);
        for shard in self.publisher.shards().all() {
            let end = self.publisher.log().bounds(shard).await.map_err(publisher::Error::from)?.end;
            let mut look = LOOK_FIRST;
            let mut last = None;
            let mut since = tokio::time::Instant::now();
            loop {
                if let Some(reason) = self.shards.halted(shard) {
                    return Err(Error::Halted { shard, reason });
                }
                let boundary = self.charges.boundary(shard).await?;
                if let Some(boundary) =
                    boundary.filter(|boundary| boundary.log_time >= log_time && boundary.next >= end)
                {
                    charged = charged.saturating_add(boundary.counters.charged);
                    close_due |= boundary.close_due;
                    break;
                }
                let next = boundary.map(|boundary| boundary.next);
                if next != last {
                    (last, since) = (next, tokio::time::Instant::now());
                } else if since.elapsed() > NO_PROGRESS {
                    let reason = format!(
                        "shard {shard} does not go on: it is stored up to {}, its log ends at {end}; see the rater's log",
                        next.unwrap_or_default()
                    );
                    return Err(Error::Stuck { log_time, reason });
                }
                tokio::time::sleep(look).await;
                look = (look * 2).min(LOOK_LAST);
            }
        }
        Ok((charged, close_due))
    }
}

impl std::fmt::Debug for Advance {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Advance")
    }
}

/// The next moment to stop at.
fn next(progress: &Progress, seen: &Seen, log_time: Instant, to: Instant, again: bool) -> Instant {
    if again {
        // May pass `to` by a nanosecond or two: what is due at `to` is done before this answers.
        return log_time.plus(STEP);
    }
    let due = progress.next.into_iter().chain(seen.remanifest);
    due.filter(|moment| *moment > log_time).chain([to]).min().unwrap_or(to)
}

fn stuck(log_time: Instant, waiting: &[String]) -> Error {
    let first = waiting.first().map_or("", String::as_str);
    let reason =
        format!("{} bills wait for manifests that the fold does not put out, the first is {first}", waiting.len());
    Error::Stuck { log_time, reason }
}
