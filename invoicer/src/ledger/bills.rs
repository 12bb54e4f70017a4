//! Bills as the books hold them: what lists show, and what people decided about each.

use super::{BasisPeriod, Kind, Receivable, Standing};
use pricing::currency::Currency;
use pricing::id::CustomerId;
use pricing::period::{Period, Zone};
use pricing::time::{Instant, Span};
use sha2::{Digest, Sha256};
use storage::shard::Offset;

/// How far a bill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Made anew as long as its usage changes; issued after its review.
    Draft,
    /// A person said that it may be issued; a bill before it is not issued yet.
    Approved,
    /// Not issued before somebody says so, or the reason is gone.
    Held,
    /// An invoice: its bytes never change.
    Issued,
    /// Nothing but zeros: counts as invoiced, has no document.
    Skipped,
    /// An invoice that a credit note took back.
    Voided,
}

/// A bill as it stands. Its id is `CUSTOMER/CURRENCY/END`; a voided invoice, and a credit note on an invoice, has one of its
/// own, with the document's number behind the bill's id.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredBill {
    /// How far it has come.
    pub status: Status,
    /// Who is billed.
    pub customer: CustomerId,
    /// In what.
    pub currency: Currency,
    /// From the first start to the common end of its periods.
    pub period: Period,
    /// The invoice's number, once issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Printed money, with the currency's decimals.
    pub total: String,
    /// Why it is held, voided or credited, or what else a person should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Log time of the first draft: the review runs from here.
    pub since: Instant,
    /// The newest record that its manifests speak of.
    #[serde(default)]
    pub newest: Offset,
    /// Of a skipped bill: the totals that it was made from. Those of an issued one stand in its [`super::Invoice`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub periods: Vec<BasisPeriod>,
    /// Parked events that no longer hold it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waiver>,
    /// Of what is issued: what is left to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receivable: Option<Receivable>,
    /// Of a credit note on an invoice: that invoice's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<String>,
    /// Invoices of this bill that were voided, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voided: Vec<String>,
    /// Later bills were issued before it was voided: it is made again from the basis of the invoice with this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
    /// A person's word that it may be issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approval>,
    /// A person's word that it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// True in a test system.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// The document as it would be issued, in the shape of `farthing invoices show`, as JSON text; of an issued one see
    /// [`super::Invoice`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

/// A person's word on parked events.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Waiver {
    /// What the person said.
    pub reason: String,
    /// The newest record that the bill's manifests spoke of then: what parks later was not seen, and holds again.
    pub until: Offset,
}

/// A person's word that a draft may be issued.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Approval {
    /// Whose key it was.
    pub who: String,
    /// [`digest`] of the document that the person saw: another one was not seen.
    pub digest: String,
}

/// A person's word that a draft may not be issued.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hold {
    /// Whose key it was.
    pub who: String,
    /// What the person said.
    pub reason: String,
}

/// Names a document by what it says: SHA-256 in hexadecimal.
pub fn digest(document: &str) -> String {
    Sha256::digest(document).iter().map(|byte| format!("{byte:02x}")).collect()
}

// === impl Status ===

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Draft, Self::Approved, Self::Held, Self::Issued, Self::Skipped, Self::Voided];
    /// Those of bills that are not issued yet.
    pub const OPEN: [Self; 3] = [Self::Draft, Self::Approved, Self::Held];

    /// The word on the wire and in the books.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Approved => "approved",
            Self::Held => "held",
            Self::Issued => "issued",
            Self::Skipped => "skipped",
            Self::Voided => "voided",
        }
    }

    /// True as long as it is made anew.
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }
}

// === impl StoredBill ===

impl StoredBill {
    /// How far it is paid at a moment; none for what is not issued, or voided.
    pub fn standing(&self, now: Instant) -> Option<Standing> {
        let receivable = self.receivable.as_ref().filter(|_| self.status == Status::Issued)?;
        Some(receivable.standing(now))
    }

    /// The month that its last day lies in, such as 2026-01: twelve hours before the end it is that day in nearly every zone.
    fn month(&self) -> String {
        let noon = self.period.end.minus(Span::from_hours(12));
        Zone::utc().date(noon).to_string().chars().take(7).collect()
    }

    /// True once a person approved the document as it is.
    pub fn is_approved(&self) -> bool {
        let word = self.approved.as_ref().zip(self.document.as_ref());
        word.is_some_and(|(approval, document)| approval.digest == digest(document))
    }
}

impl Kind for StoredBill {
    const COLLECTION: &'static str = "bill";

    fn tags(&self) -> Vec<(String, String)> {
        let mut tags = vec![
            ("customer".to_owned(), self.customer.to_string()),
            ("status".to_owned(), self.status.word().to_owned()),
            ("month".to_owned(), self.month()),
        ];
        tags.extend(self.number.iter().map(|number| ("number".to_owned(), number.clone())));
        let receivable = self.receivable.as_ref().filter(|_| self.status == Status::Issued);
        tags.extend(receivable.map(|receivable| ("payment".to_owned(), receivable.word().to_owned())));
        tags
    }
}

impl Hold {
    /// As people read it.
    pub fn text(&self) -> String {
        format!("{}: held by {}", self.reason, self.who)
    }
}
