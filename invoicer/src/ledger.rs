//! The documents in the books: which kinds there are, where each is kept, and how they are read and changed.
//!
//! | collection | tenant | id | holds |
//! |---|---|---|---|
//! | `tenant` | none | tenant | that the tenant is there, and the versions of its records |
//! | `settings` `meter` `plan` `seller` `tax` `customer` `subscription` `credit` | its own | its own | the catalog |
//! | `bill` | its own | `CUSTOMER/CURRENCY/END` | a draft, held, issued or skipped bill, and what was paid of it |
//! | `bill` | its own | the same `/NUMBER` | a voided invoice, or a credit note on an invoice |
//! | `invoice` | its own | number | an issued document: canonical JSON, hash, the hash before it |
//! | `rendering` | its own | `NUMBER/FORM` | an issued document as PDF, UBL or CII, as it was first read |
//! | `series` | its own | `SELLER/TYPE` | the next number, the last hash |
//! | `account` | its own | `CUSTOMER/CURRENCY` | what bills carry from one to the next |
//! | `webhook` `webhook_secret` `webhook_lane` `delivery` | | | see [`crate::webhooks`] |
//! | `outbox` | none | sequence | control records that are not yet all in the log |
//! | `clock` `log` `cursor` `leader` | none | fixed | log time; the log's shards and key; how far manifests were read; where the invoicer that leads is reached |
//! | `skip` | none | `SHARD/OFFSET` | that a record of the log is stepped over, and why |
//!
//! Changes are optimistic: a put names the revision it was made from, and a [`books::Error::Conflict`] means to read and
//! decide again.

mod bills;
mod catalog;
mod kinds;
mod receivable;

pub use bills::{Approval, Hold, Status, StoredBill, Waiver, digest};
pub use catalog::Loaded;
pub(crate) use catalog::{desk, desk_of};
pub use kinds::{
    Basis, BasisPeriod, Clock, CreditBasis, Cursor, Invoice, LogIdentity, Outbox, RecordVersion, Rendering, Series,
    Skip, Tenant,
};
pub use receivable::{CreditNote, Entry, Receivable, Standing, What};

use pricing::id::TenantId;
use pricing::time::Instant;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use storage::books::{self, Books, Commit, Document, DocumentKey, Expect, ListQuery, Put};

/// A kind of document.
pub trait Kind: Serialize + DeserializeOwned + Send + Sync {
    /// Where documents of this kind are kept.
    const COLLECTION: &'static str;
    /// Whether the audit log shows their changes.
    const AUDITED: bool = true;

    /// What a document can be found by.
    fn tags(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// A document as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<K> {
    /// Its id in its collection.
    pub id: String,
    /// The revision it was read at.
    pub revision: u64,
    /// What it says.
    pub value: K,
}

/// What can go wrong with the ledger.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The books say no.
    #[error(transparent)]
    Books(#[from] books::Error),
    /// A document is not what its collection holds: written by another version, or damaged.
    #[error("the document {collection} '{id}' cannot be read: {reason}")]
    Malformed {
        /// Its collection.
        collection: String,
        /// Its id.
        id: String,
        /// What the reader said.
        reason: String,
    },
}

impl Error {
    /// True when somebody else changed a document in between: read again and decide again.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Books(books::Error::Conflict { .. }))
    }
}

/// Typed access to the books. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    books: Arc<dyn Books>,
}

/// Changes to be committed together.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    commit: Commit,
}

/// Which documents of a kind to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those with all of these tags.
    pub tags: Vec<(String, String)>,
    /// Only ids after this one (before it, when descending).
    pub after: Option<String>,
    /// Only ids that begin so.
    pub prefix: Option<String>,
    /// From the last id to the first.
    pub descending: bool,
}

/// How many documents are read at once when all are wanted.
const PAGE: usize = 1_000;

// === impl Ledger ===

impl Ledger {
    /// A ledger over these books.
    pub fn new(books: Arc<dyn Books>) -> Self {
        Self { books }
    }

    /// The books themselves.
    pub fn books(&self) -> &Arc<dyn Books> {
        &self.books
    }

