//! Issuing: the next number of a gapless series, the canonical JSON, a hash chained to the one before.

use super::chain::{Chain, Key, StoredAccount};
use super::decide::Decision;
use super::desk::{Customer, Desk};
use super::load::Numbered;
use super::{Error, State};
use crate::ledger::{Basis, CreditBasis, Draft, Invoice, Ledger, Receivable, Series, Status};
use pricing::bill::{Bill, Corrects, DocumentKind};
use pricing::id::TenantId;
use pricing::time::{Instant, Span};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What issuing adds to a bill.
pub(super) struct Paper {
    pub(super) kind: DocumentKind,
    pub(super) due_date: Option<String>,
    pub(super) basis: Basis,
    pub(super) credit: Option<CreditBasis>,
}

/// The numbers that one commit gives out.
pub(super) struct Numbers<'a> {
    ledger: &'a Ledger,
    /// Marks numbers of a test system.
    test: bool,
    series: BTreeMap<(TenantId, String), Numbered<Series>>,
}

/// A change to a chain that takes effect once it is committed.
pub(super) enum Effect {
    /// A bill was decided on, at this log time.
    Decided(Key, Box<Decision>, Instant),
    /// What was late turned out to change nothing.
    NothingLate(Key),
}

/// How long after a period is settled for good its account still remembers it.
const MEMORY: Span = Span::from_days(1);

// === impl Numbers ===

impl<'a> Numbers<'a> {
    pub(super) fn new(ledger: &'a Ledger, test: bool) -> Self {
        Self { ledger, test, series: BTreeMap::new() }
    }

    /// Writes a decision into the draft, if it changes anything; returns what it does to the chain.
    #[allow(clippy::too_many_arguments)] // All of them are one bill's surroundings.
    pub(super) async fn write(
        &mut self,
        draft: &mut Draft,
        desk: &Desk,
        customer: &Customer,
        chain: &Chain,
        key: &Key,
        mut decision: Decision,
        log_time: Instant,
    ) -> Result<Option<Effect>, Error> {
        let end = decision.bill.period.end;
        let earlier = chain.bill(end);
        if decision.bill.status == Status::Issued {
            let Some(content) = decision.content.take() else { return Ok(None) };
            let basis = basis(desk, customer, chain, &content, &decision);
            let due_date = due_date(desk, customer, &content, log_time);
            let zone = &customer.party.time_zone;
            decision.bill.receivable = Some(Receivable::new(content.due, due_date.as_deref(), zone));
            let paper = Paper { kind: DocumentKind::of(&content), due_date, basis, credit: None };
            let issued = self.issue(draft, desk, &key.tenant, &content, paper, log_time).await?;
            decision.bill.number = Some(issued.number.clone());
            decision.invoice = Some(issued).filter(|_| DocumentKind::of(&content) == DocumentKind::Invoice);
            decision.bill.document = None;
            decision.content = Some(content);
        } else if earlier.is_some_and(|(bill, _)| *bill == decision.bill) {
            return Ok(None);
        }
        draft.put(Some(&key.tenant), &key.bill_id(end), earlier.map(|(_, revision)| *revision), &decision.bill)?;
        if let Some(stored) = after(desk, chain, &decision, log_time) {
            draft.put(Some(&key.tenant), &key.account_id(), chain.revision, &stored)?;
        }
        Ok(Some(Effect::Decided(key.clone(), Box::new(decision), log_time)))
    }

    /// Writes a document with the next number of its series.
    pub(super) async fn issue(
        &mut self,
        draft: &mut Draft,
        desk: &Desk,
        tenant: &TenantId,
        content: &Bill,
        paper: Paper,
        log_time: Instant,
    ) -> Result<Corrects, Error> {
        let Paper { kind, due_date, basis, credit } = paper;
        let prefix = prefix(desk, content, kind, self.test);
        let place = (tenant.clone(), prefix.clone());
        if !self.series.contains_key(&place) {
            let stored = self.ledger.get::<Series>(Some(tenant), &prefix).await?;
            let revision = stored.as_ref().map(|stored| stored.revision);
            let value = stored.map(|stored| stored.value).unwrap_or_default();
            self.series.insert(place.clone(), Numbered { value, revision });
        }
        let series = self.series.entry(place).or_default();
        series.value.last += 1;
        let number = format!("{prefix}{}", series.value.last);
        let mut invoice = Invoice {
            bill: content.id.clone(),
            series: prefix,
            sequence: series.value.last,
            canonical: String::new(),
            hash: String::new(),
            previous: String::new(),
            issued: log_time,
            due_date,
            test: self.test,
            basis,
            credit,
        };
        invoice.canonical = invoice.made(&number, content);
        invoice.hash = chained_hash(&series.value.hash, &invoice.canonical);
        invoice.previous = std::mem::replace(&mut series.value.hash, invoice.hash.clone());
        draft.put(Some(tenant), &number, None, &invoice)?;
        let issue_date = invoice.issue_date();
        Ok(Corrects { number, issue_date, reason: String::new() })
    }

    /// Writes that what was late changes nothing.
    pub(super) fn nothing_late(draft: &mut Draft, chain: &Chain, key: &Key) -> Result<Effect, Error> {
        let stored = StoredAccount { late: BTreeMap::new(), ..chain.stored.clone() };
        draft.put(Some(&key.tenant), &key.account_id(), chain.revision, &stored)?;
        Ok(Effect::NothingLate(key.clone()))
    }

