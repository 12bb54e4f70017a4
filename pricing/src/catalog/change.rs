//! What putting a file in force changes.

use super::Catalog;
use super::entity::{Entity, Kind};
use crate::id::CustomerId;
use crate::plan::PlanVersion;
use std::collections::BTreeSet;

/// The catalog after, and what became different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The catalog after.
    pub catalog: Catalog,
    /// What became different, in the order in which entities name each other.
    pub entities: Vec<EntityChange>,
}

/// One entity that became different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityChange {
    /// How.
    pub action: Action,
    /// As it was; none if it is new.
    pub before: Option<Entity>,
    /// As it is; an ended one stays, marked.
    pub after: Entity,
    /// What differs, one line each, such as `prices.out.included: 0 → 100000`.
    pub details: Vec<String>,
}

/// How an entity became different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words say it
pub enum Action {
    Created,
    Changed,
    Ended,
}

impl Change {
    /// True when the file says what is in force already.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// True when the log needs a new catalog record: meters, plan versions, or a limit that the rater or ingest goes by.
    pub fn changes_catalog_record(&self) -> bool {
        self.entities.iter().any(|entity| match (&entity.before, &entity.after) {
            (Some(Entity::Settings(before)), Entity::Settings(after)) => {
                (before.limits, before.billing.grace) != (after.limits, after.billing.grace)
            }
            (_, Entity::Meter(_) | Entity::Settings(_)) => true,
            (before, Entity::Plan(_)) => versions(before.as_ref()) != versions(Some(&entity.after)),
            _ => false,
        })
    }

    /// The plan versions that are new, which the next catalog record names.
    pub fn new_plan_versions(&self) -> Vec<PlanVersion> {
        let new = self.entities.iter().filter_map(|entity| match &entity.after {
            Entity::Plan(plan) => plan.versions.get(versions(entity.before.as_ref())..),
            _ => None,
        });
        new.flatten().cloned().collect()
    }

    /// The customers that are new or whose timelines changed: each needs a new customer record in the log.
    pub fn changed_customers(&self) -> BTreeSet<CustomerId> {
        let mut customers = BTreeSet::new();
        for entity in &self.entities {
            match (&entity.before, &entity.after) {
                (None, Entity::Customer(customer)) => drop(customers.insert(customer.id.clone())),
                (Some(Entity::Subscription(before)), Entity::Subscription(after))
                    if before.timeline == after.timeline => {}
                (_, Entity::Subscription(after)) => drop(customers.insert(after.customer.clone())),
                _ => {}
            }
        }
        customers
    }
}

/// How many versions a plan has.
fn versions(entity: Option<&Entity>) -> usize {
    match entity {
        Some(Entity::Plan(plan)) => plan.versions.len(),
        _ => 0,
    }
}

impl EntityChange {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.after.kind()
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.after.id()
    }

    /// Such as `plan payg`; for the settings `settings`.
    pub fn what(&self) -> String {
        match self.kind() {
            Kind::Settings => Kind::Settings.word().to_owned(),
            kind => format!("{kind} {}", self.id()),
        }
    }
}
