//! `kill -9` of a rater at each of its commit points, from the first row to the copy of the snapshot.
//!
//! A point is reached from outside, by taking away what comes after it: a table that takes no rows of the rater's shards, a
//! place for copies that is none, a file that may not grow. So the rater stands at that very point until it is killed, and
//! what then lies in the store and on the volume proves that it stood there. Events come before, at and after each kill.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::cluster::event;
use tests::{Cluster, wait_until, without_numbers};

/// Each point is killed at this often, one rater after the other.
const TIMES: usize = 2;
/// Events before, at, and after a kill.
const EVENTS: [usize; 3] = [100, 64, 100];
/// Events that come a second time with other content.
const CONFLICTS: usize = 16;
/// Seldom, and often.
const SNAPSHOTS: [&str; 2] = ["snapshot_every = \"1h\"\n", "snapshot_every = \"1s\"\n"];
/// What a file may grow to while a snapshot is written.
const FILE_BYTES: u64 = 4096;

/// What stands in ClickHouse of one round, in the shards of one rater.
#[derive(Debug, PartialEq, Eq)]
struct Stored {
    charges: u64,
    outcomes: u64,
    /// Of all rounds.
    confirmed: u64,
}

fn stored(cluster: &Cluster, rater: usize, round: &str) -> Stored {
    let sql = "SELECT (SELECT count() FROM charges FINAL WHERE shard % 2 = {rater:UInt16} AND startsWith(id, {round:String})),
                      (SELECT count() FROM outcomes FINAL WHERE shard % 2 = {rater:UInt16} AND startsWith(id, {round:String})),
                      (SELECT sum(next) FROM boundaries FINAL WHERE shard % 2 = {rater:UInt16})";
    let said = cluster.sql(sql, &[("rater", &rater.to_string()), ("round", round)]);
    let numbers: Vec<u64> = said.split_whitespace().map(|number| number.parse().unwrap()).collect();
    Stored { charges: numbers[0], outcomes: numbers[1], confirmed: numbers[2] }
}

/// From now on a table takes no rows of a rater's shards.
fn close(cluster: &Cluster, table: &str, rater: usize) {
    cluster.sql(&format!("ALTER TABLE {table} ADD CONSTRAINT away CHECK shard % 2 != {rater}"), &[]);
}

fn open(cluster: &Cluster, table: &str) {
    cluster.sql(&format!("ALTER TABLE {table} DROP CONSTRAINT away"), &[]);
}

/// Events of a round's middle, and copies of its first events with other content.
fn middle(name: &str) -> String {
    let fresh = (0..EVENTS[1]).map(|number| event(&format!("{name}-at"), number));
    let conflicts = (0..CONFLICTS).map(|number| event(&format!("{name}-before"), number).replace(".25", ".75"));
    fresh.chain(conflicts).collect()
}

fn begin(cluster: &mut Cluster, name: &str) {
    cluster.send(&format!("{name}-before"), EVENTS[0]).finish();
    cluster.settle(&format!("{name}, before"), 0, &format!("{name}-before"), EVENTS[0]);
}

/// While the rater is dead, ingest goes on; then it comes back, and everything is counted.
fn end(cluster: &mut Cluster, rater: usize, name: &str, fault: &str) {
    cluster.send(&format!("{name}-after"), EVENTS[2]).finish();
    cluster.raters[rater].restart();
    cluster.raters[rater].wait_ready();
    cluster.settle(fault, 1, name, EVENTS.iter().sum());
    let sql = "SELECT uniqExact(id), count() FROM outcomes FINAL WHERE startsWith(id, {round:String})";
    let conflicts = cluster.sql(sql, &[("round", &format!("{name}-"))]);
    assert_eq!(conflicts.trim(), format!("{CONFLICTS}\t{CONFLICTS}"), "{fault}: every conflict is told once");
}

// === Rows and boundary ===

