//! `farthing copy`: log and books of one system into another, which then is the same one. Charges are not copied: they are
//! a function of the log, and the raters of the copy make them again.

use crate::config::{self, Config, Stage};
use crate::failure::{Failure, Result};
use crate::output;
use crate::system::backends::Backends;
use crate::system::leader;
use bytes::Bytes;
use clap::Args;
use invoicer::ledger::{Kind, LogIdentity};
use pricing::time::Span;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use storage::books::{Archive, Archived, DocumentKey};
use storage::log::{self, Entry, Log};
use storage::shard::{Offset, Shard};
use tokio::time::Instant;

const AFTER: &str = "\
Examples:
  farthing copy --from farthing.toml --to backup.toml    a backup of a cluster, into a folder that backup.toml names
  farthing copy --from backup.toml --to farthing.toml    and back, into an empty topic and database, after `farthing migrate`
  farthing copy --from one.toml --to farthing.toml       from one machine to a cluster

Each file names a [log] and [books]; of `farthing serve --data DIR` they are `embedded = {dir = \"DIR/log\", shards = 4}` and
`embedded = {dir = \"DIR\"}`. Both logs need as many shards. Stop the invoicers of the source (ingest and raters may go on: what
comes later is not in the copy), and start nothing on the copy before this has ended. Asked again after a failure, it goes on.";

/// Copies log and books into an empty system: a backup, its way back, or the way from one machine to a cluster.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// The configuration file of the system that is copied.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The configuration file of the copy.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// The system that is copied, or the copy. Who holds the invoicers' lease is the only one that writes the books.
struct Side {
    log: Arc<dyn Log>,
    books: Arc<dyn Archive>,
    /// What it is called in messages.
    name: &'static str,
    /// Who holds the lease: nobody else has this name.
    holder: String,
    /// When the lease was last asked for.
    held: Option<Instant>,
}

/// Documents, or entries of the audit log, that are copied at once.
const PAGE: usize = 200;
/// Bytes of records that are copied at once.
const READ_BYTES: usize = 1 << 20;
/// How long the lease outlives a copy that was killed.
const LEASE: Span = Span::from_seconds(15);
/// How often it is asked for again.
const LEASE_EVERY: Duration = Duration::from_secs(5);
/// Whoever was killed holds its lease no longer than that.
const LEASE_WAIT: Duration = Duration::from_secs(20);
const LEASE_LOOK: Duration = Duration::from_millis(200);
/// What stands in the place of a record that cannot be read: it cannot be folded either, so the shard halts there until it
/// is skipped; where that was ordered before, the order is in the copy, too.
const DAMAGED: &[u8] = b"damaged in the log that this is a copy of";
/// The document of a copy that is not whole yet: the key of the log that it is made from.
const MARK: &str = "copy";

pub(crate) async fn run(arguments: Arguments) -> Result {
    let (from, _) = Config::read(&arguments.from, Stage::Ingest, None)?;
    let (to, _) = Config::read(&arguments.to, Stage::Ingest, None)?;
    is_there(&from)?;
    let (mut from, mut to) = (Backends::new(&from), Backends::new(&to));
    let mut source = Side::open(&mut from, "the source").await?;
    let mut copy = Side::open(&mut to, "the copy").await?;
    if source.log.shards() != copy.log.shards() {
        let (found, other) = (source.log.shards().get(), copy.log.shards().get());
        return Err(Failure::refused(format_args!(
            "the log has {found} shards and the copy's has {other}; the number is fixed for the log's life"
        )));
    }
    let done = whole(&mut source, &mut copy).await;
    source.release().await;
    copy.release().await;
    done
}

