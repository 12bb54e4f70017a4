//! From one machine to a cluster, from the cluster into a backup, and from the backup into another cluster: each is the same
//! system, and bills as one process does that was never moved.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;
use storage::books::{Archive, Archived, AuditEntry, Books};
use storage::embedded;
use storage::log::{Entry, Error, Log};
use storage::shard::{Offset, Shard, ShardCount};
use tests::cluster::{catalog, event, is_settled};
use tests::{Backends, Server, Stage, farthing, offline, wait_until, without_numbers};

const START: &str = "2026-01-10T00:00:00Z";
const NOW: &str = "2026-01-28T00:00:00Z";
/// January's bills are issued.
const ISSUED: &str = "2026-02-05T00:00:00Z";
const LATER: &str = "2026-03-05T00:00:00Z";

/// What a folder holds: the records of each shard, documents, the audit log.
#[derive(Debug, PartialEq)]
struct Content {
    records: Vec<Vec<Entry>>,
    documents: Vec<Archived>,
    entries: Vec<AuditEntry>,
}

/// Three processes on real servers.
struct Running {
    invoicer: Stage,
    ingest: Stage,
    rater: Stage,
}

impl Running {
    fn start(folder: &Path, name: &str, config: &str) -> Self {
        let stage = |stage: &str, more: &[&str]| {
            Stage::start(folder, &format!("{name}-{stage}"), config, &[&[stage], more].concat())
        };
        let mut all =
            Self { invoicer: stage("invoicer", &[]), ingest: stage("ingest", &[]), rater: stage("rater", &[]) };
        [&mut all.invoicer, &mut all.ingest, &mut all.rater].into_iter().for_each(Stage::wait_ready);
        all
    }

    fn send(&self, key: &str, file: &str) {
        self.ingest.farthing(key, &["send", file]).ok();
        wait_until("the lag to be zero", || is_settled(&self.invoicer, key, 4));
    }

    /// Starts the rater again, and waits until it has rated the log.
    fn rate_again(&mut self, key: &str) {
        self.rater.restart();
        self.rater.wait_ready();
        wait_until("the log to be rated again", || is_settled(&self.invoicer, key, 4));
    }

    fn bills(&self, key: &str) -> Vec<serde_json::Value> {
        self.invoicer.farthing(key, &["clock", "advance", "--to", LATER]).ok();
        self.invoicer.farthing(key, &["check"]).ok();
        self.invoicer.invoices(key)
    }
}

/// A file of so many events, whose ids begin with its name.
fn round(folder: &Path, name: &str, count: usize) -> String {
    let file = folder.join(format!("{name}.ndjson"));
    std::fs::write(&file, (0..count).map(|number| event(name, number)).collect::<String>()).unwrap();
    file.to_string_lossy().into_owned()
}

/// One process that is sent these events `now`, and goes on until then.
fn machine(folder: &Path, name: &str, events: &str, now: &str, until: &str) -> Server {
    let dir = folder.join(name);
    std::fs::create_dir_all(&dir).unwrap();
    let server = Server::start(&dir, &["--test-clock", START]);
    server.apply(&catalog());
    server.advance(now);
    server.farthing(&["send", events]).ok();
    server.advance(until);
    server
}

/// A folder with a log and books, as a configuration file names it.
fn folder_config(folder: &Path, name: &str) -> String {
    let dir = folder.join(name);
    let text = format!(
        "[log]\nembedded = {{dir = \"{0}/log\", shards = 4}}\n[books]\nembedded = {{dir = \"{0}\"}}\n",
        dir.display()
    );
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, text).unwrap();
    file.to_string_lossy().into_owned()
}

/// A new cluster's configuration, and the file that names it to `copy`.
fn cluster_config(folder: &Path, backends: &Backends, name: &str) -> (String, String) {
    let config = backends.config(folder, name, 4, START).replace("/copies", &format!("/copies-{name}"));
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, config.replace("{port}", "0")).unwrap();
    let file = file.to_string_lossy().into_owned();
    // The keys come with the books.
    offline(&["migrate", "--config", &file]).ok();
    (config, file)
}