/// Nothing written; charges written, outcomes not; all rows written, their boundary not.
fn in_an_insert(cluster: &mut Cluster, time: usize, table: &str, fault: &str) {
    let (rater, name) = (time % 2, format!("{table}{time}"));
    begin(cluster, &name);
    let round = format!("{name}-at-");
    let conflicts = format!("{name}-before-");
    let before = stored(cluster, rater, &round).confirmed;
    close(cluster, table, rater);
    cluster.send_at_once(&format!("{name}-at"), &middle(&name));
    let is_there = |cluster: &Cluster| {
        let Stored { charges, confirmed, .. } = stored(cluster, rater, &round);
        let outcomes = stored(cluster, rater, &conflicts).outcomes;
        let unsent = cluster.raters[rater].metric("farthing_shard_unsent_bytes{", "").unwrap_or(0);
        let rows = (charges > 0, outcomes > 0);
        confirmed == before && unsent > 0 && rows == (table != "charges", table == "boundaries")
    };
    wait_until(&format!("a rater to stand before {table}"), || is_there(cluster));
    // Nothing but a kill changes this, and the kill changes nothing of it.
    let at = (stored(cluster, rater, &round), stored(cluster, rater, &conflicts));
    cluster.raters[rater].kill();
    assert_eq!((stored(cluster, rater, &round), stored(cluster, rater, &conflicts)), at);
    open(cluster, table);
    end(cluster, rater, &name, fault);
}

// === Snapshots ===

/// The places of a rater's snapshots of a kind on its volume, or of their copies, as `shard-N/OFFSET`.
fn places(folder: &Path, rater: usize, kind: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for shard in [rater, rater + 2].map(|shard| format!("shard-{shard}")) {
        for entry in std::fs::read_dir(folder.join(&shard)).into_iter().flatten().flatten() {
            let path = PathBuf::from(entry.file_name());
            if path.extension().is_some_and(|found| found == kind) {
                found.insert(Path::new(&shard).join(path.file_stem().unwrap()));
            }
        }
    }
    found
}

fn volume(cluster: &Cluster, rater: usize) -> PathBuf {
    let url = cluster.raters[rater].url();
    cluster.folder().join(format!("rater-{}", url.rsplit(':').next().unwrap()))
}

fn snapshots(cluster: &Cluster, rater: usize, kind: &str) -> BTreeSet<PathBuf> {
    places(&volume(cluster, rater).join("snapshots"), rater, kind)
}

fn copies(cluster: &Cluster, rater: usize) -> BTreeSet<PathBuf> {
    places(&cluster.folder().join("copies"), rater, "good")
}

/// Waits until the newest snapshots hold all of the log and are copied: nothing is under way then.
fn quiet(cluster: &Cluster, rater: usize) {
    let sql = "SELECT shard, next FROM boundaries FINAL WHERE shard % 2 = {rater:UInt16}";
    let said = cluster.sql(sql, &[("rater", &rater.to_string())]);
    let newest = said.lines().map(|line| {
        let (shard, next) = line.split_once('\t').unwrap();
        PathBuf::from(format!("shard-{shard}/{next:0>20}"))
    });
    let newest: BTreeSet<PathBuf> = newest.collect();
    assert_eq!(newest.len(), 2);
    wait_until("copies of the newest snapshots", || newest.is_subset(&copies(cluster, rater)));
}

/// The boundary is written; the next snapshot is not due for an hour.
fn before_a_snapshot(cluster: &mut Cluster, time: usize) {
    let (rater, name) = (time % 2, format!("boundary{time}"));
    begin(cluster, &name);
    let kinds = ["draft", "pending", "good"];
    let before = kinds.map(|kind| snapshots(cluster, rater, kind));
    let stood = stored(cluster, rater, &name).confirmed;
    cluster.send_at_once(&format!("{name}-at"), &middle(&name));
    cluster.settle("the boundary is written", 0, &format!("{name}-at"), EVENTS[1]);
    cluster.raters[rater].kill();
    assert!(stored(cluster, rater, &name).confirmed > stood);
    assert_eq!(kinds.map(|kind| snapshots(cluster, rater, kind)), before, "no snapshot has begun");
    end(cluster, rater, &name, "killed after the boundary, before a snapshot");
}

/// The rater snapshots often from now on.
fn snapshot_often(cluster: &mut Cluster, rater: usize) {
    let file = cluster.folder().join(format!("rater-{rater}.toml"));
    let config = std::fs::read_to_string(&file).unwrap();
    assert!(config.contains(SNAPSHOTS[0]));
    std::fs::write(&file, config.replace(SNAPSHOTS[0], SNAPSHOTS[1])).unwrap();
    cluster.raters[rater].restart();
    cluster.raters[rater].wait_ready();
}

