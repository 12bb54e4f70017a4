//! The books in PostgreSQL.
//!
//! A commit is one call of a function in the database, so one statement and one transaction: no client holds a lock while
//! it thinks, or after it died. Every commit first locks the one row of `commits` and raises its revision. Commits
//! therefore stand in a line, none is ever refused for serialization, and revisions become visible in their order: a
//! reader that saw revision n sees everything up to n. A sequence would not do: its numbers are given out before the
//! commits that hold them are visible, so a reader could pass over one and never look again. What it costs is that commits
//! do not overlap; their statements are short, and one commit may hold many documents.
//!
//! **Fencing.** Who took a lease through this handle commits only while nobody else took it since: the commit reads the
//! lease's row in its own transaction, and holds it against being taken until it is done. A process that was stopped,
//! and wakes after another took over, is refused whatever its commit expects.

// Reading order: how it connects, the schema, then the books as a whole.
mod archive;
mod connect;
mod schema;

pub use schema::migrate;

use crate::books::{
    AuditEntry, AuditQuery, Commit, Document, DocumentKey, Error as BooksError, Expect, ListQuery, Put,
};
use async_trait::async_trait;
use deadpool_postgres::{Object, Pool};
use pricing::id::TenantId;
use pricing::time::Instant;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

/// How to reach a database, and how long to wait for it.
#[derive(Clone)]
pub struct Options {
    /// `postgres://USER@HOST:PORT/DATABASE`, or the `key=value` form; several hosts are tried in turn for the one that can
    /// be written to. `sslmode` is `disable`, `prefer` (TLS where the server offers it: the default without a `ca_file`),
    /// `require` (with one), `verify-ca` or `verify-full`; wherever TLS is used, the server's certificate is checked in full.
    pub url: String,
    /// The password, which then need not stand in the URL.
    pub password: Option<String>,
    /// Certificates, in PEM, of those who may vouch for the server; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// Connections at once, at most.
    pub connections_max: usize,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a call waits for a free connection.
    pub wait_timeout: Duration,
    /// How long a statement may run.
    pub statement_timeout: Duration,
}

/// The books in a database.
pub struct Books {
    pool: Pool,
    /// How long a statement is waited for: longer than the server lets it run.
    answer_timeout: Duration,
    /// The leases that were taken through this handle, with their holders.
    held: Mutex<BTreeMap<String, String>>,
}

/// Why books cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The options cannot be used.
    #[error("the books' database is not described well: {reason}")]
    Options {
        /// What does not fit.
        reason: String,
    },
    /// The server does not answer, or does not let us in.
    #[error("the books cannot be reached: {reason}")]
    Unreachable {
        /// What the system said.
        reason: String,
    },
    /// The database is there, but a promise could not be kept with it.
    #[error("{reason}")]
    Refused {
        /// What does not fit, and what to do.
        reason: String,
    },
}

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What became of a statement.
enum Failure {
    /// No connection was to be had: nothing was sent.
    NotSent(String),
    /// The connection broke, or no answer came in time: it may have happened.
    Broken(String),
    /// The server refused it: it did not happen.
    Refused(Box<tokio_postgres::error::DbError>),
    /// The answer makes no sense.
    Senseless(String),
}

/// How often a commit that the server gave up for another's sake is sent again.
const ATTEMPTS: usize = 5;
/// How long an answer may take beyond what the server lets a statement run.
const ANSWER_SLACK: Duration = Duration::from_secs(5);

// === impl Options ===

impl Options {
    /// This URL, with defaults: 10 connections; 5 s to connect, 10 s to wait for a connection, 30 s for a statement.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            password: None,
            ca_file: None,
            connections_max: 10,
            connect_timeout: Duration::from_secs(5),
            wait_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        out.debug_struct("Options").field("connections_max", &self.connections_max).finish_non_exhaustive()
    }
}

// === impl Books ===

