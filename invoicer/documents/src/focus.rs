//! Issued documents as a FOCUS 1.2 dataset (FinOps Open Cost and Usage Specification, Cost and Usage), as the customers of a
//! seller load it: a row for each line, for each tax, and for prepaid money.
//!
//! | row | `ChargeCategory` | `ChargeFrequency` |
//! |---|---|---|
//! | usage | Usage | Usage-Based |
//! | fee | Purchase | Recurring |
//! | discount, credit, prepaid money | Credit | One-Time |
//! | up to a minimum, up to a commitment | Adjustment | Recurring |
//! | rounding, late usage | Adjustment | One-Time |
//! | tax | Tax | One-Time |
//!
//! `BilledCost` is what is printed: all rows of an `InvoiceId` come to what is to be paid, those of its lines to its net. What
//! was reckoned before any rounding is `x_ExactCost`; where there is a unit price, it is `ListCost` and `ContractedCost`, too,
//! as their rules want it. Late usage, and all rows of a credit note on an earlier document, are of `ChargeClass` Correction.
//!
//! A document knows what was agreed, and not what others pay: list and contracted prices are the same.

use crate::Error;
use crate::canonical::{Line, Shape, Tax};
use crate::csv::quoted;
use crate::invoice::Invoice;
use jiff::civil::Date;
use pricing::bill::Kind;
use pricing::currency::{Currency, Rounding};
use pricing::number::{Amount, Quantity};
use pricing::period::Period;
use pricing::time::Instant;
use std::fmt::Display;

/// The columns that every dataset has, those that apply to a seller with a price list, negotiated prices, measured usage and
/// subscriptions, and Farthing's own.
pub const COLUMNS: [&str; 46] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "x_BillId",
    "x_CorrectedInvoiceId",
    "x_ExactCost",
    "x_Group",
    "x_LineId",
    "x_LineKind",
    "x_PriceId",
    "x_TaxCategory",
    "x_TaxRate",
    "x_Test",
    "x_Tier",
];

/// The row of names.
pub fn header() -> String {
    COLUMNS.join(",") + "\r\n"
}

/// The rows of one document, and its day of issue. Who sells is `issuer` where the document names nobody.
///
/// # Errors
/// See [`Error`].
pub fn rows(canonical: &str, issuer: &str) -> Result<(Date, String), Error> {
    let invoice = Invoice::read(canonical)?;
    let (issued, number) =
        invoice.issue_date.zip(invoice.number).ok_or_else(|| Error::NotIssued(invoice.id.clone()))?;
    let shape = Shape::read(canonical)?;
    let seller = shape.seller.as_ref().and_then(|seller| seller.name.as_deref()).unwrap_or(issuer);
    let document = Document { shape: &shape, number: &number, seller, period: billing_period(&shape)? };
    let mut out = String::new();
    let mut write = |charge: &Charge<'_>| {
        let fields = document.fields(charge).each_ref().map(|field| quoted(field));
        out.push_str(&fields.join(","));
        out.push_str("\r\n");
    };
    for (index, line) in shape.lines.iter().enumerate() {
        write(&document.line(index, line)?);
    }
    for (index, tax) in shape.taxes.iter().enumerate() {
        write(&document.tax(index, tax)?);
    }
    if let Some(prepaid) = document.prepaid()? {
        write(&prepaid);
    }
    Ok((issued, out))
}

/// What all rows of a document share.
struct Document<'a> {
    shape: &'a Shape,
    number: &'a str,
    seller: &'a str,
    period: Period,
}

/// What a row is about.
struct Charge<'a> {
    /// What it is known by within the document.
    part: String,
    /// Farthing's own word for it.
    kind: &'a str,
    category: &'static str,
    frequency: &'static str,
    /// It puts right what an earlier document billed.
    is_correction: bool,
    description: &'a str,
    period: Period,
    /// As printed.
    billed: String,
    exact: Amount,
    sku: Option<Sku<'a>>,
    line: Option<&'a Line>,
    /// Category and rate.
    tax: Option<(&'a str, String)>,
}

/// What is sold, at which price.
struct Sku<'a> {
    id: &'a str,
    meter: &'a str,
    price: String,
    /// How many, at how much each, in what.
    priced: Option<(Quantity, Amount, &'a str)>,
}

// === impl Document ===

