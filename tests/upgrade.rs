//! A rolling upgrade across a record version, with events coming all the while: raters first, then the Barrier, then who
//! writes; and the mistake that can be made, a rater that was forgotten. The old build is this one, told to know no more than
//! record version 1. A waiver is what is written in version 2.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::process::Command;
use storage::kafka;
use storage::log::Log;
use storage::record::{Control, Record, decode};
use storage::shard::{Offset, ShardCount};
use tests::cluster::event;
use tests::{Cluster, Stage, farthing, run, without_numbers};

/// What makes a process stand for the old build.
const OLD: &str = "FARTHING_REHEARSE_RECORD_VERSION";
/// What the old build says of what it does not know, and what to do.
const UNKNOWN: &str = "the record has version 2; this Farthing reads up to 1: upgrade the raters first";
/// A customer with weekly bills, each held by an event that nothing explains. Its weeks are over as it is declared.
const WEEKLY: &str = "
apiVersion: farthing/v1
tenant: acme
plans: [{id: weekly, currency: EUR, every: week, fees: [{id: base, amount: 1.00, when: arrears}], prices: []}]
customers: [{id: w-0}]
subscriptions: [{id: s-w, customer: w-0, plan: weekly, from: 2026-01-05, backfill: true}]
";

/// Of each record of a shard its version, and what it is where that is of interest here.
#[tokio::main]
async fn log(cluster: &Cluster) -> Vec<Vec<(u8, Option<Control>)>> {
    let mut options = kafka::Options::new(cluster.backends.kafka.bootstrap(), "cluster", ShardCount::new(4).unwrap());
    options.replication = 1;
    let log = kafka::Log::open(options).await.unwrap();
    let mut shards = Vec::new();
    for shard in log.shards().all() {
        let (mut next, end, mut found) = (Offset(0), log.bounds(shard).await.unwrap().end, Vec::new());
        while next < end {
            for entry in log.read(shard, next, 1 << 20).await.unwrap() {
                let control = match decode(&entry.record).unwrap() {
                    Record::Control(control) => Some(*control),
                    Record::Events(_) => None,
                };
                let told = control.filter(|one| matches!(one, Control::Barrier { .. } | Control::Waive { .. }));
                found.push((entry.record[2], told));
                next = entry.offset.next();
            }
        }
        shards.push(found);
    }
    shards
}

/// The versions of the waivers in the log.
fn waivers(cluster: &Cluster) -> Vec<u8> {
    let records = log(cluster).into_iter().flatten();
    records.filter(|(_, told)| matches!(told, Some(Control::Waive { .. }))).map(|(version, _)| version).collect()
}

/// Makes the weekly customer's bills, and an event in each of their weeks.
fn hold_bills(cluster: &mut Cluster) {
    let file = cluster.folder().join("weekly.yaml").to_string_lossy().into_owned();
    std::fs::write(&file, WEEKLY).unwrap();
    cluster.invoicer.farthing(&cluster.key, &["apply", "-f", &file]).ok();
    let days = ["08", "15", "22"];
    let odd = |day: &str| {
        event(&format!("odd-{day}"), 0).replace("c-0", "w-0").replace("2026-01-10", &format!("2026-01-{day}"))
    };
    let odd: String = days.iter().map(|day| odd(day).replace("\"call\"", "\"mystery\"")).collect();
    // Once ingest knows of the customer.
    cluster.send_at_once("odd", &odd);
    cluster.settle("parked", 0, "odd", 0);
    cluster.invoicer.farthing(&cluster.key, &["clock", "advance", "--to", "2026-01-28T00:30:00Z"]).ok();
}

/// Waives what holds the bill that ends this day.
fn waive(cluster: &Cluster, day: &str) {
    let bill = format!("w-0/EUR/2026-01-{day}T00:00:00Z");
    cluster.invoicer.farthing(&cluster.key, &["invoices", "waive", &bill, "--reason", "agreed with Ann"]).ok();
}

