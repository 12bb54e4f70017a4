//! A gate between a stage and its storage. When it falls, every call that waits is dropped where it stands and no later one
//! comes back: the stage has crashed at whatever await it was in. What it sent may or may not have been done.

use async_trait::async_trait;
use bytes::Bytes;
use pricing::id::TenantId;
use pricing::time::Instant;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::charges::{Boundary, Charge, ExplainQuery, OutcomeQuery, PeriodKey, Usage, UsageQuery};
use storage::log::Entry;
use storage::output::{Manifest, Outcome, Output, Sum};
use storage::shard::{Offset, Position, Shard, ShardCount};
use storage::sim::World;
use storage::snapshots::{CheckedChunks, Chunks};
use storage::{books, charges, log, snapshots};
use tokio::sync::watch;

/// One incarnation of one stage. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    fallen: Arc<watch::Sender<bool>>,
    world: World,
    /// Snapshots that were read.
    pub(crate) loads: Arc<Loads>,
}

/// How often a rater read a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    pub(crate) whole: AtomicU64,
    pub(crate) damaged: AtomicU64,
}

// === impl Gate ===

impl Gate {
    /// An open gate to a world.
    pub fn new(world: &World) -> Self {
        Self { fallen: Arc::new(watch::Sender::new(false)), world: world.clone(), loads: Arc::default() }
    }

    /// The stage behind it has crashed.
    pub fn fall(&self) {
        self.fallen.send_replace(true);
    }

    /// Lets a call through as long as the gate stands; otherwise never comes back.
    pub async fn pass<T>(&self, call: impl Future<Output = T>) -> T {
        let mut fallen = self.fallen.subscribe();
        tokio::select! {
            biased;
            () = async { drop(fallen.wait_for(|fallen| *fallen).await) } => std::future::pending().await,
            answer = call => answer,
        }
    }
}

#[async_trait]
impl log::Log for Gate {
    fn shards(&self) -> ShardCount {
        self.world.log.shards()
    }

    async fn append(&self, shard: Shard, records: Vec<Bytes>) -> Result<Offset, log::Error> {
        self.pass(self.world.log.append(shard, records)).await
    }

    async fn read(&self, shard: Shard, from: Offset, bytes_max: usize) -> Result<Vec<Entry>, log::Error> {
        self.pass(self.world.log.read(shard, from, bytes_max)).await
    }

    async fn bounds(&self, shard: Shard) -> Result<Range<Offset>, log::Error> {
        self.pass(self.world.log.bounds(shard)).await
    }
}

#[async_trait]
impl snapshots::Snapshots for Gate {
    async fn write(&self, shard: Shard, next: Offset, chunks: Chunks) -> Result<(), snapshots::Error> {
        self.pass(self.world.snapshots.write(shard, next, chunks)).await
    }

    async fn promote(&self, shard: Shard, next: Offset) -> Result<(), snapshots::Error> {
        self.pass(self.world.snapshots.promote(shard, next)).await
    }

    async fn good(&self, shard: Shard) -> Result<Vec<Offset>, snapshots::Error> {
        self.pass(self.world.snapshots.good(shard)).await
    }

    async fn read(&self, shard: Shard, next: Offset) -> Result<CheckedChunks, snapshots::Error> {
        let chunks: Vec<_> = self.pass(self.world.snapshots.read(shard, next)).await?.collect();
        let is_whole = chunks.iter().all(Result::is_ok);
        let count = if is_whole { &self.loads.whole } else { &self.loads.damaged };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(chunks.into_iter()))
    }
}

#[async_trait]
impl charges::Charges for Gate {
    async fn insert(&self, outputs: Vec<Output>) -> Result<(), charges::Error> {
        self.pass(self.world.charges.insert(outputs)).await
    }

    async fn boundary(&self, shard: Shard) -> Result<Option<Boundary>, charges::Error> {
        self.pass(self.world.charges.boundary(shard)).await
    }

    async fn manifests(
        &self,
        after: &[(Shard, Option<Position>)],
        count_max: usize,
    ) -> Result<Vec<Manifest>, charges::Error> {
        self.pass(self.world.charges.manifests(after, count_max)).await
    }

    async fn newest(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Manifest>, charges::Error> {
        self.pass(self.world.charges.newest(tenant, periods)).await
    }

    async fn sums(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Vec<Sum>>, charges::Error> {
        self.pass(self.world.charges.sums(tenant, periods)).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<Usage>, charges::Error> {
        self.pass(self.world.charges.usage(query)).await
    }

    async fn explain(&self, query: &ExplainQuery) -> Result<Vec<Charge>, charges::Error> {
        self.pass(self.world.charges.explain(query)).await
    }

    async fn outcomes(&self, query: &OutcomeQuery) -> Result<Vec<Outcome>, charges::Error> {
        self.pass(self.world.charges.outcomes(query)).await
    }
}

#[async_trait]
impl books::Books for Gate {
    async fn get(&self, key: &books::DocumentKey) -> Result<Option<books::Document>, books::Error> {
        self.pass(self.world.books.get(key)).await
    }

    async fn list(&self, query: &books::ListQuery) -> Result<Vec<books::Document>, books::Error> {
        self.pass(self.world.books.list(query)).await
    }

    async fn commit(&self, commit: books::Commit) -> Result<(), books::Error> {
        self.pass(self.world.books.commit(commit)).await
    }

    async fn audit(&self, query: &books::AuditQuery) -> Result<Vec<books::AuditEntry>, books::Error> {
        self.pass(self.world.books.audit(query)).await
    }

    async fn revision(&self) -> Result<u64, books::Error> {
        self.pass(self.world.books.revision()).await
    }

    async fn lease(&self, name: &str, holder: &str, now: Instant, until: Instant) -> Result<bool, books::Error> {
        self.pass(self.world.books.lease(name, holder, now, until)).await
    }
}
