//! The services in JSON over HTTP, and the OpenAPI file, as programs see them that are not ours.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use tests::{Server, curl, farthing, root, run, wait_until};

const CATALOG: &str = "
apiVersion: farthing/v1
tenant: acme
meters: [{id: tokens, event: call, aggregate: sum, value: tokens, group_by: [region]}]
plans: [{id: p, currency: USD, every: month, prices: [{id: t, meter: tokens, per_unit: {each: 0.001}}]}]
customers: [{id: c-1}]
subscriptions: [{id: s-1, customer: c-1, plan: p, from: 2024-01-01}]
";
const CLOCK: &[&str] = &["--test-clock", "2024-01-15T00:00:00Z"];
const BILL: &str = "c-1/USD/2024-02-01T00:00:00Z";

/// A server and a key.
struct Api<'a> {
    server: &'a Server,
    key: String,
}

impl Api<'_> {
    fn ask(&self, method: &str, path: &str, more: &[&str]) -> (u16, String) {
        let (url, key) = (format!("{}{path}", self.server.url()), format!("Authorization: Bearer {}", self.key));
        curl(&[&["-X", method, "-g", "--path-as-is", &url, "-H", &key], more].concat())
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        done(self.ask("GET", path, &[]))
    }

    fn send(&self, path: &str, body: &Value) -> (u16, String) {
        self.ask("POST", path, &["-H", "Content-Type: application/json", "-d", &body.to_string()])
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        done(self.send(path, body))
    }
}

#[track_caller]
fn done((status, body): (u16, String)) -> Value {
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// A refusal's status and code, from the one form that refusals have.
#[track_caller]
fn refused((status, body): (u16, String)) -> (u16, String) {
    let said: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{status} {error}: {body}"));
    assert!(said["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    (status, said["error"]["code"].as_str().unwrap_or_default().to_owned())
}

fn tool(name: &str) -> PathBuf {
    let tool = root().join("target/tools/api").join(name);
    assert!(tool.exists(), "{} is missing: run tests/run once, it installs it", tool.display());
    tool
}

fn key(server: &Server, arguments: &[&str]) -> String {
    let made = server.farthing(&[&["keys", "create", "--json"], arguments].concat()).json();
    made["key"].as_str().unwrap().to_owned()
}

fn document() -> Value {
    serde_json::from_str(&std::fs::read_to_string(root().join("docs/openapi.json")).unwrap()).unwrap()
}

/// From a catalog to an issued invoice, in JSON alone.
#[test]
fn the_whole_path_in_json() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), CLOCK);
    let api = Api { server: &server, key: server.admin_key() };
    let file = json!({ "file": CATALOG });
    assert_eq!(api.post("/v1/catalog:diff", &file)["changes"][0]["kind"], "KIND_CREATED");
    assert_eq!(api.post("/v1/catalog:apply", &file)["changes"].as_array().unwrap().len(), 4);
    assert_eq!(api.post("/v1/catalog:apply", &file)["changes"], json!([]), "doing it twice is harmless");
    assert!(api.get("/v1/catalog")["file"].as_str().unwrap().contains("tokens"));

    // The body of what is made is the entry itself, and its numbers stay as written.
    let customer =
        json!({"id": "c/2".replace('/', "-"), "name": "Zwei", "address": {"city": "Berlin", "country": "DE"}});
    assert_eq!(api.post("/v1/customers", &customer)["changes"][0]["what"], "customer c-2");
    assert_eq!(api.post("/v1/customers", &customer)["changes"], json!([]));
    let first = api.get("/v1/customers?page_size=1");
    assert_eq!(first["entries"][0]["id"], "c-1", "an entry is an object, not a text: {first}");
    let token = first["next_page_token"].as_str().unwrap();
    let second = api.get(&format!("/v1/customers?page_size=1&page_token={token}"));
    assert_eq!((&second["entries"][0]["name"], &second["next_page_token"]), (&json!("Zwei"), &json!("")));

    let event = json!({"specversion": "1.0", "id": "e", "source": "test", "type": "call", "subject": "c-1",
                       "time": "2024-01-14T00:00:00Z", "data": {"tokens": "9007199254740993", "region": "eu"}});
    server.send(&[event]).ok();
    let usage = "/v1/usage?customer=c-1&by=BY_DAY&from=2024-01-14T00:00:00Z";
    wait_until("the event to show", || api.get(usage)["rows"].as_array().is_some_and(|rows| rows.len() == 1));
    let row = api.get(usage)["rows"][0].clone();
    assert_eq!(
        (&row["quantity"], &row["count"], &row["group"]["region"], &row["bucket"]),
        (&json!("9007199254740993"), &json!("1"), &json!("eu"), &json!("2024-01-14T00:00:00Z"))
    );
    let charges = "/v1/charges?customer=c-1&subscription=s-1&period=2024-01-01T00:00:00Z&group[region]=";
    assert_eq!(api.get(&format!("{charges}eu"))["charges"].as_array().unwrap().len(), 1);
    assert_eq!(api.get(&format!("{charges}us"))["charges"].as_array().unwrap().len(), 0);
    assert_eq!(api.get("/v1/customers/c-1/preview")["invoices"][0]["customer"], "c-1");

    let moved = api.post("/v1/clock:advance", &json!({ "to": "2024-02-01T02:00:00Z" }));
    assert_eq!(moved["log_time"], "2024-02-01T02:00:00Z");
    assert_eq!(api.get("/v1/invoices?customer=c-1")["invoices"][0]["id"], BILL);
    let issued = done(api.ask("POST", &format!("/v1/invoices/{BILL}:issue"), &[]));
    assert_eq!(issued["summary"]["status"], "issued");
    // The id as it is, encoded, or the number: one document, the same that the command line shows.
    let number = issued["summary"]["number"].as_str().unwrap();
    let whole = api.get(&format!("/v1/invoices/{BILL}"));
    assert_eq!(whole["document"], server.farthing(&["invoices", "show", number, "--json"]).json()["invoices"][0]);
    assert_eq!(api.get(&format!("/v1/invoices/{}", BILL.replace('/', "%2F"))), whole);
    assert_eq!(api.get(&format!("/v1/invoices/{number}")), whole);
    let (status, csv) = api.ask("GET", &format!("/v1/invoices/{number}:export?format=csv"), &["-i"]);
    assert_eq!(status, 200);
    assert!(csv.to_lowercase().contains("content-type: text/csv"), "{csv}");
    assert!(csv.ends_with(&server.farthing(&["invoices", "export", number, "--format", "csv"]).ok()), "{csv}");

    // Who did all that: the newest first, before and after.
    let audit = api.get(&format!("/v1/audit?collection=bill&document={BILL}"))["entries"].clone();
    let newest = &audit[0];
    assert_eq!((&newest["before"]["status"], &newest["after"]["status"]), (&json!("draft"), &json!("issued")));
    assert!(audit.as_array().unwrap().last().unwrap()["before"].is_null());
    let told = server.farthing(&["audit", "--collection", "bill", "--limit", "1", "--json"]).json();
    assert_eq!(told["entries"][0]["after"], newest["after"]);
    let told = server.farthing(&["audit", "--collection", "bill"]).ok();
    assert!(told.contains("status:") && told.contains('→'), "{told}");
    let keys = api.get("/v1/audit?installation=true&collection=key")["entries"].clone();
    assert!(!keys.as_array().unwrap().is_empty(), "keys are of the installation");
}

