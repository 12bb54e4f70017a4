//! The same with the real rater: what it puts out is what the store adds up to and what bills are made from.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that cannot go on fails.

mod support;

use invoicer::Invoicer;
use proto::v1;
use proto::v1::admin_service_server::AdminService as _;
use proto::v1::audit_service_server::AuditService as _;
use std::sync::Arc;
use storage::log::Log as _;
use storage::record::{Control, Record, decode};
use storage::shard::{Offset, Shard, ShardCount};
use storage::sim::World;
use support::{Halts, System, apply, call, options, parts};

const CATALOG: &str = r"
apiVersion: farthing/v1
tenant: acme
meters:
  - {id: calls, event: call, aggregate: sum, value: n}
  - {id: count, event: call, aggregate: count}
  - {id: level, event: seats, aggregate: time_weighted, value: n, per: day}
plans:
  - id: payg
    currency: EUR
    every: month
    fees: [{id: base, amount: 20.00, when: advance}]
    prices:
      - {id: tiers, meter: calls, included: 100, graduated: [{up_to: 100, each: 0.02}, {each: 0.01}]}
      - {id: packs, meter: count, package: {size: 2, amount: 0.50}}
      - {id: seats, meter: level, per_unit: {each: 0.10}}
  - id: table
    currency: EUR
    every: month
    prices:
      - id: size
        meter: calls
        dimensional: {by: [n], rows: [{is: ['7'], each: 1.00}], default: {each: 0.50}}
taxes: [{id: vat, category: S, rate: 19%}]
customers: [{id: c-1, tax: vat, time_zone: Europe/Berlin}, {id: c-2}]
subscriptions:
  - {id: s-1, customer: c-1, plan: payg, from: 2026-01-01}
  - {id: s-2, customer: c-2, plan: table, from: 2026-01-01}
";

