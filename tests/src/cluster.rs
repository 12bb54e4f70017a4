//! A cluster on real servers: one ingest, some raters, one invoicer, each a process that can be killed; and who counts, in
//! the end, what was lost and what was doubled.

use super::{Sender, Server, Stage, bills, offline, wait_until};
use servers::{ClickHouse, Kafka, Postgres};
use std::path::{Path, PathBuf};

/// The real servers that a cluster stands on.
pub struct Backends {
    /// The log.
    pub kafka: Kafka,
    /// The charges.
    pub clickhouse: ClickHouse,
    /// The books.
    pub postgres: Postgres,
}

/// A running cluster. Stages end before servers, servers before the folder.
pub struct Cluster {
    /// Takes events.
    pub ingest: Stage,
    /// Each has the shards that are its number modulo their count.
    pub raters: Vec<Stage>,
    /// Leads.
    pub invoicer: Stage,
    /// What all of them stand on.
    pub backends: Backends,
    /// The installation's admin key.
    pub key: String,
    /// What every process is told.
    pub config: String,
    rounds: Vec<String>,
    folder: tempfile::TempDir,
}

/// Log time at the beginning of a [`Cluster`].
const START: &str = "2026-01-10T00:00:00Z";
/// Log time while events come.
const NOW: &str = "2026-01-28T00:00:00Z";
/// After every bill's review.
const LATER: &str = "2026-03-05T00:00:00Z";
const CUSTOMERS: usize = 16;

/// Makes topic, tables and schema of a configuration, and gives the first admin key.
#[track_caller]
pub fn migrate(folder: &Path, config: &str) -> String {
    let (file, key) = (folder.join("migrate.toml"), folder.join("admin.key"));
    std::fs::write(&file, config.replace("{port}", "0")).unwrap_or_else(|error| panic!("{error}"));
    offline(&["migrate", "--config", &file.to_string_lossy(), "--admin-key", &key.to_string_lossy()]).ok();
    std::fs::read_to_string(key).unwrap_or_default().trim().to_owned()
}

/// A catalog that prices [`event`]s.
pub fn catalog() -> String {
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

/// One event of a round, as a CloudEvent on a line.
pub fn event(round: &str, number: usize) -> String {
    let (customer, day, hour) = (number % CUSTOMERS, number / 24 % 17 + 10, number % 24);
    let value = number * 37 % 1000 + 1;
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{round}-{number}\",\"source\":\"t\",\"type\":\"call\",\"subject\":\"c-{customer}\",\
         \"time\":\"2026-01-{day:02}T{hour:02}:00:00Z\",\"data\":{{\"tokens\":\"{value}.25\",\"region\":\"eu\"}}}}\n"
    )
}

/// Whether every record of the log is charged, in so many shards.
pub fn is_settled(invoicer: &Stage, key: &str, count: usize) -> bool {
    let said = invoicer.farthing(key, &["status", "--json"]);
    let Ok(status) = serde_json::from_str::<serde_json::Value>(&said.out) else { return false };
    let shards = status["shards"].as_array().cloned().unwrap_or_default();
    assert!(shards.iter().all(|shard| shard["halted"].is_null()), "{status}");
    shards.len() == count && shards.iter().all(|shard| shard["log_next"] == shard["stored_next"])
}

// === impl Backends ===

impl Backends {
    /// Starts one of each.
    pub fn start() -> Self {
        Self { kafka: Kafka::start(1), clickhouse: ClickHouse::start(), postgres: Postgres::start() }
    }

    /// What every process of a new system is told: its topic and its databases are called `name`, its files lie below
    /// `folder`, `{port}` stands for each process's port. Last comes `[rater]`, so that more of its keys can follow.
    pub fn config(&self, folder: &Path, name: &str, shards: u16, clock: &str) -> String {
        let write = std::fs::write(folder.join("password"), Postgres::PASSWORD);
        write.unwrap_or_else(|error| panic!("{error}"));
        let books = self.postgres.make_database(name);
        let (dir, ca) = (folder.display(), self.postgres.ca_file());
        format!(
            "listen = \"127.0.0.1:{{port}}\"\ntest_clock = \"{clock}\"\n\
             [log]\nkafka = {{brokers = \"{}\", topic = \"{name}\", shards = {shards}, replication = 1}}\n\
             [charges]\nclickhouse = {{url = \"{}\", database = \"{name}\", user = \"default\"}}\n\
             [books]\npostgres = {{url = \"{books}\", password_file = \"{dir}/password\", ca_file = \"{}\"}}\n\
             [rater]\ndata = \"{dir}/rater-{{port}}\"\nsnapshots = \"{dir}/copies\"\n",
            self.kafka.bootstrap(),
            self.clickhouse.url(),
            ca.display()
        )
    }
}

// === impl Cluster ===

