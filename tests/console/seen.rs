//! How pages are to who cannot see them, or sees them on a phone or in the dark: axe, in a real browser.

use crate::browser::{Browser, wait_for};
use crate::world::{DRAFT, HELD, PASSWORD, World};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `tests/run` installs.
pub(crate) fn modules() -> PathBuf {
    let modules = tests::root().join("target/tools/console-1/node_modules");
    assert!(modules.join("axe-core").exists(), "axe is missing: run `tests/run console` once");
    modules
}

/// What a script of this folder says.
pub(crate) fn node(script: &str, modules: &Path, asked: &Value) -> String {
    let script = tests::root().join("tests/console").join(script);
    tests::run(Command::new("node").arg(script).arg(modules).arg(asked.to_string())).ok()
}

/// What axe says of pages, one line for each page and look.
fn axe(asked: &Value) -> Vec<Value> {
    node("axe.mjs", &modules(), asked).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn page(name: &str, path: &str) -> Value {
    json!({"name": name, "path": path})
}

#[test]
fn axe_finds_nothing() {
    let world = World::new();
    let mut anna = Browser::signed_in(&world.server, "all@acme", PASSWORD);
    wait_for(&mut anna, "/console", "Drafts");
    let issued = anna.post("/console/bill/issue", &[("id", DRAFT)]);
    let invoice = issued.header("location").unwrap();
    let line = anna.get(&format!("/console/bill?id={DRAFT}")).link("/console/bill/line");
    let pages = [
        page("home", "/console"),
        page("bills", "/console/bills"),
        page("drafts", "/console/bills?status=held"),
        page("no-bills", "/console/bills?status=skipped"),
        page("held", &format!("/console/bill?id={HELD}")),
        page("invoice", invoice),
        page("check", &format!("/console/bill/check?id={DRAFT}")),
        page("line", &line),
        page("customers", "/console/customers"),
        page("customer", "/console/customer?id=c-1&month=2026-01"),
        page("leaks", "/console/leaks?kind=parked"),
        page("catalog", "/console/catalog"),
        page("audit", "/console/audit"),
        page("search", "/console/search?q=nobody"),
        page("nowhere", "/console/nowhere"),
    ];
    let url = world.server.url();
    let asked = json!({"base": url, "cookie": anna.cookie, "pages": pages, "looks": ["light", "dark", "phone"]});
    let found = axe(&asked);
    assert_eq!(found.len(), 3 * pages.len());
    let sign_in =
        json!({"base": url, "pages": [page("sign-in", "/console/sign-in")], "looks": ["light", "dark", "phone"]});
    for seen in found.into_iter().chain(axe(&sign_in)) {
        assert_eq!(seen["violations"], json!([]), "{seen}");
        assert!(seen["wide"].as_i64().unwrap() <= 0, "the page itself scrolls sideways: {seen}");
        let expected = if seen["name"] == "nowhere" { 404 } else { 200 };
        assert_eq!(seen["status"], expected, "{seen}");
    }
    let broken = json!({"base": url, "cookie": anna.cookie, "pages": [page("home", "/console")], "looks": ["light"], "broken": true});
    let found = axe(&broken)[0]["violations"].to_string();
    for rule in ["image-alt", "label", "color-contrast"] {
        assert!(found.contains(rule), "axe does not find {rule}: {found}");
    }
    keys_move(&url, &anna.cookie);
}

/// Under the console's own policy: its script runs, nothing is refused, and keys move.
fn keys_move(url: &str, cookie: &str) {
    let asked = json!({"base": url, "cookie": cookie, "pages": [], "looks": [], "keys": true});
    let said = &axe(&asked)[0];
    assert_eq!((&said["bills"], &said["opened"]), (&json!("/console/bills"), &json!("/console/bill")), "{said}");
    assert_eq!((&said["search"], &said["said"]), (&json!("search"), &json!([])), "{said}");
}
