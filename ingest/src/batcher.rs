//! Collects the events of all requests into one record for each shard, appends it, and tells the requests.
//!
//! Each shard has a builder behind a lock that is held only while events are copied into it, and a task that appends.
//! A shard with no append under way appends what it has at once, so a lone client does not wait; one that is busy
//! collects for `linger`, or until the record is full, with at most `appends_max` appends under way.
//!
//! A request holds a [`Ticket`]. Every record that has events of it holds the ticket too, and lets go of it when the
//! record is durable, or with a failure. A ticket that is let go of in any other way (a task that died) counts as
//! [`Failure::Uncertain`], so no request waits for ever and none is acknowledged by mistake.

use crate::health::Health;
use crate::intake::Staged;
use crate::options::Options;
use crate::room::Room;
use crate::stats::{Stats, count};
use bytes::Bytes;
use pricing::id::TenantId;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::log::{Error, Log};
use storage::record::{EventRef, EventsBuilder};
use storage::shard::Shard;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// All shards.
pub(crate) struct Batcher {
    queues: Vec<Arc<Queue>>,
    record_bytes_max: usize,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// Why events were not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing was written.
    Unavailable(String),
    /// They may or may not stand in the log.
    Uncertain(String),
    /// The server is shutting down.
    Closed,
}

/// One request's wait.
pub(crate) struct Ticket {
    /// Records that are not durable yet, and one for the request itself while it is still handing out events.
    pending: AtomicUsize,
    failure: Mutex<Option<Failure>>,
    done: Notify,
    _room: Room,
}

/// A ticket as a record holds it.
struct Stake {
    ticket: Arc<Ticket>,
    settled: bool,
}

struct Queue {
    shard: Shard,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    builder: EventsBuilder,
    /// Who waits for the builder's record.
    stakes: Vec<Stake>,
    /// When the builder got its first event.
    opened: Option<Instant>,
    /// Records that are full.
    sealed: Vec<Bytes>,
    /// Who waits for the sealed ones.
    sealed_stakes: Vec<Stake>,
    closed: bool,
}

/// What a shard's task does next.
enum Next {
    Append(Vec<Bytes>, Vec<Stake>),
    WaitUntil(Instant),
    Wait,
    Finish,
}

/// One shard's task.
struct Worker {
    queue: Arc<Queue>,
    log: Arc<dyn Log>,
    stats: Arc<Stats>,
    health: Arc<Health>,
    linger: Duration,
    appends_max: usize,
    appends: JoinSet<()>,
}

// === impl Batcher ===

impl Batcher {
    /// Starts a task for each shard.
    pub(crate) fn start(log: &Arc<dyn Log>, stats: &Arc<Stats>, health: &Arc<Health>, options: &Options) -> Self {
        let new = |shard| Arc::new(Queue { shard, state: Mutex::default(), changed: Notify::new() });
        let queues: Vec<Arc<Queue>> = log.shards().all().map(new).collect();
        let worker = |queue: &Arc<Queue>| Worker {
            queue: queue.clone(),
            log: log.clone(),
            stats: stats.clone(),
            health: health.clone(),
            linger: options.linger,
            appends_max: options.appends_max.max(1),
            appends: JoinSet::new(),
        };
        let tasks = queues.iter().map(|queue| tokio::spawn(worker(queue).run())).collect();
        Self { queues, record_bytes_max: options.record_bytes_max, tasks: Mutex::new(tasks) }
    }

    /// Hands a request's events to their shards; the ticket resolves when all are durable.
    pub(crate) fn submit(&self, tenant: &TenantId, staged: &Staged<'_>, room: Room) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket {
            pending: AtomicUsize::new(1),
            failure: Mutex::default(),
            done: Notify::new(),
            _room: room,
        });
        for queue in &self.queues {
            let mut events = staged.of_shard(queue.shard).peekable();
            if events.peek().is_some() {
                queue.push(tenant, events, self.record_bytes_max, &ticket);
            }
        }
        ticket.settle(None);
        ticket
    }

    /// Takes no more, appends what is left, and ends the tasks.
    pub(crate) async fn close(&self) {
        for queue in &self.queues {
            queue.lock().closed = true;
            queue.changed.notify_one();
        }
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a shard's batcher died");
            }
        }
    }
}

// === impl Queue ===

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push<'a>(
        &self,
        tenant: &'a TenantId,
        events: impl Iterator<Item = EventRef<'a>>,
        record_bytes_max: usize,
        ticket: &Arc<Ticket>,
    ) {
        let mut state = self.lock();
        if state.closed {
            ticket.begin();
            return ticket.settle(Some(Failure::Closed));
        }
        let mut joined = false;
        for event in events {
            debug_assert_eq!(event.tenant, tenant, "a request has one tenant");
            if state.builder.bytes() >= record_bytes_max {
                state.seal();
                joined = false;
            }
            if !joined {
                state.stakes.push(Stake::new(ticket));
                state.opened.get_or_insert_with(Instant::now);
                joined = true;
            }
            state.builder.push(&event);
        }
        drop(state);
        self.changed.notify_one();
    }
}

