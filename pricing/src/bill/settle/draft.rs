//! Lines before they are rounded.

use super::Taxed;
use crate::bill::{Kind, Line};
use crate::currency::Currency;
use crate::id::SubscriptionId;
use crate::number::{Amount, Quantity};
use crate::period::Share;
use crate::plan::Off;

/// A line with its exact amount: before tax, or with it where the plan's amounts hold it.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// Its place among the subscription's lines.
    pub(crate) stage: Stage,
    /// The amount holds the tax.
    pub(crate) included: bool,
    /// All that is known before rounding.
    pub(crate) line: Line,
}

/// Where a line stands among those of its subscription: the plan's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// With the plan's fees, by index.
    Fee(usize),
    /// With the plan's prices, by index.
    Price(usize),
    /// With the discounts on the whole, by index.
    Discount(usize),
    /// Last.
    Commitment,
}

impl Draft {
    /// A line that is nothing but an amount.
    pub(crate) fn new(
        kind: Kind,
        stage: Stage,
        subscription: &SubscriptionId,
        taxed: &Taxed,
        description: String,
        amount: Amount,
    ) -> Self {
        let line = Line {
            subscription: Some(subscription.clone()),
            ..Line::plain(kind, description, amount, taxed.tax.clone())
        };
        Self { stage, included: taxed.included, line }
    }

    /// The same as one at its whole amount.
    pub(crate) fn once(mut self) -> Self {
        self.line.quantity = Some(Quantity::ONE);
        self.line.each = Some(self.line.amount_exact);
        self
    }

    /// The tax that it falls under.
    pub(crate) fn taxed(&self) -> Taxed {
        Taxed { tax: self.line.tax.clone(), included: self.included }
    }
}

/// A sum of a full period, or what part of it a shorter one takes: `20.00`, `17 of 31 days of 20.00`.
pub(crate) fn part_of(share: Share, whole: impl std::fmt::Display) -> String {
    if share.is_full() { whole.to_string() } else { format!("{share} of {whole}") }
}

/// A discount in words.
pub(super) fn said(id: &str, off: Off, currency: Currency) -> String {
    match off {
        Off::Percent(rate) => format!("{id}, {} off", rate.percent()),
        Off::Amount(amount) => format!("{id}, {} off", currency.exact_text(amount)),
    }
}
