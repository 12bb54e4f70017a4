//! The audit log: every change of the books, the newest first.

use crate::answer::Answer;
use crate::html::{self, Page, Section};
use crate::pages::catalog::changed;
use crate::visit::{Fault, Visit};
use crate::words;
use maud::{Markup, html};
use pricing::catalog::{Entity, Kind, differences};
use proto::v1;
use proto::v1::audit_service_server::AuditService;
use serde_json::Value;
use std::collections::BTreeSet;
use storage::keyring::Scope;
use tonic::Request;

const PATH: &str = "/console/audit";
/// Changes on a page.
const PAGE: u32 = 50;
/// Longer values are cut.
const VALUE_CHARACTERS_MAX: usize = 120;
const KINDS: [Kind; 8] = [
    Kind::Settings,
    Kind::Meter,
    Kind::Plan,
    Kind::Seller,
    Kind::Tax,
    Kind::Customer,
    Kind::Subscription,
    Kind::Credit,
];

pub(crate) async fn page(visit: Visit) -> Result<Answer, Fault> {
    let (collection, document) = (visit.query("collection"), visit.query("document"));
    let asked = v1::ListAuditRequest {
        collection: collection.to_owned(),
        document: document.to_owned(),
        page_size: PAGE,
        page_token: visit.query("page").to_owned(),
        ..Default::default()
    };
    // The scope that the service asks for; reading is all that this page does with it.
    let found = AuditService::list(&visit.acting(Scope::Finance), Request::new(asked)).await?.into_inner();
    let body = html! {
        h1 { "Audit log" }
        p.says { "Who changed what, and when by log time. Nothing here is ever changed or removed." }
        form.filter action=(PATH) {
            label { "Kind" input name="collection" value=(collection) placeholder="bill" autocomplete="off"; }
            label { "Id" input name="document" value=(document) autocomplete="off"; }
            button { "Show" }
        }
        @if found.entries.is_empty() { p.calm { "Nothing." } } @else { (html::table("Audit log", &rows(&found.entries))) }
        (html::next(PATH, &[("collection", collection), ("document", document)], &found.next_page_token))
    };
    Ok(Page::new("Audit log", Section::Audit, body).into())
}

fn rows(entries: &[v1::AuditEntry]) -> Markup {
    let time = |entry: &v1::AuditEntry| words::instant(entry.time.as_ref()).map(words::moment).unwrap_or_default();
    html! {
        thead { tr { th.n scope="col" { "No." } th scope="col" { "Log time" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "Change" } } }
        tbody {
            @for entry in entries {
                tr {
                    td.n { (entry.number) }
                    td { (time(entry)) }
                    td { (entry.who) }
                    td.id { (entry.action) " " (entry.collection) br; (named(entry)) }
                    td.id { (change(entry)) }
                }
            }
        }
    }
}

/// The document, with the way to it where there is one.
fn named(entry: &v1::AuditEntry) -> Markup {
    let to = match entry.collection.as_str() {
        "bill" | "invoice" => Some(html::bill_link(&entry.document)),
        "customer" => Some(html::customer_link(&entry.document)),
        _ => None,
    };
    html! { @match to { Some(to) => { a data-row href=(to) { (entry.document) } } None => { (entry.document) } } }
}

fn change(entry: &v1::AuditEntry) -> Markup {
    let lines = match (entry.before.as_str(), entry.after.as_str()) {
        ("", _) => vec!["made".to_owned()],
        (_, "") => vec!["removed".to_owned()],
        (before, after) => entity(&entry.collection, before, after).unwrap_or_else(|| fields(before, after)),
    };
    html! { @for line in &lines { div { (changed(line)) } } }
}

/// What changed of an entity of the catalog, in the catalog's own words.
fn entity(collection: &str, before: &str, after: &str) -> Option<Vec<String>> {
    let kind = KINDS.into_iter().find(|kind| kind.word() == collection)?;
    let (before, after) = (Entity::from_json(kind, before).ok()?, Entity::from_json(kind, after).ok()?);
    Some(differences(&before, &after)).filter(|lines| !lines.is_empty())
}

/// Which fields of another document changed.
fn fields(before: &str, after: &str) -> Vec<String> {
    let read = |text: &str| match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (read(before), read(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differing.map(|name| format!("{name}: {} → {}", shown(before.get(name)), shown(after.get(name)))).collect()
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let short: String = text.chars().take(VALUE_CHARACTERS_MAX).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
