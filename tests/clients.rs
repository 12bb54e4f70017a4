//! Clients that are not ours: Python's grpcio with generated code, and curl with CloudEvents.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use serde_json::json;
use std::process::Command;
use tests::{Server, python, root, run, wait_until};

const CATALOG: &str = "
apiVersion: farthing/v1
tenant: acme
meters: [{id: tokens, event: call, aggregate: sum, value: tokens}]
plans: [{id: p, currency: USD, every: month, prices: [{id: t, meter: tokens, per_unit: {each: 0.001}}]}]
customers: [{id: c-1}]
subscriptions: [{id: s-1, customer: c-1, plan: p, from: 2024-01-01}]
";

fn started(data: &std::path::Path) -> Server {
    let server = Server::start(data, &["--test-clock", "2024-01-15T00:00:00Z"]);
    server.apply(CATALOG);
    server
}

/// Waits until the usage of c-1 has `count` charges, and gives their quantity.
fn quantity_once(server: &Server, count: u64) -> String {
    let mut quantity = String::new();
    wait_until("the usage to show every event", || {
        let usage = server.farthing(&["usage", "--customer", "c-1", "--json"]).json();
        let Some(row) = usage["usage"].get(0).cloned() else { return false };
        quantity = row["quantity"].as_str().unwrap_or_default().to_owned();
        row["count"].as_u64() == Some(count)
    });
    quantity
}

#[test]
fn python_grpc() {
    let data = tempfile::tempdir().unwrap();
    let server = started(data.path());
    let address = server.url().replace("http://", "");
    let mut client = Command::new(python());
    client.arg(root().join("tests/client.py")).arg(root().join("proto")).args([&address, &server.admin_key(), "250"]);
    assert_eq!(run(&mut client).ok().trim(), "ok");
    assert_eq!(quantity_once(&server, 250), (0..250).sum::<u64>().to_string());
}

fn curl(server: &Server, content_type: &str, headers: &[&str], body: &str) -> (u16, serde_json::Value) {
    let mut command = Command::new("curl");
    command.args(["-s", "-w", "\n%{http_code}", "-X", "POST", &format!("{}/v1/events", server.url())]);
    command.args(["-H", &format!("Authorization: Bearer {}", server.admin_key())]);
    command.args(["-H", &format!("Content-Type: {content_type}"), "--data-binary", body]);
    for header in headers {
        command.args(["-H", header]);
    }
    let out = run(&mut command).ok();
    let (body, code) = out.rsplit_once('\n').unwrap();
    (code.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn curl_cloud_events() {
    let data = tempfile::tempdir().unwrap();
    let server = started(data.path());
    let event = |id: &str, tokens: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/curl","type":"call","subject":"c-1","time":"2024-01-10T00:00:00Z","data":{{"tokens":{tokens}}}}}"#
        )
    };
    let structured = curl(&server, "application/cloudevents+json", &[], &event("a", "9007199254740993"));
    assert_eq!((structured.0, &structured.1["accepted"]), (200, &json!(1)), "{}", structured.1);
    let batch = format!("[{},{}]", event("b", "0.1"), event("c", "\"0.2\""));
    let batch = curl(&server, "application/cloudevents-batch+json", &[], &batch);
    assert_eq!((batch.0, &batch.1["accepted"]), (200, &json!(2)), "{}", batch.1);
    let binary = [
        "ce-specversion: 1.0",
        "ce-id: d",
        "ce-source: /curl",
        "ce-type: call",
        "ce-subject: c-1",
        "ce-time: 2024-01-10T00:00:00Z",
    ];
    let binary = curl(&server, "application/json", &binary, r#"{"tokens": 1}"#);
    assert_eq!((binary.0, &binary.1["accepted"]), (200, &json!(1)), "{}", binary.1);
    let lines = format!("{}\n{}\n", event("e", "1"), event("a", "9007199254740993"));
    let lines = curl(&server, "application/x-ndjson", &[], &lines);
    assert_eq!((lines.0, &lines.1["accepted"]), (200, &json!(2)), "{}", lines.1);
    // Numbers arrive as written: no float has touched 2^53 + 1 or 0.1, and the copy of `a` counts once.
    assert_eq!(quantity_once(&server, 5), "9007199254740995.3");

    let (code, said) = curl(&server, "application/cloudevents+json", &[], &event("f", "[1]"));
    // A bad event is told in the answer, as over gRPC: its neighbours in a batch are taken.
    assert_eq!(
        (code, &said["accepted"], &said["rejected"][0]["field"]),
        (200, &json!(0), &json!("data.tokens")),
        "{said}"
    );
    let (code, said) = curl(&server, "application/cloudevents+json", &[], &event("g", r#""many""#));
    let rejected = &said["rejected"][0];
    assert_eq!((code, &rejected["code"]), (200, &json!("VALUE_NOT_DECIMAL")), "{said}");
    assert_eq!(rejected["field"], "data.tokens", "as the sender calls it");
    let (code, said) = curl(&server, "application/cloudevents+json", &[], "{");
    assert_eq!((code, &said["rejected"][0]["code"]), (200, &json!("EVENT_MALFORMED")), "{said}");
}