fn copy(from: &str, to: &str) -> String {
    offline(&["copy", "--from", from, "--to", to]).ok()
}

fn log_of(dir: &Path) -> embedded::log::Log {
    embedded::log::Log::open(&dir.join("log"), embedded::log::Options::new(ShardCount::new(4).unwrap())).unwrap()
}

/// The content of a folder that no process uses. Of the books without what is about processes.
#[tokio::main]
async fn content(dir: &Path) -> Content {
    let (log, books) = (log_of(dir), embedded::books::Books::open(&dir.join("books.db")).unwrap());
    let mut records = Vec::new();
    for shard in log.shards().all() {
        let (mut next, end, mut found) = (Offset(0), log.bounds(shard).await.unwrap().end, Vec::new());
        while next < end {
            match log.read(shard, next, 1 << 20).await {
                Ok(entries) => found.extend(entries),
                Err(Error::Damaged { offset, .. }) => found.push(Entry { offset, record: Default::default() }),
                Err(error) => panic!("{error}"),
            }
            next = found.last().unwrap().offset.next();
        }
        records.push(found);
    }
    let mut documents = books.documents(None, 100_000).await.unwrap();
    documents.retain(|document| !["leader", "copy"].contains(&&*document.key.collection));
    Content { records, documents, entries: books.entries(0, 100_000).await.unwrap() }
}

/// Puts into a copy what an earlier try may have left of its log: the whole of a shard, and a part of another one.
#[tokio::main]
async fn leave(of: &Content, dir: &Path) {
    let log = log_of(dir);
    let shards = [&of.records[0][..], &of.records[1][..2]];
    for (shard, entries) in (0..).map(Shard).zip(shards) {
        log.append(shard, entries.iter().map(|entry| entry.record.clone()).collect()).await.unwrap();
    }
}

#[test]
fn one_machine_becomes_a_cluster_and_a_cluster_comes_back_from_its_backup() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rounds = [round(folder, "first", 200), round(folder, "moved", 150), round(folder, "late", 100)];
    let one = |name: &str| machine(folder, name, &rounds[0], NOW, ISSUED);

    let server = one("one");
    let issued = server.invoices();
    assert!(issued.iter().any(|bill| bill["status"] == "issued"));
    let key = server.admin_key();
    let one_file = folder_config(folder, "one");
    let backends = Backends::start();
    let (moved, moved_file) = cluster_config(folder, &backends, "moved");
    let refused = offline(&["copy", "--from", &one_file, "--to", &moved_file]).refused();
    assert!(refused.contains("in use by another"), "{refused}");
    assert_eq!(server.stop(), 0);
    let said = copy(&one_file, &moved_file);
    assert!(said.contains("records") && !said.contains("damaged"), "{said}");
    let refused = offline(&["copy", "--from", &one_file, "--to", &moved_file]).refused();
    assert!(refused.contains("in use already"), "{refused}");
    // Through Kafka and PostgreSQL and back, nothing is different.
    let back_file = folder_config(folder, "back");
    copy(&moved_file, &back_file);
    assert_eq!(content(&folder.join("back")), content(&folder.join("one")));

    // The cluster has the bills of the one machine, knows its events, takes its key, and goes on.
    let mut cluster = Running::start(folder, "moved", &moved);
    wait_until("the log to be rated again", || is_settled(&cluster.invoicer, &key, 4));
    assert_eq!(cluster.invoicer.invoices(&key), issued);
    cluster.send(&key, &rounds[0]);
    cluster.send(&key, &rounds[1]);

    // A backup, while ingest and rater go on; what comes after it is not in it.
    let backup_file = folder_config(folder, "backup");
    cluster.invoicer.kill();
    copy(&moved_file, &backup_file);
    cluster.invoicer.restart();
    cluster.invoicer.wait_ready();
    cluster.send(&key, &rounds[2]);
    let bills = cluster.bills(&key);

    // All of it is lost but the backup: another cluster comes out of it, and senders send again what came after it.
    let (restored, restored_file) = cluster_config(folder, &backends, "restored");
    copy(&backup_file, &restored_file);
    let mut again = Running::start(folder, "restored", &restored);
    again.send(&key, &rounds[2]);

    // ClickHouse is lost besides: the rater's snapshots are ahead of it, so it begins with the log.
    again.rater.kill();
    backends.clickhouse.sql("default", "DROP DATABASE restored SYNC", &[]);
    offline(&["migrate", "--config", &restored_file]).ok();
    again.rate_again(&key);
    let server = one("never-moved");
    rounds[1..].iter().for_each(|round| drop(server.farthing(&["send", round]).ok()));
    server.advance(LATER);
    let expected = without_numbers(server.invoices());
    assert_eq!(without_numbers(bills), expected);
    assert_eq!(without_numbers(again.bills(&key)), expected);
}

