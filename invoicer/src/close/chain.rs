//! The bills of one customer in one currency: a chain, since each begins where the one before left off.

use crate::ledger::{Kind, Status, StoredBill};
use pricing::bill::{Account, Corrects, Due};
use pricing::currency::Currency;
use pricing::id::{CreditId, CustomerId, SubscriptionId, TenantId};
use pricing::number::{Amount, Minor};
use pricing::time::{Instant, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Whose bills.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) tenant: TenantId,
    pub(crate) customer: CustomerId,
    pub(crate) currency: Currency,
}

/// What issued bills left behind, as the books hold it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct StoredAccount {
    /// What the next bill starts from.
    pub(crate) account: Account,
    /// Periods already invoiced that have changed since, with their ends.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "late_list")]
    pub(crate) late: BTreeMap<(SubscriptionId, Instant), Instant>,
    /// The total of the latest issued bill, against which `hold_above` measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_total: Option<Minor>,
    /// The latest issued invoice, which a bill below zero puts right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_invoice: Option<Corrects>,
}

/// A chain as it stands: what was issued, and the bills that are not yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) stored: StoredAccount,
    /// Revision of the account's document; none while it has none.
    pub(crate) revision: Option<u64>,
    /// Drafts and held bills by their end, with the revisions of their documents.
    pub(crate) open: BTreeMap<Instant, (StoredBill, u64)>,
    /// Those that are made again although later bills are issued, apart from the order of the others.
    pub(crate) again: BTreeMap<Instant, (StoredBill, u64)>,
    /// Ends of bills that are due but wait for manifests.
    pub(crate) waiting: BTreeSet<Instant>,
}

// === impl Key ===

impl Key {
    /// The account's document.
    pub(crate) fn account_id(&self) -> String {
        format!("{}/{}", self.customer, self.currency)
    }

    /// The bill that ends at `end`.
    pub(crate) fn bill_id(&self, end: Instant) -> String {
        format!("{}/{}/{end}", self.customer, self.currency)
    }

    /// The bill that ends at `end`, as scheduling names it.
    pub(crate) fn due(&self, end: Instant) -> Due {
        Due { end, currency: self.currency }
    }
}

// === impl StoredAccount ===

impl StoredAccount {
    /// How much of a credit was used.
    pub(crate) fn used(&self, credit: &CreditId) -> Amount {
        self.account.used(credit)
    }
}

// === impl Chain ===

impl Chain {
    /// How many bills are held.
    pub(crate) fn held(&self) -> u64 {
        let held = self.open.values().chain(self.again.values()).filter(|(bill, _)| bill.status == Status::Held);
        u64::try_from(held.count()).unwrap_or(u64::MAX)
    }

    /// When something is to be done by itself, apart from periods that end: the end of a review, of the first draft and of
    /// those that are made again.
    pub(crate) fn wakes(&self, review: Span) -> impl Iterator<Item = Instant> {
        let next = self.open.values().next().into_iter().chain(self.again.values());
        next.filter(|(bill, _)| bill.status == Status::Draft).map(move |(bill, _)| bill.since.plus(review))
    }

    /// Follows a bill that was written and is open.
    pub(crate) fn follow(&mut self, bill: StoredBill, revision: u64) {
        let bills = if bill.again.is_some() { &mut self.again } else { &mut self.open };
        bills.insert(bill.period.end, (bill, revision));
    }

    /// The bill that ends at `end`, while it is open.
    pub(crate) fn bill(&self, end: Instant) -> Option<&(StoredBill, u64)> {
        self.open.get(&end).or_else(|| self.again.get(&end))
    }
}

impl Kind for StoredAccount {
    const COLLECTION: &'static str = "account";
    const AUDITED: bool = false;
}

/// JSON objects have text for keys: late periods are a list.
mod late_list {
    use pricing::id::SubscriptionId;
    use pricing::time::Instant;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    type Late = BTreeMap<(SubscriptionId, Instant), Instant>;

    #[derive(Serialize, Deserialize)]
    struct Entry {
        subscription: SubscriptionId,
        start: Instant,
        end: Instant,
    }

    pub(super) fn serialize<S: Serializer>(late: &Late, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = late.iter().map(|((subscription, start), end)| Entry {
            subscription: subscription.clone(),
            start: *start,
            end: *end,
        });
        serializer.collect_seq(entries)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Late, D::Error> {
        let entries = Vec::<Entry>::deserialize(deserializer)?;
        Ok(entries.into_iter().map(|entry| ((entry.subscription, entry.start), entry.end)).collect())
    }
}
