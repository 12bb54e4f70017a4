//! The cluster under faults: `kill -9` of every part in the middle of a run, again and again. Each round of events has ids of
//! its own; afterwards every acknowledged id has exactly one charge, and in the end the bills are those of one process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use servers::{ClickHouse, Kafka, Postgres};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tests::{Server, Stage, curl, offline, wait_until, without_numbers};

const START: &str = "2026-01-10T00:00:00Z";
const NOW: &str = "2026-01-28T00:00:00Z";
const LATER: &str = "2026-03-05T00:00:00Z";
const CUSTOMERS: usize = 16;
/// A shard that has more unsent rows stands still.
const UNSENT_MAX: u64 = 30_000;

/// A cluster of real servers: one ingest, two raters, one invoicer. Stages end before servers, servers before the folder.
struct Cluster {
    ingest: Stage,
    raters: Vec<Stage>,
    invoicer: Stage,
    kafka: Kafka,
    clickhouse: ClickHouse,
    postgres: Postgres,
    key: String,
    raters_config: String,
    rounds: Vec<String>,
    folder: tempfile::TempDir,
}

/// A `farthing send` under way, ten events a request, one request at a time; it tries again with the same ids.
struct Sender {
    child: Child,
    round: String,
    count: usize,
}

fn catalog() -> String {
    let mut text = "
apiVersion: farthing/v1
tenant: acme
meters: [{id: tokens, event: call, aggregate: sum, value: tokens, group_by: [region]}]
plans:
  - id: payg
    currency: EUR
    every: month
    fees: [{id: base, amount: 9.99, when: advance}]
    prices: [{id: out, meter: tokens, included: 1000, graduated: [{up_to: 10_000, each: 0.0013}, {each: 0.00071}]}]
"
    .to_owned();
    let list = |line: &dyn Fn(usize) -> String| (0..CUSTOMERS).map(line).collect::<String>();
    text += &format!("customers:\n{}", list(&|one| format!("  - {{id: c-{one}}}\n")));
    let line = |one| format!("  - {{id: s-{one}, customer: c-{one}, plan: payg, from: 2026-01-10}}\n");
    text + &format!("subscriptions:\n{}", list(&line))
}

fn event(round: &str, number: usize) -> String {
    let (customer, day, hour) = (number % CUSTOMERS, number / 24 % 17 + 10, number % 24);
    let value = number * 37 % 1000 + 1;
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{round}-{number}\",\"source\":\"t\",\"type\":\"call\",\"subject\":\"c-{customer}\",\
         \"time\":\"2026-01-{day:02}T{hour:02}:00:00Z\",\"data\":{{\"tokens\":\"{value}.25\",\"region\":\"eu\"}}}}\n"
    )
}

fn config(folder: &Path, kafka: &Kafka, clickhouse: &ClickHouse, postgres: &Postgres) -> String {
    let (dir, ca) = (folder.display(), postgres.ca_file());
    std::fs::write(folder.join("password"), Postgres::PASSWORD).unwrap();
    format!(
        "listen = \"127.0.0.1:{{port}}\"\ntest_clock = \"{START}\"\n\
         [log]\nkafka = {{brokers = \"{}\", topic = \"farthing\", shards = 4, replication = 1}}\n\
         [charges]\nclickhouse = {{url = \"{}\", database = \"farthing\", user = \"default\"}}\n\
         [books]\npostgres = {{url = \"{}\", password_file = \"{dir}/password\", ca_file = \"{}\"}}\n\
         [rater]\ndata = \"{dir}/rater\"\nsnapshots = \"{dir}/copies\"\nunsent_bytes_max = {UNSENT_MAX}\nsnapshot_every = \"1s\"\n",
        kafka.bootstrap(),
        clickhouse.url(),
        postgres.url(),
        ca.display()
    )
}

/// How many events a rater knows to be charged.
fn charged(rater: &Stage) -> Option<u64> {
    rater.metric("farthing_shard_events_total{", "outcome=\"charged\"")
}

/// Whether every record of the log is charged.
fn is_settled(invoicer: &Stage, key: &str) -> bool {
    let said = invoicer.farthing(key, &["status", "--json"]);
    let Ok(status) = serde_json::from_str::<serde_json::Value>(&said.out) else { return false };
    let shards = status["shards"].as_array().unwrap();
    assert!(shards.iter().all(|shard| shard["halted"].is_null()), "{status}");
    shards.len() == 4 && shards.iter().all(|shard| shard["log_next"] == shard["stored_next"])
}

