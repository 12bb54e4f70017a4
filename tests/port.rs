//! The port of a running process: TLS, health, metrics, the end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::Sender;
use tests::{Stage, curl, offline, run};
use tokio_stream::wrappers::TcpListenerStream;

/// Everything in one process, by a file.
fn config(folder: &Path, more: &str) -> String {
    let dir = folder.display();
    format!(
        "listen = \"127.0.0.1:{{port}}\"\n{more}\n[log]\nembedded = {{dir = \"{dir}/log\", shards = 2}}\n\
         [charges]\nembedded = {{dir = \"{dir}\"}}\n[books]\nembedded = {{dir = \"{dir}\"}}\n[rater]\ndata = \"{dir}/rater\"\n"
    )
}

/// The first admin key, made before the first start.
fn admin_key(folder: &Path, config: &str) -> String {
    let (file, key) = (folder.join("migrate.toml"), folder.join("admin.key"));
    std::fs::write(&file, config.replace("{port}", "0")).unwrap();
    let (file, key) = (file.to_string_lossy(), key.to_string_lossy());
    offline(&["migrate", "--config", &file, "--admin-key", &key]).ok();
    let again = offline(&["migrate", "--config", &file, "--admin-key", &key]).ok();
    assert!(again.contains("was made before"), "{again}");
    std::fs::read_to_string(&*key).unwrap().trim().to_owned()
}

/// An authority, and what it signed: `NAME.pem` and `NAME.key` for each name.
fn certificates(folder: &Path, authority: &str, names: &[&str]) {
    let openssl = |arguments: &str| {
        let said = run(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
        assert_eq!(said.code, 0, "openssl {arguments}: {}", said.err);
    };
    let fresh = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(&format!("req -x509 {fresh} -subj /CN={authority} -keyout {authority}.key -out {authority}.pem"));
    for name in names {
        std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
        openssl(&format!("req {} -subj /CN={name} -keyout {name}.key -out {name}.csr", fresh.replace(" -days 2", "")));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 -extfile names \
             -out {name}.pem"
        ));
    }
}

#[test]
fn mutual_tls_lets_in_who_shows_a_certificate_of_the_right_authority() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    certificates(folder, "ours", &["server", "client"]);
    certificates(folder, "theirs", &["stranger"]);
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let probes = servers::free_ports(1)[0];
    let tls = format!(
        "[health]\nlisten = \"127.0.0.1:{probes}\"\n[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\nclient_ca_file = \"{}\"",
        path("server.pem"),
        path("server.key"),
        path("ours.pem")
    );
    let config = config(folder, &tls);
    let key = admin_key(folder, &config);
    let mut server = Stage::start(folder, "all", &config, &["all"]);
    let (ours, theirs) = (path("ours.pem"), path("theirs.pem"));
    let (cert, cert_key) = (path("client.pem"), path("client.key"));
    let (other, other_key) = (path("stranger.pem"), path("stranger.key"));
    let ready = format!("{}/readyz", server.url());
    let with = ["--cacert", &ours, "--cert", &cert, "--key", &cert_key];
    tests::wait_until("the server to be ready", || {
        assert!(server.is_running(), "{}", server.said());
        curl(&[&with[..], &[&ready]].concat()).0 == 200
    });
    // HTTP/1.1 on the same port.
    assert_eq!(curl(&[&with[..], &["--http1.1", &ready]].concat()).0, 200);
    let status = |certificates: &[&str]| server.farthing(&key, &[&["status"], certificates].concat());
    status(&["--ca-file", &ours, "--client-cert", &cert, "--client-key", &cert_key]).ok();
    status(&["--ca-file", &ours]).refused();
    status(&["--ca-file", &ours, "--client-cert", &other, "--client-key", &other_key]).refused();
    status(&["--ca-file", &theirs, "--client-cert", &cert, "--client-key", &cert_key]).refused();
    // Without TLS nothing is answered, but to probes at their own port.
    assert_eq!(curl(&[&ready.replace("https", "http")]).0, 0);
    let probe = |path: &str| curl(&[&format!("http://127.0.0.1:{probes}{path}")]).0;
    assert_eq!(["/healthz", "/readyz", "/metrics", "/v1/events"].map(probe), [200, 200, 200, 404]);
}

/// Every sample of a page in Prometheus' text format, held to its grammar.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let mut family = String::new();
    let mut typed = Vec::new();
    let mut samples = BTreeMap::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().to_owned();
            assert!(help.len() > family.len() + 10, "no help: {line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family, "a TYPE without its HELP");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(!typed.contains(&family), "{family} comes twice");
            typed.push(family.clone());
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            assert_eq!(name, family, "a sample outside its family: {line}");
            assert!(name.starts_with("farthing_") && labels.ends_with('}'), "{line}");
            let labels = labels.trim_end_matches('}');
            assert!(labels.is_empty() || labels.split("\",").all(|label| label.contains("=\"")), "{line}");
            assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "twice: {series}");
        }
    }
    samples
}