    /// Reads one document.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get<K: Kind>(&self, tenant: Option<&TenantId>, id: &str) -> Result<Option<Stored<K>>, Error> {
        let key = DocumentKey { tenant: tenant.cloned(), collection: K::COLLECTION.to_owned(), id: id.to_owned() };
        self.books.get(&key).await?.map(read).transpose()
    }

    /// Reads a page of documents, by id.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list<K: Kind>(
        &self,
        tenant: Option<&TenantId>,
        filter: &Filter,
        count_max: usize,
    ) -> Result<Vec<Stored<K>>, Error> {
        let query = ListQuery {
            tenant: tenant.cloned(),
            collection: K::COLLECTION.to_owned(),
            tags: filter.tags.clone(),
            after: filter.after.clone(),
            prefix: filter.prefix.clone(),
            descending: filter.descending,
            count_max,
        };
        self.books.list(&query).await?.into_iter().map(read).collect()
    }

    /// Reads all documents that fit, by id.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn all<K: Kind>(&self, tenant: Option<&TenantId>, filter: &Filter) -> Result<Vec<Stored<K>>, Error> {
        let mut filter = filter.clone();
        let mut found = Vec::new();
        loop {
            let page = self.list::<K>(tenant, &filter, PAGE).await?;
            let full = page.len() >= PAGE;
            filter.after = page.last().map(|document| document.id.clone());
            found.extend(page);
            if !full {
                return Ok(found);
            }
        }
    }

    /// Commits all of a draft or nothing.
    ///
    /// # Errors
    /// See [`Error`]; after an unavailable store it is not known whether the commit happened.
    pub async fn commit(&self, draft: Draft) -> Result<(), Error> {
        if draft.is_empty() {
            return Ok(());
        }
        Ok(self.books.commit(draft.commit).await?)
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Ledger")
    }
}

// === impl Draft ===

impl Draft {
    /// An empty draft.
    pub fn new(who: &str, action: &str, log_time: Instant) -> Self {
        Self { commit: Commit { who: who.to_owned(), action: action.to_owned(), log_time, puts: Vec::new() } }
    }

    /// True while nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.commit.puts.is_empty()
    }

    /// Whose changes they are.
    pub fn who(&self) -> &str {
        &self.commit.who
    }

    /// How many documents it changes.
    pub fn len(&self) -> usize {
        self.commit.puts.len()
    }

    /// Writes a document. `revision` is the one it was read at; none where it was not there.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it cannot be written as JSON.
    pub fn put<K: Kind>(
        &mut self,
        tenant: Option<&TenantId>,
        id: &str,
        revision: Option<u64>,
        value: &K,
    ) -> Result<(), Error> {
        let body = serde_json::to_string(value).map_err(|error| malformed::<K>(id, &error))?;
        let expect = revision.map_or(Expect::Absent, Expect::Revision);
        self.push::<K>(tenant, id, expect, Some(body), value.tags());
        Ok(())
    }

    /// Removes a document that was read at `revision`.
    pub fn remove<K: Kind>(&mut self, tenant: Option<&TenantId>, id: &str, revision: u64) {
        self.push::<K>(tenant, id, Expect::Revision(revision), None, Vec::new());
    }

    /// Removes a document, whatever it says by now, if it is there.
    pub fn discard<K: Kind>(&mut self, tenant: Option<&TenantId>, id: &str) {
        self.push::<K>(tenant, id, Expect::Any, None, Vec::new());
    }

    /// Writes a document whose JSON is made already.
    pub fn put_json(
        &mut self,
        tenant: &TenantId,
        collection: &str,
        id: &str,
        revision: Option<u64>,
        body: String,
        tags: Vec<(String, String)>,
    ) {
        let key = DocumentKey { tenant: Some(tenant.clone()), collection: collection.to_owned(), id: id.to_owned() };
        let expect = revision.map_or(Expect::Absent, Expect::Revision);
        self.commit.puts.push(Put { key, expect, body: Some(body), tags, audited: true });
    }

    /// Adds the changes of another draft.
    pub fn extend(&mut self, other: Draft) {
        self.commit.puts.extend(other.commit.puts);
    }

    fn push<K: Kind>(
        &mut self,
        tenant: Option<&TenantId>,
        id: &str,
        expect: Expect,
        body: Option<String>,
        tags: Vec<(String, String)>,
    ) {
        let key = DocumentKey { tenant: tenant.cloned(), collection: K::COLLECTION.to_owned(), id: id.to_owned() };
        self.commit.puts.push(Put { key, expect, body, tags, audited: K::AUDITED });
    }
}

fn read<K: Kind>(document: Document) -> Result<Stored<K>, Error> {
    match serde_json::from_str(&document.body) {
        Ok(value) => Ok(Stored { id: document.key.id, revision: document.revision, value }),
        Err(error) => Err(malformed::<K>(&document.key.id, &error)),
    }
}

fn malformed<K: Kind>(id: &str, error: &serde_json::Error) -> Error {
    Error::Malformed { collection: K::COLLECTION.to_owned(), id: id.to_owned(), reason: error.to_string() }
}
