//! Reading: one consumer a process, a queue for each shard that is being read.

use super::Options;
use super::client::{self, Context};
use super::topic::{OpenError, settings};
use crate::log::{Entry, Error};
use crate::shard::{Offset, Shard};
use bytes::Bytes;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;

/// The one consumer of a log.
pub(super) struct Consumer {
    shared: Arc<Shared>,
    readers: Vec<Arc<Mutex<Reader>>>,
    /// Takes what concerns no shard, which the client wants taken.
    events: JoinHandle<()>,
}

struct Shared {
    topic: String,
    client: Arc<StreamConsumer<Context>>,
    request: Duration,
}

/// Where one shard is being read.
#[derive(Default)]
struct Reader {
    /// Made at the first read, and kept: messages go into it from then on.
    queue: Option<StreamPartitionQueue<Context>>,
    is_assigned: bool,
    /// The offset that the queue gives next; none when it has to be placed anew.
    next: Option<Offset>,
}

/// A reader of a shard that waits lets others of the same shard have their turn so often.
const TURN: Duration = Duration::from_millis(500);

// === impl Reader ===

impl Reader {
    /// Messages that are in the queue now, up to a limit or to the first that does not follow.
    fn drain(&mut self, entries: &mut Vec<Entry>, bytes_max: usize) {
        let Some(queue) = &self.queue else { return };
        let mut bytes: usize = entries.iter().map(|entry| entry.record.len()).sum();
        while bytes < bytes_max
            && let Some(next) = self.next
            && let Some(received) = poll_once(queue)
        {
            // What does not follow is found again by the next read, which places the queue anew.
            self.next = received.ok().filter(|entry| entry.offset == next).map(|entry| {
                bytes += entry.record.len();
                entries.push(entry);
                next.next()
            });
        }
    }
}

fn poll_once(queue: &StreamPartitionQueue<Context>) -> Option<KafkaResult<Entry>> {
    let received = pin!(queue.recv());
    match received.poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(received) => Some(received.map(|message| entry(&message))),
        Poll::Pending => None,
    }
}

fn entry(message: &BorrowedMessage<'_>) -> Entry {
    // Kafka's offsets of records are not negative.
    let offset = Offset(u64::try_from(message.offset()).unwrap_or(u64::MAX));
    Entry { offset, record: message.payload().map(Bytes::copy_from_slice).unwrap_or_default() }
}

// === impl Shared ===

impl Shared {
    /// Blocks until the shard's leader has answered, or for as long as a request may take.
    fn bounds(&self, shard: Shard) -> Result<Range<Offset>, Error> {
        let deadline = Instant::now() + self.request;
        let (first, next) = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.client.fetch_watermarks(&self.topic, i32::from(shard.0), left) {
                Ok(found) => break found,
                Err(error) if passes(&error) && !left.is_zero() => std::thread::sleep(Duration::from_millis(50)),
                Err(error) => return Err(unavailable(&error)),
            }
        };
        let offset = |offset: i64| {
            let unusable =
                |_| Error::Unavailable { reason: format!("Kafka names {offset} as a bound of shard {shard}") };
            u64::try_from(offset).map(Offset).map_err(unusable)
        };
        Ok(offset(first)?..offset(next)?)
    }

    /// Makes the shard's queue begin with `from`. Blocks.
    fn place(self: &Arc<Self>, shard: Shard, from: Offset, reader: &mut Reader) -> Result<(), Error> {
        reader.next = None;
        let bounds = self.bounds(shard)?;
        if from < bounds.start || from > bounds.end {
            return Err(Error::OutOfRange { shard, offset: from, first: bounds.start, next: bounds.end });
        }
        let partition = i32::from(shard.0);
        let offset = rdkafka::Offset::Offset(i64::try_from(from.0).unwrap_or(i64::MAX));
        let mut list = TopicPartitionList::new();
        let added = list.add_partition_offset(&self.topic, partition, offset);
        added.map_err(|error| unavailable(&error))?;
        // Not by seeking: that does nothing for a partition that Kafka's client gave up after an error.
        if reader.is_assigned {
            self.client.incremental_unassign(&list).map_err(|error| unavailable(&error))?;
            reader.is_assigned = false;
        }
        if reader.queue.is_none() {
            // Before it is assigned, so that no message goes elsewhere.
            reader.queue = self.client.split_partition_queue(&self.topic, partition);
        }
        self.client.incremental_assign(&list).map_err(|error| unavailable(&error))?;
        reader.is_assigned = true;
        reader.next = Some(from);
        Ok(())
    }

    fn damaged(&self, shard: Shard, offset: Offset, reason: String) -> Error {
        Error::Damaged { shard, offset, place: format!("topic {} partition {shard}", self.topic), reason }
    }
}

