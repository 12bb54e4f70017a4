//! `farthing explain`: one line down to its events.

use crate::arguments::{Connection, Format};
use crate::client::{Client, answer, instant_text, timestamp};
use crate::failure::{Failure, Result};
use crate::output::{self, Grid};
use clap::Args;
use pricing::time::Instant;
use proto::v1;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const AFTER: &str = "\
Examples:
  farthing explain ACME-000017                          every usage line of a bill, down to its events
  farthing explain c-1/USD/2026-02-01T00:00:00Z --price out --group region=eu
  farthing explain --customer c-1 --subscription s-1 --period 2026-01-01T00:00:00Z --price out

The amounts add up to what the bill shows as the exact amount of the price; the quantities add up in the same way.";

/// Opens a line of a bill, down to its events.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// A bill by number or id. Without it --customer, --subscription and --period name the period.
    #[arg(value_name = "NUMBER|ID", required_unless_present_all = ["customer", "subscription", "period"])]
    invoice: Option<String>,
    /// Who is billed.
    #[arg(long, conflicts_with = "invoice")]
    customer: Option<String>,
    /// Only this subscription.
    #[arg(long)]
    subscription: Option<String>,
    /// The start of the period (RFC 3339), as `farthing usage` shows it.
    #[arg(long, value_name = "TIME", conflicts_with = "invoice")]
    period: Option<Instant>,
    /// Only this price.
    #[arg(long)]
    price: Option<String>,
    /// Only this group; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    group: Vec<(String, String)>,
    /// At most so many charges of each period and price; 0: all.
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
    subscription: String,
    period: String,
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
    let client = Client::connect(&arguments.connection).await?;
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let mut charges = Vec::new();
    let mut more = false;
    for request in requests(&client, &arguments).await? {
        let (found, is_cut) = open(&client, request, limit).await?;
        charges.extend(found);
        more |= is_cut;
    }
    if arguments.format.json {
        return output::json(&serde_json::json!({"charges": charges, "more": more}));
    }
    table(&charges)?;
    if more {
        output::note(format_args!("There are more than {limit} charges to a price: --limit 0 shows all."));
    }
    Ok(())
}

/// One request for each period and price.
async fn requests(client: &Client, arguments: &Arguments) -> Result<Vec<v1::ExplainRequest>> {
    let request =
        |customer: &str, subscription: &str, period: prost_types::Timestamp, price: &str| v1::ExplainRequest {
            customer: customer.to_owned(),
            subscription: subscription.to_owned(),
            period: Some(period),
            price: price.to_owned(),
            group: arguments.group.iter().cloned().collect::<HashMap<_, _>>(),
            page_size: 1000,
            page_token: String::new(),
        };
    let price = arguments.price.as_deref().unwrap_or_default();
    let Some(id) = &arguments.invoice else {
        let (Some(customer), Some(subscription), Some(period)) =
            (&arguments.customer, &arguments.subscription, arguments.period)
        else {
            return Err(Failure::usage("name a bill, or --customer, --subscription and --period"));
        };
        return Ok(vec![request(customer, subscription, timestamp(period), price)]);
    };
    let bill = answer(client.invoices().get(v1::GetInvoiceRequest { id: id.clone() }).await)?;
    let customer = bill.summary.as_ref().map(|summary| summary.customer.clone()).unwrap_or_default();
    let wanted = lines(&bill.document)?;
    // The period of a subscription that this bill settles is its last one that begins before the bill ends.
    let until = bill.summary.and_then(|summary| summary.end);
    let usage = v1::UsageRequest { customer: customer.clone(), until, ..Default::default() };
    let mut periods: BTreeMap<String, Instant> = BTreeMap::new();
    for row in answer(client.usage().usage(usage).await)?.rows {
        let start = row.period.and_then(|start| Instant::from_parts(start.seconds, start.nanos));
        if let Some(start) = start {
            let last = periods.entry(row.subscription).or_insert(start);
            *last = start.max(*last);
        }
    }
    let of_bill = wanted.into_iter().filter(|(subscription, of_line)| {
        arguments.subscription.as_ref().is_none_or(|only| only == subscription)
            && (price.is_empty() || price == of_line)
    });
    let found = of_bill.filter_map(|(subscription, price)| {
        let period = timestamp(*periods.get(&subscription)?);
        Some(request(&customer, &subscription, period, &price))
    });
    Ok(found.collect())
}

/// The subscriptions and prices of a document's usage lines.
fn lines(document: &str) -> Result<BTreeSet<(String, String)>> {
    let document: serde_json::Value = serde_json::from_str(document).map_err(Failure::refused)?;
    let lines = document.get("lines").and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text =
        |line: &serde_json::Value, name: &str| line.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let usage = lines.iter().filter(|line| text(line, "kind").as_deref() == Some("usage"));
    Ok(usage.filter_map(|line| Some((text(line, "subscription")?, text(line, "price")?))).collect())
}

/// Up to `limit` charges, and whether there are more.
async fn open(client: &Client, mut request: v1::ExplainRequest, limit: usize) -> Result<(Vec<Charge>, bool)> {
    let subscription = request.subscription.clone();
    let period = instant_text(request.period.as_ref());
    request.page_size = u32::try_from(limit.min(1000)).map_err(Failure::refused)?;
    let mut charges: Vec<Charge> = Vec::new();
    loop {
        let page = answer(client.usage().explain(request.clone()).await)?;
        charges.extend(page.charges.into_iter().map(|row| charge(row, &subscription, &period)));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || charges.len() >= limit {
            break;
        }
    }
    let more = charges.len() > limit || !request.page_token.is_empty();
    charges.truncate(limit);
    Ok((charges, more))
}

fn table(charges: &[Charge]) -> Result {
    let mut grid = Grid::new(&["TIME", "PRICE", "EVENT", "GROUP", ">TIER", ">QUANTITY", ">AMOUNT"]);
    for charge in charges {
        let group = super::usage::group_text(&charge.group);
        let tier = charge.tier.to_string();
        // Without an event: a close that settled a level.
        let event = if charge.id.is_empty() { "(close)" } else { &charge.id };
        grid.row([&charge.time, &charge.price, event, &group, &tier, &charge.quantity, &charge.amount]);
    }
    grid.print("No charges there.")
}

fn charge(row: v1::ChargeRow, subscription: &str, period: &str) -> Charge {
    Charge {
        subscription: subscription.to_owned(),
        period: period.to_owned(),
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
