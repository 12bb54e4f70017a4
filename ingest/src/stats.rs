//! Counters, for whoever exports them.

use arc_swap::ArcSwap;
use pricing::id::TenantId;
use proto::code::Code;
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
    /// Events refused, by code.
    pub rejected: ByCode,
}

/// A counter for each code.
#[derive(Debug)]
pub struct ByCode([AtomicU64; Code::ALL.len()]);

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

// === impl ByCode ===

impl Default for ByCode {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Code::ALL.len()])
    }
}

impl ByCode {
    /// The codes that occurred, and how often.
    pub fn counts(&self) -> impl Iterator<Item = (Code, u64)> {
        let counts = Code::ALL.iter().zip(&self.0).map(|(code, count)| (*code, count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0)
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.counts().map(|(_, count)| count).sum()
    }

    pub(crate) fn add(&self, code: Code) {
        let at = Code::ALL.iter().position(|known| *known == code);
        if let Some(count) = at.and_then(|at| self.0.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
}
