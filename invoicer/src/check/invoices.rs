//! Invoices: numbers without gaps, hashes that chain, charges that add up, documents that come out the same.

use super::{Check, Report};
use crate::close::{Curves, Desk, Error, chained_hash, first_difference, period_key, recount, usage_of};
use crate::ledger::{self, Filter, Invoice, Status, Stored, StoredBill};
use pricing::bill;
use pricing::currency::Currency;
use pricing::id::TenantId;
use pricing::time::Instant;
use std::collections::BTreeMap;
use storage::charges::{self, PeriodKey};

// === impl Check ===

impl Check {
    /// Every invoice and every open bill of a tenant.
    pub(super) async fn every_invoice(&self, tenant: &TenantId, report: &mut Report) -> Result<(), Error> {
        let desk = ledger::desk(&self.ledger, tenant).await?;
        let invoices = self.ledger.all::<Invoice>(Some(tenant), &Filter::default()).await?;
        series(&invoices, report);
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
        match self.compare(tenant, desk, invoice, report).await {
            Err(Error::Charges(error @ (charges::Error::Damaged { .. } | charges::Error::Overflow { .. }))) => {
                report.findings.push(format!("invoice {}: {error}", invoice.id));
                Ok(())
            }
            told => told,
        }
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
    let issue_date = basis.party.time_zone.date(invoice.value.issued).to_string();
    let issue = bill::Issue {
        kind: bill::DocumentKind::of(&prepared.bill),
        number: &invoice.id,
        seller: basis.seller.as_ref(),
        issue_date: &issue_date,
        due_date: invoice.value.due_date.as_deref(),
        test: invoice.value.test,
        corrects: basis.corrects.as_ref(),
    };
    let again = bill::issued(&prepared.bill, &issue);
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
