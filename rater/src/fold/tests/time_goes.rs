//! Closes, manifests, late events, shortened periods, levels.

use super::{Run, restored};
use crate::sample::{self, call, event};
use pricing::number::{Amount, Quantity};
use storage::output::{Manifest, OutcomeKind};
use storage::record::{Control, encode_control};

fn total(manifest: &Manifest, price: &str) -> (Quantity, Amount) {
    let mut total = (Quantity::ZERO, Amount::ZERO);
    for entry in manifest.entries.iter().filter(|entry| entry.price.as_str() == price) {
        total = (total.0.add(entry.quantity).expect("fits"), total.1.add(entry.amount).expect("fits"));
    }
    total
}

fn amount(text: &str) -> Amount {
    text.parse().expect("an amount")
}

fn quantity(text: &str) -> Quantity {
    text.parse().expect("a quantity")
}

#[test]
fn periods_close_by_themselves_even_when_nothing_was_used() {
    let mut run = Run::sold("2026-01-31T23:00:00Z");
    run.events(&[call("c", "1", "2026-01-31T22:00:00Z", "7")]);
    assert!(run.tick("2026-02-01T00:59:59Z").manifests.is_empty(), "an hour of grace");
    let output = run.tick("2026-02-01T01:00:00Z");
    assert_eq!(output.manifests.len(), 1);
    let manifest = &output.manifests[0];
    assert_eq!((manifest.revision, manifest.parked), (1, 0));
    assert_eq!(manifest.period.start, sample::time("2026-01-01T00:00:00Z"));
    let rows: u64 = manifest.entries.iter().map(|entry| entry.count).sum();
    assert_eq!(rows, 8);
    let table: Vec<_> = manifest.entries.iter().filter(|entry| entry.price.as_str() == "p-table").collect();
    assert_eq!(table[0].row, 1, "a table's rows are summed each for itself");
    assert!(manifest.entries.iter().filter(|entry| entry.price.as_str() != "p-table").all(|entry| entry.row == 0));
    assert!(run.tick("2026-02-28T00:00:00Z").manifests.is_empty());
    let output = run.tick("2026-05-01T01:00:00Z");
    let starts: Vec<_> =
        output.manifests.iter().map(|manifest| (manifest.period.start, manifest.entries.len())).collect();
    let expected = ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"];
    assert_eq!(starts, expected.map(|start| (sample::time(start), 0)));
}

#[test]
fn late_events_renew_the_manifest_at_most_hourly() {
    let mut run = Run::sold("2026-02-01T01:00:00Z");
    run.events(&[call("c", "1", "2026-01-31T22:00:00Z", "7")]);
    assert!(run.tick("2026-02-01T01:59:59Z").manifests.is_empty(), "the first came at 01:00");
    run.events(&[call("c", "2", "2026-01-31T22:00:00Z", "1")]);
    run.fold = restored(&run.fold);
    let manifest = run.tick("2026-02-01T02:00:00Z").manifests[0].clone();
    assert_eq!((manifest.revision, total(&manifest, "p-calls").0), (2, quantity("2")));
    assert!(run.tick("2026-02-01T09:00:00Z").manifests.is_empty(), "nothing changed");
    run.events(&[call("c", "3", "2026-01-31T22:00:00Z", "1")]);
    assert_eq!(run.tick("2026-02-01T09:00:01Z").manifests[0].revision, 3, "the last one is hours old");
    // The state goes when no event of the period is admissible any more: 41 days after its end.
    run.events(&[call("c", "4", "2026-01-31T23:59:59Z", "1")]);
    run.tick("2026-03-13T23:59:59Z");
    run.events(&[call("c", "5", "2026-01-31T23:59:59Z", "1")]);
    let last = run.tick("2026-03-14T00:00:00Z").manifests.clone();
    assert_eq!(last.len(), 1, "what changed says so before it goes");
    assert_eq!(total(&last[0], "p-calls").0, quantity("5"));
    run.events(&[call("c", "6", "2026-01-31T23:59:59Z", "1")]);
    assert_eq!(run.kinds(), [(OutcomeKind::Rejected, "6".to_owned())]);
}

#[test]
fn parked_events_hold_bills_back_until_waived() {
    let mut run = Run::sold("2026-01-31T00:00:00Z");
    run.events(&[
        event("c", "what", "1", "2026-01-20T00:00:00Z", &[]),
        event("c", "what", "2", "2026-02-01T00:00:00Z", &[]),
    ]);
    let manifest = run.tick("2026-02-01T01:00:00Z").manifests[0].clone();
    assert_eq!(manifest.parked, 1, "the other lies in February");
    let waive = encode_control(&Control::Waive {
        tenant: sample::tenant(),
        customer: sample::customer_id("c"),
        from: sample::time("2026-01-01T00:00:00Z"),
        until: sample::time("2026-02-01T00:00:00Z"),
        reason: "seen".to_owned(),
        seen: Some(manifest.position.offset),
    });
    run.fold(&waive);
    run.fold = restored(&run.fold);
    let manifest = run.tick("2026-02-01T02:00:00Z").manifests[0].clone();
    assert_eq!((manifest.revision, manifest.parked, manifest.entries.len()), (2, 0, 0));
    assert_eq!(run.fold.counters().parked, 2, "the hold is lifted, not the event");
    run.events(&[event("c", "what", "3", "2026-01-20T00:00:00Z", &[])]);
    // It was sent again, since nobody knew whether the log had taken it.
    run.fold(&waive);
    assert_eq!(run.tick("2026-02-01T03:00:00Z").manifests[0].parked, 1, "another event holds again, which nobody saw");
}

