//! One rich bill as JSON, to the byte.

use crate::world::World;
use pricing::bill::{Status, document};
use pricing::number::Quantity;

fn rich() -> World {
    let mut world = World::new(
        "meters:\n  - {id: tokens, event: e, aggregate: sum, value: v, group_by: [region]}\n  - {id: calls, event: f, aggregate: count}\n\
         taxes: [{id: vat19, category: S, rate: 19%}, {id: vat7, category: S, rate: 7%}]\n\
         customers: [{id: c, time_zone: Europe/Berlin, tax: vat19}]\n\
         plans:\n  - id: pro\n    currency: EUR\n    every: month\n    fees: [{id: base, amount: 20.00, when: advance}]\n    \
         discounts: [{id: launch, percent: 10%}]\n    commitment: {amount: 100.00}\n    prices:\n      \
         - {id: out, meter: tokens, per_group: true, included: 1_000, graduated: [{up_to: 1_000_000, each: 0.000015}, {each: 0.00001, flat: 0.5}]}\n      \
         - {id: in, meter: tokens, minimum: 2.00, per_unit: {each: 0.15, per: 1_000_000}}\n      \
         - {id: call, meter: calls, tax: vat7, package: {size: 1_000, amount: 0.25}}\n      \
         - {id: model, meter: tokens, dimensional: {by: [model], rows: [{is: [\"large, \\\"new\\\"\"], each: 0.002}], default: {each: 0.001}}}\n\
         subscriptions: [{id: s, customer: c, plan: pro, from: 2026-01-01}]\n",
    );
    let mut used = |time: &str, price: &str, with: &[(&str, &str)], quantity: &str| {
        let quantity: Quantity = quantity.parse().unwrap();
        world.used_with("s", time, price, with, quantity);
    };
    used("2026-01-10", "out", &[("region", "us")], "1500000.123456789");
    used("2026-01-11", "out", &[("region", "eu")], "900");
    used("2026-01-12", "in", &[("region", "eu")], "7777777");
    used("2026-01-12", "call", &[], "2001");
    used("2026-01-12", "model", &[("region", "eu"), ("model", "large, \"new\"")], "3");
    used("2026-01-12", "model", &[("region", "us"), ("model", "small")], "2");
    world.bill("2026-01-31T23:00:00Z");
    world
}

#[test]
fn a_rich_bill_is_this_json() {
    let world = rich();
    let json = document(world.bills.last().unwrap(), world.seller().as_ref(), Status::Draft, false);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    // One line each, for people who read the snapshot.
    insta::assert_snapshot!("rich_json", json.replace("},{", "},\n{").replace(":[{", ":[\n{"));
}
