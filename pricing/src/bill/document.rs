//! A bill as JSON, which says everything that documents are made from.

use super::{Bill, CreditUse, Kind, Line, Party};
use crate::catalog::entity::{Address, Contact, Seller};
use crate::currency::{Currency, Rounding};
use crate::group::Group;
use crate::id::{CustomerId, MeterId, PriceId, SubscriptionId};
use crate::number::{Amount, Minor, Quantity, Rate};
use crate::period::Period;

/// Where a document is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the design's own words
pub enum Status {
    Draft,
    Approved,
    Issued,
    Paid,
    WrittenOff,
    Void,
}

/// Whether money is asked for or given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// Asked for.
    #[default]
    Invoice,
    /// Given back: its sums are below zero, or nothing is left of them.
    CreditNote,
}

/// What issuing adds to a bill.
#[derive(Clone, Copy, Debug)]
pub struct Issue<'a> {
    /// What is issued.
    pub kind: DocumentKind,
    /// In the seller's series.
    pub number: &'a str,
    /// Who sells, where that is known.
    pub seller: Option<&'a Seller>,
    /// The day, in the customer's calendar, such as `2026-02-02`.
    pub issue_date: &'a str,
    /// Until when it is to be paid; none without terms.
    pub due_date: Option<&'a str>,
    /// It comes from a test system.
    pub test: bool,
    /// The document that it takes back or puts right.
    pub corrects: Option<&'a Corrects>,
}

/// An earlier document.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Corrects {
    /// Its number.
    pub number: String,
    /// Its day of issue.
    pub issue_date: String,
    /// Why, where a person said so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The document's fields, in their order.
#[derive(serde::Serialize)]
struct Shape<'a> {
    id: &'a str,
    number: Option<&'a str>,
    status: Status,
    kind: DocumentKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    issue_date: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_date: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    corrects: Option<&'a Corrects>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seller: Option<SellerShape<'a>>,
    customer: &'a CustomerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    buyer: Option<Buyer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<&'a str>,
    currency: Currency,
    period: Period,
    lines: Vec<LineShape<'a>>,
    net_exact: Amount,
    net: String,
    rounding_residue: Amount,
    taxes: Vec<TaxShape<'a>>,
    total: String,
    prepaid: String,
    due: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    credits: &'a [CreditUse],
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_currency: Option<TaxCurrency>,
}

/// Who sells: what the catalog says of it but its series and terms, which others have used already.
#[derive(serde::Serialize)]
struct SellerShape<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Address::is_empty")]
    address: &'a Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    vat_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration: Option<&'a str>,
    #[serde(skip_serializing_if = "Contact::is_empty")]
    contact: &'a Contact,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iban: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo: Option<&'a str>,
}

/// All tax of the bill in the seller's own currency.
#[derive(serde::Serialize)]
struct TaxCurrency {
    currency: Currency,
    /// What one unit of the bill's currency is worth in it; none where finance has not stated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax: Option<String>,
}

/// Who is billed, where more than the id is known.
#[derive(serde::Serialize)]
struct Buyer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Address::is_empty")]
    address: &'a Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    vat_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
}

#[derive(serde::Serialize)]
struct LineShape<'a> {
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<&'a SubscriptionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<&'a PriceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meter: Option<&'a MeterId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a Group>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<Period>,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    each: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measure: Option<&'a str>,
    amount_exact: Amount,
    amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax: Option<LineTax<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    corrects_line: Option<u32>,
}

#[derive(serde::Serialize)]
struct LineTax<'a> {
    category: &'a str,
    rate: Rate,
}

#[derive(serde::Serialize)]
struct TaxShape<'a> {
    category: &'a str,
    rate: Rate,
    net: String,
    tax: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// The canonical JSON of one document, compact, in fixed key order: the element of `invoices` in `invoices show` and
/// `rate`. `number` is null while there is none; `kind` is `invoice` or `credit_note`.
///
/// What is not always there: `seller` and `buyer` (of whom more than the id is known), `time_zone` (another than UTC),
/// `credits` (those of the customer that count on it), `tax_currency` (the seller's own is another), `period` of a line
/// (another than the bill's), `reason` of a tax, `corrects_line` of a credit note's line.
pub fn document(bill: &Bill, seller: Option<&Seller>, status: Status, test: bool) -> String {
    Shape { test, ..Shape::new(bill, seller, status) }.text()
}

/// The same of an issued bill, with what issuing adds: the bytes that never change.
pub fn issued(bill: &Bill, issue: &Issue<'_>) -> String {
    let shape = Shape {
        number: Some(issue.number),
        kind: issue.kind,
        issue_date: Some(issue.issue_date),
        due_date: issue.due_date,
        test: issue.test,
        corrects: issue.corrects,
        ..Shape::new(bill, issue.seller, Status::Issued)
    };
    shape.text()
}

