//! What happens under pressure: held-back logs, full queues, shutdown.

use crate::setup::{System, event, request, start, told, with_key};
use ingest::options::Limits;
use ingest::{Ingest, Options};
use proto::v1::ingest_service_client::IngestServiceClient;
use std::collections::BTreeSet;
use std::time::Duration;
use storage::log::Error;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service;
use tonic::transport::Channel;

type Client = IngestServiceClient<Channel>;

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_durable() {
    let System { log, client, .. } = start(Options::default()).await;
    // Customers on several shards: all of them have to be durable.
    let events: Vec<_> = (0..20).map(|n| event(&format!("e-{n}"), &format!("c-{n}"), "1")).collect();
    let mut caller = client.clone();
    let call = tokio::spawn(async move { caller.ingest(with_key("acme-ingest", request(1, events))).await });
    log.holds(20).await;
    // One shard's append resolves, and one after the other but the last.
    let shards = 4;
    log.let_through(shards - 1);
    log.waiting.subscribe().wait_for(|(now, _)| *now < 20).await.unwrap();
    // A request that has nothing to store is answered meanwhile.
    let mut other = client.clone();
    other.ingest(with_key("acme-ingest", request(2, vec![]))).await.unwrap();
    assert!(!call.is_finished(), "acknowledged too early");
    assert!(log.events().len() < 20);
    log.let_through(1);
    assert_eq!(call.await.unwrap().unwrap().into_inner().accepted, 20);
    assert_eq!(log.events().len(), 20);
    let shards_seen: BTreeSet<_> = log.events().into_iter().map(|seen| seen.shard).collect();
    assert_eq!(shards_seen.len(), shards);
}

#[tokio::test]
async fn a_log_that_refuses_makes_ingest_unavailable() {
    let System { log, mut client, .. } = start(Options::default()).await;
    log.open();
    let reason = || "no space left on device".to_owned();
    let cases = [
        (Error::Unavailable { reason: reason() }, "LOG_UNAVAILABLE"),
        (Error::Unknown { reason: reason() }, "LOG_UNCERTAIN"),
    ];
    for (refusal, wanted) in cases {
        *log.refusal.lock().unwrap() = Some(refusal);
        let message = with_key("acme-ingest", request(1, vec![event("e-1", "c-1", "1")]));
        let status = client.ingest(message).await.unwrap_err();
        assert_eq!(told(&status), (Code::Unavailable, wanted.to_owned(), true));
        assert!(status.message().contains("no space left on device"), "{status}");
    }
    *log.refusal.lock().unwrap() = None;
    let message = with_key("acme-ingest", request(1, vec![event("e-1", "c-1", "1")]));
    assert_eq!(client.ingest(message).await.unwrap().into_inner().accepted, 1);
}

#[tokio::test]
async fn while_log_time_stands_nothing_is_taken_that_could_only_wait_for_it() {
    let mut system = start(Options::default()).await;
    system.log.open();
    let mut send = async |id: &str| {
        let sent = system.client.ingest(with_key("acme-ingest", request(0, vec![event(id, "c-1", "1")]))).await;
        sent.map(|answer| answer.into_inner().accepted)
    };
    let behind = |seconds: i64| system.books.behind.store(seconds, std::sync::atomic::Ordering::SeqCst);
    // The tenant's `future` is 5 minutes: up to there the fold takes events of now at once.
    behind(300);
    assert_eq!(send("a").await.unwrap(), 1);
    behind(301);
    assert_eq!(told(&send("b").await.unwrap_err()), (Code::Unavailable, "LOG_TIME_STANDS".to_owned(), true));
    behind(0);
    assert_eq!(send("b").await.unwrap(), 1);
    let ids: Vec<_> = system.log.events().into_iter().map(|seen| seen.id).collect();
    assert_eq!(ids, ["a", "b"]);
}

