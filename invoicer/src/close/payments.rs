//! Payments, write-offs, and what takes them back: entries of an issued document, each added in a commit of its own.

use super::{CONFLICTS_MAX, Closer, Error, Refusal};
use crate::ledger::{Draft, Entry, Receivable, Status, StoredBill, What};
use pricing::id::TenantId;
use pricing::number::Minor;

/// A payment as a person or a bank tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The caller's name for it; empty: made from what it says.
    pub id: String,
    /// Above zero.
    pub amount: Minor,
    /// Its day.
    pub date: String,
    /// What the payer or the bank calls it.
    pub reference: String,
}

// === impl Closer ===

impl Closer {
    /// Writes down a payment of an issued document; of a credit note, that money was given back. Twice the same counts once.
    ///
    /// # Errors
    /// [`Error::Refused`] for more than what is left, or another payment of that name.
    pub async fn pay(&self, tenant: &TenantId, number: &str, payment: &Payment, who: &str) -> Result<(), Error> {
        let add = |bill: &StoredBill, receivable: &Receivable| {
            let Payment { id: name, amount, date, reference } = payment.clone();
            let name = if name.is_empty() {
                format!("{date} {} {reference}", bill.currency.text(amount)).trim_end().to_owned()
            } else {
                name
            };
            let what = What::Payment { date, reference };
            if let Some(known) = receivable.entry(&name) {
                if (&known.what, known.amount) == (&what, amount) && !receivable.is_reversed(&name) {
                    return Ok(None);
                }
                let how = if receivable.is_reversed(&name) { "was taken back" } else { "says something else" };
                let reason = format!("entry '{name}' is there already and {how}; give this payment an id of its own");
                return Err(Error::Refused { refusal: Refusal::Taken, reason });
            }
            let left = receivable.left();
            if amount.0 > left.0.abs() {
                let text = |amount: Minor| format!("{} {}", bill.currency.text(amount), bill.currency);
                let what = if receivable.due.0 < 0 { "to be given back" } else { "to be paid" };
                let mut reason =
                    format!("{} is more than what is left {what}: {}", text(amount), text(Minor(left.0.abs())));
                if receivable.entries.iter().any(|entry| receivable.is_written_off(entry)) {
                    reason.push_str("; what was written off must be taken back first: `pay NUMBER --reverse ID`");
                }
                return Err(Error::Refused { refusal: Refusal::TooMuch, reason });
            }
            Ok(Some((name, what, amount)))
        };
        self.enter(tenant, number, who, "pay", add).await
    }

    /// Writes down that what is left of an invoice is not expected any more.
    ///
    /// # Errors
    /// [`Error::Bill`] where nothing is left to be paid.
    pub async fn write_off(&self, tenant: &TenantId, number: &str, reason: &str, who: &str) -> Result<(), Error> {
        let add = |_: &StoredBill, receivable: &Receivable| {
            let left = receivable.left();
            if left.0 <= 0 {
                return Err(Error::bill(format!(
                    "nothing is left to be paid of {number}; there is nothing to write off"
                )));
            }
            let name = free(receivable, "write-off");
            Ok(Some((name, What::WriteOff { reason: reason.to_owned() }, left)))
        };
        self.enter(tenant, number, who, "write_off", add).await
    }

    /// Takes a payment or a write-off back. Twice is once.
    ///
    /// # Errors
    /// [`Error::Refused`] for an entry that is not there; [`Error::Bill`] for one that cannot be taken back.
    pub async fn reverse(
        &self,
        tenant: &TenantId,
        number: &str,
        entry: &str,
        reason: &str,
        who: &str,
    ) -> Result<(), Error> {
        let add = |_: &StoredBill, receivable: &Receivable| {
            let Some(known) = receivable.entry(entry) else {
                let there: Vec<&str> = receivable.entries.iter().map(|entry| entry.id.as_str()).collect();
                let reason = format!("{number} has no entry '{entry}'; it has: {}", there.join(", "));
                return Err(Error::Refused { refusal: Refusal::NoEntry, reason });
            };
            if !matches!(known.what, What::Payment { .. } | What::WriteOff { .. }) {
                let what = known.what.word();
                return Err(Error::bill(format!(
                    "entry '{entry}' is a {what}: only payments and write-offs are taken back"
                )));
            }
            if receivable.is_reversed(entry) {
                return Ok(None);
            }
            let name = free(receivable, "reversal");
            let what = What::Reversal { of: entry.to_owned(), reason: reason.to_owned() };
            Ok(Some((name, what, known.amount)))
        };
        self.enter(tenant, number, who, "reverse", add).await
    }

    /// Adds an entry to an issued document; none where it is there already.
    async fn enter(
        &self,
        tenant: &TenantId,
        number: &str,
        who: &str,
        action: &str,
        add: impl Fn(&StoredBill, &Receivable) -> Result<Option<(String, What, Minor)>, Error>,
    ) -> Result<(), Error> {
        self.publisher.leads().await?;
        let mut conflicts = 0;
        loop {
            let stored = self.numbered(tenant, number).await?;
            let mut bill = stored.value;
            let mut receivable = self.receivable(tenant, number, &bill).await?;
            let Some((name, what, amount)) = add(&bill, &receivable)? else { return Ok(()) };
            let recorded = self.publisher.log_time();
            receivable.entries.push(Entry { id: name, what, amount, recorded, who: who.to_owned() });
            bill.receivable = Some(receivable);
            let mut draft = Draft::new(who, action, recorded);
            draft.put(Some(tenant), &stored.id, Some(stored.revision), &bill)?;
            match self.ledger.commit(draft).await {
                Err(error) if error.is_conflict() && conflicts < CONFLICTS_MAX => conflicts += 1,
                done => return Ok(done?),
            }
        }
    }

    /// What is left of a document that is issued and stands.
    pub(super) async fn receivable(
        &self,
        tenant: &TenantId,
        number: &str,
        bill: &StoredBill,
    ) -> Result<Receivable, Error> {
        if bill.status == Status::Voided {
            let notes = bill.receivable.iter().flat_map(|receivable| receivable.credit_notes.last());
            let note = notes.map(|note| note.number.as_str()).next().unwrap_or_default();
            return Err(Error::bill(format!(
                "invoice {number} was voided by {note}; what is paid out stands on that one"
            )));
        }
        if let Some(known) = &bill.receivable {
            return Ok(known.clone());
        }
        let invoice = self.document(tenant, number).await?;
        Receivable::of(&invoice).map_err(|error| Error::bill(format!("invoice {number}: {error}")))
    }
}

/// A name for an entry that no caller chose: payments bear names of their callers' choice, this one, too.
fn free(receivable: &Receivable, word: &str) -> String {
    let names = (receivable.entries.len() + 1..).map(|number| format!("{word}-{number}"));
    names.into_iter().find(|name| receivable.entry(name).is_none()).unwrap_or_default()
}
