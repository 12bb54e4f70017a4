//! What the topic has to be so that the log keeps its promises.

use super::client::{self, Context};
use super::{Options, RECORD_BYTES_MAX};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{Producer, ThreadedProducer};
use std::collections::BTreeMap;
use std::time::Duration;

/// Why the log cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No broker answers, or it refuses to.
    #[error("Kafka at {brokers} does not answer: {reason}; check [log] kafka brokers, security and the network")]
    Unreachable {
        /// As configured.
        brokers: String,
        /// What the client said.
        reason: String,
    },
    /// The client takes the options for wrong.
    #[error("the Kafka client refuses its settings: {reason}")]
    Settings {
        /// What it said.
        reason: String,
    },
    /// The topic is not there.
    #[error("Kafka at {brokers} has no topic {topic} that this user may see; make it with `farthing migrate`")]
    Missing {
        /// As configured.
        brokers: String,
        /// As configured.
        topic: String,
    },
    /// The topic has another count of partitions.
    #[error(
        "topic {topic} has {found} partitions, which is fixed for the log's life, but {wanted} shards are asked for; \
         ask for {found}, or name another topic and make it with `farthing migrate`"
    )]
    Shards {
        /// As configured.
        topic: String,
        /// Its partitions.
        found: usize,
        /// The shards.
        wanted: u16,
    },
    /// The topic has too few replicas.
    #[error(
        "topic {topic} has partitions with {found} replicas, but {wanted} are asked for; add some with \
         kafka-reassign-partitions.sh --bootstrap-server {brokers}, or set replication = {found}"
    )]
    Replication {
        /// As configured.
        brokers: String,
        /// As configured.
        topic: String,
        /// The fewest of a partition.
        found: usize,
        /// As asked for.
        wanted: u16,
    },
    /// A setting of the topic would break a promise.
    #[error(
        "topic {topic} has {name}={found}, but {why}; run: kafka-configs.sh --bootstrap-server {brokers} --alter \
         --entity-type topics --entity-name {topic} --add-config {name}={wanted}"
    )]
    Setting {
        /// As configured.
        brokers: String,
        /// As configured.
        topic: String,
        /// The setting.
        name: &'static str,
        /// Its value.
        found: Box<str>,
        /// What it may be.
        wanted: Box<str>,
        /// What would go wrong.
        why: &'static str,
    },
    /// Kafka did not make the topic.
    #[error("Kafka did not make topic {topic} with {replication} replicas: {reason}")]
    NotMade {
        /// As configured.
        topic: String,
        /// As asked for.
        replication: u16,
        /// What it said.
        reason: String,
    },
}

/// What is found of a topic.
struct Found {
    partitions: usize,
    replicas_min: usize,
    /// Every partition can be written to.
    is_led: bool,
}

/// What a batch adds to its records, generously.
pub(super) const BATCH_BYTES: usize = 64 << 10;

/// Makes the topic; where it stands already, only [`check`]s it. `retention` is how long it keeps records, by the time at
/// which they were appended.
///
/// # Errors
/// See [`OpenError`].
pub async fn migrate(options: &Options, retention: Duration) -> Result<(), OpenError> {
    let config = client::config(options);
    let made = if describe(options).await?.is_none() { make(options, &config, retention).await } else { Ok(()) };
    made?;
    // Brokers hear of a new topic one after the other, and its partitions have leaders a moment later.
    let deadline = tokio::time::Instant::now() + options.request;
    loop {
        let is_led = describe(options).await?.is_some_and(|found| found.is_led);
        if is_led || tokio::time::Instant::now() > deadline {
            return check(options).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn make(options: &Options, config: &ClientConfig, retention: Duration) -> Result<(), OpenError> {
    let admin: AdminClient<Context> =
        config.create_with_context(Context::default()).map_err(|error| settings(&error))?;
    let retention_ms = retention.max(options.retention_min).as_millis().to_string();
    let message_bytes = (RECORD_BYTES_MAX + BATCH_BYTES).to_string();
    let in_sync_min = if options.replication > 1 { "2" } else { "1" };
    let mut topic = NewTopic::new(
        &options.topic,
        i32::from(options.shards.get()),
        TopicReplication::Fixed(i32::from(options.replication)),
    )
    .set("min.insync.replicas", in_sync_min)
    .set("unclean.leader.election.enable", "false")
    .set("cleanup.policy", "delete")
    .set("retention.ms", &retention_ms)
    .set("retention.bytes", "-1")
    .set("message.timestamp.type", "LogAppendTime")
    .set("max.message.bytes", &message_bytes);
    if options.replication == 1 && !options.durability_given_up {
        topic = topic.set("flush.messages", "1");
    }
    let not_made =
        |reason: String| OpenError::NotMade { topic: options.topic.clone(), replication: options.replication, reason };
    let timeouts = AdminOptions::new().request_timeout(Some(options.request)).operation_timeout(Some(options.request));
    let results = admin.create_topics([&topic], &timeouts).await.map_err(|error| not_made(error.to_string()))?;
    match results.into_iter().next() {
        // Another `migrate` was faster.
        Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, code))) => Err(not_made(code.to_string())),
        None => Err(not_made("it says nothing".to_owned())),
    }
}

