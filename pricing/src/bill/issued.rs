//! An issued document, read again from its canonical JSON: what credit notes are made from.

use super::{CreditUse, Kind, Line, Tax, TaxTotal};
use crate::currency::{Currency, Rounding};
use crate::group::Group;
use crate::id::{MeterId, PriceId, SubscriptionId};
use crate::number::{Amount, Minor, Quantity, Rate};
use crate::period::Period;
use std::sync::Arc;

/// What an issued document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The bill's id.
    pub id: String,
    /// In its series.
    pub number: String,
    /// The day of issue.
    pub issue_date: String,
    /// What its sums are in.
    pub currency: Currency,
    /// From the first start to the common end of its periods.
    pub period: Period,
    /// In their order.
    pub lines: Vec<Line>,
    /// Once for each category and rate.
    pub taxes: Vec<TaxTotal>,
    /// `net_exact − net`: its part of the rounding account.
    pub rounding_residue: Amount,
    /// With tax.
    pub total: Minor,
    /// Prepaid money taken off.
    pub prepaid: Minor,
    /// What is to be paid; below zero, to be given back.
    pub due: Minor,
    /// The credits that it tells of.
    pub credits: Vec<CreditUse>,
}

/// The text is no document that was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document cannot be read: {0}")]
pub struct Unreadable(pub String);

#[derive(serde::Deserialize)]
struct Shape {
    id: String,
    number: Option<String>,
    issue_date: Option<String>,
    currency: Currency,
    period: Period,
    lines: Vec<LineShape>,
    rounding_residue: Amount,
    taxes: Vec<TaxShape>,
    total: String,
    prepaid: String,
    due: String,
    #[serde(default)]
    credits: Vec<CreditUse>,
}

#[derive(serde::Deserialize)]
struct LineShape {
    kind: Kind,
    subscription: Option<SubscriptionId>,
    price: Option<PriceId>,
    meter: Option<MeterId>,
    group: Option<Group>,
    tier: Option<u32>,
    period: Option<Period>,
    description: String,
    quantity: Option<Quantity>,
    each: Option<Amount>,
    per: Option<Quantity>,
    measure: Option<Arc<str>>,
    amount_exact: Amount,
    amount: String,
    tax: Option<LineTax>,
    corrects_line: Option<u32>,
}

#[derive(serde::Deserialize)]
struct LineTax {
    category: Arc<str>,
    rate: Rate,
}

#[derive(serde::Deserialize)]
struct TaxShape {
    category: Arc<str>,
    rate: Rate,
    net: String,
    tax: String,
    reason: Option<Arc<str>>,
}

// === impl Issued ===

impl Issued {
    /// Reads the canonical JSON.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(canonical: &str) -> Result<Self, Unreadable> {
        let shape: Shape = serde_json::from_str(canonical).map_err(|error| Unreadable(error.to_string()))?;
        let money = |text: &str| printed(shape.currency, text);
        let mut taxes = Vec::with_capacity(shape.taxes.len());
        for TaxShape { category, rate, net, tax, reason } in shape.taxes {
            let (net, amount) = (money(&net)?, money(&tax)?);
            taxes.push(TaxTotal { tax: Tax { category, rate, reason }, net, amount });
        }
        let mut lines = Vec::with_capacity(shape.lines.len());
        for line in shape.lines {
            let amount = money(&line.amount)?;
            lines.push(line.read(amount, &taxes));
        }
        let missing = |what: &str| Unreadable(format!("it has no {what}: it was never issued"));
        Ok(Self {
            id: shape.id,
            number: shape.number.ok_or_else(|| missing("number"))?,
            issue_date: shape.issue_date.ok_or_else(|| missing("day of issue"))?,
            currency: shape.currency,
            period: shape.period,
            lines,
            rounding_residue: shape.rounding_residue,
            total: money(&shape.total)?,
            prepaid: money(&shape.prepaid)?,
            due: money(&shape.due)?,
            taxes,
            credits: shape.credits,
        })
    }
}

impl LineShape {
    /// The line; why there is no tax stands with the document's taxes.
    fn read(self, amount: Minor, taxes: &[TaxTotal]) -> Line {
        let tax = self.tax.map(|LineTax { category, rate }| {
            let same = |total: &&TaxTotal| (&total.tax.category, total.tax.rate) == (&category, rate);
            let known = taxes.iter().find(same).map(|total| total.tax.clone());
            known.unwrap_or(Tax { category, rate, reason: None })
        });
        Line {
            kind: self.kind,
            subscription: self.subscription,
            price: self.price,
            meter: self.meter,
            group: self.group,
            tier: self.tier,
            description: self.description,
            quantity: self.quantity,
            each: self.each,
            per: self.per,
            amount_exact: self.amount_exact,
            amount,
            tax,
            measure: self.measure,
            period: self.period,
            corrects_line: self.corrects_line,
        }
    }
}

/// Printed money: no more decimals than its currency has.
///
/// # Errors
/// [`Unreadable`] says what it should be like.
pub fn printed(currency: Currency, text: &str) -> Result<Minor, Unreadable> {
    let refused = |why: String| Unreadable(format!("'{text}' is no amount of {currency}: {why}"));
    let exact: Amount = text.parse().map_err(|error: crate::number::Error| refused(error.to_string()))?;
    let minor = currency.round(exact, Rounding::Down).map_err(|error| refused(error.to_string()))?;
    if currency.exact(minor) == Ok(exact) {
        return Ok(minor);
    }
    Err(refused(format!("it has {} decimals at most, such as {}", currency.decimals(), currency.text(Minor(100_050)))))
}
