//! `farthing serve`: one process, one port; everything in one folder, or one stage of a cluster.

use crate::config::{self, Config, LogFormat, Pod, Port, Telemetry};
use crate::failure::{Context, Failure, Result};
use crate::output;
use crate::system::System;
use crate::telemetry;
use clap::{Args, ValueEnum};
use pricing::time::Instant;
use std::net::SocketAddr;
use std::path::PathBuf;
use storage::shard::ShardCount;
use tokio::signal::unix::{Signal, SignalKind, signal};

const AFTER: &str = "\
Examples:
  farthing serve                                              data in ./farthing-data, port 9600 of this machine
  farthing serve --data /var/lib/farthing --listen 127.0.0.1:9700
  farthing serve --test-clock 2026-01-01T00:00:00Z            a test system: see `farthing clock --help`
  farthing serve ingest --config /etc/farthing/farthing.toml  one stage of a cluster, after `farthing migrate`

The first start on a folder writes an admin key to DIR/admin.key. Ctrl-C or SIGTERM ends it in order, a second one at once;
nothing acknowledged is ever lost, not by kill -9 either. gRPC (with reflection), POST /v1/events, the console for people
(/console; `farthing users create` makes them), /healthz, /readyz and /metrics share the port. docs/cluster.md has every key of the file.";

/// Starts Farthing: everything in one process and folder, or one stage of a cluster.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// What to run in this process.
    #[arg(value_enum, default_value_t = Stage::All)]
    stage: Stage,
    /// A configuration file, which names storage and port; a single stage needs one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "listen", "allow_plaintext", "shards", "test_clock",
        "request_events_max", "request_bytes_max", "properties_max"])]
    config: Option<PathBuf>,
    /// Which of how many raters this is, from 0, such as 0/3; before the number may stand a name, as in rater-0/3.
    #[arg(long, value_name = "INDEX/COUNT", env = "FARTHING_POD", requires = "config")]
    pod: Option<Pod>,
    /// Only reads the configuration file, with the secrets that it names, and says what is wrong with it.
    #[arg(long, requires = "config")]
    check: bool,
    /// This machine as other invoicers reach it, a name or an IP address: who stands by passes calls on to it.
    #[arg(long, value_name = "HOST", env = "FARTHING_ADDRESS", requires = "config")]
    address: Option<String>,
    /// The folder that holds everything; made where it is not there.
    #[arg(long, value_name = "DIR", default_value = "./farthing-data")]
    data: PathBuf,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = Port::default_address())]
    listen: SocketAddr,
    /// Listen beyond this machine without TLS: keys and events can then be read on the way.
    #[arg(long)]
    allow_plaintext: bool,
    /// In how many parts a new log is cut; fixed for its life.
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: u16,
    /// Make it a test system: log time begins here and moves by `farthing clock advance` only.
    #[arg(long, value_name = "TIME")]
    test_clock: Option<Instant>,
    /// The machine's clock is right although it jumped by more than 7 days since the last run.
    #[arg(long)]
    allow_clock_jump: bool,
    /// Events in one request at most.
    #[arg(long, value_name = "COUNT", default_value_t = 1000, help_heading = "Limits")]
    request_events_max: usize,
    /// Bytes of one request at most.
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20, help_heading = "Limits")]
    request_bytes_max: usize,
    /// Properties of one event at most.
    #[arg(long, value_name = "COUNT", default_value_t = 64, help_heading = "Limits")]
    properties_max: usize,
    /// How log lines look; without it as the file says, or text.
    #[arg(long, value_enum, help_heading = "Log lines")]
    log_format: Option<LogFormat>,
    /// Which log lines are written, such as debug or warn,rater=debug; without it as the file says, or info.
    #[arg(long, value_name = "FILTER", env = "FARTHING_LOG", help_heading = "Log lines")]
    log: Option<String>,
}

