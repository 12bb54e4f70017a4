//! How a process is composed: which stages it runs, on which storage, behind which port. Read once, at the edge; nothing
//! further in knows of files or flags.

// Reading order: what can be written in a file, then what that must be before it is taken.
mod check;
mod file;
mod secret;
#[cfg(test)]
mod tests;

pub(crate) use check::plaintext;
pub(crate) use secret::Secret;

use pricing::time::{Instant, Span};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::shard::{Shard, ShardCount};

/// A composed process.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// What runs in it.
    pub(crate) stage: Stage,
    /// Where it answers.
    pub(crate) port: Port,
    /// Where it tells of health and metrics as well, in plain text; none: on its port only.
    pub(crate) health: Option<Port>,
    /// Where events and control records go.
    pub(crate) log: Option<Log>,
    /// Where charges go.
    pub(crate) charges: Option<Charges>,
    /// What people edit and auditors read.
    pub(crate) books: Option<Books>,
    /// How ingest works.
    pub(crate) ingest: ingest::Options,
    /// How the rater works.
    pub(crate) rater: Rater,
    /// How the invoicer works.
    pub(crate) invoicer: Invoicer,
    /// Where webhooks may lead.
    pub(crate) webhooks: Webhooks,
    /// How long people stay signed in to the console.
    pub(crate) console: Console,
    /// Log time of a new test system.
    pub(crate) test_clock: Option<Instant>,
    /// Whether writes to storage become spans of traces.
    pub(crate) is_traced: bool,
    /// Where the first start writes the first admin key; none: it is made by `farthing migrate --admin-key`.
    pub(crate) key_file: Option<PathBuf>,
}

/// What runs in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Every stage.
    All,
    /// Takes events.
    Ingest,
    /// Prices them.
    Rater,
    /// Bills, and answers for all else.
    Invoicer,
}

/// Where a process answers.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    /// Address and port; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// Certificates; none: plain text.
    pub(crate) tls: Option<Tls>,
    /// Connections at once; further ones wait to be accepted.
    pub(crate) connections_max: usize,
    /// Calls at once on one connection.
    pub(crate) streams_max: u32,
    /// After so long a connection is asked to close, so that clients spread over what has come since; none: never.
    pub(crate) connection_age: Option<Duration>,
}

/// A server's certificate, its key, and who may call.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// Certificate chain, PEM.
    pub(crate) cert_file: PathBuf,
    /// Its private key, PEM.
    pub(crate) key_file: PathBuf,
    /// With it, clients must show a certificate that one of these authorities signed.
    pub(crate) client_ca_file: Option<PathBuf>,
}

/// Where the log is.
#[derive(Clone, Debug)]
pub(crate) enum Log {
    /// In a folder.
    Embedded {
        /// Which.
        dir: PathBuf,
        /// Of a new log; an old one must have as many.
        shards: ShardCount,
    },
    /// In a Kafka topic.
    Kafka {
        /// Which, and how it is reached.
        options: Box<storage::kafka::Options>,
        /// How long a topic that `migrate` makes keeps records.
        retention: Option<Duration>,
    },
}

/// Where charges are.
#[derive(Clone, Debug)]
pub(crate) enum Charges {
    /// In `charges.db` of a folder.
    Embedded {
        /// Which.
        dir: PathBuf,
    },
    /// In a ClickHouse database.
    ClickHouse(storage::clickhouse::Options),
}

/// Where the books are.
#[derive(Clone, Debug)]
pub(crate) enum Books {
    /// In `books.db` of a folder.
    Embedded {
        /// Which.
        dir: PathBuf,
    },
    /// In a PostgreSQL database.
    Postgres(Postgres),
}

/// How a PostgreSQL database is reached.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    /// `postgres://USER@HOST/DATABASE`.
    pub(crate) url: Secret,
    /// The user's password.
    pub(crate) password: Option<Secret>,
    /// Who may vouch for the server, PEM; none: the system's authorities.
    pub(crate) ca_file: Option<PathBuf>,
    /// Connections at once.
    pub(crate) connections_max: Option<usize>,
}

/// How the rater works.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rater {
    /// Its folder: snapshots.
    pub(crate) data: Option<PathBuf>,
    /// Where copies of snapshots go: `s3://BUCKET/PREFIX` or a path.
    pub(crate) snapshots: Option<String>,
    /// That there are none with the log on Kafka is meant so.
    pub(crate) volume_only: bool,
    /// Which of how many raters this is.
    pub(crate) pod: Pod,
    /// Its bounds.
    pub(crate) options: rater::driver::Options,
}

/// Which of how many raters: it takes every shard that is `index` modulo `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    index: u16,
    count: u16,
}

/// How the invoicer works.
#[derive(Clone, Debug, Default)]
pub(crate) struct Invoicer {
    /// Under which name it holds the lease; none: this machine's name and the port.
    pub(crate) name: Option<String>,
    /// A person's word that the wall clock is right.
    pub(crate) allow_clock_jump: bool,
    /// This machine as other invoicers reach it: a name or an IP address; none: that of the port, or else this machine's name.
    pub(crate) address: Option<String>,
    /// Who may vouch for the others, PEM; none: the system's authorities.
    pub(crate) ca_file: Option<PathBuf>,
    /// The name that the others' certificates have; none: the one in their address.
    pub(crate) server_name: Option<String>,
    /// Sellers' logos: a folder for each tenant.
    pub(crate) logos: Option<PathBuf>,
}

