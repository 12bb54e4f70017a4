//! Records for tests: one tenant that sells one plan with every kind of price.

use bytes::Bytes;
use pricing::id::{CustomerId, TenantId};
use pricing::time::Instant;
use serde_json::json;
use storage::record::{CatalogRecord, Control, CustomerRecord, EventRef, EventsBuilder, encode_control, payload_hash};
use storage::shard::{Shard, ShardCount};

/// An event, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) customer: String,
    pub(crate) event_type: String,
    pub(crate) source: String,
    pub(crate) id: String,
    pub(crate) time: Instant,
    pub(crate) properties: Vec<(String, String)>,
}

pub(crate) const KEY: &str = "000102030405060708090a0b0c0d0e0f";

pub(crate) fn time(text: &str) -> Instant {
    text.parse().expect("a time")
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").expect("an id")
}

pub(crate) fn count(shards: u16) -> ShardCount {
    ShardCount::new(shards).expect("at least one")
}

pub(crate) fn open(shard: u16, shards: u16) -> Bytes {
    encode_control(&Control::Open { shard: Shard(shard), shards: count(shards), key: KEY.to_owned(), version: None })
}

pub(crate) fn tick(text: &str) -> Bytes {
    encode_control(&Control::Tick { time: time(text) })
}

fn each(each: &str) -> serde_json::Value {
    json!({"each": each, "per": "1"})
}

/// One tenant's catalog with meters of every aggregate, and plan `all` with every curve.
pub(crate) fn catalog(version: u64) -> CatalogRecord {
    let meters = json!([
        {"id": "calls", "event": "call", "aggregate": "count"},
        {"id": "tokens", "event": "call", "aggregate": "sum", "value": "tokens", "group_by": ["region"]},
        {"id": "peak", "event": "call", "aggregate": "max", "value": "tokens"},
        {"id": "users", "event": "call", "aggregate": "unique", "value": "user"},
        {"id": "size", "event": "call", "aggregate": "latest", "value": "tokens"},
        {"id": "seats", "event": "seats", "aggregate": {"time_weighted": "day"}, "value": "seats", "group_by": ["team"]},
        {"id": "large", "event": "job", "aggregate": "count", "where": {"size": ["large"]}},
        {"id": "small", "event": "job", "aggregate": "count", "where": {"size": ["small"]}},
    ]);
    let named = |names: &[&str]| -> serde_json::Map<String, serde_json::Value> {
        let all = meters.as_array().expect("an array").iter();
        all.filter(|meter| names.contains(&meter["id"].as_str().unwrap_or("")))
            .map(|meter| (meter["id"].as_str().unwrap_or("").to_owned(), meter.clone()))
            .collect()
    };
    let tiers = json!([
        {"up_to": "5", "each": "1", "per": "3", "flat": "0.5"},
        {"up_to": null, "each": "0.25", "per": "1", "flat": "2"},
    ]);
    let dimensional = json!({"dimensional": {
        "by": ["region"],
        "rows": [{"is": ["eu"], "each": "0.1", "per": "1"}, {"is": ["us"], "each": "0.2", "per": "7"}],
        "default": each("0.3"),
    }});
    let all = json!({
        "plan": "all", "version": 1, "currency": "USD", "every": "month",
        "prices": [
            {"id": "p-calls", "meter": "calls", "curve": {"per_unit": each("0.01")}, "included": "3", "cap": "1"},
            {"id": "p-tokens", "meter": "tokens", "curve": {"graduated": tiers}, "included": "1.5"},
            {"id": "p-volume", "meter": "tokens", "curve": {"volume": tiers}, "per_group": true},
            {"id": "p-table", "meter": "tokens", "curve": dimensional, "cap": "3"},
            {"id": "p-share", "meter": "tokens", "curve":
                {"percentage": {"rate": "0.029", "fixed": "0.3", "min": "0.4", "max": "1"}}},
            {"id": "p-peak", "meter": "peak", "curve": {"stairstep": [
                {"up_to": "4", "amount": "1"}, {"up_to": null, "amount": "10"}]}},
            {"id": "p-users", "meter": "users", "curve": {"package": {"size": "2", "amount": "5"}}},
            {"id": "p-size", "meter": "size", "curve": {"per_unit": each("1")}},
            {"id": "p-seats", "meter": "seats", "curve": {"graduated": tiers}, "included": "10"},
            {"id": "p-large", "meter": "large", "curve": {"per_unit": each("0.000000000000001")}},
        ],
        "meters": named(&["calls", "tokens", "peak", "users", "size", "seats", "large"]),
    });
    let record = json!({
        "tenant": "acme", "version": version, "meters": meters, "plans": if version == 1 { json!([all]) } else { json!([]) },
        "past": "40d", "future": "5m", "grace": "1h",
    });
    serde_json::from_value(record).expect("a catalog")
}

/// A term of plan `all` from a time, by calendar months in UTC.
pub(crate) fn term(from: &str, until: Option<&str>) -> serde_json::Value {
    json!({
        "from": from, "until": until, "plan": {"plan": "all", "version": 1},
        "grid": {"every": "month", "anchor": "calendar", "zone": "UTC"},
    })
}

pub(crate) fn subscription(id: &str, customer: &str, first: &str, terms: &[serde_json::Value]) -> serde_json::Value {
    json!({"id": id, "customer": customer, "first_billed": first, "terms": terms})
}

pub(crate) fn customer(name: &str, version: u64, subscriptions: &[serde_json::Value]) -> CustomerRecord {
    let record = json!({
        "tenant": "acme", "customer": name, "version": version, "subscriptions": subscriptions,
        "at": "2026-01-01T00:00:00Z",
    });
    serde_json::from_value(record).expect("a customer")
}

/// A customer on plan `all`, billed from 1 January 2026.
pub(crate) fn simple(name: &str) -> Bytes {
    let start = "2026-01-01T00:00:00Z";
    let subscription = subscription(&format!("s-{name}"), name, start, &[term(start, None)]);
    encode_control(&Control::Customer(customer(name, 1, &[subscription])))
}

pub(crate) fn catalog_record(version: u64) -> Bytes {
    encode_control(&Control::Catalog(catalog(version)))
}

pub(crate) fn customer_id(name: &str) -> CustomerId {
    CustomerId::new(name).expect("an id")
}

/// An event of type `call` that every price reads.
pub(crate) fn call(customer: &str, id: &str, at: &str, tokens: &str) -> Event {
    event(customer, "call", id, at, &[("region", "eu"), ("tokens", tokens), ("user", "u1")])
}

pub(crate) fn event(customer: &str, event_type: &str, id: &str, at: &str, properties: &[(&str, &str)]) -> Event {
    Event {
        customer: customer.to_owned(),
        event_type: event_type.to_owned(),
        source: "test".to_owned(),
        id: id.to_owned(),
        time: time(at),
        properties: properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

/// A record of events.
pub(crate) fn record<'a>(events: impl IntoIterator<Item = &'a Event>) -> Bytes {
    let mut builder = EventsBuilder::default();
    let tenant = tenant();
    for event in events {
        let properties: Vec<(&str, &str)> =
            event.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        builder.push(&EventRef {
            tenant: &tenant,
            customer: &event.customer,
            event_type: &event.event_type,
            source: &event.source,
            id: &event.id,
            time: event.time,
            payload: payload_hash(&event.event_type, Some(event.time), &properties),
            properties: &properties,
        });
    }
    builder.finish()
}