#[tokio::test]
async fn the_real_rater_agrees_with_the_bills() {
    let world = World::new(ShardCount::new(3).unwrap());
    let mut system = System::rated(world, "2026-01-01T00:00:00Z").await;
    system.apply(CATALOG).await.unwrap();
    system.advance("2026-01-20T00:00:00Z").await.unwrap();
    for n in ["150", "100", "50"] {
        system.send("c-1", "2026-01-10T00:00:00Z", n).await;
    }
    // Two seats from the 12th on, which is 20 days of January in Berlin.
    system.send_as("seats", "c-1", "2026-01-11T23:00:00Z", "2").await;
    system.send("c-2", "2026-01-10T00:00:00Z", "7").await;
    system.send("c-2", "2026-01-10T00:00:00Z", "8").await;
    system.advance("2026-02-10T00:00:00Z").await.unwrap();
    // 20.00 in advance of January, then 300 calls: 100 free, 100 at 0.02, 100 at 0.01; two packs; 40 seat days; 20.00 in
    // advance of February; 19 % on all of it. 7 × 1.00 + 8 × 0.50.
    let mut summary = system.summary().await;
    summary.sort();
    let expected = [
        "c-1/EUR/2025-12-31T23:00:00Z issued 23.80",
        "c-1/EUR/2026-01-31T23:00:00Z issued 33.32",
        "c-2/EUR/2026-02-01T00:00:00Z issued 11.00",
    ];
    assert_eq!(summary, expected);
    system.send("c-2", "2026-01-31T00:00:00Z", "7").await;
    system.advance("2026-03-10T00:00:00Z").await.unwrap();
    let invoices = system.invoices().await;
    let late = invoices.iter().find(|invoice| invoice.value.bill.starts_with("c-2/EUR/2026-03")).unwrap();
    assert!(late.value.canonical.contains(r#""total":"7.00""#), "{}", late.value.canonical);
    let check = system.check().await;
    assert_eq!(check.findings, Vec::<String>::new());
    assert!(check.charges > 8 && check.records > 10, "{check:?}");
}

const CHANGED: &str = r"
apiVersion: farthing/v1
tenant: acme
plans: [{id: plain, currency: EUR, every: month, prices: [{id: calls, meter: calls, per_unit: {each: 1}}]}]
customers: [{id: c-3}]
subscriptions:
  - {id: s-2, customer: c-2, plan: table, from: 2026-01-01, until: 2026-03-01}
  - {id: s-3, customer: c-3, plan: plain, from: 2026-01-01}
";

#[tokio::test]
async fn what_a_damaged_record_said_is_restated_when_it_is_skipped() {
    const CLOCK: &str = "2026-01-01T00:00:00Z";
    let world = World::new(ShardCount::new(1).unwrap());
    let invoicer = Invoicer::start(parts(&world, &Arc::new(Halts::default())), options(CLOCK)).await.unwrap();
    apply(&invoicer, CATALOG).await.unwrap();
    apply(&invoicer, CHANGED).await.unwrap();
    invoicer.resign().await;
    // The first catalog and c-2's first record: later versions of both follow, and more customers build on the catalog.
    let entries = world.log.read(Shard(0), Offset(0), 1 << 20).await.unwrap();
    let is_damaged = |record: &Control| match record {
        Control::Catalog(record) => record.version == 1,
        Control::Customer(record) => record.version == 1 && record.customer.as_str() == "c-2",
        _ => false,
    };
    let offsets = entries.iter().filter(|entry| match decode(&entry.record).unwrap() {
        Record::Control(control) => is_damaged(&control),
        Record::Events(_) => false,
    });
    let offsets: Vec<Offset> = offsets.map(|entry| entry.offset).collect();
    assert_eq!(offsets.len(), 2);
    offsets.iter().for_each(|offset| world.log.damage(Shard(0), *offset));

    let mut system = System::rated(world, CLOCK).await;
    let services = system.invoicer.services().clone();
    let shard =
        async || services.status(call("root", v1::StatusRequest {})).await.unwrap().into_inner().shards.remove(0);
    let skip = async |offset: u64| {
        let reason = "bit rot".to_owned();
        services.skip(call("root", v1::SkipRequest { shard: 0, offset, reason, force: false })).await
    };
    for Offset(offset) in offsets {
        while shard().await.stored_next < offset || shard().await.halted.is_empty() {
            tokio::task::yield_now().await;
        }
        for elsewhere in [offset - 1, offset + 1] {
            let refused = skip(elsewhere).await.unwrap_err();
            assert!(refused.message().contains(&format!("it is stored up to {offset}")), "{refused}");
        }
        skip(offset).await.unwrap();
    }
    while shard().await.stored_next < shard().await.log_next {
        tokio::task::yield_now().await;
    }
    assert_eq!(shard().await.halted, "");
    system
        .apply("apiVersion: farthing/v1\ntenant: acme\ncustomers: [{id: c-2, time_zone: Asia/Tokyo}]\n")
        .await
        .unwrap();
    system.send("c-1", "2026-01-01T00:00:00Z", "150").await;
    system.send("c-2", "2026-01-01T00:00:00Z", "7").await;
    system.send("c-3", "2026-01-01T00:00:00Z", "9").await;
    system.advance("2026-02-10T00:00:00Z").await.unwrap();
    let summary = system.summary().await;
    let has = |text: &str| summary.iter().any(|bill| bill.starts_with(text));
    assert!(has("c-2/EUR/2026-02-01T00:00:00Z issued 7.00"), "{summary:?}");
    assert!(has("c-3/EUR/2026-02-01T00:00:00Z issued 9.00"), "{summary:?}");
    assert!(has("c-1/EUR/2026-01-31T23:00:00Z"), "{summary:?}");
}

const OWN: &str = r"
apiVersion: farthing/v1
tenant: acme
meters: [{id: calls, event: call, aggregate: sum, value: n}]
plans:
  - {id: plain, currency: EUR, every: month, prices: [{id: calls, meter: calls, per_unit: {each: 1}}]}
  - id: table
    currency: EUR
    every: month
    prices:
      - {id: size, meter: calls, dimensional: {by: [n], rows: [{is: ['7'], each: 1.00}], default: {each: 0.50}}}
customers: [{id: c-2}, {id: c-3}]
subscriptions:
  - {id: s-2, customer: c-2, plan: table, from: 2026-01-01, overrides: {size: {per_unit: {each: 2}}}}
  - id: s-3
    customer: c-3
    plan: plain
    from: 2026-01-01
    overrides: {calls: {dimensional: {by: [n], rows: [{is: ['7'], each: 3}], default: {each: 0.50}}}}
";

#[tokio::test]
async fn a_price_of_another_kind_than_the_plans_adds_up() {
    let mut system = System::rated(World::new(ShardCount::new(2).unwrap()), "2026-01-01T00:00:00Z").await;
    system.apply(OWN).await.unwrap();
    system.advance("2026-01-20T00:00:00Z").await.unwrap();
    for customer in ["c-2", "c-3"] {
        system.send(customer, "2026-01-10T00:00:00Z", "7").await;
        system.send(customer, "2026-01-10T00:00:00Z", "8").await;
    }
    system.advance("2026-02-01T01:10:00Z").await.unwrap();
    // In the store, but not yet in a manifest: what the bill stands on is counted row by row.
    for customer in ["c-2", "c-3"] {
        system.send(customer, "2026-01-10T00:00:00Z", "7").await;
    }
    system.advance("2026-02-01T01:20:00Z").await.unwrap();
    for (id, total) in [("c-2/EUR/2026-02-01T00:00:00Z", "30.00"), ("c-3/EUR/2026-02-01T00:00:00Z", "25.00")] {
        let issued = system.issue(id).await.unwrap().summary.unwrap();
        assert_eq!((issued.status.as_str(), issued.total.as_str()), ("issued", total));
    }
    system.advance("2026-03-03T00:00:00Z").await.unwrap();
    let summary = system.summary().await;
    let has = |bill: &str| summary.iter().any(|one| one == bill);
    assert!(has("c-2/EUR/2026-03-01T00:00:00Z issued 14.00"), "{summary:?}");
    assert!(has("c-3/EUR/2026-03-01T00:00:00Z issued 21.00"), "{summary:?}");
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test]
async fn a_record_that_nobody_halted_at_is_not_skipped_unless_a_person_insists_and_the_audit_log_says_who_and_why() {
    let world = World::new(ShardCount::new(1).unwrap());
    let halts = Arc::new(Halts::default());
    let invoicer = Invoicer::start(parts(&world, &halts), options("2026-01-01T00:00:00Z")).await.unwrap();
    let skip = async |reason: &str, force: bool| {
        let asked = v1::SkipRequest { shard: 0, offset: 0, reason: reason.to_owned(), force };
        invoicer.services().skip(call("root", asked)).await
    };
    // No rater runs: the shard stands at its first record, which is sound.
    let refused = skip("a hunch", false).await.unwrap_err();
    assert!(refused.message().contains("can be read"), "{refused}");
    *halts.0.lock().unwrap() = Some("it is damaged".to_owned());
    skip("bit rot", false).await.unwrap();
    *halts.0.lock().unwrap() = None;
    skip("the rater says so", true).await.unwrap();
    let asked =
        v1::ListAuditRequest { installation: true, collection: "skip".to_owned(), ..v1::ListAuditRequest::default() };
    let listed = invoicer.services().list(call("root", asked)).await.unwrap().into_inner().entries;
    let told: Vec<_> = listed.iter().map(|entry| (entry.who.as_str(), entry.document.as_str())).collect();
    assert_eq!(told, [("root", "0/0"), ("root", "0/0")]);
    assert!(listed[0].after.contains("the rater says so") && listed[1].after.contains("bit rot"), "{listed:?}");
}
