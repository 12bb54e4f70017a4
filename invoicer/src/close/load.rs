//! Reading: what is open from the books, what is new from the charges store.

use super::chain::{Chain, Key, StoredAccount};
use super::{Closer, Desks, Error, MANIFESTS_MAX, State};
use crate::ledger::{Cursor, Draft, Filter, Status, StoredBill, Tenant};
use pricing::currency::Currency;
use pricing::id::{CustomerId, TenantId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use storage::charges;
use storage::output::Manifest;
use storage::shard::Shard;

/// A value of the books and the revision of its document; none while it has none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbered<T> {
    pub(super) value: T,
    pub(super) revision: Option<u64>,
}

// === impl Closer ===

impl Closer {
    /// Reads everything that is open.
    pub(super) async fn load(&self) -> Result<State, Error> {
        let generation = self.publisher.generation();
        let desks = self.desks().await?;
        let cursor = self.ledger.get::<Cursor>(None, Cursor::ID).await?;
        let mut chains = BTreeMap::new();
        for tenant in desks.keys() {
            self.load_chains(tenant, &mut chains).await?;
        }
        let mut state = State {
            generation,
            desks,
            chains,
            cursor: Numbered {
                revision: cursor.as_ref().map(|cursor| cursor.revision),
                value: cursor.map(|cursor| cursor.value).unwrap_or_default(),
            },
            dirty: BTreeSet::new(),
            agenda: BTreeMap::new(),
            reported: BTreeSet::new(),
            unread: BTreeSet::new(),
        };
        state.all_dirty();
        Ok(state)
    }

    async fn load_chains(&self, tenant: &TenantId, chains: &mut BTreeMap<Key, Chain>) -> Result<(), Error> {
        for stored in self.ledger.all::<StoredAccount>(Some(tenant), &Filter::default()).await? {
            if let Some(key) = account_key(tenant, &stored.id) {
                let chain = chains.entry(key).or_default();
                chain.revision = Some(stored.revision);
                chain.stored = stored.value;
            }
        }
        for status in Status::OPEN {
            let filter = Filter { tags: vec![("status".to_owned(), status.word().to_owned())], ..Filter::default() };
            for bill in self.ledger.all::<StoredBill>(Some(tenant), &filter).await? {
                let key = Key {
                    tenant: tenant.clone(),
                    customer: bill.value.customer.clone(),
                    currency: bill.value.currency,
                };
                chains.entry(key).or_default().follow(bill.value, bill.revision);
            }
        }
        Ok(())
    }

    /// The catalogs of all tenants.
    pub(crate) async fn desks(&self) -> Result<Desks, Error> {
        let mut desks = Desks::new();
        for tenant in self.ledger.all::<Tenant>(None, &Filter::default()).await? {
            let Ok(tenant) = TenantId::new(&tenant.id) else { continue };
            let desk = Arc::new(crate::ledger::desk(&self.ledger, &tenant).await?);
            desks.insert(tenant, desk);
        }
        Ok(desks)
    }

    /// Reads the catalogs again if something was published.
    pub(super) async fn refresh(&self, state: &mut State) -> Result<(), Error> {
        let generation = self.publisher.generation();
        if generation != state.generation {
            state.desks = self.desks().await?;
            state.generation = generation;
            state.agenda.clear();
            state.all_dirty();
        }
        Ok(())
    }

    /// Looks at the manifests that came since the last pass: whose they are, and which change a period already invoiced.
    /// The cursor and what is late are committed together. False when none came.
    pub(super) async fn read_manifests(&self, state: &mut State) -> Result<bool, Error> {
        let mut is_new = false;
        state.unread.clear();
        loop {
            let mut cursor = state.cursor.value.clone();
            let manifests = self.manifests_after(&mut cursor, state).await?;
            if manifests.is_empty() {
                return Ok(is_new);
            }
            is_new = true;
            let mut changed = BTreeSet::new();
            for manifest in &manifests {
                state.dirty.insert((manifest.tenant.clone(), manifest.customer.clone()));
                changed.extend(state.note_late(manifest));
            }
            let mut draft = Draft::new("invoicer", "read", self.publisher.log_time());
            draft.put(None, Cursor::ID, state.cursor.revision, &cursor)?;
            for key in &changed {
                let Some(chain) = state.chains.get(key) else { continue };
                draft.put(Some(&key.tenant), &key.account_id(), chain.revision, &chain.stored)?;
            }
            self.ledger.commit(draft).await?;
            state.cursor = Numbered { value: cursor, revision: Some(state.cursor.revision.unwrap_or(0) + 1) };
            for key in &changed {
                let Some(chain) = state.chains.get_mut(key) else { continue };
                chain.revision = Some(chain.revision.unwrap_or(0) + 1);
            }
            if manifests.len() < MANIFESTS_MAX {
                return Ok(is_new);
            }
        }
    }

    /// The next manifests of all shards, [`MANIFESTS_MAX`] at most; moves the cursor behind them.
    /// Shards that hold damaged ones are written down, and read no further.
    async fn manifests_after(&self, cursor: &mut Cursor, state: &mut State) -> Result<Vec<Manifest>, Error> {
        let shards = self.publisher.shards().all().filter(|shard| !state.unread.contains(shard));
        let after: Vec<_> = shards.map(|shard| (shard, cursor.manifests.get(&shard).copied())).collect();
        let manifests = match self.charges.manifests(&after, MANIFESTS_MAX).await {
            Err(charges::Error::Damaged { .. }) => {
                let mut manifests = Vec::new();
                for one in &after {
                    match self.charges.manifests(std::slice::from_ref(one), MANIFESTS_MAX).await {
                        Err(error @ charges::Error::Damaged { .. }) => state.leave_out(one.0, &error),
                        told => manifests.extend(told?),
                    }
                }
                manifests
            }
            told => told?,
        };
        cursor.manifests.extend(manifests.iter().map(|manifest| (manifest.position.shard, manifest.position)));
        Ok(manifests)
    }
}

// === impl State ===

impl State {
    pub(super) fn all_dirty(&mut self) {
        for (tenant, desk) in &self.desks {
            self.dirty.extend(desk.customers.keys().map(|customer| (tenant.clone(), customer.clone())));
        }
    }

    /// Leaves a shard's bills as they are while the store does not say how far they are.
    pub(super) fn leave_out(&mut self, shard: Shard, error: &charges::Error) {
        self.unread.insert(shard);
        let report = format!("the bills of shard {shard} wait: {error}");
        if self.reported.insert(report.clone()) {
            tracing::error!("{report}");
        }
    }

    /// Remembers that a period already invoiced changed; returns the chain whose account that changes.
    fn note_late(&mut self, manifest: &Manifest) -> Option<Key> {
        let currency = self.desks.get(&manifest.tenant)?.currency(&manifest.plan)?;
        let key = Key { tenant: manifest.tenant.clone(), customer: manifest.customer.clone(), currency };
        let stored = &mut self.chains.get_mut(&key)?.stored;
        let invoiced = stored.account.end.is_some_and(|end| manifest.period.end <= end);
        if manifest.revision < 2 || !invoiced {
            return None;
        }
        let period = (manifest.subscription.clone(), manifest.period.start);
        stored.late.insert(period, manifest.period.end).is_none().then_some(key)
    }
}

/// The chain of an account's document.
fn account_key(tenant: &TenantId, id: &str) -> Option<Key> {
    let (customer, currency) = id.split_once('/')?;
    Some(Key {
        tenant: tenant.clone(),
        customer: CustomerId::new(customer).ok()?,
        currency: Currency::new(currency).ok()?,
    })
}
