//! Putting a file in force. Entities are put in the order in which they name each other, each mistake is noted with its
//! line, and what became different is compared at the end.

use super::blame::Blame;
use super::change::{Action, Change, EntityChange};
use super::entity::{Customer, Entity, Entry, Plan, Subscription};
use super::error::Errors;
use super::file::{Declared, File};
use super::reader::Notes;
use super::subscribe::Planner;
use super::{Catalog, Entries, Options, check, describe, tree};
use crate::id::{CustomerId, PlanId, SubscriptionId};
use crate::meter::{Aggregate, Meter};
use crate::plan::{PlanRef, PlanVersion};
use crate::time::{Instant, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

struct Work<'a> {
    base: &'a Catalog,
    next: Catalog,
    file: &'a File,
    options: &'a Options,
    log_time: Instant,
    /// How far ahead events may be that are priced already: under the old limit, the new, or one that was longer.
    future: Span,
    notes: Notes,
}

pub(super) fn apply(base: &Catalog, file: &File, options: &Options, log_time: Instant) -> Result<Change, Errors> {
    let future = base.settings.limits.future.max(file.settings.future.unwrap_or_default());
    let future = base.settings.horizon.map_or(future, |horizon| future.max(horizon.since(log_time)));
    let notes = Notes::default();
    let mut work = Work { base, next: base.clone(), file, options, log_time, future, notes };
    if let Some(found) = file.tenant.as_ref().filter(|found| **found != base.tenant) {
        let message = format!("found '{found}', but this is put in force for '{}'", base.tenant);
        work.notes.add(1, 1, "tenant", message);
    }
    work.settings();
    if options.prune && file.whole {
        work.prune();
    }
    work.simple();
    work.plans();
    work.customers();
    work.subscriptions();
    work.credits();
    work.check_what_is_named();
    let Work { next, notes, .. } = work;
    notes.done()?;
    Ok(Change { entities: compare(base, &next), catalog: next })
}

/// Puts an entity, unless it is there already just so.
fn put<I: Ord + Clone, T: PartialEq + Clone>(entries: &mut Entries<I, T>, id: &I, is: &T, whole: bool) {
    let current = entries.get(id);
    if current.is_some_and(|current| current.is == *is && !current.ended) {
        return;
    }
    let by_file = whole || current.is_some_and(|current| current.by_file);
    entries.insert(id.clone(), Arc::new(Entry { is: is.clone(), by_file, ended: false }));
}

/// Ends what an earlier file declared and this one leaves out.
fn end_all<I: Ord + Clone, T: Clone>(entries: &mut Entries<I, T>, keep: &BTreeSet<&I>, end: impl Fn(&mut T)) {
    for (id, entry) in entries.iter_mut() {
        if entry.by_file && !entry.ended && !keep.contains(id) {
            let mut is = entry.is.clone();
            end(&mut is);
            *entry = Arc::new(Entry { is, by_file: true, ended: true });
        }
    }
}

