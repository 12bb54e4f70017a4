//! A bill as JSON and CSV.

use super::{Bill, Kind, Line, Party};
use crate::catalog::entity::Address;
use crate::currency::Currency;
use crate::group::Group;
use crate::id::{CustomerId, MeterId, PriceId, SubscriptionId};
use crate::number::{Amount, Quantity, Rate};
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

/// The document's fields, in their order.
#[derive(serde::Serialize)]
struct Shape<'a> {
    id: &'a str,
    number: Option<&'a str>,
    status: Status,
    customer: &'a CustomerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    buyer: Option<Buyer<'a>>,
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
    amount_exact: Amount,
    amount: String,
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
/// `rate`. `number` is null while there is none. What is not always there: `buyer` (of whom more than the id is known),
/// `time_zone` (another than UTC), `period` of a line (another than the bill's), `reason` of a tax.
pub fn document(bill: &Bill, number: Option<&str>, status: Status) -> String {
    let money = |minor| bill.currency.text(minor);
    let taxes = bill.taxes.iter().map(|tax| TaxShape {
        category: &tax.tax.category,
        rate: tax.tax.rate,
        net: money(tax.net),
        tax: money(tax.amount),
        reason: tax.tax.reason.as_deref(),
    });
    let shape = Shape {
        id: &bill.id,
        number,
        status,
        customer: &bill.party.id,
        buyer: Buyer::of(&bill.party),
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
    };
    // Text keys and text values only: this cannot fail.
    serde_json::to_string(&shape).unwrap_or_default()
}

impl<'a> Buyer<'a> {
    fn of(party: &'a Party) -> Option<Self> {
        let buyer = Self { name: party.name.as_deref(), address: &party.address, vat_id: party.vat_id.as_deref() };
        let known = buyer.name.is_some() || buyer.vat_id.is_some() || !buyer.address.is_empty();
        known.then_some(buyer)
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
            amount_exact: line.amount_exact,
            amount: bill.currency.text(line.amount),
        }
    }
}

const COLUMNS: &str = "invoice,number,customer,currency,start,end,kind,subscription,price,meter,group,tier,description,\
                       quantity,each,per,amount_exact,amount,tax_category,tax_rate\r\n";

/// The lines as CSV with a header line, RFC 4180: one row a line, what a line has not got left empty.
pub fn csv(bill: &Bill, number: Option<&str>) -> String {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let mut out = COLUMNS.to_owned();
    for line in &bill.lines {
        let fields = [
            bill.id.clone(),
            text(number),
            bill.party.id.to_string(),
            bill.currency.to_string(),
            bill.period.start.to_string(),
            bill.period.end.to_string(),
            line.kind.word().to_owned(),
            text(line.subscription.as_ref()),
            text(line.price.as_ref()),
            text(line.meter.as_ref()),
            text(line.group.as_ref()),
            text(line.tier),
            line.description.clone(),
            text(line.quantity),
            text(line.each),
            text(line.per),
            line.amount_exact.to_string(),
            bill.currency.text(line.amount),
            text(line.tax.as_ref().map(|tax| &tax.category)),
            text(line.tax.as_ref().map(|tax| tax.rate)),
        ];
        out.push_str(&fields.each_ref().map(|field| quoted(field)).join(","));
        out.push_str("\r\n");
    }
    out
}

/// A field as RFC 4180 wants it.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
