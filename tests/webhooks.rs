//! Webhooks, as a receiver sees them that is not ours.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use tests::{Server, Stage, offline, root, wait_until};

const CATALOG: &str = "
apiVersion: farthing/v1
tenant: acme
meters: [{id: tokens, event: call, aggregate: sum, value: tokens}]
plans: [{id: p, currency: USD, every: month, fees: [{id: base, amount: 20.00, when: arrears}],
         prices: [{id: t, meter: tokens, per_unit: {each: 0.001}}]}]
customers: [{id: c-1}]
subscriptions: [{id: s-1, customer: c-1, plan: p, from: 2024-01-01}]
";

/// A running receiver. Dropping it kills the process.
struct Receiver {
    child: Child,
    secret: PathBuf,
    out: PathBuf,
}

impl Receiver {
    fn start(folder: &Path, name: &str, refused: u32) -> Self {
        let python = root().join("target/tools/api/bin/python");
        assert!(python.exists(), "target/tools/api is missing: run tests/run once, it installs it");
        let (secret, out) = (folder.join(format!("{name}.secret")), folder.join(format!("{name}.out")));
        let mut command = Command::new(python);
        command.arg(root().join("tests/webhooks/receiver.py")).args([&secret, &out]).arg(refused.to_string());
        let receiver = Self { child: command.spawn().unwrap(), secret, out };
        wait_until("the receiver to listen", || receiver.lines().next().is_some());
        receiver
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let text = std::fs::read_to_string(&self.out).unwrap_or_default();
        let whole = text.rfind('\n').map_or(String::new(), |end| text[..end].to_owned());
        whole.lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.lines().next().unwrap())
    }

    fn trust(&self, made: &Value) {
        std::fs::write(&self.secret, made["secret"].as_str().unwrap()).unwrap();
    }

    /// What came: id, status, kind.
    fn came(&self) -> Vec<(String, u64, String)> {
        let lines = self.lines().skip(1).map(|line| serde_json::from_str::<Value>(&line).unwrap());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        lines
            .map(|line| (text(&line["id"]), line["status"].as_u64().unwrap(), text(&line["message"]["type"])))
            .collect()
    }

    fn taken(&self) -> Vec<String> {
        self.came().into_iter().filter(|(_, status, _)| *status == 204).map(|(_, _, kind)| kind).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything in one process, which may reach receivers on this machine, with the catalog; and its key.
fn started(folder: &Path) -> (Stage, String) {
    let dir = folder.display();
    let config = format!(
        "listen = \"127.0.0.1:{{port}}\"\ntest_clock = \"2024-01-15T00:00:00Z\"\n[webhooks]\nallow_private = true\n\
         [log]\nembedded = {{dir = \"{dir}/log\", shards = 2}}\n[charges]\nembedded = {{dir = \"{dir}\"}}\n\
         [books]\nembedded = {{dir = \"{dir}\"}}\n[rater]\ndata = \"{dir}/rater\"\n"
    );
    let (file, key) = (folder.join("migrate.toml"), folder.join("admin.key"));
    std::fs::write(&file, config.replace("{port}", "0")).unwrap();
    offline(&["migrate", "--config", &file.to_string_lossy(), "--admin-key", &key.to_string_lossy()]).ok();
    let key = std::fs::read_to_string(key).unwrap().trim().to_owned();
    let mut server = Stage::start(folder, "all", &config, &["all"]);
    server.wait_ready();
    let catalog = folder.join("catalog.yaml");
    std::fs::write(&catalog, CATALOG).unwrap();
    server.farthing(&key, &["apply", "-f", &catalog.to_string_lossy()]).ok();
    (server, key)
}

fn put(server: &Stage, key: &str, id: &str, url: &str, more: &[&str]) -> Value {
    server.farthing(key, &[&["webhooks", "put", id, "--url", url, "--json"], more].concat()).json()
}

fn deliveries(server: &Stage, key: &str, webhook: &str) -> Vec<Value> {
    let listed = server.farthing(key, &["webhooks", "deliveries", "--webhook", webhook, "--json"]).json();
    listed["deliveries"].as_array().unwrap().clone()
}

#[test]
fn what_happens_is_told_until_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut server, key) = started(folder);
    let (all, issued) = (Receiver::start(folder, "all", 1), Receiver::start(folder, "issued", 0));
    let made = put(&server, &key, "all", &all.url(), &[]);
    assert_eq!(put(&server, &key, "all", &all.url(), &[]), made, "making it twice is harmless");
    all.trust(&made);
    issued.trust(&put(&server, &key, "issued", &issued.url(), &["--event", "invoice.issued"]));
    // Nobody listens there, and that holds up nobody.
    put(&server, &key, "deaf", "http://127.0.0.1:1/", &[]);

    server.farthing(&key, &["clock", "advance", "--to", "2024-02-01T02:00:00Z"]).ok();
    let bill = "c-1/USD/2024-02-01T00:00:00Z";
    server.farthing(&key, &["invoices", "issue", bill]).ok();
    wait_until("both messages to be taken", || all.taken().len() == 2 && issued.taken().len() == 1);
    assert_eq!(issued.taken(), ["invoice.issued"]);
    let came = all.came();
    // The first attempt was refused; what came then is the same message under the same id.
    assert_eq!((came[0].1, came[0].2.as_str()), (500, "invoice.drafted"), "{came:?}");
    assert!(came.iter().any(|(id, status, _)| *id == came[0].0 && *status == 204), "{came:?}");
    let first =
        deliveries(&server, &key, "all").into_iter().find(|delivery| delivery["message"] == *came[0].0).unwrap();
    let answers: Vec<_> =
        first["attempts"].as_array().unwrap().iter().map(|attempt| attempt["status"].clone()).collect();
    assert_eq!((&first["status"], answers), (&json!("delivered"), vec![json!(500), json!(204)]));
    assert_eq!((&first["body"]["data"]["id"], &first["body"]["data"]["total"]), (&json!(bill), &json!("20.00")));

    // A new secret: who knows only the old one goes on for a day.
    let rotated = server.farthing(&key, &["webhooks", "rotate", "all", "--json"]).json();
    assert_ne!(rotated["secret"], made["secret"]);
    issued.trust(&server.farthing(&key, &["webhooks", "rotate", "issued", "--json"]).json());
    // What happens while a webhook is disabled, or nobody runs, is told afterwards.
    server.farthing(&key, &["webhooks", "disable", "issued", "--reason", "maintenance"]).ok();
    server.farthing(&key, &["clock", "advance", "--to", "2024-03-01T02:00:00Z"]).ok();
    server.farthing(&key, &["invoices", "issue", "c-1/USD/2024-03-01T00:00:00Z"]).ok();
    server.restart();
    server.wait_ready();
    server.farthing(&key, &["webhooks", "enable", "issued"]).ok();
    wait_until("the second bill to be told", || all.taken().len() == 4 && issued.taken().len() == 2);

    // The address that nobody listens at: the reason stands in the log, and it can be sent elsewhere.
    wait_until("the deaf one to be tried", || {
        let tried = deliveries(&server, &key, "deaf");
        tried.len() == 4 && tried.iter().all(|delivery| !delivery["attempts"][0]["error"].is_null())
    });
    server.farthing(&key, &["webhooks", "put", "deaf", "--url", &all.url()]).ok();
    let id = deliveries(&server, &key, "deaf")[0]["id"].as_str().unwrap().to_owned();
    let before = all.came().len();
    server.farthing(&key, &["webhooks", "retry", &id]).ok();
    // It is signed with a secret of its own, which this receiver does not know.
    wait_until("the other webhook's message to come", || all.came().len() > before);
    assert!(all.came()[before..].iter().all(|(_, status, _)| *status == 401));
    server.farthing(&key, &["webhooks", "delete", "deaf"]).ok();
    let listed = server.farthing(&key, &["webhooks", "list", "--json"]).json();
    assert_eq!(listed["webhooks"].as_array().unwrap().len(), 2);
    // Secrets are nobody's to read in the audit log.
    let audit = server.farthing(&key, &["audit", "--json", "--limit", "500"]).ok();
    assert!(audit.contains("\"webhook\"") && !audit.contains("whsec_"), "{audit}");
}