#[test]
fn what_cannot_be_is_refused_in_one_form() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), CLOCK);
    server.apply(CATALOG);
    let api = Api { server: &server, key: server.admin_key() };
    let get = |path: &str| refused(api.ask("GET", path, &[]));
    let malformed = (400, "REQUEST_MALFORMED".to_owned());
    assert_eq!(get("/v1/nothing"), (404, "PATH_UNKNOWN".to_owned()));
    assert_eq!(get("/v1/invoices/none/USD/2024"), (404, "INVOICE_NOT_FOUND".to_owned()));
    assert_eq!(get(&format!("/v1/invoices/{BILL}:issue")), (405, "METHOD_NOT_ALLOWED".to_owned()));
    assert_eq!(get("/v1/invoices?page_size=1001"), (400, "PAGE_SIZE_INVALID".to_owned()));
    assert_eq!(get("/v1/invoices?page_size=many"), malformed);
    assert_eq!(get("/v1/invoices?pagesize=1"), malformed);
    assert_eq!(get("/v1/invoices?status=draft&status=held"), malformed);
    assert_eq!(get("/v1/usage?by=BY_CENTURY"), malformed);
    assert_eq!(get("/v1/usage?from=yesterday"), malformed);
    assert_eq!(get("/v1/charges?group=eu"), malformed);
    assert_eq!(get(&format!("/v1/invoices/{BILL}:export?id=other&format=json")), malformed);
    let post = |path: &str, body: &str| {
        refused(api.ask("POST", path, &["-H", "Content-Type: application/json", "--data-binary", body]))
    };
    assert_eq!(post("/v1/catalog:apply", r#"{"fil": ""}"#), malformed);
    assert_eq!(post("/v1/catalog:apply", r#"{"file": ""} {}"#), malformed);
    assert_eq!(post("/v1/catalog:apply", "{"), malformed);
    assert_eq!(post("/v1/customers", "id: c-9"), malformed);
    assert_eq!(post("/v1/keys?scope=read", "{}"), malformed);
    assert_eq!(post(&format!("/v1/invoices/{BILL}:waive"), r#"{"id": "other", "reason": "r"}"#), malformed);
    let form = api.ask("POST", "/v1/keys", &["-d", "scope=read"]);
    assert_eq!(refused(form), (400, "CONTENT_TYPE_UNSUPPORTED".to_owned()));
    let long = data.path().join("long");
    std::fs::write(&long, format!("{{\"file\": \"{}\"}}", "#".repeat(16 << 20))).unwrap();
    assert_eq!(post("/v1/catalog:apply", &format!("@{}", long.display())), (413, "REQUEST_TOO_LARGE".to_owned()));
    // Nothing of all that did anything.
    assert_eq!(api.get("/v1/keys")["keys"].as_array().unwrap().len(), 1);
}

/// Every call of the file is tried with every key that must not open it.
#[test]
fn no_call_opens_to_the_wrong_key() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), CLOCK);
    server.apply(CATALOG);
    server.apply(&CATALOG.replace("tenant: acme", "tenant: other").replace("c-1", "c-9"));
    let admin = server.admin_key();
    let revoked = server.farthing(&["keys", "create", "--scope", "admin", "--tenant", "acme", "--json"]).json();
    server.farthing(&["keys", "revoke", revoked["id"].as_str().unwrap()]).ok();
    let revoked = revoked["key"].as_str().unwrap().to_owned();
    let keys = |scope: &str, tenant: &str| key(&server, &["--scope", scope, "--tenant", tenant]);
    let (ingest, read, other) = (keys("ingest", "acme"), keys("read", "acme"), keys("admin", "other"));
    wait_until("the revoked key to be gone", || {
        Api { server: &server, key: revoked.clone() }.ask("GET", "/v1/keys", &[]).0 == 401
    });
    let document = document();
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let path = path.replace("{shard}", "0").replace(['{', '}'], "");
            let body: &[&str] = if operation["requestBody"].is_null() {
                &[]
            } else if path == "/v1/events" {
                &["-H", "Content-Type: application/cloudevents-batch+json", "-d", "[]"]
            } else if path.starts_with("/v1/catalog:") {
                &["-H", "Content-Type: application/json", "-d", r#"{"file": "apiVersion: farthing/v1\n"}"#]
            } else if path == "/v1/keys" {
                &["-H", "Content-Type: application/json", "-d", r#"{"scope": "read"}"#]
            } else {
                &["-H", "Content-Type: application/json", "-d", "{}"]
            };
            let status = |key: &str, more: &[&str]| {
                let api = Api { server: &server, key: key.to_owned() };
                refused(api.ask(&method.to_uppercase(), &path, &[body, more].concat())).0
            };
            let place = format!("{method} {path}");
            assert_eq!(status("", &[]), 401, "{place} without a key");
            assert_eq!(status(&format!("{}x", &admin), &[]), 401, "{place} with an unknown key");
            assert_eq!(status(&revoked, &[]), 401, "{place} with a revoked key");
            let lesser = if path == "/v1/events" { &read } else { &ingest };
            assert_eq!(status(lesser, &[]), 403, "{place} with a lesser key");
            assert_eq!(status(&other, &["-H", "farthing-tenant: acme"]), 403, "{place} for another tenant");
            if method != "get" && path != "/v1/events" && !path.ends_with(":check") {
                assert_eq!(status(&read, &[]), 403, "{place} with a key that reads");
            }
            tried += 1;
        }
    }
    assert!(tried > 20, "only {tried} calls were tried");
    let other = Api { server: &server, key: other };
    assert_eq!(other.get("/v1/customers")["entries"].as_array().unwrap().len(), 1);
    assert_eq!(other.get("/v1/customers?customer=c-1")["entries"], json!([]));
    assert!(!other.get("/v1/audit?page_size=1000").to_string().contains("c-1"));
}

#[test]
fn the_linter_takes_the_file_and_refuses_a_broken_one() {
    let folder = tempfile::tempdir().unwrap();
    let lint = |text: &str| {
        let file = folder.path().join("openapi.json");
        std::fs::write(&file, text).unwrap();
        let mut redocly = Command::new(tool("node_modules/.bin/redocly"));
        redocly.args(["lint", "--config"]).arg(root().join("tests/api/redocly.yaml")).arg(file);
        run(redocly.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true"))
    };
    let file = std::fs::read_to_string(root().join("docs/openapi.json")).unwrap();
    let said = lint(&file);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let printed = run(Command::new(farthing()).arg("openapi")).ok();
    assert!(printed == file, "`farthing openapi` prints the file");
    for (right, wrong) in
        [("\"name\": \"customer\"", "\"name\": \"costumer\""), ("schemas/Change\"", "schemas/Chance\"")]
    {
        assert!(file.contains(right));
        let said = lint(&file.replace(right, wrong));
        assert_ne!(said.code, 0, "the linter takes {wrong}");
    }
}

/// Schemathesis sends what fits the file, and what does not, and compares every answer with the file.
#[test]
fn the_server_keeps_to_the_file() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), CLOCK);
    server.apply(CATALOG);
    server.advance("2024-02-01T02:00:00Z");
    let mut schemathesis = Command::new(tool("bin/schemathesis"));
    schemathesis.current_dir(data.path()).arg("--config-file").arg(root().join("tests/api/schemathesis.toml"));
    schemathesis.args(["run", &format!("{}/v1/openapi.json", server.url())]);
    schemathesis.args(["--header", &format!("Authorization: Bearer {}", server.admin_key()), "--no-color"]);
    let said = run(&mut schemathesis);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("✅ Coverage") && said.out.contains("✅ Fuzzing"), "{}", said.out);
    assert!(!said.out.contains("Authentication failed"), "{}", said.out);
}
