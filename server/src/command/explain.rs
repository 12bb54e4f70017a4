//! `farthing explain`: one line down to its events.

use crate::arguments::{Connection, Format};
use crate::client::{Client, answer, instant_text, timestamp};
use crate::failure::{Failure, Result};
use crate::output::{self, Grid};
use clap::Args;
use pricing::time::Instant;
use proto::v1;
use std::collections::{BTreeMap, HashMap};

const AFTER: &str = "\
Examples:
  farthing explain --customer c-1 --subscription s-1 --period 2026-01-01T00:00:00Z --price out
  farthing explain --customer c-1 --subscription s-1 --period 2026-01-01T00:00:00Z --price out --group region=eu

The sum of the amounts is what the line shows as its exact amount; the quantities add up in the same way.";

/// Opens a line of a bill, down to its events.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// Who is billed.
    #[arg(long)]
    customer: String,
    /// Under which subscription.
    #[arg(long)]
    subscription: String,
    /// The start of the period (RFC 3339), as the line of the bill or `farthing usage` shows it.
    #[arg(long, value_name = "TIME")]
    period: Instant,
    /// Only this price.
    #[arg(long)]
    price: Option<String>,
    /// Only this group; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    group: Vec<(String, String)>,
    /// At most so many charges; 0: all.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// A charge as JSON.
#[derive(serde::Serialize)]
struct Charge {
    price: String,
    meter: String,
    group: BTreeMap<String, String>,
    position: String,
    event_position: String,
    source: String,
    id: String,
    time: String,
    quantity: String,
    amount: String,
    tier: u32,
}

/// Reads `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let mut request = v1::ExplainRequest {
        customer: arguments.customer,
        subscription: arguments.subscription,
        period: Some(timestamp(arguments.period)),
        price: arguments.price.unwrap_or_default(),
        group: arguments.group.into_iter().collect::<HashMap<_, _>>(),
        page_size: u32::try_from(limit.min(1000)).map_err(Failure::refused)?,
        page_token: String::new(),
    };
    let client = Client::connect(&arguments.connection).await?;
    let mut charges: Vec<Charge> = Vec::new();
    loop {
        let page = answer(client.usage().explain(request.clone()).await)?;
        charges.extend(page.charges.into_iter().map(charge));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || charges.len() >= limit {
            break;
        }
    }
    let more = charges.len() > limit || !request.page_token.is_empty();
    charges.truncate(limit);
    if arguments.format.json {
        return output::json(&serde_json::json!({"charges": charges, "more": more}));
    }
    let mut grid = Grid::new(&["TIME", "PRICE", "ID", "GROUP", ">TIER", ">QUANTITY", ">AMOUNT"]);
    for charge in &charges {
        let group = super::usage::group_text(&charge.group);
        let tier = charge.tier.to_string();
        grid.row([&charge.time, &charge.price, &charge.id, &group, &tier, &charge.quantity, &charge.amount]);
    }
    grid.print("No charges there.")?;
    if more {
        output::note(format_args!("There are more than {limit}: --limit 0 shows all."));
    }
    Ok(())
}

fn charge(row: v1::ChargeRow) -> Charge {
    Charge {
        time: instant_text(row.time.as_ref()),
        price: row.price,
        meter: row.meter,
        group: row.group.into_iter().collect(),
        position: row.position,
        event_position: row.event_position,
        source: row.source,
        id: row.id,
        quantity: row.quantity,
        amount: row.amount,
        tier: row.tier,
    }
}