impl Work<'_> {
    fn settings(&mut self) {
        let (some, settings) = (&self.file.settings, &mut self.next.settings);
        let (limits, billing) = (&mut settings.limits, &mut settings.billing);
        limits.past = some.past.unwrap_or(limits.past);
        let future = some.future.unwrap_or(limits.future);
        if future < limits.future {
            settings.horizon = settings.horizon.max(Some(self.log_time.plus(limits.future)));
        }
        limits.future = future;
        limits.events_per_second = some.events_per_second.unwrap_or(limits.events_per_second);
        billing.grace = some.grace.unwrap_or(billing.grace);
        billing.review = some.review.unwrap_or(billing.review);
        billing.issue = some.issue.unwrap_or(billing.issue);
        billing.hold_above = some.hold_above.unwrap_or(billing.hold_above);
        billing.rounding = some.rounding.unwrap_or(billing.rounding);
        billing.zero = some.zero.unwrap_or(billing.zero);
    }

    /// Ended first, so that whatever still names it is a mistake.
    fn prune(&mut self) {
        let (file, next, earliest) = (self.file, &mut self.next, self.log_time.plus(self.future));
        let log_time = self.log_time;
        end_all(&mut next.meters, &file.meters.iter().map(|entry| &entry.is.id).collect(), |_| {});
        end_all(&mut next.plans, &file.plans.iter().map(|entry| &entry.is.plan.id).collect(), |_| {});
        end_all(&mut next.sellers, &file.sellers.iter().map(|entry| &entry.is.id).collect(), |_| {});
        end_all(&mut next.taxes, &file.taxes.iter().map(|entry| &entry.is.id).collect(), |_| {});
        end_all(&mut next.customers, &file.customers.iter().map(|entry| &entry.is.id).collect(), |_| {});
        let end_subscription = |is: &mut Subscription| {
            let end = is.timeline.from().map_or(earliest, |from| earliest.max(from));
            if is.timeline.until().is_none_or(|until| end < until) {
                is.declared.until = Some(super::date::Moment::Instant(end));
                is.timeline.end_at(end);
            }
        };
        let kept = file.subscriptions.iter().map(|entry| &entry.is.id).collect();
        end_all(&mut next.subscriptions, &kept, end_subscription);
        let kept = file.credits.iter().map(|entry| &entry.is.id).collect();
        end_all(&mut next.credits, &kept, |is| {
            is.expires_at = Some(is.expires_at.map_or(log_time, |at| at.min(log_time)));
        });
    }

    fn simple(&mut self) {
        let (file, next) = (self.file, &mut self.next);
        file.meters.iter().for_each(|entry| put(&mut next.meters, &entry.is.id, &entry.is, file.whole));
        file.sellers.iter().for_each(|entry| put(&mut next.sellers, &entry.is.id, &entry.is, file.whole));
        file.taxes.iter().for_each(|entry| put(&mut next.taxes, &entry.is.id, &entry.is, file.whole));
    }

    /// Declared plans, and those whose meters changed.
    fn plans(&mut self) {
        let declared: BTreeMap<&PlanId, &Declared<PlanVersion>> =
            self.file.plans.iter().map(|entry| (&entry.is.plan.id, entry)).collect();
        for (id, entry) in &declared {
            self.plan(&entry.is, &Blame::of("plans", id, &entry.places));
        }
        let others: Vec<PlanVersion> = self
            .next
            .plans
            .values()
            .filter(|plan| !plan.ended)
            .filter_map(|plan| plan.newest())
            .filter(|plan| !declared.contains_key(&plan.plan.id))
            .filter(|plan| {
                plan.meters
                    .iter()
                    .any(|(id, frozen)| self.next.meters.get(id).is_none_or(|now| now.ended || now.is != *frozen))
            })
            .cloned()
            .collect();
        for plan in others {
            self.plan(&plan, &Blame::nothing(format!("plans.{}", plan.plan.id)));
        }
    }

    /// A new version, if anything about it is new.
    fn plan(&mut self, declared: &PlanVersion, blame: &Blame<'_>) {
        let id = &declared.plan.id;
        let meters = check::freeze(&self.next, declared, &self.notes, blame);
        let current = self.next.plans.get(id);
        let newest = current.and_then(|plan| plan.newest());
        let version = newest.map_or(0, |newest| newest.plan.version);
        let like_newest = PlanVersion { plan: PlanRef { id: id.clone(), version }, meters, ..declared.clone() };
        let mut versions = current.map(|plan| plan.versions.clone()).unwrap_or_default();
        if newest != Some(&like_newest) {
            let plan = PlanRef { id: id.clone(), version: version.saturating_add(1) };
            versions.push(PlanVersion { plan, ..like_newest });
        }
        put(&mut self.next.plans, id, &Plan { id: id.clone(), versions }, self.file.whole);
    }

    fn customers(&mut self) {
        for Declared { is, places } in &self.file.customers {
            let blame = Blame::of("customers", &is.id, places);
            check::named(&self.notes, &blame, "tax", is.tax.as_ref(), &self.next.taxes);
            check::named(&self.notes, &blame, "seller", is.seller.as_ref(), &self.next.sellers);
            put(&mut self.next.customers, &is.id, is, self.file.whole);
        }
    }

    /// Declared subscriptions, those whose customer's zone changed, and those that move to their plan's newest version.
    fn subscriptions(&mut self) {
        for plan in self.options.migrate.iter().filter(|plan| !self.next.plans.contains_key(*plan)) {
            let near = super::error::near(plan.as_str(), self.next.plans.keys().map(PlanId::as_str));
            self.notes.add(0, 0, "", format!("there is no plan '{plan}' to migrate{near}"));
        }
        let declared: BTreeMap<&SubscriptionId, &Declared<_>> =
            self.file.subscriptions.iter().map(|entry| (&entry.is.id, entry)).collect();
        let mut touched: BTreeSet<CustomerId> = BTreeSet::new();
        for (id, Declared { is, places }) in &declared {
            if self.subscription(id, is, &Blame::of("subscriptions", id, places)) {
                touched.insert(is.customer.clone());
            }
        }
        let moved_zone: Vec<&CustomerId> = self
            .file
            .customers
            .iter()
            .map(|entry| &entry.is.id)
            .filter(|id| {
                self.base.customers.get(*id).map(|was| &was.time_zone)
                    != self.next.customers.get(*id).map(|is| &is.time_zone)
            })
            .collect();
        let migrate = |subscription: &Subscription| self.options.migrate.contains(&subscription.plan);
        let others: Vec<Arc<Entry<Subscription>>> = moved_zone
            .into_iter()
            .flat_map(|id| self.next.subscriptions_of(id))
            .chain(self.next.subscriptions.values().filter(|entry| migrate(entry)))
            .filter(|entry| !entry.ended && !declared.contains_key(&entry.id))
            .filter(|entry| entry.timeline.until().is_none_or(|until| self.log_time < until))
            .cloned()
            .collect();
        for entry in others {
            if self.subscription(&entry.id, &entry.declared, &Blame::nothing(format!("subscriptions.{}", entry.id))) {
                touched.insert(entry.customer.clone());
            }
        }
        let blame = |id: &SubscriptionId| declared.get(id).map(|entry| Blame::of("subscriptions", id, &entry.places));
        for customer in &touched {
            check::overlaps(&self.next, customer, &self.notes, blame);
        }
        touched.extend(self.sold_elsewhere());
        let customers: BTreeMap<_, _> = self.file.customers.iter().map(|entry| (&entry.is.id, entry)).collect();
        for customer in &touched {
            let named = customers.get(customer).map(|entry| Blame::of("customers", customer, &entry.places));
            let blame = |id: &SubscriptionId| blame(id).or_else(|| named.clone());
            check::one_seller((self.base, &self.next), customer, self.log_time, &self.notes, blame);
        }
    }

    /// Customers who may have another seller now: their own changed, or who there is.
    fn sold_elsewhere(&self) -> Vec<CustomerId> {
        let seller = |entry: &Arc<Entry<Customer>>| entry.seller.clone();
        let others = |catalog: &Catalog| -> Vec<_> {
            catalog.sellers.values().filter(|seller| !seller.ended).map(|seller| seller.id.clone()).collect()
        };
        let all = others(self.base) != others(&self.next);
        let customers = self.next.customers.iter();
        let changed = customers.filter(|(id, is)| all || self.base.customers.get(*id).map(seller) != Some(seller(is)));
        changed.map(|(id, _)| id.clone()).collect()
    }

    /// True if it became different.
    fn subscription(&mut self, id: &SubscriptionId, declared: &super::entity::Subscribe, blame: &Blame<'_>) -> bool {
        let current = self.next.subscriptions.get(id).cloned();
        let zone =
            |catalog: &Catalog| catalog.customers.get(&declared.customer).map(|customer| customer.time_zone.clone());
        let same = current.as_ref().is_some_and(|current| current.declared == *declared && !current.ended);
        if same && zone(self.base) == zone(&self.next) && !self.options.migrate.contains(&declared.plan) {
            return false;
        }
        let planner = Planner {
            catalog: &self.next,
            notes: &self.notes,
            log_time: self.log_time,
            future: self.future,
            migrate: &self.options.migrate,
        };
        let Some(planned) = planner.plan(declared, current.as_deref(), blame) else { return false };
        put(&mut self.next.subscriptions, id, &planned, self.file.whole);
        self.next.by_customer.entry(planned.customer.clone()).or_default().insert(id.clone());
        true
    }

    fn credits(&mut self) {
        for Declared { is, places } in &self.file.credits {
            let blame = Blame::of("credits", &is.id, places);
            check::named(&self.notes, &blame, "customer", Some(&is.customer), &self.next.customers);
            let Some(customer) = self.next.customers.get(&is.customer) else { continue };
            let mut is = is.clone();
            match is.expires.map(|expires| expires.at(&customer.time_zone)).transpose() {
                Ok(at) => is.expires_at = at,
                Err(error) => blame.note(&self.notes, "expires", error.to_string()),
            }
            if let Some(current) = self.base.credits.get(&is.id).filter(|current| !current.ended) {
                let kept = (&current.customer, current.kind, current.currency);
                if kept != (&is.customer, is.kind, is.currency) {
                    let message =
                        "customer, kind and currency of a credit cannot change; declare another, with an id of its own";
                    blame.note(&self.notes, "", message);
                }
                // Another zone of the customer does not move what was declared before.
                if current.expires == is.expires {
                    is.expires_at = current.expires_at;
                }
            }
            put(&mut self.next.credits, &is.id, &is, self.file.whole);
        }
    }

    /// After pruning, what stays may name what has ended.
    fn check_what_is_named(&self) {
        if !self.options.prune {
            return;
        }
        for customer in self.next.customers.values() {
            let blame = Blame::nothing(format!("customers.{}", customer.id));
            if customer.ended {
                self.check_ended_customer(customer, &blame);
            } else if !self.file.customers.iter().any(|entry| entry.is.id == customer.id) {
                check::named(&self.notes, &blame, "tax", customer.tax.as_ref(), &self.next.taxes);
                check::named(&self.notes, &blame, "seller", customer.seller.as_ref(), &self.next.sellers);
            }
        }
        for plan in self.next.plans.values().filter(|plan| !plan.ended) {
            if !self.file.plans.iter().any(|entry| entry.is.plan.id == plan.id)
                && let Some(newest) = plan.newest()
            {
                check::freeze(&self.next, newest, &self.notes, &Blame::nothing(format!("plans.{}", plan.id)));
            }
        }
    }

    fn check_ended_customer(&self, customer: &Customer, blame: &Blame<'_>) {
        let open = |entry: &&Arc<Entry<Subscription>>| !entry.ended && entry.timeline.until().is_none();
        if let Some(entry) = self.next.subscriptions_of(&customer.id).find(open) {
            let message = format!("cannot end while subscription '{}' runs; end that, too", entry.id);
            blame.note(&self.notes, "", message);
        }
    }
}

