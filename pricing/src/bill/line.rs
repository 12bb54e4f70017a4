//! A bill and its lines.

use super::{CreditKind, Party, Tax};
use crate::currency::Currency;
use crate::group::Group;
use crate::id::{CreditId, MeterId, PriceId, SellerId, SubscriptionId};
use crate::number::{Amount, Minor, Quantity, Rate, grouped};
use crate::period::Period;

/// The content of a bill: all of a document but its number and status.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bill {
    /// `CUSTOMER/CURRENCY/END`.
    pub id: String,
    /// Who is billed.
    pub party: Party,
    /// Who sells all that is on it, where the plans or the customer name somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<SellerId>,
    /// What all its sums are in.
    pub currency: Currency,
    /// From the earliest start of the periods that it settles to its end; of no length where it settles none (an opening
    /// bill, a final one).
    pub period: Period,
    /// By subscription, each in its plan's order.
    pub lines: Vec<Line>,
    /// Σ of the lines, exact: before tax, also where the prices hold the tax.
    pub net_exact: Amount,
    /// Σ of the lines as printed.
    pub net: Minor,
    /// `net_exact − net`: what this bill adds to the customer's rounding account.
    pub rounding_residue: Amount,
    /// Once for each category and rate.
    pub taxes: Vec<TaxTotal>,
    /// With tax.
    pub total: Minor,
    /// Prepaid money taken off.
    pub prepaid: Minor,
    /// What is to be paid.
    pub due: Minor,
    /// The customer's credits that count on it: how much it takes of each, and what is left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credits: Vec<CreditUse>,
    /// True where every printed sum is zero: counted as invoiced, but issued only when asked.
    pub zero: bool,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Line {
    /// What it is.
    pub kind: Kind,
    /// Whose, where it is one subscription's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionId>,
    /// The price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceId>,
    /// Its meter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<MeterId>,
    /// The group, for prices that are applied inside each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// The tier, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<u32>,
    /// What a reader is told.
    pub description: String,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// At what price: as exact as an amount, since a line may be 1 × amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Amount>,
    /// For how many units `each` is, where not for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Quantity>,
    /// Exact, before tax.
    pub amount_exact: Amount,
    /// As printed.
    pub amount: Minor,
    /// The tax that it falls under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Tax>,
    /// The unit's code on documents, such as DAY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<std::sync::Arc<str>>,
    /// Whose usage it settles, where it settles one period's: the bill's own, or another of a bill that settles several,
    /// or one that an earlier bill settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// On a credit note: which line of the invoice it gives back, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects_line: Option<u32>,
}

/// What a bill takes of a credit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CreditUse {
    /// Which.
    pub id: CreditId,
    /// Where it counts.
    pub kind: CreditKind,
    /// How much, exact; below zero on a credit note, which gives it back.
    pub used: Amount,
    /// What is left of it, this bill counted; not told by a credit note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Amount>,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What was used.
    Usage,
    /// A fixed fee.
    Fee,
    /// Up to the minimum of a price.
    Minimum,
    /// Up to the minimum spend.
    Commitment,
    /// Something off.
    Discount,
    /// Money given back or given: the unused part of an advance fee, a promotional credit.
    Credit,
    /// A whole minor unit out of the rounding account.
    Rounding,
    /// What a period already invoiced settles differently now.
    Adjustment,
}

/// The tax of one category and rate.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TaxTotal {
    /// Which.
    #[serde(flatten)]
    pub tax: Tax,
    /// Σ of its lines as printed.
    pub net: Minor,
    /// The tax on it.
    #[serde(rename = "tax")]
    pub amount: Minor,
}

impl Line {
    /// A line of no subscription that is nothing but an amount, not yet rounded.
    pub(crate) fn plain(kind: Kind, description: String, amount_exact: Amount, tax: Option<Tax>) -> Self {
        Self {
            kind,
            subscription: None,
            price: None,
            meter: None,
            group: None,
            tier: None,
            description,
            quantity: None,
            each: None,
            per: None,
            amount_exact,
            amount: Minor(0),
            tax,
            measure: None,
            period: None,
            corrects_line: None,
        }
    }

    /// Makes a line with tax one without: 1 × its net, with what it was reckoned from in its description.
    pub(super) fn bring_down(&mut self, net: Amount, amount: Minor, rate: Rate) {
        if let (Some(quantity), Some(each)) = (self.quantity, self.each) {
            let per = self.per.map(|per| format!(" per {}", grouped(&per.to_string()))).unwrap_or_default();
            let (quantity, each) = (grouped(&quantity.to_string()), grouped(&each.to_string()));
            let (gross, rate) = (grouped(&self.amount_exact.to_string()), rate.percent());
            self.description.push_str(&format!(" ({quantity} at {each}{per} = {gross} with {rate} tax)"));
            (self.quantity, self.each, self.per, self.measure) = (Some(Quantity::ONE), Some(net), None, None);
        }
        (self.amount_exact, self.amount) = (net, amount);
    }
}

impl Kind {
    /// Its word in documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Fee => "fee",
            Self::Minimum => "minimum",
            Self::Commitment => "commitment",
            Self::Discount => "discount",
            Self::Credit => "credit",
            Self::Rounding => "rounding",
            Self::Adjustment => "adjustment",
        }
    }
}