#[test]
fn a_copy_that_was_cut_off_goes_on_and_takes_no_other_system_in() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let serve = |name: &str, events: &str, now: &str, until: &str| {
        assert_eq!(machine(folder, name, &round(folder, events, 100), now, until).stop(), 0);
        folder_config(folder, name)
    };
    let (one, other) = (serve("one", "first", NOW, ISSUED), serve("other", "first", NOW, NOW));
    let missing = folder_config(folder, "missing");
    let copied = folder_config(folder, "copied");
    assert!(offline(&["copy", "--from", &missing, "--to", &copied]).refused().contains("is not there"));
    assert!(!folder.join("missing").exists());

    // It is cut off among the documents; of the log some is there, too. Meanwhile the source goes on.
    let limited = ["-c", "ulimit -f 160; exec \"$@\"", "_", &farthing().to_string_lossy()].map(ToOwned::to_owned);
    let cut = Command::new("bash").args(&limited).args(["copy", "--from", &one, "--to", &copied]).output().unwrap();
    assert!(!cut.status.success(), "{cut:?}");
    let dir = folder.join("copied");
    assert!(revision(&dir) > 0, "something was copied");
    leave(&content(&folder.join("one")), &dir);
    let refused = offline(&["copy", "--from", &copied, "--to", &missing]).refused();
    assert!(refused.contains("not whole"), "{refused}");
    let refused = offline(&["copy", "--from", &other, "--to", &copied]).refused();
    assert!(refused.contains("of the copy holds"), "{refused}");
    serve("one", "second", ISSUED, LATER);
    copy(&one, &copied);
    let whole = content(&folder.join("one"));
    assert_eq!(content(&dir), whole);
    let refused = offline(&["copy", "--from", &one, "--to", &copied]).refused();
    assert!(refused.contains("in use already"), "{refused}");

    // A record that cannot be read any more stays one, and the others keep their places.
    let segment = folder.join("one/log/shard-2/00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&segment, bytes).unwrap();
    let said = copy(&one, &folder_config(folder, "damaged"));
    assert!(said.contains("1 of the records are damaged"), "{said}");
    let damaged = content(&folder.join("damaged"));
    let differ = |(a, b): &(&Entry, &Entry)| a != b;
    let changed: Vec<_> = whole.records[2].iter().zip(&damaged.records[2]).filter(differ).collect();
    assert!(matches!(changed[..], [(a, b)] if a.offset == b.offset && b.record.starts_with(b"damaged")), "{changed:?}");
    assert_eq!(whole.records[2].len(), damaged.records[2].len());
    assert_eq!((whole.documents, whole.entries), (damaged.documents, damaged.entries));
}

#[tokio::main]
async fn revision(dir: &Path) -> u64 {
    embedded::books::Books::open(&dir.join("books.db")).unwrap().revision().await.unwrap()
}
