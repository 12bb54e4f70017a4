//! The books as a whole.

use super::{Books, Parameters, connect, limit, tenant_text, unavailable};
use crate::books::{Archive, Archived, AuditEntry, DocumentKey, Error};
use async_trait::async_trait;
use pricing::id::TenantId;
use pricing::time::Instant;
use tokio_postgres::Row;

#[async_trait]
impl Archive for Books {
    async fn documents(&self, after: Option<&DocumentKey>, count_max: usize) -> Result<Vec<Archived>, Error> {
        // No document has no collection, so nothing lies before this place.
        let (tenant, collection, id) = after.map_or(("", "", ""), place);
        let parameters: Parameters<'_> = &[&tenant, &collection, &id, &limit(count_max)];
        let rows = self.read(include_str!("archive_documents.sql"), parameters).await?;
        rows.iter().map(archived).collect()
    }

    async fn entries(&self, after: u64, count_max: usize) -> Result<Vec<AuditEntry>, Error> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let rows = self.read(include_str!("archive_entries.sql"), &[&after, &limit(count_max)]).await?;
        rows.iter().map(entry).collect()
    }

    async fn restore(&self, documents: Vec<Archived>, entries: Vec<AuditEntry>) -> Result<(), Error> {
        let places: Vec<_> = documents.iter().map(|document| place(&document.key)).collect();
        let tenants: Vec<&str> = places.iter().map(|place| place.0).collect();
        let collections: Vec<&str> = places.iter().map(|place| place.1).collect();
        let ids: Vec<&str> = places.iter().map(|place| place.2).collect();
        let revisions: Vec<i64> = documents.iter().map(|document| document.revision.cast_signed()).collect();
        let bodies: Vec<Option<&str>> = documents.iter().map(|document| document.body.as_deref()).collect();
        let tags: Result<Vec<String>, _> =
            documents.iter().map(|document| serde_json::to_string(&document.tags)).collect();
        let tags = tags.map_err(|error| unavailable(&error.to_string()))?;
        let numbers: Vec<i64> = entries.iter().map(|entry| entry.number.cast_signed()).collect();
        let who: Vec<&str> = entries.iter().map(|entry| entry.who.as_str()).collect();
        let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
        let times: Vec<i64> = entries.iter().map(|entry| entry.log_time.nanos()).collect();
        let places: Vec<_> = entries.iter().map(|entry| place(&entry.key)).collect();
        let of_tenants: Vec<&str> = places.iter().map(|place| place.0).collect();
        let of_collections: Vec<&str> = places.iter().map(|place| place.1).collect();
        let of_ids: Vec<&str> = places.iter().map(|place| place.2).collect();
        let before: Vec<Option<&str>> = entries.iter().map(|entry| entry.before.as_deref()).collect();
        let after: Vec<Option<&str>> = entries.iter().map(|entry| entry.after.as_deref()).collect();
        #[rustfmt::skip]
        let parameters: Parameters<'_> = &[
            &tenants, &collections, &ids, &revisions, &bodies, &tags,
            &numbers, &who, &actions, &times, &of_tenants, &of_collections, &of_ids, &before, &after,
        ];
        self.send(include_str!("archive_restore.sql"), parameters).await?;
        Ok(())
    }
}

fn place(key: &DocumentKey) -> (&str, &str, &str) {
    (tenant_text(key.tenant.as_ref()), &key.collection, &key.id)
}

fn archived(row: &Row) -> Result<Archived, Error> {
    let read = || -> Result<_, tokio_postgres::Error> {
        let revision = row.try_get::<_, i64>(3)?.cast_unsigned();
        Ok((row.try_get(1)?, row.try_get(2)?, revision, row.try_get(4)?, row.try_get::<_, String>(5)?))
    };
    let (collection, id, revision, body, tags) = read().map_err(|error| unavailable(&connect::explain(&error)))?;
    let tags = serde_json::from_str(&tags).map_err(|error| unavailable(&error.to_string()))?;
    let key = DocumentKey { tenant: tenant(row, 0)?, collection, id };
    Ok(Archived { key, revision, body, tags })
}

fn entry(row: &Row) -> Result<AuditEntry, Error> {
    let tenant = tenant(row, 4)?;
    let read = || -> Result<AuditEntry, tokio_postgres::Error> {
        Ok(AuditEntry {
            number: row.try_get::<_, i64>(0)?.cast_unsigned(),
            who: row.try_get(1)?,
            action: row.try_get(2)?,
            log_time: Instant::from_nanos(row.try_get(3)?),
            key: DocumentKey { tenant, collection: row.try_get(5)?, id: row.try_get(6)? },
            before: row.try_get(7)?,
            after: row.try_get(8)?,
        })
    };
    read().map_err(|error| unavailable(&connect::explain(&error)))
}

/// The installation itself is called by no name.
fn tenant(row: &Row, column: usize) -> Result<Option<TenantId>, Error> {
    let text: String = row.try_get(column).map_err(|error| unavailable(&connect::explain(&error)))?;
    let tenant = Some(text.as_str()).filter(|text| !text.is_empty()).map(TenantId::new).transpose();
    tenant.map_err(|error| unavailable(&error.to_string()))
}