// === impl Consumer ===

impl Consumer {
    pub(super) fn new(options: &Options) -> Result<Self, OpenError> {
        let config = client::consumer_config(options);
        let client: StreamConsumer<Context> =
            config.create_with_context(Context::default()).map_err(|error| settings(&error))?;
        let client = Arc::new(client);
        let shared = Shared { topic: options.topic.clone(), client: Arc::clone(&client), request: options.request };
        let readers = options.shards.all().map(|_| Arc::default()).collect();
        let events = tokio::spawn(async move {
            loop {
                if let Err(error) = client.recv().await {
                    tracing::debug!("kafka: {error}");
                }
            }
        });
        Ok(Self { shared: Arc::new(shared), readers, events })
    }

    pub(super) async fn bounds(&self, shard: Shard) -> Result<Range<Offset>, Error> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.bounds(shard)).await
    }

    pub(super) async fn read(&self, shard: Shard, from: Offset, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        let missing = || Error::Unavailable { reason: format!("there is no shard {shard}") };
        let reader = self.readers.get(usize::from(shard.0)).ok_or_else(missing)?;
        loop {
            let mut reader = Arc::clone(reader).lock_owned().await;
            if reader.next != Some(from) {
                reader = self.place(shard, from, reader).await?;
            }
            let Reader { queue: Some(queue), next, .. } = &mut *reader else { return Err(missing()) };
            let Ok(received) = tokio::time::timeout(TURN, queue.recv()).await else { continue };
            // From here on nothing waits: a future that is dropped has taken nothing out of the queue, or all of it.
            *next = None;
            let received = match received {
                Ok(message) => entry(&message),
                Err(error) => return self.failed(shard, from, &error).await,
            };
            if received.offset != from {
                let reason = format!("the next record has offset {}", received.offset);
                return Err(self.shared.damaged(shard, from, reason));
            }
            *next = Some(from.next());
            let mut entries = vec![received];
            reader.drain(&mut entries, bytes_max);
            return Ok(entries);
        }
    }

    /// A reader belongs to the one who places it, even when the caller goes away meanwhile.
    async fn place(
        &self,
        shard: Shard,
        from: Offset,
        mut reader: OwnedMutexGuard<Reader>,
    ) -> Result<OwnedMutexGuard<Reader>, Error> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.place(shard, from, &mut reader).map(|()| reader)).await
    }

    /// What an error at `from` means.
    async fn failed(&self, shard: Shard, from: Offset, error: &KafkaError) -> Result<Vec<Entry>, Error> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::BadMessage) => {
                Err(self.shared.damaged(shard, from, "the checksum of its batch does not fit".to_owned()))
            }
            Some(RDKafkaErrorCode::AutoOffsetReset) => {
                let Range { start, end } = self.bounds(shard).await?;
                Err(Error::OutOfRange { shard, offset: from, first: start, next: end })
            }
            _ => Err(unavailable(error)),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Unavailable { reason: format!("the reader ended: {error}") })?
}

/// Whether that ends by itself: a broker has just come up, or another has taken over.
fn passes(error: &KafkaError) -> bool {
    let Some(code) = error.rdkafka_error_code() else { return false };
    matches!(
        code,
        RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::ReplicaNotAvailable
            | RDKafkaErrorCode::OffsetNotAvailable
            | RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::UnknownLeaderEpoch
    )
}

fn unavailable(error: &KafkaError) -> Error {
    Error::Unavailable { reason: error.to_string() }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.events.abort();
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Consumer").field("topic", &self.shared.topic).finish_non_exhaustive()
    }
}