/// Whether rows of a rater's shards are stored that no boundary vouches for yet.
fn rows_are_ahead(clickhouse: &ClickHouse, rater: usize) -> bool {
    let sql = "SELECT (SELECT count() FROM charges FINAL WHERE shard % 2 = {rater:UInt16})
                    > (SELECT sum(charged) FROM boundaries FINAL WHERE shard % 2 = {rater:UInt16})";
    clickhouse.sql("farthing", sql, &[("rater", &rater.to_string())]).trim() == "1"
}

// === impl Sender ===

impl Sender {
    fn start(folder: &Path, ingest: &Stage, key: &str, round: &str, count: usize) -> Self {
        let file = folder.join(format!("{round}.ndjson"));
        std::fs::write(&file, (0..count).map(|number| event(round, number)).collect::<String>()).unwrap();
        let child = Command::new(tests::farthing())
            .args(["send", &file.to_string_lossy(), "--json", "--quiet"])
            .args(["--batch", "10", "--in-flight", "1", "--retry-for", "5m"])
            .env("FARTHING_SERVER", ingest.url())
            .env("FARTHING_KEY", key)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, round: round.to_owned(), count }
    }

    /// Waits for a condition while events still come: what happens then happens in the middle of a run.
    #[track_caller]
    fn meanwhile(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        wait_until(what, || {
            let is_met = condition();
            assert!(self.is_running(), "{}: all was sent before {what}", self.round);
            is_met
        });
    }

    /// Waits until this process has accepted more events, so that some are certainly under way.
    #[track_caller]
    fn flows(&mut self, ingest: &Stage) {
        let accepted = || ingest.metric("farthing_events_total{", "outcome=\"accepted\"").unwrap_or(0);
        let base = accepted();
        self.meanwhile("events to be accepted", || accepted() >= base + 100);
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until everything is acknowledged; how often it had to connect again.
    #[track_caller]
    fn finish(self) -> u64 {
        let output = self.child.wait_with_output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert!(output.status.success(), "{}: {report} {}", self.round, String::from_utf8_lossy(&output.stderr));
        assert_eq!(report["accepted"], self.count, "{report}");
        report["reconnects"].as_u64().unwrap()
    }
}

// === impl Cluster ===

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let (kafka, clickhouse, postgres) = (Kafka::start(1), ClickHouse::start(), Postgres::start());
        let config = config(dir, &kafka, &clickhouse, &postgres);
        let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
        std::fs::write(dir.join("migrate.toml"), config.replace("{port}", "0")).unwrap();
        std::fs::write(dir.join("catalog.yaml"), catalog()).unwrap();
        offline(&["migrate", "--config", &file("migrate.toml"), "--admin-key", &file("admin.key")]).ok();
        // What is written twice stays to be seen.
        clickhouse.sql("farthing", "SYSTEM STOP MERGES charges", &[]);
        let key = std::fs::read_to_string(dir.join("admin.key")).unwrap().trim().to_owned();
        let raters_config = config.replace("/rater\"", "/rater-{port}\"");
        let mut invoicer = Stage::start(dir, "invoicer", &config, &["invoicer"]);
        let mut ingest = Stage::start(dir, "ingest", &config, &["ingest"]);
        let rater = |pod: &str| Stage::start(dir, pod, &raters_config, &["rater", "--pod", &format!("{pod}/2")]);
        let mut raters = vec![rater("rater-0"), rater("rater-1")];
        invoicer.wait_ready();
        ingest.wait_ready();
        raters.iter_mut().for_each(Stage::wait_ready);
        invoicer.farthing(&key, &["apply", "-f", &file("catalog.yaml")]).ok();
        invoicer.farthing(&key, &["clock", "advance", "--to", NOW]).ok();
        Self { ingest, raters, invoicer, kafka, clickhouse, postgres, key, raters_config, rounds: Vec::new(), folder }
    }

    /// Begins to send so many events.
    fn send(&mut self, round: &str, count: usize) -> Sender {
        let sender = Sender::start(self.folder.path(), &self.ingest, &self.key, round, count);
        self.rounds.push(self.folder.path().join(format!("{round}.ndjson")).to_string_lossy().into_owned());
        sender
    }

    /// Waits until the lag is zero, then counts: every id that was acknowledged has one charge.
    #[track_caller]
    fn settle(&self, fault: &str, times: usize, round: &str, acknowledged: usize) {
        wait_until("the lag to be zero", || is_settled(&self.invoicer, &self.key));
        let count = |table: &str| -> Vec<usize> {
            let sql = format!("SELECT uniqExact(id), count() FROM {table} WHERE startsWith(id, {{round:String}})");
            let said = self.clickhouse.sql("farthing", &sql, &[("round", &format!("{round}-"))]);
            said.split_whitespace().map(|number| number.parse().unwrap()).collect()
        };
        let (found, written) = (count("charges FINAL"), count("charges"));
        let (lost, doubled) = (acknowledged.saturating_sub(found[0]), found[1] - found[0]);
        let again = written[1].saturating_sub(found[1]);
        eprintln!(
            "{fault}: {times} times, {acknowledged} acknowledged, {lost} lost, {doubled} doubled ({again} rows written again)"
        );
        assert_eq!((lost, doubled), (0, 0), "{fault}");
    }

    fn bills(&self) -> Vec<serde_json::Value> {
        let list = self.invoicer.farthing(&self.key, &["invoices", "list", "--json"]).json();
        let shown = list["invoices"].as_array().unwrap().iter().map(|one| {
            self.invoicer.farthing(&self.key, &["invoices", "show", one["id"].as_str().unwrap(), "--json"]).json()
        });
        shown.flat_map(|shown| shown["invoices"].as_array().cloned().unwrap()).collect()
    }

    /// The bills of one process that was given the same events.
    fn expected(&self) -> Vec<serde_json::Value> {
        let dir = self.folder.path().join("one");
        std::fs::create_dir(&dir).unwrap();
        let server = Server::start(&dir, &["--test-clock", START]);
        server.apply(&catalog());
        server.advance(NOW);
        for round in &self.rounds {
            server.farthing(&["send", round]).ok();
        }
        server.advance(LATER);
        server.invoices()
    }
}

