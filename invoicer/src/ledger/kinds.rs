//! The documents that the invoicer makes itself.

use super::Kind;
use crate::publisher::Target;
use pricing::bill::{self, Account, Ask, Corrects, Credit, DocumentKind, Party, Tax};
use pricing::catalog::entity::Seller;
use pricing::currency::Rounding;
use pricing::id::{SubscriptionId, TaxId};
use pricing::plan::PlanRef;
use pricing::subscription::Subscription;
use pricing::time::Instant;
use std::collections::BTreeMap;
use storage::record::{Control, VERSION_OLDEST};
use storage::shard::{Offset, Position, Shard, ShardCount};

/// That a tenant is there, and which record version of its catalog the log has.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tenant {
    /// The version of its latest `Catalog` record; 0 before the first.
    pub catalog_version: u64,
}

/// Which version of a customer's record the log has.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RecordVersion {
    /// The version of the latest `Customer` record.
    pub version: u64,
}

/// That a record of the log is stepped over.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Skip {
    /// The record's shard.
    pub shard: Shard,
    /// The record.
    pub offset: Offset,
    /// Why, in the words of who ordered it.
    pub reason: String,
}

/// Records that are not yet all in the log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outbox {
    /// Where they go.
    pub shards: Target,
    /// The records, in order.
    pub records: Vec<Control>,
}

/// Log time, written down before each Tick.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Clock {
    /// Log time.
    pub log_time: Instant,
    /// Whether it moves by hand only; fixed with the first start.
    pub test: bool,
    /// Counts the holders of the lease: who names an older one has lost it.
    #[serde(default)]
    pub term: u64,
}

/// Which log these books belong to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogIdentity {
    /// Its shards.
    pub shards: ShardCount,
    /// The key of its id hashes, 32 hexadecimal digits.
    pub key: String,
    /// Up to which version records may be written: every shard was begun with it, or has its `Barrier`.
    #[serde(default = "version_oldest")]
    pub record_version: u8,
}

/// How far manifests were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cursor {
    /// Of each shard the last manifest that was looked at.
    pub manifests: BTreeMap<Shard, Position>,
}

/// A gapless series of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Series {
    /// The number of the latest document; 0 before the first.
    pub last: u64,
    /// The latest document's hash, empty before the first.
    pub hash: String,
}

/// An issued document.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Invoice {
    /// The bill's id.
    pub bill: String,
    /// The seller's series and the document's place in it, from 1.
    pub series: String,
    /// Its place in the series.
    pub sequence: u64,
    /// The canonical JSON, byte for byte.
    pub canonical: String,
    /// SHA-256 over the hash before it and the canonical JSON, in hexadecimal.
    pub hash: String,
    /// The hash of the document before it in its series; empty for the first.
    pub previous: String,
    /// Log time of issue.
    pub issued: Instant,
    /// Until when it is to be paid: a date of the customer's calendar; none where the seller has no terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<String>,
    /// True in a test system.
    pub test: bool,
    /// What it was made from.
    pub basis: Basis,
    /// Of a credit note on an invoice: what it was made from, beside that invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<CreditBasis>,
}

/// What a credit note was made from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CreditBasis {
    /// The invoice's number.
    pub invoice: String,
    /// The credit notes on it before.
    pub earlier: Vec<String>,
    /// What was to be given back.
    pub ask: Ask,
    /// Why.
    pub reason: String,
}

/// What an issued document was first rendered as; its id is `NUMBER/FORM`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rendering {
    /// The bytes, in base64.
    pub content: String,
}

/// What a document was made from, so that it can be made again and compared.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Basis {
    /// Of a credit note: what it puts right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<Corrects>,
    /// The account before it.
    pub account: Account,
    /// Who was billed.
    pub party: Party,
    /// Who sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<Seller>,
    /// The customer's subscriptions as they were.
    #[serde(default)]
    pub subscriptions: Vec<Subscription>,
    /// The customer's credits as they were.
    #[serde(default)]
    pub credits: Vec<Credit>,
    /// The taxes as they were.
    pub taxes: BTreeMap<TaxId, Tax>,
    /// How it was rounded.
    pub rounding: Rounding,
    /// The totals that went in.
    pub periods: Vec<BasisPeriod>,
}

/// The manifest that a document took its usage from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BasisPeriod {
    /// Whose period.
    pub subscription: SubscriptionId,
    /// Its start.
    pub start: Instant,
    /// The plan that priced it.
    pub plan: PlanRef,
    /// The manifest's revision.
    pub revision: u32,
    /// The record that caused the manifest: charges up to it are in.
    pub offset: Offset,
}

fn version_oldest() -> u8 {
    VERSION_OLDEST
}

impl Invoice {
    /// The canonical JSON, made from the content of its bill and from what is kept beside it.
    pub(crate) fn made(&self, number: &str, content: &bill::Bill) -> String {
        let issue_date = self.issue_date();
        let issue = bill::Issue {
            kind: if self.credit.is_some() { DocumentKind::CreditNote } else { DocumentKind::of(content) },
            number,
            seller: self.basis.seller.as_ref(),
            issue_date: &issue_date,
            due_date: self.due_date.as_deref(),
            test: self.test,
            corrects: self.basis.corrects.as_ref(),
        };
        if self.credit.is_none() {
            return bill::issued(content, &issue);
        }
        // It is found by an id of its own.
        bill::issued(&bill::Bill { id: format!("{}/{number}", content.id), ..content.clone() }, &issue)
    }

    /// The day of issue, in the customer's calendar.
    pub(crate) fn issue_date(&self) -> String {
        self.basis.party.time_zone.date(self.issued).to_string()
    }
}

impl Clock {
    /// Its document.
    pub const ID: &'static str = "clock";
}

impl LogIdentity {
    /// Its document.
    pub const ID: &'static str = "log";
}

impl Cursor {
    /// Its document.
    pub const ID: &'static str = "manifests";
}

impl Kind for Tenant {
    const COLLECTION: &'static str = "tenant";
    const AUDITED: bool = false;
}

impl Kind for RecordVersion {
    const COLLECTION: &'static str = "record";
    const AUDITED: bool = false;
}

impl Kind for Skip {
    const COLLECTION: &'static str = "skip";
}

impl Kind for Outbox {
    const COLLECTION: &'static str = "outbox";
    const AUDITED: bool = false;
}

impl Kind for Clock {
    const COLLECTION: &'static str = "clock";
    const AUDITED: bool = false;
}

impl Kind for LogIdentity {
    const COLLECTION: &'static str = "log";
}

impl Kind for Cursor {
    const COLLECTION: &'static str = "cursor";
    const AUDITED: bool = false;
}

impl Kind for Rendering {
    const COLLECTION: &'static str = "rendering";
    const AUDITED: bool = false;
}

impl Kind for Series {
    const COLLECTION: &'static str = "series";
    const AUDITED: bool = false;
}

impl Kind for Invoice {
    const COLLECTION: &'static str = "invoice";

    fn tags(&self) -> Vec<(String, String)> {
        vec![("series".to_owned(), self.series.clone())]
    }
}
