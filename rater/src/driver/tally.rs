//! Counts for each tenant, of what came out since the driver began. They are for people who watch: nothing goes by them.

use super::Status;
use pricing::id::TenantId;
use std::collections::BTreeMap;
use storage::output::{OutcomeKind, Output};

/// What became of a tenant's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Copies of events that were folded before.
    pub duplicate: u64,
    /// Metered, no price.
    pub unpriced: u64,
    /// To `rejected`, conflicts and not backfilled ones among them.
    pub rejected: u64,
}

// === impl Status ===

impl Status {
    /// Adds what an output tells.
    pub(super) fn count(&self, output: &Output, duplicates: &BTreeMap<TenantId, u64>) {
        if output.outcomes.is_empty() && duplicates.is_empty() {
            return;
        }
        let Ok(mut tenants) = self.tenants.lock() else { return };
        for (tenant, count) in duplicates {
            tenants.entry(tenant.clone()).or_default().duplicate += count;
        }
        for outcome in &output.outcomes {
            if !tenants.contains_key(&outcome.tenant) {
                tenants.insert(outcome.tenant.clone(), Tally::default());
            }
            let Some(tally) = tenants.get_mut(&outcome.tenant) else { continue };
            match outcome.kind {
                OutcomeKind::Unpriced => tally.unpriced += 1,
                OutcomeKind::Rejected | OutcomeKind::Conflict | OutcomeKind::NotBackfilled => tally.rejected += 1,
                OutcomeKind::Parked | OutcomeKind::Unparked => {}
            }
        }
    }
}
