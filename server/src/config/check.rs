//! What a configuration must be before anything is started with it.

use super::{
    Books, Charges, Config, Console, Invoicer, Log, Pod, Port, Postgres, Rater, Secret, Stage, Telemetry, Tls,
    Webhooks, file,
};
use crate::failure::{Failure, Result, read_text};
use pricing::time::Span;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use storage::shard::ShardCount;

/// Of a cluster's log.
const SHARDS: u16 = 64;

/// A start refuses a log that keeps its records for less: `past`, grace and a week for whoever is away, by their defaults.
const RETENTION_MIN: Duration = Duration::from_hours(48 * 24);

impl Config {
    /// Reads a file for a stage.
    ///
    /// # Errors
    /// The first thing that cannot be, with its place in the file.
    pub(crate) fn read(path: &Path, stage: Stage, pod: Option<Pod>) -> Result<(Self, Telemetry)> {
        Self::parse(&read_text(path)?, stage, pod).map_err(|failure| failure.within(path.display()))
    }

    /// The same, from its text.
    pub(super) fn parse(text: &str, stage: Stage, pod: Option<Pod>) -> Result<(Self, Telemetry)> {
        let file: file::File = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        let file::File { tls, log, charges, books, ingest, rater, invoicer, webhooks, console, telemetry, .. } = &file;
        let config = Self {
            stage,
            port: port(&file, tls.as_ref(), stage)?,
            health: file.health.as_ref().map(|health| Port::for_probes(health.listen)),
            log: log.as_ref().map(self::log).transpose()?,
            charges: charges.as_ref().map(self::charges).transpose()?,
            books: books.as_ref().map(self::books).transpose()?,
            ingest: self::ingest(ingest),
            rater: self::rater(rater, pod)?,
            invoicer: self::invoicer(invoicer),
            webhooks: Webhooks { allow_private: webhooks.allow_private, ca_file: webhooks.ca_file.clone() },
            console: Console { idle: console.idle, age_max: console.age_max },
            test_clock: file.test_clock,
            is_traced: telemetry.otlp.is_some(),
            key_file: None,
        };
        config.complete()?;
        let file::Telemetry { otlp, log, filter } = telemetry;
        Ok((config, Telemetry { otlp: otlp.clone(), format: *log, filter: filter.clone() }))
    }

    /// Every stage has what it works with.
    fn complete(&self) -> Result {
        let Self { stage, rater, .. } = self;
        let needs = [
            ("[log]", true, self.log.is_some()),
            ("[charges]", stage.rates() || stage.invoices(), self.charges.is_some()),
            ("[books]", stage.ingests() || stage.invoices(), self.books.is_some()),
            ("[rater] data", stage.rates(), rater.data.is_some()),
        ];
        if let (Some(data), Some(copies)) = (&rater.data, &rater.snapshots)
            && !copies.contains("://")
            && place(Path::new(copies)).starts_with(place(data))
        {
            return Err(Failure::refused(format_args!(
                "[rater] snapshots = '{copies}' is below data = '{}', so a lost volume would take the copies along: name a path of \
                 another volume, or s3://BUCKET/PREFIX",
                data.display()
            )));
        }
        let is_local = rater.snapshots.is_none() && !rater.volume_only;
        if stage.rates() && is_local && matches!(self.log, Some(Log::Kafka { .. })) {
            return Err(Failure::refused(
                "[rater] snapshots is missing: where copies of them go, off the volume of `data`, s3://BUCKET/PREFIX or a \
                 path; without copies a lost volume costs the whole log, read again: say volume_only = true to accept that",
            ));
        }
        match needs.into_iter().find(|(_, is_needed, is_there)| *is_needed && !is_there) {
            Some((section, ..)) => {
                Err(Failure::refused(format_args!("{section} is missing, which `serve {}` works with", stage.word())))
            }
            None => Ok(()),
        }
    }
}

/// What is wrong with the file, and where: the words that would fit, but not what stands there, which may be a secret.
fn unreadable(text: &str, error: &toml::de::Error) -> Failure {
    let mut message = error.message().trim_end().to_owned();
    if let (Some(from), Some(to)) = (message.find("string \""), message.rfind("\", expected"))
        && from < to
    {
        message.replace_range(from + "string ".len()..=to, "'…'");
    }
    let before = error.span().and_then(|span| text.get(..span.start));
    let place = before.map(|before| {
        let column = before.chars().rev().take_while(|letter| *letter != '\n').count() + 1;
        format!("line {}, column {column}: ", before.matches('\n').count() + 1)
    });
    Failure::refused(format_args!("{}{message}", place.unwrap_or_default()))
}