/// Copies what is not copied yet.
async fn whole(source: &mut Side, copy: &mut Side) -> Result {
    // Nothing is written before all of it fits.
    for shard in source.log.shards().all() {
        fits(source.log.as_ref(), copy.log.as_ref(), shard).await?;
    }
    source.hold().await?;
    copy.hold().await?;
    let identity = begin(source, copy).await?;
    let (documents, entries) = books(source, copy).await?;
    // Nothing in the books speaks of a record after these.
    let mut ends = Vec::new();
    for shard in source.log.shards().all() {
        ends.push((shard, source.log.bounds(shard).await.map_err(Failure::refused)?.end));
    }
    source.release().await;
    let (mut records, mut damaged) = (0, 0);
    for (shard, end) in ends {
        let (copied, unread) = self::records(source, copy, shard, end).await?;
        (records, damaged) = (records + copied, damaged + unread);
    }
    // Last of all: with it the copy is whole, and is not written over any more.
    let mark = Archived { key: key(MARK, MARK), revision: 1, body: None, tags: Vec::new() };
    copy.books.restore(vec![identity, mark], Vec::new()).await.map_err(Failure::refused)?;
    output::line(format_args!(
        "{records} records, {documents} documents and {entries} entries of the audit log are copied"
    ))?;
    if damaged > 0 {
        output::line(format_args!(
            "{damaged} of the records are damaged, as in the source: a shard halts at such a one until it is skipped"
        ))?;
    }
    Ok(())
}

/// Refuses a source that would only now be made.
fn is_there(from: &Config) -> Result {
    let log = from.log.as_ref().and_then(|log| match log {
        config::Log::Embedded { dir, .. } => Some(dir.clone()),
        config::Log::Kafka { .. } => None,
    });
    let books = from.books.as_ref().and_then(|books| match books {
        config::Books::Embedded { dir } => Some(dir.join("books.db")),
        config::Books::Postgres(_) => None,
    });
    match [log, books].into_iter().flatten().find(|path| !path.exists()) {
        Some(path) => Err(Failure::refused(format_args!("{} is not there: nothing can be copied", path.display()))),
        None => Ok(()),
    }
}

/// Refuses a shard of the copy that is not empty and not what an earlier try left.
async fn fits(from: &dyn Log, to: &dyn Log, shard: Shard) -> Result {
    let wanted = from.bounds(shard).await.map_err(Failure::refused)?;
    let found = to.bounds(shard).await.map_err(Failure::refused)?;
    if found.end < wanted.start {
        return Err(Failure::refused(format_args!(
            "shard {shard} begins at {}, since its retention is over; a copy needs the log from its first record",
            wanted.start
        )));
    }
    if found.end > wanted.end || found.start > wanted.start {
        return Err(Failure::refused(format_args!(
            "shard {shard} of the copy holds records {} to {}, the log {} to {}: name an empty one",
            found.start, found.end, wanted.start, wanted.end
        )));
    }
    // The first record names the log; the last shows that it was followed so far.
    let last = Offset(found.end.0.saturating_sub(1));
    for offset in [Offset(0), last].into_iter().filter(|offset| found.contains(offset) && wanted.contains(offset)) {
        if read(from, shard, offset, 1).await?.first() != read(to, shard, offset, 1).await?.first() {
            return Err(Failure::refused(format_args!(
                "shard {shard} of the copy holds another log: name an empty one"
            )));
        }
    }
    Ok(())
}

/// Marks empty books as a copy of this source, or finds them marked, and gives the document that makes the copy whole.
async fn begin(source: &Side, copy: &Side) -> Result<Archived> {
    let key_of_log = key(LogIdentity::COLLECTION, LogIdentity::ID);
    let identity = source.books.get(&key_of_log).await.map_err(Failure::refused)?;
    let identity = identity.ok_or_else(|| {
        Failure::refused("the source was never begun, or is itself a copy that is not whole: there is nothing to copy")
    })?;
    let log: LogIdentity = serde_json::from_str(&identity.body).map_err(Failure::refused)?;
    match copy.books.get(&key(MARK, MARK)).await.map_err(Failure::refused)? {
        Some(mark) if mark.body == log.key => {}
        Some(_) => return Err(Failure::refused("the copy's books were begun from another system: name empty ones")),
        None if copy.books.revision().await.map_err(Failure::refused)? > 0 => {
            return Err(Failure::refused("the copy's books are in use already: name empty ones"));
        }
        None => {
            let mark = Archived { key: key(MARK, MARK), revision: 1, body: Some(log.key), tags: Vec::new() };
            copy.books.restore(vec![mark], Vec::new()).await.map_err(Failure::refused)?;
        }
    }
    Ok(Archived { key: key_of_log, revision: identity.revision, body: Some(identity.body), tags: Vec::new() })
}

