//! From charges to invoices: numbers, hashes, late usage, opening bills, zeros, refusals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that cannot go on fails.

mod support;

use invoicer::{Invoicer, Parts};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::books::{AuditQuery, Books as _};
use storage::charges::Charges as _;
use storage::log::Log as _;
use storage::output::{ChargeRow, ChargeRows, Counters, EventPlace, Output, Series};
use storage::shard::{Offset, Shard, ShardCount};
use storage::sim::World;
use support::broken::Broken;
use support::{CATALOG, System, acme, at, options, parts};

/// A year in advance, sold to c-1 on top.
const YEARLY: &str = r"
apiVersion: farthing/v1
tenant: acme
plans: [{id: yearly, currency: USD, every: year, fees: [{id: base, amount: 120.00, when: advance}]}]
subscriptions: [{id: s-9, customer: c-1, plan: yearly, from: 2026-02-01, anchor: 02-01}]
";

#[tokio::test(start_paused = true)]
async fn a_period_becomes_an_invoice_after_its_review() {
    let mut system = System::running().await;
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.send("c-2", "2026-01-11T00:00:00Z", "1000").await;
    system.advance("2026-02-01T00:30:00Z").await.unwrap();
    assert!(system.bills().await.is_empty(), "grace is not over");
    system.advance("2026-02-01T12:00:00Z").await.unwrap();
    assert_eq!(
        system.summary().await,
        ["c-1/USD/2026-02-01T00:00:00Z draft 2.50", "c-2/USD/2026-02-01T00:00:00Z draft 10.00"]
    );
    assert!(system.bills().await.iter().all(|bill| bill.value.test), "drafts of a test system say so");
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    assert_eq!(
        system.summary().await,
        ["c-1/USD/2026-02-01T00:00:00Z issued 2.50", "c-2/USD/2026-02-01T00:00:00Z issued 10.00"]
    );
    let invoices = system.invoices().await;
    let numbers: Vec<&str> = invoices.iter().map(|invoice| invoice.id.as_str()).collect();
    assert_eq!(numbers, ["INV-TEST-1", "INV-TEST-2"]);
    assert_eq!(invoices[0].value.previous, "");
    assert_eq!(invoices[1].value.previous, invoices[0].value.hash);
    assert!(invoices[0].value.canonical.contains(r#""number":"INV-TEST-1""#), "{}", invoices[0].value.canonical);
    let check = system.check().await;
    assert_eq!(check.findings, Vec::<String>::new());
    assert_eq!((check.invoices, check.charges), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_year_of_small_bills_pays_what_it_should() {
    let mut system = System::running().await;
    for month in 1..=12 {
        system.send("c-1", &format!("2026-{month:02}-10T00:00:00Z"), "0.4").await;
        let next = if month == 12 { "2027-01-02".to_owned() } else { format!("2026-{:02}-02", month + 1) };
        system.advance(&format!("{next}T02:00:00Z")).await.unwrap();
    }
    // Twelve times 0.004 are 0.048: printed 0.05 in all, and 0.002 stay on the account.
    let issued: Vec<String> = system.summary().await.into_iter().filter(|line| line.contains("issued")).collect();
    let cents: i64 = issued.iter().map(|line| line.rsplit('.').next().unwrap().parse::<i64>().unwrap()).sum();
    assert!((4..=5).contains(&cents), "{issued:?}");
    let skipped = system.summary().await.iter().filter(|line| line.contains("skipped")).count();
    assert!(skipped > 12, "{:?}", system.summary().await);
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn late_usage_stands_on_the_next_bill() {
    let mut system = System::running().await;
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    system.send("c-1", "2026-01-31T12:00:00Z", "100").await;
    system.send("c-1", "2026-02-10T00:00:00Z", "200").await;
    system.advance("2026-03-03T00:00:00Z").await.unwrap();
    let summary = system.summary().await;
    assert!(summary.contains(&"c-1/USD/2026-03-01T00:00:00Z issued 3.00".to_owned()), "{summary:?}");
    let second = &system.invoices().await[1].value.canonical;
    assert!(second.contains(r#""kind":"adjustment""#) && second.contains(r#""amount":"1.00""#), "{second}");
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn late_usage_after_the_last_bill_stands_on_a_final_one() {
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(&CATALOG.replace("from: 2026-01-01}", "from: 2026-01-01, until: 2026-02-01}")).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    system.send("c-1", "2026-01-31T12:00:00Z", "100").await;
    system.advance("2026-03-20T00:00:00Z").await.unwrap();
    let summary = system.summary().await;
    // The end of January, 40 days, one day, 5 minutes.
    assert!(summary.contains(&"c-1/USD/2026-03-14T00:05:00Z issued 1.00".to_owned()), "{summary:?}");
    assert_eq!(summary.len(), 3, "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fee_in_advance_opens_with_a_bill_of_its_own() {
    let system = System::new("2026-01-15T00:00:00Z").await;
    let file = CATALOG
        .replace("every: month,", "every: month, fees: [{id: base, amount: 31.00, when: advance}],")
        .replace("plan: payg, from: 2026-01-01", "plan: payg, from: 2026-01-16");
    system.apply(&file).await.unwrap();
    system.advance("2026-01-18T00:00:00Z").await.unwrap();
    let summary = system.summary().await;
    assert_eq!(
        summary,
        ["c-1/USD/2026-01-16T00:00:00Z issued 16.00", "c-2/USD/2026-01-16T00:00:00Z issued 16.00"],
        "16 of 31 days"
    );
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    assert!(system.summary().await.contains(&"c-1/USD/2026-02-01T00:00:00Z issued 31.00".to_owned()));
    system.apply(&file.replace("from: 2026-01-16}", "from: 2026-01-16, until: 2026-02-20}")).await.unwrap();
    assert_eq!(system.check().await.findings, Vec::<String>::new(), "a later end makes no issued bill false");
}

#[tokio::test(start_paused = true)]
async fn a_charge_that_the_fold_did_not_put_out_stops_the_bill() {
    let mut system = System::running().await;
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-01-20T00:00:00Z").await.unwrap();
    tamper(&system).await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    let bills = system.bills().await;
    let bill = bills.iter().find(|bill| bill.id.starts_with("c-1")).unwrap();
    assert_eq!(bill.value.status.word(), "held");
    let reason = bill.value.reason.as_deref().unwrap();
    assert!(reason.contains("price 'out' of subscription 's-1'") && reason.contains("2 rows"), "{reason}");
    let refused = system.issue(&bill.id).await.unwrap_err();
    assert!(refused.message().contains("adds up to 2 rows"), "{refused}");
    let none = system.get(&bill.id).await.unwrap_err();
    assert_eq!(none.code(), tonic::Code::FailedPrecondition);
    assert!(none.message().contains("without a document") && none.message().contains("2 rows"), "{none}");
    assert!(system.invoices().await.iter().all(|invoice| !invoice.value.bill.starts_with("c-1")));
}

/// Puts a row of one unit into the store, as a fault or a hand would.
async fn tamper(system: &System) {
    let shard = system.invoicer.publisher().shards().of(&acme(), b"c-1");
    let boundary = system.world.charges.boundary(shard).await.unwrap().unwrap();
    let manifests = system.world.charges.manifests(&[(shard, None)], 10).await.unwrap();
    assert!(manifests.is_empty(), "the period is not closed yet");
    let plan = pricing::plan::PlanRef { id: "payg".parse().unwrap(), version: 1 };
    let series = Series {
        tenant: acme(),
        customer: "c-1".parse().unwrap(),
        subscription: "s-1".parse().unwrap(),
        start: at("2026-01-01T00:00:00Z"),
        plan,
        price: "out".parse().unwrap(),
        meter: "calls".parse().unwrap(),
        group: Default::default(),
    };
    let row = ChargeRow {
        series: 0,
        offset: boundary.next,
        index: 0,
        event: EventPlace { offset: boundary.next, index: 0 },
        id_end: 1,
        source: 0,
        time: at("2026-01-11T00:00:00Z"),
        quantity: "1".parse().unwrap(),
        amount: "0.01".parse().unwrap(),
        tier: 1,
        level: None,
    };
    let rows = ChargeRows { series: vec![series], sources: vec!["x".into()], ids: "x".to_owned(), rows: vec![row] };
    let output = Output {
        shard,
        from: boundary.next,
        to: Offset(boundary.next.0 + 1),
        log_time: boundary.log_time,
        charges: rows,
        manifests: Vec::new(),
        outcomes: Vec::new(),
        counters: Counters { ..boundary.counters },
        close_due: false,
        record: 0,
    };
    // The record at that offset has to be there, so that the fold goes on behind it.
    let waive = storage::record::Control::Barrier { version: 1 };
    system.world.charges.insert(vec![output]).await.unwrap();
    system.world.log.append(shard, vec![storage::record::encode_control(&waive)]).await.unwrap();
    let _ = Shard(0);
}

#[tokio::test(start_paused = true)]
async fn parked_events_hold_a_bill_until_they_are_waived() {
    let mut system = System::running().await;
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.send_as("mystery", "c-1", "2026-01-12T00:00:00Z", "1").await;
    system.advance("2026-02-05T00:00:00Z").await.unwrap();
    let id = "c-1/USD/2026-02-01T00:00:00Z";
    let bills = system.bills().await;
    assert_eq!(bills[0].value.status.word(), "held");
    assert!(system.issue(id).await.unwrap_err().message().contains("parked"));
    let waived = system.waive(id).await.unwrap().summary.unwrap();
    assert_eq!((waived.status.as_str(), waived.number.as_str()), ("issued", "INV-TEST-1"), "its review was over");
}

#[tokio::test(start_paused = true)]
async fn what_parks_after_a_waiver_holds_the_bill_again() {
    let mut system = System::running().await;
    system.send_as("mystery", "c-1", "2026-01-12T00:00:00Z", "1").await;
    system.advance("2026-02-01T05:00:00Z").await.unwrap();
    let id = "c-1/USD/2026-02-01T00:00:00Z";
    assert_eq!(system.bills().await[0].value.status.word(), "held");
    assert_eq!(system.waive(id).await.unwrap().summary.unwrap().status, "draft", "its review goes on");
    system.send_as("mystery", "c-1", "2026-01-13T00:00:00Z", "2").await;
    system.advance("2026-02-05T00:00:00Z").await.unwrap();
    let bill = system.bills().await.remove(0).value;
    assert_eq!(bill.status.word(), "held", "nobody saw the second");
    assert!(bill.reason.unwrap().contains("parked"));
}

#[tokio::test(start_paused = true)]
async fn a_bill_unlike_the_last_waits_for_a_person() {
    let mut system = System::running().await;
    system.send("c-1", "2026-01-10T00:00:00Z", "100").await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    system.send("c-1", "2026-02-10T00:00:00Z", "500").await;
    system.advance("2026-03-05T00:00:00Z").await.unwrap();
    let id = "c-1/USD/2026-03-01T00:00:00Z";
    let summary = system.summary().await;
    assert!(summary.contains(&format!("{id} held 5.00")), "{summary:?}");
    let issued = system.issue(id).await.unwrap();
    assert_eq!(issued.summary.unwrap().status, "issued");
    let audit = system.world.books.audit(&AuditQuery::all(Some(&acme()), 0, 1_000)).await.unwrap();
    let by =
        |who: &str| audit.iter().filter(|entry| entry.who == who && entry.key.id.starts_with("c-")).collect::<Vec<_>>();
    let persons: Vec<&str> = by("acme-finance").iter().map(|entry| entry.key.id.as_str()).collect();
    assert_eq!(persons, [id], "a person's name stands at what the person ordered, and nowhere else");
    assert!(by("invoicer").len() > 2, "{audit:?}");
    assert!(system.issue(id).await.unwrap_err().message().contains("never changes"));
}

#[tokio::test(start_paused = true)]
async fn opening_bills_are_no_measure_for_the_next() {
    let mut system = System::new("2026-01-15T00:00:00Z").await;
    let file = CATALOG
        .replace("every: month,", "every: month, fees: [{id: base, amount: 2.00, when: advance}],")
        .replace("plan: payg, from: 2026-01-01", "plan: payg, from: 2026-01-16");
    system.apply(&file).await.unwrap();
    system.send("c-1", "2026-01-20T00:00:00Z", "1000").await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    // 1.03 for 16 of 31 days, then 12.00: more than three times as much, but of another kind.
    let summary = system.summary().await;
    assert!(summary.contains(&"c-1/USD/2026-02-01T00:00:00Z issued 12.00".to_owned()), "{summary:?}");
    system.advance("2026-03-03T00:00:00Z").await.unwrap();
    let march = system.bills().await.into_iter().find(|bill| bill.id == "c-1/USD/2026-03-01T00:00:00Z").unwrap();
    assert_eq!((march.value.status.word(), march.value.total.as_str()), ("issued", "2.00"), "{:?}", march.value.reason);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_issued_before_the_store_has_what_counts() {
    let mut system = System::running().await;
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-01T02:00:00Z").await.unwrap();
    // The rater stands still for a day, with a late event before it.
    system.stop_rater();
    system.send("c-1", "2026-01-31T00:00:00Z", "100").await;
    let to = at("2026-02-04T00:00:00Z");
    let receipt = system.invoicer.publisher().turn().await.unwrap().tick(to).await.unwrap();
    receipt.durable().await.unwrap();
    system.invoicer.closer().pass().await.unwrap();
    let draft = "c-1/USD/2026-02-01T00:00:00Z draft 2.50".to_owned();
    assert!(system.summary().await.contains(&draft), "its review is over, but the store is not there");
    system.start_rater();
    system.advance("2026-02-05T00:00:00Z").await.unwrap();
    let summary = system.summary().await;
    assert!(summary.contains(&"c-1/USD/2026-02-01T00:00:00Z issued 3.50".to_owned()), "{summary:?}");
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_bill_has_one_seller() {
    let system = System::running().await;
    let more = r"
apiVersion: farthing/v1
tenant: acme
meters: [{id: others, event: other, aggregate: count}]
plans:
  - {id: more, seller: two, currency: USD, every: month, prices: [{id: out, meter: others, per_unit: {each: 1}}]}
sellers: [{id: one}, {id: two}]
customers: [{id: c-1, seller: one}]
subscriptions: [{id: s-3, customer: c-1, plan: more, from: 2026-02-01}]
";
    let refused = system.apply(more).await.unwrap_err();
    assert!(refused.message().contains("'s-1'") && refused.message().contains("a bill has one seller"), "{refused}");
    // What ends as the other begins shares its bill where a fee is paid in advance, and late usage would come on the next.
    let ends = "subscriptions: [{id: s-1, customer: c-1, plan: payg, from: 2026-01-01, until: 2026-02-01}, ";
    let refused = system.apply(&more.replace("subscriptions: [", ends)).await.unwrap_err();
    assert!(refused.message().contains("declare it after 2026-03-15T01:05:00Z"), "{refused}");
    let ended = CATALOG.replacen("from: 2026-01-01}", "from: 2026-01-01, until: 2026-02-01}", 1);
    system.apply(&ended).await.unwrap();
    system.advance("2026-03-15T01:04:59Z").await.unwrap();
    let later = more
        .replace("from: 2026-02-01", "from: 2026-03-20")
        .replace("currency: USD,", "currency: USD, fees: [{id: base, amount: 2, when: advance}],");
    system.apply(&later).await.unwrap_err();
    system.advance("2026-03-15T01:05:00Z").await.unwrap();
    system.apply(&later).await.unwrap();
    system.advance("2026-04-03T00:00:00Z").await.unwrap();
    let numbers: Vec<String> = system.invoices().await.into_iter().map(|invoice| invoice.id).collect();
    assert_eq!(numbers, ["two-TEST-1", "two-TEST-2"]);
    // Who was billed by nobody in particular may get a seller; who has one keeps it while it runs.
    let of_c2 =
        |seller: &str| format!("apiVersion: farthing/v1\ntenant: acme\ncustomers: [{{id: c-2, seller: {seller}}}]\n");
    system.apply(&of_c2("one")).await.unwrap();
    let refused = system.apply(&of_c2("two")).await.unwrap_err();
    assert!(refused.message().contains("customers.c-2") && refused.message().contains("'one'"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_fee_that_came_after_the_last_bill_opens_late() {
    let system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(&CATALOG.replace("from: 2026-01-01}", "from: 2026-01-01, until: 2026-02-01}")).await.unwrap();
    system.advance("2026-02-03T12:00:00Z").await.unwrap();
    system.apply(YEARLY).await.unwrap();
    system.advance("2026-02-06T00:00:00Z").await.unwrap();
    let summary = system.summary().await;
    let opened = "c-1/USD/2026-02-02T00:00:00Z issued 120.00".to_owned();
    assert!(summary.contains(&opened), "a year is not waited for: {summary:?}");
    assert_eq!(summary.len(), 3, "and it opens once: {summary:?}");
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_a_held_bill_brings_along_stands_on_no_other() {
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    let file =
        CATALOG.replace("plan: payg, from: 2026-01-01}", "plan: payg, from: 2026-01-01, until: 2026-02-01T06:00:00Z}");
    system.apply(&file.replace("meters:", "billing: {review: 1h, zero: issue}\nmeters:")).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-01T02:30:00Z").await.unwrap();
    // Late usage of January, and a year in advance: both belong on the next bill, which is held for being so large.
    system.send("c-1", "2026-01-31T12:00:00Z", "100").await;
    system.apply(YEARLY).await.unwrap();
    let bills = async || {
        let all = system.summary().await;
        all.into_iter().filter(|bill| bill.starts_with("c-1")).collect::<Vec<String>>()
    };
    system.advance("2026-02-05T00:00:00Z").await.unwrap();
    let january = "c-1/USD/2026-02-01T00:00:00Z issued 2.50";
    assert_eq!(
        bills().await,
        [january, "c-1/USD/2026-02-01T06:00:00Z held 121.00"],
        "an opening bill has no part in it"
    );
    system.issue("c-1/USD/2026-02-01T06:00:00Z").await.unwrap();
    system.advance("2026-02-08T00:00:00Z").await.unwrap();
    assert_eq!(bills().await, [january, "c-1/USD/2026-02-01T06:00:00Z issued 121.00"]);
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn damaged_charges_hold_up_what_they_concern() {
    for shard_too in [false, true] {
        let world = World::new(ShardCount::new(8).unwrap());
        let shard_of = |customer: &[u8]| world.log.shards().of(&acme(), customer);
        assert_ne!(shard_of(b"c-1"), shard_of(b"c-2"));
        let broken = Broken::new(&world, "c-1", shard_too.then(|| shard_of(b"c-1")));
        let parts = Parts { charges: Arc::new(broken), ..parts(&world, &Arc::default()) };
        let invoicer = Invoicer::start(parts, options("2026-01-01T00:00:00Z")).await.unwrap();
        let mut system = System::around(world.clone(), invoicer);
        system.apply(CATALOG).await.unwrap();
        system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
        system.send("c-2", "2026-01-11T00:00:00Z", "1000").await;
        system.advance("2026-02-03T00:00:00Z").await.unwrap();
        let mut expected = vec!["c-2/USD/2026-02-01T00:00:00Z issued 10.00"];
        if !shard_too {
            expected.insert(0, "c-1/USD/2026-02-01T00:00:00Z held 0.00");
            let reason = system.bills().await.remove(0).value.reason.unwrap();
            assert!(reason.contains("'s-1'") && reason.contains("damaged: by the test"), "{reason}");
        }
        assert_eq!(system.summary().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_draft_is_not_issued_while_the_store_does_not_tell_of_its_shard() {
    let world = World::new(ShardCount::new(8).unwrap());
    let broken = Broken::new(&world, "nobody", Some(world.log.shards().of(&acme(), b"c-1")));
    let switch = broken.switch();
    switch.store(false, Ordering::SeqCst);
    let parts = Parts { charges: Arc::new(broken), ..parts(&world, &Arc::default()) };
    let invoicer = Invoicer::start(parts, options("2026-01-01T00:00:00Z")).await.unwrap();
    let mut system = System::around(world.clone(), invoicer);
    system.apply(CATALOG).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-01T02:00:00Z").await.unwrap();
    let id = "c-1/USD/2026-02-01T00:00:00Z";
    assert!(system.summary().await.contains(&format!("{id} draft 2.50")));
    switch.store(true, Ordering::SeqCst);
    let refused = system.issue(id).await.unwrap_err().to_string();
    assert!(refused.contains("the charges of its shard"), "{refused}");
    assert!(system.summary().await.contains(&format!("{id} draft 2.50")));
    switch.store(false, Ordering::SeqCst);
    system.issue(id).await.unwrap();
    assert!(system.summary().await.contains(&format!("{id} issued 2.50")));
}