/// Refuses to be reached from other machines in plain text, unless told to.
pub(crate) fn plaintext(listen: SocketAddr, has_tls: bool, is_allowed: bool, how: &str) -> Result {
    if listen.ip().is_loopback() || has_tls || is_allowed {
        return Ok(());
    }
    Err(Failure::refused(format_args!(
        "{listen} can be reached from other machines, and there is no TLS: give [tls] in a configuration file, listen on \
         127.0.0.1 behind a proxy that has it, or say {how}"
    )))
}

fn port(file: &file::File, tls: Option<&file::Tls>, stage: Stage) -> Result<Port> {
    let mut port = Port::new(file.listen.unwrap_or_else(Port::default_address), stage);
    port.tls = tls.map(|tls| Tls {
        cert_file: tls.cert_file.clone(),
        key_file: tls.key_file.clone(),
        client_ca_file: tls.client_ca_file.clone(),
    });
    plaintext(port.listen, port.tls.is_some(), file.allow_plaintext, "allow_plaintext = true")?;
    set(&mut port.connections_max, file.connections_max);
    set(&mut port.streams_max, file.streams_max);
    if port.connections_max == 0 || port.streams_max == 0 {
        return Err(Failure::refused("connections_max and streams_max are at least 1"));
    }
    if let Some(age) = file.connection_age {
        port.connection_age = Some(duration(age)).filter(|age| !age.is_zero());
    }
    Ok(port)
}

fn log(log: &file::Log) -> Result<Log> {
    match log {
        file::Log::Embedded(file::Segments { dir, shards }) => {
            Ok(Log::Embedded { dir: dir.clone(), shards: self::shards(*shards)? })
        }
        file::Log::Kafka(kafka) => {
            Ok(Log::Kafka { options: Box::new(self::kafka(kafka)?), retention: kafka.retention.map(duration) })
        }
    }
}

fn shards(count: u16) -> Result<ShardCount> {
    let shards = ShardCount::new(count).filter(|shards| shards.get() <= 1024);
    shards.ok_or_else(|| Failure::refused("[log] shards is a number from 1 to 1024"))
}

fn kafka(kafka: &file::Kafka) -> Result<storage::kafka::Options> {
    use storage::kafka::Security;
    let shards = shards(kafka.shards.unwrap_or(SHARDS))?;
    let mut options = storage::kafka::Options::new(&kafka.brokers, &kafka.topic, shards);
    set(&mut options.replication, kafka.replication);
    set(&mut options.queued_bytes_max, kafka.queued_bytes_max);
    set(&mut options.read_ahead_bytes, kafka.read_ahead_bytes);
    options.durability_given_up = kafka.durability_given_up;
    options.security = match kafka.security {
        file::Security::Plaintext => Security::Plaintext,
        file::Security::Ssl => Security::Ssl,
        file::Security::SaslPlaintext => Security::SaslPlaintext,
        file::Security::SaslSsl => Security::SaslSsl,
    };
    let is_sasl = matches!(kafka.security, file::Security::SaslPlaintext | file::Security::SaslSsl);
    if is_sasl != kafka.sasl.is_some() {
        return Err(Failure::refused(
            "[log] kafka: sasl = {mechanism, user, password_file} goes with security = \"sasl_ssl\" or \"sasl_plaintext\", \
             and they with it",
        ));
    }
    let is_tls = matches!(kafka.security, file::Security::Ssl | file::Security::SaslSsl);
    if !is_tls && [&kafka.ca_file, &kafka.cert_file, &kafka.key_file].into_iter().any(Option::is_some) {
        return Err(Failure::refused(
            "[log] kafka: ca_file, cert_file and key_file go with security = \"ssl\" or \"sasl_ssl\"; without it nothing is encrypted",
        ));
    }
    options.retention_min = RETENTION_MIN;
    options.ca_file.clone_from(&kafka.ca_file);
    options.cert_file.clone_from(&kafka.cert_file);
    options.key_file.clone_from(&kafka.key_file);
    if let Some(file::Sasl { mechanism, user, password_file, password_env }) = &kafka.sasl {
        let key = "[log] kafka sasl password";
        let password = Secret::read(key, password_file.as_deref(), password_env.as_deref())?;
        let password = password.ok_or_else(|| Failure::refused(format_args!("{key}_file or {key}_env is missing")))?;
        let (mechanism, user) = (mechanism.clone(), user.clone());
        options.sasl = Some(storage::kafka::Sasl { mechanism, user, password: password.reveal().to_owned() });
    }
    Ok(options)
}

