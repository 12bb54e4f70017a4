//! Counters, for whoever exports them.

use arc_swap::ArcSwap;
use pricing::id::TenantId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What ingest did since it started.
#[derive(Debug, Default)]
pub struct Stats {
    tenants: ArcSwap<BTreeMap<TenantId, Arc<Tenant>>>,
    /// Records appended.
    pub records: AtomicU64,
    /// Bytes of the records appended.
    pub record_bytes: AtomicU64,
    /// Appends that failed.
    pub failed_appends: AtomicU64,
    /// Requests refused as a whole.
    pub refused_requests: AtomicU64,
}

/// What ingest did for one tenant.
#[derive(Debug, Default)]
pub struct Tenant {
    /// Events acknowledged.
    pub accepted: AtomicU64,
    /// Events refused.
    pub rejected: AtomicU64,
}

impl Stats {
    /// Every tenant that sent something, by id.
    pub fn tenants(&self) -> Arc<BTreeMap<TenantId, Arc<Tenant>>> {
        self.tenants.load_full()
    }

    /// One tenant's counters, made at its first request.
    pub fn tenant(&self, id: &TenantId) -> Arc<Tenant> {
        if let Some(known) = self.tenants.load().get(id) {
            return known.clone();
        }
        self.tenants.rcu(|tenants| {
            let mut tenants = BTreeMap::clone(tenants);
            tenants.entry(id.clone()).or_default();
            tenants
        });
        self.tenants.load().get(id).cloned().unwrap_or_default()
    }
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
}
