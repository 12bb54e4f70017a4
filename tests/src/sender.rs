//! Events on their way.

use super::{Stage, cluster, farthing, wait_until};
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A `farthing send` under way, ten events a request, one request at a time; it tries again with the same ids. It gets its
/// events piece by piece, the last of them from [`Sender::finish`]: whatever happens before that happens in the middle.
pub struct Sender {
    child: Child,
    input: ChildStdin,
    round: String,
    next: usize,
    count: usize,
}

/// Events of a piece.
const PIECE: usize = 200;

// === impl Sender ===

impl Sender {
    /// Begins to send so many events of a round, whose ids begin with its name.
    #[track_caller]
    pub fn start(folder: &Path, ingest: &Stage, key: &str, round: &str, count: usize) -> Self {
        let events: String = (0..count).map(|number| cluster::event(round, number)).collect();
        std::fs::write(folder.join(format!("{round}.ndjson")), events).unwrap_or_else(|error| panic!("{error}"));
        let mut child = Command::new(farthing())
            .args(["send", "/dev/stdin", "--json", "--quiet"])
            .args(["--batch", "10", "--in-flight", "1", "--retry-for", "5m"])
            .env("FARTHING_SERVER", ingest.url())
            .env("FARTHING_KEY", key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("farthing send: {error}"));
        let input = child.stdin.take().unwrap_or_else(|| panic!("it has no standard input"));
        Self { child, input, round: round.to_owned(), next: 0, count }
    }

    /// Sends a piece and waits for a condition, before more events come.
    #[track_caller]
    pub fn meanwhile(&mut self, what: &str, condition: impl FnMut() -> bool) {
        self.feed(PIECE);
        assert!(self.next < self.count, "{}: nothing is left to be sent after {what}", self.round);
        wait_until(what, condition);
    }

    /// Waits until this process has accepted some of a piece: of the rest some are certainly under way, or still to come.
    #[track_caller]
    pub fn flows(&mut self, ingest: &Stage) {
        let accepted = || ingest.metric("farthing_events_total{", "outcome=\"accepted\"").unwrap_or(0);
        let base = accepted();
        self.meanwhile("events to be accepted", || accepted() >= base + 100);
    }

    /// Sends the rest and waits until everything is acknowledged; how often it had to connect again.
    #[track_caller]
    pub fn finish(mut self) -> u64 {
        self.feed(usize::MAX);
        let Self { child, input, round, count, .. } = self;
        drop(input);
        let output = child.wait_with_output().unwrap_or_else(|error| panic!("{error}"));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert!(output.status.success(), "{round}: {report} {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(report["accepted"], count, "{report}");
        report["reconnects"].as_u64().unwrap_or(0)
    }

    #[track_caller]
    fn feed(&mut self, count: usize) {
        let end = self.next.saturating_add(count).min(self.count);
        for number in self.next..end {
            let event = cluster::event(&self.round, number);
            self.input.write_all(event.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", self.round));
        }
        self.next = end;
    }
}
