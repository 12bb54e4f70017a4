//! `farthing usage`: what was used.

use super::invoices::Shown;
use crate::client::{Client, Connection, PAGE, answer, instant_text, pages, timestamp};
use crate::failure::{Failure, Result};
use crate::local::{grouped, local, moment};
use crate::output::{self, Format, Grid};
use clap::{Args, ValueEnum};
use pricing::time::Instant;
use proto::v1;
use std::collections::{BTreeMap, BTreeSet};

const AFTER: &str = "\
Examples:
  farthing usage --customer c-1
  farthing usage --customer c-1 --by day --from 2026-01-01
  farthing usage --outcomes                 the leak report: arrivals that are not charged, with the reason
  farthing usage --customer c-1 --preview   the bill at the end of the running periods, with the usage so far";

/// Shows what was used.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// Only this customer.
    #[arg(long)]
    customer: Option<String>,
    /// Only this meter.
    #[arg(long)]
    meter: Option<String>,
    /// Only events at or after this time: 2026-01-31T09:30:00Z, or a date, which is its midnight in UTC.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Instant>,
    /// Only events before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Instant>,
    /// Split by hour, or by day: the customer's own with --customer, else those of UTC.
    #[arg(long, value_enum)]
    by: Option<By>,
    /// List arrivals that were not charged instead, with the reason.
    #[arg(long, conflicts_with_all = ["meter", "from", "until", "by", "preview"])]
    outcomes: bool,
    /// With --outcomes: only these kinds (unpriced, parked, unparked, conflict, rejected, not_backfilled).
    #[arg(long, value_name = "KIND", value_delimiter = ',', requires = "outcomes")]
    kind: Vec<String>,
    /// Show the customer's bill as it would be at the end of the running periods, with the usage so far.
    #[arg(long, requires = "customer", conflicts_with_all = ["meter", "from", "until", "by"])]
    preview: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Day,
    Hour,
}

/// A row as JSON.
#[derive(serde::Serialize)]
struct Row {
    customer: String,
    subscription: String,
    period: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    meter: String,
    price: String,
    group: BTreeMap<String, String>,
    count: u64,
    quantity: String,
    amount: String,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    if arguments.from.zip(arguments.until).is_some_and(|(from, until)| from >= until) {
        return Err(Failure::usage("--from must lie before --until"));
    }
    let client = Client::connect(&arguments.connection).await?;
    if arguments.outcomes {
        return outcomes(&client, arguments).await;
    }
    if arguments.preview {
        return preview(&client, arguments).await;
    }
    let by = match arguments.by {
        None => v1::usage_request::By::Unspecified,
        Some(By::Day) => v1::usage_request::By::Day,
        Some(By::Hour) => v1::usage_request::By::Hour,
    };
    let filtered =
        [arguments.customer.is_some(), arguments.meter.is_some(), arguments.from.is_some(), arguments.until.is_some()];
    let filtered = filtered.contains(&true);
    let request = v1::UsageRequest {
        customer: arguments.customer.unwrap_or_default(),
        meter: arguments.meter.unwrap_or_default(),
        from: arguments.from.map(timestamp),
        until: arguments.until.map(timestamp),
        by: by.into(),
    };
    let usage = answer(client.usage().usage(request).await)?;
    let rows: Vec<Row> = usage.rows.into_iter().map(row).collect();
    if arguments.format.json {
        return output::json(&serde_json::json!({"usage": rows}));
    }
    let empty = if filtered { "No usage matches the filter." } else { "Nothing was used." };
    table(&rows, arguments.by.is_some(), &usage.time_zone).print(empty)
}

fn row(row: v1::UsageRow) -> Row {
    Row {
        period: instant_text(row.period.as_ref()),
        bucket: row.bucket.as_ref().map(|bucket| instant_text(Some(bucket))),
        customer: row.customer,
        subscription: row.subscription,
        meter: row.meter,
        price: row.price,
        group: row.group.into_iter().collect(),
        count: row.count,
        quantity: row.quantity,
        amount: row.amount,
    }
}

fn table(rows: &[Row], split: bool, zone: &str) -> Grid {
    let when = format!("{} ({zone})", if split { "FROM" } else { "PERIOD FROM" });
    let mut grid = Grid::new(&["CUSTOMER", &when, "PRICE", "GROUP", ">EVENTS", ">QUANTITY", ">AMOUNT"]);
    for row in rows {
        grid.row([
            &row.customer,
            &local(row.bucket.as_ref().unwrap_or(&row.period), zone),
            &row.price,
            &group_text(&row.group),
            &grouped(&row.count.to_string()),
            &grouped(&row.quantity),
            &grouped(&row.amount),
        ]);
    }
    grid
}

/// `a=1 b=2`.
pub(crate) fn group_text(group: &BTreeMap<String, String>) -> String {
    group.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

async fn outcomes(client: &Client, arguments: Arguments) -> Result {
    let request = v1::OutcomesRequest {
        customer: arguments.customer.unwrap_or_default(),
        kinds: arguments.kind,
        page_size: PAGE,
        page_token: String::new(),
    };
    let filtered = !request.customer.is_empty() || !request.kinds.is_empty();
    // Each fate of an event is one outcome: without a wish for kinds, what was parked and explained since is left out.
    let all = request.kinds.is_empty();
    let (outcomes, _) = pages(usize::MAX, async |page_token| {
        let page = client.usage().outcomes(v1::OutcomesRequest { page_token, ..request.clone() }).await;
        answer(page).map(|page| (page.outcomes, page.next_page_token))
    })
    .await?;
    let parsed = outcomes.iter().map(|outcome| serde_json::from_str(outcome).map_err(Failure::refused));
    let mut outcomes: Vec<serde_json::Value> = parsed.collect::<Result<_>>()?;
    if all {
        outcomes = unexplained(outcomes);
    }
    if arguments.format.json {
        return output::json(&serde_json::json!({"outcomes": outcomes}));
    }
    let mut grid = Grid::new(&["KIND", "CUSTOMER", "TYPE", "TIME", "ID", "REASON"]);
    for outcome in &outcomes {
        let field = |name: &str| outcome.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let event_type = if outcome.get("type").is_some() { field("type") } else { field("event_type") };
        grid.row([field("kind"), field("customer"), event_type, field("time"), field("id"), field("reason")]);
    }
    grid.print(if filtered { "No arrival matches the filter." } else { "Every arrival was charged." })
}

/// Leaves out parked events that have another fate by now, and that they were explained.
fn unexplained(outcomes: Vec<serde_json::Value>) -> Vec<serde_json::Value> {
    let text = |outcome: &serde_json::Value, name: &str| {
        outcome.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    // An arrival by its place: of one id there may be several.
    let event = |outcome: &serde_json::Value| {
        (text(outcome, "customer"), outcome.get("event").map(ToString::to_string).unwrap_or_default())
    };
    let decided: BTreeSet<(String, String)> =
        outcomes.iter().filter(|outcome| text(outcome, "kind") != "parked").map(event).collect();
    let stands = |outcome: &serde_json::Value| match text(outcome, "kind").as_str() {
        "unparked" => false,
        "parked" => !decided.contains(&event(outcome)),
        _ => true,
    };
    outcomes.into_iter().filter(stands).collect()
}

async fn preview(client: &Client, arguments: Arguments) -> Result {
    let request = v1::PreviewRequest { customer: arguments.customer.unwrap_or_default() };
    let v1::PreviewResponse { invoices, test } = answer(client.usage().preview(request).await)?;
    let documents = invoices.into_iter().map(|document| Shown::preview(document, test)).collect();
    super::invoices::print_documents(documents, arguments.format)
}
