//! What finance sees before a bill is there: levels of periods that run, late usage, openings that come late.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that cannot go on fails.

mod support;

use pricing::number::{Amount, Quantity};
use proto::v1;
use proto::v1::usage_service_server::UsageService;
use storage::shard::ShardCount;
use storage::sim::World;
use support::{System, at, call};

const CATALOG: &str = r"
apiVersion: farthing/v1
tenant: acme
meters:
  - {id: calls, event: call, aggregate: sum, value: n}
  - {id: level, event: seats, aggregate: time_weighted, value: n, per: day}
plans:
  - id: payg
    currency: EUR
    every: month
    prices:
      - {id: out, meter: calls, per_unit: {each: 0.01}}
      - {id: seats, meter: level, included: 10, graduated: [{up_to: 20, each: 0.20}, {each: 0.10}]}
  - {id: base, currency: EUR, every: month, fees: [{id: base, amount: 31.00, when: advance}]}
customers: [{id: c-1}]
subscriptions: [{id: s-1, customer: c-1, plan: payg, from: 2026-01-01}]
";

async fn begun() -> System {
    let system = System::rated(World::new(ShardCount::new(2).unwrap()), "2026-01-01T00:00:00Z").await;
    system.apply(CATALOG).await.unwrap();
    system
}

fn timestamp(text: &str) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: at(text).nanos() / 1_000_000_000, nanos: 0 })
}

/// Quantity and amount of `seats` in a period, as `usage` has them, and as the charges of `explain` add up.
async fn seats(system: &System, period: &str) -> (String, String) {
    let services = system.invoicer.services();
    let request = v1::UsageRequest { customer: "c-1".to_owned(), meter: "level".to_owned(), ..Default::default() };
    let rows = UsageService::usage(services, call("acme-read", request)).await.unwrap().into_inner().rows;
    let row = rows.iter().find(|row| row.period == timestamp(period)).unwrap();
    let (mut quantity, mut amount) = (Quantity::ZERO, Amount::ZERO);
    for charge in charges(system, period).await {
        quantity = quantity.add(charge.quantity.parse().unwrap()).unwrap();
        amount = amount.add(charge.amount.parse().unwrap()).unwrap();
    }
    assert_eq!((quantity.to_string(), amount.to_string()), (row.quantity.clone(), row.amount.clone()));
    (row.quantity.clone(), row.amount.clone())
}

async fn charges(system: &System, period: &str) -> Vec<v1::ChargeRow> {
    let request = v1::ExplainRequest {
        customer: "c-1".to_owned(),
        subscription: "s-1".to_owned(),
        period: timestamp(period),
        price: "seats".to_owned(),
        ..Default::default()
    };
    system.invoicer.services().explain(call("acme-read", request)).await.unwrap().into_inner().charges
}

/// The total of each document of the preview, and its lines as `kind amount_exact`.
async fn preview(system: &System) -> Vec<(String, Vec<String>)> {
    let request = v1::PreviewRequest { customer: "c-1".to_owned() };
    let answer = system.invoicer.services().preview(call("acme-read", request)).await.unwrap().into_inner();
    let read = |document: &String| {
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let lines = document["lines"].as_array().unwrap().iter();
        let lines = lines.map(|line| format!("{} {}", text(&line["kind"]), text(&line["amount_exact"])));
        (text(&document["total"]), lines.collect())
    };
    answer.invoices.iter().map(read).collect()
}

fn owned<const N: usize>(all: [&str; N]) -> Vec<String> {
    all.map(str::to_owned).to_vec()
}

#[tokio::test]
async fn levels_are_settled_up_to_log_time_while_their_period_runs() {
    const JANUARY: &str = "2026-01-01T00:00:00Z";
    const FEBRUARY: &str = "2026-02-01T00:00:00Z";
    let mut system = begun().await;
    system.advance("2026-01-11T00:00:00Z").await.unwrap();
    system.send_as("seats", "c-1", "2026-01-11T00:00:00Z", "2").await;
    system.advance("2026-01-21T00:00:00Z").await.unwrap();
    // 20 seat days, 10 of them included.
    assert_eq!(seats(&system, JANUARY).await, ("20".to_owned(), "2".to_owned()));
    let rows = charges(&system, JANUARY).await;
    let rows: Vec<_> = rows.iter().map(|row| (&*row.level, &*row.quantity, row.position.is_empty())).collect();
    assert_eq!(rows, [("2", "0", false), ("", "20", true)], "the event, and what a close would settle");
    assert_eq!(preview(&system).await, [("2.00".to_owned(), owned(["usage 0", "usage 2"]))]);
    // January is over, and does not close for an hour; February goes on with its level.
    system.advance("2026-02-01T00:30:00Z").await.unwrap();
    assert_eq!(seats(&system, JANUARY).await, ("42".to_owned(), "5.2".to_owned()), "21 days of 2: 10, 20, 12");
    assert_eq!(seats(&system, FEBRUARY).await.0, "0.041666667");
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    assert_eq!(seats(&system, JANUARY).await, ("42".to_owned(), "5.2".to_owned()), "the close settled just that");
    assert_eq!(seats(&system, FEBRUARY).await.0, "4");
    // Late, the day before January ended: it holds in February, too.
    system.send_as("seats", "c-1", "2026-01-31T00:00:00Z", "7").await;
    system.advance("2026-02-04T00:00:00Z").await.unwrap();
    assert_eq!(seats(&system, JANUARY).await.0, "47");
    assert_eq!(seats(&system, FEBRUARY).await.0, "21");
    let levels: Vec<String> = charges(&system, FEBRUARY).await.into_iter().map(|row| row.level).collect();
    assert_eq!(levels, ["2", "7", ""], "what it began with, what it began with by now, so far");
    system.advance("2026-03-05T00:00:00Z").await.unwrap();
    assert_eq!(seats(&system, FEBRUARY).await.0, "196", "28 days of 7");
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test]
async fn a_preview_has_late_usage_and_late_openings() {
    let mut system = begun().await;
    system.advance("2026-01-20T00:00:00Z").await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "100").await;
    system.advance("2026-02-05T00:00:00Z").await.unwrap();
    assert_eq!(system.summary().await, ["c-1/EUR/2026-02-01T00:00:00Z issued 1.00"]);
    system.send("c-1", "2026-01-11T00:00:00Z", "50").await;
    // Charged, but in no manifest before an hour is over.
    system.advance("2026-02-05T00:00:01Z").await.unwrap();
    assert_eq!(preview(&system).await, [("0.50".to_owned(), owned(["adjustment 0.5"]))]);
    // A subscription whose period began before the last bill: its fee stands on the next one, whenever that comes.
    let late =
        "\nsubscriptions: [{id: s-2, customer: c-1, plan: base, from: 2026-01-31, anchor: 31, backfill: true}]\n";
    let head = "apiVersion: farthing/v1\ntenant: acme";
    system.apply(&format!("{head}{late}")).await.unwrap();
    let total: Vec<String> = preview(&system).await.into_iter().map(|(total, _)| total).collect();
    system.advance("2026-02-08T00:00:00Z").await.unwrap();
    let bills = system.bills().await;
    let issued: Vec<&str> = bills.iter().skip(1).map(|bill| bill.value.total.as_str()).collect();
    assert_eq!(total.first().map(String::as_str), issued.first().copied(), "{total:?}, {issued:?}");
}
