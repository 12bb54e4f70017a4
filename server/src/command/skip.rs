//! `farthing skip`: the way past a damaged record.

use crate::client::{Client, Connection, answer};
use crate::failure::Result;
use crate::output::{self, Format};
use clap::Args;
use proto::v1;

const AFTER: &str = "\
Example:
  farthing skip 2 1041 --reason 'disk error of 3 May; its 12 events were sent again'

`farthing status` shows halted shards with the offset. What the record held is lost to billing: send it again first or
after. The skip is a record of the log itself, with its reason.";

/// Steps over the damaged record at which a shard halted, with a reason, as a record of its own.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// The halted shard.
    shard: u16,
    /// The damaged record's offset.
    offset: u64,
    /// Why, for the auditor.
    #[arg(long)]
    reason: String,
    /// Also a record that can be read, when a rater's log says that it halted there (raters in other processes).
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    let Arguments { shard, offset, reason, force, format, connection } = arguments;
    let request = v1::SkipRequest { shard: shard.into(), offset, reason, force };
    answer(Client::connect(&connection).await?.admin().skip(request).await)?;
    if format.json {
        return output::json(&serde_json::json!({"shard": shard, "offset": offset, "skipped": true}));
    }
    output::line(format_args!("Shard {shard} steps over offset {offset}."))
}
