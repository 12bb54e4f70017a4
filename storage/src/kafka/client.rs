//! How to talk to Kafka: security, timeouts, and what becomes of its messages.

use super::Options;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How brokers are talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS, with a client certificate where one is given.
    Ssl,
    /// User and password over plain connections.
    SaslPlaintext,
    /// User and password over TLS.
    SaslSsl,
}

/// A user of Kafka.
#[derive(Clone, PartialEq, Eq)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: String,
    /// The name.
    pub user: String,
    /// The password; never printed.
    pub password: String,
}

/// What all clients of a log share.
#[derive(Clone, Debug, Default)]
pub(super) struct Context(Arc<State>);

/// What is known of the brokers.
#[derive(Debug, Default)]
pub(super) struct State {
    /// No broker could be reached, and nothing was delivered since.
    pub(super) is_away: AtomicBool,
    /// Bytes of records that wait for their acknowledgement.
    pub(super) queued_bytes: AtomicUsize,
    /// What was said last, for messages.
    said: Mutex<Option<String>>,
}

// === impl Security ===

impl Security {
    fn protocol(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn has_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

// === impl Sasl ===

impl std::fmt::Debug for Sasl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mechanism, user, password: _ } = self;
        formatter.debug_struct("Sasl").field("mechanism", mechanism).field("user", user).finish_non_exhaustive()
    }
}

// === impl Context ===

impl std::ops::Deref for Context {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl Context {
    /// `error`, with what the client itself said last.
    pub(super) fn explain(&self, error: &KafkaError) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.as_ref().map_or_else(|| error.to_string(), |said| format!("{error}; {said}"))
    }
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters comes as an error as well, to `error` or to a caller.
        tracing::debug!(facility, "kafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let is_away = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if is_away && !self.is_away.swap(true, Ordering::Relaxed) {
            tracing::warn!("kafka: no broker can be reached: {reason}");
        } else {
            tracing::debug!("kafka: {error}: {reason}");
        }
        if !is_away {
            *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}

fn milliseconds(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// What producer, consumer and administration have in common.
pub(super) fn config(options: &Options) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("client.id", "farthing")
        .set("bootstrap.servers", &options.brokers)
        .set("security.protocol", options.security.protocol())
        .set("socket.timeout.ms", milliseconds(options.request))
        .set("socket.connection.setup.timeout.ms", milliseconds(options.request))
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000");
    if options.security.has_tls() {
        config.set("ssl.endpoint.identification.algorithm", "https").set("enable.ssl.certificate.verification", "true");
        // The OpenSSL that is built in does not know by itself where a system keeps the authorities that it trusts.
        config.set("ssl.ca.location", "probe");
        let files = [
            ("ssl.ca.location", &options.ca_file),
            ("ssl.certificate.location", &options.cert_file),
            ("ssl.key.location", &options.key_file),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                config.set(name, path(file));
            }
        }
    }
    if let Some(sasl) = options.sasl.as_ref().filter(|_| options.security.has_sasl()) {
        config
            .set("sasl.mechanism", &sasl.mechanism)
            .set("sasl.username", &sasl.user)
            .set("sasl.password", &sasl.password);
    }
    config
}

/// That of the producer.
pub(super) fn producer_config(options: &Options) -> ClientConfig {
    let mut config = config(options);
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", milliseconds(options.delivery))
        .set("request.timeout.ms", milliseconds(options.request.min(options.delivery)))
        .set("retry.backoff.ms", "50")
        .set("retry.backoff.max.ms", "1000")
        // Ingest has collected already; while requests are under way, what waits goes as one batch.
        .set("linger.ms", "0")
        .set("batch.size", "1000000")
        .set("compression.type", "none")
        .set("message.max.bytes", (super::RECORD_BYTES_MAX + super::topic::BATCH_BYTES).to_string())
        // Appends are refused by their own count of bytes, whole appends at a time; these only have to be larger.
        .set("queue.buffering.max.messages", "10000000")
        .set(
            "queue.buffering.max.kbytes",
            (options.queued_bytes_max / 512 + (64 << 10)).min(2_147_483_647).to_string(),
        );
    config
}

/// That of the consumer.
pub(super) fn consumer_config(options: &Options) -> ClientConfig {
    let mut config = config(options);
    let read_ahead = options.read_ahead_bytes.clamp(64 << 10, 1 << 30);
    config
        // A name is needed to assign partitions; nobody joins it, and it holds no offsets.
        .set("group.id", "farthing-unused")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "false")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.min.bytes", "1")
        .set("fetch.error.backoff.ms", "100")
        // The limit is for each shard. When it is reached, look again soon: the default is a second.
        .set("queued.max.messages.kbytes", (read_ahead / 1024).to_string())
        .set("queued.min.messages", "10000000")
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.message.max.bytes", (read_ahead / 4).max(64 << 10).to_string());
    config
}
