//! Bad input gets one clear error and harms nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use serde_json::{Value, json};
use std::process::Command;
use tests::{Server, offline, run, wait_until};

const CATALOG: &str = "
apiVersion: farthing/v1
tenant: acme
meters: [{id: tokens, event: call, aggregate: sum, value: tokens}]
plans: [{id: p, currency: USD, every: month, prices: [{id: t, meter: tokens, per_unit: {each: 0.001}}]}]
customers: [{id: c-1}]
subscriptions: [{id: s-1, customer: c-1, plan: p, from: 2024-01-01}]
";
const CLOCK: &[&str] = &["--test-clock", "2024-01-15T00:00:00Z"];

fn event(id: &str, tokens: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "test", "type": "call", "subject": "c-1", "time": "2024-01-14T00:00:00Z",
           "data": {"tokens": tokens}})
}

fn one_line(message: &str, must_say: &[&str]) {
    assert_eq!(message.trim().lines().count(), 1, "one clear message, not:\n{message}");
    says(message, must_say);
}

fn says(message: &str, must_say: &[&str]) {
    for part in must_say {
        assert!(message.contains(part), "the message does not say '{part}':\n{message}");
    }
}

#[test]
fn catalogs_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |catalog: &str| {
        let file = folder.path().join("catalog.yaml");
        std::fs::write(&file, catalog).unwrap();
        offline(&["quote", "-f", &file.to_string_lossy(), "--price", "p/t", "--quantity", "1"]).refused()
    };
    let with_price = |price: &str| CATALOG.replace("per_unit: {each: 0.001}", price);
    says(&refused("meters: [{id: a\n"), &["line 2", "not YAML"]);
    says(&refused(&CATALOG.replace("aggregate", "agregate")), &["line 4", "agregate", "aggregate"]);
    says(
        &refused(&with_price("graduated: [{up_to: 10, each: 1}, {up_to: 10, each: 2}, {each: 1}]")),
        &["line 5", "10"],
    );
    says(&refused(&with_price("per_unit: {each: 0.0000000000000001}")), &["line 5", "0.0000000000000001", "15"]);
    says(&refused(&with_price("per_unit: {each: NaN}")), &["line 5", "NaN"]);
    says(&refused(&with_price("package: {size: 1, amount: 100000000000000}")), &["line 5", "100000000000000"]);
    says(&refused(&with_price("per_unit: {each: 1}, package: {size: 1, amount: 1}")), &["line 5"]);
    says(&refused(&CATALOG.replace("plan: p,", "plan: q,")), &["'q'"]);
}

#[test]
fn events_that_cannot_be() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), CLOCK);
    server.apply(CATALOG);
    let huge = format!("1{}", "0".repeat(400));
    let mut last_year = event("old", "1");
    last_year["time"] = json!("2023-01-01T00:00:00Z");
    let bad = [event("nan", "NaN"), event("many", "0.0000000001"), event("huge", &huge), event("", "1"), last_year];
    for bad in &bad {
        // The good neighbours are taken every time; as copies they count once.
        let said = server.send(&[event("good-1", "1"), bad.clone(), event("good-2", "2")]);
        assert_eq!(said.code, 1, "{}{}", said.out, said.err);
        says(&format!("{}{}", said.out, said.err), &["line 2"]);
    }
    wait_until("the good events to show", || {
        let usage = server.farthing(&["usage", "--customer", "c-1", "--json"]).json();
        usage["usage"][0]["count"] == 2 && usage["usage"][0]["quantity"] == "3"
    });
}

#[test]
fn requests_that_cannot_be() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), CLOCK);
    server.apply(CATALOG);
    let post = |key: &str, body: &str| {
        let file = data.path().join("body");
        std::fs::write(&file, body).unwrap();
        let mut command = Command::new("curl");
        command.args(["-s", "-w", "\n%{http_code}", "-X", "POST", &format!("{}/v1/events", server.url())]);
        command.args(["-H", &format!("Authorization: Bearer {key}"), "-H", "Content-Type: application/x-ndjson"]);
        command.args(["--data-binary", &format!("@{}", file.display())]);
        let out = run(&mut command).ok();
        let (said, code) = out.rsplit_once('\n').unwrap();
        (code.to_owned(), said.to_owned())
    };
    let many: String = (0..10_000).map(|n| format!("{}\n", event(&format!("m-{n}"), "1"))).collect();
    let (code, said) = post(&server.admin_key(), &many);
    assert!(["400", "413"].contains(&code.as_str()), "{code} {said}");
    says(&said, &["1000"]);
    assert_eq!(post("fk_wrong_key", "").0, "401");
    let read_key = server.farthing(&["keys", "create", "--scope", "read", "--json"]).json();
    let (code, said) = post(read_key["key"].as_str().unwrap(), &event("x", "1").to_string());
    assert_eq!(code, "403", "{said}");
    // Nothing of all that was taken.
    server.send(&[event("good", "5")]).ok();
    wait_until("the good event to show", || {
        server.farthing(&["usage", "--customer", "c-1", "--json"]).json()["usage"][0]["quantity"] == "5"
    });
}