#[test]
fn health_and_metrics_tell_what_is_and_sigterm_ends_it_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = config(folder, "test_clock = \"2026-01-01T00:00:00Z\"");
    let key = admin_key(folder, &config);
    let mut server = Stage::start(folder, "all", &config, &["all"]);
    server.wait_ready();
    assert_eq!(server.get("/healthz"), (200, "ok\n".to_owned()));
    let catalog = folder.join("catalog.yaml");
    std::fs::write(
        &catalog,
        "apiVersion: farthing/v1\ntenant: acme\nmeters: [{id: m, event: call, aggregate: count}, {id: n, event: other, \
         aggregate: count}]\nplans: [{id: p, currency: EUR, every: month, prices: [{id: n, meter: n, per_unit: {each: 1}}]}]\n\
         customers: [{id: d}]\nsubscriptions: [{id: s, customer: d, plan: p, from: 2026-01-01}]\n",
    )
    .unwrap();
    server.farthing(&key, &["apply", "-f", &catalog.to_string_lossy()]).ok();
    let event = |id: &str, customer: &str| {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"t","type":"call","subject":"{customer}","data":{{}}}}"#)
    };
    // Two of a customer that nobody knows, one at no price with its copy, one of nobody.
    let events = [event("a", "c"), event("b", "c"), event("d", "d"), event("d", "d"), event("c", "")].join("\n");
    let (code, body) = curl(&[
        "-H",
        &format!("Authorization: Bearer {key}"),
        "-H",
        "Content-Type: application/x-ndjson",
        "--data-binary",
        &events,
        &format!("{}/v1/events", server.url()),
    ]);
    assert_eq!(code, 200, "{body}");
    let events = |outcome| server.metric("farthing_events_total{tenant=\"acme\"", outcome);
    tests::wait_until("the events to be folded", || {
        server.metric("farthing_shard_parked_events{", "") == Some(2) && events("duplicate") == Some(1)
    });
    let found = ["accepted", "rejected", "duplicate", "unpriced"].map(events);
    assert_eq!(found, [Some(4), Some(1), Some(1), Some(1)]);
    let samples = samples(&server.get("/metrics").1);
    assert_eq!(samples.get("farthing_ready"), Some(&1.0));
    assert_eq!(samples.get("farthing_invoicer_leader"), Some(&1.0));
    for shard in ["0", "1"] {
        assert!(samples.contains_key(&format!("farthing_shard_lag_records{{shard=\"{shard}\"}}")), "shard {shard}");
        assert_eq!(samples.get(&format!("farthing_shard_halted{{shard=\"{shard}\",reason=\"\"}}")), Some(&0.0));
    }
    what_operators_watch_is_there(&server.get("/metrics").1);
    assert_eq!(server.stop(), 0);
}

/// A collector of traces, as much of it as takes spans.
struct Collector(Sender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            // The test may have seen enough.
            let _ = self.0.send(span);
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[test]
fn a_call_shows_at_the_collector_as_a_part_of_its_callers_trace() {
    let (sender, spans) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    runtime.spawn(collector.serve_with_incoming(TcpListenerStream::new(listener)));

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut config = config(folder, "test_clock = \"2026-01-01T00:00:00Z\"");
    config += &format!("[telemetry]\notlp = \"{endpoint}\"\n");
    let key = admin_key(folder, &config);
    let mut server = Stage::start(folder, "all", &config, &["all"]);
    server.wait_ready();
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    std::fs::write(
        file("catalog.yaml"),
        "apiVersion: farthing/v1\ntenant: acme\nmeters: [{id: m, event: call, aggregate: count}]\n",
    )
    .unwrap();
    server.farthing(&key, &["apply", "-f", &file("catalog.yaml")]).ok();
    let event = r#"{"specversion":"1.0","id":"a","source":"t","type":"call","subject":"c","data":{}}"#;
    std::fs::write(file("events.ndjson"), event).unwrap();
    let (code, body) = curl(&[
        "-H",
        &format!("Authorization: Bearer {key}"),
        "-H",
        "Content-Type: application/x-ndjson",
        "-H",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "--data-binary",
        event,
        &format!("{}/v1/events", server.url()),
    ]);
    assert_eq!(code, 200, "{body}");
    server.farthing(&key, &["send", &file("events.ndjson")]).ok();
    // What is left is sent before the end.
    assert_eq!(server.stop(), 0);
    let spans: Vec<Span> = spans.try_iter().collect();
    let named = |name: &str| {
        let found = spans.iter().find(|span| span.name.starts_with(name));
        found.unwrap_or_else(|| panic!("no {name} in {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>()))
    };
    let call = named("/v1/events");
    assert_eq!(call.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    assert_eq!(call.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    for name in ["/farthing.v1.IngestService/", "append", "insert", "commit"] {
        assert!(!named(name).trace_id.is_empty(), "{name}");
    }
}

/// An alert on a metric that no process has never fires.
fn what_operators_watch_is_there(page: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/farthing/files");
    for file in ["alerts.yaml", "dashboard.json"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let asked: BTreeSet<&str> =
            text.split(|letter| !is_part(letter)).filter(|word| word.starts_with("farthing_")).collect();
        assert!(asked.len() > 5, "{file}");
        for metric in asked {
            assert!(page.contains(&format!("# TYPE {metric} ")), "{file} asks for {metric}, which is not there");
        }
    }
}
