//! What finance sees before a bill is there: levels of periods that run, late usage, openings that come late.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that cannot go on fails.

mod support;

use pricing::number::{Amount, Quantity};
use proto::v1;
use proto::v1::usage_service_server::UsageService;
use std::sync::atomic::Ordering;
use storage::shard::ShardCount;
use storage::sim::World;
use support::watched::Watched;
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

/// The quantities and amounts of a customer's usage, of a period's charges together, and the preview.
async fn told(system: &System) -> String {
    let services = system.invoicer.services();
    let request = v1::UsageRequest { customer: "c-1".to_owned(), ..Default::default() };
    let rows = UsageService::usage(services, call("acme-read", request)).await.unwrap().into_inner().rows;
    let rows = rows.iter().map(|row| format!("{} {} {} {}", row.price, row.count, row.quantity, row.amount));
    let rows: Vec<String> = rows.collect();
    let mut amount = Amount::ZERO;
    for charge in charges(system, "2026-01-01T00:00:00Z").await {
        amount = amount.add(charge.amount.parse().unwrap()).unwrap();
    }
    format!("{rows:?} {amount} {:?}", preview(system).await)
}

#[tokio::test]
async fn levels_are_the_same_while_their_period_closes_and_is_read() {
    for question in 0.. {
        let world = World::new(ShardCount::new(2).unwrap());
        let watched = Watched::new(&world);
        let mut system = System::rated_into(world, watched.clone(), "2026-01-01T00:00:00Z").await;
        system.apply(CATALOG).await.unwrap();
        system.advance("2026-01-11T00:00:00Z").await.unwrap();
        system.send_as("seats", "c-1", "2026-01-11T00:00:00Z", "2").await;
        system.advance("2026-02-01T00:30:00Z").await.unwrap();
        let before = told(&system).await;
        assert!(before.contains("seats 1 42 5.2") && before.contains("] 5.2 ["), "one event, 21 days of 2: {before}");
        watched.stop_after(question);
        let close = async {
            watched.stopped().await;
            system.advance("2026-02-01T01:00:00Z").await.unwrap();
            watched.go_on();
        };
        let mut asked = Box::pin(told(&system));
        tokio::select! {
            after = &mut asked => {
                assert_eq!((after, question > 6), (before, true), "{question} questions");
                return;
            }
            () = close => {}
        }
        let after = asked.await;
        // February went on by half an hour before what was asked after the close.
        let january = |told: &str| told.matches("seats 1 42 5.2").count() + told.matches("] 5.2 [").count();
        assert_eq!((january(&after), after.matches("(\"5.20\"").count()), (2, 1), "at question {question}: {after}");
    }
}

#[tokio::test]
async fn a_long_history_is_not_asked_for_to_tell_the_levels_of_a_day() {
    let world = World::new(ShardCount::new(1).unwrap());
    let watched = Watched::new(&world);
    let mut system = System::rated_into(world, watched.clone(), "2026-01-01T00:00:00Z").await;
    system.apply(&CATALOG.replace("every: month", "every: day").replace("included: 10, ", "")).await.unwrap();
    system.send_as("seats", "c-1", "2026-01-01T00:00:00Z", "2").await;
    system.advance("2026-02-10T12:00:00Z").await.unwrap();
    let services = system.invoicer.services();
    watched.has_history.store(true, Ordering::SeqCst);
    watched.newest.store(0, Ordering::SeqCst);
    let mut request = v1::UsageRequest {
        customer: "c-1".to_owned(),
        from: timestamp("2026-02-09T00:00:00Z"),
        by: v1::usage_request::By::Day.into(),
        ..Default::default()
    };
    let answer = UsageService::usage(services, call("acme-read", request.clone())).await.unwrap().into_inner();
    let quantities: Vec<&str> = answer.rows.iter().map(|row| &*row.quantity).collect();
    assert_eq!(quantities, ["2", "1"], "yesterday, which closed, and half of today");
    let newest = watched.newest.load(Ordering::SeqCst);
    assert!((1..=3).contains(&newest), "{newest} of 41 periods were asked for");
    request.from = None;
    let refused = UsageService::usage(services, call("acme-read", request)).await.unwrap_err();
    assert!(refused.message().contains("more than 10000 rows"), "{refused}");
}

