//! The books in SQLite. Commits that wait at the same time share a transaction and its fsync; each stands or falls alone.

use super::sqlite::{Database, Failure};
use crate::books::{AuditEntry, AuditQuery, Commit, Document, DocumentKey, Error, Expect, ListQuery, Put};
use async_trait::async_trait;
use pricing::id::TenantId;
use pricing::time::Instant;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, named_params};
use std::path::Path;

/// The books in one file.
#[derive(Debug)]
pub struct Books {
    database: Database,
}

mod archive;
#[cfg(test)]
mod tests;

const MIGRATIONS: [&str; 2] = [include_str!("books/schema_1.sql"), include_str!("books/schema_2.sql")];
const GET: &str = "SELECT revision, body FROM documents WHERE tenant = ? AND collection = ? AND id = ?";

/// Nothing but a conflict makes a commit refuse.
struct Conflict(DocumentKey);

// === impl Books ===

impl Books {
    /// Opens the file, or makes it. Blocks.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let database = Database::open(path, &MIGRATIONS, 0).map_err(|reason| Error::Unavailable { reason })?;
        Ok(Self { database })
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.database.read(move |connection| work(connection).map_err(Failure::<Conflict>::from)).await;
        done.map_err(Error::from)
    }
}

#[async_trait]
impl crate::books::Books for Books {
    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>, Error> {
        let key = key.clone();
        self.read(move |connection| {
            let found = find(connection, &key)?;
            Ok(found.and_then(|(revision, body)| Some(Document { key, revision, body: body? })))
        })
        .await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Document>, Error> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query)).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), Error> {
        self.database.write(move |connection| write(connection, commit)).await.map_err(Error::from)
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, Error> {
        let query = query.clone();
        self.read(move |connection| audit(connection, &query)).await
    }

    async fn revision(&self) -> Result<u64, Error> {
        self.read(|connection| connection.prepare_cached("SELECT revision FROM commits")?.query_row([], number)).await
    }

    async fn lease(&self, name: &str, holder: &str, now: Instant, until: Instant) -> Result<bool, Error> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        let taken = self.database.write(move |connection| {
            let mut statement = connection.prepare_cached(include_str!("books/lease.sql"))?;
            let (now, until) = (now.nanos(), until.nanos());
            let changed =
                statement.execute(named_params! {":name": name, ":holder": holder, ":now": now, ":until": until})?;
            Ok::<bool, Failure<Conflict>>(changed == 1)
        });
        taken.await.map_err(Error::from)
    }
}

/// A document's revision, and its body unless it was removed.
fn find(connection: &Connection, key: &DocumentKey) -> Result<Option<(u64, Option<String>)>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(GET)?;
    let key = (tenant_text(key.tenant.as_ref()), &key.collection, &key.id);
    statement.query_row(key, |row| Ok((number(row)?, row.get(1)?))).optional()
}

