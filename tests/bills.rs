//! Bills that people argue about: tiny sums, currencies without cents, short months, changes of plan, late usage.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use serde_json::{Value, json};
use tests::Server;

fn started(data: &std::path::Path, clock: &str, catalog: &str) -> Server {
    let server = Server::start(data, &["--test-clock", clock]);
    server.apply(catalog);
    server
}

fn event(id: &str, customer: &str, time: &str, tokens: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "test", "type": "call", "subject": customer, "time": time,
           "data": {"tokens": tokens}})
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text '{key}' in {value}"))
}

/// Printed money without its point, so that sums need no floats.
fn minor(printed: &str) -> i64 {
    printed.replace('.', "").parse().unwrap()
}

#[test]
fn a_year_at_four_tenths_of_a_cent_is_paid() {
    let data = tempfile::tempdir().unwrap();
    let server = started(
        data.path(),
        "2024-01-01T00:00:00Z",
        "
apiVersion: farthing/v1
tenant: acme
plans: [{id: p, currency: USD, every: month, fees: [{id: f, amount: 0.004, when: arrears}]}]
customers: [{id: c-1}]
subscriptions: [{id: s-1, customer: c-1, plan: p, from: 2024-01-01}]
",
    );
    server.advance("2025-01-03T00:00:00Z");
    let issued: Vec<Value> = server.invoices().into_iter().filter(|invoice| invoice["status"] == "issued").collect();
    // 12 × 0.004 = 0.048: a cent in March (0.012), May (0.010), August (0.012) and October (0.010); 0.008 stays on account.
    let totals: Vec<&str> = issued.iter().map(|invoice| text(invoice, "total")).collect();
    assert_eq!(totals, ["0.01", "0.01", "0.01", "0.01"]);
    let ends: Vec<&str> = issued.iter().map(|invoice| &text(&invoice["period"], "end")[..7]).collect();
    assert_eq!(ends, ["2024-04", "2024-06", "2024-09", "2024-11"]);
    for invoice in &issued {
        let lines = invoice["lines"].as_array().unwrap();
        let rounding =
            lines.iter().find(|line| line["kind"] == "rounding").expect("the account's unit is a line of its own");
        assert_eq!(text(rounding, "amount"), "0.01");
    }
}

#[test]
fn yen_and_dinar_have_their_own_decimals() {
    let data = tempfile::tempdir().unwrap();
    let server = started(
        data.path(),
        "2024-01-20T00:00:00Z",
        "
apiVersion: farthing/v1
tenant: acme
meters: [{id: tokens, event: call, aggregate: sum, value: tokens}]
plans:
  - {id: yen, currency: JPY, every: month, prices: [{id: t, meter: tokens, per_unit: {each: 0.5}}]}
  - {id: dinar, currency: KWD, every: month, prices: [{id: t, meter: tokens, per_unit: {each: 0.0005}}]}
customers: [{id: c-yen}, {id: c-dinar}]
subscriptions:
  - {id: s-yen, customer: c-yen, plan: yen, from: 2024-01-01}
  - {id: s-dinar, customer: c-dinar, plan: dinar, from: 2024-01-01}
",
    );
    let time = "2024-01-19T00:00:00Z";
    server.send(&[event("a", "c-yen", time, "2469"), event("b", "c-dinar", time, "2469")]).ok();
    server.advance("2024-02-03T00:00:00Z");
    let totals: Vec<(String, String)> = server
        .invoices()
        .iter()
        .map(|invoice| (text(invoice, "currency").to_owned(), text(invoice, "total").to_owned()))
        .collect();
    // 1234.5 yen and 1.2345 dinar, halves away from zero.
    assert_eq!(totals, [("KWD".into(), "1.235".into()), ("JPY".into(), "1235".into())]);
}

#[test]
fn the_31st_of_january_in_berlin() {
    let data = tempfile::tempdir().unwrap();
    let server = started(
        data.path(),
        "2024-01-31T12:00:00Z",
        "
apiVersion: farthing/v1
tenant: acme
plans: [{id: p, currency: EUR, every: month, fees: [{id: f, amount: 31.00, when: arrears}]}]
customers: [{id: c-1, time_zone: Europe/Berlin}]
subscriptions: [{id: s-1, customer: c-1, plan: p, from: 2024-01-31, anchor: 31}]
",
    );
    server.advance("2024-06-03T00:00:00Z");
    let periods: Vec<(String, String, String)> = server
        .invoices()
        .iter()
        .map(|invoice| {
            let period = &invoice["period"];
            (text(period, "start").to_owned(), text(period, "end").to_owned(), text(invoice, "total").to_owned())
        })
        .collect();
    let expected = [
        ("2024-01-30T23:00:00Z", "2024-02-28T23:00:00Z"),
        ("2024-02-28T23:00:00Z", "2024-03-30T23:00:00Z"),
        ("2024-03-30T23:00:00Z", "2024-04-29T22:00:00Z"),
        ("2024-04-29T22:00:00Z", "2024-05-30T22:00:00Z"),
    ];
    let expected = expected.map(|(start, end)| (start.to_owned(), end.to_owned(), "31.00".to_owned()));
    assert_eq!(periods, expected);
}