/// A part of a snapshot is written: the kernel ends the process there, since the file may not grow further.
fn in_a_draft(cluster: &mut Cluster, time: usize) {
    let (rater, name) = (time % 2, format!("draft{time}"));
    begin(cluster, &name);
    quiet(cluster, rater);
    // What it says goes into a file, too.
    std::fs::File::options().write(true).open(cluster.raters[rater].log()).unwrap().set_len(0).unwrap();
    let pid = cluster.raters[rater].pid().to_string();
    let limit = ["--pid", &pid, &format!("--fsize={FILE_BYTES}")];
    assert!(Command::new("prlimit").args(limit).status().unwrap().success());
    cluster.send_at_once(&format!("{name}-at"), &middle(&name));
    wait_until("the rater to end in its draft", || !cluster.raters[rater].is_running());
    let drafts = snapshots(cluster, rater, "draft");
    let bytes = |place: &PathBuf| {
        volume(cluster, rater).join("snapshots").join(place).with_extension("draft").metadata().unwrap().len()
    };
    assert!(drafts.iter().any(|place| bytes(place) == FILE_BYTES), "{drafts:?}");
    end(cluster, rater, &name, "ended in the middle of a snapshot");
}

/// A snapshot is written and waits for its boundary.
fn before_a_snapshot_is_good(cluster: &mut Cluster, time: usize) {
    let (rater, name) = (time % 2, format!("pending{time}"));
    begin(cluster, &name);
    quiet(cluster, rater);
    close(cluster, "boundaries", rater);
    let known = snapshots(cluster, rater, "pending");
    cluster.send_at_once(&format!("{name}-at"), &middle(&name));
    wait_until("a snapshot to wait", || snapshots(cluster, rater, "pending").difference(&known).next().is_some());
    cluster.raters[rater].kill();
    let pending = snapshots(cluster, rater, "pending");
    assert!(pending.difference(&known).all(|place| !snapshots(cluster, rater, "good").contains(place)));
    open(cluster, "boundaries");
    end(cluster, rater, &name, "killed after a snapshot was written, before it was good");
}

/// A snapshot is good on the volume, and not yet copied off it; the second time the volume is lost besides.
fn before_a_copy(cluster: &mut Cluster, time: usize) {
    let (rater, name) = (time % 2, format!("copy{time}"));
    begin(cluster, &name);
    quiet(cluster, rater);
    let copied = copies(cluster, rater);
    let shards = [rater, rater + 2].map(|shard| cluster.folder().join(format!("copies/shard-{shard}")));
    for shard in &shards {
        std::fs::rename(shard, shard.with_extension("away")).unwrap();
        std::fs::write(shard, "").unwrap();
    }
    cluster.send_at_once(&format!("{name}-at"), &middle(&name));
    wait_until("a good snapshot without a copy", || {
        snapshots(cluster, rater, "good").difference(&copied).next().is_some()
    });
    cluster.raters[rater].kill();
    for shard in &shards {
        std::fs::remove_file(shard).unwrap();
        std::fs::rename(shard.with_extension("away"), shard).unwrap();
    }
    assert!(snapshots(cluster, rater, "good").difference(&copies(cluster, rater)).next().is_some());
    let is_lost = time % 2 == 1;
    if is_lost {
        std::fs::remove_dir_all(volume(cluster, rater)).unwrap();
    }
    let fault = if is_lost { "killed before a copy, and the volume lost" } else { "killed before a copy" };
    end(cluster, rater, &name, fault);
    assert_eq!(cluster.raters[rater].said().contains("a snapshot was fetched back onto the volume"), is_lost);
}

#[test]
fn a_rater_may_be_killed_at_each_commit_point() {
    let mut cluster = Cluster::start(SNAPSHOTS[0]);
    for time in 0..TIMES {
        in_an_insert(&mut cluster, time, "charges", "killed after folding, before any row");
        in_an_insert(&mut cluster, time, "outcomes", "killed between charges and outcomes");
        in_an_insert(&mut cluster, time, "boundaries", "killed between all rows and their boundary");
        before_a_snapshot(&mut cluster, time);
    }
    (0..2).for_each(|rater| snapshot_often(&mut cluster, rater));
    for time in 0..TIMES {
        in_a_draft(&mut cluster, time);
        before_a_snapshot_is_good(&mut cluster, time);
        before_a_copy(&mut cluster, time);
    }
    assert_eq!(without_numbers(cluster.bills()), without_numbers(cluster.expected()));
}
