//! Catalog and customer records: what is sold, and to whom. Everything is checked before anything changes.

use super::catalog::{self, ANY, Bound, Tenant, know};
use super::customer::{Customer, Sub};
use super::emit::{Emit, Owner};
use super::{Fold, Halt};
use pricing::id::TenantId;
use pricing::subscription::Subscription;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::sync::Arc;
use storage::record::{CatalogRecord, Control, CustomerRecord};
use storage::shard::Offset;

/// How a record came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// By itself, one version after the other.
    InTurn,
    /// In the place of a damaged record: as of a later version.
    Restated,
}

/// Whether a version is the next one.
enum Version {
    Next,
    /// It is known, with this content.
    Known,
}

fn hash_of(record: &impl serde::Serialize) -> u64 {
    let mut hasher = SipHasher24::new();
    // These records come out of JSON, so they go back into it.
    hasher.write(&serde_json::to_vec(record).unwrap_or_default());
    hasher.finish()
}

fn check_version(what: &str, known: &[u64], version: u64, hash: u64, told: Told) -> Result<Version, String> {
    let next = u64::try_from(known.len()).unwrap_or(u64::MAX).saturating_add(1);
    if told == Told::Restated {
        return Ok(if version < next { Version::Known } else { Version::Next });
    }
    if version == next {
        return Ok(Version::Next);
    }
    let before = version.checked_sub(1).and_then(|at| usize::try_from(at).ok()).and_then(|at| known.get(at));
    match before {
        Some(before) if [hash, ANY].contains(before) => Ok(Version::Known),
        Some(_) => Err(format!("version {version} of {what} is known with other content")),
        None => Err(format!("version {version} of {what} comes where version {next} follows")),
    }
}

impl Told {
    /// A restated record says what later ones said, in words of its own.
    fn hash_of(self, record: &impl serde::Serialize) -> u64 {
        if self == Self::Restated { ANY } else { hash_of(record) }
    }
}

// === impl Fold ===

impl Fold {
    /// Folds what stands in the place of a damaged record. What does not fit is left out: the shard halts where it is missed.
    pub(super) fn restate(&mut self, offset: Offset, record: Control) {
        let _left_out = match record {
            Control::Catalog(record) => self.catalog(offset, record, Told::Restated),
            Control::Customer(record) => self.customer(offset, record, Told::Restated),
            _ => Ok(()),
        };
    }

    pub(super) fn catalog(&mut self, offset: Offset, record: CatalogRecord, told: Told) -> Result<(), Halt> {
        let contradiction = |reason| Halt::Contradiction { offset, reason };
        let hash = told.hash_of(&record);
        let what = format!("tenant {}'s catalog", record.tenant);
        let name = record.tenant.clone();
        let number = self.plans;
        let index = self.tenant_index(name.as_str());
        let fresh = Tenant::new(name.clone(), self.gate);
        let tenant = index.and_then(|at| self.tenants.get(at)).unwrap_or(&fresh);
        let version = check_version(&what, &tenant.versions, record.version, hash, told).map_err(contradiction)?;
        if let Version::Known = version {
            return Ok(());
        }
        let plans = tenant.compile(&record, number).map_err(contradiction)?;
        self.plans = number.saturating_add(u32::try_from(plans.len()).unwrap_or(u32::MAX));
        let index = self.tenant_or_new(&name);
        let log_time = self.log_time;
        if let Some(tenant) = self.tenants.get_mut(index) {
            tenant.apply(record, hash, plans, log_time);
        }
        self.parked.retry_tenant(&name);
        Ok(())
    }

    pub(super) fn customer(&mut self, offset: Offset, record: CustomerRecord, told: Told) -> Result<(), Halt> {
        let contradiction = |reason| Halt::Contradiction { offset, reason };
        let hash = told.hash_of(&record);
        let what = format!("customer {}/{}", record.tenant, record.customer);
        let account = self.account(&record.tenant, record.customer.as_str());
        let known = account.customer.and_then(|at| self.customers.get(at));
        let versions = known.map_or(&[][..], |customer| &customer.versions);
        let version = check_version(&what, versions, record.version, hash, told).map_err(contradiction)?;
        if let Version::Known = version {
            return Ok(());
        }
        let fresh = Tenant::new(record.tenant.clone(), self.gate);
        let tenant = account.tenant.and_then(|at| self.tenants.get(at)).unwrap_or(&fresh);
        let mut bounds = Vec::with_capacity(record.subscriptions.len());
        for declared in &record.subscriptions {
            let found = catalog::bounds(declared, tenant).map_err(|error| format!("{what}: {error}"));
            bounds.push(found.map_err(contradiction)?);
            let before = known.and_then(|known| known.subscriptions.iter().find(|sub| sub.declared.id == declared.id));
            before.map_or(Ok(()), |sub| keeps_terms(sub, declared)).map_err(contradiction)?;
        }
        self.apply_customer(record, hash, bounds);
        Ok(())
    }

