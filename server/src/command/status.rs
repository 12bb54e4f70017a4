//! `farthing status`: how the shards stand.

use crate::client::{Client, Connection, answer, instant_text};
use crate::failure::Result;
use crate::output::{self, Format, Grid};
use clap::Args;
use proto::v1;

const AFTER: &str = "\
LOG      the next record to be written
STORED   the next record to be charged: as LOG when all is caught up
EVENTS   arrivals; each of them is one of the following
CHARGED  priced
UNPR.    unpriced: a meter counts it, but no price of the customer's plans
UNMET.   unmetered: no meter counts it
DUPL.    a duplicate of an event that arrived before
REJ.     rejected: it could not be read or priced
PARKED   kept until something explains it, such as the declaration of its customer
WAIT.    waits for its time, which is still to come

`farthing usage --outcomes` lists those that are not charged, with the reason.";

/// Shows how the shards of a server stand.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// A shard as JSON.
#[derive(serde::Serialize)]
struct Shard<'a> {
    shard: u32,
    log_next: u64,
    stored_next: u64,
    halted: Option<&'a str>,
    arrivals: u64,
    charged: u64,
    unpriced: u64,
    unmetered: u64,
    duplicate: u64,
    rejected: u64,
    parked: u64,
    waiting: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    let status = answer(Client::connect(&arguments.connection).await?.admin().status(v1::StatusRequest {}).await)?;
    let log_time = instant_text(status.log_time.as_ref());
    if arguments.format.json {
        let shards: Vec<Shard<'_>> = status.shards.iter().map(described).collect();
        return output::json(
            &serde_json::json!({"log_time": log_time, "test_clock": status.test_clock, "shards": shards}),
        );
    }
    let kind = if status.test_clock { " (TEST clock)" } else { "" };
    output::line(format_args!("Log time {log_time}{kind}\n"))?;
    let mut grid = Grid::new(&[
        ">SHARD", ">LOG", ">STORED", ">EVENTS", ">CHARGED", ">UNPR.", ">UNMET.", ">DUPL.", ">REJ.", ">PARKED", ">WAIT.",
    ]);
    for shard in &status.shards {
        let numbers = [
            u64::from(shard.shard),
            shard.log_next,
            shard.stored_next,
            shard.arrivals,
            shard.charged,
            shard.unpriced,
            shard.unmetered,
            shard.duplicate,
            shard.rejected,
            shard.parked,
            shard.waiting,
        ];
        grid.row(numbers.map(|number| number.to_string()));
    }
    grid.print("No shards.")?;
    for shard in status.shards.iter().filter(|shard| !shard.halted.is_empty()) {
        output::line(format_args!("\nShard {} has HALTED: {}", shard.shard, shard.halted))?;
    }
    Ok(())
}

fn described(shard: &v1::ShardStatus) -> Shard<'_> {
    Shard {
        shard: shard.shard,
        log_next: shard.log_next,
        stored_next: shard.stored_next,
        halted: Some(shard.halted.as_str()).filter(|reason| !reason.is_empty()),
        arrivals: shard.arrivals,
        charged: shard.charged,
        unpriced: shard.unpriced,
        unmetered: shard.unmetered,
        duplicate: shard.duplicate,
        rejected: shard.rejected,
        parked: shard.parked,
        waiting: shard.waiting,
    }
}
