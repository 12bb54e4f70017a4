//! `with_servers COMMAND ARGUMENT…`: runs a command beside a real Kafka, ClickHouse and PostgreSQL, which end with it. It is
//! told `--config FILE`, a configuration that names them, and `--process NAME=PID` for each.

use servers::{ClickHouse, Kafka, Postgres};
use std::process::{Command, ExitCode};

#[allow(clippy::expect_used, reason = "a helper that fails says why")]
fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let program = words.next().expect("with_servers COMMAND ARGUMENT…");
    let (kafka, clickhouse, postgres) = (Kafka::start(1), ClickHouse::start(), Postgres::start());
    let folder = tempfile::tempdir().expect("a folder");
    let (config, password) = (folder.path().join("farthing.toml"), folder.path().join("password"));
    std::fs::write(&password, Postgres::PASSWORD).expect("a file");
    let text = format!(
        "[log]\nkafka = {{brokers = \"{}\", topic = \"farthing\", replication = 1}}\n\
         [charges]\nclickhouse = {{url = \"{}\", database = \"farthing\", user = \"default\"}}\n\
         [books]\npostgres = {{url = \"{}\", password_file = \"{}\", ca_file = \"{}\"}}\n\
         [rater]\ndata = \"{}/rater\"\nvolume_only = true\n",
        kafka.bootstrap(),
        clickhouse.url(),
        postgres.url(),
        password.display(),
        postgres.ca_file().display(),
        folder.path().display(),
    );
    std::fs::write(&config, text).expect("a file");
    let brokers = kafka.pids().map(|pid| ("kafka", pid));
    let processes = brokers.chain([("clickhouse", clickhouse.pid()), ("postgres", postgres.pid())]);
    let processes = processes.flat_map(|(name, pid)| ["--process".to_owned(), format!("{name}={pid}")]);
    let status = Command::new(program).args(words).arg("--config").arg(&config).args(processes).status();
    let code = status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}
