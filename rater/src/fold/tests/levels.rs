//! Levels that no price takes when they come, and levels that cannot be settled.

use super::{Run, offset, restored};
use crate::sample::{self, Event, event};
use OutcomeKind::{Rejected, Unpriced};
use pricing::group::Group;
use pricing::meter::{Levels, Moment};
use pricing::number::Quantity;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use storage::output::{ChargeRow, Manifest, OutcomeKind};
use storage::record::{Control, encode_control};

const START: &str = "2026-01-01T00:00:00Z";
const FEBRUARY: &str = "2026-02-01T00:00:00Z";

fn quantity(text: &str) -> Quantity {
    text.parse().expect("a quantity")
}

fn seats(id: &str, at: &str, seats: &str) -> Event {
    event("c", "seats", id, at, &[("seats", seats), ("team", "a")])
}

fn weighted(manifest: &Manifest) -> Quantity {
    let entries = manifest.entries.iter().filter(|entry| entry.price.as_str() == "p-seats");
    entries.fold(Quantity::ZERO, |sum, entry| sum.add(entry.quantity).expect("fits"))
}

/// `name` sells what plan `all` sells, but only `prices`; the catalog has `meters` more.
fn catalog(name: &str, prices: &[Value], meters: &[Value]) -> bytes::Bytes {
    let mut catalog = serde_json::to_value(sample::catalog(1)).expect("JSON");
    let all = catalog["plans"][0].clone();
    let mut other = all.clone();
    other["plan"] = json!(name);
    other["prices"] = json!(prices);
    for meter in meters {
        other["meters"][meter["id"].as_str().expect("an id")] = meter.clone();
    }
    catalog["plans"] = json!([all, other]);
    catalog["meters"].as_array_mut().expect("meters").extend(meters.iter().cloned());
    encode_control(&Control::Catalog(serde_json::from_value(catalog).expect("a catalog")))
}

/// Customer `c` on plan `name` in January, and on plan `all` from February on, events of region `eu` only if `is_eu`.
fn moves(name: &str, is_eu: bool) -> bytes::Bytes {
    let (mut before, mut after) = (sample::term(START, Some(FEBRUARY)), sample::term(FEBRUARY, None));
    before["plan"]["plan"] = json!(name);
    if is_eu {
        (before["where"], after["where"]) = (json!({"region": ["eu"]}), json!({"region": ["eu"]}));
    }
    let subscription = sample::subscription("s-c", "c", START, &[before, after]);
    encode_control(&Control::Customer(sample::customer("c", 1, &[subscription])))
}

fn run(catalog: &bytes::Bytes, is_eu: bool) -> Run {
    let mut run = Run::new();
    for record in [catalog.clone(), moves("bare", is_eu), sample::tick("2026-01-11T00:00:00Z")] {
        run.fold(&record);
    }
    run
}

#[test]
fn a_level_that_another_price_charges_is_kept_for_the_plan_to_come() {
    let often = json!({"id": "often", "event": "seats", "aggregate": "count"});
    let price = json!({"id": "p-often", "meter": "often", "curve": {"per_unit": {"each": "1", "per": "1"}}});
    for is_eu in [false, true] {
        let mut run = run(&catalog("bare", std::slice::from_ref(&price), std::slice::from_ref(&often)), is_eu);
        let mut set = seats("1", "2026-01-11T00:00:00Z", "2");
        set.properties.insert(0, ("region".to_owned(), "eu".to_owned()));
        assert_eq!(run.events(&[set]).charges.rows.len(), 1, "what counts it");
        assert_eq!(run.fold.counters().charged, 1);
        run.fold = restored(&run.fold);
        run.tick("2026-02-01T01:00:00Z");
        let february = run.tick("2026-03-01T01:00:00Z").manifests[0].clone();
        assert_eq!(weighted(&february), quantity("56"), "28 days of 2, where: {is_eu}");
    }
}