impl<'a> Document<'a> {
    fn line(&self, index: usize, line: &'a Line) -> Result<Charge<'a>, Error> {
        let (category, frequency) = match line.kind {
            Kind::Usage => ("Usage", "Usage-Based"),
            Kind::Fee => ("Purchase", "Recurring"),
            Kind::Discount | Kind::Credit => ("Credit", "One-Time"),
            Kind::Minimum | Kind::Commitment => ("Adjustment", "Recurring"),
            Kind::Rounding | Kind::Adjustment => ("Adjustment", "One-Time"),
        };
        let is_correction = self.shape.corrects.is_some() || line.kind == Kind::Adjustment;
        Ok(Charge {
            part: index.saturating_add(1).to_string(),
            kind: line.kind.word(),
            category,
            frequency,
            is_correction,
            description: &line.description,
            period: line.period.filter(|period| period.start < period.end).unwrap_or(self.period),
            billed: line.amount.clone(),
            exact: line.amount_exact,
            sku: sku(line, is_correction)?,
            line: Some(line),
            tax: line.tax.as_ref().map(|tax| (tax.category.as_str(), tax.rate.to_string())),
        })
    }

    fn tax(&self, index: usize, tax: &'a Tax) -> Result<Charge<'a>, Error> {
        let charge = self.plain(format!("tax-{}", index.saturating_add(1)), ("tax", "Tax"), "Tax", &tax.tax)?;
        Ok(Charge {
            description: tax.reason.as_deref().unwrap_or("Tax"),
            tax: Some((&tax.category, tax.rate.to_string())),
            ..charge
        })
    }

    /// What prepaid money takes off, so that the rows come to what is to be paid.
    fn prepaid(&self) -> Result<Option<Charge<'a>>, Error> {
        let taken = exact(&self.shape.prepaid)?;
        if taken.is_zero() {
            return Ok(None);
        }
        let off = printed(self.shape.currency, taken.neg())?;
        self.plain("prepaid".to_owned(), ("prepaid", "Credit"), "Prepaid money", &off).map(Some)
    }

    /// A row of the whole document that is nothing but an amount.
    fn plain(
        &self,
        part: String,
        (kind, category): (&'a str, &'static str),
        description: &'a str,
        amount: &str,
    ) -> Result<Charge<'a>, Error> {
        Ok(Charge {
            part,
            kind,
            category,
            frequency: "One-Time",
            is_correction: self.shape.corrects.is_some(),
            description,
            period: self.period,
            billed: amount.to_owned(),
            exact: exact(amount)?,
            sku: None,
            line: None,
            tax: None,
        })
    }

    fn fields(&self, charge: &Charge<'_>) -> [String; COLUMNS.len()] {
        let (shape, line) = (self.shape, charge.line);
        let (sku, priced) = (charge.sku.as_ref(), charge.sku.as_ref().and_then(|sku| sku.priced));
        // The product of price and quantity, which no rounding has touched; else what is billed.
        let cost = if priced.is_some() { charge.exact.to_string() } else { charge.billed.clone() };
        let used = priced.filter(|_| charge.category == "Usage");
        let price = text(priced.map(|(_, each, _)| each));
        let subscription = text(line.and_then(|line| line.subscription.as_ref()));
        [
            charge.billed.clone(),
            shape.customer.clone(),
            shape.buyer.name.clone().unwrap_or_else(|| shape.customer.clone()),
            shape.currency.to_string(),
            self.period.end.to_string(),
            self.period.start.to_string(),
            charge.category.to_owned(),
            if charge.is_correction { "Correction" } else { "" }.to_owned(),
            charge.description.to_owned(),
            charge.frequency.to_owned(),
            charge.period.end.to_string(),
            charge.period.start.to_string(),
            text(used.map(|(quantity, _, _)| quantity)),
            text(used.map(|(_, _, unit)| unit)),
            cost.clone(),
            price.clone(),
            charge.billed.clone(),
            self.number.to_owned(),
            self.seller.to_owned(),
            cost,
            price,
            text(sku.map(|_| "Standard")),
            text(priced.map(|(quantity, _, _)| quantity)),
            text(priced.map(|(_, _, unit)| unit)),
            self.seller.to_owned(),
            self.seller.to_owned(),
            "Other".to_owned(),
            self.seller.to_owned(),
            "Other (Other)".to_owned(),
            text(sku.map(|sku| sku.id)),
            text(sku.map(|sku| sku.meter)),
            // What tells prices of one thing apart is their ids.
            String::new(),
            text(sku.map(|sku| &sku.price)),
            subscription.clone(),
            subscription,
            shape.id.clone(),
            text(shape.corrects.as_ref().map(|earlier| &earlier.number)),
            charge.exact.to_string(),
            line.and_then(|line| line.group.as_ref())
                .and_then(|group| serde_json::to_string(group).ok())
                .unwrap_or_default(),
            format!("{}/{}", self.number, charge.part),
            charge.kind.to_owned(),
            text(line.and_then(|line| line.price.as_ref())),
            text(charge.tax.as_ref().map(|(category, _)| category)),
            text(charge.tax.as_ref().map(|(_, rate)| rate)),
            shape.test.to_string(),
            text(line.and_then(|line| line.tier)),
        ]
    }
}

