//! What ingest knows of each tenant's catalog: enough to refuse at once what no meter could read.
//!
//! The picture may be some seconds old. That is harmless: the fold checks every event again, with the catalog at the
//! event's own place in the log.

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pricing::catalog::settings::Limits;
use pricing::id::TenantId;
use pricing::meter::{Aggregate, Meter};
use pricing::time::Span;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

#[cfg(test)]
mod tests;

/// The catalogs of all tenants, replaced as a whole; readers never wait.
#[derive(Debug, Default)]
pub struct Catalogs {
    tenants: ArcSwap<BTreeMap<TenantId, Arc<Compiled>>>,
    /// The source's revision that they were loaded at. Held while they are loaded, so that an older picture never takes the
    /// place of a newer one.
    loaded: Mutex<Option<u64>>,
}

/// One tenant's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The meters in force (those frozen in plan versions may be among them).
    pub meters: Vec<Meter>,
    /// How old an event may be.
    pub past: Span,
    /// How far ahead an event may be.
    pub future: Span,
    /// Events a second; 0: no limit.
    pub events_per_second: u64,
}

/// Where catalogs come from.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// A number that changes whenever a catalog may have changed.
    async fn revision(&self) -> Result<u64, String>;

    /// All catalogs.
    async fn load(&self) -> Result<BTreeMap<TenantId, Tenant>, String>;
}

/// A tenant's part, ready for lookups.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// By event type, the meters that read a value; a `count` can always read.
    readers: HashMap<Arc<str>, Vec<Meter>>,
    pub(crate) past: Span,
    pub(crate) future: Span,
    pub(crate) events_per_second: u64,
}

impl Default for Tenant {
    fn default() -> Self {
        Self::new(&Limits::default(), Vec::new())
    }
}

impl Tenant {
    /// From a catalog's limits and meters.
    pub fn new(limits: &Limits, meters: Vec<Meter>) -> Self {
        let Limits { past, future, events_per_second } = *limits;
        Self { meters, past, future, events_per_second }
    }
}

// === impl Catalogs ===

impl Catalogs {
    /// None known: every tenant has the default limits and no meters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces all of them.
    pub fn replace(&self, tenants: BTreeMap<TenantId, Tenant>) {
        let compiled = tenants.into_iter().map(|(id, tenant)| (id, Arc::new(Compiled::new(tenant))));
        self.tenants.store(Arc::new(compiled.collect()));
    }

    /// Loads all of them again if the source's revision is another one than at the last load.
    ///
    /// # Errors
    /// What the source says; the last picture then stays.
    pub async fn refresh(&self, source: &dyn Source) -> Result<(), String> {
        let mut loaded = self.loaded.lock().await;
        // The revision is read first: what changes while loading is seen at the next look.
        let revision = source.revision().await?;
        if *loaded != Some(revision) {
            self.replace(source.load().await?);
            *loaded = Some(revision);
        }
        Ok(())
    }

    /// Replaces one of them.
    #[allow(clippy::needless_pass_by_value, reason = "the swap may run twice, so the id is copied inside")]
    pub fn put(&self, id: TenantId, tenant: Tenant) {
        let compiled = Arc::new(Compiled::new(tenant));
        self.tenants.rcu(|tenants| {
            let mut tenants = BTreeMap::clone(tenants);
            tenants.insert(id.clone(), compiled.clone());
            tenants
        });
    }

    /// The only tenant there is.
    pub(crate) fn only(&self) -> Option<TenantId> {
        let tenants = self.tenants.load();
        tenants.keys().next().filter(|_| tenants.len() == 1).cloned()
    }

    /// Whether no tenant is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.tenants.load().is_empty()
    }

    /// Whether somebody declared the tenant.
    pub(crate) fn knows(&self, tenant: &TenantId) -> bool {
        self.tenants.load().contains_key(tenant)
    }

    /// What is known of a tenant.
    pub(crate) fn of(&self, tenant: &TenantId) -> Arc<Compiled> {
        let known = self.tenants.load().get(tenant).cloned();
        known.unwrap_or_else(|| Arc::new(Compiled::new(Tenant::default())))
    }
}

/// Loads the catalogs now and whenever their revision changes, looking every `interval`; runs until it is dropped. While
/// the source cannot be read, the last picture stays.
pub async fn follow(catalogs: Arc<Catalogs>, source: Arc<dyn Source>, interval: Duration) {
    loop {
        if let Err(reason) = catalogs.refresh(&*source).await {
            tracing::warn!(%reason, "the catalogs cannot be read; ingest goes on with the last ones");
        }
        tokio::time::sleep(interval).await;
    }
}

// === impl Compiled ===

impl Compiled {
    fn new(tenant: Tenant) -> Self {
        let mut readers: HashMap<Arc<str>, Vec<Meter>> = HashMap::new();
        for meter in tenant.meters.into_iter().filter(|meter| meter.aggregate != Aggregate::Count) {
            readers.entry(meter.event.clone()).or_default().push(meter);
        }
        let Tenant { past, future, events_per_second, .. } = tenant;
        Self { readers, past, future, events_per_second }
    }

    /// The meters that read a value from events of this type.
    pub(crate) fn readers(&self, event_type: &str) -> &[Meter] {
        self.readers.get(event_type).map(Vec::as_slice).unwrap_or_default()
    }
}
