//! `farthing explain`: one line down to its events.

use super::invoices::show::{self, field};
use crate::client::{Client, Connection, answer, instant_text, pages, timestamp};
use crate::failure::{Failure, Result};
use crate::local::{counted, grouped, local, moment};
use crate::output::{self, Format, Grid};
use clap::Args;
use pricing::catalog::near;
use pricing::time::Instant;
use proto::v1;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const AFTER: &str = "\
Examples:
  farthing explain ACME-17                              every line of a bill, down to its events
  farthing explain c-1/USD/2026-02-01T00:00:00Z --price out --group region=eu
  farthing explain --customer c-1 --price out           the newest periods of a customer
  farthing explain --customer c-1 --subscription s-1 --period 2026-01-01

The amounts add up to what the bill shows as the exact amount of the price; the quantities add up in the same way. Late
usage shows the charges that came after the bill of its own period, and only those. Of a time-weighted meter each event
shows the level that it sets; `(before)` is the level that the period begins with, and what it all weighs is one row at
the close, or `(so far)` while the period runs.";

/// Opens a line of a bill, down to its events.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// A bill by number or id; or else --customer.
    #[arg(value_name = "NUMBER|ID", required_unless_present = "customer")]
    invoice: Option<String>,
    /// Who is billed.
    #[arg(long, conflicts_with = "invoice")]
    customer: Option<String>,
    /// Only this subscription.
    #[arg(long)]
    subscription: Option<String>,
    /// The start of the period, as `farthing usage --json` shows it; without it the newest of each subscription.
    #[arg(long, value_name = "TIME", conflicts_with = "invoice", value_parser = moment)]
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
    /// Of a level meter: what holds from then on.
    #[serde(skip_serializing_if = "String::is_empty")]
    level: String,
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
    let Wanted { customer, zone, mut parts } = match (&arguments.invoice, &arguments.customer) {
        (Some(id), _) => of_bill(&client, id).await?,
        (None, Some(customer)) => of_customer(&client, &arguments, customer).await?,
        (None, None) => return Err(Failure::usage("name a bill, or a customer with --customer")),
    };
    let (subscription, price) = (arguments.subscription.as_deref(), arguments.price.as_deref());
    must_be_there("subscription", subscription, parts.iter().map(|part| part.subscription.as_str()))?;
    must_be_there("price", price, parts.iter().map(|part| part.price.as_str()))?;
    parts.retain(|part| {
        subscription.is_none_or(|only| only == part.subscription)
            && price.is_none_or(|only| part.price.is_empty() || only == part.price)
    });
    let mut charges = Vec::new();
    let mut more = false;
    for part in &parts {
        let request = v1::ExplainRequest {
            from_offset: part.from_offset,
            until_offset: part.until_offset,
            customer: customer.clone(),
            subscription: part.subscription.clone(),
            period: Some(timestamp(part.period)),
            price: price.unwrap_or(&part.price).to_owned(),
            group: arguments.group.iter().cloned().collect::<HashMap<_, _>>(),
            ..Default::default()
        };
        let (found, is_cut) = open(&client, request, limit).await?;
        if !arguments.format.json && !found.is_empty() {
            heading(part, &zone)?;
            table(&found, &zone)?;
        }
        charges.extend(found);
        more |= is_cut;
    }
    if arguments.format.json {
        return output::json(&serde_json::json!({"charges": charges, "more": more}));
    }
    if charges.is_empty() {
        output::line("No charges there.")?;
    }
    if more {
        output::note(format_args!("There are more than {} to a price: --limit 0 shows all.", counted(limit, "charge")));
    }
    Ok(())
}

/// Refuses a name that nothing there has, with one that comes near; an empty one stands for all that there are.
fn must_be_there<'a>(what: &str, asked: Option<&str>, there: impl Iterator<Item = &'a str>) -> Result {
    let there: BTreeSet<&str> = there.collect();
    match asked {
        Some(asked) if !there.is_empty() && !there.contains(asked) && !there.contains("") => {
            Err(Failure::refused(format_args!("nothing there is of {what} '{asked}'{}", near(asked, there))))
        }
        _ => Ok(()),
    }
}

fn heading(part: &Part, zone: &str) -> Result {
    let from = local(&part.period.to_string(), zone);
    let what = match (part.late, part.from_offset) {
        (false, _) if part.price.is_empty() => "all that was charged".to_owned(),
        (false, _) => part.price.clone(),
        (true, 0) => "the period that late usage adjusted".to_owned(),
        (true, _) => "late usage: what came after the bill of its period".to_owned(),
    };
    output::line(format_args!("\n{}, period from {from}: {what}", part.subscription))
}

/// What is opened: one period of one subscription, or one price of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    subscription: String,
    period: Instant,
    /// Empty: all prices.
    price: String,
    /// Only charges of records from this offset on: those that came after the bill that this one adjusts.
    from_offset: u64,
    /// Only charges of records before this offset: those that came before the bill; 0: all.
    until_offset: u64,
    /// A line of late usage.
    late: bool,
}

