//! `farthing bench`: what Farthing does on this machine.

use super::serve::runtime;
use crate::bench::{self, Figures, Machine};
use crate::failure::{Context, Failure, Result};
use crate::output::{self, Format};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

const AFTER: &str = "\
Examples:
  farthing bench                                  all of them but memory, in about a minute
  farthing bench fold --known-ids 50000000
  farthing bench embedded --events 5000000 --json
  farthing bench cluster --config farthing.toml --shards 16 --raters 2

  fold       log records in memory → charges, many ids known: one core
  ingest     gRPC client → durable acknowledgement
  embedded   gRPC client → charges that can be asked for, one process
  fresh      acknowledged → visible in usage, under half the load of `embedded`
  close      charges of many customers → issued invoices
  memory     a whole system's, with 50 million ids known; minutes, and 4 GB of disk
  cluster    gRPC client → charges in ClickHouse, a process for each stage; needs --config, and empty topic and databases

Client and server share the machine. Each benchmark takes a fresh folder and removes it.";

/// Measures Farthing on this machine.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// Which.
    #[arg(value_enum, default_value_t = Which::All)]
    which: Which,
    /// Events (in `close`: charges); each benchmark has its own default.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// fold: ids that are known before, 5 million without it; memory: ids that become known, 50 million.
    #[arg(long, value_name = "COUNT")]
    known_ids: Option<u64>,
    /// Customers.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=999_999))]
    customers: u32,
    /// Events in one request.
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1000))]
    batch: u32,
    /// Streams at once.
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    streams: u32,
    /// Requests of one stream that wait for their answers.
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    in_flight: usize,
    /// fresh: events a second; without it half of what `embedded` did in this run, or 100,000.
    #[arg(long, value_name = "COUNT")]
    rate: Option<u64>,
    /// Parts of the log.
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: u16,
    /// cluster: the configuration file that names Kafka, ClickHouse and PostgreSQL.
    #[arg(long, value_name = "FILE", required_if_eq("which", "cluster"))]
    config: Option<PathBuf>,
    /// cluster: raters.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    raters: u16,
    /// cluster: a server whose CPU time is told, too, such as kafka=4711.
    #[arg(long = "process", value_name = "NAME=PID", value_parser = process)]
    servers: Vec<(String, u32)>,
    /// Where the folders are made: the disk that is measured.
    #[arg(long, value_name = "DIR", default_value = ".")]
    disk: PathBuf,
    #[command(flatten)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    All,
    Fold,
    Ingest,
    Embedded,
    Fresh,
    Close,
    Memory,
    Cluster,
}

impl Which {
    const EACH: [Self; 7] =
        [Self::Fold, Self::Ingest, Self::Embedded, Self::Fresh, Self::Close, Self::Memory, Self::Cluster];
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let machine = Machine::here();
    if !arguments.format.json {
        output::line(format_args!("{machine}\n"))?;
    }
    let mut figures: Vec<Figures> = Vec::new();
    for which in Which::EACH {
        let is_of_all = arguments.which == Which::All && ![Which::Memory, Which::Cluster].contains(&which);
        if is_of_all || arguments.which == which {
            figures.push(one(which, arguments, &figures)?);
        }
    }
    if arguments.format.json {
        return output::json(&serde_json::json!({"machine": machine, "figures": figures}));
    }
    bench::print(&figures)
}

fn one(which: Which, arguments: &Arguments, before: &[Figures]) -> Result<Figures> {
    let Arguments { customers, batch, streams, shards, .. } = *arguments;
    let events = |default| arguments.events.unwrap_or(default);
    let sizes = |default| bench::ingest::Sizes {
        events: events(default),
        batch,
        streams,
        window: arguments.in_flight.max(1),
        customers,
        shards,
        event_type: bench::CHARGED,
    };
    let temporary = tempfile::Builder::new().prefix("farthing-bench-").tempdir_in(&arguments.disk);
    let temporary = temporary.context(format_args!("cannot make a folder in {}", arguments.disk.display()))?;
    let folder = temporary.path();
    let run = runtime()?;
    match which {
        Which::All | Which::Fold => {
            let known_ids = arguments.known_ids.unwrap_or(5_000_000);
            bench::fold::run(bench::fold::Sizes { events: events(1_000_000), known_ids, customers })
        }
        Which::Ingest => run.block_on(bench::ingest::run(sizes(2_000_000), folder)),
        Which::Embedded => run.block_on(bench::embedded::embedded(sizes(1_000_000), folder)),
        Which::Fresh => {
            let measured = before.iter().find(|figure| figure.bench == "embedded").map(|figure| figure.per_second / 2);
            let rate = arguments.rate.or(measured).unwrap_or(100_000).max(1);
            let count = arguments.events.unwrap_or(rate.saturating_mul(8));
            let sizes = bench::ingest::Sizes { events: count, ..sizes(count) };
            run.block_on(bench::embedded::fresh(sizes, rate, folder))
        }
        Which::Close => run.block_on(bench::embedded::close(sizes(1_000_000), folder)),
        Which::Memory => {
            let events = arguments.known_ids.unwrap_or(50_000_000).max(1);
            let sizes = bench::ingest::Sizes { events, event_type: bench::KNOWN, ..sizes(events) };
            run.block_on(bench::embedded::memory(sizes, folder))
        }
        Which::Cluster => {
            let Arguments { config, raters, servers, .. } = arguments;
            let config = config.clone().ok_or_else(|| Failure::usage("cluster needs --config FILE"))?;
            let plan = bench::cluster::Plan { config, raters: *raters, servers: servers.clone() };
            run.block_on(bench::cluster::run(sizes(1_000_000), &plan, folder))
        }
    }
}

/// `NAME=PID`.
fn process(text: &str) -> std::result::Result<(String, u32), String> {
    let split = text.split_once('=').and_then(|(name, pid)| Some((name.to_owned(), pid.parse().ok()?)));
    split.ok_or_else(|| format!("'{text}' is no process: write NAME=PID"))
}