// === impl State ===

impl State {
    fn seal(&mut self) {
        if self.builder.count() > 0 {
            self.sealed.push(self.builder.finish());
            self.sealed_stakes.append(&mut self.stakes);
            self.opened = None;
        }
    }

    fn next(&mut self, under_way: usize, appends_max: usize, linger: Duration) -> Next {
        let empty = self.sealed.is_empty() && self.opened.is_none();
        if empty {
            return if self.closed && under_way == 0 { Next::Finish } else { Next::Wait };
        }
        if under_way >= appends_max {
            return Next::Wait;
        }
        let due = self.opened.map(|opened| opened + linger);
        let wait = due.filter(|due| under_way > 0 && !self.closed && self.sealed.is_empty() && *due > Instant::now());
        if let Some(due) = wait {
            return Next::WaitUntil(due);
        }
        self.seal();
        Next::Append(std::mem::take(&mut self.sealed), std::mem::take(&mut self.sealed_stakes))
    }
}

// === impl Worker ===

impl Worker {
    async fn run(mut self) {
        loop {
            while self.appends.try_join_next().is_some() {}
            if self.appends.is_empty() {
                // Requests that are ready to run now join the record.
                tokio::task::yield_now().await;
            }
            let next = self.queue.lock().next(self.appends.len(), self.appends_max, self.linger);
            let due = match next {
                Next::Append(records, stakes) => {
                    self.append(records, stakes);
                    continue;
                }
                Next::Finish => return,
                Next::WaitUntil(due) => Some(due),
                Next::Wait => None,
            };
            // Without a due time the timer is never polled.
            let timer = due.unwrap_or_else(Instant::now);
            tokio::select! {
                // In order, so that the same requests at the same moments make the same records.
                biased;
                () = self.queue.changed.notified() => {}
                _ = self.appends.join_next(), if !self.appends.is_empty() => {}
                () = tokio::time::sleep_until(timer), if due.is_some() => {}
            }
        }
    }

    fn append(&mut self, records: Vec<Bytes>, stakes: Vec<Stake>) {
        let (log, stats, shard) = (self.log.clone(), self.stats.clone(), self.queue.shard);
        let health = self.health.clone();
        self.appends.spawn(async move {
            let (amount, bytes) = (records.len(), records.iter().map(Bytes::len).sum());
            let appended = log.append(shard, records).await;
            health.note(shard, appended.as_ref().err());
            let failure = match appended {
                Ok(_) => {
                    count(&stats.records, amount);
                    count(&stats.record_bytes, bytes);
                    None
                }
                Err(error) => {
                    stats.failed_appends.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%shard, %error, waiting = stakes.len(), "events could not be appended");
                    Some(Failure::of(&error))
                }
            };
            for stake in stakes {
                stake.settle(failure.clone());
            }
        });
    }
}

// === impl Failure ===

impl Failure {
    fn of(error: &Error) -> Self {
        match error {
            Error::Unavailable { .. } => Self::Unavailable(error.to_string()),
            Error::Unknown { .. } | Error::Damaged { .. } | Error::OutOfRange { .. } => {
                Self::Uncertain(error.to_string())
            }
        }
    }

    /// The worse of two is what the request hears.
    fn rank(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Unavailable(_) => 1,
            Self::Uncertain(_) => 2,
        }
    }
}

// === impl Ticket ===

impl Ticket {
    /// Resolves when no record holds the request's events any more.
    pub(crate) async fn wait(&self) -> Result<(), Failure> {
        while self.pending.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(failure) => Err(failure.clone()),
        }
    }

    fn begin(&self) {
        self.pending.fetch_add(1, Ordering::AcqRel);
    }

    fn settle(&self, failure: Option<Failure>) {
        if let Some(failure) = failure {
            let mut worst = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            if worst.as_ref().is_none_or(|known| known.rank() < failure.rank()) {
                *worst = Some(failure);
            }
        }
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }
}

// === impl Stake ===

impl Stake {
    fn new(ticket: &Arc<Ticket>) -> Self {
        ticket.begin();
        Self { ticket: ticket.clone(), settled: false }
    }

    fn settle(mut self, failure: Option<Failure>) {
        self.settled = true;
        self.ticket.settle(failure);
    }
}

impl Drop for Stake {
    fn drop(&mut self) {
        if !self.settled {
            let reason = "the append was given up before it resolved".to_owned();
            self.ticket.settle(Some(Failure::Uncertain(reason)));
        }
    }
}
