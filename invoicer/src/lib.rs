//! The invoicer: moves log time, publishes what the rater must know, turns closed periods into invoices, and answers for
//! all of it.

// Reading order: the documents, the one writer of control records, bills, the clock of test systems, people, the services,
// what others are told.
pub mod advance;
mod check;
pub mod close;
pub mod ledger;
pub mod people;
pub mod publisher;
pub mod services;
pub mod webhooks;

use advance::Shards;
use close::Closer;
use ledger::Ledger;
use publisher::Publisher;
use services::{Keys, Services};
use std::path::PathBuf;
use std::sync::Arc;
use storage::books::Books;
use storage::charges::Charges;
use storage::log::Log;

/// What the invoicer works with.
#[derive(Clone)]
pub struct Parts {
    /// What people edit and auditors read.
    pub books: Arc<dyn Books>,
    /// The truth: Ticks and control records go here.
    pub log: Arc<dyn Log>,
    /// What the fold put out.
    pub charges: Arc<dyn Charges>,
    /// How the rater's shards are.
    pub shards: Arc<dyn Shards>,
    /// API keys.
    pub keys: Arc<dyn Keys>,
    /// Sellers' logos: a folder for each tenant, with the files that the catalog names.
    pub logos: Option<PathBuf>,
}

/// The running invoicer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Invoicer {
    publisher: Arc<Publisher>,
    closer: Arc<Closer>,
    services: Services,
}

// === impl Invoicer ===

impl Invoicer {
    /// Takes the lease on the clock (with [`publisher::Options::standby`] it waits for it as long as another process leads),
    /// opens a new log, publishes what an earlier run left. Run it before anything else writes to the log; nothing moves by
    /// itself before [`Invoicer::run`].
    ///
    /// # Errors
    /// See [`publisher::Error`].
    pub async fn start(parts: Parts, clock: publisher::Options) -> Result<Self, publisher::Error> {
        let Parts { books, log, charges, shards, keys, logos } = parts;
        let ledger = Ledger::new(books);
        let publisher = Publisher::start(ledger.clone(), log, clock).await?;
        let closer = Arc::new(Closer::new(ledger.clone(), Arc::clone(&charges), Arc::clone(&publisher)));
        let services = Services::new(keys, ledger, charges, Arc::clone(&publisher), Arc::clone(&closer), shards)
            .with_logos(logos.map(Into::into));
        Ok(Self { publisher, closer, services })
    }

    /// Ticks and closes until something needs a person, such as a lost lease; dropping it stops both.
    ///
    /// # Errors
    /// See [`publisher::Error`].
    pub async fn run(&self) -> Result<(), publisher::Error> {
        tokio::select! {
            stopped = self.publisher.run() => stopped,
            () = self.closer.run() => Ok(()),
        }
    }

    /// Gives up the lease, so that a process that stands by leads at once. This one writes nothing more.
    pub async fn resign(&self) {
        self.publisher.resign().await;
    }

    /// The clock, and the way into the log.
    pub fn publisher(&self) -> &Arc<Publisher> {
        &self.publisher
    }

    /// Bills.
    pub fn closer(&self) -> &Arc<Closer> {
        &self.closer
    }

    /// What delivers to webhooks.
    pub fn deliverer(&self, outside: Arc<dyn webhooks::Outside>) -> webhooks::Deliverer {
        let (ledger, charges) = (self.services.ledger().clone(), Arc::clone(self.services.charges()));
        webhooks::Deliverer::new(ledger, Arc::clone(&self.publisher), charges, outside)
    }

    /// The gRPC services.
    pub fn services(&self) -> &Services {
        &self.services
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Parts")
    }
}
