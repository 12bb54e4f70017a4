//! 8,819 real requests through every meter and curve, compared to the last digit with a computation made outside Farthing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

#[path = "real_data/every_form.rs"]
mod every_form;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tests::{Backends, Server, Stage, migrate, offline, python, root, run, wait_until, without_numbers};

/// After the last request of the data.
const CLOCK: &str = "2023-11-16T20:00:00Z";
/// After every bill's review.
const ISSUED: &str = "2023-12-20T00:00:00Z";

fn folder() -> PathBuf {
    root().join("tests/real_data")
}

fn catalog() -> String {
    folder().join("catalog.yaml").to_string_lossy().into_owned()
}

fn prepare(kind: &str, out: &Path) -> String {
    run(Command::new(python()).arg(folder().join("prepare.py")).arg(kind).arg(out)).ok();
    out.to_string_lossy().into_owned()
}

/// The independent computation, on documents.
fn expect_exact(folder_out: &Path, invoices: &[serde_json::Value]) {
    let file = folder_out.join("invoices.json");
    let text = serde_json::json!({ "invoices": invoices }).to_string();
    std::fs::write(&file, text).unwrap();
    let said = run(Command::new(python()).arg(folder().join("expected.py")).arg(&file));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("12 invoices compared, 0 differences"), "{}", said.out);
}

fn send_arguments(file: &str) -> Vec<&str> {
    let mut arguments = vec!["send", file, "--type", "llm.request", "--source", "gateway", "--customer", "customer"];
    arguments.extend(["--time", "time", "--zone", "UTC", "--id", "id"]);
    for property in ["model", "region", "user", "input_tokens", "output_tokens", "cost", "seats", "disk"] {
        arguments.extend(["--property", property]);
    }
    arguments
}

fn without_number_and_status(invoices: &[serde_json::Value]) -> Vec<serde_json::Value> {
    let mut invoices = invoices.to_vec();
    for invoice in &mut invoices {
        let invoice = invoice.as_object_mut().unwrap();
        invoice.remove("number");
        invoice.remove("status");
        // What issuing adds, and `rate` has not.
        for added in ["issue_date", "due_date", "test"] {
            invoice.remove(added);
        }
    }
    invoices
}

#[test]
fn bills_equal_the_independent_computation_and_survive_two_kills() {
    let folder_out = tempfile::tempdir().unwrap();
    let events = prepare("csv", &folder_out.path().join("events.csv"));

    let calm = tempfile::tempdir().unwrap();
    let server = Server::start(calm.path(), &["--test-clock", CLOCK]);
    server.farthing(&["apply", "-f", &catalog()]).ok();
    server.farthing(&send_arguments(&events)).ok();
    server.advance(ISSUED);
    let invoices = server.invoices();
    expect_exact(folder_out.path(), &invoices);
    assert!(invoices.iter().all(|invoice| invoice["status"] == "issued"));
    let check = server.farthing(&["check"]).ok();
    assert!(!check.is_empty());
    every_form::agrees(&server, folder_out.path(), &invoices);
    drop(server);

    // The same with the server killed twice in the middle of the sending, and a client that only retries.
    let stormy = tempfile::tempdir().unwrap();
    let mut server = Server::start(stormy.path(), &["--test-clock", CLOCK]);
    server.farthing(&["apply", "-f", &catalog()]).ok();
    let mut arguments = send_arguments(&events);
    arguments.extend(["--batch", "7", "--in-flight", "2"]);
    let mut sending = server.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut arrived_before = 0;
    for kill in 1..=2 {
        wait_until("events to arrive", || arrivals(&server) > arrived_before + 1_000);
        arrived_before = arrivals(&server);
        assert!(
            sending.try_wait().unwrap().is_none(),
            "kill {kill} came after the sending had ended: nothing was proven"
        );
        server.kill_and_restart();
    }
    let sent = sending.wait_with_output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    server.advance(ISSUED);
    let after_kills = server.invoices();
    assert_eq!(without_number_and_status(&after_kills), without_number_and_status(&invoices));

    // And offline, from the same events shuffled and with copies.
    let shuffled = prepare("ndjson", &folder_out.path().join("events.ndjson"));
    let mut rated = Vec::new();
    for period in ["2023-10", "2023-11", "2023-12"] {
        let said = offline(&["rate", "-f", &catalog(), "--events", &shuffled, "--period", period, "--json"]).json();
        rated.extend(said["invoices"].as_array().cloned().unwrap());
    }
    let key = |invoice: &serde_json::Value| (invoice["customer"].to_string(), invoice["period"]["end"].to_string());
    let mut issued = without_number_and_status(&invoices);
    // The bills that the server has not come to by the test's clock are not compared.
    rated.retain(|rated| issued.iter().any(|issued| key(issued) == key(rated)));
    let mut rated = without_number_and_status(&rated);
    issued.sort_by_key(key);
    rated.sort_by_key(key);
    assert_eq!(rated, issued);
}

/// One process per stage on real Kafka, ClickHouse and PostgreSQL, with so many shards.
fn clustered(folder: &Path, backends: &Backends, shards: u16, events: &str) -> Vec<serde_json::Value> {
    let name = format!("shards{shards}");
    let folder = folder.join(&name);
    std::fs::create_dir(&folder).unwrap();
    let config = backends.config(&folder, &name, shards, CLOCK);
    let key = migrate(&folder, &config);
    let mut invoicer = Stage::start(&folder, "invoicer", &config, &["invoicer"]);
    let mut ingest = Stage::start(&folder, "ingest", &config, &["ingest"]);
    let mut rater = Stage::start(&folder, "rater", &config, &["rater"]);
    [&mut invoicer, &mut ingest, &mut rater].into_iter().for_each(Stage::wait_ready);
    invoicer.farthing(&key, &["apply", "-f", &catalog()]).ok();
    ingest.farthing(&key, &send_arguments(events)).ok();
    invoicer.farthing(&key, &["clock", "advance", "--to", ISSUED]).ok();
    let invoices = invoicer.invoices(&key);
    invoicer.farthing(&key, &["check"]).ok();
    invoices
}

#[test]
fn a_cluster_bills_the_same_with_1_3_and_64_shards() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let events = prepare("csv", &folder.join("events.csv"));
    let one = folder.join("one");
    std::fs::create_dir(&one).unwrap();
    let server = Server::start(&one, &["--test-clock", CLOCK]);
    server.farthing(&["apply", "-f", &catalog()]).ok();
    server.farthing(&send_arguments(&events)).ok();
    server.advance(ISSUED);
    let expected = without_numbers(server.invoices());
    drop(server);
    let backends = Backends::start();
    for shards in [1, 3, 64] {
        let invoices = clustered(folder, &backends, shards, &events);
        expect_exact(folder, &invoices);
        assert_eq!(without_numbers(invoices), expected, "{shards} shards");
    }
}

fn arrivals(server: &Server) -> u64 {
    let status = server.farthing(&["status", "--json"]).json();
    let shards = status["shards"].as_array().cloned().unwrap_or_default();
    shards.iter().filter_map(|shard| shard["arrivals"].as_u64()).sum()
}
