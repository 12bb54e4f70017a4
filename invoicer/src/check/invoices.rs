//! Invoices: numbers without gaps, hashes that chain, charges that add up, documents that come out the same.

use super::{Check, Report};
use crate::close::{Curves, Desk, Error, chained_hash, first_difference, period_key, recount, usage_of};
use crate::ledger::{self, CreditBasis, Filter, Invoice, Status, Stored, StoredBill};
use pricing::bill::{self, Correction, Issued};
use pricing::currency::Currency;
use pricing::id::TenantId;
use pricing::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use storage::charges::{self, PeriodKey};

// === impl Check ===

impl Check {
    /// Every invoice and every open bill of a tenant.
    pub(super) async fn every_invoice(&self, tenant: &TenantId, report: &mut Report) -> Result<(), Error> {
        let desk = ledger::desk(&self.ledger, tenant).await?;
        let invoices = self.ledger.all::<Invoice>(Some(tenant), &Filter::default()).await?;
        series(&invoices, report);
        listed(&invoices, &self.ledger.all::<StoredBill>(Some(tenant), &Filter::default()).await?, report);
        for invoice in &invoices {
            self.invoice(tenant, &desk, invoice, report).await?;
        }
        Ok(())
    }

    /// One bill, and if it is issued its document.
    pub(super) async fn one_bill(&self, tenant: &TenantId, id: &str, report: &mut Report) -> Result<(), Error> {
        let Some(bill) = self.ledger.get::<StoredBill>(Some(tenant), id).await? else { return Ok(()) };
        if let (Status::Held, Some(reason)) = (bill.value.status, &bill.value.reason) {
            report.findings.push(format!("bill {id} is held: {reason}"));
        }
        let Some(number) = &bill.value.number else { return Ok(()) };
        let desk = ledger::desk(&self.ledger, tenant).await?;
        match self.ledger.get::<Invoice>(Some(tenant), number).await? {
            Some(invoice) => {
                linked(&invoice, &invoice.value.previous, report);
                self.invoice(tenant, &desk, &invoice, report).await
            }
            None => {
                report.findings.push(format!("bill {id} says it is invoice {number}, which is not there"));
                Ok(())
            }
        }
    }

    /// An invoice whose charges cannot be read is a finding, and harms no other.
    async fn invoice(
        &self,
        tenant: &TenantId,
        desk: &Desk,
        invoice: &Stored<Invoice>,
        report: &mut Report,
    ) -> Result<(), Error> {
        if let Some(credit) = &invoice.value.credit {
            report.invoices += 1;
            let finding = self.remade_note(tenant, invoice, credit).await?;
            report.findings.extend(finding.map(|finding| format!("credit note {}: {finding}", invoice.id)));
            return Ok(());
        }
        match self.compare(tenant, desk, invoice, report).await {
            Err(Error::Charges(error @ (charges::Error::Damaged { .. } | charges::Error::Overflow { .. }))) => {
                report.findings.push(format!("invoice {}: {error}", invoice.id));
                Ok(())
            }
            told => told,
        }
    }

    /// Makes a credit note again from its invoice and the credit notes on that before it; says how it differs.
    async fn remade_note(
        &self,
        tenant: &TenantId,
        note: &Stored<Invoice>,
        credit: &CreditBasis,
    ) -> Result<Option<String>, Error> {
        let mut read = Vec::with_capacity(credit.earlier.len() + 1);
        for number in [&credit.invoice].into_iter().chain(&credit.earlier) {
            let Some(document) = self.ledger.get::<Invoice>(Some(tenant), number).await? else {
                return Ok(Some(format!("it corrects {number}, which is not there")));
            };
            match Issued::read(&document.value.canonical) {
                Ok(document) => read.push(document),
                Err(error) => return Ok(Some(format!("{number}: {error}"))),
            }
        }
        let Some((invoice, earlier)) = read.split_first() else { return Ok(None) };
        let basis = &note.value.basis;
        let seller = basis.seller.as_ref().map(|seller| &seller.id);
        let CreditBasis { ask, reason, .. } = credit;
        let correction = Correction { invoice, earlier, party: &basis.party, seller, ask, reason };
        Ok(match correction.bill() {
            Err(error) => Some(format!("it cannot be made again: {error}")),
            Ok(content) if note.value.made(&note.id, &content) == note.value.canonical => None,
            Ok(_) => Some(format!("made again from {} it is another document", credit.invoice)),
        })
    }

    /// Adds the invoice's charges up again, row by row, and makes the document again.
    async fn compare(
        &self,
        tenant: &TenantId,
        desk: &Desk,
        invoice: &Stored<Invoice>,
        report: &mut Report,
    ) -> Result<(), Error> {
        report.invoices += 1;
        let (number, basis) = (&invoice.id, &invoice.value.basis);
        let mut usage = BTreeMap::new();
        let keys: Vec<PeriodKey> = basis
            .periods
            .iter()
            .map(|period| PeriodKey {
                customer: basis.party.id.clone(),
                subscription: period.subscription.clone(),
                start: period.start,
            })
            .collect();
        let newest = if keys.is_empty() { Vec::new() } else { self.charges.newest(tenant, &keys).await? };
        for (period, key) in basis.periods.iter().zip(&keys) {
            let plan = desk.plans.get(&period.plan).map(AsRef::as_ref);
            let curves = Curves::of(plan, &basis.subscriptions, key);
            let sums = recount(self.charges.as_ref(), tenant, key, curves, period.offset).await?;
            report.charges += sums.iter().map(|sum| sum.count).sum::<u64>();
            let manifest = newest.iter().find(|manifest| period_key(manifest) == *key);
            let same = manifest.filter(|manifest| manifest.revision == period.revision);
            if let Some(difference) = same.and_then(|manifest| first_difference(manifest, &sums)) {
                report.findings.push(format!("invoice {number}: {difference}"));
            }
            usage.insert((period.subscription.clone(), period.start), usage_of(&sums));
        }
        report.findings.extend(remade(desk, invoice, &usage).map(|finding| format!("invoice {number}: {finding}")));
        Ok(())
    }
}

