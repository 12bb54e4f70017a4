//! What ingest knows of the catalogs, read from the books.

use async_trait::async_trait;
use ingest::Catalogs;
use ingest::catalogs::Tenant;
use invoicer::Invoicer;
use invoicer::ledger::{self, Filter, Ledger};
use invoicer::publisher::Publisher;
use pricing::id::TenantId;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::books::Books;

/// The books as a source of catalogs.
pub(super) struct Source {
    ledger: Ledger,
    /// Tells when a catalog changed; the books' own revision changes with every Tick.
    publisher: Arc<Publisher>,
}

impl Source {
    pub(super) fn new(books: Arc<dyn Books>, invoicer: &Invoicer) -> Self {
        Self { ledger: Ledger::new(books), publisher: invoicer.publisher().clone() }
    }

    /// Reads all catalogs now.
    pub(super) async fn refresh(&self, catalogs: &Catalogs) -> Result<(), String> {
        catalogs.replace(ingest::catalogs::Source::load(self).await?);
        Ok(())
    }
}

#[async_trait]
impl ingest::catalogs::Source for Source {
    async fn revision(&self) -> Result<u64, String> {
        Ok(self.publisher.generation())
    }

    async fn load(&self) -> Result<BTreeMap<TenantId, Tenant>, String> {
        let text = |error: ledger::Error| error.to_string();
        let mut tenants = BTreeMap::new();
        for stored in self.ledger.all::<ledger::Tenant>(None, &Filter::default()).await.map_err(text)? {
            let id = TenantId::new(&stored.id).map_err(|error| error.to_string())?;
            let catalog = self.ledger.catalog(&id).await.map_err(text)?.catalog;
            let limits = catalog.settings().limits;
            let tenant = Tenant {
                meters: catalog.meters_in_force(),
                past: limits.past,
                future: limits.future,
                events_per_second: limits.events_per_second,
            };
            tenants.insert(id, tenant);
        }
        Ok(tenants)
    }
}
