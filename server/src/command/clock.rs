//! `farthing clock`: the clock of a test system.

use crate::client::{Client, Connection, answer, instant_text, timestamp};
use crate::failure::Result;
use crate::local::moment;
use crate::output::{self, Format};
use clap::{Args, Subcommand};
use pricing::time::Instant;
use proto::v1;

const AFTER: &str = "\
Examples:
  farthing clock advance --to 2026-02-02
  farthing clock advance --to 2026-02-02T09:30:00Z

Only a server started with `farthing serve --test-clock TIME` has such a clock.";

/// Moves the clock of a test system.
#[derive(Debug, Args)]
#[command(after_help = AFTER, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Passes through every due moment up to a time, and returns when nothing due is left.
    Advance {
        /// The new log time: 2026-02-02T09:30:00Z, or a date, which is its midnight in UTC.
        #[arg(long, value_name = "TIME", value_parser = moment)]
        to: Instant,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    let Action::Advance { to, format, connection } = arguments.action;
    let request = v1::AdvanceClockRequest { to: Some(timestamp(to)) };
    let moved = answer(Client::connect(&connection).await?.admin().advance_clock(request).await)?;
    let log_time = instant_text(moved.log_time.as_ref());
    if format.json {
        return output::json(&serde_json::json!({"log_time": log_time}));
    }
    output::line(format_args!("Log time is {log_time}; nothing due is left."))
}
