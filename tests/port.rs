//! The port of a running process: TLS, health, metrics, the end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use tests::{Stage, curl, offline, run};

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
    let tls = format!(
        "[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\nclient_ca_file = \"{}\"",
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
    // Without TLS nothing is answered.
    assert_eq!(curl(&[&ready.replace("https", "http")]).0, 0);
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
        "apiVersion: farthing/v1\ntenant: acme\nmeters: [{id: m, event: call, aggregate: count}]\n",
    )
    .unwrap();
    server.farthing(&key, &["apply", "-f", &catalog.to_string_lossy()]).ok();
    let event = |id: &str, customer: &str| {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"t","type":"call","subject":"{customer}","data":{{}}}}"#)
    };
    let events = [event("a", "c"), event("b", "c"), event("b", "c"), event("c", "")].join("\n");
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
    tests::wait_until("the events to be folded", || {
        let samples = samples(&server.get("/metrics").1);
        samples
            .iter()
            .filter(|(name, _)| name.starts_with("farthing_shard_parked_events"))
            .map(|(_, value)| value)
            .sum::<f64>()
            >= 2.0
    });
    let samples = samples(&server.get("/metrics").1);
    assert_eq!(samples.get("farthing_events_total{tenant=\"acme\",outcome=\"accepted\"}"), Some(&3.0));
    assert_eq!(samples.get("farthing_events_total{tenant=\"acme\",outcome=\"rejected\"}"), Some(&1.0));
    assert_eq!(samples.get("farthing_ready"), Some(&1.0));
    assert_eq!(samples.get("farthing_invoicer_leader"), Some(&1.0));
    for shard in ["0", "1"] {
        assert!(samples.contains_key(&format!("farthing_shard_lag_records{{shard=\"{shard}\"}}")), "shard {shard}");
        assert_eq!(samples.get(&format!("farthing_shard_halted{{shard=\"{shard}\",reason=\"\"}}")), Some(&0.0));
    }
    what_operators_watch_is_there(&server.get("/metrics").1);
    assert_eq!(server.stop(), 0);
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