/// What runs in this process.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stage {
    /// Every stage.
    All,
    /// Takes events into the log.
    Ingest,
    /// Prices them, some shards of the log.
    Rater,
    /// Moves log time, bills, answers for catalog, usage and invoices.
    Invoicer,
}

/// Ctrl-C and SIGTERM.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

pub(crate) fn run(arguments: Arguments) -> Result {
    let is_check = arguments.check;
    let (config, telemetry) = configured(arguments)?;
    if is_check {
        return output::line(format_args!("nothing is missing that `serve {}` works with", config.stage.word()));
    }
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let _telemetry = telemetry::start(&telemetry)?;
    runtime.block_on(serve(config))
}

fn configured(arguments: Arguments) -> Result<(Config, Telemetry)> {
    let (mut config, mut telemetry) = match &arguments.config {
        Some(path) => Config::read(path, arguments.stage.into(), arguments.pod)?,
        None => (embedded(&arguments)?, Telemetry::default()),
    };
    config.invoicer.allow_clock_jump = arguments.allow_clock_jump;
    config.invoicer.address = arguments.address.or(config.invoicer.address);
    telemetry.format = arguments.log_format.or(telemetry.format);
    telemetry.filter = arguments.log.or(telemetry.filter);
    Ok((config, telemetry))
}

/// Everything in one folder, by flags.
fn embedded(arguments: &Arguments) -> Result<Config> {
    let stage = config::Stage::from(arguments.stage);
    if stage != config::Stage::All {
        return Err(Failure::usage(format_args!(
            "`serve {}` runs one stage of a cluster: give --config FILE, which names log, charges and books",
            stage.word()
        )));
    }
    config::plaintext(arguments.listen, false, arguments.allow_plaintext, "--allow-plaintext")?;
    let shards = ShardCount::new(arguments.shards).ok_or_else(|| Failure::usage("--shards is at least 1"))?;
    let mut config = Config::new(&arguments.data, arguments.listen, shards);
    config.test_clock = arguments.test_clock;
    config.ingest.limits.request_events_max = arguments.request_events_max;
    config.ingest.limits.request_bytes_max = arguments.request_bytes_max;
    config.ingest.limits.properties_max = arguments.properties_max;
    Ok(config)
}

async fn serve(config: Config) -> Result {
    let mut stop = Stop::listen()?;
    let (stage, test_clock) = (config.stage.word(), config.test_clock.is_some());
    let scheme = if config.port.tls.is_some() { "https" } else { "http" };
    let mut system = System::begin(config).await?;
    let address = format!("{scheme}://{}", system.address);
    let key = system.key_file.as_ref().map(|file| file.display().to_string());
    tracing::info!(address, stage, test_clock, "farthing is starting");
    let failed = tokio::select! {
        () = stop.asked() => None,
        failure = work(&mut system, &address, key.as_deref()) => Some(failure),
    };
    tracing::info!("farthing is stopping");
    tokio::select! {
        () = system.stop() => failed.map_or(Ok(()), Err),
        () = stop.asked() => {
            tracing::warn!("farthing ends at once, asked a second time; what was acknowledged is safe");
            // Work that blocks would hold the runtime's end up.
            std::process::exit(1)
        }
    }
}

async fn work(system: &mut System, address: &str, admin_key: Option<&str>) -> Failure {
    if let Err(failure) = system.started().await {
        return failure;
    }
    let console = format!("{address}/console");
    tracing::info!(address, console, admin_key, "farthing is ready");
    system.failed().await
}

/// Many small tasks, and work that blocks beside them.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get).max(2);
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().context("cannot start")
}

// === impl Stop ===

impl Stop {
    /// From now on neither ends the process by itself.
    pub(crate) fn listen() -> Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        Ok(Self { terminate, interrupt })
    }

    /// Resolves at the next one.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl From<Stage> for config::Stage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::All => Self::All,
            Stage::Ingest => Self::Ingest,
            Stage::Rater => Self::Rater,
            Stage::Invoicer => Self::Invoicer,
        }
    }
}