/// Refuses a topic whose settings would break a promise of the log: lost records, or too few shards.
///
/// # Errors
/// See [`OpenError`]; each says what to do.
pub async fn check(options: &Options) -> Result<(), OpenError> {
    let (brokers, topic) = (options.brokers.clone(), options.topic.clone());
    let Some(found) = describe(options).await? else { return Err(OpenError::Missing { brokers, topic }) };
    if found.partitions != usize::from(options.shards.get()) {
        return Err(OpenError::Shards { topic, found: found.partitions, wanted: options.shards.get() });
    }
    if found.replicas_min < usize::from(options.replication) {
        let (found, wanted) = (found.replicas_min, options.replication);
        return Err(OpenError::Replication { brokers, topic, found, wanted });
    }
    let settings = read_settings(options).await?;
    for wanted in wanted(options, found.replicas_min) {
        let value = settings.get(wanted.name).map_or("", String::as_str);
        if !(wanted.fits)(value) {
            let (name, found) = (wanted.name, value.into());
            return Err(OpenError::Setting {
                brokers,
                topic,
                name,
                found,
                wanted: wanted.value.into(),
                why: wanted.why,
            });
        }
    }
    Ok(())
}

/// A setting, and what is right for it.
struct Wanted<'a> {
    name: &'static str,
    value: String,
    why: &'static str,
    fits: Box<dyn Fn(&str) -> bool + Send + 'a>,
}

fn wanted(options: &Options, replicas: usize) -> Vec<Wanted<'_>> {
    let exactly = |name, value: &'static str, why: &'static str| Wanted {
        name,
        value: value.to_owned(),
        why,
        fits: Box::new(move |found| found == value),
    };
    let at_least = |name, least: i128, why: &'static str| Wanted {
        name,
        value: least.to_string(),
        why,
        fits: Box::new(move |found| found.parse().is_ok_and(|found: i128| found >= least)),
    };
    let mut all = vec![
        exactly("cleanup.policy", "delete", "a compacted log loses records"),
        exactly("message.timestamp.type", "LogAppendTime", "Kafka deletes by time, which must be its own"),
        exactly("retention.bytes", "-1", "a log that is cut by length loses records that are still needed"),
        at_least(
            "max.message.bytes",
            i128::try_from(RECORD_BYTES_MAX + BATCH_BYTES).unwrap_or(i128::MAX),
            "records may be longer",
        ),
    ];
    let retention_ms = i128::try_from(options.retention_min.as_millis()).unwrap_or(i128::MAX);
    let mut retention = at_least("retention.ms", retention_ms, "records of that age are still needed");
    retention.fits = Box::new(move |found| found.parse().is_ok_and(|ms: i128| ms == -1 || ms >= retention_ms));
    all.push(retention);
    if replicas > 1 {
        all.push(at_least("min.insync.replicas", 2, "durable means on two replicas"));
        all.push(exactly("unclean.leader.election.enable", "false", "an unclean leader loses acknowledged records"));
    } else if !options.durability_given_up {
        let why = "the only replica has to flush what it acknowledges (or say durability_given_up = true)";
        all.push(exactly("flush.messages", "1", why));
    }
    all
}

async fn read_settings(options: &Options) -> Result<BTreeMap<String, String>, OpenError> {
    let context = Context::default();
    let config = client::config(options);
    let admin: AdminClient<Context> = config.create_with_context(context.clone()).map_err(|error| settings(&error))?;
    let timeouts = AdminOptions::new().request_timeout(Some(options.request));
    let topic = ResourceSpecifier::Topic(&options.topic);
    let described = admin.describe_configs([&topic], &timeouts).await;
    let described = described.map_err(|error| unreachable(options, &context, &error))?;
    let resource: ConfigResource = match described.into_iter().next() {
        Some(Ok(resource)) => resource,
        Some(Err(code)) => return Err(unreachable(options, &context, &KafkaError::AdminOp(code))),
        None => return Err(OpenError::Missing { brokers: options.brokers.clone(), topic: options.topic.clone() }),
    };
    Ok(resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
}

/// None when the topic is not there. Asks for all topics: asking for one may make it.
async fn describe(options: &Options) -> Result<Option<Found>, OpenError> {
    let options = options.clone();
    let described = tokio::task::spawn_blocking(move || {
        let context = Context::default();
        let client: ThreadedProducer<Context> =
            client::config(&options).create_with_context(context.clone()).map_err(|error| settings(&error))?;
        let metadata = client.client().fetch_metadata(None, options.request);
        let metadata = metadata.map_err(|error| unreachable(&options, &context, &error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == options.topic);
        Ok(topic.map(|topic| Found {
            partitions: topic.partitions().len(),
            replicas_min: topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0),
            is_led: topic.partitions().iter().all(|partition| partition.leader() >= 0),
        }))
    });
    described.await.map_err(|error| OpenError::Settings { reason: error.to_string() })?
}

fn unreachable(options: &Options, context: &Context, error: &KafkaError) -> OpenError {
    OpenError::Unreachable { brokers: options.brokers.clone(), reason: context.explain(error) }
}

pub(super) fn settings(error: &KafkaError) -> OpenError {
    OpenError::Settings { reason: error.to_string() }
}
