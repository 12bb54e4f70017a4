//! What happens under pressure: held-back logs, full queues, shutdown.

use crate::setup::{System, event, request, start, told, with_key};
use ingest::Options;
use std::collections::BTreeSet;
use std::time::Duration;
use storage::log::Error;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

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

#[tokio::test]
async fn a_full_queue_refuses_and_recovers() {
    let options = Options { queued_bytes_max: 1_024, queue_wait: Duration::ZERO, ..Options::default() };
    let System { log, client, .. } = start(options).await;
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
    let options = Options { queued_bytes_max: 1_024, queue_wait: Duration::ZERO, ..Options::default() };
    let System { log, client, .. } = start(options).await;
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
    let System { ingest, log, mut client } = start(Options::default()).await;
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
