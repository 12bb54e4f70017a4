//! docs/finance.md, tried from its first line to its last: what it names is there, and does what it says.

use crate::seen::{modules, node};
use serde_json::json;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

/// `farthing demo`, until it is dropped.
struct Demo {
    child: Child,
    /// Open for as long as it may speak.
    out: Lines<BufReader<ChildStdout>>,
    told: Vec<String>,
}

impl Demo {
    /// Starts it, and reads until it says how to sign in.
    fn new() -> Self {
        let mut command = Command::new(tests::farthing());
        let mut child = command.arg("demo").stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut demo = Self { child, out, told: Vec::new() };
        while !demo.told.last().is_some_and(|line| line.starts_with("Or in a browser")) {
            let line = demo.out.next().unwrap_or_else(|| panic!("the demo ended: {:#?}", demo.told));
            demo.told.push(line.unwrap());
        }
        demo
    }

    /// What follows these words in what it said.
    fn said(&self, words: &str) -> String {
        let found = self.told.iter().find_map(|line| line.split_once(words));
        let (_, after) = found.unwrap_or_else(|| panic!("no '{words}' in {:#?}", self.told));
        after.trim_end_matches(')').split(", ").next().unwrap_or_default().to_owned()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_page_for_finance_can_be_followed() {
    let (demo, folder) = (Demo::new(), tempfile::tempdir().unwrap());
    let asked = json!({
        "url": demo.said("Or in a browser: "),
        "name": demo.said(", name "),
        "password": demo.said(", password "),
        "farthing": tests::farthing(),
        "server": demo.said("FARTHING_SERVER="),
        "key": std::fs::read_to_string(demo.said("FARTHING_KEY=$(cat ")).unwrap().trim(),
        "folder": folder.path(),
    });
    let said = node("finance.mjs", &modules(), &asked);
    let steps: Vec<&str> = said.lines().collect();
    assert_eq!(steps.last(), Some(&"all of it"), "{said}");
}