#[test]
fn a_shortened_period_writes_the_difference() {
    let mut run = Run::sold("2026-01-10T00:00:00Z");
    let calls: Vec<_> = (0..10).map(|id| call("c", &id.to_string(), "2026-01-09T00:00:00Z", "1")).collect();
    run.events(&calls);
    let start = "2026-01-01T00:00:00Z";
    let terms = [sample::term(start, Some("2026-01-16T12:00:00Z"))];
    let shorter = sample::customer("c", 2, &[sample::subscription("s-c", "c", start, &terms)]);
    let output = run.fold(&encode_control(&Control::Customer(shorter))).clone();
    assert!(!output.charges.rows.is_empty());
    for row in &output.charges.rows {
        assert_eq!((row.event.index, row.quantity), (u32::MAX, Quantity::ZERO));
    }
    let end = run.tick("2026-01-16T13:30:00Z").manifests[0].clone();
    assert_eq!(end.period.end, sample::time("2026-01-16T12:00:00Z"));
    // Half a month: 1.5 of 3 calls are included, so 8.5 × 0.01; and 0.75 of 1.5 tokens.
    assert_eq!(total(&end, "p-calls"), (quantity("10"), amount("0.085")));
    assert_eq!(total(&end, "p-table").1, amount("1"), "10 × 0.1, below the cap of 1.5");
    assert!(run.tick("2026-03-16T13:30:00Z").manifests.is_empty(), "nothing comes after the end");
    let sums = run.sums();
    let charged = sums.values().filter(|sum| sum.price.as_str() == "p-tokens").map(|sum| sum.amount);
    let charged = charged.fold(Amount::ZERO, |sum, one| sum.add(one).expect("fits"));
    assert_eq!(charged, total(&end, "p-tokens").1);
}

#[test]
fn levels_settle_at_the_close_and_hold_over_periods() {
    let seats = |id: &str, at: &str, seats: &str| event("c", "seats", id, at, &[("seats", seats), ("team", "a")]);
    let mut run = Run::sold("2026-01-11T00:00:00Z");
    let output = run.events(&[seats("1", "2026-01-11T00:00:00Z", "2")]);
    assert_eq!(output.charges.rows.len(), 1, "the event is there for explain");
    assert_eq!((output.charges.rows[0].quantity, output.charges.rows[0].amount), (Quantity::ZERO, Amount::ZERO));
    let january = run.tick("2026-02-01T01:00:00Z").manifests[0].clone();
    assert_eq!(total(&january, "p-seats").0, quantity("42"), "21 days of 2");
    let february = run.tick("2026-03-01T01:00:00Z").manifests[0].clone();
    assert_eq!(total(&february, "p-seats").0, quantity("56"), "28 days of 2, without an event");
    run.fold = restored(&run.fold);
    // Late: from 22 January on it was 5. January and February are closed and change at once; March is open.
    let output = run.events(&[seats("2", "2026-01-22T00:00:00Z", "5")]).clone();
    let rows: Vec<_> = output.charges.rows.iter().map(|row| (row.event.index, row.quantity, row.level)).collect();
    let (none, five) = (u32::MAX, Some(quantity("5")));
    let settled = ["30", "84"].map(|more| (none, quantity(more), None));
    let begins = (none, Quantity::ZERO, five);
    assert_eq!(rows, [(0, Quantity::ZERO, five), settled[0], settled[1], begins, begins]);
    let renewed = run.tick("2026-03-01T02:00:00Z").manifests.clone();
    let totals: Vec<_> = renewed.iter().map(|manifest| total(manifest, "p-seats").0).collect();
    assert_eq!(totals, [quantity("72"), quantity("140")]);
    // A change before it reaches only up to it.
    let output = run.events(&[seats("3", "2026-01-21T00:00:00Z", "0")]).clone();
    let own: Vec<_> = output.charges.rows.iter().map(|row| row.quantity).collect();
    assert_eq!(own, [quantity("0"), quantity("-2")]);
    let march = run.tick("2026-04-01T01:00:00Z").manifests.clone();
    let last = march.iter().find(|manifest| manifest.period.start == sample::time("2026-03-01T00:00:00Z"));
    assert_eq!(total(last.expect("March"), "p-seats").0, quantity("155"));
    let sums = run.sums();
    let seats: Vec<_> = sums.values().filter(|sum| sum.price.as_str() == "p-seats").map(|sum| sum.quantity).collect();
    assert_eq!(seats, [quantity("70"), quantity("140"), quantity("155"), Quantity::ZERO], "April has begun");
}

#[test]
fn a_tick_closes_ten_thousand_periods_and_leaves_the_rest() {
    let mut run = Run::new();
    run.fold(&sample::catalog_record(1));
    let mut terms = sample::term("2024-01-01T00:00:00Z", None);
    terms["grid"]["every"] = serde_json::json!("hour");
    let hourly = sample::subscription("s", "c", "2024-01-01T00:00:00Z", &[terms]);
    run.fold(&encode_control(&Control::Customer(sample::customer("c", 1, &[hourly]))));
    // 366 days of 24 hours and more: 10,000 hours end on 20 February 2025 at 16:00.
    let some = run.tick("2025-03-01T00:00:00Z");
    assert_eq!((some.manifests.len(), some.close_due), (10_000, true));
    assert!(run.fold.is_close_due());
    assert!(run.tick("2025-03-01T00:00:00Z").manifests.is_empty(), "an equal Tick is none");
    let rest = run.tick("2025-03-01T00:00:01Z");
    assert_eq!((rest.manifests.len(), rest.close_due), (199, false));
    assert!(!run.fold.is_close_due());
}