/// What of whom.
struct Wanted {
    customer: String,
    /// In whose dates it is read.
    zone: String,
    parts: BTreeSet<Part>,
}

/// The periods and prices behind a bill's lines.
async fn of_bill(client: &Client, id: &str) -> Result<Wanted> {
    let bill = answer(client.invoices().get(v1::GetInvoiceRequest { id: id.to_owned() }).await)?;
    let document: Value = serde_json::from_str(&bill.document).map_err(Failure::refused)?;
    let whole = document.get("period").map(|period| field(period, "start")).unwrap_or_default();
    let mut parts = BTreeSet::new();
    for line in show::of(&document, "lines") {
        let late = field(line, "kind") == "adjustment";
        let (subscription, price) = (field(line, "subscription"), field(line, "price"));
        if subscription.is_empty() || (price.is_empty() && !late) {
            continue;
        }
        let start = line.get("period").map_or_else(|| whole.clone(), |period| field(period, "start"));
        let period: Instant = start.parse().map_err(Failure::refused)?;
        let adjusted = bill.adjusted.iter().find(|adjusted| {
            late && adjusted.subscription == subscription && adjusted.start == Some(timestamp(period))
        });
        let from_offset = adjusted.map_or(0, |adjusted| adjusted.from_offset);
        let mut billed = bill.billed.iter();
        let billed = billed.find(|one| one.subscription == subscription && one.start == Some(timestamp(period)));
        let until_offset = billed.map_or(0, |billed| billed.until_offset);
        parts.insert(Part { subscription, period, price, from_offset, until_offset, late });
    }
    let customer = bill.summary.map(|summary| summary.customer).unwrap_or_default();
    Ok(Wanted { customer, zone: show::zone(&document), parts })
}

/// The periods of a customer's subscriptions in which something was used: the one that was asked for, else the newest.
async fn of_customer(client: &Client, arguments: &Arguments, customer: &str) -> Result<Wanted> {
    let request = v1::UsageRequest { customer: customer.to_owned(), ..Default::default() };
    let usage = answer(client.usage().usage(request).await)?;
    let mut newest: BTreeMap<String, Instant> = BTreeMap::new();
    for row in usage.rows {
        let start = row.period.and_then(|start| Instant::from_parts(start.seconds, start.nanos));
        if let Some(start) = start.filter(|start| arguments.period.is_none_or(|asked| asked == *start)) {
            let last = newest.entry(row.subscription.clone()).or_insert(start);
            *last = start.max(*last);
        }
    }
    if let Some((subscription, period)) = arguments.subscription.clone().zip(arguments.period) {
        newest.entry(subscription).or_insert(period);
    }
    let part = |(subscription, period)| {
        let (price, late) = (String::new(), false);
        Part { subscription, period, price, from_offset: 0, until_offset: 0, late }
    };
    Ok(Wanted { customer: customer.to_owned(), zone: usage.time_zone, parts: newest.into_iter().map(part).collect() })
}

/// Up to `limit` charges, and whether there are more.
async fn open(client: &Client, mut request: v1::ExplainRequest, limit: usize) -> Result<(Vec<Charge>, bool)> {
    let subscription = request.subscription.clone();
    let period = instant_text(request.period.as_ref());
    request.page_size = u32::try_from(limit.min(1000)).map_err(Failure::refused)?;
    let (rows, more) = pages(limit, async |page_token| {
        let page = client.usage().explain(v1::ExplainRequest { page_token, ..request.clone() }).await;
        answer(page).map(|page| (page.charges, page.next_page_token))
    })
    .await?;
    Ok((rows.into_iter().map(|row| charge(row, &subscription, &period)).collect(), more))
}

fn table(charges: &[Charge], zone: &str) -> Result {
    let time = format!("TIME ({zone})");
    let has_levels = charges.iter().any(|charge| !charge.level.is_empty());
    let mut names = vec![time.as_str(), "PRICE", "EVENT", "GROUP", ">TIER", ">QUANTITY", ">AMOUNT"];
    if has_levels {
        names.insert(4, ">LEVEL");
    }
    let mut grid = Grid::new(&names);
    for charge in charges {
        let event = match charge {
            Charge { id, .. } if !id.is_empty() => id,
            // Without an event: the level that the period begins with, and what settles levels.
            Charge { level, .. } if !level.is_empty() => "(before)",
            Charge { position, .. } if position.is_empty() => "(so far)",
            _ => "(close)",
        };
        let mut cells = vec![
            local(&charge.time, zone),
            charge.price.clone(),
            event.to_owned(),
            super::usage::group_text(&charge.group),
            charge.tier.to_string(),
            grouped(&charge.quantity),
            grouped(&charge.amount),
        ];
        if has_levels {
            cells.insert(4, grouped(&charge.level));
        }
        grid.row(cells);
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
        level: row.level,
    }
}
