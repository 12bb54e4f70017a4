//! Closing: periods that ended become bills, bills become invoices.
//!
//! A *pass* looks at every customer for whom something may be due: a manifest came, a period ended and its grace is over,
//! a review ended, the catalog changed. For each of the customer's currencies it walks the chain of bills that are not yet
//! issued, in order:
//!
//! ```text
//! manifests of all parts there? ─no─▶ wait
//!        │ yes
//! store adds up to the same? ─no─▶ held, ERROR: nothing is issued before the two agree
//!        │ yes
//! prepare (pure) ──▶ draft ──▶ held: parked events, negative, unlike the last
//!        │ review over, first of its chain
//! issue: number, canonical JSON, hash, account: one commit
//! ```
//!
//! What is open is kept in memory and mirrored in the books; after a conflict, or an answer that was lost, all of it is
//! read again and the pass begins anew.

mod again;
mod chain;
mod corrections;
mod decide;
pub(crate) mod desk;
mod issue;
mod late;
mod levels;
mod load;
mod payments;
mod preview;
mod reached;
mod requests;
mod verify;
mod walk;

pub(crate) use chain::StoredAccount;
pub(crate) use desk::Desk;
pub(crate) use issue::chained_hash;
pub(crate) use levels::{Running, is_to_come, open_periods, running};
pub use payments::Payment;
pub(crate) use verify::{Curves, first_difference, key as period_key, recount, usage as usage_of};

use crate::ledger::{self, Ledger};
use crate::publisher::{self, Publisher};
use chain::{Chain, Key};
use load::Numbered;
use pricing::id::{CustomerId, TenantId};
use pricing::time::Instant;
use reached::Reached;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use storage::charges::{self, Charges};
use storage::shard::Shard;
use tokio::sync::Mutex;

/// Turns closed periods into invoices. See the module's own words.
pub struct Closer {
    ledger: Ledger,
    charges: Arc<dyn Charges>,
    publisher: Arc<Publisher>,
    /// None before the first pass and after a pass that did not finish: the books are read again.
    state: Mutex<Option<State>>,
    held: AtomicU64,
}

/// What a pass knows.
struct State {
    generation: u64,
    desks: Desks,
    chains: BTreeMap<Key, Chain>,
    cursor: Numbered<ledger::Cursor>,
    /// Customers to look at.
    dirty: BTreeSet<Account>,
    /// When to look at which customer by itself, by shard: each has its own log time.
    agenda: BTreeMap<Shard, BTreeSet<(Instant, Account)>>,
    /// Differences that were logged, so that each is logged once.
    reported: BTreeSet<String>,
    /// Shards of which the store does not say how far they are: what it holds is damaged.
    unread: BTreeSet<Shard>,
}

/// The tenants' catalogs.
pub(crate) type Desks = BTreeMap<TenantId, Arc<Desk>>;

/// A tenant's customer.
type Account = (TenantId, CustomerId);

/// How a pass ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// When something is due next by itself.
    pub next: Option<Instant>,
    /// Bills that are due but wait for manifests.
    pub waiting: Vec<String>,
    /// Documents written.
    pub written: usize,
}

/// Why a pass did not finish.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The books say no.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The charges store says no.
    #[error(transparent)]
    Charges(#[from] charges::Error),
    /// The publisher says no.
    #[error(transparent)]
    Publisher(#[from] publisher::Error),
    /// A bill is not what the caller takes it for.
    #[error("{reason}")]
    Bill {
        /// What was found, what to do.
        reason: String,
    },
    /// What a person asks cannot be done.
    #[error("{reason}")]
    Refused {
        /// In one word.
        refusal: Refusal,
        /// What was found, what to do.
        reason: String,
    },
}

/// Why something that a person asks cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The draft is not what the person saw.
    Changed,
    /// It is more than what is left.
    TooMuch,
    /// Something else has that name.
    Taken,
    /// There is no such entry.
    NoEntry,
    /// The invoice has no such line.
    NoLine,
}

/// Manifests read at once.
const MANIFESTS_MAX: usize = 10_000;
/// Customers whose bills share a commit.
const CUSTOMERS_MAX: usize = 500;
/// Conflicts in a row after which a pass gives up.
const CONFLICTS_MAX: usize = 5;
/// How often a pass runs when nobody calls for one.
const PAUSE: Duration = Duration::from_millis(500);
/// How often held bills are looked at again: what held them may be gone without anything that tells.
const RECHECK: Duration = Duration::from_secs(60);

// === impl Closer ===

impl Closer {
    /// A closer over these books and charges.
    pub fn new(ledger: Ledger, charges: Arc<dyn Charges>, publisher: Arc<Publisher>) -> Self {
        Self { ledger, charges, publisher, state: Mutex::new(None), held: AtomicU64::new(0) }
    }

    /// Passes, again and again; never ends. What is away for a moment is waited for.
    pub async fn run(&self) {
        let mut log_time = self.publisher.watch();
        let mut rechecked = tokio::time::Instant::now();
        loop {
            if rechecked.elapsed() >= RECHECK {
                self.recheck().await;
                rechecked = tokio::time::Instant::now();
            }
            if let Err(error) = self.pass().await {
                tracing::warn!(%error, "closing waits");
            }
            let _ = tokio::time::timeout(PAUSE, log_time.changed()).await;
        }
    }