#[test]
fn names_that_nothing_has() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), CLOCK);
    server.apply(CATALOG);
    let refused = |arguments: &[&str], must_say: &[&str]| one_line(&server.farthing(arguments).refused(), must_say);
    refused(&["usage", "--customer", "c-2"], &["no customer 'c-2'", "did you mean 'c-1'"]);
    refused(&["usage", "--meter", "token"], &["no meter 'token'", "did you mean 'tokens'"]);
    refused(&["usage", "--customer", "c-2", "--preview"], &["no customer 'c-2'"]);
    refused(
        &["explain", "--customer", "c-1", "--subscription", "s-2", "--period", "2024-01-01"],
        &["no subscription 's-2'", "did you mean 's-1'"],
    );
    refused(&["invoices", "list", "--customer", "c-2"], &["no customer 'c-2'", "did you mean 'c-1'"]);
    let period = ["explain", "--customer", "c-1", "--subscription", "s-1", "--period", "2024-01-01"];
    refused(&[&period[..], &["--price", "tt"]].concat(), &["no price 'tt'", "did you mean 't'"]);
    refused(&[&period[..], &["--group", "modle=large"]].concat(), &["no group 'modle'"]);
    refused(&["usage", "--outcomes", "--kind", "bogus"], &["'bogus' is no kind of outcome; there are unpriced"]);
    // What is known, but not there, is no mistake.
    let said = |arguments: &[&str]| server.farthing(arguments).ok();
    assert_eq!(said(&["usage", "--outcomes", "--kind", "rejected"]), "No arrival matches the filter.\n");
    assert_eq!(said(&["usage", "--outcomes"]), "Every arrival was charged.\n");
    assert_eq!(said(&["invoices", "list", "--status", "held"]), "No bill matches the filter.\n");
    let preview = said(&["usage", "--customer", "c-1", "--preview"]);
    assert!(preview.contains(" PREVIEW") && preview.contains("TEST\n") && !preview.contains("DRAFT"), "{preview}");
    refused(&["keys", "create", "--scope", "read", "--tenant", "acne"], &["no tenant 'acne'", "did you mean 'acme'"]);
    let file = data.path().join("other.yaml");
    std::fs::write(&file, CATALOG.replace("plan: p,", "plan: q,")).unwrap();
    let file = file.to_string_lossy();
    refused(&["apply", "-f", &file], &["other.yaml: line 7", "no plan 'q'"]);
    std::fs::write(&*file, CATALOG).unwrap();
    refused(&["apply", "-f", &file, "--tenant", "other"], &["other.yaml", "'acme'", "'other'"]);
}

#[test]
fn a_broken_line_is_named() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), CLOCK);
    server.apply(CATALOG);
    let file = data.path().join("broken.ndjson");
    std::fs::write(&file, format!("{}\n{{\"specversion\": \n{}\n", event("a", "1"), event("b", "1"))).unwrap();
    let message = server.farthing(&["send", &file.to_string_lossy()]).refused();
    one_line(&message, &["line 2: BROKEN_LINE: "]);
    let message = server.farthing(&["send", "/nowhere/at-all.ndjson"]).refused();
    one_line(&message, &["/nowhere/at-all.ndjson"]);
}

#[test]
fn a_flipped_byte_halts_its_shard_and_is_named() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path(), &["--test-clock", "2024-01-15T00:00:00Z", "--shards", "2"]);
    server.apply(CATALOG);
    for n in 0..20 {
        server.send(&[event(&format!("e-{n}"), "1")]).ok();
    }
    let usage = |server: &Server| server.farthing(&["usage", "--customer", "c-1", "--json"]).json();
    wait_until("all charges", || usage(&server)["usage"][0]["count"] == 20);
    server.kill();
    // The shard of c-1 is the one with more bytes. The byte in the middle belongs to some record of events.
    let segments = log_segments(&data.path().join("log"));
    let (segment, _) = segments.iter().max_by_key(|(_, bytes)| *bytes).unwrap();
    let mut bytes = std::fs::read(segment).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[written * 3 / 4] ^= 1;
    std::fs::write(segment, bytes).unwrap();
    // Without the snapshots the whole log is read again.
    let _ = std::fs::remove_dir_all(data.path().join("snapshots"));
    server.restart();
    let halted = |server: &Server| {
        let status = server.farthing(&["status", "--json"]).json();
        let shards = status["shards"].as_array().cloned().unwrap();
        shards
            .into_iter()
            .filter(|shard| shard["halted"].as_str().is_some_and(|reason| !reason.is_empty()))
            .collect::<Vec<_>>()
    };
    wait_until("the shard to halt", || halted(&server).len() == 1);
    let check = server.farthing(&["check"]);
    assert_eq!(check.code, 1, "{}", check.out);
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    says(&format!("{}{}", check.out, check.err), &["shard", &name]);
    // The other shard goes on: ingest still answers for everybody.
    server.send(&[event("after", "1")]).ok();
    assert_eq!(halted(&server).len(), 1);
}

/// The files of the log with their written bytes.
fn log_segments(folder: &std::path::Path) -> Vec<(std::path::PathBuf, usize)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(log_segments(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            found.push((path, bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)));
        }
    }
    found
}

#[test]
fn wrong_usage_is_told_apart_from_refusal() {
    assert_eq!(offline(&["no-such-command"]).code, 2);
    assert_eq!(offline(&["quote"]).code, 2);
    one_line(
        &offline(&["quote", "-f", "/nowhere.yaml", "--price", "a/b", "--quantity", "1"]).refused(),
        &["/nowhere.yaml"],
    );
}