#[tokio::test]
async fn a_previewed_final_bill_is_the_one_that_comes() {
    let mut system = System::rated(World::new(ShardCount::new(1).unwrap()), "2026-01-01T00:00:00Z").await;
    let ends = CATALOG.replace("from: 2026-01-01", "from: 2026-01-01, until: 2026-03-01");
    system.apply(&ends).await.unwrap();
    for day in ["2026-01-10T00:00:00Z", "2026-02-10T00:00:00Z"] {
        system.advance(day).await.unwrap();
        system.send("c-1", day, "100").await;
    }
    system.advance("2026-03-05T00:00:00Z").await.unwrap();
    system.send("c-1", "2026-01-25T00:00:00Z", "50").await;
    system.advance("2026-03-05T00:00:01Z").await.unwrap();
    let request = v1::PreviewRequest { customer: "c-1".to_owned() };
    let answer = system.invoicer.services().preview(call("acme-read", request)).await.unwrap().into_inner();
    let [document] = &answer.invoices[..] else { panic!("{:?}", answer.invoices) };
    system.advance("2026-05-01T00:00:00Z").await.unwrap();
    let bills = system.bills().await;
    let last = bills.last().unwrap();
    assert_eq!((last.value.total.as_str(), bills.len()), ("0.50", 3));
    // January alone is late: no bill waits for February.
    assert!(last.id.starts_with("c-1/EUR/2026-03-14T"), "{}", last.id);
    assert!(document.contains(&format!(r#""id":"{}""#, last.id)), "{}: {document}", last.id);
}

#[tokio::test]
async fn a_bill_of_nothing_tells_what_it_was_made_from() {
    let file = CATALOG.replace("{id: out, meter: calls, ", "{id: out, meter: calls, included: 100, ");
    let mut system = System::rated(World::new(ShardCount::new(1).unwrap()), "2026-01-01T00:00:00Z").await;
    system.apply(&file).await.unwrap();
    system.advance("2026-01-20T00:00:00Z").await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "80").await;
    // January is nothing, and February is nothing with ten late calls of January.
    system.advance("2026-02-05T00:00:00Z").await.unwrap();
    system.send("c-1", "2026-01-31T00:00:00Z", "10").await;
    system.advance("2026-03-05T00:00:00Z").await.unwrap();
    system.send("c-1", "2026-01-31T00:00:00Z", "60").await;
    system.advance("2026-04-05T00:00:00Z").await.unwrap();
    let ends = ["02-01", "03-01", "04-01"].map(|end| format!("c-1/EUR/2026-{end}T00:00:00Z"));
    let totals = ["skipped 0.00", "skipped 0.00", "issued 0.50"];
    let expected: Vec<String> = ends.iter().zip(totals).map(|(id, total)| format!("{id} {total}")).collect();
    assert_eq!(system.summary().await, expected);
    let bill = system.get(&ends[2]).await.unwrap();
    let [adjusted] = &bill.adjusted[..] else { panic!("{:?}", bill.adjusted) };
    let billed = bill.billed.iter().find(|billed| billed.start == adjusted.start).unwrap();
    let request = v1::ExplainRequest {
        customer: "c-1".to_owned(),
        subscription: "s-1".to_owned(),
        period: adjusted.start,
        price: "out".to_owned(),
        from_offset: adjusted.from_offset,
        until_offset: billed.until_offset,
        ..Default::default()
    };
    let rows = system.invoicer.services().explain(call("acme-read", request)).await.unwrap().into_inner().charges;
    let quantities: Vec<&str> = rows.iter().map(|row| &*row.quantity).collect();
    assert_eq!(quantities, ["60"], "what February's bill was made from is not told again");
}
