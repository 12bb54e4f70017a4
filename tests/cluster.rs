//! The cluster: one process per stage on a real Kafka, ClickHouse and PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use tests::{Backends, Server, Stage, migrate, offline, without_numbers};

const START: &str = "2026-01-10T00:00:00Z";
const LATER: &str = "2026-03-05T00:00:00Z";

const CATALOG: &str = "
apiVersion: farthing/v1
tenant: acme
meters:
  - {id: tokens, event: call, aggregate: sum, value: tokens, group_by: [region]}
  - {id: seats, event: seats, aggregate: time_weighted, value: seats, per: day}
plans:
  - id: payg
    currency: EUR
    every: month
    fees: [{id: base, amount: 9.99, when: advance}]
    prices:
      - {id: out, meter: tokens, included: 1000, graduated: [{up_to: 10_000, each: 0.0013}, {each: 0.00071}]}
      - {id: seat, meter: seats, per_unit: {each: 0.37}}
customers: [{id: c-1, time_zone: Europe/Berlin}, {id: c-2}, {id: c-3, time_zone: Asia/Tokyo}, {id: c-4}]
subscriptions:
  - {id: s-1, customer: c-1, plan: payg, from: 2026-01-10}
  - {id: s-2, customer: c-2, plan: payg, from: 2026-01-10}
  - {id: s-3, customer: c-3, plan: payg, from: 2026-01-10}
  - {id: s-4, customer: c-4, plan: payg, from: 2026-01-10}
";

fn events() -> String {
    let mut lines = String::new();
    for number in 0..400 {
        let (customer, day, hour) = (number % 4 + 1, number / 24 % 17 + 10, number % 24);
        let (kind, name) = if number % 40 < 4 { ("seats", "seats") } else { ("call", "tokens") };
        let value = number * 37 % 1000 + 1;
        lines += &format!(
            "{{\"specversion\":\"1.0\",\"id\":\"e-{number}\",\"source\":\"t\",\"type\":\"{kind}\",\"subject\":\"c-{customer}\",\
             \"time\":\"2026-01-{day:02}T{hour:02}:00:00Z\",\"data\":{{\"{name}\":\"{value}.25\",\"region\":\"eu\"}}}}\n"
        );
    }
    lines
}

/// The same on one machine.
fn expected(folder: &Path) -> Vec<serde_json::Value> {
    std::fs::create_dir(folder.join("one")).unwrap();
    let server = Server::start(&folder.join("one"), &["--test-clock", START]);
    server.apply(CATALOG);
    server.farthing(&["clock", "advance", "--to", "2026-01-28T00:00:00Z"]).ok();
    server.farthing(&["send", &folder.join("events.ndjson").to_string_lossy()]).ok();
    server.advance(LATER);
    server.invoices()
}

#[test]
fn three_stages_bill_as_one_process_does_and_a_standby_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let backends = Backends::start();
    std::fs::write(folder.join("events.ndjson"), events()).unwrap();
    std::fs::write(folder.join("catalog.yaml"), CATALOG).unwrap();
    let config = backends.config(folder, "cluster", 4, START) + "[invoicer]\nname = \"biller\"\n";
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    std::fs::write(folder.join("migrate.toml"), config.replace("{port}", "0")).unwrap();

    // Nothing starts on what is not there, and says what to do.
    let early = offline(&["serve", "ingest", "--config", &file("migrate.toml")]).refused();
    assert!(early.contains("farthing migrate"), "{early}");
    let key = migrate(folder, &config);
    assert_eq!(migrate(folder, &config), key, "a second one changes nothing");

    let mut leader = Stage::start(folder, "invoicer-0", &config, &["invoicer"]);
    leader.wait_ready();
    let mut standby = Stage::start(folder, "invoicer-1", &config, &["invoicer"]);
    let mut ingest = Stage::start(folder, "ingest", &config, &["ingest"]);
    let mut first = Stage::start(folder, "rater-0", &config, &["rater", "--pod", "rater-0/2"]);
    let mut second = Stage::start(folder, "rater-1", &config, &["rater", "--pod", "rater-1/2"]);
    ingest.wait_ready();
    first.wait_ready();
    second.wait_ready();
    // The one that stands by is ready, and passes on whatever it is asked.
    standby.wait_ready();
    assert_eq!(standby.metric("farthing_invoicer_leader", ""), Some(0));
    standby.farthing(&key, &["apply", "-f", &file("catalog.yaml")]).ok();
    let unknown = standby.farthing("fk_nobody", &["status"]).refused();
    assert_eq!(unknown, leader.farthing("fk_nobody", &["status"]).refused());
    leader.farthing(&key, &["clock", "advance", "--to", "2026-01-28T00:00:00Z"]).ok();
    // What the books know of since a moment ago is known to ingest: the catalog's tenant, and a new key of it.
    ingest.farthing(&key, &["send", &file("events.ndjson")]).ok();
    let made = leader.farthing(&key, &["keys", "create", "--scope", "admin", "--tenant", "acme", "--json"]).json();
    let made = made["key"].as_str().unwrap();
    ingest.farthing(made, &["send", &file("events.ndjson")]).ok();
    leader.farthing(made, &["invoices", "list", "--json"]).ok();

    // The leader goes without a word; the standby leads once the lease is over, and finishes the work.
    leader.kill();
    let said = standby.farthing(&key, &["status"]);
    assert!(said.code == 0 || said.err.contains("does not answer"), "{said:?}");
    tests::wait_until("the standby to lead", || standby.metric("farthing_invoicer_leader", "") == Some(1));
    standby.farthing(&key, &["clock", "advance", "--to", LATER]).ok();
    let billed = standby.invoices(&key);
    assert!(billed.len() >= 8, "{} bills", billed.len());
    assert_eq!(without_numbers(billed), without_numbers(expected(folder)));
    standby.farthing(&key, &["check"]).ok();

    // A log that keeps less than a tenant's events may be late is refused by whoever starts on it.
    std::fs::write(folder.join("longer.yaml"), "apiVersion: farthing/v1\ntenant: acme\nlimits: {past: 395d}\n")
        .unwrap();
    standby.farthing(&key, &["apply", "-f", &file("longer.yaml")]).ok();
    let short = offline(&["serve", "ingest", "--config", &file("migrate.toml")]).refused();
    assert!(short.contains("retention.ms="), "{short}");
    for stage in [ingest, first, second, standby] {
        assert_eq!(stage.stop(), 0);
    }
}
