//! The services of `farthing.v1` that are not ingest's, one file each.
//!
//! Every call names a key; a tenant's key acts for that tenant only. Errors become answers in [`problem`] alone.

mod access;
mod admin;
mod asked;
mod audit;
mod bills;
mod catalog;
mod credits;
mod export;
mod exports;
mod invoices;
mod page;
mod problem;
mod usage;
mod users;
mod webhooks;
mod words;

pub use access::{Key, Keys, Unavailable};
pub use webhooks::Webhooks;

use crate::advance::{Advance, Shards};
use crate::check::Check;
use crate::close::Closer;
use crate::ledger::Ledger;
use crate::people::People;
use crate::publisher::Publisher;
use crate::webhooks::Outside;
use access::Access;
use pricing::time::Instant;
use proto::status::Problem;
use proto::v1::admin_service_server::AdminServiceServer;
use proto::v1::audit_service_server::AuditServiceServer;
use proto::v1::catalog_service_server::CatalogServiceServer;
use proto::v1::customer_service_server::CustomerServiceServer;
use proto::v1::export_service_server::ExportServiceServer;
use proto::v1::invoice_service_server::InvoiceServiceServer;
use proto::v1::subscription_service_server::SubscriptionServiceServer;
use proto::v1::usage_service_server::UsageServiceServer;
use proto::v1::webhook_service_server::WebhookServiceServer;
use std::path::Path;
use std::sync::Arc;
use storage::charges::Charges;
use storage::keyring::Caller;

/// The services, ready for tonic's router. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    access: Access,
    ledger: Ledger,
    people: People,
    charges: Arc<dyn Charges>,
    publisher: Arc<Publisher>,
    closer: Arc<Closer>,
    advance: Arc<Advance>,
    shards: Arc<dyn Shards>,
    check: Arc<Check>,
    /// The folder of the tenants' folders of logos.
    logos: Option<Arc<Path>>,
}

/// Documents are long lists at times: what one message may hold.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

// === impl Services ===

impl Services {
    pub(crate) fn new(
        keys: Arc<dyn Keys>,
        ledger: Ledger,
        charges: Arc<dyn Charges>,
        publisher: Arc<Publisher>,
        closer: Arc<Closer>,
        shards: Arc<dyn Shards>,
    ) -> Self {
        let advance =
            Advance::new(Arc::clone(&publisher), Arc::clone(&closer), Arc::clone(&charges), Arc::clone(&shards));
        let check = Check::new(ledger.clone(), Arc::clone(&charges), Arc::clone(publisher.log()));
        Self {
            access: Access::new(keys, ledger.clone()),
            people: People::new(ledger.clone()),
            ledger,
            charges,
            publisher,
            closer,
            advance: Arc::new(advance),
            shards,
            check: Arc::new(check),
            logos: None,
        }
    }

    /// Refuses a call without a key that is known, before anything of its body is read.
    ///
    /// # Errors
    /// No key came, or nobody holds it.
    pub async fn admit(&self, key: Option<&str>) -> Result<(), Problem> {
        self.access.holder(key).await.map(drop)
    }

    /// `CatalogService`.
    pub fn catalog(&self) -> CatalogServiceServer<Self> {
        CatalogServiceServer::new(self.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// `CustomerService`.
    pub fn customers(&self) -> CustomerServiceServer<Self> {
        CustomerServiceServer::new(self.clone()).max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// `SubscriptionService`.
    pub fn subscriptions(&self) -> SubscriptionServiceServer<Self> {
        SubscriptionServiceServer::new(self.clone()).max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// `UsageService`.
    pub fn usage(&self) -> UsageServiceServer<Self> {
        UsageServiceServer::new(self.clone()).max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// `InvoiceService`.
    pub fn invoices(&self) -> InvoiceServiceServer<Self> {
        InvoiceServiceServer::new(self.clone()).max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// `AdminService`.
    pub fn admin(&self) -> AdminServiceServer<Self> {
        AdminServiceServer::new(self.clone())
    }

    /// `AuditService`.
    pub fn audit(&self) -> AuditServiceServer<Self> {
        AuditServiceServer::new(self.clone()).max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// `ExportService`.
    pub fn exports(&self) -> ExportServiceServer<Self> {
        ExportServiceServer::new(self.clone()).max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// `WebhookService`.
    pub fn webhooks(&self, outside: Arc<dyn Outside>) -> WebhookServiceServer<Webhooks> {
        WebhookServiceServer::new(Webhooks::new(self.clone(), outside)).max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The same services for one who is known already: calls need no key, and the audit log names this caller.
    #[must_use]
    pub fn acting_as(&self, caller: Caller) -> Self {
        Self { access: self.access.acting_as(caller), ..self.clone() }
    }

    /// People who sign in to the console.
    pub fn people(&self) -> &People {
        &self.people
    }

    /// The books as typed documents.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Log time.
    pub fn log_time(&self) -> Instant {
        self.publisher.log_time()
    }

    /// True in a test system.
    pub fn is_test_clock(&self) -> bool {
        self.publisher.is_test_clock()
    }

    pub(crate) fn charges(&self) -> &Arc<dyn Charges> {
        &self.charges
    }

    /// A hand on the test clock.
    pub fn clock(&self) -> &Arc<Advance> {
        &self.advance
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Services")
    }
}
