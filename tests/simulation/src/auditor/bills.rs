//! Bills: printed parts add up, numbers run, and in all a customer pays what the model says.

use super::{Books, Broken, Checked, Invariant, broken, money};
use crate::calendar;
use crate::history::History;
use crate::model::rational;
use crate::sighting::{Sighting, Sightings};
use crate::workload::Workload;
use invoicer::ledger::Status;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

const HOUR: i64 = 3_600_000_000_000;

fn number(document: &Value, name: &str) -> Result<BigRational, Broken> {
    let text = document.get(name).and_then(Value::as_str);
    text.and_then(rational).ok_or_else(|| broken(Invariant::Mon3, format!("no number '{name}' in {document}")))
}

fn lines(document: &Value) -> &[Value] {
    document.get("lines").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn parse(text: &str) -> Result<Value, Broken> {
    serde_json::from_str(text).map_err(|error| broken(Invariant::Mon3, format!("{error}: {text}")))
}

/// Each document's lines sum to its total, each within one minor unit of exact, and the rounding account stays small.
pub(super) fn printed(books: &Books, workload: &Workload) -> Checked {
    let cent = cent();
    let mut accounts: BTreeMap<&str, BTreeMap<i64, BigRational>> = BTreeMap::new();
    let issued = books.invoices.values().map(|invoice| (invoice.bill.as_str(), invoice.canonical.as_str()));
    let skipped = books.bills.iter().filter(|(_, bill)| bill.status == Status::Skipped);
    let skipped = skipped.filter_map(|(id, bill)| Some((id.as_str(), bill.document.as_deref()?)));
    let mut taken_back = BTreeSet::new();
    for (id, text) in issued.chain(skipped) {
        let document = parse(text)?;
        let (mut sum, mut sum_exact) = (BigRational::zero(), BigRational::zero());
        for line in lines(&document) {
            let (amount, exact) = (number(line, "amount")?, number(line, "amount_exact")?);
            // On a credit note it is goodwill as any other line.
            let is_billed = line.get("corrects_line").is_none();
            let is_rounding = is_billed && line.get("kind").and_then(Value::as_str) == Some("rounding");
            if (&amount - &exact).abs() > cent || (is_rounding && !exact.is_zero()) {
                return Err(broken(Invariant::Mon3, format!("bill {id}: a line is printed too far off: {line}")));
            }
            sum += amount;
            sum_exact += exact;
        }
        let (net, net_exact) = (number(&document, "net")?, number(&document, "net_exact")?);
        let residue = number(&document, "rounding_residue")?;
        let total = number(&document, "total")?;
        let with_tax = &net + taxed(&document, workload.tax_included)?;
        if sum != net || sum_exact != net_exact || residue != &net_exact - &net || total != with_tax {
            return Err(broken(Invariant::Mon3, format!("bill {id} does not add up: {text}")));
        }
        let (customer, end) = name(books, id)?;
        *accounts.entry(customer).or_default().entry(end).or_default() += residue;
        if document.get("corrects").is_some_and(|corrects| corrects.get("reason").is_some()) {
            taken_back.insert(customer);
        }
    }
    for (customer, residues) in accounts {
        let mut account = BigRational::zero();
        for (end, residue) in residues {
            account += residue;
            // Between a void and the bill that is made again, a part of the account is missing.
            if account.abs() >= cent && !taken_back.contains(customer) {
                let what = format!("customer {customer}: the rounding account holds {account} after the bill of {end}");
                return Err(broken(Invariant::Mon3, what));
            }
        }
    }
    Ok(())
}

fn cent() -> BigRational {
    BigRational::new(1.into(), 100.into())
}

/// What a customer's documents have rounded off in all is less than a cent, whatever was taken back and made again.
fn rounded(books: &Books, customer: &str) -> Checked {
    let own = |id: &str| books.bills.get(id).is_some_and(|bill| bill.customer.as_str() == customer);
    let issued = books.invoices.values().filter(|invoice| own(&invoice.bill));
    let skipped = books.bills.iter().filter(|(id, bill)| own(id) && bill.status == Status::Skipped);
    let skipped = skipped.filter_map(|(_, bill)| bill.document.as_deref());
    let mut account = BigRational::zero();
    for text in issued.map(|invoice| invoice.canonical.as_str()).chain(skipped) {
        account += number(&parse(text)?, "rounding_residue")?;
    }
    if account.abs() < cent() {
        return Ok(());
    }
    Err(broken(Invariant::Mon3, format!("customer {customer}: in all {account} was rounded off")))
}

/// A document's tax: once for each rate, on the printed sums under it.
fn taxed(document: &Value, included: bool) -> Result<BigRational, Broken> {
    let mut sum = BigRational::zero();
    for tax in document.get("taxes").and_then(Value::as_array).into_iter().flatten() {
        let (net, rate, found) = (number(tax, "net")?, number(tax, "rate")?, number(tax, "tax")?);
        if document.get("corrects").is_some_and(|corrects| corrects.get("reason").is_some()) {
            // Of a part of an invoice: what is left of its tax is what is left of the invoice's.
            sum += found;
            continue;
        }
        let one = BigRational::from_integer(1.into());
        let exact = if included { (net + &found) * &rate / (one + &rate) } else { net * rate };
        let hundred = BigRational::from_integer(100.into());
        // Half away from zero.
        if (&exact * &hundred).round() != &found * &hundred {
            return Err(broken(Invariant::Mon3, format!("the tax on {tax} should be {exact}")));
        }
        sum += found;
    }
    Ok(sum)
}

/// The customer and the end of a bill.
fn name<'a>(books: &'a Books, id: &str) -> Result<(&'a str, i64), Broken> {
    let bill = books.bills.get(id);
    let bill = bill.ok_or_else(|| broken(Invariant::Inv1, format!("an invoice of bill {id}, which is not there")))?;
    Ok((bill.customer.as_str(), bill.period.end.nanos()))
}

