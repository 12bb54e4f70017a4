//! The catalog in the books: each entity is a document of its own.

use super::{Draft, Error, Filter, Ledger, RecordVersion, Stored, Tenant};
use crate::close::desk::{self, Desk};
use crate::publisher::{Announcement, Target};
use pricing::bill::{Credit, Party, Tax};
use pricing::catalog::settings::{Issue, Zero};
use pricing::catalog::{Catalog, Change, Entity, Kind};
use pricing::id::{CustomerId, TenantId};
use pricing::plan::{PlanRef, PlanVersion};
use pricing::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use storage::books::{DocumentKey, ListQuery};
use storage::record::{CatalogRecord, Control, CustomerRecord};
use storage::shard::{Shard, ShardCount};

/// A tenant's catalog as it was read, with the revisions it was read at.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is in force.
    pub catalog: Catalog,
    revisions: Revisions,
    tenant: Option<Stored<Tenant>>,
    records: BTreeMap<String, Stored<RecordVersion>>,
}

/// What revision each entity was read at.
type Revisions = BTreeMap<(Kind, String), u64>;

/// What of a subscription tells how it is billed now: ten thousand are read for a page, and nearly all else is stepped over.
#[derive(serde::Serialize, serde::Deserialize)]
struct Sold {
    timeline: Terms,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Terms {
    terms: Vec<Term>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Term {
    plan: PlanRef,
    until: Option<Instant>,
}

impl super::Kind for Sold {
    const COLLECTION: &'static str = "subscription";
}

/// Entities read at once.
const PAGE: usize = 1_000;

// === impl Ledger ===

impl Ledger {
    /// Reads a tenant's catalog; an unknown tenant's is empty.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn catalog(&self, tenant: &TenantId) -> Result<Loaded, Error> {
        let mut loaded = Loaded {
            catalog: Catalog::new(tenant.clone()),
            revisions: BTreeMap::new(),
            tenant: self.get::<Tenant>(None, tenant.as_str()).await?,
            records: BTreeMap::new(),
        };
        for kind in Kind::ALL {
            self.entities(tenant, kind, None, &mut loaded.catalog, &mut loaded.revisions).await?;
        }
        for record in self.all::<RecordVersion>(Some(tenant), &Filter::default()).await? {
            loaded.records.insert(record.id.clone(), record);
        }
        Ok(loaded)
    }

    /// A tenant's plans, and how many open subscriptions each version of them has.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn plans(&self, tenant: &TenantId) -> Result<(Catalog, BTreeMap<PlanRef, u32>), Error> {
        let (mut catalog, mut counts) = (Catalog::new(tenant.clone()), BTreeMap::new());
        self.entities(tenant, Kind::Plan, None, &mut catalog, &mut Revisions::new()).await?;
        for subscription in self.all::<Sold>(Some(tenant), &Filter::default()).await? {
            let last = subscription.value.timeline.terms.into_iter().next_back();
            if let Some(term) = last.filter(|term| term.until.is_none()) {
                *counts.entry(term.plan).or_default() += 1;
            }
        }
        Ok((catalog, counts))
    }

    /// Reads all entities of a kind; what customers have, of one customer only, where one is named.
    async fn entities(
        &self,
        tenant: &TenantId,
        kind: Kind,
        customer: Option<&CustomerId>,
        catalog: &mut Catalog,
        revisions: &mut Revisions,
    ) -> Result<(), Error> {
        let (tenant, collection) = (Some(tenant.clone()), kind.word().to_owned());
        let mut query = ListQuery { tenant, collection, count_max: PAGE, ..ListQuery::default() };
        if let (Kind::Subscription | Kind::Credit, Some(customer)) = (kind, customer) {
            query.tags.push(customer_tag(customer));
        }
        loop {
            let page = match customer {
                Some(customer) if kind == Kind::Customer => {
                    let (tenant, collection) = (query.tenant.clone(), query.collection.clone());
                    let key = DocumentKey { tenant, collection, id: customer.to_string() };
                    self.books().get(&key).await?.into_iter().collect()
                }
                _ => self.books().list(&query).await?,
            };
            query.after = page.last().map(|document| document.key.id.clone());
            let full = page.len() >= PAGE;
            for document in page {
                let entity = Entity::from_json(kind, &document.body).map_err(|error| Error::Malformed {
                    collection: kind.word().to_owned(),
                    id: document.key.id.clone(),
                    reason: error.to_string(),
                })?;
                revisions.insert((kind, document.key.id), document.revision);
                catalog.insert(entity);
            }
            if !full {
                return Ok(());
            }
        }
    }
}

// === impl Loaded ===

impl Loaded {
    /// True for a tenant that nothing was ever declared for.
    pub fn is_new(&self) -> bool {
        self.tenant.is_none()
    }

    /// The tenant's records as a shard has them once everything published has reached it: the catalog with all plan versions,
    /// then the customers.
    pub fn records(&self, shard: Shard, shards: ShardCount, log_time: Instant) -> Vec<Control> {
        let Some(tenant) = &self.tenant else { return Vec::new() };
        let plans = self.catalog.plan_versions().cloned().collect();
        let mut records = vec![Control::Catalog(catalog_record(&self.catalog, plans, tenant.value.catalog_version))];
        for (id, stored) in &self.records {
            let Ok(customer) = CustomerId::new(id) else { continue };
            if shards.of(self.catalog.tenant(), id.as_bytes()) == shard {
                records.push(Control::Customer(CustomerRecord {
                    tenant: self.catalog.tenant().clone(),
                    version: stored.value.version,
                    subscriptions: self.catalog.timelines(&customer),
                    at: log_time,
                    customer,
                }));
            }
        }
        records
    }