// === The faults ===

fn ingest_killed(cluster: &mut Cluster) {
    let mut sender = cluster.send("ingest", 2000);
    for _ in 0..3 {
        cluster.ingest.wait_ready();
        sender.flows(&cluster.ingest);
        cluster.ingest.kill();
        cluster.ingest.restart();
    }
    assert!(sender.finish() >= 3);
    cluster.settle("ingest killed", 3, "ingest", 2000);
}

fn raters_killed(cluster: &mut Cluster) {
    let (mut times, mut between) = (0, 0);
    while times < 6 || between == 0 {
        assert!(times < 30, "no kill came between rows and boundary");
        let mut sender = cluster.send(&format!("rater-{times}"), 600);
        let of = times % 2;
        let rater = &mut cluster.raters[of];
        rater.wait_ready();
        let base = charged(rater).unwrap_or(0);
        sender.meanwhile("a rater to fold", || charged(rater).is_some_and(|now| now > base));
        while sender.is_running() && !rows_are_ahead(&cluster.clickhouse, of) {}
        rater.kill();
        between += u32::from(rows_are_ahead(&cluster.clickhouse, of));
        rater.restart();
        sender.finish();
        times += 1;
    }
    eprintln!("{between} of {times} kills of a rater came between rows and their boundary");
    cluster.settle("rater killed", times, "rater", 600 * times);
}

fn two_raters_on_one_shard(cluster: &mut Cluster) {
    let dir = cluster.folder.path();
    let mut twin = Stage::start(dir, "rater-twin", &cluster.raters_config, &["rater", "--pod", "0/2"]);
    twin.wait_ready();
    let mut sender = cluster.send("twin", 1000);
    let both = [&twin, &cluster.raters[0]].map(|rater| (rater, charged(rater).unwrap_or(0)));
    for (rater, base) in both {
        sender.meanwhile("both raters to fold the same shards", || charged(rater).is_some_and(|now| now > base));
    }
    sender.finish();
    cluster.settle("two raters on the same shards", 1, "twin", 1000);
    assert_eq!(twin.stop(), 0);
}

fn clickhouse_killed(cluster: &mut Cluster) {
    for time in 0..2 {
        let round = format!("clickhouse{time}");
        let mut sender = cluster.send(&round, 1500);
        sender.flows(&cluster.ingest);
        cluster.clickhouse.kill();
        assert_eq!(sender.finish(), 0, "ingest goes on");
        wait_until("a shard to stand still", || {
            let of = |rater: &Stage, name: &str| rater.metric(name, "").unwrap_or(0);
            let is_full = |rater| of(rater, "farthing_shard_unsent_bytes{") > UNSENT_MAX;
            cluster.raters.iter().any(|rater| is_full(rater) && of(rater, "farthing_shard_lag_records{") > 0)
        });
        cluster.clickhouse.restart();
        cluster.settle("ClickHouse killed", 1, &round, 1500);
    }
}

