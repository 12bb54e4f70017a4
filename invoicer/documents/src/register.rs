//! Issued documents as CSV, a row each. What a credit note gives back is below zero, so that sums are sums.

use crate::Error;
use crate::csv::quoted;
use crate::invoice::{Invoice, Kind};
use jiff::civil::Date;
use pricing::currency::Currency;
use pricing::number::Minor;
use std::collections::BTreeMap;

/// The row of names.
pub const COLUMNS: &str = "number,kind,issue_date,due_date,bill,customer,name,currency,from,until,net,tax,total,prepaid,due,left,corrects\r\n";

/// The row of names of [`accrual`].
const ACCRUAL: &str = "day,customer,currency,accrued,deferred\r\n";

/// The row of one document, of which so much is left to pay, and its day of issue.
///
/// # Errors
/// See [`Error`].
pub fn row(canonical: &str, left: Option<Minor>) -> Result<(Date, String), Error> {
    let invoice = Invoice::read(canonical)?;
    let issued = invoice.issue_date.ok_or_else(|| Error::NotIssued(invoice.id.clone()))?;
    let sign = if invoice.kind == Kind::CreditNote { -1 } else { 1 };
    let money = |amount: Minor| invoice.text(Minor(amount.0.saturating_mul(sign)));
    let date = |date: Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
    let tax = invoice.taxes.iter().fold(Minor(0), |sum, tax| Minor(sum.0.saturating_add(tax.amount.0)));
    let fields = [
        invoice.number.clone().unwrap_or_default(),
        if sign < 0 { "credit_note" } else { "invoice" }.to_owned(),
        issued.to_string(),
        date(invoice.due_date),
        invoice.id.clone(),
        invoice.customer.clone(),
        invoice.buyer.name.clone().unwrap_or_default(),
        invoice.currency.to_string(),
        date(invoice.days.map(|days| days.0)),
        date(invoice.days.map(|days| days.1)),
        money(invoice.net),
        money(tax),
        money(invoice.total),
        money(invoice.prepaid),
        money(invoice.due),
        left.map(|left| invoice.text(left)).unwrap_or_default(),
        invoice.corrects.as_ref().map(|(number, _)| number.clone()).unwrap_or_default(),
    ];
    Ok((issued, line(&fields)))
}

/// What is earned and not invoiced, and the other way round, as CSV. Both are above zero as long as nothing is odd.
pub fn accrual(day: Date, sums: &BTreeMap<(String, Currency), (Minor, Minor)>) -> String {
    let rows = sums.iter().map(|((customer, currency), (accrued, deferred))| {
        let deferred = currency.text(Minor(deferred.0.saturating_neg()));
        line(&[day.to_string(), customer.clone(), currency.to_string(), currency.text(*accrued), deferred])
    });
    std::iter::once(ACCRUAL.to_owned()).chain(rows).collect()
}

fn line(fields: &[String]) -> String {
    fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(",") + "\r\n"
}
