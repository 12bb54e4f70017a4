//! The HTTP way in, in every CloudEvents mode.

use crate::setup::{System, start};
use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use ingest::{Ingest, Options};
use serde_json::{Value, json};
use storage::log::Error;
use tonic::codegen::Service;

async fn post(ingest: &Ingest, headers: &[(&str, &str)], body: impl Into<Body>) -> (StatusCode, Value) {
    let mut request = Request::post("/v1/events");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = ingest.router().call(request.body(body.into()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    let retryable = matches!(response.status().as_u16(), 429 | 503);
    assert_eq!(response.headers().contains_key("retry-after"), retryable);
    let status = response.status();
    (status, serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap())
}

fn cloud_event(id: &str, data: &str) -> String {
    let head = r#""specversion":"1.0","source":"api","type":"llm.completion","subject":"c-1""#;
    format!(r#"{{{head},"id":"{id}","time":"2026-01-15T11:59:00Z","data":{data}}}"#)
}

type Header = (&'static str, &'static str);

const KEY: Header = ("authorization", "Bearer acme-ingest");
const STRUCTURED: Header = ("content-type", "application/cloudevents+json; charset=utf-8");
const BATCH: Header = ("content-type", "application/cloudevents-batch+json");
const LINES: Header = ("content-type", "application/x-ndjson");

#[tokio::test]
async fn every_mode_gives_the_same_event() {
    let System { ingest, log, .. } = start(Options::default()).await;
    log.open();
    let data = r#"{"tokens":0.10,"user":{"name":"x"}}"#;
    let event = cloud_event("e-1", data);
    let binary = [
        KEY,
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "e-1"),
        ("ce-source", "api"),
        ("ce-type", "llm.completion"),
        ("ce-subject", "c-1"),
        ("ce-time", "2026-01-15T11:59:00Z"),
    ];
    let accepted = (StatusCode::OK, json!({"accepted": 1, "rejected": []}));
    assert_eq!(post(&ingest, &[KEY, STRUCTURED], event.clone()).await, accepted);
    assert_eq!(post(&ingest, &[KEY, BATCH], format!("[{event}]")).await, accepted);
    assert_eq!(post(&ingest, &[KEY, LINES], format!("\n{event}\n")).await, accepted);
    assert_eq!(post(&ingest, &binary, data).await, accepted);
    let seen = log.events();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|event| *event == seen[0]), "{seen:?}");
    let properties = [("tokens", "0.10"), ("user.name", "x")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(seen[0].properties, properties);
}

#[tokio::test]
async fn bad_lines_are_listed_beside_good_ones() {
    let System { ingest, log, .. } = start(Options::default()).await;
    log.open();
    let good = cloud_event("e-1", r#"{"tokens":1}"#);
    let lines =
        [good.as_str(), "{", &cloud_event("e-2", r#"{"tokens":1e3}"#), &cloud_event("e-3", r#"{"tokens":[1]}"#)];
    let (status, answer) = post(&ingest, &[KEY, LINES], lines.join("\n")).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::OK, &json!(1)));
    let rejected: Vec<_> = answer["rejected"].as_array().unwrap().iter().map(|r| (&r["index"], &r["code"])).collect();
    let wanted =
        [json!(1), json!("EVENT_MALFORMED"), json!(2), json!("VALUE_NOT_DECIMAL"), json!(3), json!("DATA_HAS_ARRAY")];
    assert_eq!(rejected, [(&wanted[0], &wanted[1]), (&wanted[2], &wanted[3]), (&wanted[4], &wanted[5])]);
    assert!(answer["rejected"][1]["message"].as_str().unwrap().contains("1e3"));
    assert_eq!(log.events().len(), 1);
}

#[tokio::test]
async fn what_fails_says_so_in_json() {
    let System { ingest, log, .. } = start(Options::default()).await;
    log.open();
    let event = cloud_event("e-1", r#"{"tokens":1}"#);
    // At one event a second, a debt of a quarter of an hour.
    let many = format!("{event}\n").repeat(900);
    let slow = ("authorization", "Bearer slow-ingest");
    assert_eq!(post(&ingest, &[slow, LINES], many.clone()).await.0, StatusCode::OK);
    let cases: [(&[Header], String, u16, &str); 9] = [
        (&[STRUCTURED], event.clone(), 401, "KEY_MISSING"),
        (&[("authorization", "Bearer nobody"), STRUCTURED], event.clone(), 401, "KEY_UNKNOWN"),
        (&[("authorization", "Bearer acme-read"), STRUCTURED], event.clone(), 403, "SCOPE_DENIED"),
        (&[KEY, ("content-type", "application/json")], event.clone(), 400, "CONTENT_TYPE_UNSUPPORTED"),
        (&[KEY], event.clone(), 400, "CONTENT_TYPE_UNSUPPORTED"),
        (&[KEY, BATCH], event.clone(), 400, "REQUEST_MALFORMED"),
        (&[KEY, LINES], format!("{event}\n").repeat(1_001), 413, "TOO_MANY_EVENTS"),
        (&[KEY, LINES], " ".repeat(4 * 1024 * 1024 + 1), 413, "REQUEST_TOO_LARGE"),
        (&[slow, LINES], many, 429, "RATE_EXCEEDED"),
    ];
    for (headers, body, status, code) in cases {
        let (found, answer) = post(&ingest, headers, body).await;
        assert_eq!((found.as_u16(), answer["error"]["code"].as_str()), (status, Some(code)), "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().len() > 20, "{answer}");
    }
    *log.refusal.lock().unwrap() = Some(Error::Unavailable { reason: "no space left on device".to_owned() });
    let (found, answer) = post(&ingest, &[KEY, STRUCTURED], event).await;
    assert_eq!((found.as_u16(), answer["error"]["code"].as_str()), (503, Some("LOG_UNAVAILABLE")));
    assert_eq!(answer["error"]["retry_after_ms"], 1_000);
}
