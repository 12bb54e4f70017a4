//! A full disk under the running server: one folder after the other takes nothing more, and then takes again.
//!
//! The disk is full for the server alone: `disk/full.c`, loaded into it, lets no write below a folder through.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{Said, Stage, offline, root, run, wait_until};

const CATALOG: &str = "
apiVersion: farthing/v1
tenant: acme
meters: [{id: tokens, event: call, aggregate: sum, value: tokens}]
plans: [{id: p, currency: EUR, every: month, prices: [{id: out, meter: tokens, per_unit: {each: 0.01}}]}]
customers: [{id: c-1}]
subscriptions: [{id: s-1, customer: c-1, plan: p, from: 2026-01-01}]
";

/// A server whose disk can be full.
struct Disk {
    server: Stage,
    key: String,
    sent: usize,
    folder: PathBuf,
}

impl Disk {
    fn start(folder: &Path) -> Self {
        let library = folder.join("full.so");
        let source = root().join("tests/disk/full.c");
        let made = run(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl"));
        assert_eq!(made.code, 0, "cc: {}", made.err);
        let dir = folder.display();
        let config = format!(
            "listen = \"127.0.0.1:{{port}}\"\ntest_clock = \"2026-01-10T00:00:00Z\"\n\
             [log]\nembedded = {{dir = \"{dir}/log\", shards = 2}}\n[charges]\nembedded = {{dir = \"{dir}/charges\"}}\n\
             [books]\nembedded = {{dir = \"{dir}/books\"}}\n[rater]\ndata = \"{dir}/rater\"\nsnapshot_every = \"1s\"\n"
        );
        let (file, key) = (folder.join("migrate.toml"), folder.join("admin.key"));
        std::fs::write(&file, config.replace("{port}", "0")).unwrap();
        offline(&["migrate", "--config", &file.to_string_lossy(), "--admin-key", &key.to_string_lossy()]).ok();
        // As the system names it.
        let folder = &folder.canonicalize().unwrap();
        let environment = [("LD_PRELOAD", library), ("FULL_FILE", folder.join("full"))];
        let mut server = Stage::start_with(folder, "all", &config, &["all"], &environment);
        server.wait_ready();
        let key = std::fs::read_to_string(key).unwrap().trim().to_owned();
        let disk = Self { server, key, sent: 0, folder: folder.to_owned() };
        std::fs::write(folder.join("catalog.yaml"), CATALOG).unwrap();
        disk.apply().ok();
        disk
    }

    /// A folder of it has no room from now on.
    fn fills(&self, folder: &str) {
        // At once, as its reader sees it.
        std::fs::write(self.folder.join("full.new"), self.folder.join(folder).to_string_lossy().as_bytes()).unwrap();
        std::fs::rename(self.folder.join("full.new"), self.folder.join("full")).unwrap();
    }

    fn has_room(&self) {
        std::fs::remove_file(self.folder.join("full")).unwrap();
    }

    fn apply(&self) -> Said {
        self.server.farthing(&self.key, &["apply", "-f", &self.folder.join("catalog.yaml").to_string_lossy()])
    }

    /// Sends ten events of one token, each acknowledged.
    fn sends(&mut self) {
        let line = |number| {
            format!(
                "{{\"specversion\":\"1.0\",\"id\":\"e-{number}\",\"source\":\"t\",\"type\":\"call\",\"subject\":\"c-1\",\
                 \"time\":\"2026-01-09T00:00:00Z\",\"data\":{{\"tokens\":\"1\"}}}}\n"
            )
        };
        let file = self.folder.join("events.ndjson");
        std::fs::write(&file, (self.sent..self.sent + 10).map(line).collect::<String>()).unwrap();
        self.server.farthing(&self.key, &["send", &file.to_string_lossy()]).ok();
        self.sent += 10;
    }

    fn charged(&self) -> usize {
        let usage = self.server.farthing(&self.key, &["usage", "--customer", "c-1", "--json"]).json();
        usage["usage"][0]["count"].as_u64().map_or(0, |count| usize::try_from(count).unwrap())
    }

    /// Everything acknowledged is charged, once.
    fn catches_up(&self) {
        wait_until("all that was acknowledged to be charged", || self.charged() >= self.sent);
        assert_eq!(self.charged(), self.sent);
    }

    /// The server says that there is no room.
    fn says(&self, what: &str) {
        wait_until(what, || self.server.said().lines().any(|line| line.contains(what) && is_full(line)));
    }

    /// What snapshots are written, good or about to be.
    fn snapshots(&self) -> BTreeSet<PathBuf> {
        let shards = std::fs::read_dir(self.folder.join("rater/snapshots")).unwrap().flatten();
        let files = shards.filter_map(|shard| std::fs::read_dir(shard.path()).ok()).flatten().flatten();
        let written = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|kind| kind != "draft"));
        written.map(|path| path.with_extension("")).collect()
    }
}

