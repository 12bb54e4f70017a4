//! Where log time comes from: the wall clock once at the start, then a monotonic clock; or, with a test clock, a person.

use super::{Publisher, State, outbox};
use crate::ledger::{self, Clock, Draft, Filter, Ledger, LogIdentity, Outbox};
use pricing::time::{Instant, Span};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use storage::log::{self, Log};
use storage::record::Control;
use storage::shard::{Offset, Shard};
use tokio::sync::{Mutex, watch};

/// Reads the wall clock. The server passes the machine's; a simulation its own.
pub type Wall = Arc<dyn Fn() -> Instant + Send + Sync>;

/// How the clock runs.
#[derive(Clone)]
pub struct Options {
    /// Who holds the lease: the same name after a restart, another for another process that may run at once.
    pub holder: String,
    /// Log time of a new test system, which then moves by hand only; none: log time follows the wall clock.
    pub test_clock: Option<Instant>,
    /// How often log time moves, and the lease is kept.
    pub interval: Duration,
    /// How long the lease outlives its holder.
    pub lease: Span,
    /// A person's word that the wall clock is right although it jumped by more than 7 days.
    pub allow_jump: bool,
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
}

// === impl Options ===

impl Options {
    /// A clock that follows the wall clock, with defaults: a Tick each second, a lease of 15 seconds.
    pub fn new(holder: &str, wall: Wall, log_key: [u8; 16]) -> Self {
        Self {
            holder: holder.to_owned(),
            test_clock: None,
            interval: Duration::from_secs(1),
            lease: Span::from_seconds(15),
            allow_jump: false,
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
    /// Takes the lease, opens a new log (its first record names shard and key), publishes what an earlier run left in the
    /// outbox, and repeats the latest Tick on every shard. Run it before anything else writes to the log.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(ledger: Ledger, log: Arc<dyn Log>, options: Options) -> Result<Arc<Self>, Error> {
        keep_lease(&ledger, &options).await?;
        open(&ledger, log.as_ref(), options.log_key).await?;
        let wall = (options.wall)();
        let clock = ledger.get::<Clock>(None, Clock::ID).await?;
        let log_time = first_log_time(clock.as_ref().map(|clock| &clock.value), wall, &options)?;
        let last = ledger.list::<Outbox>(None, &Filter { descending: true, ..Filter::default() }, 1).await?;
        let state = State {
            log_time,
            clock_revision: clock.map(|clock| clock.revision),
            pending: true,
            sequence: last.first().map_or(1, |entry| outbox::sequence(&entry.id).saturating_add(1)),
            started: (wall, tokio::time::Instant::now()),
        };
        let (sender, _) = watch::channel(log_time);
        let publisher =
            Self { ledger, log, options, state: Mutex::new(state), log_time: sender, generation: AtomicU64::new(1) };
        {
            let mut state = publisher.state.lock().await;
            publisher.flush(&mut state).await?;
            publisher.write_clock(&mut state, log_time).await?;
            outbox::append_to_all(publisher.log.as_ref(), &Control::Tick { time: log_time }).await;
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

    /// One beat of the clock: the lease, and a Tick.
    async fn beat(&self) -> Result<(), Error> {
        keep_lease(&self.ledger, &self.options).await?;
        let mut turn = self.turn().await?;
        if self.options.test_clock.is_some() {
            return Ok(());
        }
        let (wall, monotonic) = turn.state.started;
        let elapsed = i64::try_from(monotonic.elapsed().as_nanos()).unwrap_or(i64::MAX);
        turn.tick(wall.plus(Span::from_nanos(elapsed))).await
    }

    /// Writes log time down before it is told to the log: after a crash in between the same Tick is appended again.
    pub(super) async fn write_clock(&self, state: &mut State, to: Instant) -> Result<(), Error> {
        loop {
            let mut draft = Draft::new("clock", "tick", to);
            draft.put(None, Clock::ID, state.clock_revision, &Clock { log_time: to, test: self.is_test_clock() })?;
            match self.ledger.commit(draft).await {
                Ok(()) => {
                    state.clock_revision = Some(state.clock_revision.unwrap_or(0) + 1);
                    state.log_time = to;
                    return Ok(());
                }
                Err(error) if !error.is_conflict() => return Err(error.into()),
                Err(_) => {
                    // A commit whose answer was lost, or another ticker: its time counts.
                    let clock = self.ledger.get::<Clock>(None, Clock::ID).await?;
                    state.clock_revision = clock.as_ref().map(|clock| clock.revision);
                    if clock.is_some_and(|clock| clock.value.log_time > to) {
                        return Err(Error::LeaseLost);
                    }
                }
            }
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

async fn keep_lease(ledger: &Ledger, options: &Options) -> Result<(), Error> {
    let now = (options.wall)();
    let held = ledger.books().lease("clock", &options.holder, now, now.plus(options.lease)).await;
    if held.map_err(ledger::Error::from)? { Ok(()) } else { Err(Error::LeaseLost) }
}

/// Checks that log and books belong together and gives a new log its first records.
async fn open(ledger: &Ledger, log: &dyn Log, key: [u8; 16]) -> Result<(), Error> {
    let identity = match ledger.get::<LogIdentity>(None, LogIdentity::ID).await? {
        Some(identity) => identity.value,
        None => {
            let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
            let identity = LogIdentity { shards: log.shards(), key };
            let mut draft = Draft::new("publisher", "open", Instant::default());
            draft.put(None, LogIdentity::ID, None, &identity)?;
            ledger.commit(draft).await?;
            identity
        }
    };
    if identity.shards != log.shards() {
        return Err(Error::Shards { found: log.shards().get(), expected: identity.shards.get() });
    }
    for shard in log.shards().all() {
        if log.bounds(shard).await?.end == Offset(0) {
            let control = open_record(shard, &identity);
            outbox::until_durable(log, shard, &[storage::record::encode_control(&control)]).await;
        }
    }
    Ok(())
}

fn open_record(shard: Shard, identity: &LogIdentity) -> Control {
    Control::Open { shard, shards: identity.shards, key: identity.key.clone() }
}