    /// Writes how far the series have come.
    pub(super) fn finish(self, draft: &mut Draft) -> Result<(), Error> {
        for ((tenant, prefix), series) in self.series {
            draft.put(Some(&tenant), &prefix, series.revision, &series.value)?;
        }
        Ok(())
    }
}

// === impl State ===

impl State {
    /// Follows what was committed.
    pub(super) fn apply(&mut self, effect: &Effect, desk: &Desk) {
        let (Effect::Decided(key, ..) | Effect::NothingLate(key)) = effect;
        let Some(chain) = self.chains.get_mut(key) else { return };
        let next = chain.revision.unwrap_or(0) + 1;
        let Effect::Decided(_, decision, log_time) = effect else {
            chain.stored.late.clear();
            chain.revision = Some(next);
            return;
        };
        let end = decision.bill.period.end;
        if let Some(stored) = after(desk, chain, decision, *log_time) {
            chain.stored = stored;
            chain.revision = Some(next);
            chain.open.remove(&end);
            chain.again.remove(&end);
        } else {
            let revision = chain.bill(end).map_or(0, |(_, revision)| *revision) + 1;
            chain.follow(decision.bill.clone(), revision);
        }
    }
}

/// The account's document once a bill counts as invoiced; none while it does not.
fn after(desk: &Desk, chain: &Chain, decision: &Decision, log_time: Instant) -> Option<StoredAccount> {
    let account = decision.account.clone()?;
    if decision.again {
        // Later bills stand on the account as it is: what this one rounds and takes of credits is all that it changes.
        let account = chain.stored.account.clone().with_sums_of(&account);
        let counts = matches!(decision.bill.status, Status::Issued | Status::Skipped);
        return counts.then(|| StoredAccount { account, ..chain.stored.clone() });
    }
    let period = decision.bill.period;
    let last_total = match decision.bill.status {
        // Openings and final bills have no period of their own: no measure for the bills of whole periods.
        Status::Issued if period.start == period.end => chain.stored.last_total,
        Status::Issued => decision.content.as_ref().map(|content| content.total),
        Status::Skipped => chain.stored.last_total,
        Status::Draft | Status::Approved | Status::Held | Status::Voided => return None,
    };
    let last_invoice = decision.invoice.clone().or_else(|| chain.stored.last_invoice.clone());
    let terms = &desk.terms;
    let kept = terms.past.plus(Span::from_days(1)).plus(terms.future).plus(terms.grace).plus(MEMORY);
    // What was late stands on this bill; should a late period change once more, its next manifest says so.
    Some(StoredAccount {
        account: account.forget(log_time.minus(kept)),
        late: BTreeMap::new(),
        last_total,
        last_invoice,
    })
}

/// The prefix of a document's number, which names its series: no two series can give out the same number.
fn prefix(desk: &Desk, content: &Bill, kind: DocumentKind, test: bool) -> String {
    let known = desk.seller(content);
    let seller = known.map(|seller| &seller.id).or(content.seller.as_ref());
    let credit = kind == DocumentKind::CreditNote;
    let named =
        known.and_then(|seller| if credit { seller.credit_prefix.as_deref() } else { seller.prefix.as_deref() });
    let mut prefix = match (named.filter(|named| !named.is_empty()), seller) {
        (Some(named), _) => named.to_owned(),
        (None, Some(seller)) if credit => format!("{seller}-CN-"),
        (None, Some(seller)) => format!("{seller}-"),
        (None, None) if credit => "CN-".to_owned(),
        (None, None) => "INV-".to_owned(),
    };
    if test {
        prefix.push_str("TEST-");
    }
    if prefix.ends_with(|last: char| last.is_ascii_digit()) {
        prefix.push('-');
    }
    prefix
}

/// The last day of the seller's terms, for what is to be paid.
fn due_date(desk: &Desk, customer: &Customer, content: &Bill, issued: Instant) -> Option<String> {
    let days = desk.seller(content)?.terms_days?;
    let date = customer.party.time_zone.date_after(issued, days).ok()?;
    (content.due.0 > 0).then(|| date.to_string())
}

/// What a later check needs to make the same document again.
fn basis(desk: &Desk, customer: &Customer, chain: &Chain, content: &Bill, decision: &Decision) -> Basis {
    let is_credit = DocumentKind::of(content) == DocumentKind::CreditNote;
    Basis {
        corrects: chain.stored.last_invoice.clone().filter(|_| is_credit),
        account: decision.before.clone(),
        party: customer.party.clone(),
        seller: desk.seller(content).map(|seller| seller.is.clone()),
        subscriptions: customer.subscriptions.clone(),
        credits: customer.credits.clone(),
        taxes: desk.taxes.clone(),
        rounding: desk.terms.rounding,
        periods: decision.periods.clone(),
    }
}

/// The hash of a document: SHA-256 over the hash before it and its canonical JSON, in hexadecimal.
pub(crate) fn chained_hash(previous: &str, canonical: &str) -> String {
    let digest = Sha256::new().chain_update(previous).chain_update(canonical).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
