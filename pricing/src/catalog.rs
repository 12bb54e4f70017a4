//! The catalog: all that a tenant declares, and the YAML files that people declare it in.
//!
//! | step | by |
//! |---|---|
//! | text → nodes that know their line | `node` |
//! | nodes → a [`File`] of entities, every mistake reported | `reader`, `file`, `read_*` |
//! | file + [`Catalog`] in force → [`Change`], every reference checked | `apply`, `check` |
//! | entities → YAML again, and the lines of a diff | `describe`, `tree`, `history` |
//!
//! What a file leaves out stays. An entity that it names is replaced as a whole, except `limits` and `billing`, whose
//! keys stand alone. All of it is pure: the invoicer keeps each entity as one document and writes what follows to the log.

// What is declared.
pub mod date;
pub mod entity;
pub mod settings;

// From text to entities.
mod error;
mod file;
mod node;
mod read_meter;
mod read_party;
mod read_plan;
mod reader;

// Into force.
mod apply;
mod blame;
mod change;
mod check;
mod subscribe;

// And back to text.
mod describe;
mod history;
mod tree;

pub use change::{Action, Change, EntityChange};
pub use entity::{Entity, Entry, Kind};
pub use error::{Error, Errors, near};
pub use file::{Declared, File};
pub use history::{Version, differences};

use crate::id::{CreditId, CustomerId, MeterId, PlanId, SellerId, SubscriptionId, TaxId, TenantId};
use crate::meter::Meter;
use crate::plan::{PlanRef, PlanVersion};
use crate::subscription;
use crate::time::Instant;
use settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a tenant has in force. Made from an empty one by [`Catalog::apply`], or read back entity by entity with
/// [`Catalog::insert`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    tenant: TenantId,
    settings: Settings,
    meters: Entries<MeterId, Meter>,
    plans: Entries<PlanId, entity::Plan>,
    sellers: Entries<SellerId, entity::Seller>,
    taxes: Entries<TaxId, entity::Tax>,
    customers: Entries<CustomerId, entity::Customer>,
    subscriptions: Entries<SubscriptionId, entity::Subscription>,
    credits: Entries<CreditId, entity::Credit>,
    by_customer: BTreeMap<CustomerId, BTreeSet<SubscriptionId>>,
}

/// Entities of one kind, by id; shared, so that a catalog is cheap to copy.
pub type Entries<I, T> = BTreeMap<I, Arc<Entry<T>>>;

/// How a file is put in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Ends what an earlier file declared and this one leaves out.
    pub prune: bool,
    /// Plans whose subscriptions move to the newest version at their next period.
    pub migrate: Vec<PlanId>,
}

impl Catalog {
    /// Nothing but the default settings.
    pub fn new(tenant: TenantId) -> Self {
        Self {
            tenant,
            settings: Settings::default(),
            meters: BTreeMap::new(),
            plans: BTreeMap::new(),
            sellers: BTreeMap::new(),
            taxes: BTreeMap::new(),
            customers: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            credits: BTreeMap::new(),
            by_customer: BTreeMap::new(),
        }
    }

    /// Puts a file in force at `log_time`, or says all that keeps it from being. Pure: the change holds the catalog after.
    /// The same file again changes nothing.
    ///
    /// # Errors
    /// References that do not hold, rules of subscriptions, and the rest of what a file alone cannot show.
    pub fn apply(&self, file: &File, options: &Options, log_time: Instant) -> Result<Change, Errors> {
        apply::apply(self, file, options, log_time)
    }

    /// The catalog as a file. Applied again it changes nothing.
    pub fn to_yaml(&self) -> String {
        describe::file(self)
    }

    /// Adds or replaces an entity as it was kept.
    pub fn insert(&mut self, entity: Entity) {
        match entity {
            Entity::Settings(settings) => self.settings = settings,
            Entity::Meter(entry) => drop(self.meters.insert(entry.id.clone(), Arc::new(entry))),
            Entity::Plan(entry) => drop(self.plans.insert(entry.id.clone(), Arc::new(entry))),
            Entity::Seller(entry) => drop(self.sellers.insert(entry.id.clone(), Arc::new(entry))),
            Entity::Tax(entry) => drop(self.taxes.insert(entry.id.clone(), Arc::new(entry))),
            Entity::Customer(entry) => drop(self.customers.insert(entry.id.clone(), Arc::new(entry))),
            Entity::Credit(entry) => drop(self.credits.insert(entry.id.clone(), Arc::new(entry))),
            Entity::Subscription(entry) => {
                self.by_customer.entry(entry.customer.clone()).or_default().insert(entry.id.clone());
                self.subscriptions.insert(entry.id.clone(), Arc::new(entry));
            }
        }
    }

    /// Whose it is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Limits and billing.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All meters, ended ones too.
    pub fn meters(&self) -> &Entries<MeterId, Meter> {
        &self.meters
    }

    /// All plans with all their versions, ended ones too.
    pub fn plans(&self) -> &Entries<PlanId, entity::Plan> {
        &self.plans
    }

    /// All sellers, ended ones too.
    pub fn sellers(&self) -> &Entries<SellerId, entity::Seller> {
        &self.sellers
    }

    /// All taxes, ended ones too.
    pub fn taxes(&self) -> &Entries<TaxId, entity::Tax> {
        &self.taxes
    }

    /// All customers, ended ones too.
    pub fn customers(&self) -> &Entries<CustomerId, entity::Customer> {
        &self.customers
    }

    /// All subscriptions, ended ones too.
    pub fn subscriptions(&self) -> &Entries<SubscriptionId, entity::Subscription> {
        &self.subscriptions
    }

    /// All grants of credit, ended ones too.
    pub fn credits(&self) -> &Entries<CreditId, entity::Credit> {
        &self.credits
    }

    /// The meters that the log's catalog record names.
    pub fn meters_in_force(&self) -> Vec<Meter> {
        self.meters.values().filter(|meter| !meter.ended).map(|meter| meter.is.clone()).collect()
    }

    /// Every version of every plan.
    pub fn plan_versions(&self) -> impl Iterator<Item = &PlanVersion> {
        self.plans.values().flat_map(|plan| &plan.versions)
    }

    /// A version of a plan.
    pub fn plan(&self, plan: &PlanRef) -> Option<&PlanVersion> {
        self.plans.get(&plan.id)?.version(plan.version)
    }

    /// The timelines of a customer's subscriptions, by id, ended ones too: what the log's customer record holds.
    pub fn timelines(&self, customer: &CustomerId) -> Vec<subscription::Subscription> {
        self.subscriptions_of(customer).map(|entry| entry.timeline.clone()).collect()
    }

    /// A customer's subscriptions, by id, ended ones too.
    pub fn subscriptions_of(&self, customer: &CustomerId) -> impl Iterator<Item = &Arc<Entry<entity::Subscription>>> {
        self.by_customer.get(customer).into_iter().flatten().filter_map(|id| self.subscriptions.get(id))
    }

    /// Who sells a plan to a customer: the plan's seller, else the customer's, else the only one there is.
    pub fn seller_for(&self, customer: &CustomerId, plan: &PlanVersion) -> Option<&entity::Seller> {
        let own = || self.customers.get(customer).and_then(|customer| customer.seller.as_ref());
        if let Some(named) = plan.seller.as_ref().or_else(own) {
            return self.sellers.get(named).map(|seller| &seller.is);
        }
        let mut there = self.sellers.values().filter(|seller| !seller.ended);
        there.next().filter(|_| there.next().is_none()).map(|seller| &seller.is)
    }
}