fn upgrade(stage: &mut Stage) {
    stage.restart_in(&[]);
    stage.wait_ready();
}

/// The shards of a rater that stand because of an unknown version.
fn halted(rater: &Stage) -> Vec<String> {
    let (_, page) = rater.get("/metrics");
    let standing = page.lines().filter(|line| line.starts_with("farthing_shard_halted{") && line.ends_with(" 1"));
    let standing = standing.inspect(|line| assert!(line.contains(UNKNOWN), "{line}"));
    standing.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn raters_first_then_the_barrier_then_writers() {
    let old = [(OLD, PathBuf::from("1"))];
    let mut cluster = Cluster::start_in("", &old);
    let file = cluster.folder().join("migrate.toml").to_string_lossy().into_owned();
    let migrate = |more: &[&str]| {
        let mut command = Command::new(farthing());
        command.args(["migrate", "--config", &file]).args(more);
        command
    };
    let allow = ["--record-version", "2"];
    hold_bills(&mut cluster);
    waive(&cluster, "12");

    let mut sender = cluster.send("rolling", 2000);
    sender.flows(&cluster.ingest);
    upgrade(&mut cluster.raters[0]);
    sender.flows(&cluster.ingest);
    // Who writes goes on in the words that all can read, whatever it knows itself.
    upgrade(&mut cluster.invoicer);
    waive(&cluster, "19");
    upgrade(&mut cluster.ingest);
    sender.flows(&cluster.ingest);
    assert_eq!(waivers(&cluster), [1, 1]);

    // A person's word; an older build does not take it for what it does not know.
    let refused = run(migrate(&allow).env(OLD, "1")).refused();
    assert!(refused.contains("upgrade it first"), "{refused}");
    assert!(run(&mut migrate(&[])).ok().contains("--record-version 2"));
    let said = run(&mut migrate(&allow)).ok();
    assert!(said.contains("up to version 2"), "{said}");
    run(&mut migrate(&allow)).ok();

    // The rater that was forgotten stands there with all of its shards, and the other one goes on.
    sender.meanwhile("the old rater to halt", || halted(&cluster.raters[1]) == ["1", "3"]);
    let charged = || cluster.raters[0].metric("farthing_shard_events_total{", "outcome=\"charged\"").unwrap_or(0);
    let before = charged();
    sender.meanwhile("the new rater to go on", || charged() > before);
    assert_eq!(halted(&cluster.raters[0]), [""; 0]);
    upgrade(&mut cluster.raters[1]);
    sender.finish();
    cluster.settle("upgraded part by part, a Barrier before the last rater", 1, "rolling", 2000);
    waive(&cluster, "26");

    // Nothing was written before its Barrier stood in the same shard, and that stands there once.
    let shards = log(&cluster);
    for (shard, records) in shards.iter().enumerate() {
        let is_barrier = |(_, told): &&(u8, Option<Control>)| matches!(told, Some(Control::Barrier { version: 2 }));
        assert_eq!(records.iter().filter(is_barrier).count(), 1, "shard {shard}");
        let before = records.iter().take_while(|record| !is_barrier(record));
        assert!(before.into_iter().all(|(version, _)| *version == 1), "shard {shard}");
    }
    assert_eq!(waivers(&cluster), [1, 1, 2]);

    // All that was held is issued, and the others are billed as by one process that was never upgraded.
    let of = |bills: Vec<serde_json::Value>, weekly: bool| -> Vec<_> {
        without_numbers(bills).into_iter().filter(|bill| (bill["customer"] == "w-0") == weekly).collect()
    };
    let bills = cluster.bills();
    assert!(of(bills.clone(), true).iter().all(|bill| bill["status"] == "issued"), "{bills:?}");
    assert_eq!(of(bills.clone(), true).len(), 8, "of eight weeks");
    assert_eq!(of(bills, false), of(cluster.expected(), false));
}