/// SQLite's words, or the system's.
fn is_full(text: &str) -> bool {
    ["database or disk is full", "No space left on device", "disk I/O error"].iter().any(|said| text.contains(said))
}

#[test]
fn a_full_disk_loses_nothing_says_so_and_is_got_over_without_help() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = Disk::start(folder.path());
    disk.sends();
    disk.catches_up();

    // Charges: what is acknowledged waits in the log, over a kill, too; what is stored can be read. A start says what is
    // missing and ends.
    disk.fills("charges");
    disk.sends();
    disk.says("rows are not stored");
    assert_eq!(disk.charged(), 10);
    disk.server.restart();
    wait_until("the start to be given up", || !disk.server.is_running());
    let said = disk.server.said();
    assert!(said.lines().last().is_some_and(|line| line.contains("charges") && is_full(line)), "{said}");
    disk.has_room();
    disk.server.restart();
    disk.server.wait_ready();
    disk.catches_up();

    // Books: changes are refused and have not happened; events go on, and so does what is known.
    disk.fills("books");
    std::fs::write(folder.path().join("catalog.yaml"), CATALOG.replace("[{id: c-1}]", "[{id: c-1}, {id: c-2}]"))
        .unwrap();
    for refused in [
        disk.apply().refused(),
        disk.server.farthing(&disk.key, &["keys", "create", "--scope", "ingest"]).refused(),
        disk.server.farthing(&disk.key, &["clock", "advance", "--to", "2026-01-11T00:00:00Z"]).refused(),
    ] {
        assert!(is_full(&refused), "{refused}");
    }
    disk.sends();
    disk.catches_up();
    assert!(disk.server.farthing(&disk.key, &["usage", "--customer", "c-2"]).refused().contains("no customer 'c-2'"));
    disk.has_room();
    wait_until("the books to take a change", || disk.apply().code == 0);
    disk.server.farthing(&disk.key, &["usage", "--customer", "c-2"]).ok();

    // Snapshots: the rater goes on without, and writes the next one.
    wait_until("a snapshot", || !disk.snapshots().is_empty());
    disk.fills("rater");
    disk.sends();
    disk.says("no snapshot was written");
    disk.sends();
    disk.catches_up();
    disk.server.restart();
    disk.server.wait_ready();
    disk.catches_up();
    disk.has_room();
    let before = disk.snapshots();
    wait_until("a newer snapshot", || {
        disk.sends();
        !disk.snapshots().is_subset(&before)
    });

    disk.server.farthing(&disk.key, &["clock", "advance", "--to", "2026-02-03T00:00:00Z"]).ok();
    let invoices = disk.server.farthing(&disk.key, &["invoices", "list", "--json"]).json();
    let total = format!("{}.{:02}", disk.sent / 100, disk.sent % 100);
    assert_eq!(invoices["invoices"][0]["total"].as_str(), Some(total.as_str()));
    disk.server.farthing(&disk.key, &["check"]).ok();
    assert_eq!(disk.server.stop(), 0);
}
