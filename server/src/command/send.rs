//! `farthing send`: a file of events to a server, over one gRPC stream.
//!
//! Batches are sent without waiting for earlier answers, up to a window. A batch whose answer never came, because the
//! connection or the server went away, is sent again with the same ids: the fold drops copies, so nothing is billed twice
//! and nothing is lost. For the same reason a whole file can be sent again.

mod batch;
mod pump;

use crate::client::Connection;
use crate::failure::{Context, Failure, Result};
use crate::local::counted;
use crate::output::{self, Format, Grid};
use crate::reader::{self, Columns};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use pricing::time::Span;
use std::path::PathBuf;
use std::time::Duration;

const AFTER: &str = "\
Examples:
  farthing send events.ndjson
  farthing send requests.csv --type llm.completion --customer account --time at --zone UTC \\
      --property input_tokens=ContextTokens --property output_tokens=GeneratedTokens

NDJSON holds one CloudEvents 1.0 object on each line: `subject` is the customer, `data` the properties.
Sending a file again is harmless: events with a known id are dropped. Exit code 1 when any event was refused.";

/// Sends a file of events: CloudEvents NDJSON, or CSV.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// The file: CSV when its name ends in .csv, otherwise CloudEvents NDJSON.
    file: PathBuf,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    columns: Columns,
    /// What to do at a line that is no event.
    #[arg(long, value_enum, default_value_t = OnError::Stop, help_heading = "Sending")]
    on_error: OnError,
    /// How long to go on trying while the server cannot be reached, counted from its last answer.
    #[arg(long, value_name = "SPAN", default_value = "5m", help_heading = "Sending")]
    retry_for: Span,
    /// Events in one request (the server takes 1,000 at most).
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Sending")]
    batch: u32,
    /// Requests that may wait for their answers.
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Sending")]
    in_flight: u32,
    /// How many refused events to list.
    #[arg(long, value_name = "COUNT", default_value_t = 10, help_heading = "Sending")]
    show: usize,
    /// No progress bar.
    #[arg(long, help_heading = "Sending")]
    quiet: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What to do at a line that is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnError {
    /// Send no line after it.
    Stop,
    /// Leave the line out and go on.
    Continue,
}

/// What became of the file.
#[derive(Debug, Default, serde::Serialize)]
struct Report {
    /// Events that are safe with the server, copies of earlier ones among them.
    accepted: u64,
    /// How many events the server refused.
    refused: u64,
    /// How many lines are no events.
    broken: u64,
    /// Times that the connection was made again.
    reconnects: u64,
    /// The first of what was refused or broken.
    problems: Vec<Problem>,
}

/// Why a line was not taken.
#[derive(Debug, serde::Serialize)]
struct Problem {
    line: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    code: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
    message: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let events = reader::open(&arguments.file, &arguments.columns)?;
    let bytes = std::fs::metadata(&arguments.file).map(|file| file.len()).unwrap_or_default();
    let bar = progress_bar(bytes, arguments.quiet || arguments.format.json);
    let (batches, source) = tokio::sync::mpsc::channel(4);
    let limits = batch::Limits { events: arguments.batch, stop_at_broken: arguments.on_error == OnError::Stop };
    let reading = std::thread::spawn(move || batch::read(events, limits, &batches));
    let options = pump::Options {
        connection: arguments.connection.clone(),
        window: usize::try_from(arguments.in_flight).map_err(Failure::refused)?,
        retry_for: Duration::from_nanos(u64::try_from(arguments.retry_for.nanos()).map_err(Failure::refused)?),
        problems_max: arguments.show.max(1),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let sent = runtime.block_on(pump::Pump::new(options, bar.clone()).run(source));
    bar.finish_and_clear();
    // The reader has ended: the pump returns when it is through, or drops the channel.
    let _ = reading.join();
    tell(arguments, sent?)
}

fn progress_bar(bytes: u64, quiet: bool) -> ProgressBar {
    if quiet || !output::is_watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    let style = ProgressStyle::with_template("{bar:40} {percent:>3}%  {msg}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Prints what became of the file, and says whether all of it was taken.
fn tell(arguments: &Arguments, mut report: Report) -> Result {
    report.problems.sort_by_key(|problem| problem.line);
    report.problems.truncate(arguments.show);
    let file = arguments.file.display();
    if arguments.format.json {
        output::json(&report)?;
    } else {
        let again = match report.reconnects {
            0 => String::new(),
            count => format!(" ({})", counted(count, "reconnect")),
        };
        // Ingest does not know what it has seen: the rater does.
        let accepted = counted(report.accepted, "event");
        output::line(format_args!(
            "{file}: {accepted} accepted{again}; copies of known events are dropped when rated."
        ))?;
        // One alone stands in the message at the end.
        if report.problems.len() > 1 {
            let mut grid = Grid::new(&[">LINE", "CODE", "FIELD", "MESSAGE"]);
            for problem in &report.problems {
                grid.row([&problem.line.to_string(), &problem.code, &problem.field, &problem.message]);
            }
            output::note(grid.text());
        }
    }
    let Report { refused, broken, problems, .. } = &report;
    let first = match problems.as_slice() {
        [Problem { line, code, message, .. }] => format!(": line {line}: {code}: {message}"),
        [Problem { line, code, message, .. }, ..] if arguments.format.json => {
            format!("; the first: line {line}: {code}: {message}")
        }
        _ => String::new(),
    };
    let mut parts = Vec::new();
    if *refused > 0 {
        parts.push(format!("{} refused", counted(*refused, "event")));
    }
    if *broken > 0 {
        parts.push(format!(
            "{} no event",
            if *broken == 1 { "1 line is".to_owned() } else { format!("{broken} lines are") }
        ));
    }
    let stopped = if *broken > 0 && arguments.on_error == OnError::Stop {
        "; no line after the broken one was sent (--on-error continue leaves such lines out)"
    } else {
        ""
    };
    if parts.is_empty() {
        return Ok(());
    }
    Err(Failure::refused(format_args!("{file}: {}{first}{stopped}", parts.join(", "))))
}
