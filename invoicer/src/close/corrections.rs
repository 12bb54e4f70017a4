//! Taking back what is issued: a whole invoice (a void), or a part of one (a credit note).
//!
//! A void takes the bill's part of the chain's account back, too. Of the chain's newest bill, the account goes back to the
//! one before it, and the bill is an ordinary draft again. Later bills have settled what came late since: under those an
//! older one is made again from its own basis, and the account changes by what the two round and take of credits alone.
//! A credit note that a person asks for leaves the account as it is: what was used stays billed as it was.

use super::chain::StoredAccount;
use super::issue::{Numbers, Paper};
use super::requests::key;
use super::{Closer, Desk, Error, Refusal, State};
use crate::ledger::{
    self, Basis, CreditBasis, CreditNote, Draft, Entry, Hold, Invoice, Receivable, Status, Stored, StoredBill, What,
    digest,
};
use pricing::bill::{Account, Ask, Bill, Correction, Corrects, DocumentKind, Issued, Refused};
use pricing::id::TenantId;
use pricing::number::Minor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An issued invoice that stands.
struct Target {
    row: Stored<StoredBill>,
    number: String,
    invoice: Invoice,
    issued: Issued,
    /// The credit notes on it so far.
    earlier: Vec<Issued>,
    receivable: Receivable,
}

// === impl Closer ===

impl Closer {
    /// Gives back a part of an invoice: the id of the credit note. Twice under one name is once.
    ///
    /// # Errors
    /// [`Error::Refused`] for more than what is left; [`Error::Bill`] for what is no invoice that stands.
    pub async fn credit(
        &self,
        tenant: &TenantId,
        number: &str,
        name: &str,
        ask: &Ask,
        reason: &str,
        who: &str,
    ) -> Result<String, Error> {
        let state = self.state.lock().await;
        self.publisher.leads().await?;
        let mut target = self.target(tenant, number).await?;
        let name = if name.is_empty() { digest(&format!("{ask:?} {reason}")) } else { name.to_owned() };
        if let Some(known) = target.receivable.credit_notes.iter().find(|known| known.id == name) {
            let note = self.document(tenant, &known.number).await?;
            if note.credit.is_some_and(|basis| basis.ask == *ask && basis.reason == reason) {
                return Ok(format!("{}/{}", target.row.id, known.number));
            }
            let number = &known.number;
            let reason = format!("credit note {number} has the name '{name}' already, and gives back something else");
            return Err(Error::Refused { refusal: Refusal::Taken, reason });
        }
        let desk = self.desk(state.as_ref(), tenant).await?;
        let mut draft = Draft::new(who, "credit", self.publisher.log_time());
        let mut numbers = Numbers::new(&self.ledger, self.publisher.is_test_clock());
        let (note, _) = self.note(tenant, &desk, &mut target, (&name, ask, reason), &mut numbers, &mut draft).await?;
        let Target { row, receivable, .. } = target;
        let bill = StoredBill { receivable: Some(receivable), ..row.value };
        draft.put(Some(tenant), &row.id, Some(row.revision), &bill)?;
        numbers.finish(&mut draft)?;
        self.ledger.commit(draft).await?;
        Ok(format!("{}/{note}", row.id))
    }

