//! What ingest knows of the catalogs, read from the books.

use async_trait::async_trait;
use ingest::catalogs::Tenant;
use invoicer::ledger::{self, Filter, Ledger};
use pricing::catalog::settings::Settings;
use pricing::catalog::{Catalog, Entity, Kind};
use pricing::id::TenantId;
use pricing::time::Span;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use storage::books::{Books, ListQuery};

/// The books as a source of catalogs.
pub(super) struct Source {
    ledger: Ledger,
}

/// What ingest looks at: limits and meters.
const KINDS: [Kind; 2] = [Kind::Settings, Kind::Meter];

/// Entities read at once.
const PAGE: usize = 1_000;

/// What a log keeps beyond what events need: for whoever is away.
const AWAY: Span = Span::from_days(7);

/// How long the log has to keep records: as long as an event of any tenant may come, and its period close; and a week.
pub(super) async fn kept(books: Arc<dyn Books>) -> Result<Duration, String> {
    let source = Source::new(books);
    let mut longest = Span::ZERO;
    for tenant in source.tenants().await? {
        let id = TenantId::new(&tenant.id).map_err(|error| error.to_string())?;
        let catalog = source.read(&id, &[Kind::Settings]).await?;
        let Settings { limits, billing, .. } = catalog.settings();
        longest = longest.max(limits.past.plus(billing.grace).plus(AWAY));
    }
    Ok(Duration::from_nanos(u64::try_from(longest.nanos()).unwrap_or(0)))
}

impl Source {
    pub(super) fn new(books: Arc<dyn Books>) -> Self {
        Self { ledger: Ledger::new(books) }
    }

    async fn tenants(&self) -> Result<Vec<ledger::Stored<ledger::Tenant>>, String> {
        self.ledger.all::<ledger::Tenant>(None, &Filter::default()).await.map_err(|error| error.to_string())
    }

    async fn tenant(&self, id: &TenantId) -> Result<Tenant, String> {
        let catalog = self.read(id, &KINDS).await?;
        Ok(Tenant::new(&catalog.settings().limits, catalog.meters_in_force()))
    }

    /// What of a tenant's catalog is of these kinds.
    async fn read(&self, id: &TenantId, kinds: &[Kind]) -> Result<Catalog, String> {
        let mut catalog = Catalog::new(id.clone());
        for kind in kinds.iter().copied() {
            let collection = kind.word().to_owned();
            let mut query = ListQuery { tenant: Some(id.clone()), collection, count_max: PAGE, ..ListQuery::default() };
            loop {
                let page = self.ledger.books().list(&query).await.map_err(|error| error.to_string())?;
                query.after = page.last().map(|document| document.key.id.clone());
                for document in &page {
                    let entity = Entity::from_json(kind, &document.body);
                    catalog.insert(entity.map_err(|error| format!("{:?}: {error}", document.key))?);
                }
                if page.len() < PAGE {
                    break;
                }
            }
        }
        Ok(catalog)
    }
}

#[async_trait]
impl ingest::catalogs::Source for Source {
    /// The books' own revision changes with every Tick; a tenant's document changes with its meters and settings only.
    async fn revision(&self) -> Result<u64, String> {
        let mut hasher = std::hash::DefaultHasher::new();
        for tenant in self.tenants().await? {
            (tenant.id, tenant.revision).hash(&mut hasher);
        }
        Ok(hasher.finish())
    }

    async fn load(&self) -> Result<BTreeMap<TenantId, Tenant>, String> {
        let mut tenants = BTreeMap::new();
        for stored in self.tenants().await? {
            let id = TenantId::new(&stored.id).map_err(|error| error.to_string())?;
            let tenant = self.tenant(&id).await?;
            tenants.insert(id, tenant);
        }
        Ok(tenants)
    }
}