    /// Writes a change into a draft, and says which records must tell the log of it.
    ///
    /// # Errors
    /// [`Error::Malformed`] when an entity cannot be written as JSON.
    pub fn put(
        &self,
        change: &Change,
        shards: ShardCount,
        log_time: Instant,
        draft: &mut Draft,
    ) -> Result<Vec<Announcement>, Error> {
        let tenant = change.catalog.tenant();
        for changed in &change.entities {
            let (kind, id) = (changed.kind(), changed.id());
            let body = changed.after.to_json().map_err(|error| Error::Malformed {
                collection: kind.word().to_owned(),
                id: id.to_owned(),
                reason: error.to_string(),
            })?;
            let revision = self.revisions.get(&(kind, id.to_owned())).copied();
            draft.put_json(tenant, kind.word(), id, revision, body, tags(&changed.after));
        }
        let mut records = Vec::new();
        if self.is_new() || change.changes_catalog_record() {
            let version = self.tenant.as_ref().map_or(0, |stored| stored.value.catalog_version) + 1;
            let revision = self.tenant.as_ref().map(|stored| stored.revision);
            draft.put(None, tenant.as_str(), revision, &Tenant { catalog_version: version })?;
            let record = Control::Catalog(catalog_record(&change.catalog, change.new_plan_versions(), version));
            records.push(Announcement { shards: Target::All, record });
        }
        for customer in change.changed_customers() {
            let stored = self.records.get(customer.as_str());
            let version = stored.map_or(0, |stored| stored.value.version) + 1;
            draft.put(
                Some(tenant),
                customer.as_str(),
                stored.map(|stored| stored.revision),
                &RecordVersion { version },
            )?;
            let shard = shards.of(tenant, customer.as_str().as_bytes());
            let record = Control::Customer(CustomerRecord {
                tenant: tenant.clone(),
                version,
                subscriptions: change.catalog.timelines(&customer),
                at: log_time,
                customer,
            });
            records.push(Announcement { shards: Target::One(shard), record });
        }
        Ok(records)
    }
}

fn catalog_record(catalog: &Catalog, plans: Vec<PlanVersion>, version: u64) -> CatalogRecord {
    let settings = catalog.settings();
    CatalogRecord {
        tenant: catalog.tenant().clone(),
        version,
        meters: catalog.meters_in_force(),
        plans,
        past: settings.limits.past,
        future: settings.limits.future,
        grace: settings.billing.grace,
    }
}

/// What an entity's document can be found by.
fn tags(entity: &Entity) -> Vec<(String, String)> {
    let customer = match entity {
        Entity::Subscription(entry) => Some(&entry.customer),
        Entity::Credit(entry) => Some(&entry.customer),
        _ => None,
    };
    customer.map(customer_tag).into_iter().collect()
}

fn customer_tag(customer: &CustomerId) -> (String, String) {
    ("customer".to_owned(), customer.to_string())
}

// === Desks ===

/// A tenant's catalog as bills need it.
///
/// # Errors
/// See [`Error`].
pub(crate) async fn desk(ledger: &Ledger, tenant: &TenantId) -> Result<Desk, Error> {
    Ok(desk_with(&ledger.catalog(tenant).await?.catalog))
}

/// The same with one customer only.
///
/// # Errors
/// See [`Error`].
pub(crate) async fn desk_of(ledger: &Ledger, tenant: &TenantId, customer: &CustomerId) -> Result<Desk, Error> {
    let mut catalog = Catalog::new(tenant.clone());
    for kind in Kind::ALL {
        ledger.entities(tenant, kind, Some(customer), &mut catalog, &mut Revisions::new()).await?;
    }
    Ok(desk_with(&catalog))
}

fn desk_with(catalog: &Catalog) -> Desk {
    let plans = catalog.plan_versions().map(|version| (version.plan.clone(), Arc::new(version.clone()))).collect();
    let taxes = catalog.taxes().iter().map(|(id, tax)| (id.clone(), Tax::from(&tax.is))).collect();
    let sellers = catalog.sellers().clone();
    let mut credits: BTreeMap<CustomerId, Vec<Credit>> = BTreeMap::new();
    for credit in catalog.credits().values() {
        credits.entry(credit.customer.clone()).or_default().push(Credit::from(&credit.is));
    }
    let customers: BTreeSet<&CustomerId> =
        catalog.customers().keys().chain(catalog.subscriptions().values().map(|entry| &entry.customer)).collect();
    let customers = customers.into_iter().map(|id| {
        let known = catalog.customers().get(id);
        let party = known.map_or_else(|| Party::unknown(id.clone()), |known| Party::from(&known.is));
        let credits = credits.remove(id).unwrap_or_default();
        (id.clone(), desk::Customer { party, subscriptions: catalog.timelines(id), credits })
    });
    let customers = customers.collect();
    Desk { terms: terms(catalog), plans, taxes, sellers, customers }
}

fn terms(catalog: &Catalog) -> desk::Terms {
    let (limits, billing) = (&catalog.settings().limits, &catalog.settings().billing);
    desk::Terms {
        grace: billing.grace,
        review: billing.review,
        past: limits.past,
        future: limits.future,
        auto: billing.issue == Issue::Auto,
        hold_above: billing.hold_above,
        rounding: billing.rounding,
        issue_zero: billing.zero == Zero::Issue,
    }
}