/// Makes the document again from its basis and the recounted charges; says how it differs.
fn remade(
    desk: &Desk,
    invoice: &Stored<Invoice>,
    usage: &BTreeMap<(pricing::id::SubscriptionId, Instant), bill::Usage>,
) -> Option<String> {
    let basis = &invoice.value.basis;
    if !desk.customers.contains_key(&basis.party.id) {
        return Some(format!("its customer '{}' is not in the catalog", basis.party.id));
    }
    let Some((end, currency)) = place(&invoice.value.bill) else {
        return Some(format!("'{}' is no bill's id; it should be CUSTOMER/CURRENCY/END", invoice.value.bill));
    };
    let request = bill::Request {
        end,
        currency,
        party: &basis.party,
        subscriptions: &basis.subscriptions,
        plans: &desk.plans,
        taxes: &basis.taxes,
        credits: &basis.credits,
        rounding: basis.rounding,
        usage,
        account: &basis.account,
    };
    let prepared = match bill::prepare(&request) {
        Ok(prepared) => prepared,
        Err(error) => return Some(format!("it cannot be made again: {error}")),
    };
    let again = invoice.value.made(&invoice.id, &prepared.bill);
    (again != invoice.value.canonical).then(|| {
        "made again from its charges it is another document; its bytes, its charges or its catalog changed".to_owned()
    })
}

/// The end and the currency that a bill's id names.
fn place(id: &str) -> Option<(Instant, Currency)> {
    let (head, end) = id.rsplit_once('/')?;
    let (_, currency) = head.rsplit_once('/')?;
    Some((end.parse().ok()?, currency.parse().ok()?))
}

/// Every document stands in the list of bills and the other way round; one for a bill stands, the others are voided by
/// credit notes that leave nothing of them.
fn listed(invoices: &[Stored<Invoice>], bills: &[Stored<StoredBill>], report: &mut Report) {
    let total = |number: &str| {
        let found = invoices.iter().find(|invoice| invoice.id == number)?;
        Issued::read(&found.value.canonical).ok().map(|issued| issued.total.0)
    };
    let rows: BTreeMap<&str, &Stored<StoredBill>> =
        bills.iter().filter_map(|bill| Some((bill.value.number.as_deref()?, bill))).collect();
    for invoice in invoices {
        let number = invoice.id.as_str();
        let Some(row) = rows.get(number) else {
            report.findings.push(format!("invoice {number} stands in no list of bills"));
            continue;
        };
        let own = if row.value.status == Status::Voided || invoice.value.credit.is_some() {
            format!("{}/{number}", invoice.value.bill)
        } else {
            invoice.value.bill.clone()
        };
        if row.id != own {
            report.findings.push(format!("invoice {number} stands as bill {}, not as {own}", row.id));
        }
        if row.value.status == Status::Voided {
            let notes = row.value.receivable.iter().flat_map(|receivable| &receivable.credit_notes);
            let all: Option<i64> = notes.map(|note| total(&note.number)).chain([total(number)]).sum();
            if all != Some(0) {
                report.findings.push(format!("invoice {number} is voided, but its credit notes leave {all:?} of it"));
            }
        }
    }
    let there: BTreeSet<&str> = invoices.iter().map(|invoice| invoice.id.as_str()).collect();
    for (number, row) in rows.iter().filter(|(number, _)| !there.contains(**number)) {
        report.findings.push(format!("bill {} says it is invoice {number}, which is not there", row.id));
    }
}

/// Numbers and hashes of all series.
fn series(invoices: &[Stored<Invoice>], report: &mut Report) {
    let mut by_series: BTreeMap<(&str, u64), &Stored<Invoice>> = BTreeMap::new();
    for invoice in invoices {
        by_series.insert((&invoice.value.series, invoice.value.sequence), invoice);
    }
    let mut last: Option<(&str, u64, &str)> = None;
    for ((series, sequence), invoice) in by_series {
        let (before, previous) = match last {
            Some((same, before, hash)) if same == series => (before, hash),
            _ => (0, ""),
        };
        if sequence != before + 1 {
            let missing = format!("series '{series}' has no number {} but goes on with {sequence}", before + 1);
            report.findings.push(missing);
        }
        linked(invoice, previous, report);
        last = Some((series, sequence, &invoice.value.hash));
    }
}

/// A document's hash, and that it names the one before.
fn linked(invoice: &Stored<Invoice>, previous: &str, report: &mut Report) {
    let value = &invoice.value;
    if value.previous != previous {
        report.findings.push(format!("invoice {}: its chain names another document before it", invoice.id));
    }
    if chained_hash(&value.previous, &value.canonical) != value.hash {
        report.findings.push(format!("invoice {}: its bytes are not those that were issued", invoice.id));
    }
}