    fn apply_customer(&mut self, record: CustomerRecord, hash: u64, bounds: Vec<Vec<Arc<Bound>>>) {
        let tenant = self.tenant_or_new(&record.tenant);
        let customer = self.customer_or_new(tenant, &record);
        let Self { tenants, customers, emit, .. } = self;
        let Some((tenant, state)) = tenants.get_mut(tenant).zip(customers.get_mut(customer)) else { return };
        let number = u32::try_from(customer).unwrap_or(u32::MAX);
        know(&mut state.versions, record.version, hash);
        for (declared, bounds) in record.subscriptions.into_iter().zip(bounds) {
            let known = state.subscriptions.iter().position(|sub| sub.declared.id == declared.id);
            let at = known.unwrap_or(state.subscriptions.len());
            if known.is_none() {
                state.subscriptions.push(Sub::new(declared.clone(), bounds.clone()));
            }
            let Some(sub) = state.subscriptions.get_mut(at) else { continue };
            let sub_number = u32::try_from(at).unwrap_or(u32::MAX);
            if let Some((next, _)) = sub.next_to_close() {
                tenant.closing.remove(&(next.end, number, sub_number));
            }
            if let Some((next, _)) = sub.next_to_open() {
                tenant.opening.remove(&(next.start, number, sub_number));
            }
            (sub.declared, sub.bounds, sub.hint) = (declared, bounds, 0);
            let name = sub.declared.id.clone();
            let owner = Owner { tenant: &tenant.name, customer: &state.id, subscription: &name };
            let resized = resize(sub, owner, emit);
            for index in resized {
                if let Some(period) = sub.periods.get_mut(index).filter(|state| state.closed.is_some()) {
                    let (owner_tenant, number) = (&mut *tenant, number);
                    owner_tenant.mark_changed(number, sub_number, period);
                }
            }
            if let Some((next, _)) = sub.next_to_close() {
                tenant.closing.insert((next.end, number, sub_number));
            }
            tenant.opening.extend(sub.next_to_open().map(|(next, _)| (next.start, number, sub_number)));
        }
        self.open_begun(&record.tenant);
        self.parked.retry_customer(&record.tenant, record.customer.as_str());
    }

    pub(super) fn tenant_or_new(&mut self, name: &TenantId) -> usize {
        if let Some(at) = self.tenant_index(name.as_str()) {
            return at;
        }
        let at = self.tenants.len();
        self.tenants.push(Tenant::new(name.clone(), self.gate));
        self.tenant_names.insert(Arc::from(name.as_str()), at);
        at
    }

    fn customer_or_new(&mut self, tenant: usize, record: &CustomerRecord) -> usize {
        let Some(state) = self.tenants.get_mut(tenant) else { return 0 };
        let known = state.customers.get(record.customer.as_str()).and_then(|at| usize::try_from(*at).ok());
        known.unwrap_or_else(|| {
            let at = self.customers.len();
            let number = u32::try_from(at).unwrap_or(u32::MAX);
            state.customers.insert(record.customer.clone(), number);
            self.customers.push(Customer {
                tenant: u32::try_from(tenant).unwrap_or(u32::MAX),
                id: record.customer.clone(),
                versions: Vec::new(),
                subscriptions: Vec::new(),
                levels: Vec::new(),
                is_bound: true,
            });
            at
        })
    }
}

/// Refuses a timeline that lacks, or sells otherwise, what periods with state were priced by.
fn keeps_terms(sub: &Sub, declared: &Subscription) -> Result<(), String> {
    for state in &sub.periods {
        let Some(before) = sub.declared.term_at(state.period.start) else { continue };
        let after = declared.term_at(state.period.start);
        let is_kept = after.is_some_and(|after| (&after.plan, &after.overrides) == (&before.plan, &before.overrides));
        if !is_kept {
            return Err(format!(
                "subscription {} was priced by plan {} at {}, which its new timeline does not hold",
                declared.id, before.plan.id, state.period.start
            ));
        }
    }
    Ok(())
}

/// Brings periods to the ends that the timeline gives them now; those that changed.
fn resize(sub: &mut Sub, owner: Owner<'_>, emit: &mut Emit) -> Vec<usize> {
    let mut resized = Vec::new();
    for at in 0..sub.periods.len() {
        let Some(state) = sub.periods.get(at) else { continue };
        let start = state.period.start;
        let term = sub.term_index(start);
        let bound = term.and_then(|term| sub.bounds.get(term)).cloned();
        let found = sub.declared.period_starting(start).map(|(period, _, share)| (period, share));
        let Some(state) = sub.periods.get_mut(at) else { continue };
        state.bound = bound.or(state.bound.take());
        if let Some((period, share)) = found
            && (period != state.period || share != state.share())
        {
            // Limits that scale by a share of one or less are no more than the whole ones, which fit.
            let _ = state.resize(period, share, owner, emit);
            resized.push(at);
        }
    }
    resized
}