impl Books {
    /// Connects, and checks that the database can keep what the books promise.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(options: Options) -> Result<Self, Error> {
        let pool = connect::pool(&options)?;
        let answer_timeout = options.statement_timeout.saturating_add(ANSWER_SLACK);
        let books = Self { pool, answer_timeout, held: Mutex::default() };
        books.check().await?;
        Ok(books)
    }

    /// Refuses a schema that is not exactly this binary's, and a server that would acknowledge what it may lose.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn check(&self) -> Result<(), Error> {
        let unreachable = |failure: Failure| Error::Unreachable { reason: failure.reason() };
        let client = self.client().await.map_err(unreachable)?;
        let checked = tokio::time::timeout(self.answer_timeout, schema::check(&client)).await;
        checked.unwrap_or_else(|_| Err(unreachable(Failure::late())))
    }

    async fn client(&self) -> Result<Object, Failure> {
        self.pool.get().await.map_err(|error| Failure::NotSent(connect::explain_pool(&error)))
    }

    /// Sends one statement.
    async fn send(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Failure> {
        let client = self.client().await?;
        let work = async {
            let statement = client.prepare_cached(sql).await?;
            client.query(&statement, parameters).await
        };
        match tokio::time::timeout(self.answer_timeout, work).await {
            Ok(done) => done.map_err(Failure::from),
            Err(_) => {
                // Whatever it still answers, nobody waits for it.
                drop(Object::take(client));
                Err(Failure::late())
            }
        }
    }

    /// Sends a statement that changes nothing: a broken connection is replaced once.
    async fn read(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, BooksError> {
        let mut done = self.send(sql, parameters).await;
        if matches!(done, Err(Failure::Broken(_))) {
            done = self.send(sql, parameters).await;
        }
        done.map_err(BooksError::from)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Books {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Books").field("pool", &self.pool.status()).finish_non_exhaustive()
    }
}

#[async_trait]
impl crate::books::Books for Books {
    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>, BooksError> {
        let tenant = tenant_text(key.tenant.as_ref());
        let rows = self.read(include_str!("postgres/get.sql"), &[&tenant, &key.collection, &key.id]).await?;
        rows.first().map(|row| document(row, key.tenant.as_ref(), &key.collection)).transpose()
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Document>, BooksError> {
        let sql = match (query.tags.is_empty(), query.descending) {
            (true, false) => concat!(include_str!("postgres/list.sql"), "ASC LIMIT $5"),
            (true, true) => concat!(include_str!("postgres/list.sql"), "DESC LIMIT $5"),
            (false, false) => concat!(include_str!("postgres/list_tagged.sql"), "ASC LIMIT $5"),
            (false, true) => concat!(include_str!("postgres/list_tagged.sql"), "DESC LIMIT $5"),
        };
        let (low, high) = bounds(query);
        let tenant = tenant_text(query.tenant.as_ref());
        let count_max = limit(query.count_max);
        let all: Parameters<'_> = &[&tenant, &query.collection, &low, &high, &count_max];
        let rows = match query.tags.split_first() {
            None => self.read(sql, all).await?,
            Some(((name, value), others)) => {
                let (names, values): (Vec<&str>, Vec<&str>) =
                    others.iter().map(|(name, value)| (name.as_str(), value.as_str())).unzip();
                let tags: Parameters<'_> = &[name, value, &names, &values];
                self.read(sql, &[all, tags].concat()).await?
            }
        };
        rows.iter().map(|row| document(row, query.tenant.as_ref(), &query.collection)).collect()
    }

    async fn commit(&self, commit: Commit) -> Result<(), BooksError> {
        let held = self.held().clone();
        let mut attempt = 1;
        let done = loop {
            match self.send_commit(&commit, &held).await {
                Err(failure) if failure.is_given_up() && attempt < ATTEMPTS => attempt += 1,
                done => break done?,
            }
        };
        let place = |number: i32| usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX).wrapping_sub(1);
        match done {
            0 => Ok(()),
            number if number > 0 => match commit.puts.into_iter().nth(place(number)) {
                Some(put) => Err(BooksError::Conflict { key: Box::new(put.key) }),
                None => Err(unavailable("the database refused a document that the commit does not have")),
            },
            number => {
                let name = held.keys().nth(place(number)).map_or("", String::as_str);
                Err(unavailable(&format!("another process took the lease '{name}': this one writes no more")))
            }
        }
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, BooksError> {
        let sql = match (query.is_of_document(), query.descending) {
            (false, false) => concat!(include_str!("postgres/audit.sql"), "ASC LIMIT $8"),
            (false, true) => concat!(include_str!("postgres/audit.sql"), "DESC LIMIT $8"),
            (true, false) => concat!(include_str!("postgres/audit_of_document.sql"), "ASC LIMIT $8"),
            (true, true) => concat!(include_str!("postgres/audit_of_document.sql"), "DESC LIMIT $8"),
        };
        let (first, last) = query.numbers();
        let (first, last) = (i64::try_from(first).unwrap_or(i64::MAX), i64::try_from(last).unwrap_or(i64::MAX));
        let (from, until) = (query.from.map(Instant::nanos), query.until.map(Instant::nanos));
        let tenant = query.tenant.as_ref();
        #[rustfmt::skip]
        let parameters: Parameters<'_> = &[
            &tenant_text(tenant), &first, &last, &query.collection, &query.id, &from, &until, &limit(query.count_max),
        ];
        let rows = self.read(sql, parameters).await?;
        rows.iter()
            .map(|row| audit_entry(row, tenant).map_err(|error| unavailable(&connect::explain(&error))))
            .collect()
    }

    async fn revision(&self) -> Result<u64, BooksError> {
        let rows = self.read("SELECT revision FROM commits", &[]).await?;
        let row = rows.first().ok_or_else(|| unavailable("the database has no revision"))?;
        let revision = row.try_get::<_, i64>(0).map(i64::cast_unsigned);
        revision.map_err(|error| unavailable(&connect::explain(&error)))
    }

    async fn lease(&self, name: &str, holder: &str, now: Instant, until: Instant) -> Result<bool, BooksError> {
        // Only how long it is counts here: the server's own clock says from when.
        let micros = until.since(now).nanos() / 1_000;
        let parameters: Parameters<'_> = &[&name, &holder, &micros];
        let taken = !self.send(include_str!("postgres/lease.sql"), parameters).await?.is_empty();
        if taken {
            self.held().insert(name.to_owned(), holder.to_owned());
        }
        Ok(taken)
    }
}

impl Books {
    async fn send_commit(&self, commit: &Commit, held: &BTreeMap<String, String>) -> Result<i32, Failure> {
        let Commit { who, action, log_time, puts } = commit;
        let leases: Vec<&str> = held.keys().map(String::as_str).collect();
        let holders: Vec<&str> = held.values().map(String::as_str).collect();
        let tenants: Vec<&str> = puts.iter().map(|put| tenant_text(put.key.tenant.as_ref())).collect();
        let collections: Vec<&str> = puts.iter().map(|put| put.key.collection.as_str()).collect();
        let ids: Vec<&str> = puts.iter().map(|put| put.key.id.as_str()).collect();
        let expects: Vec<i64> = puts.iter().map(|put| expect_number(put.expect)).collect();
        let bodies: Vec<Option<&str>> = puts.iter().map(|put| put.body.as_deref()).collect();
        let tags: Vec<Option<String>> = puts.iter().map(tags_text).collect();
        let audited: Vec<bool> = puts.iter().map(|put| put.audited).collect();
        let log_time = log_time.nanos();
        #[rustfmt::skip]
        let parameters: Parameters<'_> = &[
            who, action, &log_time, &leases, &holders, &tenants, &collections, &ids, &expects, &bodies, &tags, &audited,
        ];
        let rows = self.send(include_str!("postgres/commit.sql"), parameters).await?;
        let answer = rows.first().map(|row| row.try_get(0));
        let answer = answer.ok_or_else(|| Failure::Senseless("the commit gave no answer".to_owned()))?;
        answer.map_err(|error| Failure::Senseless(connect::explain(&error)))
    }
}

fn document(row: &Row, tenant: Option<&TenantId>, collection: &str) -> Result<Document, BooksError> {
    let read = || -> Result<Document, tokio_postgres::Error> {
        let key = DocumentKey { tenant: tenant.cloned(), collection: collection.to_owned(), id: row.try_get(0)? };
        Ok(Document { key, revision: row.try_get::<_, i64>(1)?.cast_unsigned(), body: row.try_get(2)? })
    };
    read().map_err(|error| unavailable(&connect::explain(&error)))
}

fn audit_entry(row: &Row, tenant: Option<&TenantId>) -> Result<AuditEntry, tokio_postgres::Error> {
    Ok(AuditEntry {
        number: row.try_get::<_, i64>(0)?.cast_unsigned(),
        who: row.try_get(1)?,
        action: row.try_get(2)?,
        log_time: Instant::from_nanos(row.try_get(3)?),
        key: DocumentKey { tenant: tenant.cloned(), collection: row.try_get(4)?, id: row.try_get(5)? },
        before: row.try_get(6)?,
        after: row.try_get(7)?,
    })
}

/// Ids from the first (with it) to the second (without it). Text in PostgreSQL holds no NUL, so the first text after
/// another is the same with U+0001.
fn bounds(query: &ListQuery) -> (String, String) {
    let prefix = query.prefix.clone().unwrap_or_default();
    // Longer than any id could be, of the last character that there is.
    let last = || String::from(char::MAX).repeat(256);
    let end = crate::books::after_prefix(&prefix).unwrap_or_else(last);
    match &query.after {
        None => (prefix, end),
        Some(after) if !query.descending => (prefix.max(format!("{after}\u{1}")), end),
        Some(after) => (prefix, end.min(after.clone())),
    }
}

fn expect_number(expect: Expect) -> i64 {
    match expect {
        Expect::Any => -1,
        Expect::Absent => -2,
        Expect::Revision(revision) => i64::try_from(revision).unwrap_or(i64::MAX),
    }
}

/// A put's tags as a JSON list of pairs; none where it has none.
fn tags_text(put: &Put) -> Option<String> {
    Some(&put.tags).filter(|tags| !tags.is_empty()).and_then(|tags| serde_json::to_string(tags).ok())
}

fn tenant_text(tenant: Option<&TenantId>) -> &str {
    tenant.map_or("", TenantId::as_str)
}

fn limit(count_max: usize) -> i64 {
    i64::try_from(count_max).unwrap_or(i64::MAX)
}

fn unavailable(reason: &str) -> BooksError {
    BooksError::Unavailable { reason: reason.to_owned() }
}

// === impl Failure ===

impl Failure {
    fn late() -> Self {
        Self::Broken("no answer came in time".to_owned())
    }

    /// True where the server gave up a statement for the sake of another, which it may do to any.
    fn is_given_up(&self) -> bool {
        let codes = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
        matches!(self, Self::Refused(error) if codes.contains(error.code()))
    }

    fn reason(self) -> String {
        match self {
            Self::NotSent(reason) | Self::Broken(reason) | Self::Senseless(reason) => reason,
            Self::Refused(error) => format!("{} ({})", error.message(), error.code().code()),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // The server ends the connection with a last word of its own when it stops or fails over.
            Some(said) if !error.is_closed() && !is_farewell(said.code()) => Self::Refused(Box::new(said.clone())),
            _ => Self::Broken(connect::explain(&error)),
        }
    }
}

fn is_farewell(code: &SqlState) -> bool {
    [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(code)
}

impl From<Failure> for BooksError {
    fn from(failure: Failure) -> Self {
        Self::Unavailable { reason: failure.reason() }
    }
}
