//! The gRPC way in, with a generated client.

use crate::setup::{NOW_SECONDS, System, event, request, start, start_empty, told, with_key};
use ingest::Options;
use pricing::id::TenantId;
use pricing::time::Instant;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service;
use tonic::{Code, Status};

#[tokio::test]
async fn good_events_stand_in_the_log_and_bad_ones_in_the_answer() {
    let System { ingest, log, mut client, .. } = start(Options::default()).await;
    log.open();
    let mut timeless = event("e-3", "c-3", "3");
    timeless.time = None;
    let events = vec![event("e-1", "c-1", "0.1"), event("e-2", "c-2", "lots"), timeless, event("", "c-1", "1")];
    let answer = client.ingest(with_key("acme-ingest", request(7, events))).await.unwrap().into_inner();
    assert_eq!((answer.accepted, answer.sequence), (2, 7));
    let rejected: Vec<_> = answer.rejected.iter().map(|r| (r.index, r.code.as_str(), r.field.as_str())).collect();
    assert_eq!(rejected, [(1, "VALUE_NOT_DECIMAL", "properties.tokens"), (3, "ID_MISSING", "id")]);
    assert!(answer.rejected[0].message.contains("'lots' is not a decimal number"), "{}", answer.rejected[0].message);
    let mut seen = log.events();
    seen.sort_by(|a, b| a.id.cmp(&b.id));
    let first = &seen[0];
    let names = [&first.tenant, &first.customer, &first.event_type, &first.source, &first.id];
    assert_eq!(names, ["acme", "c-1", "llm.completion", "api", "e-1"]);
    assert_eq!(first.time, Instant::from_parts(NOW_SECONDS - 60, 5).unwrap());
    let properties = [("model", "large"), ("tokens", "0.1")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(first.properties, properties);
    assert_eq!((seen.len(), seen[1].time), (2, Instant::from_parts(NOW_SECONDS, 0).unwrap()));
    let stats = ingest.stats().tenants();
    let tenant = &stats["acme"];
    assert_eq!((tenant.accepted.load(Ordering::Relaxed), tenant.rejected.total()), (2, 2));
    let codes: Vec<_> = tenant.rejected.counts().map(|(code, count)| (code.as_str(), count)).collect();
    assert_eq!(codes, [("ID_MISSING", 1), ("VALUE_NOT_DECIMAL", 1)]);
}

#[tokio::test]
async fn callers_are_told_apart() {
    let System { log, mut client, .. } = start(Options::default()).await;
    log.open();
    let message = || request(0, vec![event("e-1", "c-1", "1")]);
    let named = |key: &str, tenant: &str| {
        let mut request = with_key(key, message());
        request.metadata_mut().insert("farthing-tenant", tenant.parse().unwrap());
        request
    };
    let refused = [
        (tonic::Request::new(message()), Code::Unauthenticated, "KEY_MISSING"),
        (with_key("nobody", message()), Code::Unauthenticated, "KEY_UNKNOWN"),
        (with_key("acme-read", message()), Code::PermissionDenied, "SCOPE_DENIED"),
        (named("acme-ingest", "slow"), Code::PermissionDenied, "TENANT_DENIED"),
        (named("installation", "a b"), Code::InvalidArgument, "TENANT_INVALID"),
        (named("installation", "slwo"), Code::NotFound, "TENANT_UNKNOWN"),
        // There are two tenants.
        (with_key("installation", message()), Code::InvalidArgument, "TENANT_MISSING"),
    ];
    for (request, code, reason) in refused {
        let status = client.ingest(request).await.unwrap_err();
        assert_eq!(told(&status), (code, reason.to_owned(), false), "{status}");
    }
    assert_eq!(log.events(), []);
    for request in [named("acme-ingest", "acme"), named("installation", "slow")] {
        assert_eq!(client.ingest(request).await.unwrap().into_inner().accepted, 1);
    }
    let tenants: Vec<String> = log.events().into_iter().map(|seen| seen.tenant).collect();
    assert_eq!(tenants, ["acme", "slow"]);
}

#[tokio::test]
async fn nobody_is_refused_as_unknown_before_the_books_were_looked_at_again() {
    let System { ingest, log, books, client } = start_empty(Options::default()).await;
    log.open();
    let send = |key: &'static str| {
        let mut client = client.clone();
        async move { client.ingest(with_key(key, request(0, vec![event("e-1", "c-1", "1")]))).await }
    };
    let reason = |refused: Result<_, Status>| told(&refused.unwrap_err()).1;
    let looks = || books.looks.load(Ordering::SeqCst);
    // The books know neither; then both, at once; what the pictures know, nobody looks up.
    assert_eq!(reason(send("installation").await), "TENANT_MISSING");
    books.declared.lock().unwrap().push(TenantId::new("acme").unwrap());
    assert_eq!(send("installation").await.unwrap().into_inner().accepted, 1);
    books.made.lock().unwrap().push("made".to_owned());
    assert_eq!(send("made").await.unwrap().into_inner().accepted, 1);
    assert_eq!(looks(), 3);
    send("made").await.unwrap();
    send("installation").await.unwrap();
    assert_eq!(looks(), 3);
    // Over HTTP alike, and looks keep their distance however many keys are wrong.
    books.made.lock().unwrap().push("another".to_owned());
    let request = http::Request::post("/v1/events").header("content-type", "application/x-ndjson");
    let request = request.header("authorization", "Bearer another").body(axum::body::Body::empty()).unwrap();
    assert_eq!(ingest.router().call(request).await.unwrap().status(), 200);
    let (before, began) = (looks(), std::time::Instant::now());
    let wrong: tokio::task::JoinSet<_> = (0..100).map(|_| send("nobody")).collect();
    assert!(wrong.join_all().await.into_iter().all(|refused| reason(refused) == "KEY_UNKNOWN"));
    let looked = u64::try_from(looks() - before).unwrap();
    assert!(looked <= 1 + began.elapsed().as_secs(), "{looked} looks");
    // Books that cannot be read change nothing.
    books.is_away.store(true, Ordering::SeqCst);
    books.made.lock().unwrap().push("late".to_owned());
    assert_eq!(reason(send("late").await), "KEY_UNKNOWN");
    assert_eq!(send("made").await.unwrap().into_inner().accepted, 1);
}