#[test]
fn a_level_outlives_another_unit_of_its_meter_and_each_period_weighs_it_in_its_own() {
    let hourly = json!({
        "id": "seats", "event": "seats", "aggregate": {"time_weighted": "hour"}, "value": "seats", "group_by": ["team"],
    });
    let price = json!({"id": "p-seats", "meter": "seats", "curve": {"per_unit": {"each": "1", "per": "1"}}});
    let mut run = run(&catalog("bare", &[price], &[hourly]), false);
    run.events(&[seats("1", "2026-01-11T00:00:00Z", "2")]);
    run.fold = restored(&run.fold);
    let january = run.tick("2026-02-01T01:00:00Z").manifests[0].clone();
    assert_eq!(weighted(&january), quantity("1008"), "21 days of 24 hours");
    let february = run.tick("2026-03-01T01:00:00Z").manifests[0].clone();
    assert_eq!(weighted(&february), quantity("56"), "28 days");
    run.events(&[seats("2", "2026-01-21T00:00:00Z", "3")]);
    let mut again = run.tick("2026-03-01T02:00:00Z").manifests.clone();
    again.sort_by_key(|manifest| manifest.period.start);
    let again: Vec<_> = again.iter().map(weighted).collect();
    assert_eq!(again, [quantity("1272"), quantity("84")], "late, in both");
}

#[test]
fn a_late_level_that_no_price_takes_changes_closed_periods_that_price_it() {
    let mut run = run(&catalog("bare", &[], &[]), false);
    run.events(&[seats("1", "2026-01-11T00:00:00Z", "2")]);
    assert_eq!(run.kinds(), [(Unpriced, "1".to_owned())]);
    run.tick("2026-02-01T01:00:00Z");
    assert_eq!(weighted(&run.tick("2026-03-01T01:00:00Z").manifests[0]), quantity("56"));
    let output = run.events(&[seats("2", "2026-01-20T00:00:00Z", "3")]).clone();
    assert_eq!(output.outcomes[0].kind, Unpriced, "January sells none");
    let of_nothing = |row: &&ChargeRow| row.quantity.is_zero();
    let (levels, settled): (Vec<&ChargeRow>, Vec<&ChargeRow>) = output.charges.rows.iter().partition(of_nothing);
    assert_eq!(settled.iter().map(|row| row.quantity).collect::<Vec<_>>(), [quantity("28")]);
    let begins = |start, level| (sample::time(start), Some(quantity(level)));
    let levels: Vec<_> = levels.iter().map(|row| (row.time, row.level)).collect();
    assert_eq!(levels, [begins(FEBRUARY, "3"), begins("2026-03-01T00:00:00Z", "3")], "what both begin with, again");
    run.fold = restored(&run.fold);
    let renewed = run.tick("2026-03-01T02:00:00Z").manifests.clone();
    assert_eq!((renewed.len(), weighted(&renewed[0]), renewed[0].revision), (1, quantity("84"), 2));
}

#[test]
fn a_level_that_one_meter_cannot_read_leaves_no_trace() {
    let rooms = json!({"id": "z-rooms", "event": "seats", "aggregate": {"time_weighted": "day"}, "value": "rooms"});
    let mut run = run(&catalog("bare", &[], &[rooms]), false);
    run.events(&[seats("1", "2026-01-11T00:00:00Z", "2")]);
    assert_eq!(run.kinds(), [(Rejected, "1".to_owned())]);
    assert!(run.fold.customers[0].levels.is_empty());
}

/// A level that fits the last day of January, and no whole month.
fn too_much() -> Run {
    let mut run = Run::sold("2026-01-31T00:00:00Z");
    run.events(&[seats("1", "2026-01-31T00:00:00Z", "300000000000000")]);
    assert_eq!(run.fold.counters().charged, 1, "it can be priced for the period that it comes in");
    assert_eq!(run.tick("2026-02-01T01:00:00Z").manifests[0].parked, 0);
    let output = run.tick("2026-03-01T01:00:00Z").clone();
    assert_eq!((output.manifests[0].revision, output.manifests[0].parked), (1, 1), "it holds the bill");
    assert_eq!(weighted(&output.manifests[0]), Quantity::ZERO);
    let outcome = &output.outcomes[0];
    assert_eq!((outcome.kind, outcome.event.index, outcome.customer.as_str()), (Rejected, u32::MAX, "c"));
    assert_eq!(outcome.properties, [("team".to_owned(), "a".to_owned())]);
    assert!(outcome.reason.contains("price p-seats of subscription s-c cannot be settled"), "{}", outcome.reason);
    run.fold = restored(&run.fold);
    run
}

