//! Storage whose writes are spans of traces: an append to the log, an insert of what a rater put out, a commit to the books.
//! Only where traces are collected is storage wrapped in it; stages know nothing of it.

use crate::telemetry::SPANS;
use async_trait::async_trait;
use bytes::Bytes;
use pricing::id::TenantId;
use pricing::time::Instant;
use std::ops::Range;
use std::sync::Arc;
use storage::books::{self, AuditEntry, AuditQuery, Books, Commit, Document, DocumentKey, ListQuery};
use storage::charges::{self, Boundary, Charge, Charges, ExplainQuery, OutcomeQuery, PeriodKey, Usage, UsageQuery};
use storage::log::{self, Entry, Log};
use storage::output::{Manifest, Outcome, Output, Sum};
use storage::shard::{Offset, Position, Shard, ShardCount};
use tracing::{Instrument, debug_span};

/// Some storage, traced.
pub(super) struct Traced<T: ?Sized>(pub(super) Arc<T>);

#[async_trait]
impl Log for Traced<dyn Log> {
    fn shards(&self) -> ShardCount {
        self.0.shards()
    }

    async fn append(&self, shard: Shard, records: Vec<Bytes>) -> Result<Offset, log::Error> {
        let span = debug_span!(target: SPANS, "append", shard = shard.0, records = records.len());
        self.0.append(shard, records).instrument(span).await
    }

    async fn read(&self, shard: Shard, from: Offset, bytes_max: usize) -> Result<Vec<Entry>, log::Error> {
        self.0.read(shard, from, bytes_max).await
    }

    async fn bounds(&self, shard: Shard) -> Result<Range<Offset>, log::Error> {
        self.0.bounds(shard).await
    }
}

#[async_trait]
impl Charges for Traced<dyn Charges> {
    async fn insert(&self, outputs: Vec<Output>) -> Result<(), charges::Error> {
        let span = debug_span!(target: SPANS, "insert", outputs = outputs.len());
        self.0.insert(outputs).instrument(span).await
    }

    async fn boundary(&self, shard: Shard) -> Result<Option<Boundary>, charges::Error> {
        self.0.boundary(shard).await
    }

    async fn manifests(
        &self,
        after: &[(Shard, Option<Position>)],
        count_max: usize,
    ) -> Result<Vec<Manifest>, charges::Error> {
        self.0.manifests(after, count_max).await
    }

    async fn newest(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Manifest>, charges::Error> {
        self.0.newest(tenant, periods).await
    }

    async fn sums(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Vec<Sum>>, charges::Error> {
        let span = debug_span!(target: SPANS, "sums", periods = periods.len());
        self.0.sums(tenant, periods).instrument(span).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<Usage>, charges::Error> {
        self.0.usage(query).await
    }

    async fn explain(&self, query: &ExplainQuery) -> Result<Vec<Charge>, charges::Error> {
        self.0.explain(query).await
    }

    async fn outcomes(&self, query: &OutcomeQuery) -> Result<Vec<Outcome>, charges::Error> {
        self.0.outcomes(query).await
    }
}

#[async_trait]
impl Books for Traced<dyn Books> {
    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>, books::Error> {
        self.0.get(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Document>, books::Error> {
        self.0.list(query).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), books::Error> {
        let span = debug_span!(target: SPANS, "commit", action = commit.action, changes = commit.puts.len());
        self.0.commit(commit).instrument(span).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, books::Error> {
        self.0.audit(query).await
    }

    async fn revision(&self) -> Result<u64, books::Error> {
        self.0.revision().await
    }

    async fn lease(&self, name: &str, holder: &str, now: Instant, until: Instant) -> Result<bool, books::Error> {
        self.0.lease(name, holder, now, until).await
    }
}