// === What became different ===

fn compare(base: &Catalog, next: &Catalog) -> Vec<EntityChange> {
    let mut changes = Vec::new();
    if base.settings != next.settings {
        let (before, after) = (Entity::Settings(base.settings.clone()), Entity::Settings(next.settings.clone()));
        changes.push(changed(Action::Changed, Some(before), after));
    }
    entries(&base.meters, &next.meters, Entity::Meter, &mut changes);
    entries(&base.sellers, &next.sellers, Entity::Seller, &mut changes);
    entries(&base.taxes, &next.taxes, Entity::Tax, &mut changes);
    entries(&base.plans, &next.plans, Entity::Plan, &mut changes);
    entries(&base.customers, &next.customers, Entity::Customer, &mut changes);
    entries(&base.subscriptions, &next.subscriptions, Entity::Subscription, &mut changes);
    entries(&base.credits, &next.credits, Entity::Credit, &mut changes);
    changes
}

fn entries<I: Ord, T: Clone + PartialEq>(
    base: &Entries<I, T>,
    next: &Entries<I, T>,
    entity: impl Fn(Entry<T>) -> Entity,
    changes: &mut Vec<EntityChange>,
) {
    for (id, after) in next {
        let before = base.get(id);
        if before.is_some_and(|before| Arc::ptr_eq(before, after) || before == after) {
            continue;
        }
        let action = match before {
            None => Action::Created,
            Some(before) if after.ended && !before.ended => Action::Ended,
            Some(_) => Action::Changed,
        };
        let before = before.map(|before| entity(Entry::clone(before)));
        changes.push(changed(action, before, entity(Entry::clone(after))));
    }
}

