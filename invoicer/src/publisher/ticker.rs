//! Where log time comes from: the wall clock once at the start, then a monotonic clock; or, with a test clock, a person.

use super::lane::Lanes;
use super::{Publisher, State, lease, open};
use crate::ledger::{self, Clock, Draft, Ledger};
use pricing::time::{Instant, Span};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use storage::log::{self, Log, RECORD_BYTES_MAX};
use storage::shard::Shard;
use tokio::sync::{Mutex, watch};

/// Reads the wall clock. The server passes the machine's; a simulation its own.
pub type Wall = Arc<dyn Fn() -> Instant + Send + Sync>;

/// How the clock runs.
#[derive(Clone)]
pub struct Options {
    /// Who holds the lease: a name that no process has which may run at once. A start with the name of the last holder does
    /// not wait for its lease.
    pub holder: String,
    /// Log time of a new test system, which then moves by hand only; none: log time follows the wall clock.
    pub test_clock: Option<Instant>,
    /// How often log time moves, and the lease is kept.
    pub interval: Duration,
    /// How long the lease outlives its holder.
    pub lease: Span,
    /// Whether a start waits for the lease while another process holds it, instead of being refused.
    pub standby: bool,
    /// How long a call waits for the log before it answers that what it asked for is still on its way.
    pub patience: Duration,
    /// A person's word that the wall clock is right although it jumped by more than 7 days.
    pub allow_jump: bool,
    /// Whether this process rates every shard itself: then whatever it knows may be written.
    pub rates_all: bool,
    /// The wall clock.
    pub wall: Wall,
    /// The key of the id hashes of a new log.
    pub log_key: [u8; 16],
}

/// A jump of the wall clock beyond this wants a person's word.
const JUMP_MAX: Span = Span::from_days(7);

/// Why the clock does not run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The books say no.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The log says no.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// Another process ticks.
    #[error("another process holds the lease on the clock; stop it, or wait until its lease ends")]
    LeaseLost,
    /// The wall clock jumped.
    #[error(
        "the wall clock says {wall}, but log time stands at {log_time}: more than 7 days lie between, and log time never \
         goes back; check the machine's clock, then start with --allow-clock-jump"
    )]
    Jump {
        /// What the wall clock says.
        wall: Instant,
        /// Log time.
        log_time: Instant,
    },
    /// A test system was started as a real one.
    #[error(
        "this folder holds a test system, whose clock stands at {log_time}; start it with `--test-clock {log_time}` (it goes on \
         from where it stands), or name another folder"
    )]
    IsTest {
        /// Log time.
        log_time: Instant,
    },
    /// A real system was started as a test system.
    #[error(
        "this system follows the wall clock and cannot become a test system; leave --test-clock out, or use another folder"
    )]
    IsReal,
    /// The log is another one than that of the books.
    #[error(
        "the log has {found} shards, but these books were begun with {expected}; the number is fixed for the log's life"
    )]
    Shards {
        /// What the log has.
        found: u16,
        /// What the books say.
        expected: u16,
    },
    /// The log may hold, or was asked to hold, what this build does not know.
    #[error(
        "records up to version {needed} are written to this log, and this Farthing knows them up to {newest}: upgrade it first"
    )]
    RecordVersion {
        /// What it would have to know.
        needed: u8,
        /// What it knows.
        newest: u8,
    },
    /// A record of a version that some rater may not know.
    #[error(
        "this needs records of version {needed}, and they may be written up to {allowed}: upgrade all raters, then run \
         `farthing migrate --record-version {needed}`"
    )]
    NotAllowed {
        /// The record's.
        needed: u8,
        /// What may be written.
        allowed: u8,
    },
    /// There is no log to allow records in.
    #[error(
        "no log was begun with these books: the first invoicer begins it, with the newest record version that it knows"
    )]
    NotBegun,
    /// A shard's first record names another log.
    #[error(
        "shard {shard} of the log was begun with other books: its first record has another key; start with the log and the \
         books that belong together"
    )]
    OtherLog {
        /// Which.
        shard: Shard,
    },
    /// The log was in use, and the books know nothing of it.
    #[error(
        "the books are empty, but shard {shard} of the log was in use: they were lost, or are those of another system; put \
         the books back that belong to this log, or begin with a new log and new charges"
    )]
    BooksLost {
        /// Which.
        shard: Shard,
    },
    /// What no log takes was not committed.
    #[error(
        "the record of {what} would have {bytes} bytes, of {max} that fit; nothing was changed: declare less, or in several \
         steps",
        max = RECORD_BYTES_MAX
    )]
    TooLarge {
        /// Of what.
        what: String,
        /// How many.
        bytes: usize,
    },
    /// It was committed, but a shard does not take it yet.
    #[error(
        "shard {shard} of the log takes no records now ({reason}); what was asked for is kept and stands in the log as soon \
         as it does; asking again is harmless"
    )]
    Waiting {
        /// Which.
        shard: Shard,
        /// What the log said.
        reason: String,
    },
    /// A shard takes nothing for some time already, so nothing more was committed for it.
    #[error("shard {shard} of the log takes no records now ({reason}); nothing was changed: ask again")]
    Refused {
        /// Which.
        shard: Shard,
        /// What the log said.
        reason: String,
    },
}

// === impl Options ===