fn charges(charges: &file::Charges) -> Result<Charges> {
    Ok(match charges {
        file::Charges::Embedded(folder) => Charges::Embedded { dir: folder.dir.clone() },
        file::Charges::ClickHouse(found) => {
            let url = found.url.reveal();
            let mut options = storage::clickhouse::Options::new(url, &found.database, &found.user);
            let key = "[charges] clickhouse password";
            let password = Secret::read(key, found.password_file.as_deref(), found.password_env.as_deref())?;
            options.password = password.map(|password| password.reveal().to_owned());
            if found.ca_file.is_some() && !url.starts_with("https://") {
                return Err(Failure::refused(
                    "[charges] clickhouse: ca_file goes with an https:// url; without it nothing is encrypted",
                ));
            }
            options.ca_file.clone_from(&found.ca_file);
            Charges::ClickHouse(options)
        }
    })
}

fn books(books: &file::Books) -> Result<Books> {
    Ok(match books {
        file::Books::Embedded(folder) => Books::Embedded { dir: folder.dir.clone() },
        file::Books::Postgres(file::Postgres { url, password_file, password_env, ca_file, connections_max }) => {
            let key = "[books] postgres password";
            Books::Postgres(Postgres {
                url: url.clone(),
                password: Secret::read(key, password_file.as_deref(), password_env.as_deref())?,
                ca_file: ca_file.clone(),
                connections_max: *connections_max,
            })
        }
    })
}

fn ingest(some: &file::Ingest) -> ingest::Options {
    let mut options = ingest::Options::default();
    set(&mut options.limits.request_events_max, some.request_events_max);
    set(&mut options.limits.request_bytes_max, some.request_bytes_max);
    set(&mut options.limits.properties_max, some.properties_max);
    set(&mut options.queued_bytes_max, some.queued_bytes_max);
    set(&mut options.calls_max, some.calls_max);
    set(&mut options.stream_requests_max, some.stream_requests_max);
    options
}

fn rater(some: &file::Rater, pod: Option<Pod>) -> Result<Rater> {
    let mut options = rater::driver::Options::default();
    set(&mut options.unsent_bytes_max, some.unsent_bytes_max);
    set(&mut options.insert_rows_max, some.insert_rows_max);
    set(&mut options.ids_bytes_max, some.ids_bytes_max);
    // These decide what becomes of events: all raters of a log, and every replay, need the same.
    set(&mut options.fold.parked_max, some.parked_max);
    set(&mut options.fold.parked_bytes_max, some.parked_bytes_max);
    set(&mut options.fold.waiting_max, some.waiting_max);
    set(&mut options.fold.waiting_bytes_max, some.waiting_bytes_max);
    set(&mut options.snapshot_every, some.snapshot_every.map(duration));
    let written = some.pod.as_deref().map(str::parse).transpose();
    let written = written.map_err(|reason: String| Failure::refused(format_args!("[rater] pod: {reason}")))?;
    let (data, snapshots, volume_only) = (some.data.clone(), some.snapshots.clone(), some.volume_only);
    Ok(Rater { data, snapshots, volume_only, pod: pod.or(written).unwrap_or_default(), options })
}

fn invoicer(some: &file::Invoicer) -> Invoicer {
    let file::Invoicer { name, address, ca_file, server_name, logos } = some;
    Invoicer {
        name: name.clone(),
        allow_clock_jump: false,
        address: address.clone(),
        ca_file: ca_file.clone(),
        server_name: server_name.clone(),
        logos: logos.clone(),
    }
}

/// What a path leads to: through links where it is there, and else by its words alone.
fn place(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(found.pop()),
            part => found.push(part),
        }
        found = found.canonicalize().unwrap_or(found);
    }
    found
}

fn set<T>(option: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *option = value;
    }
}

fn duration(span: Span) -> Duration {
    // A span is never negative.
    Duration::from_nanos(u64::try_from(span.nanos()).unwrap_or_default())
}
