//! The books as a whole.

use super::{Books, Conflict, Failure, limit, number, tenant_text};
use crate::books::{Archive, Archived, AuditEntry, DocumentKey, Error};
use async_trait::async_trait;
use pricing::id::TenantId;
use pricing::time::Instant;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, named_params};

#[async_trait]
impl Archive for Books {
    async fn documents(&self, after: Option<&DocumentKey>, count_max: usize) -> Result<Vec<Archived>, Error> {
        let after = after.cloned();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(include_str!("archive_documents.sql"))?;
            // No document has no collection, so nothing lies before this place.
            let (tenant, collection, id) = after.as_ref().map_or(("", "", ""), place);
            let rows = statement.query_map((tenant, collection, id, limit(count_max)), archived)?;
            rows.collect()
        })
        .await
    }

    async fn entries(&self, after: u64, count_max: usize) -> Result<Vec<AuditEntry>, Error> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(include_str!("archive_entries.sql"))?;
            let rows = statement.query_map((after, limit(count_max)), entry)?;
            rows.collect()
        })
        .await
    }

    async fn restore(&self, documents: Vec<Archived>, entries: Vec<AuditEntry>) -> Result<(), Error> {
        let write = move |connection: &Connection| -> Result<(), Failure<Conflict>> {
            for document in &documents {
                put(connection, document)?;
            }
            for entry in &entries {
                note(connection, entry)?;
            }
            connection.prepare_cached("UPDATE commits SET revision = revision + 1")?.execute([])?;
            Ok(())
        };
        self.database.write(write).await.map_err(Error::from)
    }
}

fn place(key: &DocumentKey) -> (&str, &str, &str) {
    (tenant_text(key.tenant.as_ref()), &key.collection, &key.id)
}

fn put(connection: &Connection, document: &Archived) -> Result<(), rusqlite::Error> {
    let (tenant, collection, id) = place(&document.key);
    let number: i64 = connection.prepare_cached(include_str!("put.sql"))?.query_row(
        named_params! {
            ":tenant": tenant, ":collection": collection, ":id": id,
            ":revision": document.revision.cast_signed(), ":body": document.body,
        },
        |row| row.get(0),
    )?;
    connection.prepare_cached("DELETE FROM tags WHERE document = ?")?.execute([number])?;
    for (name, value) in &document.tags {
        let mut statement = connection.prepare_cached("INSERT INTO tags VALUES (?, ?, ?, ?, ?, ?)")?;
        statement.execute((tenant, collection, name, value, id, number))?;
    }
    Ok(())
}

fn note(connection: &Connection, entry: &AuditEntry) -> Result<(), rusqlite::Error> {
    let (tenant, collection, id) = place(&entry.key);
    let mut statement = connection.prepare_cached("INSERT OR IGNORE INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    let (number, log_time) = (entry.number.cast_signed(), entry.log_time.nanos());
    let AuditEntry { who, action, before, after, .. } = entry;
    statement.execute((number, who, action, log_time, tenant, collection, id, before, after))?;
    Ok(())
}

fn archived(row: &Row<'_>) -> Result<Archived, rusqlite::Error> {
    let key = DocumentKey { tenant: tenant(row, 0)?, collection: row.get(1)?, id: row.get(2)? };
    let tags: String = row.get(5)?;
    let tags = serde_json::from_str(&tags)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(5, Type::Text, error.into()))?;
    Ok(Archived { key, revision: row.get::<_, i64>(3)?.cast_unsigned(), body: row.get(4)?, tags })
}

fn entry(row: &Row<'_>) -> Result<AuditEntry, rusqlite::Error> {
    Ok(AuditEntry {
        number: number(row)?,
        who: row.get(1)?,
        action: row.get(2)?,
        log_time: Instant::from_nanos(row.get(3)?),
        key: DocumentKey { tenant: tenant(row, 4)?, collection: row.get(5)?, id: row.get(6)? },
        before: row.get(7)?,
        after: row.get(8)?,
    })
}

/// The installation itself is called by no name.
fn tenant(row: &Row<'_>, column: usize) -> Result<Option<TenantId>, rusqlite::Error> {
    let text: String = row.get(column)?;
    let tenant = Some(text.as_str()).filter(|text| !text.is_empty()).map(TenantId::new).transpose();
    tenant.map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}
