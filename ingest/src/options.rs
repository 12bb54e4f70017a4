//! What can be set, with defaults.

use std::time::Duration;

/// How ingest works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What a request and an event may hold.
    pub limits: Limits,
    /// How long a shard collects events while an earlier append of it is under way; an idle shard appends at once.
    pub linger: Duration,
    /// A record that has this many bytes is closed at once.
    pub record_bytes_max: usize,
    /// Appends of one shard under way at once.
    pub appends_max: usize,
    /// Calls under way at once, over all connections, a stream being one; past it calls are refused. Half of them may be one
    /// tenant's.
    pub calls_max: usize,
    /// Bytes of requests from when they are read until they stand in the log, over all calls; past it nothing is read, and
    /// what waits for too long is refused. Counts as twice [`Limits::request_bytes_max`] where it is less, so that the
    /// largest request gets through. One tenant may hold half of it, one call a quarter; a stream that does is not read.
    pub queued_bytes_max: usize,
    /// How long a request waits for room in the queue before it is refused.
    pub queue_wait: Duration,
    /// How long a request may take to come to its end, the time left out in which it waits for room; one of a stream from when
    /// it holds room on.
    pub body_wait: Duration,
    /// Requests of one stream in flight: past it the server stops reading.
    pub stream_requests_max: usize,
    /// How often a stream's key is looked up again.
    pub key_check: Duration,
    /// When a refused request may come again, as callers are told.
    pub retry_after: Duration,
}

/// What a request and an event may hold; bytes of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events in one request.
    pub request_events_max: usize,
    /// Bytes of one request, decompressed.
    pub request_bytes_max: usize,
    /// Bytes of an event's id.
    pub id_bytes_max: usize,
    /// Bytes of an event's source.
    pub source_bytes_max: usize,
    /// Bytes of an event's type.
    pub type_bytes_max: usize,
    /// Properties of one event.
    pub properties_max: usize,
    /// Bytes of a property's name.
    pub name_bytes_max: usize,
    /// Bytes of a property's value.
    pub value_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            linger: Duration::from_millis(2),
            record_bytes_max: 512 * 1024,
            appends_max: 4,
            calls_max: 4_096,
            queued_bytes_max: 128 * 1024 * 1024,
            queue_wait: Duration::from_secs(1),
            body_wait: Duration::from_secs(30),
            stream_requests_max: 64,
            key_check: Duration::from_secs(5),
            retry_after: Duration::from_secs(1),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_events_max: 1_000,
            request_bytes_max: 4 * 1024 * 1024,
            id_bytes_max: 128,
            source_bytes_max: 256,
            type_bytes_max: 128,
            properties_max: 64,
            name_bytes_max: 128,
            value_bytes_max: 1_024,
        }
    }
}