impl Options {
    /// A clock that follows the wall clock, with defaults: a Tick each second, a lease of 15 seconds that is not waited for,
    /// a patience of 30 seconds.
    pub fn new(holder: &str, wall: Wall, log_key: [u8; 16]) -> Self {
        Self {
            holder: holder.to_owned(),
            test_clock: None,
            interval: Duration::from_secs(1),
            lease: Span::from_seconds(15),
            standby: false,
            patience: Duration::from_secs(30),
            allow_jump: false,
            rates_all: false,
            wall,
            log_key,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Options")
            .field("holder", &self.holder)
            .field("test_clock", &self.test_clock)
            .finish_non_exhaustive()
    }
}

// === impl Publisher ===

impl Publisher {
    /// Takes the lease, opens a new log (its first record names shard and key), sends what an earlier run left in the outbox,
    /// and repeats the latest Tick on every shard. Run it before anything else writes to the log.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(ledger: Ledger, log: Arc<dyn Log>, options: Options) -> Result<Arc<Self>, Error> {
        lease::take(&ledger, &options).await?;
        // A log may take longer than the lease lasts.
        lease::under(&ledger, &options, open::open(&ledger, log.as_ref(), &options)).await?;
        let asked = tokio::time::Instant::now();
        let wall = (options.wall)();
        let (clock, revision) = begin_term(&ledger, wall, &options).await?;
        let state = State {
            log_time: clock.log_time,
            term: clock.term,
            clock_revision: Some(revision),
            // It is asked for again at the first turn.
            lease_until: asked,
            is_lost: false,
            is_unsure: true,
            sequence: 1,
            sent: BTreeMap::new(),
            started: (wall, tokio::time::Instant::now()),
        };
        let (sender, _) = watch::channel(clock.log_time);
        let lanes = Lanes::start(&log);
        let (state, generation) = (Mutex::new(state), AtomicU64::new(1));
        let publisher = Self { ledger, log, options, state, lanes, log_time: sender, generation };
        let receipt = {
            let turn = publisher.turn().await?;
            publisher.receipt([turn.pending().places, publisher.lanes.tick(clock.log_time)].concat())
        };
        match receipt.durable().await {
            Err(error @ Error::Waiting { .. }) => tracing::warn!(%error, "the others go on"),
            durable => durable?,
        }
        Ok(Arc::new(publisher))
    }

    /// Keeps the lease and, without a test clock, moves log time; ends only with an error.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(&self) -> Result<(), Error> {
        let mut interval = tokio::time::interval(self.options.interval);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            match self.beat().await {
                Ok(()) => {}
                Err(Error::Ledger(error)) => tracing::warn!(%error, "log time waits for the books"),
                Err(error) => return Err(error),
            }
        }
    }

    /// One beat of the clock: the lease, and a Tick. It does not wait for the log: a shard that stands gets the latest Tick
    /// when it goes on.
    async fn beat(&self) -> Result<(), Error> {
        {
            let mut state = self.state.lock().await;
            self.keep_lease(&mut state).await?;
        }
        let mut turn = self.turn().await?;
        if self.options.test_clock.is_some() {
            return Ok(());
        }
        let (wall, monotonic) = turn.state.started;
        let elapsed = i64::try_from(monotonic.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let _on_its_way = turn.tick(wall.plus(Span::from_nanos(elapsed))).await?;
        Ok(())
    }

    /// Writes log time down before it is told to the log: after a crash in between the same Tick is appended again.
    pub(super) async fn write_clock(&self, state: &mut State, to: Instant) -> Result<(), Error> {
        loop {
            self.catch_up(state).await?;
            let mut draft = Draft::new("clock", "tick", to);
            let clock = Clock { log_time: to, test: self.is_test_clock(), term: state.term };
            draft.put(None, Clock::ID, state.clock_revision, &clock)?;
            // A conflict is a commit of our own whose answer was lost, or another holder of the lease: reading tells.
            state.is_unsure = true;
            match self.ledger.commit(draft).await {
                Ok(()) => {
                    state.signed();
                    state.log_time = to;
                    return Ok(());
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Counts the clock's document one term up: from here on the holder of the lease before can commit nothing.
async fn begin_term(ledger: &Ledger, wall: Instant, options: &Options) -> Result<(Clock, u64), Error> {
    loop {
        let before = ledger.get::<Clock>(None, Clock::ID).await?;
        let log_time = first_log_time(before.as_ref().map(|clock| &clock.value), wall, options)?;
        let term = before.as_ref().map_or(0, |clock| clock.value.term) + 1;
        let clock = Clock { log_time, test: options.test_clock.is_some(), term };
        let mut draft = Draft::new("clock", "lead", log_time);
        let revision = before.map(|clock| clock.revision);
        draft.put(None, Clock::ID, revision, &clock)?;
        match ledger.commit(draft).await {
            Ok(()) => return Ok((clock, revision.unwrap_or(0) + 1)),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Log time at a start.
fn first_log_time(clock: Option<&Clock>, wall: Instant, options: &Options) -> Result<Instant, Error> {
    match (clock, options.test_clock) {
        (None, Some(time)) => Ok(time),
        (None, None) => Ok(wall),
        (Some(clock), Some(_)) if clock.test => Ok(clock.log_time),
        (Some(_), Some(_)) => Err(Error::IsReal),
        (Some(clock), None) if clock.test => Err(Error::IsTest { log_time: clock.log_time }),
        (Some(clock), None) => {
            let apart = wall.since(clock.log_time).max(clock.log_time.since(wall));
            if apart > JUMP_MAX && !options.allow_jump {
                return Err(Error::Jump { wall, log_time: clock.log_time });
            }
            // Behind log time it stands still until the wall clock has caught up.
            Ok(wall.max(clock.log_time))
        }
    }
}