/// Numbers run without gaps, hashes chain, and of a bill one document stands; those that were voided leave nothing.
pub(super) fn numbered(books: &Books) -> Checked {
    let mut series: BTreeMap<&str, BTreeMap<u64, (&str, &invoicer::ledger::Invoice)>> = BTreeMap::new();
    let mut standing = BTreeSet::new();
    for (number, invoice) in &books.invoices {
        let apart = format!("{}/{number}", invoice.bill);
        let row = |id: &str, status| {
            books.bills.get(id).is_some_and(|bill| bill.status == status && bill.number.as_ref() == Some(number))
        };
        let stands = row(&invoice.bill, Status::Issued);
        let is_listed = match &invoice.credit {
            Some(_) => row(&apart, Status::Issued),
            None => stands || row(&apart, Status::Voided),
        };
        if !is_listed {
            let stored = books.bills.get(&invoice.bill);
            return Err(broken(Invariant::Inv1, format!("invoice {number} and its bill differ: {stored:?}")));
        }
        if invoice.credit.is_none() && stands && !standing.insert(&invoice.bill) {
            return Err(broken(Invariant::Inv1, format!("bill {} has two invoices", invoice.bill)));
        }
        if invoice.credit.is_none() && !stands {
            voided(books, number)?;
        }
        series.entry(&invoice.series).or_default().insert(invoice.sequence, (number, invoice));
    }
    let numbered = |bill: &&invoicer::ledger::StoredBill| matches!(bill.status, Status::Issued | Status::Voided);
    if books.bills.values().filter(numbered).count() != books.invoices.len() {
        return Err(broken(Invariant::Inv1, "an issued bill has no invoice"));
    }
    for (name, all) in series {
        let mut previous = "";
        for (expected, (sequence, (number, invoice))) in (1u64..).zip(all) {
            let digest = Sha256::new().chain_update(&invoice.previous).chain_update(&invoice.canonical).finalize();
            let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            if sequence != expected || invoice.previous != previous || invoice.hash != hash {
                let what = format!("series {name} breaks at {number}: {sequence}, expected {expected}");
                return Err(broken(Invariant::Inv1, what));
            }
            previous = &invoice.hash;
        }
    }
    Ok(())
}

/// An invoice that was voided and its credit notes come to nothing, exact and printed.
fn voided(books: &Books, invoice: &str) -> Checked {
    for name in ["net_exact", "net", "total"] {
        let mut sum = BigRational::zero();
        for (number, document) in &books.invoices {
            if number == invoice || document.credit.as_ref().is_some_and(|credit| credit.invoice == invoice) {
                sum += self::number(&parse(&document.canonical)?, name)?;
            }
        }
        if !sum.is_zero() {
            return Err(broken(Invariant::Inv1, format!("of the voided invoice {invoice}, {sum} is left as {name}")));
        }
    }
    Ok(())
}

/// What was seen of bills.
pub(super) fn sight(books: &Books, sightings: &mut Sightings) {
    for bill in books.bills.values() {
        if bill.reason.as_ref().is_some_and(|reason| reason.contains("parked")) {
            sightings.see(Sighting::HeldForParked);
        }
        if bill.again.is_some() {
            sightings.see(Sighting::MadeAgain);
        }
        if bill.status == Status::Skipped {
            sightings.see(Sighting::SkippedZero);
        }
    }
}