impl Cluster {
    /// Starts it with 4 shards and 2 raters, which are told `rater` besides, with [`catalog`] in force.
    #[track_caller]
    pub fn start(rater: &str) -> Self {
        Self::start_in(rater, &[])
    }

    /// The same, with an environment of every process's own.
    #[track_caller]
    pub fn start_in(rater: &str, environment: &[(&str, PathBuf)]) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let dir = folder.path();
        let backends = Backends::start();
        let config = backends.config(dir, "cluster", 4, START) + rater;
        let key = migrate(dir, &config);
        // What is written twice stays to be seen.
        backends.clickhouse.sql("cluster", "SYSTEM STOP MERGES charges", &[]);
        let stage = |name: &str, arguments: &[&str]| Stage::start_with(dir, name, &config, arguments, environment);
        let (mut invoicer, mut ingest) = (stage("invoicer", &["invoicer"]), stage("ingest", &["ingest"]));
        let rater = |pod: &str| stage(pod, &["rater", "--pod", &format!("{pod}/2")]);
        let mut raters = vec![rater("rater-0"), rater("rater-1")];
        invoicer.wait_ready();
        ingest.wait_ready();
        raters.iter_mut().for_each(Stage::wait_ready);
        let file = dir.join("catalog.yaml");
        std::fs::write(&file, catalog()).unwrap_or_else(|error| panic!("{error}"));
        invoicer.farthing(&key, &["apply", "-f", &file.to_string_lossy()]).ok();
        invoicer.farthing(&key, &["clock", "advance", "--to", NOW]).ok();
        Self { ingest, raters, invoicer, backends, key, config, rounds: Vec::new(), folder }
    }

    /// Where everything of it lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Begins to send so many events.
    pub fn send(&mut self, round: &str, count: usize) -> Sender {
        let sender = Sender::start(self.folder.path(), &self.ingest, &self.key, round, count);
        self.rounds.push(self.folder.path().join(format!("{round}.ndjson")).to_string_lossy().into_owned());
        sender
    }

    /// Sends events given as CloudEvents on lines, all in one request.
    #[track_caller]
    pub fn send_at_once(&mut self, round: &str, events: &str) {
        let file = self.folder.path().join(format!("{round}.ndjson"));
        std::fs::write(&file, events).unwrap_or_else(|error| panic!("{error}"));
        let file = file.to_string_lossy().into_owned();
        self.ingest.farthing(&self.key, &["send", &file, "--batch", "1000"]).ok();
        self.rounds.push(file);
    }

    /// SQL on its charges.
    pub fn sql(&self, sql: &str, parameters: &[(&str, &str)]) -> String {
        self.backends.clickhouse.sql("cluster", sql, parameters)
    }

    /// Waits until the lag is zero, then counts: every id that was acknowledged has one charge. Says so, where a fault was
    /// seen so many times.
    #[track_caller]
    pub fn settle(&self, fault: &str, times: usize, round: &str, acknowledged: usize) {
        wait_until("the lag to be zero", || is_settled(&self.invoicer, &self.key, 4));
        let count = |table: &str| -> Vec<usize> {
            let sql = format!("SELECT uniqExact(id), count() FROM {table} WHERE startsWith(id, {{round:String}})");
            let said = self.sql(&sql, &[("round", &format!("{round}-"))]);
            said.split_whitespace().filter_map(|number| number.parse().ok()).collect()
        };
        let (found, written) = (count("charges FINAL"), count("charges"));
        let (lost, doubled) = (acknowledged.saturating_sub(found[0]), found[1] - found[0]);
        let again = written[1].saturating_sub(found[1]);
        if times > 0 {
            eprintln!(
                "{fault}: {times} times, {acknowledged} acknowledged, {lost} lost, {doubled} doubled ({again} rows written again)"
            );
        }
        assert_eq!((lost, doubled), (0, 0), "{fault}");
    }

    /// Bills everything that was sent, and gives the bills; they recompute.
    #[track_caller]
    pub fn bills(&self) -> Vec<serde_json::Value> {
        self.invoicer.farthing(&self.key, &["clock", "advance", "--to", LATER]).ok();
        let bills = self.invoicer.invoices(&self.key);
        assert!(bills.len() >= CUSTOMERS, "{} bills", bills.len());
        self.invoicer.farthing(&self.key, &["check"]).ok();
        bills
    }

    /// The bills of one process that was given the same events.
    #[track_caller]
    pub fn expected(&self) -> Vec<serde_json::Value> {
        let dir = self.folder.path().join("one");
        std::fs::create_dir(&dir).unwrap_or_else(|error| panic!("{error}"));
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

impl Stage {
    /// All invoices as `invoices show --json` gives them, ordered by customer, currency, start.
    #[track_caller]
    pub fn invoices(&self, key: &str) -> Vec<serde_json::Value> {
        bills(|arguments| self.farthing(key, arguments))
    }
}
