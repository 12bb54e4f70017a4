//! A finance team: it approves, holds, voids, credits and writes payments down, again and again until it is told what came
//! of it; and the naive model of that, which knows documents and what was done, and nothing of how it is kept.

use crate::auditor::{Books, Broken, Checked, Invariant, broken};
use crate::model::rational;
use crate::sighting::{Sighting, Sightings};
use invoicer::close::{Closer, Error, Payment};
use invoicer::ledger::{Status, StoredBill, What};
use num_rational::BigRational;
use num_traits::Zero;
use pricing::bill::Ask;
use pricing::id::TenantId;
use pricing::number::Minor;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the team did, as far as it was told.
#[derive(Debug, Default)]
pub struct Finance {
    count: u64,
    /// What has no answer yet: it may have been done.
    pending: Option<Act>,
    /// Invoices that it tried to void.
    voids: BTreeSet<String>,
    /// Credit notes that it asked for, by invoice and name.
    credits: BTreeMap<(String, String), Ask>,
    /// Those that it was told of.
    credited: BTreeSet<(String, String)>,
    /// Payments that stand, by document and name.
    payments: BTreeMap<(String, String), Minor>,
}

/// Something that is done to a bill by its id, or to what is issued by its number.
#[derive(Clone, Debug)]
struct Act {
    id: String,
    number: String,
    what: Deed,
}

#[derive(Clone, Debug)]
enum Deed {
    Approve,
    Hold,
    Release,
    Void,
    Credit(String, Ask),
    Pay(Payment),
    Reverse(String),
}

const WHO: &str = "simulation";

// === impl Finance ===

impl Finance {
    /// Does something, drawn from what the books hold; what had no answer before is done first.
    pub async fn act(
        &mut self,
        closer: &Closer,
        tenant: &TenantId,
        books: &Books,
        random: &mut StdRng,
        sightings: &mut Sightings,
    ) {
        let drawn = if self.pending.is_none() { self.draw(books, random) } else { None };
        let Some(act) = self.pending.take().or(drawn) else { return };
        match self.perform(closer, tenant, &act).await {
            Ok(()) => self.done(&act, sightings),
            Err(Error::Bill { .. } | Error::Refused { .. }) => {}
            Err(_) => self.pending = Some(act),
        }
    }

    /// True while it does not know what came of something.
    pub fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    fn draw(&mut self, books: &Books, random: &mut StdRng) -> Option<Act> {
        self.count += 1;
        let name = format!("n-{}", self.count);
        let rows: Vec<(&String, &StoredBill)> =
            books.bills.iter().filter(|(_, bill)| !matches!(bill.status, Status::Skipped | Status::Voided)).collect();
        let (id, bill) = *rows.choose(random)?;
        let number = bill.number.clone().unwrap_or_default();
        let left = bill.receivable.as_ref().map_or(0, |receivable| receivable.left().0.abs());
        let what = match (bill.status, random.random_range(0..10)) {
            (Status::Issued, 0..4) => Deed::Void,
            (Status::Issued, 4..6) => {
                let document = document(books, &number).ok()?;
                let lines = document["lines"].as_array().map_or(0, Vec::len);
                let line = u32::try_from(random.random_range(0..=lines)).unwrap_or(0);
                let by_line = Ask::Lines(vec![(line, None)]);
                let amount = Ask::Amount(Minor(random.random_range(1..200)));
                Deed::Credit(name, if random.random_ratio(1, 2) { by_line } else { amount })
            }
            (Status::Issued, 6) => {
                let payments = self.payments.keys().filter(|(own, _)| *own == number);
                Deed::Reverse(payments.map(|(_, name)| name.clone()).next()?)
            }
            (Status::Issued, _) if left > 0 => {
                let amount = Minor(if random.random_ratio(1, 2) { left } else { random.random_range(1..=left) });
                let date = "2026-01-10".to_owned();
                Deed::Pay(Payment { id: name, amount, date, reference: String::new() })
            }
            (Status::Issued, _) => return None,
            (_, 0..3) => Deed::Hold,
            (Status::Held, 3..6) => Deed::Release,
            _ => Deed::Approve,
        };
        Some(Act { id: id.clone(), number, what })
    }

    async fn perform(&mut self, closer: &Closer, tenant: &TenantId, act: &Act) -> Result<(), Error> {
        let (id, number, key) = (&act.id, &act.number, |name: &String| (act.number.clone(), name.clone()));
        match &act.what {
            Deed::Approve => closer.approve(tenant, id, None, WHO).await,
            Deed::Hold => closer.hold(tenant, id, "ask the boss", WHO).await,
            Deed::Release => closer.release(tenant, id, WHO).await,
            Deed::Void => {
                self.voids.insert(act.number.clone());
                closer.void(tenant, number, "wrong", WHO).await.map(drop)
            }
            Deed::Credit(name, ask) => {
                self.credits.insert(key(name), ask.clone());
                closer.credit(tenant, number, name, ask, "goodwill", WHO).await.map(drop)
            }
            Deed::Pay(payment) => closer.pay(tenant, number, payment, WHO).await,
            Deed::Reverse(name) => closer.reverse(tenant, number, name, "came back", WHO).await,
        }
    }