/// Where webhooks may lead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Webhooks {
    /// To addresses that are not public, too, and without TLS.
    pub(crate) allow_private: bool,
    /// Who may vouch for addresses, PEM; none: the system's authorities.
    pub(crate) ca_file: Option<PathBuf>,
}

/// How long people stay signed in to the console; none: as the console has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Console {
    /// Without being used.
    pub(crate) idle: Option<Span>,
    /// At all.
    pub(crate) age_max: Option<Span>,
}

/// What is told about a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telemetry {
    /// Where traces go, an OTLP endpoint for gRPC.
    pub(crate) otlp: Option<String>,
    /// How log lines look.
    pub(crate) format: Option<LogFormat>,
    /// Which log lines are written.
    pub(crate) filter: Option<String>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[value(alias = "human")]
    Text,
    /// One JSON object a line.
    Json,
}

/// Connections at once.
const CONNECTIONS_MAX: usize = 1024;
/// The same of a port for probes.
const PROBES_MAX: usize = 64;
/// Calls at once on one connection.
const STREAMS_MAX: u32 = 256;
/// How old a connection to a single stage becomes.
const CONNECTION_AGE: Duration = Duration::from_mins(5);

// === impl Config ===

impl Config {
    /// Everything in one process and one folder.
    pub(crate) fn new(data: &Path, listen: SocketAddr, shards: ShardCount) -> Self {
        let dir = data.to_owned();
        Self {
            stage: Stage::All,
            port: Port::new(listen, Stage::All),
            health: None,
            log: Some(Log::Embedded { dir: data.join("log"), shards }),
            charges: Some(Charges::Embedded { dir: dir.clone() }),
            books: Some(Books::Embedded { dir: dir.clone() }),
            ingest: ingest::Options::default(),
            rater: Rater { data: Some(dir), ..Rater::default() },
            invoicer: Invoicer { logos: Some(data.join("logos")), ..Invoicer::default() },
            webhooks: Webhooks::default(),
            console: Console::default(),
            test_clock: None,
            is_traced: false,
            key_file: Some(data.join("admin.key")),
        }
    }
}

// === impl Console ===

impl Console {
    /// The same as the console takes it.
    pub(crate) fn options(&self, is_secure: bool) -> console::Options {
        let mut options = console::Options::new(Arc::new(crate::local::wall));
        options.is_secure = is_secure;
        options.idle = self.idle.unwrap_or(options.idle);
        options.age_max = self.age_max.unwrap_or(options.age_max);
        options
    }
}

// === impl Stage ===

impl Stage {
    /// True where events are taken.
    pub(crate) fn ingests(self) -> bool {
        matches!(self, Self::All | Self::Ingest)
    }

    /// True where events are priced.
    pub(crate) fn rates(self) -> bool {
        matches!(self, Self::All | Self::Rater)
    }

    /// True where bills are made.
    pub(crate) fn invoices(self) -> bool {
        matches!(self, Self::All | Self::Invoicer)
    }

    /// As it is typed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Ingest => "ingest",
            Self::Rater => "rater",
            Self::Invoicer => "invoicer",
        }
    }
}

// === impl Port ===

impl Port {
    fn new(listen: SocketAddr, stage: Stage) -> Self {
        let connection_age = (stage != Stage::All).then_some(CONNECTION_AGE);
        Self { listen, tls: None, connections_max: CONNECTIONS_MAX, streams_max: STREAMS_MAX, connection_age }
    }

    /// A port for probes, which nothing else can fill up.
    fn for_probes(listen: SocketAddr) -> Self {
        Self { listen, tls: None, connections_max: PROBES_MAX, streams_max: 16, connection_age: None }
    }

    /// Where it listens when nothing is said.
    pub(crate) fn default_address() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 9600))
    }
}

// === impl Pod ===

impl Default for Pod {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl Pod {
    /// Its shards of a log.
    pub(crate) fn shards(self, all: ShardCount) -> impl Iterator<Item = Shard> {
        all.all().filter(move |shard| shard.0 % self.count == self.index)
    }
}

impl std::str::FromStr for Pod {
    type Err = String;

    /// `INDEX/COUNT`, counted from 0; before the index may stand a name that ends in `-`, as a StatefulSet's pods are
    /// called.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused =
            || format!("'{text}' is no pod: write this one and how many there are, such as \"0/3\" to \"2/3\"");
        let (name, count) = text.split_once('/').ok_or_else(refused)?;
        let index = name.rsplit_once('-').map_or(name, |(_, index)| index);
        let index: u16 = index.parse().map_err(|_| refused())?;
        let count: u16 = count.parse().map_err(|_| refused())?;
        if index < count { Ok(Self { index, count }) } else { Err(refused()) }
    }
}

impl std::fmt::Display for Pod {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.index, self.count)
    }
}