fn list(connection: &Connection, query: &ListQuery) -> Result<Vec<Document>, rusqlite::Error> {
    let sql = match (query.tags.is_empty(), query.descending) {
        (true, false) => concat!(include_str!("books/list.sql"), "ASC LIMIT :count_max"),
        (true, true) => concat!(include_str!("books/list.sql"), "DESC LIMIT :count_max"),
        (false, false) => concat!(include_str!("books/list_tagged.sql"), "ASC LIMIT :count_max"),
        (false, true) => concat!(include_str!("books/list_tagged.sql"), "DESC LIMIT :count_max"),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let (low, high) = range(query);
    let tenant = tenant_text(query.tenant.as_ref());
    let count_max = limit(query.count_max);
    let mut rows = match query.tags.split_first() {
        None => statement.query(named_params! {
            ":tenant": tenant, ":collection": query.collection, ":low": low, ":high": high, ":count_max": count_max,
        })?,
        Some(((name, value), others)) => statement.query(named_params! {
            ":tenant": tenant, ":collection": query.collection, ":low": low, ":high": high, ":count_max": count_max,
            ":name": name, ":value": value, ":others": serde_json::to_string(others).unwrap_or_default(),
        })?,
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key = DocumentKey { tenant: query.tenant.clone(), collection: query.collection.clone(), id: row.get(0)? };
        let revision: i64 = row.get(1)?;
        found.push(Document { key, revision: revision.cast_unsigned(), body: row.get(2)? });
    }
    Ok(found)
}

/// Ids from the first (with it) to the second (without it). A blob is larger than any text.
fn range(query: &ListQuery) -> (String, Value) {
    let prefix = query.prefix.clone().unwrap_or_default();
    let end_of_prefix = crate::books::after_prefix(&prefix);
    let (low, high) = match &query.after {
        None => (prefix, end_of_prefix),
        // The first text after `after` is the same with a NUL.
        Some(after) if !query.descending => (prefix.max(format!("{after}\0")), end_of_prefix),
        Some(after) => {
            let high = end_of_prefix.map_or_else(|| after.clone(), |end| end.min(after.clone()));
            (prefix, Some(high))
        }
    };
    (low, high.map_or(Value::Blob(Vec::new()), Value::Text))
}

fn write(connection: &Connection, commit: Commit) -> Result<(), Failure<Conflict>> {
    let header = (commit.who, commit.action, commit.log_time);
    for put in commit.puts {
        let found = find(connection, &put.key)?;
        let (last, before) = found.unwrap_or((0, None));
        let holds = match put.expect {
            Expect::Any => true,
            Expect::Absent => before.is_none(),
            Expect::Revision(revision) => before.is_some() && revision == last,
        };
        if !holds {
            return Err(Failure::Refused(Conflict(put.key)));
        }
        apply(connection, &put, last)?;
        if put.audited {
            note(connection, &header, &put, before.as_deref())?;
        }
    }
    connection.prepare_cached("UPDATE commits SET revision = revision + 1")?.execute([])?;
    Ok(())
}

fn apply(connection: &Connection, put: &Put, last: u64) -> Result<(), rusqlite::Error> {
    let tenant = tenant_text(put.key.tenant.as_ref());
    if put.body.is_none() && last == 0 {
        return Ok(());
    }
    let revision = if put.body.is_some() { last + 1 } else { last };
    let number: i64 = connection.prepare_cached(include_str!("books/put.sql"))?.query_row(
        named_params! {
            ":tenant": tenant, ":collection": put.key.collection, ":id": put.key.id,
            ":revision": revision.cast_signed(), ":body": put.body,
        },
        |row| row.get(0),
    )?;
    if last > 0 {
        connection.prepare_cached("DELETE FROM tags WHERE document = ?")?.execute([number])?;
    }
    let tags = if put.body.is_some() { put.tags.as_slice() } else { &[] };
    for (name, value) in tags {
        let mut statement = connection.prepare_cached("INSERT OR IGNORE INTO tags VALUES (?, ?, ?, ?, ?, ?)")?;
        statement.execute((tenant, &put.key.collection, name, value, &put.key.id, number))?;
    }
    Ok(())
}

fn note(
    connection: &Connection,
    (who, action, log_time): &(String, String, Instant),
    put: &Put,
    before: Option<&str>,
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached(include_str!("books/audit_insert.sql"))?;
    statement.execute(named_params! {
        ":who": who, ":action": action, ":log_time": log_time.nanos(), ":tenant": tenant_text(put.key.tenant.as_ref()),
        ":collection": put.key.collection, ":id": put.key.id, ":before": before, ":after": put.body,
    })?;
    Ok(())
}

fn audit(connection: &Connection, query: &AuditQuery) -> Result<Vec<AuditEntry>, rusqlite::Error> {
    let sql = match (query.is_of_document(), query.descending) {
        (false, false) => concat!(include_str!("books/audit.sql"), "ASC LIMIT :count_max"),
        (false, true) => concat!(include_str!("books/audit.sql"), "DESC LIMIT :count_max"),
        (true, false) => concat!(include_str!("books/audit_of_document.sql"), "ASC LIMIT :count_max"),
        (true, true) => concat!(include_str!("books/audit_of_document.sql"), "DESC LIMIT :count_max"),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let numbers = query.numbers();
    let parameters = named_params! {
        ":tenant": tenant_text(query.tenant.as_ref()), ":collection": query.collection, ":id": query.id,
        ":first": i64::try_from(numbers.0).unwrap_or(i64::MAX), ":last": i64::try_from(numbers.1).unwrap_or(i64::MAX),
        ":from": query.from.map(Instant::nanos), ":until": query.until.map(Instant::nanos),
        ":count_max": limit(query.count_max),
    };
    let rows = statement.query_map(parameters, |row| {
        Ok(AuditEntry {
            number: number(row)?,
            who: row.get(1)?,
            action: row.get(2)?,
            log_time: Instant::from_nanos(row.get(3)?),
            key: DocumentKey { tenant: query.tenant.clone(), collection: row.get(4)?, id: row.get(5)? },
            before: row.get(6)?,
            after: row.get(7)?,
        })
    })?;
    rows.collect()
}

fn tenant_text(tenant: Option<&TenantId>) -> &str {
    tenant.map_or("", TenantId::as_str)
}

fn limit(count_max: usize) -> i64 {
    i64::try_from(count_max).unwrap_or(i64::MAX)
}

/// The first column as a count.
fn number(row: &rusqlite::Row<'_>) -> Result<u64, rusqlite::Error> {
    row.get(0).map(i64::cast_unsigned)
}

// === impl Error ===

impl From<Failure<Conflict>> for Error {
    fn from(failure: Failure<Conflict>) -> Self {
        match failure {
            Failure::Database(reason) => Self::Unavailable { reason },
            Failure::Refused(Conflict(key)) => Self::Conflict { key: Box::new(key) },
        }
    }
}
