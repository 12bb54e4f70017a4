//! `farthing audit`: what was changed in the books, when and by whom.

use crate::client::{Client, Connection, answer, instant_text, pages, timestamp};
use crate::failure::Result;
use crate::local::moment;
use crate::output::{self, Format, Grid};
use clap::Args;
use pricing::time::Instant;
use proto::v1;
use serde_json::Value as Json;

const AFTER: &str = "\
Examples:
  farthing audit                                         the latest changes
  farthing audit --collection customer --document c-1    all that was done to one customer
  farthing audit --collection bill --from 2026-02-01T00:00:00Z --json";

/// The page that is asked for at once.
const PAGE: u32 = 200;
/// How much of a value a table shows.
const VALUE_MAX: usize = 30;

/// Lists changes of the books, the newest first.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// Only documents of this kind: customer, subscription, plan, bill, invoice, …
    #[arg(long, value_name = "KIND")]
    collection: Option<String>,
    /// Only the document with this id.
    #[arg(long, value_name = "ID")]
    document: Option<String>,
    /// Only changes at this log time or later.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Instant>,
    /// Only changes before this log time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Instant>,
    /// What all tenants share, such as keys.
    #[arg(long)]
    installation: bool,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    let mut client = Client::connect(&arguments.connection).await?.audit();
    let request = v1::ListAuditRequest {
        collection: arguments.collection.unwrap_or_default(),
        document: arguments.document.unwrap_or_default(),
        from: arguments.from.map(timestamp),
        until: arguments.until.map(timestamp),
        installation: arguments.installation,
        page_size: PAGE,
        page_token: String::new(),
    };
    let (entries, _) = pages(arguments.limit, async |page_token| {
        let page = client.list(v1::ListAuditRequest { page_token, ..request.clone() }).await;
        answer(page).map(|page| (page.entries, page.next_page_token))
    })
    .await?;
    if arguments.format.json {
        let entries: Vec<Json> = entries.iter().map(to_json).collect();
        return output::json(&serde_json::json!({ "entries": entries }));
    }
    let mut grid = Grid::page(&["TIME", "WHO", "ACTION", "DOCUMENT", "CHANGE"]);
    for entry in &entries {
        let document = format!("{} {}", entry.collection, entry.document);
        grid.row([&*instant_text(entry.time.as_ref()), &entry.who, &entry.action, &document, &change(entry)]);
    }
    grid.print("No changes.")
}

fn to_json(entry: &v1::AuditEntry) -> Json {
    serde_json::json!({
        "number": entry.number, "time": instant_text(entry.time.as_ref()), "who": entry.who, "action": entry.action,
        "collection": entry.collection, "document": entry.document,
        "before": read(&entry.before), "after": read(&entry.after),
    })
}

fn read(body: &str) -> Json {
    serde_json::from_str(body).unwrap_or_default()
}

/// What differs, in a line.
fn change(entry: &v1::AuditEntry) -> String {
    let (before, after) = match (read(&entry.before), read(&entry.after)) {
        (Json::Null, _) => return "made".to_owned(),
        (_, Json::Null) => return "removed".to_owned(),
        (Json::Object(before), Json::Object(after)) => (before, after),
        _ => return "changed".to_owned(),
    };
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let words = changed.map(|name| match (short(before.get(name)), short(after.get(name))) {
        (Some(before), Some(after)) => format!("{name}: {before} → {after}"),
        _ => name.clone(),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A value that a line has room for.
fn short(value: Option<&Json>) -> Option<String> {
    let text = match value {
        None | Some(Json::Null) => "none".to_owned(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(_) | Json::Object(_)) => return None,
        Some(other) => other.to_string(),
    };
    (text.chars().count() <= VALUE_MAX).then_some(text)
}