#[tokio::test]
async fn a_stream_keeps_its_bound_in_flight() {
    let options = Options { stream_requests_max: 3, appends_max: 100, linger: Duration::ZERO, ..Options::default() };
    let System { log, mut client, .. } = start(options).await;
    let requests = (0..40).map(|n| request(n, vec![event(&format!("e-{n}"), "c-1", "1")]));
    let requests = tokio_stream::iter(requests.collect::<Vec<_>>());
    let mut answers = client.ingest_stream(with_key("acme-ingest", requests)).await.unwrap().into_inner();
    log.holds(3).await;
    log.open();
    let mut sequences = BTreeSet::new();
    while let Some(answer) = answers.message().await.unwrap() {
        assert_eq!(answer.accepted, 1);
        sequences.insert(answer.sequence);
    }
    assert_eq!(sequences, (0..40).collect());
    assert_eq!(log.waiting.borrow().1, 3, "the bound was reached and never passed");
}

#[tokio::test]
async fn requests_share_records_while_the_log_is_busy() {
    let options = Options { appends_max: 1, ..Options::default() };
    let System { log, mut client, .. } = start(options).await;
    let (sender, receiver) = mpsc::channel(64);
    let requests = ReceiverStream::new(receiver);
    sender.send(request(0, vec![event("e-0", "c-1", "1")])).await.unwrap();
    let mut answers = client.ingest_stream(with_key("acme-ingest", requests)).await.unwrap().into_inner();
    log.holds(1).await;
    for n in 1..=10 {
        sender.send(request(n, vec![event(&format!("e-{n}"), "c-1", "1")])).await.unwrap();
    }
    // This one has nothing to store: its answer says that the ones before it were read.
    sender.send(request(11, vec![])).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().sequence, 11);
    log.let_through(1);
    assert_eq!(answers.message().await.unwrap().unwrap().sequence, 0);
    log.open();
    drop(sender);
    let mut answered = 0;
    while answers.message().await.unwrap().is_some() {
        answered += 1;
    }
    assert_eq!(answered, 10);
    let records = log.records.lock().unwrap().clone();
    assert!(records.len() < 11, "{} records", records.len());
    let ids: BTreeSet<String> = records.concat().into_iter().map(|seen| seen.id).collect();
    assert_eq!(ids.len(), 11);
}

/// Room for so many bytes, none of which is waited for.
fn narrow(queued_bytes_max: usize) -> Options {
    let limits = Limits { request_bytes_max: queued_bytes_max / 2, value_bytes_max: 1 << 20, ..Limits::default() };
    Options { limits, queued_bytes_max, queue_wait: Duration::ZERO, ..Options::default() }
}

#[tokio::test]
async fn a_compressed_request_takes_room_for_what_it_may_become_until_that_is_known() {
    let System { log, client, .. } = start(Options { appends_max: 7, ..narrow(1 << 20) }).await;
    let mut zipped = client.clone().send_compressed(CompressionEncoding::Gzip);
    let mut tasks = tokio::task::JoinSet::new();
    let mut held = 0;
    let mut hold = |mut client: Client, id: String, model: usize| {
        held += 1;
        let mut event = event(&id, "c-1", "1");
        event.properties.insert("model".to_owned(), "m".repeat(model));
        let message = with_key("acme-ingest", request(1, vec![event]));
        tasks.spawn(async move { client.ingest(message).await.unwrap().into_inner().accepted });
        log.holds(held)
    };
    // Each might become half of all the room there is; each gives back what it did not.
    for number in 0..6 {
        hold(zipped.clone(), format!("z-{number}"), 100_000).await;
    }
    // Less than half is left: one that is small is taken, one of which it is not known is not.
    hold(client.clone(), "p".to_owned(), 10).await;
    let status = zipped.ingest(with_key("acme-ingest", request(1, vec![event("y", "c-1", "1")]))).await.unwrap_err();
    assert_eq!(told(&status), (Code::ResourceExhausted, "QUEUE_FULL".to_owned(), true));
    log.open();
    assert_eq!(tasks.join_all().await, [1; 7]);
}