#[tokio::test]
async fn who_may_not_send_is_refused_before_a_body_is_read() {
    let System { ingest, .. } = start(Options::default()).await;
    for (key, reason) in [("nobody", "KEY_UNKNOWN"), ("acme-read", "SCOPE_DENIED")] {
        for path in ["Ingest", "IngestStream"] {
            let (body, _reads) = Unread::new();
            let request = http::Request::post(format!("/farthing.v1.IngestService/{path}"));
            let request = request.header("authorization", format!("Bearer {key}")).body(body).unwrap();
            let response = ingest.grpc().call(request).await.unwrap();
            let status = Status::from_header_map(response.headers()).unwrap();
            assert_eq!(told(&status).1, reason, "{path}");
        }
        let (body, reads) = Unread::new();
        let request = http::Request::post("/v1/events").header("content-type", "application/x-ndjson");
        let request = request.header("authorization", format!("Bearer {key}"));
        let response = ingest.router().call(request.body(axum::body::Body::new(body)).unwrap()).await.unwrap();
        assert!(matches!(response.status().as_u16(), 401 | 403));
        assert_eq!(reads.load(Ordering::SeqCst), 0);
    }
}

/// A body that never comes, and counts who asks for it.
struct Unread(Arc<AtomicUsize>);

impl Unread {
    fn new() -> (Self, Arc<AtomicUsize>) {
        let reads = Arc::<AtomicUsize>::default();
        (Self(reads.clone()), reads)
    }
}

impl http_body::Body for Unread {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Poll::Pending
    }
}

#[tokio::test]
async fn requests_over_a_limit_are_refused_whole() {
    let System { log, client, .. } = start(Options::default()).await;
    log.open();
    let mut client = client.max_encoding_message_size(usize::MAX);
    let many = (0..1_001).map(|n| event(&format!("e-{n}"), "c-1", "1")).collect();
    let status = client.ingest(with_key("acme-ingest", request(0, many))).await.unwrap_err();
    assert_eq!(told(&status), (Code::InvalidArgument, "TOO_MANY_EVENTS".to_owned(), false));
    assert!(status.message().contains("1000"), "{status}");
    let large = || request(0, vec![event("e-1", "c-1", &"1".repeat(4 * 1024 * 1024))]);
    let status = client.ingest(with_key("acme-ingest", large())).await.unwrap_err();
    assert_eq!(told(&status), (Code::InvalidArgument, "REQUEST_TOO_LARGE".to_owned(), false));
    // Also where it is small on the wire, and in a stream.
    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let status = client.ingest(with_key("acme-ingest", large())).await.unwrap_err();
    assert_eq!(told(&status), (Code::InvalidArgument, "REQUEST_TOO_LARGE".to_owned(), false));
    let requests = tokio_stream::iter([large()]);
    let mut answers = client.ingest_stream(with_key("acme-ingest", requests)).await.unwrap().into_inner();
    let status = answers.message().await.unwrap_err();
    assert_eq!(told(&status), (Code::InvalidArgument, "REQUEST_TOO_LARGE".to_owned(), false));
    assert_eq!(log.events(), []);
    let small = request(0, vec![event("e-1", "c-1", "1")]);
    assert_eq!(client.ingest(with_key("acme-ingest", small)).await.unwrap().into_inner().accepted, 1);
}

#[tokio::test]
async fn too_fast_a_tenant_is_told_to_wait() {
    let System { log, mut client, .. } = start(Options::default()).await;
    log.open();
    let events: Vec<_> = (0..900).map(|n| event(&format!("e-{n}"), "c-1", "1")).collect();
    let message = || with_key("slow-ingest", request(0, events.clone()));
    assert_eq!(client.ingest(message()).await.unwrap().into_inner().accepted, 900);
    // One event a second: the debt lasts a quarter of an hour.
    let status = client.ingest(message()).await.unwrap_err();
    assert_eq!(told(&status), (Code::ResourceExhausted, "RATE_EXCEEDED".to_owned(), true));
    assert_eq!(log.events().len(), 900);
}

#[tokio::test]
async fn a_stream_answers_what_it_took_before_it_fails() {
    let System { log, mut client, .. } = start(Options::default()).await;
    let many = (0..1_001).map(|n| event(&format!("e-{n}"), "c-1", "1")).collect();
    let requests = vec![request(1, vec![event("a", "c-1", "1")]), request(2, vec![]), request(3, many)];
    let requests = tokio_stream::iter(requests);
    let mut answers = client.ingest_stream(with_key("acme-ingest", requests)).await.unwrap().into_inner();
    // The second has nothing to wait for: it overtakes the first.
    let second = answers.message().await.unwrap().unwrap();
    assert_eq!((second.sequence, second.accepted), (2, 0));
    log.holds(1).await;
    log.open();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!((first.sequence, first.accepted), (1, 1));
    let status = answers.message().await.unwrap_err();
    assert_eq!(told(&status), (Code::InvalidArgument, "TOO_MANY_EVENTS".to_owned(), false));
}
