//! The books: what people edit and auditors read, as versioned documents with atomic, conditional commits. Every commit
//! is a row of an append-only audit log for each document it changes.
//!
//! What documents mean is the invoicer's; a backend knows keys, tags and bytes only.

use async_trait::async_trait;
use pricing::id::TenantId;
use pricing::time::Instant;

/// Keeps documents.
#[async_trait]
pub trait Books: Send + Sync + 'static {
    /// One document, if it is there.
    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>, Error>;

    /// Documents of one collection, by id (by bytes), that fit the query.
    async fn list(&self, query: &ListQuery) -> Result<Vec<Document>, Error>;

    /// All of it or nothing. A put whose expectation does not hold is [`Error::Conflict`] and nothing is changed.
    async fn commit(&self, commit: Commit) -> Result<(), Error>;

    /// Entries of a tenant's audit log that fit the query, in their order.
    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, Error>;

    /// The number of commits so far: it changes whenever anything did, so that caches know when to look again.
    async fn revision(&self) -> Result<u64, Error>;

    /// Takes or keeps the lease `name` for `holder` until `until`; false where another holds it. `now` and `until` are wall
    /// clock; a backend with a clock of its own goes by that, and by how long `until` is after `now`. A lease that ends
    /// `now` is given back. Where processes share the books, commits of one that lost a lease to another are refused as
    /// [`Error::Unavailable`] from then on, whatever they expect, until it holds the lease again.
    async fn lease(&self, name: &str, holder: &str, now: Instant, until: Instant) -> Result<bool, Error>;
}

/// Books that can be copied as a whole: for backups, and from one machine to a cluster.
#[async_trait]
pub trait Archive: Books {
    /// Documents of all tenants after `after`, by tenant, collection and id (by bytes); removed ones, too, since their
    /// revisions go on from there.
    async fn documents(&self, after: Option<&DocumentKey>, count_max: usize) -> Result<Vec<Archived>, Error>;

    /// The audit log of all tenants, oldest first, after `after` (0: from the first), at most `count_max`.
    async fn entries(&self, after: u64, count_max: usize) -> Result<Vec<AuditEntry>, Error>;

    /// Writes documents as they are, whatever stands in their place, and entries of the audit log that are not there. All
    /// of it or nothing.
    async fn restore(&self, documents: Vec<Archived>, entries: Vec<AuditEntry>) -> Result<(), Error>;
}

/// A document with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// Its name.
    pub key: DocumentKey,
    /// The number of its changes.
    pub revision: u64,
    /// JSON text; none: it was removed.
    pub body: Option<String>,
    /// What it can be found by.
    pub tags: Vec<(String, String)>,
}

/// A document's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct DocumentKey {
    /// Whose; none: the installation's own.
    pub tenant: Option<TenantId>,
    /// Which kind, such as `customer`. Chosen by the invoicer, see its `ledger` module.
    pub collection: String,
    /// Its id within the collection.
    pub id: String,
}

/// A document as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub key: DocumentKey,
    /// 1 for the first, one more for each change.
    pub revision: u64,
    /// JSON text, kept byte for byte.
    pub body: String,
}

/// Changes that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Who did it: a key's id, or a part of Farthing.
    pub who: String,
    /// What was done, such as `apply` or `issue`.
    pub action: String,
    /// Log time when it was done.
    pub log_time: Instant,
    /// The changes.
    pub puts: Vec<Put>,
}

/// One document's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Its name.
    pub key: DocumentKey,
    /// What must be true of it before.
    pub expect: Expect,
    /// JSON text; none removes it.
    pub body: Option<String>,
    /// What it can be found by: replaces all earlier tags.
    pub tags: Vec<(String, String)>,
    /// Whether the audit log shows it; false for what only machines read (cursors, counters).
    pub audited: bool,
}

/// What must be true of a document before it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Any,
    /// It is not there.
    Absent,
    /// It has this revision.
    Revision(u64),
}

/// Which documents to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Whose; none: the installation's own.
    pub tenant: Option<TenantId>,
    /// Which kind.
    pub collection: String,
    /// Only those with all of these tags.
    pub tags: Vec<(String, String)>,
    /// Only ids after this one (before it, when descending).
    pub after: Option<String>,
    /// Only ids that begin so.
    pub prefix: Option<String>,
    /// From the last id to the first.
    pub descending: bool,
    /// At most so many.
    pub count_max: usize,
}

/// The first text after all that begin with `prefix`, if there is any.
pub(crate) fn after_prefix(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// Which changes to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Whose; none: the installation's own.
    pub tenant: Option<TenantId>,
    /// Only of documents of this collection.
    pub collection: Option<String>,
    /// Only of documents with this id.
    pub id: Option<String>,
    /// Only changes at this log time or later.
    pub from: Option<Instant>,
    /// Only changes before this log time.
    pub until: Option<Instant>,
    /// Only after the entry with this number (before it, when descending).
    pub after: Option<u64>,
    /// From the last to the first.
    pub descending: bool,
    /// At most so many.
    pub count_max: usize,
}

impl AuditQuery {
    /// All of a tenant's entries after `after` (0: from the first), at most `count_max`.
    pub fn all(tenant: Option<&TenantId>, after: u64, count_max: usize) -> Self {
        Self { tenant: tenant.cloned(), after: Some(after), count_max, ..Self::default() }
    }

    /// Whether it asks for one document's entries, which have an index of their own.
    pub(crate) fn is_of_document(&self) -> bool {
        self.collection.is_some() && self.id.is_some()
    }

    /// The first and the last number that the query asks for.
    pub(crate) fn numbers(&self) -> (u64, u64) {
        match self.after {
            None => (0, u64::MAX),
            Some(after) if self.descending => (0, after.saturating_sub(1)),
            Some(after) => (after.saturating_add(1), u64::MAX),
        }
    }
}

/// One change of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Counts all entries of the books from 1.
    pub number: u64,
    /// Who did it.
    pub who: String,
    /// What was done.
    pub action: String,
    /// Log time when it was done.
    pub log_time: Instant,
    /// Which document.
    pub key: DocumentKey,
    /// Its body before, if it was there.
    pub before: Option<String>,
    /// Its body after, if it is still there.
    pub after: Option<String>,
}

/// What can go wrong with the books.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else changed the document in between: read again and decide again.
    #[error("{key:?} was changed by somebody else")]
    Conflict {
        /// Which.
        key: Box<DocumentKey>,
    },
    /// Not read or written now. After a commit it is not known whether it happened: read before trying again.
    #[error("the books cannot be reached: {reason}")]
    Unavailable {
        /// What the system said.
        reason: String,
    },
}
