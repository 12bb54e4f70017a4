//! The log in a Kafka topic, for a cluster: partition = shard, offset = offset.
//!
//! # Durable
//! An append is answered when all replicas in sync have it (`acks=all`), at least two of them; with a single replica the
//! topic is to flush each batch. The producer is idempotent, so that a resent batch stands once and in order. How the topic
//! keeps that is its own setting: [`check`] looks at every opening, [`migrate`] makes a topic that passes.
//!
//! # Bounds
//! Records that wait for their acknowledgement: [`Options::queued_bytes_max`]; past it appends are refused. Records read
//! ahead: [`Options::read_ahead_bytes`] a shard that is being read. Every request has a timeout.
//!
//! # Damage
//! Kafka's checksums are checked when records are read. They cover a batch: a damaged batch is [`Error::Damaged`] at each
//! of its records, and reading goes on behind it.
//!
//! There are no consumer groups and no transactions: shards are read by whoever was given them, and two readers of one
//! shard do no harm.

// Reading order: how to talk to Kafka, what the topic has to be, writing, reading.
mod client;
mod consumer;
mod producer;
mod topic;

pub use client::{Sasl, Security};
pub use topic::{OpenError, check, migrate};

use crate::log::{Entry, Error, RECORD_BYTES_MAX};
use crate::shard::{Offset, Shard, ShardCount};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// Where the topic is, what it has to promise, and how the log uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `host:port`, several with commas between.
    pub brokers: String,
    /// The topic; one log has one.
    pub topic: String,
    /// How many shards: the topic has as many partitions. Fixed when the log is made.
    pub shards: ShardCount,
    /// Copies of every record: 3, or 1 on a single broker.
    pub replication: u16,
    /// The topic has to keep records at least this long; what is asked depends on how late events may come.
    pub retention_min: Duration,
    /// With one replica: an acknowledged record may be lost when the broker's machine goes down.
    pub durability_given_up: bool,
    /// How brokers are talked to.
    pub security: Security,
    /// For TLS: the authorities that brokers are trusted by; without it, the system's.
    pub ca_file: Option<PathBuf>,
    /// For TLS with client certificates: the certificate, PEM.
    pub cert_file: Option<PathBuf>,
    /// For TLS with client certificates: its key, PEM.
    pub key_file: Option<PathBuf>,
    /// The user, where `security` has SASL.
    pub sasl: Option<Sasl>,
    /// Bytes of records that wait for their acknowledgement, over all shards.
    pub queued_bytes_max: usize,
    /// Bytes of records read ahead for each shard that is being read.
    pub read_ahead_bytes: usize,
    /// How long a record may wait for its acknowledgement; it outlasts the election of a new leader.
    pub delivery: Duration,
    /// How long anything else may take: the topic's description, its bounds.
    pub request: Duration,
}

/// An open log.
#[derive(Debug)]
pub struct Log {
    shards: ShardCount,
    producer: producer::Producer,
    consumer: consumer::Consumer,
}

/// 400 days, what [`migrate`] is given when nobody says otherwise.
pub const RETENTION: Duration = Duration::from_secs(400 * 24 * 60 * 60);

// === impl Options ===

impl Options {
    /// Plain connections, three replicas, 7 days of retention at least, 64 MiB waiting, 4 MiB read ahead, 30 s for a
    /// delivery, 10 s for a request.
    pub fn new(brokers: impl Into<String>, topic: impl Into<String>, shards: ShardCount) -> Self {
        Self {
            brokers: brokers.into(),
            topic: topic.into(),
            shards,
            replication: 3,
            retention_min: Duration::from_secs(7 * 24 * 60 * 60),
            durability_given_up: false,
            security: Security::Plaintext,
            ca_file: None,
            cert_file: None,
            key_file: None,
            sasl: None,
            queued_bytes_max: 64 << 20,
            read_ahead_bytes: 4 << 20,
            delivery: Duration::from_secs(30),
            request: Duration::from_secs(10),
        }
    }
}

// === impl Log ===

impl Log {
    /// Opens the log after [`check`]; needs a Tokio runtime.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        check(&options).await?;
        let producer = producer::Producer::new(&options)?;
        let consumer = consumer::Consumer::new(&options)?;
        Ok(Self { shards: options.shards, producer, consumer })
    }

    fn check_shard(&self, shard: Shard) -> Result<(), Error> {
        if shard.0 < self.shards.get() {
            return Ok(());
        }
        Err(Error::Unavailable {
            reason: format!("there is no shard {shard}: the log has {}, from 0", self.shards.get()),
        })
    }
}

#[async_trait]
impl crate::log::Log for Log {
    fn shards(&self) -> ShardCount {
        self.shards
    }

    async fn append(&self, shard: Shard, records: Vec<Bytes>) -> Result<Offset, Error> {
        self.check_shard(shard)?;
        if records.is_empty() {
            return Ok(self.consumer.bounds(shard).await?.end);
        }
        self.producer.append(shard, &records).await
    }

    async fn read(&self, shard: Shard, from: Offset, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        self.check_shard(shard)?;
        self.consumer.read(shard, from, bytes_max).await
    }

    async fn bounds(&self, shard: Shard) -> Result<Range<Offset>, Error> {
        self.check_shard(shard)?;
        self.consumer.bounds(shard).await
    }
}
