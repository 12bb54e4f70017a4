//! Lanes: one way into each shard of the log, so that a shard that takes nothing holds up no other.
//!
//! What goes into a shard waits in its lane, in order, and a task of the lane's own appends it, again and again until it is
//! durable. Repeated appends are harmless: the fold knows the versions of what it has, and log time that it has reached. A
//! Tick that waits gives way to the next one, so a lane that stands does not grow with time.

use super::{Error, Target};
use bytes::Bytes;
use pricing::time::Instant;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::log::{self, Log};
use storage::record::{self, Control};
use storage::shard::Shard;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// The lanes of a log. Dropping them ends their tasks; what waits is then in the outbox.
pub(super) struct Lanes {
    lanes: Vec<Arc<Lane>>,
    tasks: Vec<JoinHandle<()>>,
}

/// A place in a lane: durable once the lane has come past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    shard: Shard,
    ticket: u64,
}

struct Lane {
    shard: Shard,
    log: Arc<dyn Log>,
    queue: Mutex<Queue>,
    grown: Notify,
    /// The ticket of the last item that is durable.
    durable: watch::Sender<u64>,
}

#[derive(Default)]
struct Queue {
    /// The last ticket that was given.
    ticket: u64,
    items: VecDeque<Item>,
    /// So many of the first are on their way and change no more.
    sent: usize,
    /// Since when the first is refused, and why.
    refused: Option<(tokio::time::Instant, String)>,
}

struct Item {
    ticket: u64,
    is_tick: bool,
    records: Vec<Bytes>,
}

/// How long to wait before a refused append is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(20);
/// The longest such wait.
const RETRY_LAST: Duration = Duration::from_secs(2);
/// Items that share an append.
const ITEMS_MAX: usize = 16;
/// Bytes of an append of more than one item.
const BYTES_MAX: usize = 4 << 20;

// === impl Lanes ===

impl Lanes {
    /// A lane into each shard, and its task.
    pub(super) fn start(log: &Arc<dyn Log>) -> Self {
        let lanes: Vec<Arc<Lane>> = log.shards().all().map(|shard| Arc::new(Lane::new(shard, log))).collect();
        let tasks = lanes.iter().map(|lane| tokio::spawn(Arc::clone(lane).run())).collect();
        Self { lanes, tasks }
    }

    /// Ends the tasks: nothing more is appended.
    pub(super) fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }

    /// Puts records at the end of the lanes they concern.
    pub(super) fn push(&self, target: Target, records: &[Control]) -> Vec<Place> {
        let encoded: Vec<Bytes> = records.iter().map(record::encode_control).collect();
        self.of(target).map(|lane| lane.push(encoded.clone())).collect()
    }

    /// Puts a Tick at the end of every lane.
    pub(super) fn tick(&self, time: Instant) -> Vec<Place> {
        let encoded = record::encode_control(&Control::Tick { time });
        self.lanes.iter().map(|lane| lane.tick(encoded.clone())).collect()
    }

    /// Why a lane that is concerned has stood for longer than `patience`.
    pub(super) fn refused(&self, target: Target, patience: Duration) -> Option<(Shard, String)> {
        self.of(target).find_map(|lane| {
            let queue = lane.queue();
            let (since, reason) = queue.refused.as_ref()?;
            (since.elapsed() >= patience).then(|| (lane.shard, reason.clone()))
        })
    }

    /// True when all of these places are durable.
    pub(super) fn are_durable(&self, places: &[Place]) -> bool {
        places.iter().all(|place| self.lane(place.shard).is_none_or(|lane| *lane.durable.borrow() >= place.ticket))
    }

    /// Waits until all of these places are durable.
    ///
    /// # Errors
    /// [`Error::Waiting`] after `patience`; they go on becoming durable.
    pub(super) async fn durable(&self, places: &[Place], patience: Duration) -> Result<(), Error> {
        let all = async {
            for place in places {
                if let Some(lane) = self.lane(place.shard) {
                    // The sender lives as long as the lane.
                    let _ = lane.durable.subscribe().wait_for(|durable| *durable >= place.ticket).await;
                }
            }
        };
        if tokio::time::timeout(patience, all).await.is_ok() {
            return Ok(());
        }
        let late = places.iter().find(|place| !self.are_durable(std::slice::from_ref(place)));
        let lane = late.and_then(|late| self.lane(late.shard));
        lane.map_or(Ok(()), |lane| {
            let reason = lane.queue().refused.as_ref().map(|(_, reason)| reason.clone());
            let reason = reason.unwrap_or_else(|| "its log does not answer".to_owned());
            Err(Error::Waiting { shard: lane.shard, reason })
        })
    }

    fn lane(&self, shard: Shard) -> Option<&Arc<Lane>> {
        self.lanes.get(usize::from(shard.0))
    }

    fn of(&self, target: Target) -> impl Iterator<Item = &Arc<Lane>> {
        self.lanes.iter().filter(move |lane| matches!(target, Target::All) || target == Target::One(lane.shard))
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.stop();
    }
}

