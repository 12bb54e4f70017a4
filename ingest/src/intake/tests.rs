//! The rules that an event is held to, one refusal each.

use super::*;
use crate::catalogs::{Catalogs, Tenant};
use pricing::meter::{Aggregate, LevelUnit};
use pricing::time::Span;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const NOW: i64 = 1_768_478_400_000_000_000;

fn meter(event: &str, aggregate: Aggregate, value: Option<&str>, model: Option<&str>) -> Meter {
    let filter = model.map(|model| (Arc::from("model"), vec![Arc::from(model)]));
    Meter {
        id: "m".parse().unwrap(),
        event: Arc::from(event),
        aggregate,
        value: value.map(Arc::from),
        filter: pricing::group::Filter(filter.into_iter().collect::<BTreeMap<_, _>>()),
        group_by: Vec::new(),
    }
}

fn compiled() -> Arc<Compiled> {
    let meters = vec![
        meter("use", Aggregate::Sum, Some("n"), None),
        meter("large", Aggregate::Max, Some("n"), Some("large")),
        meter("who", Aggregate::Unique, Some("user"), None),
        meter("seats", Aggregate::TimeWeighted(LevelUnit::Day), Some("n"), None),
        meter("count", Aggregate::Count, None, None),
    ];
    let (catalogs, tenant) = (Catalogs::new(), TenantId::new("acme").unwrap());
    let (past, future) = (Span::from_days(40), Span::from_seconds(300));
    catalogs.put(tenant.clone(), Tenant { meters, past, future, events_per_second: 0 });
    catalogs.of(&tenant)
}

fn draft<'a>() -> Draft<'a> {
    Draft { id: "e-1", source: "api", event_type: "use", customer: "c-1", time: SentTime::Absent }
}

/// An event with its properties.
type Sent<'a> = (Draft<'a>, Vec<(&'a str, &'a str)>);
/// Shard, id and properties, and time.
type Taken = (u16, String, i64);
/// Index, code and field.
type Refused = (u32, String, String);

