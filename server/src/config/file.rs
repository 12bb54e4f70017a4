//! What can be written in a configuration file: one shape for every stage, so that one file serves all of them.

use super::{LogFormat, Secret};
use pricing::time::{Instant, Span};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listen: Option<SocketAddr>,
    /// Listen beyond this machine without TLS, as behind a mesh that has it.
    pub(super) allow_plaintext: bool,
    pub(super) connections_max: Option<usize>,
    pub(super) streams_max: Option<u32>,
    /// `0s`: connections may become as old as they like.
    pub(super) connection_age: Option<Span>,
    pub(super) test_clock: Option<Instant>,
    pub(super) tls: Option<Tls>,
    pub(super) health: Option<Health>,
    pub(super) log: Option<Log>,
    pub(super) charges: Option<Charges>,
    pub(super) books: Option<Books>,
    pub(super) ingest: Ingest,
    pub(super) rater: Rater,
    pub(super) invoicer: Invoicer,
    pub(super) webhooks: Webhooks,
    pub(super) console: Console,
    pub(super) telemetry: Telemetry,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
    pub(super) client_ca_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    pub(super) listen: SocketAddr,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Log {
    Embedded(Segments),
    Kafka(Box<Kafka>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Charges {
    Embedded(Folder),
    ClickHouse(ClickHouse),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Books {
    Embedded(Folder),
    Postgres(Postgres),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Segments {
    pub(super) dir: PathBuf,
    pub(super) shards: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kafka {
    pub(super) brokers: String,
    pub(super) topic: String,
    pub(super) shards: Option<u16>,
    pub(super) replication: Option<u16>,
    /// How long `migrate` makes the topic keep records.
    pub(super) retention: Option<Span>,
    /// With one replica: what was acknowledged may be lost with the broker's machine.
    #[serde(default)]
    pub(super) durability_given_up: bool,
    #[serde(default)]
    pub(super) security: Security,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) sasl: Option<Sasl>,
    pub(super) queued_bytes_max: Option<usize>,
    pub(super) read_ahead_bytes: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Security {
    #[default]
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sasl {
    pub(super) mechanism: String,
    pub(super) user: String,
    pub(super) password_file: Option<PathBuf>,
    pub(super) password_env: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Folder {
    pub(super) dir: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClickHouse {
    pub(super) url: Secret,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password_file: Option<PathBuf>,
    pub(super) password_env: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Postgres {
    pub(super) url: Secret,
    pub(super) password_file: Option<PathBuf>,
    pub(super) password_env: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) connections_max: Option<usize>,
}

/// Bounds of ingest; what is left out keeps its default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ingest {
    pub(super) request_events_max: Option<usize>,
    pub(super) request_bytes_max: Option<usize>,
    pub(super) properties_max: Option<usize>,
    pub(super) calls_max: Option<usize>,
    pub(super) queued_bytes_max: Option<usize>,
    pub(super) stream_requests_max: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rater {
    pub(super) data: Option<PathBuf>,
    /// `s3://BUCKET/PREFIX` or a path, off the volume of `data`.
    pub(super) snapshots: Option<String>,
    /// Without `snapshots`: a lost volume costs the whole log, read again, or the shard where the log no longer begins.
    pub(super) volume_only: bool,
    pub(super) pod: Option<String>,
    pub(super) unsent_bytes_max: Option<usize>,
    pub(super) insert_rows_max: Option<usize>,
    pub(super) ids_bytes_max: Option<usize>,
    pub(super) parked_max: Option<u64>,
    pub(super) parked_bytes_max: Option<u64>,
    pub(super) waiting_max: Option<u64>,
    pub(super) waiting_bytes_max: Option<u64>,
    pub(super) snapshot_every: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Invoicer {
    pub(super) name: Option<String>,
    /// This machine as other invoicers reach it.
    pub(super) address: Option<String>,
    /// Who may vouch for the other ones.
    pub(super) ca_file: Option<PathBuf>,
    /// The name in the other ones' certificates.
    pub(super) server_name: Option<String>,
    /// Where sellers' logos are.
    pub(super) logos: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Webhooks {
    /// Messages may go to addresses that are not public, and without TLS.
    pub(super) allow_private: bool,
    /// Who may vouch for addresses.
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Console {
    pub(super) idle: Option<Span>,
    pub(super) age_max: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Telemetry {
    pub(super) otlp: Option<String>,
    pub(super) log: Option<LogFormat>,
    pub(super) filter: Option<String>,
}