// === impl Lane ===

impl Lane {
    fn new(shard: Shard, log: &Arc<dyn Log>) -> Self {
        let (durable, _) = watch::channel(0);
        Self { shard, log: Arc::clone(log), queue: Mutex::default(), grown: Notify::new(), durable }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, records: Vec<Bytes>) -> Place {
        let ticket = self.queue().add(false, records);
        self.grown.notify_one();
        Place { shard: self.shard, ticket }
    }

    fn tick(&self, record: Bytes) -> Place {
        let mut queue = self.queue();
        if queue.items.len() > queue.sent && queue.items.back().is_some_and(|last| last.is_tick) {
            queue.items.pop_back();
        }
        let ticket = queue.add(true, vec![record]);
        drop(queue);
        self.grown.notify_one();
        Place { shard: self.shard, ticket }
    }

    async fn run(self: Arc<Self>) {
        loop {
            let next = self.queue().send();
            let Some((records, ticket)) = next else {
                self.grown.notified().await;
                continue;
            };
            let mut wait = RETRY_FIRST;
            while let Err(error) = self.log.append(self.shard, records.clone()).await {
                self.refuse(&error);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_LAST);
            }
            self.queue().sent();
            self.durable.send_replace(ticket);
        }
    }

    fn refuse(&self, error: &log::Error) {
        let mut queue = self.queue();
        let since = queue.refused.as_ref().map(|(since, _)| *since);
        if since.is_none() && !matches!(error, log::Error::Unknown { .. }) {
            tracing::warn!(shard = %self.shard, %error, "control records wait for the log");
        }
        queue.refused = Some((since.unwrap_or_else(tokio::time::Instant::now), error.to_string()));
    }
}

// === impl Queue ===

impl Queue {
    fn add(&mut self, is_tick: bool, records: Vec<Bytes>) -> u64 {
        self.ticket += 1;
        self.items.push_back(Item { ticket: self.ticket, is_tick, records });
        self.ticket
    }

    /// The records to be appended next, up to and with the first Tick: where a part of them is appended and then all of
    /// them again, log time in the shard does not go back.
    fn send(&mut self) -> Option<(Vec<Bytes>, u64)> {
        let tick = self.items.iter().position(|item| item.is_tick);
        let most = tick.map_or(self.items.len(), |tick| tick + 1).min(ITEMS_MAX);
        let mut bytes = 0;
        let fits = self.items.iter().take(most).take_while(|item| {
            bytes += item.records.iter().map(Bytes::len).sum::<usize>();
            bytes <= BYTES_MAX
        });
        self.sent = fits.count().max(1).min(most);
        let mut sent = self.items.iter().take(self.sent);
        let records = sent.clone().flat_map(|item| item.records.iter().cloned()).collect();
        sent.next_back().map(|last| (records, last.ticket))
    }

    /// They are durable.
    fn sent(&mut self) {
        self.items.drain(..self.sent);
        (self.sent, self.refused) = (0, None);
    }
}