const TWO_PLANS: &str = "
apiVersion: farthing/v1
tenant: acme
meters: [{id: tokens, event: call, aggregate: sum, value: tokens}]
plans:
  - {id: small, currency: USD, every: month, fees: [{id: f, amount: 31.00, when: advance}],
     prices: [{id: t, meter: tokens, per_unit: {each: 0.01}}]}
  - {id: large, currency: USD, every: month, fees: [{id: f, amount: 62.00, when: advance}],
     prices: [{id: t, meter: tokens, per_unit: {each: 0.005}}]}
customers: [{id: c-1}]
subscriptions: [{id: s-1, customer: c-1, plan: PLAN, from: 2024-01-01CHANGE}]
";

#[test]
fn a_plan_changes_in_mid_month() {
    let data = tempfile::tempdir().unwrap();
    let server =
        started(data.path(), "2023-12-31T00:00:00Z", &TWO_PLANS.replace("PLAN", "small").replace("CHANGE", ""));
    server.advance("2024-01-10T23:55:00Z");
    server.send(&[event("a", "c-1", "2024-01-10T00:00:00Z", "1000")]).ok();
    // At log time plus the five minutes of future skew: midnight.
    server.apply(&TWO_PLANS.replace("PLAN", "large").replace("CHANGE", ", change: now"));
    server.advance("2024-01-20T00:00:00Z");
    server
        .send(&[event("b", "c-1", "2024-01-11T00:00:00Z", "1000"), event("c", "c-1", "2024-01-10T23:59:59Z", "1")])
        .ok();
    server.advance("2024-02-03T00:00:00Z");
    let bills: Vec<(String, String)> = server
        .invoices()
        .iter()
        .map(|invoice| (text(&invoice["period"], "end").to_owned(), text(invoice, "net_exact").to_owned()))
        .collect();
    let expected = [
        // The opening bill: January of the small plan, in advance.
        ("2024-01-01T00:00:00Z", "31"),
        // 1,000 tokens at 0.01; 21 of 31 days credited; 21 of 31 days of the large plan in advance.
        ("2024-01-11T00:00:00Z", "31"),
        // 1,000 tokens at 0.005, February in advance, and the late token of the small plan at its own 0.01.
        ("2024-02-01T00:00:00Z", "67.01"),
    ];
    assert_eq!(bills, expected.map(|(end, net)| (end.to_owned(), net.to_owned())));
}

#[test]
fn a_late_event_is_an_adjustment_on_the_next_bill() {
    let data = tempfile::tempdir().unwrap();
    let catalog = "
apiVersion: farthing/v1
tenant: acme
meters: [{id: tokens, event: call, aggregate: sum, value: tokens}]
plans: [{id: p, currency: USD, every: month, prices: [{id: t, meter: tokens, volume: [{up_to: 100, each: 0.02}, {each: 0.01}]}]}]
customers: [{id: c-1}]
subscriptions: [{id: s-1, customer: c-1, plan: p, from: 2024-01-01}]
";
    let server = started(data.path(), "2024-01-15T00:00:00Z", catalog);
    server.send(&[event("a", "c-1", "2024-01-10T00:00:00Z", "100")]).ok();
    server.advance("2024-02-05T00:00:00Z");
    let january = server.invoices();
    assert_eq!((january.len(), text(&january[0], "total")), (1, "2.00"));
    // The 101st unit of January makes all of them cheaper: 101 × 0.01 = 1.01, so 0.99 comes back in February.
    server
        .send(&[event("late", "c-1", "2024-01-31T00:00:00Z", "1"), event("b", "c-1", "2024-02-04T00:00:00Z", "50")])
        .ok();
    // The adjustment opens to what came late, and to nothing that January's bill had counted already: of a draft, too.
    let opened = |id: &str| {
        let opened = server.farthing(&["explain", id, "--json"]).json();
        let charges = opened["charges"].as_array().unwrap().iter();
        charges.map(|charge| [text(charge, "id"), text(charge, "amount")].join(" ")).collect::<Vec<_>>()
    };
    server.advance("2024-03-01T02:00:00Z");
    assert_eq!(opened("c-1/USD/2024-03-01T00:00:00Z"), ["late -0.99", "b 1"]);
    server.advance("2024-03-05T00:00:00Z");
    let bills = server.invoices();
    assert_eq!(bills[0], january[0], "an issued document never changes");
    let adjustment =
        bills[1]["lines"].as_array().unwrap().iter().find(|line| line["kind"] == "adjustment").unwrap().clone();
    assert_eq!((text(&adjustment, "amount_exact"), text(&adjustment, "amount")), ("-0.99", "-0.99"));
    assert_eq!((text(&bills[1], "net_exact"), text(&bills[1], "total")), ("0.01", "0.01"));
    let paid: i64 = bills.iter().map(|bill| minor(text(bill, "total"))).sum();
    assert_eq!(paid, 101 + 100);
    assert_eq!(opened(text(&bills[1], "number")), ["late -0.99", "b 1"]);
    assert_eq!(opened(text(&january[0], "number")), ["a 2"], "an older bill opens to what it was made from");
    let check = server.farthing(&["check"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
}