// === impl DocumentKind ===

impl DocumentKind {
    /// What a bill is by its total: below zero it is a credit note.
    pub fn of(bill: &Bill) -> Self {
        if bill.total.0 < 0 { Self::CreditNote } else { Self::Invoice }
    }
}

// === impl Shape ===

impl<'a> Shape<'a> {
    fn new(bill: &'a Bill, seller: Option<&'a Seller>, status: Status) -> Self {
        let money = |minor| bill.currency.text(minor);
        let taxes = bill.taxes.iter().map(|tax| TaxShape {
            category: &tax.tax.category,
            rate: tax.tax.rate,
            net: money(tax.net),
            tax: money(tax.amount),
            reason: tax.tax.reason.as_deref(),
        });
        Self {
            id: &bill.id,
            number: None,
            status,
            kind: DocumentKind::of(bill),
            issue_date: None,
            due_date: None,
            test: false,
            corrects: None,
            seller: seller.map(SellerShape::of),
            customer: &bill.party.id,
            buyer: Buyer::of(&bill.party),
            language: bill.party.language.as_deref(),
            time_zone: Some(bill.party.time_zone.name()).filter(|name| *name != "UTC"),
            currency: bill.currency,
            period: bill.period,
            lines: bill.lines.iter().map(|line| LineShape::new(line, bill)).collect(),
            net_exact: bill.net_exact,
            net: money(bill.net),
            rounding_residue: bill.rounding_residue,
            taxes: taxes.collect(),
            total: money(bill.total),
            prepaid: money(bill.prepaid),
            due: money(bill.due),
            credits: &bill.credits,
            tax_currency: TaxCurrency::of(bill, seller),
        }
    }

    fn text(&self) -> String {
        // Text keys and text values only: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl<'a> SellerShape<'a> {
    fn of(seller: &'a Seller) -> Self {
        Self {
            id: seller.id.as_str(),
            name: seller.name.as_deref(),
            address: &seller.address,
            vat_id: seller.vat_id.as_deref(),
            registration: seller.registration.as_deref(),
            contact: &seller.contact,
            endpoint: seller.endpoint.as_deref(),
            iban: seller.iban.as_deref(),
            bic: seller.bic.as_deref(),
            logo: seller.logo.as_deref(),
        }
    }
}

impl TaxCurrency {
    /// None where the bill is in the seller's own currency, or has no tax.
    fn of(bill: &Bill, seller: Option<&Seller>) -> Option<Self> {
        let seller = seller?;
        let currency = seller.currency.filter(|own| *own != bill.currency)?;
        let tax = bill.taxes.iter().map(|tax| tax.amount.0).sum::<i64>();
        if tax == 0 {
            return None;
        }
        let rate = seller.exchange_rates.get(&bill.currency).copied();
        let exact = rate.and_then(|rate| bill.currency.exact(Minor(tax)).ok()?.times_rate(rate).ok());
        let tax = exact.and_then(|exact| currency.round(exact, Rounding::HalfAway).ok());
        Some(Self { currency, rate, tax: tax.map(|tax| currency.text(tax)) })
    }
}

impl<'a> Buyer<'a> {
    fn of(party: &'a Party) -> Option<Self> {
        let buyer = Self {
            name: party.name.as_deref(),
            address: &party.address,
            vat_id: party.vat_id.as_deref(),
            email: party.email.as_deref(),
            reference: party.reference.as_deref(),
            endpoint: party.endpoint.as_deref(),
        };
        let texts = [buyer.name, buyer.vat_id, buyer.email, buyer.reference, buyer.endpoint];
        (texts.iter().any(Option::is_some) || !buyer.address.is_empty()).then_some(buyer)
    }
}

impl<'a> LineShape<'a> {
    fn new(line: &'a Line, bill: &Bill) -> Self {
        Self {
            kind: line.kind,
            subscription: line.subscription.as_ref(),
            price: line.price.as_ref(),
            meter: line.meter.as_ref(),
            group: line.group.as_ref(),
            tier: line.tier,
            period: line.period.filter(|period| *period != bill.period),
            description: &line.description,
            quantity: line.quantity,
            each: line.each,
            per: line.per,
            measure: line.measure.as_deref(),
            amount_exact: line.amount_exact,
            amount: bill.currency.text(line.amount),
            tax: line.tax.as_ref().map(|tax| LineTax { category: &tax.category, rate: tax.rate }),
            corrects_line: line.corrects_line,
        }
    }
}
