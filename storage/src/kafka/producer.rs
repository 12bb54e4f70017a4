//! Writing.

use super::client::{self, Context};
use super::topic::{OpenError, settings};
use super::{Options, RECORD_BYTES_MAX};
use crate::log::Error;
use crate::shard::{Offset, Shard};
use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::message::DeliveryResult;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// The one producer of a log.
pub(super) struct Producer {
    topic: String,
    config: ClientConfig,
    context: Context,
    client: Mutex<Arc<Client>>,
    /// One append at a time hands its records over, so that they stay together.
    shards: Vec<Mutex<()>>,
    queued_bytes_max: usize,
    delivery: Duration,
}

type Client = ThreadedProducer<Context>;

/// A record that waits for its acknowledgement.
pub(super) struct Ticket {
    context: Context,
    bytes: usize,
    answer: Option<oneshot::Sender<Result<Offset, String>>>,
}

/// What a record takes beside its bytes.
const RECORD_BYTES: usize = 256;

/// Kafka answers within its timeout, found by a scan each second. This long after it, it is not waited for.
const GRACE: Duration = Duration::from_secs(5);

// === impl Ticket ===

impl Drop for Ticket {
    fn drop(&mut self) {
        self.context.queued_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

// === impl Context ===

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, mut ticket: Box<Ticket>) {
        let answer = match result {
            Ok(message) => {
                self.is_away.store(false, Ordering::Relaxed);
                u64::try_from(message.offset()).map(Offset).map_err(|_| "Kafka named no offset".to_owned())
            }
            Err((error, _)) => Err(error.to_string()),
        };
        let waiting = ticket.answer.take();
        // Whoever is answered finds the room free again.
        drop(ticket);
        // Nobody may be waiting: the append was given up.
        let _ = waiting.map(|waiting| waiting.send(answer));
    }
}

// === impl Producer ===

impl Producer {
    pub(super) fn new(options: &Options) -> Result<Self, OpenError> {
        let config = client::producer_config(options);
        let context = Context::default();
        let client = config.create_with_context(context.clone()).map_err(|error| settings(&error))?;
        Ok(Self {
            topic: options.topic.clone(),
            config,
            context,
            client: Mutex::new(Arc::new(client)),
            shards: options.shards.all().map(|_| Mutex::new(())).collect(),
            queued_bytes_max: options.queued_bytes_max,
            delivery: options.delivery,
        })
    }

    pub(super) async fn append(&self, shard: Shard, records: &[Bytes]) -> Result<Offset, Error> {
        let tickets = self.tickets(records)?;
        let answers = self.hand_over(shard, records, tickets)?;
        let unknown = |reason: String| Error::Unknown { reason };
        let answered = async {
            let mut first = None;
            for answer in answers {
                let lost = |_| unknown("the producer was closed".to_owned());
                let offset = answer.await.map_err(lost)?.map_err(unknown)?;
                first.get_or_insert(offset);
            }
            first.ok_or_else(|| unknown("there was no record".to_owned()))
        };
        let late = |_| unknown(format!("Kafka says nothing within {} s", (self.delivery + GRACE).as_secs()));
        tokio::time::timeout(self.delivery + GRACE, answered).await.map_err(late)?
    }

    /// Room for all records, or for none.
    fn tickets(&self, records: &[Bytes]) -> Result<Vec<(Box<Ticket>, Answer)>, Error> {
        let unavailable = |reason: String| Error::Unavailable { reason };
        if let Some(record) = records.iter().find(|record| record.len() > RECORD_BYTES_MAX) {
            return Err(unavailable(format!("a record has {} bytes; at most {RECORD_BYTES_MAX} fit", record.len())));
        }
        let wanted: usize = records.iter().map(|record| record.len() + RECORD_BYTES).sum();
        let room = |queued: usize| {
            // One append always may: else a large one would wait for ever, and nobody would notice that brokers are back.
            let is_full = queued + wanted > self.queued_bytes_max || self.context.is_away.load(Ordering::Relaxed);
            (queued == 0 || !is_full).then_some(queued + wanted)
        };
        let taken = self.context.queued_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        taken.map_err(|queued| {
            if self.context.is_away.load(Ordering::Relaxed) {
                return unavailable("no Kafka broker can be reached".to_owned());
            }
            unavailable(format!("{queued} bytes wait for Kafka, of at most {}", self.queued_bytes_max))
        })?;
        let ticket = |record: &Bytes| {
            let (answer, answered) = oneshot::channel();
            let ticket =
                Ticket { context: self.context.clone(), bytes: record.len() + RECORD_BYTES, answer: Some(answer) };
            (Box::new(ticket), answered)
        };
        Ok(records.iter().map(ticket).collect())
    }

    /// Hands the records to the client, which sends them; never waits.
    fn hand_over(
        &self,
        shard: Shard,
        records: &[Bytes],
        tickets: Vec<(Box<Ticket>, Answer)>,
    ) -> Result<Vec<Answer>, Error> {
        let client = self.client()?;
        let order =
            self.shards.get(usize::from(shard.0)).map(|order| order.lock().unwrap_or_else(PoisonError::into_inner));
        let mut answers = Vec::with_capacity(records.len());
        for (record, (ticket, answer)) in records.iter().zip(tickets) {
            let message: BaseRecord<'_, (), [u8], Box<Ticket>> =
                BaseRecord::with_opaque_to(&self.topic, ticket).partition(i32::from(shard.0)).payload(record.as_ref());
            if let Err((error, _)) = client.send(message) {
                let reason = error.to_string();
                let is_first = answers.is_empty();
                return Err(if is_first { Error::Unavailable { reason } } else { Error::Unknown { reason } });
            }
            answers.push(answer);
        }
        drop(order);
        Ok(answers)
    }

    /// The client; a new one when it gave up: an idempotent producer whose numbers the brokers refuse never sends again.
    fn client(&self) -> Result<Arc<Client>, Error> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reason)) = client.client().fatal_error() {
            tracing::warn!("kafka: the producer gave up and is replaced: {reason}");
            let unavailable = |error: rdkafka::error::KafkaError| Error::Unavailable { reason: error.to_string() };
            let new = self.config.create_with_context(self.context.clone()).map_err(unavailable)?;
            let old = std::mem::replace(&mut *client, Arc::new(new));
            // It waits for its threads, which callers need not.
            std::thread::spawn(move || drop(old));
        }
        Ok(Arc::clone(&client))
    }
}

type Answer = oneshot::Receiver<Result<Offset, String>>;

impl std::fmt::Debug for Producer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Producer").field("topic", &self.topic).finish_non_exhaustive()
    }
}