    /// Takes an invoice back: the id of the credit note, and of the bill, which is a held draft again.
    ///
    /// # Errors
    /// [`Error::Bill`] for what is no invoice that stands, or of which nothing is left.
    pub async fn void(
        &self,
        tenant: &TenantId,
        number: &str,
        reason: &str,
        who: &str,
    ) -> Result<(String, String), Error> {
        let mut slot = self.state.lock().await;
        self.publisher.leads().await?;
        let mut target = self.target(tenant, number).await?;
        let key = key(tenant, &target.row.value);
        let account = self.ledger.get::<StoredAccount>(Some(tenant), &key.account_id()).await?;
        let account = account.ok_or_else(|| Error::bill(format!("the account {} is not there", key.account_id())))?;
        let desk = self.desk(slot.as_ref(), tenant).await?;
        let mut draft = Draft::new(who, "void", self.publisher.log_time());
        let mut numbers = Numbers::new(&self.ledger, self.publisher.is_test_clock());
        let (note, content) =
            self.note(tenant, &desk, &mut target, (VOID, &Ask::Rest, reason), &mut numbers, &mut draft).await?;
        let (after, is_newest) = target.taken_back(&account.value, &content)?;
        let Target { row, number, receivable, .. } = target;
        let hold = Hold { who: who.to_owned(), reason: format!("{number} was voided: {reason}") };
        let again = StoredBill {
            status: Status::Held,
            number: None,
            reason: Some(hold.text()),
            hold: Some(hold),
            approved: None,
            receivable: None,
            since: self.publisher.log_time(),
            voided: row.value.voided.iter().cloned().chain([number.clone()]).collect(),
            again: Some(number.clone()).filter(|_| !is_newest),
            ..row.value.clone()
        };
        let voided = StoredBill {
            status: Status::Voided,
            reason: Some(reason.to_owned()),
            receivable: Some(receivable),
            ..row.value
        };
        draft.put(Some(tenant), &row.id, Some(row.revision), &again)?;
        draft.put(Some(tenant), &format!("{}/{number}", row.id), None, &voided)?;
        draft.put(Some(tenant), &key.account_id(), Some(account.revision), &after)?;
        numbers.finish(&mut draft)?;
        // Where it is not known what became of the commit, all is read again.
        let state = slot.take();
        self.ledger.commit(draft).await?;
        if let Some(mut state) = state {
            state.dirty.insert((tenant.clone(), key.customer.clone()));
            let chain = state.chains.entry(key).or_default();
            (chain.stored, chain.revision) = (after, Some(account.revision + 1));
            chain.follow(again, row.revision + 1);
            *slot = Some(state);
        }
        self.settled(&mut slot, None).await?;
        Ok((format!("{}/{note}", row.id), row.id))
    }

    /// Writes a credit note on the invoice, and sets it off against what is left to be paid.
    async fn note(
        &self,
        tenant: &TenantId,
        desk: &Desk,
        target: &mut Target,
        (name, ask, reason): (&str, &Ask, &str),
        numbers: &mut Numbers<'_>,
        draft: &mut Draft,
    ) -> Result<(String, Bill), Error> {
        let content = target.correction(ask, reason).bill().map_err(|refused| Error::correction(&refused))?;
        let Target { row, number, invoice, issued, earlier, receivable } = target;
        let credit = CreditBasis {
            invoice: number.clone(),
            earlier: earlier.iter().map(|earlier| earlier.number.clone()).collect(),
            ask: ask.clone(),
            reason: reason.to_owned(),
        };
        let issue_date = issued.issue_date.clone();
        let corrects = Corrects { number: number.clone(), issue_date, reason: reason.to_owned() };
        let paper = Paper {
            kind: DocumentKind::CreditNote,
            due_date: None,
            basis: parties(&invoice.basis, corrects),
            credit: Some(credit),
        };
        let log_time = self.publisher.log_time();
        let note = numbers.issue(draft, desk, tenant, &content, paper, log_time).await?.number;
        let off = Minor(receivable.left().0.max(0).min(-content.due.0));
        if off.0 > 0 {
            let what = What::Credit { note: note.clone() };
            let who = draft.who().to_owned();
            receivable.entries.push(Entry { id: note.clone(), what, amount: off, recorded: log_time, who });
        }
        receivable.credit_notes.push(CreditNote { id: name.to_owned(), number: note.clone() });
        // What cannot be set off is owed to the customer.
        let owed = Receivable::new(Minor(content.due.0 + off.0), None, &invoice.basis.party.time_zone);
        let own = StoredBill {
            status: Status::Issued,
            number: Some(note.clone()),
            total: content.currency.text(content.total),
            reason: Some(reason.to_owned()),
            since: log_time,
            receivable: Some(owed),
            corrects: Some(number.clone()),
            approved: None,
            hold: None,
            waived: None,
            voided: Vec::new(),
            again: None,
            ..row.value.clone()
        };
        draft.put(Some(tenant), &format!("{}/{note}", row.id), None, &own)?;
        Ok((note, content))
    }