/// In all, each customer's bills come to what the model says; and every period that is over was billed.
pub(super) fn settled(books: &Books, workload: &Workload, history: &History) -> Checked {
    let log_time = history.log_time.values().copied().min().unwrap_or(0);
    for customer in &history.customers(workload) {
        let Some(first) = history.first_billed.get(&customer.id) else { continue };
        let own: BTreeMap<i64, &invoicer::ledger::StoredBill> = books
            .bills
            .values()
            .filter(|bill| bill.customer.as_str() == customer.id)
            .filter(|bill| matches!(bill.status, Status::Issued | Status::Skipped) && bill.corrects.is_none())
            .map(|bill| (bill.period.end.nanos(), bill))
            .collect();
        // Grace and review, and an hour for manifests that came late.
        for period in calendar::periods(customer, *first, log_time - 8 * HOUR) {
            if !own.contains_key(&period.end) {
                let end = pricing::time::Instant::from_nanos(period.end);
                let open: Vec<_> = books
                    .bills
                    .iter()
                    .filter(|(_, bill)| bill.customer.as_str() == customer.id && bill.status != Status::Issued)
                    .map(|(id, bill)| (id, bill.status, &bill.reason))
                    .collect();
                let what =
                    format!("customer {}: the period that ended {end} was never billed; open: {open:?}", customer.id);
                return Err(broken(Invariant::Liv1, what));
            }
        }
        rounded(books, &customer.id)?;
        let Some(until) = own.keys().last().copied() else { continue };
        let mut paid = BigRational::zero();
        for bill in own.values() {
            let document = match &bill.number {
                Some(number) => books.invoices.get(number).map(|invoice| invoice.canonical.as_str()),
                None => bill.document.as_deref(),
            };
            let document = parse(document.unwrap_or("{}"))?;
            paid += number(&document, "net_exact")?;
            if workload.tax_included {
                paid += number(&document, "total")? - number(&document, "net")?;
            }
        }
        let owed = money::owed(workload, history, customer, until);
        // Percentages, and shares of what they leave, are rounded at 10⁻²⁴ each.
        let rounded = BigRational::new(1.into(), BigInt::from(10).pow(20));
        if (&paid - &owed).abs() > rounded {
            let difference = (&paid - &owed) * BigRational::from_integer(BigInt::from(10).pow(24));
            let what = format!(
                "customer {}: the bills up to {} come to {paid}, the model to {owed}; {difference} units too much",
                customer.id,
                pricing::time::Instant::from_nanos(until)
            );
            return Err(broken(Invariant::Cls1, what));
        }
    }
    Ok(())
}

/// What the documents show of recovery.
pub(crate) fn sight_documents(books: &Books, workload: &Workload, history: &History, sightings: &mut Sightings) {
    for invoice in books.invoices.values() {
        let Ok(document) = parse(&invoice.canonical) else { continue };
        let is =
            |kind: &str| lines(&document).iter().any(|line| line.get("kind").and_then(Value::as_str) == Some(kind));
        if is("adjustment") {
            sightings.see(Sighting::LateAdjustment);
        }
        let said = |kind: &str, word: &str| {
            let of_kind = lines(&document).iter().filter(|line| line.get("kind").and_then(Value::as_str) == Some(kind));
            let mut texts = of_kind.filter_map(|line| line.get("description").and_then(Value::as_str));
            texts.any(|text| text.contains(word))
        };
        for (seen, sighting) in [
            (said("discount", ": cut"), Sighting::PriceDiscount),
            (said("discount", "cut") && !said("discount", ": cut"), Sighting::WholeDiscount),
            (said("credit", "unused"), Sighting::UnusedFee),
            (is("minimum"), Sighting::Minimum),
            (is("commitment"), Sighting::TrueUp),
            (document["taxes"].as_array().is_some_and(|taxes| taxes.len() > 1), Sighting::TwoTaxes),
            (workload.tax_included && document["total"] != document["net"], Sighting::TaxIncluded),
        ] {
            sightings.add(sighting, u64::from(seen));
        }
        if is("rounding") {
            sightings.see(Sighting::RoundingLine);
        }
        if number(&document, "total").is_ok_and(|total| total.is_negative()) {
            sightings.see(Sighting::CreditNote);
        }
        let Ok((customer, end)) = name(books, &invoice.bill) else { continue };
        let customers = history.customers(workload);
        let known = customers.iter().find(|known| known.id == customer);
        let first = history.first_billed.get(customer);
        let is_period = known.zip(first).is_some_and(|(known, first)| {
            *first == end || calendar::periods(known, *first, end).last().is_some_and(|period| period.end == end)
        });
        if !is_period {
            sightings.see(Sighting::FinalBill);
        }
    }
}
