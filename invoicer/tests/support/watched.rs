//! A charges store whose questions are counted, and one of which may have to wait.

use async_trait::async_trait;
use pricing::id::TenantId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use storage::charges::{Boundary, Charge, Charges, Error, ExplainQuery, OutcomeQuery, PeriodKey, Usage, UsageQuery};
use storage::output::{Manifest, Outcome, Output, Sum};
use storage::shard::{Position, Shard};
use storage::sim::World;
use tokio::sync::Notify;

pub(crate) struct Watched {
    charges: Arc<dyn Charges>,
    /// The questions on periods that are still answered at once.
    at_once: AtomicI64,
    waits: Notify,
    goes_on: Notify,
    /// Whether a customer's whole history is too much to be asked for.
    pub(crate) has_history: AtomicBool,
    /// The periods that [`Charges::newest`] was asked for.
    pub(crate) newest: AtomicUsize,
}

impl Watched {
    pub(crate) fn new(world: &World) -> Arc<Self> {
        Arc::new(Self {
            charges: world.charges.clone(),
            at_once: AtomicI64::new(i64::MAX),
            waits: Notify::new(),
            goes_on: Notify::new(),
            has_history: AtomicBool::new(false),
            newest: AtomicUsize::new(0),
        })
    }

    /// Has a question wait, after so many others; only this one.
    pub(crate) fn stop_after(&self, questions: i64) {
        self.at_once.store(questions, Ordering::SeqCst);
    }

    /// Until a question waits.
    pub(crate) async fn stopped(&self) {
        self.waits.notified().await;
    }

    pub(crate) fn go_on(&self) {
        self.goes_on.notify_one();
    }

    async fn asked(&self) {
        if self.at_once.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.waits.notify_one();
            self.goes_on.notified().await;
        }
    }
}

#[async_trait]
impl Charges for Watched {
    async fn insert(&self, outputs: Vec<Output>) -> Result<(), Error> {
        self.charges.insert(outputs).await
    }

    async fn boundary(&self, shard: Shard) -> Result<Option<Boundary>, Error> {
        self.charges.boundary(shard).await
    }

    async fn manifests(&self, after: &[(Shard, Option<Position>)], count_max: usize) -> Result<Vec<Manifest>, Error> {
        self.charges.manifests(after, count_max).await
    }

    async fn newest(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Manifest>, Error> {
        self.asked().await;
        self.newest.fetch_add(periods.len(), Ordering::SeqCst);
        self.charges.newest(tenant, periods).await
    }

    async fn sums(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Vec<Sum>>, Error> {
        self.asked().await;
        self.charges.sums(tenant, periods).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<Usage>, Error> {
        self.asked().await;
        if self.has_history.load(Ordering::SeqCst) && query.from.is_none() {
            return Err(Error::TooMany { rows_max: query.rows_max });
        }
        self.charges.usage(query).await
    }

    async fn explain(&self, query: &ExplainQuery) -> Result<Vec<Charge>, Error> {
        self.asked().await;
        self.charges.explain(query).await
    }

    async fn outcomes(&self, query: &OutcomeQuery) -> Result<Vec<Outcome>, Error> {
        self.charges.outcomes(query).await
    }
}
