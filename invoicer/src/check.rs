//! Checking: every log record's checksum, every invoice against the charges and against its own arithmetic.

mod invoices;
mod records;

use crate::close::Error;
use crate::ledger::Ledger;
use pricing::id::TenantId;
use std::sync::Arc;
use storage::charges::Charges;
use storage::log::Log;

/// Reads everything again and compares. Writes nothing.
pub(crate) struct Check {
    ledger: Ledger,
    charges: Arc<dyn Charges>,
    log: Arc<dyn Log>,
}

/// What a check saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Log records read.
    pub(crate) records: u64,
    /// Charges added up.
    pub(crate) charges: u64,
    /// Invoices recomputed.
    pub(crate) invoices: u64,
    /// What differs or is damaged, one line each with its place.
    pub(crate) findings: Vec<String>,
}

// === impl Check ===

impl Check {
    pub(crate) fn new(ledger: Ledger, charges: Arc<dyn Charges>, log: Arc<dyn Log>) -> Self {
        Self { ledger, charges, log }
    }

    /// Every invoice of the tenant and, where asked for, every shard.
    pub(crate) async fn all(&self, tenant: &TenantId, with_log: bool) -> Result<Report, Error> {
        let mut report = Report::default();
        if with_log {
            self.records(&mut report).await?;
        }
        self.every_invoice(tenant, &mut report).await?;
        Ok(report)
    }

    /// One bill.
    pub(crate) async fn one(&self, tenant: &TenantId, bill: &str) -> Result<Report, Error> {
        let mut report = Report::default();
        self.one_bill(tenant, bill, &mut report).await?;
        Ok(report)
    }
}