/// Runs events through an intake and shows what was staged and what refused.
fn run(events: &[Sent<'_>]) -> (Vec<Taken>, Vec<Refused>) {
    let (tenant, compiled, limits) = (TenantId::new("acme").unwrap(), compiled(), Limits::default());
    let shards = ShardCount::new(4).unwrap();
    let mut intake = Intake::new(&tenant, &compiled, &limits, Instant::from_nanos(NOW), shards);
    for (draft, properties) in events {
        intake.properties().extend(properties);
        intake.event(*draft);
    }
    assert_eq!(intake.count(), events.len());
    let (staged, rejected) = intake.finish();
    let mut seen = Vec::new();
    for shard in shards.all() {
        for event in staged.of_shard(shard) {
            assert_eq!(shards.of(&tenant, event.customer.as_bytes()), shard);
            assert!(event.properties.is_sorted_by(|a, b| a.0 < b.0));
            seen.push((shard.0, format!("{} {:?}", event.id, event.properties), event.time.nanos()));
        }
    }
    assert_eq!(seen.len(), staged.count());
    (seen, rejected.into_iter().map(|r| (r.index, r.code, r.field)).collect())
}

#[test]
fn every_rule_has_its_code() {
    let long = "x".repeat(2_000);
    let names: Vec<String> = (0..65).map(|n| format!("p{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let at = |nanos: i64| SentTime::At(Instant::from_nanos(nanos));
    let (day, second) = (86_400_000_000_000, 1_000_000_000);
    let ok = vec![("n", "1")];
    let base = draft();
    let cases = [
        (Draft { id: "", ..base }, ok.clone(), Code::IdMissing, "id"),
        (Draft { id: &long[..129], ..base }, ok.clone(), Code::IdTooLong, "id"),
        (Draft { source: "", ..base }, ok.clone(), Code::SourceMissing, "source"),
        (Draft { source: &long[..257], ..base }, ok.clone(), Code::SourceTooLong, "source"),
        (Draft { event_type: "", ..base }, ok.clone(), Code::TypeMissing, "type"),
        (Draft { event_type: &long[..129], ..base }, ok.clone(), Code::TypeTooLong, "type"),
        (Draft { customer: "", ..base }, ok.clone(), Code::CustomerMissing, "customer"),
        (Draft { customer: &long[..129], ..base }, ok.clone(), Code::CustomerInvalid, "customer"),
        (Draft { customer: "a b", ..base }, ok.clone(), Code::CustomerInvalid, "customer"),
        (Draft { time: SentTime::OutOfRange, ..base }, ok.clone(), Code::TimeInvalid, "time"),
        (Draft { time: at(NOW - 40 * day - 1), ..base }, ok.clone(), Code::TimeTooOld, "time"),
        (Draft { time: at(NOW + 300 * second + 1), ..base }, ok.clone(), Code::TimeInFuture, "time"),
        (base, many, Code::TooManyProperties, "properties"),
        (base, vec![("", "x")], Code::PropertyNameMissing, "properties"),
        (base, vec![(&long[..129], "x")], Code::PropertyNameTooLong, "properties"),
        (base, vec![("p", &long[..1_025])], Code::PropertyValueTooLong, "properties.p"),
        (Draft { id: "e\0", ..base }, ok.clone(), Code::TextHasNul, "id"),
        (Draft { source: "\0", ..base }, ok.clone(), Code::TextHasNul, "source"),
        (Draft { event_type: "u\0se", ..base }, ok.clone(), Code::TextHasNul, "type"),
        (Draft { customer: "c\0", ..base }, ok.clone(), Code::CustomerInvalid, "customer"),
        (base, vec![("n", "1"), ("p\0", "x")], Code::TextHasNul, "properties"),
        (base, vec![("n", "1"), ("p", "x\0")], Code::TextHasNul, "properties.p"),
        (base, vec![("m", "1")], Code::ValueMissing, "properties.n"),
        (base, vec![("n", "1e3")], Code::ValueNotDecimal, "properties.n"),
        (base, vec![("n", "")], Code::ValueNotDecimal, "properties.n"),
        (base, vec![("n", "0.1234567891")], Code::ValueTooPrecise, "properties.n"),
        (base, vec![("n", "999999999999999999999999999999999999")], Code::ValueTooLarge, "properties.n"),
        (Draft { event_type: "large", ..base }, vec![("model", "large")], Code::ValueMissing, "properties.n"),
        (Draft { event_type: "who", ..base }, vec![], Code::ValueMissing, "properties.user"),
        (Draft { event_type: "seats", ..base }, vec![("n", "many")], Code::ValueNotDecimal, "properties.n"),
    ];
    // Each between two good neighbours.
    let mut events = Vec::new();
    for (draft, properties, ..) in &cases {
        events.push((base, ok.clone()));
        events.push((*draft, properties.clone()));
    }
    events.push((base, ok.clone()));
    let (staged, rejected) = run(&events);
    assert_eq!(staged.len(), cases.len() + 1);
    let wanted = cases.iter().enumerate().map(|(at, (_, _, code, field))| {
        (u32::try_from(2 * at + 1).unwrap(), code.as_str().to_owned(), (*field).to_owned())
    });
    assert_eq!(rejected, wanted.collect::<Vec<_>>());
}

#[test]
fn what_is_at_a_limit_passes() {
    let long = "x".repeat(1_024);
    let (base, at) = (draft(), |nanos: i64| SentTime::At(Instant::from_nanos(nanos)));
    let (day, second) = (86_400_000_000_000, 1_000_000_000);
    let events = [
        (Draft { id: &long[..128], source: &long[..256], customer: &long[..128], ..base }, vec![("n", "-0.123456789")]),
        (Draft { event_type: &long[..128], customer: "kundin-ü", ..base }, vec![(&long[..128], &long[..])]),
        (Draft { time: at(NOW - 40 * day), ..base }, vec![("n", "1.000000000000")]),
        (Draft { time: at(NOW + 300 * second), ..base }, vec![("n", "+1")]),
        // No meter reads it, or its filter does not admit it.
        (Draft { event_type: "unknown", ..base }, vec![("n", "many")]),
        (Draft { event_type: "large", ..base }, vec![("model", "small")]),
        (Draft { event_type: "count", ..base }, vec![]),
        (Draft { event_type: "who", ..base }, vec![("user", "")]),
    ];
    let (staged, rejected) = run(&events);
    assert_eq!((staged.len(), rejected), (8, vec![]));
    let mut times: Vec<i64> = staged.iter().map(|(_, _, time)| *time).collect();
    times.sort_unstable();
    assert_eq!((times[0], times[7]), (NOW - 40 * day, NOW + 300 * second));
}

proptest! {
    /// As a map would: sorted by name, the last of a name stays.
    #[test]
    fn properties_are_a_map(sent in prop::collection::vec(("[abc]{0,2}", "[0-9]{1,2}"), 0..30)) {
        let mut properties: Vec<Property<'_>> = vec![("kept", "before")];
        properties.extend(sent.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        sort(&mut properties, 1);
        let map: BTreeMap<&str, &str> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        prop_assert_eq!(&properties[1..], &map.into_iter().collect::<Vec<_>>()[..]);
        prop_assert_eq!(properties[0], ("kept", "before"));
    }
}