#[tokio::test]
async fn calls_under_way_have_a_limit() {
    // Two of a tenant's.
    let options = Options { calls_max: 4, ..Options::default() };
    let System { log, client, .. } = start(options).await;
    let (sender, receiver) = mpsc::channel(1);
    let mut streaming = client.clone();
    let requests = ReceiverStream::new(receiver);
    let mut answers = streaming.ingest_stream(with_key("acme-ingest", requests)).await.unwrap().into_inner();
    let message = |id: &str| with_key("acme-ingest", request(1, vec![event(id, "c-1", "1")]));
    let (mut caller, first) = (client.clone(), message("e-1"));
    let held = tokio::spawn(async move { caller.ingest(first).await });
    log.holds(1).await;
    let mut client = client;
    let status = client.ingest(message("e-2")).await.unwrap_err();
    assert_eq!(told(&status), (Code::ResourceExhausted, "TOO_MANY_CALLS".to_owned(), true));
    log.open();
    assert_eq!(held.await.unwrap().unwrap().into_inner().accepted, 1);
    // The stream, which was there before, goes on.
    sender.send(request(7, vec![event("e-3", "c-1", "1")])).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().sequence, 7);
    assert_eq!(client.ingest(message("e-2")).await.unwrap().into_inner().accepted, 1);
}

#[tokio::test]
async fn it_is_ready_while_the_log_takes_appends() {
    let System { ingest, log, mut client, .. } = start(Options::default()).await;
    log.open();
    let message = |id: &str| with_key("acme-ingest", request(1, vec![event(id, "c-1", "1")]));
    assert_eq!(ingest.ready(), Ok(()));
    *log.refusal.lock().unwrap() = Some(Error::Unavailable { reason: "no space left on device".to_owned() });
    client.ingest(message("e-1")).await.unwrap_err();
    assert!(ingest.ready().unwrap_err().contains("no space left on device"));
    *log.refusal.lock().unwrap() = None;
    client.ingest(message("e-1")).await.unwrap();
    assert_eq!(ingest.ready(), Ok(()));
    ingest.close();
    ingest.closing().await;
    assert!(ingest.ready().unwrap_err().contains("shutting down"));
    assert_eq!(log.events().len(), 1, "nothing is written only to find out");
}

/// A request to each way in, with the body that comes.
fn sent<B>(key: &str, path: &str, body: B) -> http::Request<B> {
    let content = if path == "/v1/events" { "application/cloudevents+json" } else { "application/grpc" };
    let request = http::Request::post(path).header("content-type", content);
    request.header("authorization", format!("Bearer {key}")).body(body).unwrap()
}