    /// An invoice that stands, with all credit notes on it.
    async fn target(&self, tenant: &TenantId, number: &str) -> Result<Target, Error> {
        let row = self.numbered(tenant, number).await?;
        let receivable = self.receivable(tenant, number, &row.value).await?;
        let number = number.to_owned();
        let invoice = self.document(tenant, &number).await?;
        let read = |invoice: &Invoice| Issued::read(&invoice.canonical);
        let issued = read(&invoice).map_err(|error| Error::bill(format!("invoice {number}: {error}")))?;
        if invoice.credit.is_some() || issued.total.0 < 0 {
            return Err(Error::bill(format!("{number} is a credit note: only invoices are voided or credited")));
        }
        if receivable.entries.iter().any(|entry| receivable.is_written_off(entry)) {
            let reason =
                "what was written off of it must be taken back first: `farthing invoices pay NUMBER --reverse`";
            return Err(Error::bill(format!("invoice {number} cannot be credited now: {reason}")));
        }
        let mut earlier = Vec::with_capacity(receivable.credit_notes.len());
        for note in &receivable.credit_notes {
            let document = self.document(tenant, &note.number).await?;
            let note = read(&document).map_err(|error| Error::bill(format!("credit note {}: {error}", note.number)))?;
            earlier.push(note);
        }
        Ok(Target { row, number, invoice, issued, earlier, receivable })
    }

    /// An issued document.
    pub(super) async fn document(&self, tenant: &TenantId, number: &str) -> Result<Invoice, Error> {
        let found = self.ledger.get::<Invoice>(Some(tenant), number).await?;
        found.map(|found| found.value).ok_or_else(|| Error::bill(format!("the document {number} is not there")))
    }

    /// The tenant's catalog: as it is known, or read.
    async fn desk(&self, state: Option<&State>, tenant: &TenantId) -> Result<Arc<Desk>, Error> {
        match state.and_then(|state| state.desks.get(tenant)) {
            Some(desk) => Ok(Arc::clone(desk)),
            None => Ok(Arc::new(ledger::desk(&self.ledger, tenant).await?)),
        }
    }
}

/// The name of the credit note that a void makes.
const VOID: &str = "void";

// === impl Target ===

impl Target {
    fn correction<'a>(&'a self, ask: &'a Ask, reason: &'a str) -> Correction<'a> {
        let basis = &self.invoice.basis;
        let seller = basis.seller.as_ref().map(|seller| &seller.id);
        Correction { invoice: &self.issued, earlier: &self.earlier, party: &basis.party, seller, ask, reason }
    }

    /// The chain's account without this bill, and whether the bill was its newest.
    fn taken_back(&self, stored: &StoredAccount, note: &Bill) -> Result<(StoredAccount, bool), Error> {
        let basis = &self.invoice.basis;
        let mut after = stored.clone();
        let taken = after.account.take_back(self.issued.rounding_residue, &note.credits);
        taken.map_err(|error| Error::bill(format!("invoice {} cannot be taken back: {error}", self.number)))?;
        after.last_invoice = after.last_invoice.filter(|known| known.number != self.number);
        let is_newest = stored.account.end == Some(self.row.value.period.end);
        if is_newest {
            after.account = basis.account.clone().with_sums_of(&after.account);
            // What it adjusted is to be adjusted again.
            for period in &basis.periods {
                if let Some(end) = basis.account.settled_end(&period.subscription, period.start) {
                    after.late.insert((period.subscription.clone(), period.start), end);
                }
            }
        }
        Ok((after, is_newest))
    }
}

/// What a credit note has of its invoice's basis.
fn parties(basis: &Basis, corrects: Corrects) -> Basis {
    Basis {
        account: Account::default(),
        party: basis.party.clone(),
        seller: basis.seller.clone(),
        subscriptions: Vec::new(),
        credits: Vec::new(),
        taxes: BTreeMap::new(),
        rounding: basis.rounding,
        periods: Vec::new(),
        corrects: Some(corrects),
    }
}

// === impl Error ===

impl Error {
    fn correction(refused: &Refused) -> Self {
        let refusal = match refused {
            Refused::NoLine { .. } => Refusal::NoLine,
            Refused::TooMuch { .. } => Refusal::TooMuch,
            Refused::Nothing(_) | Refused::Number(_) => return Self::bill(refused.to_string()),
        };
        Self::Refused { refusal, reason: refused.to_string() }
    }
}