fn postgres_killed(cluster: &mut Cluster) {
    for time in 0..2 {
        let round = format!("postgres{time}");
        let mut sender = cluster.send(&round, 700);
        sender.flows(&cluster.ingest);
        cluster.postgres.kill();
        assert_eq!(sender.finish(), 0, "ingest goes on with the keys and catalogs it has");
        cluster.postgres.restart();
        cluster.invoicer.wait_ready();
        cluster.settle("PostgreSQL killed", 1, &round, 700);
    }
}

fn broker_killed(cluster: &mut Cluster) {
    for time in 0..2 {
        let (round, probe) = (format!("broker{time}"), format!("probe{time}"));
        let mut sender = cluster.send(&round, 1500);
        sender.flows(&cluster.ingest);
        cluster.kafka.kill(1);
        let (status, said) = curl(&[
            "-i",
            &format!("{}/v1/events", cluster.ingest.url()),
            "-H",
            &format!("authorization: Bearer {}", cluster.key),
            "-H",
            "content-type: application/cloudevents+json",
            "--data-binary",
            event(&probe, 0).trim(),
        ]);
        assert_eq!(status, 503, "{said}");
        assert!(said.to_lowercase().contains("retry-after: "), "{said}");
        cluster.kafka.restart(1);
        sender.finish();
        // What was refused may be in the log all the same: its copy is dropped.
        cluster.send(&probe, 1).finish();
        cluster.settle("the only broker killed", 1, &round, 1500);
        cluster.settle("refused, then sent again", 1, &probe, 1);
    }
}

fn rater_volume_lost(cluster: &mut Cluster) {
    let rater = &mut cluster.raters[0];
    let volume = cluster.folder.path().join(format!("rater-{}", rater.url().rsplit(':').next().unwrap()));
    rater.kill();
    std::fs::remove_dir_all(&volume).unwrap();
    rater.restart();
    rater.wait_ready();
    wait_until("the copy to serve", || rater.said().contains("a snapshot was fetched back onto the volume"));
    let sender = cluster.send("volume", 500);
    sender.finish();
    cluster.settle("a rater's volume lost", 1, "volume", 500);
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_whatever_is_killed() {
    let mut cluster = Cluster::start();
    ingest_killed(&mut cluster);
    raters_killed(&mut cluster);
    two_raters_on_one_shard(&mut cluster);
    clickhouse_killed(&mut cluster);
    postgres_killed(&mut cluster);
    broker_killed(&mut cluster);
    rater_volume_lost(&mut cluster);
    cluster.invoicer.farthing(&cluster.key, &["clock", "advance", "--to", LATER]).ok();
    let bills = cluster.bills();
    assert!(bills.len() >= CUSTOMERS, "{} bills", bills.len());
    assert_eq!(without_numbers(bills), without_numbers(cluster.expected()));
    cluster.invoicer.farthing(&cluster.key, &["check"]).ok();
}

#[test]
fn one_broker_of_three_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut kafka = Kafka::start(3);
    let config = format!(
        "listen = \"127.0.0.1:{{port}}\"\ntest_clock = \"{START}\"\n\
         [log]\nkafka = {{brokers = \"{}\", topic = \"farthing\", shards = 4, replication = 3}}\n\
         [charges]\nembedded = {{dir = \"{1}\"}}\n[books]\nembedded = {{dir = \"{1}\"}}\n[rater]\ndata = \"{1}\"\n",
        kafka.bootstrap(),
        dir.display()
    );
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    std::fs::write(dir.join("migrate.toml"), config.replace("{port}", "0")).unwrap();
    std::fs::write(dir.join("catalog.yaml"), catalog()).unwrap();
    offline(&["migrate", "--config", &file("migrate.toml"), "--admin-key", &file("admin.key")]).ok();
    let key = std::fs::read_to_string(dir.join("admin.key")).unwrap().trim().to_owned();
    let mut all = Stage::start(dir, "all", &config, &["all"]);
    all.wait_ready();
    all.farthing(&key, &["apply", "-f", &file("catalog.yaml")]).ok();
    all.farthing(&key, &["clock", "advance", "--to", NOW]).ok();
    // Each broker once: whichever leads, it goes in the middle, and everything is acknowledged while it is away.
    for broker in 1..=3 {
        let mut sender = Sender::start(dir, &all, &key, &format!("broker{broker}"), 700);
        sender.flows(&all);
        kafka.kill(broker);
        assert_eq!(sender.finish(), 0, "nobody was sent away");
        kafka.restart(broker);
    }
    wait_until("the lag to be zero", || is_settled(&all, &key));
    let usage = all.farthing(&key, &["usage", "--json"]).json();
    let found: u64 = usage["usage"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap()).sum();
    eprintln!("one broker of three killed: 3 times, 2100 acknowledged, {found} charged");
    assert_eq!(found, 2100);
}
