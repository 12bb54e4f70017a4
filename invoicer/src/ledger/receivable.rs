//! What is left to pay of an issued document: what was to be paid at first, and entries, which are added and never changed.
//!
//! Of a credit note it is the other way round: what is to be paid is below zero, and a payment is money given back.

use super::Invoice;
use pricing::bill::{Issued, Unreadable};
use pricing::number::Minor;
use pricing::period::Zone;
use pricing::time::Instant;

/// What is left to pay.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Receivable {
    /// What was to be paid at first, in minor units; below zero: to be given back.
    pub due: Minor,
    /// Until when: a date of the customer's calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<String>,
    /// The moment from which that date is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<Instant>,
    /// What came since, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Entry>,
    /// Credit notes on the invoice, oldest first, each with the caller's name for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credit_notes: Vec<CreditNote>,
}

/// What lessens what is left, or takes such a thing back.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// The caller's name for it, or one made from what it says.
    pub id: String,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    /// In minor units, above zero.
    pub amount: Minor,
    /// Log time when it was written down.
    pub recorded: Instant,
    /// By whose key.
    pub who: String,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// Money came, or of a credit note went.
    Payment {
        /// Its day.
        date: String,
        /// What the payer or the bank calls it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reference: String,
    },
    /// A credit note is set off.
    Credit {
        /// Its number.
        note: String,
    },
    /// What was left is not expected any more.
    WriteOff {
        /// Why.
        reason: String,
    },
    /// Takes another entry back.
    Reversal {
        /// The other entry's id.
        of: String,
        /// Why.
        reason: String,
    },
}

/// A credit note on an invoice.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CreditNote {
    /// The caller's name for it, or one made from what it says.
    pub id: String,
    /// Its number.
    pub number: String,
}

/// How far a document is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing is paid.
    Open,
    /// A part is paid.
    PartlyPaid,
    /// Something is left, and its date is over.
    Overdue,
    /// Nothing is left.
    Paid,
    /// Nothing is left, since nobody expects it any more.
    WrittenOff,
}

// === impl Receivable ===

impl Receivable {
    /// Of a document as it is issued.
    pub fn new(due: Minor, due_date: Option<&str>, zone: &Zone) -> Self {
        let day = due_date.and_then(|date| date.parse::<jiff::civil::Date>().ok()?.tomorrow().ok());
        let overdue = day.and_then(|day| zone.midnight(day).ok());
        Self { due, due_date: due_date.map(str::to_owned), overdue, ..Self::default() }
    }

    /// Of a document that was issued before anybody wrote down what is left of it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn of(invoice: &Invoice) -> Result<Self, Unreadable> {
        let due = Issued::read(&invoice.canonical)?.due;
        Ok(Self::new(due, invoice.due_date.as_deref(), &invoice.basis.party.time_zone))
    }

    /// What is left to pay; below zero: to be given back.
    pub fn left(&self) -> Minor {
        let sum: i64 = self.entries.iter().filter(|entry| self.counts(entry)).map(|entry| entry.amount.0).sum();
        // Entries are never above what is left.
        Minor(self.due.0.saturating_sub(sum.saturating_mul(self.due.0.signum())))
    }

    /// How far it is paid at a moment.
    pub fn standing(&self, now: Instant) -> Standing {
        let has = |kind: fn(&What) -> bool| self.entries.iter().any(|entry| kind(&entry.what) && self.counts(entry));
        if self.left().0 == 0 {
            let written_off = has(|what| matches!(what, What::WriteOff { .. }));
            return if written_off { Standing::WrittenOff } else { Standing::Paid };
        }
        match self.overdue {
            Some(overdue) if overdue <= now => Standing::Overdue,
            _ if has(|what| matches!(what, What::Payment { .. })) => Standing::PartlyPaid,
            _ => Standing::Open,
        }
    }

    /// An entry by its id.
    pub fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// True once another entry took this one back.
    pub fn is_reversed(&self, id: &str) -> bool {
        self.entries.iter().any(|entry| matches!(&entry.what, What::Reversal { of, .. } if of == id))
    }

    /// True for a write-off that nobody took back.
    pub fn is_written_off(&self, entry: &Entry) -> bool {
        matches!(entry.what, What::WriteOff { .. }) && self.counts(entry)
    }

    /// Whether an entry lessens what is left.
    fn counts(&self, entry: &Entry) -> bool {
        !matches!(entry.what, What::Reversal { .. }) && !self.is_reversed(&entry.id)
    }

    /// The word that the books find it by: what depends on the hour is not in it.
    pub fn word(&self) -> &'static str {
        match self.standing(Instant::MIN) {
            standing @ (Standing::Paid | Standing::WrittenOff) => standing.word(),
            _ => "due",
        }
    }
}

// === impl What ===

impl What {
    /// The word on the wire.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Payment { .. } => "payment",
            Self::Credit { .. } => "credit",
            Self::WriteOff { .. } => "write_off",
            Self::Reversal { .. } => "reversal",
        }
    }
}

// === impl Standing ===

impl Standing {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Open, Self::PartlyPaid, Self::Overdue, Self::Paid, Self::WrittenOff];

    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::PartlyPaid => "partly_paid",
            Self::Overdue => "overdue",
            Self::Paid => "paid",
            Self::WrittenOff => "written_off",
        }
    }
}