    /// Does all that is due at the present log time.
    ///
    /// # Errors
    /// See [`Error`]; the next pass begins anew.
    pub async fn pass(&self) -> Result<Progress, Error> {
        let mut state = self.state.lock().await;
        self.settled(&mut state, None).await
    }

    /// Has the next pass look at held bills again.
    pub async fn recheck(&self) {
        if let Some(state) = self.state.lock().await.as_mut() {
            let held = state.chains.iter().filter(|(_, chain)| chain.held() > 0);
            state.dirty.extend(held.map(|(key, _)| (key.tenant.clone(), key.customer.clone())));
        }
    }

    /// How many bills wait for a person, or for what holds them to go away, as of the last pass.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// One pass, with the state taken out while it runs: where it fails or is dropped, the books are read again.
    async fn settled(&self, slot: &mut Option<State>, order: Option<&walk::Order>) -> Result<Progress, Error> {
        let mut conflicts = 0;
        loop {
            let mut state = match slot.take() {
                Some(state) => state,
                None => self.load().await?,
            };
            match self.work(&mut state, order).await {
                Ok(progress) => {
                    *slot = Some(state);
                    return Ok(progress);
                }
                Err(error) if error.is_conflict() && conflicts < CONFLICTS_MAX => conflicts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn work(&self, state: &mut State, order: Option<&walk::Order>) -> Result<Progress, Error> {
        // Whoever lost the lease writes nothing; what it does at the very moment meets the revisions of its successor.
        self.publisher.leads().await?;
        self.refresh(state).await?;
        let reached = self.reached(state).await?;
        state.wake(&reached);
        // Nobody's bills are judged before the store says how far it is for them.
        let dirty = std::mem::take(&mut state.dirty).into_iter();
        let (mut dirty, unread): (BTreeSet<Account>, _) = dirty.partition(|account| reached.tells_of(account));
        state.dirty = unread;
        let mut progress = Progress::default();
        // What a person orders is committed apart: nobody's name stands at the bills of others.
        if let Some(order) = order {
            let account = (order.key.tenant.clone(), order.key.customer.clone());
            if !reached.tells_of(&account) {
                let bill = order.key.bill_id(order.end);
                let reason =
                    format!("bill {bill} cannot be issued now: the charges of its shard are not there or damaged");
                return Err(Error::Bill { reason });
            }
            if dirty.remove(&account) {
                let alone = std::slice::from_ref(&account);
                progress.written += self.close(state, alone, &reached, Some(order)).await?;
                state.schedule(alone, &reached);
            }
        }
        let dirty: Vec<Account> = dirty.into_iter().collect();
        for of_tenant in dirty.chunk_by(|one, other| one.0 == other.0) {
            for some in of_tenant.chunks(CUSTOMERS_MAX) {
                progress.written += self.close(state, some, &reached, None).await?;
                state.schedule(some, &reached);
            }
        }
        self.held.store(state.chains.values().map(Chain::held).sum(), Ordering::Relaxed);
        let read = state.agenda.iter().filter(|(shard, _)| !state.unread.contains(shard));
        progress.next = read.filter_map(|(_, agenda)| agenda.first()).map(|(due, _)| *due).min();
        let waiting = state.chains.iter().flat_map(|(key, chain)| chain.waiting.iter().map(|end| key.bill_id(*end)));
        progress.waiting = waiting.collect();
        Ok(progress)
    }
}

impl std::fmt::Debug for Closer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Closer")
    }
}

// === impl State ===

impl State {
    /// Finds the customers whose moment has come.
    fn wake(&mut self, reached: &Reached) {
        for (shard, agenda) in &mut self.agenda {
            let now = reached.of_shard(*shard);
            while let Some((due, account)) = agenda.first().filter(|(due, _)| *due <= now).cloned() {
                agenda.remove(&(due, account.clone()));
                self.dirty.insert(account);
            }
        }
    }

    /// Writes down when each of these customers is to be looked at next.
    fn schedule(&mut self, accounts: &[Account], reached: &Reached) {
        for account in accounts {
            let log_time = reached.of(account);
            let Some(desk) = self.desks.get(&account.0) else { continue };
            let Some(customer) = desk.customers.get(&account.1) else { continue };
            let grace = desk.terms.grace;
            let mut wakes: Vec<Instant> =
                customer.next_end(log_time.minus(grace)).map(|end| end.plus(grace)).into_iter().collect();
            for currency in desk.currencies(customer) {
                let key = Key { tenant: account.0.clone(), customer: account.1.clone(), currency };
                let Some(chain) = self.chains.get(&key) else { continue };
                wakes.extend(chain.wakes(desk.terms.review));
                wakes.extend(late::opening(desk, customer, &key, chain).map(|end| end.plus(grace)));
                wakes.extend(late::final_moment(desk, customer, &key, chain).map(|(_, when)| when));
            }
            let wakes = wakes.into_iter().filter(|wake| *wake > log_time);
            let agenda = self.agenda.entry(reached.shard(account)).or_default();
            agenda.extend(wakes.map(|wake| (wake, account.clone())));
        }
    }
}

// === impl Error ===

impl Error {
    /// A bill that is not what the caller takes it for.
    fn bill(reason: String) -> Self {
        Self::Bill { reason }
    }

    /// True when somebody else changed the books in between.
    fn is_conflict(&self) -> bool {
        match self {
            Self::Ledger(error) | Self::Publisher(publisher::Error::Ledger(error)) => error.is_conflict(),
            _ => false,
        }
    }
}