#[test]
fn rejected_events_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (server, key) = started(folder);
    let receiver = Receiver::start(folder, "rejected", 0);
    receiver.trust(&put(&server, &key, "rejected", &receiver.url(), &["--event", "event.rejected"]));
    let (file, mut pairs) = (folder.join("events.ndjson"), 0);
    // It is told of what comes once it was looked at, which cannot be seen: so conflicts come until it is told.
    wait_until("the conflict to be told", || {
        pairs += 1;
        let event = |tokens: &str| {
            json!({"specversion": "1.0", "id": format!("e-{pairs}"), "source": "test", "type": "call", "subject": "c-1",
                   "time": "2024-01-14T00:00:00Z", "data": {"tokens": tokens}})
        };
        std::fs::write(&file, format!("{}\n{}\n", event("1"), event("2"))).unwrap();
        server.farthing(&key, &["send", &file.to_string_lossy()]).ok();
        receiver.taken().len() > 1
    });
    assert!(receiver.taken().iter().all(|kind| kind == "event.rejected"));
    let told = &deliveries(&server, &key, "rejected")[0]["body"]["data"]["events"][0];
    assert_eq!((&told["kind"], &told["customer"]), (&json!("conflict"), &json!("c-1")));
}

#[test]
fn internal_addresses_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["--test-clock", "2024-01-15T00:00:00Z"]);
    server.apply(CATALOG);
    for url in [
        "http://127.0.0.1:1/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://10.0.0.1/",
    ] {
        let said = server.farthing(&["webhooks", "put", "w", "--url", url]).refused();
        assert!(said.contains("cannot be told"), "{said}");
    }
    // A name that leads to one is found out when it is resolved, each time.
    server.farthing(&["webhooks", "put", "w", "--url", "https://localhost/"]).ok();
    server.advance("2024-02-01T02:00:00Z");
    wait_until("the message to be refused", || {
        let listed = server.farthing(&["webhooks", "deliveries", "--json"]).json();
        listed["deliveries"][0]["attempts"][0]["error"].as_str().is_some_and(|error| error.contains("not public"))
    });
}