/// Copies documents and the audit log, all but what makes the copy whole. How many of each there are.
async fn books(source: &mut Side, copy: &mut Side) -> Result<(usize, usize)> {
    let revision = source.books.revision().await.map_err(Failure::refused)?;
    let (mut documents, mut after) = (0, None);
    loop {
        let mut page = source.books.documents(after.as_ref(), PAGE).await.map_err(Failure::refused)?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        // Nor where the source's invoicer is reached: those of the copy would pass calls on to it.
        page.retain(|document| {
            ![LogIdentity::COLLECTION, MARK, leader::COLLECTION].contains(&&*document.key.collection)
        });
        documents += page.len();
        copy.books.restore(page, Vec::new()).await.map_err(Failure::refused)?;
        source.hold().await?;
        copy.hold().await?;
    }
    let (mut entries, mut after) = (0, 0);
    loop {
        let page = source.books.entries(after, PAGE).await.map_err(Failure::refused)?;
        let Some(last) = page.last() else { break };
        after = last.number;
        entries += page.len();
        copy.books.restore(Vec::new(), page).await.map_err(Failure::refused)?;
        source.hold().await?;
        copy.hold().await?;
    }
    if source.books.revision().await.map_err(Failure::refused)? != revision {
        return Err(Failure::refused(
            "somebody wrote the source's books while they were copied; ask again, it goes on",
        ));
    }
    Ok((documents + 1, entries))
}

/// Copies a shard's records that the copy does not have, to the same offsets; how many, and how many of them are damaged.
async fn records(source: &Side, copy: &mut Side, shard: Shard, end: Offset) -> Result<(u64, u64)> {
    let begun = copy.log.bounds(shard).await.map_err(Failure::refused)?.end;
    let (mut next, mut damaged) = (begun, 0);
    while next < end {
        let mut entries = read(source.log.as_ref(), shard, next, READ_BYTES).await?;
        entries.retain(|entry| entry.offset < end);
        let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let records: Vec<Bytes> = entries.into_iter().map(|entry| entry.record).collect();
        damaged += records.iter().map(|record| u64::from(**record == *DAMAGED)).sum::<u64>();
        let found = copy.log.append(shard, records).await.map_err(Failure::refused)?;
        if found != next {
            return Err(Failure::refused(format_args!(
                "somebody else writes to the copy: shard {shard} took the record of {next} at {found}; begin with an empty one"
            )));
        }
        next = Offset(next.0 + count);
        copy.hold().await?;
    }
    Ok((next.0.saturating_sub(begun.0), damaged))
}

async fn read(log: &dyn Log, shard: Shard, from: Offset, bytes_max: usize) -> Result<Vec<Entry>> {
    match log.read(shard, from, bytes_max).await {
        Err(log::Error::Damaged { offset, .. }) if offset == from => {
            Ok(vec![Entry { offset, record: Bytes::from_static(DAMAGED) }])
        }
        read => read.map_err(Failure::refused),
    }
}

fn key(collection: &str, id: &str) -> DocumentKey {
    DocumentKey { tenant: None, collection: collection.to_owned(), id: id.to_owned() }
}

// === impl Side ===

impl Side {
    async fn open(backends: &mut Backends, name: &'static str) -> Result<Self> {
        let log = backends.log().await.map_err(|failure| failure.within(name))?;
        let books = backends.archive().await.map_err(|failure| failure.within(name))?;
        let now = ingest::Clock::now(&ingest::WallClock).nanos();
        let holder = format!("copy-{}-{now}", std::process::id());
        Ok(Self { log, books, name, holder, held: None })
    }

    /// Takes the invoicers' lease, or keeps it.
    async fn hold(&mut self) -> Result {
        let began = Instant::now();
        if self.held.is_some_and(|held| began.duration_since(held) < LEASE_EVERY) {
            return Ok(());
        }
        loop {
            self.held = Some(Instant::now());
            let now = ingest::Clock::now(&ingest::WallClock);
            if self.books.lease("clock", &self.holder, now, now.plus(LEASE)).await.map_err(Failure::refused)? {
                return Ok(());
            }
            if began.elapsed() >= LEASE_WAIT {
                let name = self.name;
                return Err(Failure::refused(format_args!(
                    "an invoicer of {name} leads: stop it for as long as its books are copied"
                )));
            }
            tokio::time::sleep(LEASE_LOOK).await;
        }
    }

    async fn release(&self) {
        let now = ingest::Clock::now(&ingest::WallClock);
        if let Err(error) = self.books.lease("clock", &self.holder, now, now).await {
            tracing::debug!(%error, "the lease ends by itself");
        }
    }
}