/// An event as both ways in take it, of a little under a kilobyte.
fn bodies() -> [(&'static str, Vec<u8>); 2] {
    let mut event = event("e-1", "c-1", "1");
    event.properties.insert("model".to_owned(), "m".repeat(800));
    let message = prost::Message::encode_to_vec(&request(1, vec![event]));
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    let head = r#""specversion":"1.0","id":"e-1","source":"api","type":"llm.completion","subject":"c-1""#;
    let json =
        format!(r#"{{{head},"time":"2026-01-15T11:59:00Z","data":{{"tokens":1,"model":"{}"}}}}"#, "m".repeat(700));
    [("/farthing.v1.IngestService/Ingest", framed), ("/v1/events", json.into_bytes())]
}

/// The answer to a body in the pieces that it comes in: gRPC's reason or HTTP's code, empty where it was accepted.
async fn answer(ingest: &Ingest, path: &str, body: axum::body::Body) -> String {
    answer_to(ingest, "acme-ingest", path, body).await
}

async fn answer_to(ingest: &Ingest, key: &str, path: &str, body: axum::body::Body) -> String {
    let response = if path == "/v1/events" {
        ingest.router().call(sent(key, path, body)).await.unwrap()
    } else {
        ingest.grpc().call(sent(key, path, body)).await.unwrap().map(axum::body::Body::new)
    };
    if let Some(status) = tonic::Status::from_header_map(response.headers()) {
        return told(&status).1;
    }
    let said = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap_or_default();
    said["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_body_takes_room_for_its_bytes_in_whatever_pieces_it_comes() {
    let System { ingest, log, .. } = start(narrow(2_048)).await;
    log.open();
    for (path, body) in bodies() {
        let pieces = body.into_iter().map(|byte| Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(&[byte])));
        let body = axum::body::Body::from_stream(tokio_stream::iter(pieces.collect::<Vec<_>>()));
        assert_eq!(answer(&ingest, path, body).await, "", "{path}");
    }
    assert_eq!(log.events().len(), 2);
}

#[tokio::test]
async fn a_body_that_stalls_gives_its_room_back() {
    let System { ingest, log, .. } = start(Options { body_wait: Duration::from_millis(20), ..narrow(2_048) }).await;
    log.open();
    for (path, body) in bodies() {
        // There is room for two. Of the third nothing comes.
        for came in [600, 600, 0] {
            let (sender, receiver) = mpsc::channel(1);
            if came > 0 {
                sender.send(Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(&body[..came]))).await.unwrap();
            }
            let stalls = axum::body::Body::from_stream(ReceiverStream::new(receiver));
            assert_eq!(answer(&ingest, path, stalls).await, "REQUEST_TOO_SLOW", "{path}");
            drop(sender);
        }
        assert_eq!(answer(&ingest, path, body.into()).await, "", "{path}");
    }
}

#[tokio::test]
async fn a_tenant_whose_calls_stall_leaves_room_for_others() {
    let limits = Limits { request_bytes_max: 1_024, ..Limits::default() };
    for ((path, body), (calls_max, refusal)) in bodies()
        .into_iter()
        .flat_map(|way| [(8, "TOO_MANY_CALLS"), (80, "QUEUE_FULL")].map(|limit| (way.clone(), limit)))
    {
        let options = Options { limits: limits.clone(), calls_max, ..narrow(8 * 1_024) };
        let System { ingest, log, .. } = start(options).await;
        log.open();
        let mut stalled = Vec::new();
        for _ in 0..4 {
            let (sender, receiver) = mpsc::channel(1);
            sender.send(Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(&body[..600]))).await.unwrap();
            let stalls = axum::body::Body::from_stream(ReceiverStream::new(receiver));
            let ingest = ingest.clone();
            let call = tokio::spawn(async move { answer(&ingest, path, stalls).await });
            // What was read has its room.
            drop(sender.reserve().await.unwrap());
            stalled.push((sender, call));
        }
        assert_eq!(answer(&ingest, path, body.clone().into()).await, refusal, "{path}");
        assert_eq!(answer_to(&ingest, "slow-ingest", path, body.clone().into()).await, "", "{path}");
        for (sender, call) in stalled {
            sender.send(Ok(bytes::Bytes::copy_from_slice(&body[600..]))).await.unwrap();
            drop(sender);
            assert_eq!(call.await.unwrap(), "", "{path}");
        }
        assert_eq!(log.events().len(), 5);
    }
}

#[tokio::test]
async fn a_stream_whose_client_takes_no_answers_gives_its_place_back_once_it_fails() {
    // One call of a tenant's, and two answers that are not taken.
    let (calls_max, stream_requests_max, linger) = (2, 2, Duration::ZERO);
    let body_wait = Duration::from_millis(20);
    let System { ingest, log, .. } =
        start(Options { calls_max, stream_requests_max, linger, body_wait, ..Options::default() }).await;
    log.open();
    let [(path, body), _] = bodies();
    let (sender, receiver) = mpsc::channel(1);
    let requests = axum::body::Body::from_stream(ReceiverStream::new(receiver));
    let stream = sent("acme-ingest", "/farthing.v1.IngestService/IngestStream", requests);
    let not_taken = ingest.grpc().call(stream).await.unwrap();
    for _ in 0..3 {
        sender.send(Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(&body))).await.unwrap();
    }
    while log.events().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(answer(&ingest, path, body.clone().into()).await, "TOO_MANY_CALLS");
    // The third answer waits behind two. What comes now is no request, and half of one that takes room.
    let mut broken = vec![0, 0, 0, 0, 1, 0xff];
    broken.extend(&body[..600]);
    sender.send(Ok(broken.into())).await.unwrap();
    let freed = async {
        while answer(&ingest, path, body.clone().into()).await == "TOO_MANY_CALLS" {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), freed).await.expect("its place comes back");
    drop((not_taken, sender));
}