/// What a line sells: usage by its price, and a tier of it; a fee by its name, which is what its text begins with.
fn sku(line: &Line, is_correction: bool) -> Result<Option<Sku<'_>>, Error> {
    let id = match (line.kind, &line.price) {
        (Kind::Usage, Some(price)) => price.as_str(),
        (Kind::Usage | Kind::Fee, _) => line.description.split(", ").next().unwrap_or_default(),
        _ => return Ok(None),
    };
    let price = line.tier.map_or_else(|| id.to_owned(), |tier| format!("{id}/{tier}"));
    let whole = (Quantity::ONE, line.amount_exact);
    let priced = match line.quantity.zip(line.each) {
        Some((quantity, each)) => Some((quantity, each_of_one(each, line.per)?)),
        // A part of a line that is given back is no number of anything.
        None if is_correction => None,
        None => Some(whole),
    };
    let unit = line.measure.as_deref().map_or("Units", unit);
    // Prices are never below zero: what is below is a number of them.
    let above = |(quantity, each): (Quantity, Amount)| {
        if each.is_negative() { (quantity.neg(), each.neg(), unit) } else { (quantity, each, unit) }
    };
    let meter = line.meter.as_deref().unwrap_or(id);
    Ok(Some(Sku { id, meter, price, priced: priced.map(above) }))
}

/// The price of one unit, where it is said for so many.
fn each_of_one(each: Amount, per: Option<Quantity>) -> Result<Amount, Error> {
    let Some(per) = per else { return Ok(each) };
    each.scale_by(Quantity::ONE.raw(), per.raw()).map_err(|error| Error::Unreadable(error.to_string()))
}

/// Codes of UN/ECE recommendation 20 in the words of FOCUS; others stay as they are.
fn unit(code: &str) -> &str {
    match code {
        "C62" | "EA" => "Units",
        "SEC" => "Seconds",
        "MIN" => "Minutes",
        "HUR" => "Hours",
        "DAY" => "Days",
        "MON" => "Months",
        "ANN" => "Years",
        "AD" => "B",
        "2P" => "KB",
        "4L" => "MB",
        "E34" => "GB",
        "E35" => "TB",
        other => other,
    }
}

/// The bill's period. One that settles none is of the time of its lines, or else, opening a subscription, of its first day.
fn billing_period(shape: &Shape) -> Result<Period, Error> {
    if shape.period.start < shape.period.end {
        return Ok(shape.period);
    }
    let own = || shape.lines.iter().filter_map(|line| line.period).filter(|period| period.start < period.end);
    let bounds = own().map(|period| period.start).min().zip(own().map(|period| period.end).max());
    if let Some((start, end)) = bounds {
        return Ok(Period { start, end });
    }
    let unreadable = |why: String| Error::Unreadable(format!("the bill's period: {why}"));
    let start = shape.period.start;
    let end =
        start.to_jiff().checked_add(jiff::Span::new().hours(24)).map_err(|error| unreadable(error.to_string()))?;
    let end = Instant::from_jiff(end).map_err(|error| unreadable(error.to_string()))?;
    Ok(Period { start, end })
}

fn exact(amount: &str) -> Result<Amount, Error> {
    amount.parse().map_err(|error: pricing::number::Error| Error::Unreadable(format!("'{amount}': {error}")))
}

fn printed(currency: Currency, amount: Amount) -> Result<String, Error> {
    let minor = currency.round(amount, Rounding::HalfEven);
    minor.map(|minor| currency.text(minor)).map_err(|error| Error::Unreadable(error.to_string()))
}

fn text(value: Option<impl Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