#[test]
fn what_cannot_be_settled_holds_the_bill_until_it_is_corrected() {
    let mut run = too_much();
    let output = run.events(&[seats("2", FEBRUARY, "1")]).clone();
    assert!(output.charges.rows.iter().any(|row| row.quantity == quantity("28")));
    let february = run.tick("2026-03-01T02:00:00Z").manifests[0].clone();
    assert_eq!((february.revision, february.parked, weighted(&february)), (2, 0, quantity("28")));
}

#[test]
fn what_cannot_be_settled_holds_the_bill_until_it_is_waived() {
    let mut run = too_much();
    let held = run.fold.next().0 - 1;
    let waive = |seen| {
        encode_control(&Control::Waive {
            tenant: sample::tenant(),
            customer: sample::customer_id("c"),
            from: sample::time(FEBRUARY),
            until: sample::time("2026-03-01T00:00:00Z"),
            reason: "seen".to_owned(),
            seen: Some(offset(seen)),
        })
    };
    run.fold(&waive(held - 1));
    assert!(run.tick("2026-03-01T02:00:00Z").manifests.is_empty(), "nobody saw it before it was there");
    run.fold(&waive(held));
    let february = run.tick("2026-03-01T03:00:00Z").manifests[0].clone();
    assert_eq!((february.revision, february.parked, weighted(&february)), (2, 0, Quantity::ZERO));
    assert_eq!(run.tick("2026-04-01T01:00:00Z").manifests[0].parked, 1, "March is another bill");
}

/// What rows say of a period's levels, by price and group: at each moment the newest row counts.
fn said(run: &Run, period: &str) -> BTreeMap<(String, Group), Levels> {
    let mut said = BTreeMap::new();
    for rows in run.outputs.iter().map(|output| &output.charges) {
        for (at, row) in rows.rows.iter().enumerate() {
            let (series, source) = (&rows.series[row.series as usize], &rows.sources[row.source as usize]);
            let Some(level) = row.level.filter(|_| series.start == sample::time(period)) else { continue };
            let levels: &mut Levels = said.entry((series.price.to_string(), series.group.clone())).or_default();
            levels.insert(Moment { time: row.time, id: rows.id(at), source }, level);
        }
    }
    said
}

const DAY: i64 = 86_400_000_000_000;

#[test]
fn the_rows_of_a_period_tell_its_levels_while_it_runs() {
    let mut run = Run::sold("2026-01-10T00:00:00Z");
    run.events(&[seats("1", "2026-01-10T00:00:00Z", "2")]);
    run.tick("2026-01-31T23:59:59Z");
    run.fold = restored(&run.fold);
    assert!(said(&run, FEBRUARY).is_empty(), "nothing is said before its time: its plan may change");
    // Long before January closes.
    run.tick(FEBRUARY);
    let weighed = |run: &Run, period, to| {
        let said = said(run, period);
        assert_eq!(said.len(), 1, "one price weighs seats, of one team: {said:?}");
        said.values().next().expect("levels").weighted(sample::time(period), sample::time(to), DAY).expect("fits")
    };
    assert_eq!(weighed(&run, FEBRUARY, "2026-02-11T00:00:00Z"), quantity("20"));
    assert_eq!(weighed(&run, START, FEBRUARY), quantity("44"));
    run.tick("2026-02-05T00:00:00Z");
    // Late, into January; February's own change; and one that is earlier than both, and decides nothing of February.
    run.events(&[seats("2", "2026-01-31T00:00:00Z", "5"), seats("3", "2026-02-04T00:00:00Z", "1")]);
    run.events(&[seats("4", "2026-01-30T00:00:00Z", "7")]);
    run.fold = restored(&run.fold);
    assert_eq!(weighed(&run, FEBRUARY, "2026-02-05T00:00:00Z"), quantity("16"), "3 days of 5, one of 1");
    assert_eq!(weighed(&run, START, FEBRUARY), quantity("52"), "20 days of 2, one of 7, one of 5");
    let manifests = run.tick("2026-03-01T01:00:00Z").manifests.clone();
    let february = manifests.iter().find(|one| one.period.start == sample::time(FEBRUARY)).expect("February");
    let march = "2026-03-01T00:00:00Z";
    assert_eq!(weighted(february), weighed(&run, FEBRUARY, march), "the close settles what they said");
}
