//! A charges store that holds damage.

use async_trait::async_trait;
use pricing::id::{CustomerId, TenantId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::charges::{Boundary, Charge, Charges, Error, ExplainQuery, OutcomeQuery, PeriodKey, Usage, UsageQuery};
use storage::output::{Manifest, Outcome, Output, Sum};
use storage::shard::{Position, Shard};
use storage::sim::World;

/// The charges of one customer cannot be read, nor, if named, the manifests of a shard; as long as it is broken.
pub(crate) struct Broken {
    charges: Arc<dyn Charges>,
    customer: CustomerId,
    shard: Option<Shard>,
    is_broken: Arc<AtomicBool>,
}

impl Broken {
    pub(crate) fn new(world: &World, customer: &str, shard: Option<Shard>) -> Self {
        let (charges, customer) = (world.charges.clone(), customer.parse().unwrap());
        Self { charges, customer, shard, is_broken: Arc::new(AtomicBool::new(true)) }
    }

    /// What breaks and mends it.
    pub(crate) fn switch(&self) -> Arc<AtomicBool> {
        self.is_broken.clone()
    }

    fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::SeqCst)
    }
}

fn damaged<T>() -> Result<T, Error> {
    Err(Error::Damaged { reason: "by the test".to_owned() })
}

#[async_trait]
impl Charges for Broken {
    async fn insert(&self, outputs: Vec<Output>) -> Result<(), Error> {
        self.charges.insert(outputs).await
    }

    async fn boundary(&self, shard: Shard) -> Result<Option<Boundary>, Error> {
        self.charges.boundary(shard).await
    }

    async fn manifests(&self, after: &[(Shard, Option<Position>)], count_max: usize) -> Result<Vec<Manifest>, Error> {
        if self.is_broken() && after.iter().any(|(shard, _)| Some(*shard) == self.shard) {
            return damaged();
        }
        self.charges.manifests(after, count_max).await
    }

    async fn newest(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Manifest>, Error> {
        self.charges.newest(tenant, periods).await
    }

    async fn sums(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Vec<Sum>>, Error> {
        if self.is_broken() && periods.iter().any(|period| period.customer == self.customer) {
            return damaged();
        }
        self.charges.sums(tenant, periods).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<Usage>, Error> {
        self.charges.usage(query).await
    }

    async fn explain(&self, query: &ExplainQuery) -> Result<Vec<Charge>, Error> {
        self.charges.explain(query).await
    }

    async fn outcomes(&self, query: &OutcomeQuery) -> Result<Vec<Outcome>, Error> {
        self.charges.outcomes(query).await
    }
}