#[tokio::test]
async fn one_call_leaves_room_for_others() {
    let limits = Limits { request_bytes_max: 1_024, ..Limits::default() };
    let (appends_max, linger) = (100, Duration::ZERO);
    let options = Options { limits, appends_max, linger, ..narrow(16 * 1_024) };
    let System { log, client, .. } = start(options).await;
    let requests = (0..40).map(|n| request(n, vec![event(&format!("e-{n}"), "c-1", "1")])).collect::<Vec<_>>();
    let mut streaming = client.clone();
    let requests = with_key("acme-ingest", tokio_stream::iter(requests));
    let mut answers = streaming.ingest_stream(requests).await.unwrap().into_inner();
    // A quarter of sixteen kilobytes: the stream is read no further, and nothing of it is refused.
    log.holds(4).await;
    let mut caller = client.clone();
    let message = with_key("acme-ingest", request(1, vec![event("other", "c-1", "1")]));
    let other = tokio::spawn(async move { caller.ingest(message).await });
    log.holds(5).await;
    assert_eq!(log.waiting.borrow().1, 5);
    log.open();
    assert_eq!(other.await.unwrap().unwrap().into_inner().accepted, 1);
    let mut sequences = BTreeSet::new();
    while let Some(answer) = answers.message().await.unwrap() {
        sequences.insert(answer.sequence);
    }
    assert_eq!(sequences, (0..40).collect());
}

#[tokio::test]
async fn a_full_queue_refuses_and_recovers() {
    let System { log, client, .. } = start(narrow(1_024)).await;
    let message = |id: &str| with_key("acme-ingest", request(1, vec![event(id, "c-1", "1")]));
    let (mut caller, first) = (client.clone(), message("e-1"));
    let held = tokio::spawn(async move { caller.ingest(first).await });
    log.holds(1).await;
    let mut client = client;
    let status = client.ingest(message("e-2")).await.unwrap_err();
    assert_eq!(told(&status), (Code::ResourceExhausted, "QUEUE_FULL".to_owned(), true));
    log.open();
    assert_eq!(held.await.unwrap().unwrap().into_inner().accepted, 1);
    assert_eq!(client.ingest(message("e-3")).await.unwrap().into_inner().accepted, 1);
}

#[tokio::test]
async fn a_call_that_is_given_up_still_counts_until_it_is_written() {
    let System { log, client, .. } = start(narrow(1_024)).await;
    let message = |id: &str| with_key("acme-ingest", request(1, vec![event(id, "c-1", "1")]));
    let (mut caller, first) = (client.clone(), message("e-1"));
    let held = tokio::spawn(async move { caller.ingest(first).await });
    log.holds(1).await;
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    let mut client = client;
    let status = client.ingest(message("e-2")).await.unwrap_err();
    assert_eq!(told(&status).1, "QUEUE_FULL");
    log.open();
    log.waiting.subscribe().wait_for(|(now, _)| *now == 0).await.unwrap();
    assert_eq!(log.events().len(), 1);
}

#[tokio::test]
async fn the_end_waits_for_what_was_taken() {
    let System { ingest, log, mut client, .. } = start(Options::default()).await;
    let (sender, receiver) = mpsc::channel(4);
    sender.send(request(1, vec![event("e-1", "c-1", "1")])).await.unwrap();
    let requests = ReceiverStream::new(receiver);
    let mut answers = client.ingest_stream(with_key("acme-ingest", requests)).await.unwrap().into_inner();
    log.holds(1).await;
    let ending = ingest.clone();
    let end = tokio::spawn(async move { ending.shutdown().await });
    ingest.close();
    let status = client.ingest(with_key("acme-ingest", request(2, vec![]))).await.unwrap_err();
    assert_eq!(told(&status), (Code::Unavailable, "SHUTTING_DOWN".to_owned(), true));
    assert!(!end.is_finished());
    log.open();
    assert_eq!(answers.message().await.unwrap().unwrap().sequence, 1);
    let status = answers.message().await.unwrap_err();
    assert_eq!(told(&status), (Code::Unavailable, "SHUTTING_DOWN".to_owned(), true));
    end.await.unwrap();
    assert_eq!(log.events().len(), 1);
}
