//! The command line where no server is needed: help, exit codes, offline prices and bills.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::PathBuf;
use std::process::Command;

const CATALOG: &str = "
apiVersion: farthing/v1
tenant: acme
meters:
  - {id: tokens, event: call, aggregate: sum, value: tokens}
  - {id: images, event: image, aggregate: sum, value: count}
  - {id: sales, event: order, aggregate: sum, value: amount}
plans:
  - id: payg
    currency: USD
    every: month
    prices:
      - {id: out, meter: tokens, included: 100_000, graduated: [{up_to: 1_000_000, each: 0.000015}, {each: 0.00001}]}
      - {id: image, meter: images, dimensional: {by: [size], rows: [{is: [small], each: 0.016}]}}
      - {id: shop, meter: sales, percentage: {rate: 2.9%, fixed: 0.30}}
customers: [{id: c-1, time_zone: America/New_York}]
subscriptions: [{id: s-1, customer: c-1, plan: payg, from: 2026-01-10}]
";

struct Said {
    code: i32,
    out: String,
    err: String,
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn farthing(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farthing"));
        command.args(arguments).current_dir(self.0.path());
        for name in ["FARTHING_SERVER", "FARTHING_KEY", "FARTHING_TENANT"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[test]
fn the_first_screen_and_every_page_of_help_fit_in_100_columns_and_name_every_command() {
    let folder = Folder::new();
    let screen = folder.farthing(&["--help"]);
    assert_eq!(screen.code, 0);
    let commands = [
        "demo", "quote", "rate", "serve", "migrate", "copy", "status", "keys", "users", "clock", "openapi", "skip",
        "apply", "send", "usage", "invoices", "credits", "explain", "check", "export", "webhooks", "audit", "sim",
        "bench",
    ];
    let named: Vec<&str> = screen
        .out
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split("  ").next())
        .filter(|word| !word.starts_with('-'))
        .collect();
    assert_eq!(named, commands, "the first screen names exactly the commands that there are");
    let unknown = folder.farthing(&["no-such-command"]);
    assert_eq!(unknown.code, 2);
    for command in commands {
        let page = folder.farthing(&[command, "--help"]);
        assert_eq!(page.code, 0, "{command}");
        for line in page.out.lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
    }
    for later in ["migrate", "ingest"] {
        assert_eq!(folder.farthing(&[later]).code, 2);
    }
    assert_eq!(folder.farthing(&["invoices", "void", "x"]).code, 2);
}

#[test]
fn quotes_are_exact_and_have_the_shape_of_the_contract() {
    let folder = Folder::new();
    let catalog = folder.file("catalog.yaml", CATALOG);
    let quote = |more: &[&str]| folder.farthing(&[&["quote", "-f", &catalog], more].concat());
    let json = quote(&["--price", "payg/out", "--quantity", "2_500_000.5", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    // 100,000 free, 1,000,000 at 0.000015, 1,400,000.5 at 0.00001.
    assert_eq!(said, serde_json::json!({"price": "payg/out", "quantity": "2500000.5", "amount": "29.000005"}));
    assert_eq!(quote(&["--price", "payg/out", "--quantity", "100000"]).out, "0 USD\n");
    assert_eq!(quote(&["--price", "payg/shop", "--quantity", "100"]).out, "3.2 USD\n");
    assert_eq!(quote(&["--price", "payg/shop", "--quantity", "-5"]).out, "0 USD\n");
    assert_eq!(quote(&["--price", "payg/image", "--quantity", "3", "--where", "size=small"]).out, "0.048 USD\n");
}

#[test]
fn refusals_are_one_message_with_exit_1_and_wrong_usage_is_exit_2() {
    let folder = Folder::new();
    let catalog = folder.file("catalog.yaml", CATALOG);
    let quote = |more: &[&str]| folder.farthing(&[&["quote", "-f", &catalog], more].concat());
    let refused = |said: Said, must_say: &[&str]| {
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{}", said.err);
        assert_eq!(said.err.trim_end().lines().count(), 1, "{}", said.err);
        for part in must_say {
            assert!(said.err.contains(part), "{}", said.err);
        }
    };
    refused(quote(&["--price", "payg/nope", "--quantity", "1"]), &["'nope'", "out, image, shop"]);
    refused(quote(&["--price", "nope/out", "--quantity", "1"]), &["'nope'", "payg"]);
    refused(quote(&["--price", "payg/image", "--quantity", "3", "--where", "size=huge"]), &["payg/image"]);
    refused(
        quote(&["--price", "payg/image", "--quantity", "3", "--where", "sise=small"]),
        &["'sise'", "did you mean 'size'"],
    );
    refused(folder.farthing(&["quote", "-f", "nowhere.yaml", "--price", "a/b", "--quantity", "1"]), &["nowhere.yaml"]);
    refused(folder.farthing(&["status", "--server", "http://127.0.0.1:1"]), &["http://127.0.0.1:1", "farthing serve"]);
    let broken =
        folder.file("broken.yaml", &CATALOG.replace("aggregate: sum, value: tokens", "agregate: sum, value: tokens"));
    // Every mistake of a file is told, each with its line.
    let broken = folder.farthing(&["quote", "-f", &broken, "--price", "payg/out", "--quantity", "1"]);
    assert_eq!((broken.code, broken.out.as_str()), (1, ""));
    for part in ["broken.yaml: line 5", "'agregate'", "did you mean 'aggregate'"] {
        assert!(broken.err.contains(part), "{}", broken.err);
    }
    for wrong in [&["--price", "payg", "--quantity", "1"], &["--price", "payg/out", "--quantity", "1e3"]] {
        assert_eq!(quote(wrong).code, 2);
    }
    assert_eq!(folder.farthing(&["status", "--server", "localhost"]).code, 2);
    assert_eq!(folder.farthing(&["usage", "--from", "2026-02-01", "--until", "2026-01-01"]).code, 2);
}

#[test]
fn a_port_that_is_taken_leaves_no_folder_behind() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = folder.farthing(&["serve", "--data", "data", "--listen", &address]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains(&format!("cannot listen on {address}")), "{}", said.err);
    assert!(!folder.0.path().join("data").exists());
}

#[test]
fn offline_bills_count_every_event_and_of_two_under_one_id_the_first_in_the_file() {
    use std::fmt::Write as _;
    const EVENTS: u32 = 100_500;
    let folder = Folder::new();
    let catalog = folder.file("catalog.yaml", CATALOG);
    let event = |id: &str, day: u32, tokens: u32| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"call","subject":"c-1","time":"2026-02-{day}T12:00:00Z","data":{{"tokens":"{tokens}"}}}}"#
        )
    };
    let mut lines = format!("{}\n{}\n", event("twice", 25, 1_000_000), event("twice", 15, 3_000_000));
    for id in 0..EVENTS {
        writeln!(lines, "{}", event(&id.to_string(), 10 + id % 15, 1)).unwrap();
    }
    let events = folder.file("events.ndjson", &lines);
    let said = folder.farthing(&["rate", "-f", &catalog, "--events", &events, "--period", "2026-02", "--json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("100,502 arrivals: 100501 charged"), "{}", said.err);
    assert!(said.err.contains("1 rejected") && said.err.contains("the first one stands"), "{}", said.err);
    let shown: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let lines = shown["invoices"][0]["lines"].as_array().unwrap();
    let used = lines.iter().filter_map(|line| line["quantity"].as_str()).map(|text| text.parse::<u32>().unwrap());
    assert_eq!(used.sum::<u32>(), 1_000_000 + EVENTS);
}