    fn done(&mut self, act: &Act, sightings: &mut Sightings) {
        let key = |name: &String| (act.number.clone(), name.clone());
        sightings.see(match &act.what {
            Deed::Approve => Sighting::Approved,
            Deed::Hold | Deed::Release => Sighting::HeldByPerson,
            Deed::Void => Sighting::Voided,
            Deed::Credit(name, _) => {
                self.credited.insert(key(name));
                Sighting::Credited
            }
            Deed::Pay(payment) => {
                self.payments.insert(key(&payment.id), payment.amount);
                Sighting::Paid
            }
            Deed::Reverse(name) => {
                self.payments.remove(&key(name));
                Sighting::PaymentReversed
            }
        });
    }

    /// What stands in the books is what was done: each once, and to the cent.
    pub(crate) fn check(&self, books: &Books) -> Checked {
        let wrong = |what: String| Err(broken(Invariant::Inv1, what));
        let mut found = BTreeSet::new();
        for (number, invoice) in &books.invoices {
            let Some(credit) = &invoice.credit else { continue };
            let row = row(books, &credit.invoice)?;
            let mut notes = row.receivable.iter().flat_map(|receivable| &receivable.credit_notes);
            let Some(note) = notes.find(|note| note.number == *number) else {
                return wrong(format!("credit note {number} is not among those of {}", credit.invoice));
            };
            let key = (credit.invoice.clone(), note.id.clone());
            match self.credits.get(&key) {
                None if credit.ask == Ask::Rest && row.status == Status::Voided && self.voids.contains(&key.0) => {}
                Some(ask) if *ask == credit.ask => is_asked(books, number, ask)?,
                asked => return wrong(format!("credit note {number} gives back {:?}, asked: {asked:?}", credit.ask)),
            }
            if !found.insert(key) {
                return wrong(format!("credit note {number} was made twice"));
            }
        }
        if let Some(lost) = self.credited.iter().find(|key| !found.contains(key)) {
            return wrong(format!("the credit note {lost:?} is not there"));
        }
        for bill in books.bills.values().filter(|bill| bill.number.is_some()) {
            self.balanced(books, bill)?;
        }
        Ok(())
    }

    /// What is left of a document and its credit notes is what they say, less what was paid.
    fn balanced(&self, books: &Books, bill: &StoredBill) -> Checked {
        let number = bill.number.clone().unwrap_or_default();
        let Some(receivable) = bill.receivable.as_ref().filter(|_| bill.corrects.is_none()) else { return Ok(()) };
        let (mut left, mut expected) = (BigRational::zero(), BigRational::zero());
        for own in [&number].into_iter().chain(receivable.credit_notes.iter().map(|note| &note.number)) {
            let receivable = row(books, own)?.receivable.clone().unwrap_or_default();
            left += cents(receivable.left());
            let due = amount(&document(books, own)?, "due")?;
            let is_back = due < BigRational::zero();
            expected += due;
            let paid: BTreeMap<&String, Minor> = self
                .payments
                .iter()
                .filter(|((document, _), _)| document == own)
                .map(|((_, name), amount)| (name, *amount))
                .collect();
            let entries = receivable
                .entries
                .iter()
                .filter(|entry| matches!(entry.what, What::Payment { .. }) && !receivable.is_reversed(&entry.id));
            let entries: BTreeMap<&String, Minor> = entries.map(|entry| (&entry.id, entry.amount)).collect();
            if entries != paid {
                let what = format!("payments of {own}: the books have {entries:?}, the team knows {paid:?}");
                return Err(broken(Invariant::Inv1, what));
            }
            let paid: BigRational = paid.into_values().map(cents).sum();
            expected += if is_back { paid } else { -paid };
        }
        if left != expected {
            let what = format!("of {number} and its credit notes {left} is left, by documents and payments {expected}");
            return Err(broken(Invariant::Inv1, what));
        }
        Ok(())
    }
}

fn cents(amount: Minor) -> BigRational {
    BigRational::new(amount.0.into(), 100.into())
}

/// The row of a document.
fn row<'a>(books: &'a Books, number: &str) -> Result<&'a StoredBill, Broken> {
    let found = books.bills.values().find(|bill| bill.number.as_deref() == Some(number));
    found.ok_or_else(|| broken(Invariant::Inv1, format!("document {number} stands in no list")))
}

fn document(books: &Books, number: &str) -> Result<Value, Broken> {
    let text = books.invoices.get(number).map_or("", |invoice| invoice.canonical.as_str());
    serde_json::from_str(text).map_err(|error| broken(Invariant::Inv1, format!("{number}: {error}")))
}

fn amount(document: &Value, name: &str) -> Result<BigRational, Broken> {
    let found = document[name].as_str().and_then(rational);
    found.ok_or_else(|| broken(Invariant::Inv1, format!("no '{name}' in {document}")))
}

/// A credit note gives back what was asked for: that amount with tax, or the net of that line.
fn is_asked(books: &Books, number: &str, ask: &Ask) -> Checked {
    let document = document(books, number)?;
    let (found, asked) = match ask {
        Ask::Amount(asked) => (-amount(&document, "total")?, cents(*asked)),
        Ask::Lines(_) => {
            let lines = document["lines"].as_array().map_or(&[][..], Vec::as_slice);
            let sum = lines.iter().map(|line| amount(line, "amount")).sum::<Result<BigRational, Broken>>()?;
            (amount(&document, "net")?, sum)
        }
        Ask::Rest => return Ok(()),
    };
    if found == asked {
        return Ok(());
    }
    Err(broken(Invariant::Inv1, format!("credit note {number} gives back {found}, asked was {asked}: {ask:?}")))
}