fn changed(action: Action, before: Option<Entity>, after: Entity) -> EntityChange {
    let mut details = Vec::new();
    if let Some(before) = &before {
        details = tree::differences(&describe::entity(before), &describe::entity(&after));
        if let (Entity::Plan(before), Entity::Plan(after)) = (before, &after) {
            details.extend(versions(before, after));
        }
        details.extend(levels(before, &after));
    }
    if let Entity::Subscription(after) = &after {
        let before = match &before {
            Some(Entity::Subscription(before)) => Some(&before.timeline),
            _ => None,
        };
        details.extend(describe::timeline(before, &after.timeline));
    }
    EntityChange { action, before, after, details }
}

/// Levels belong to what a meter reads and to which events are the subscription's.
fn levels(before: &Entity, after: &Entity) -> Option<String> {
    let is_weighted = |meter: &Meter| matches!(meter.aggregate, Aggregate::TimeWeighted(_));
    let whose = match (before, after) {
        (Entity::Meter(before), Entity::Meter(after))
            if is_weighted(before) && is_weighted(after) && before.gauge() != after.gauge() =>
        {
            "as newly read"
        }
        (Entity::Subscription(before), Entity::Subscription(after)) if before.filter != after.filter => {
            "of time_weighted meters"
        }
        _ => return None,
    };
    Some(format!("levels {whose} begin at 0: send those in force again once this applies"))
}

fn versions(before: &Plan, after: &Plan) -> Option<String> {
    let number = |plan: &Plan| plan.newest().map_or(0, |newest| newest.plan.version);
    (number(before) != number(after)).then(|| format!("version: {} → {}", number(before), number(after)))
}
