//! `farthing serve`: one process, one folder, one port.

use crate::failure::{Context, Failure, Result};
use crate::output;
use crate::system::{Config, System};
use clap::{Args, ValueEnum};
use pricing::time::Instant;
use std::net::SocketAddr;
use std::path::PathBuf;
use storage::shard::ShardCount;

const AFTER: &str = "\
Examples:
  farthing serve                                              data in ./farthing-data, port 9600 of this machine
  farthing serve --data /var/lib/farthing --listen 127.0.0.1:9700
  farthing serve --test-clock 2026-01-01T00:00:00Z            a test system: see `farthing clock --help`

The first start writes an admin key to DIR/admin.key. Ctrl-C or SIGTERM ends it in order; nothing acknowledged is ever lost,
not by kill -9 either. gRPC (with reflection), POST /v1/events, /healthz and /readyz share the port.";

/// Starts Farthing: one process, one folder, one port for gRPC and HTTP.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// What to run: everything in this process.
    #[arg(value_enum, default_value_t = Stage::All)]
    stage: Stage,
    /// The folder that holds everything; made where it is not there.
    #[arg(long, value_name = "DIR", default_value = "./farthing-data")]
    data: PathBuf,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9600")]
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
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Human, help_heading = "Log lines")]
    log_format: LogFormat,
    /// Which log lines are written, such as info, debug or warn,rater=debug.
    #[arg(long, value_name = "FILTER", env = "FARTHING_LOG", default_value = "info", help_heading = "Log lines")]
    log: String,
}

/// What runs in this process.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stage {
    /// Every stage, on embedded storage.
    All,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

pub(crate) fn run(arguments: Arguments) -> Result {
    let Stage::All = arguments.stage;
    if !arguments.listen.ip().is_loopback() && !arguments.allow_plaintext {
        return Err(Failure::refused(format_args!(
            "{} can be reached from other machines, and there is no TLS: listen on 127.0.0.1 behind a proxy that has it, or \
             say --allow-plaintext",
            arguments.listen
        )));
    }
    subscribe(&arguments)?;
    let shards = ShardCount::new(arguments.shards).ok_or_else(|| Failure::usage("--shards is at least 1"))?;
    let mut config = Config::new(arguments.data, arguments.listen, shards);
    config.test_clock = arguments.test_clock;
    config.allow_clock_jump = arguments.allow_clock_jump;
    config.ingest.limits.request_events_max = arguments.request_events_max;
    config.ingest.limits.request_bytes_max = arguments.request_bytes_max;
    config.ingest.limits.properties_max = arguments.properties_max;
    runtime()?.block_on(serve(config))
}

async fn serve(config: Config) -> Result {
    let data = config.data.display().to_string();
    let test_clock = config.test_clock.is_some();
    let asked = asked_to_stop()?;
    let mut system = System::start(config).await?;
    let (address, key) = (system.address, system.key_file.display().to_string());
    tracing::info!(address = %format_args!("http://{address}"), data, admin_key = key, test_clock, "farthing is ready");
    let failed = tokio::select! {
        () = asked => None,
        failure = system.failed() => Some(failure),
    };
    tracing::info!("farthing is stopping");
    system.stop().await;
    failed.map_or(Ok(()), Err)
}

/// Many small tasks, and work that blocks beside them.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get).max(2);
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().context("cannot start")
}

/// Resolves at Ctrl-C or SIGTERM.
pub(crate) fn asked_to_stop() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn subscribe(arguments: &Arguments) -> Result {
    let filter = tracing_subscriber::EnvFilter::try_new(&arguments.log)
        .map_err(|error| Failure::usage(format_args!("--log '{}': {error}", arguments.log)))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Json => lines.json().init(),
        LogFormat::Human => lines.with_target(false).with_ansi(output::is_watched()).init(),
    }
    Ok(())
}
