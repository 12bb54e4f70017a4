//! Plans: prices and fees sold together. A plan version never changes.

use crate::currency::Currency;
use crate::curve::Curve;
use crate::id::{DiscountId, FeeId, MeterId, PlanId, PriceId, SellerId, TaxId};
use crate::meter::Meter;
use crate::number::{Amount, Quantity, Rate};
use crate::period::Every;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One version of a plan, with the meters that its prices name, frozen.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlanVersion {
    /// Which.
    #[serde(flatten)]
    pub plan: PlanRef,
    /// What it is billed in.
    pub currency: Currency,
    /// How long a full period is.
    pub every: Every,
    /// Who sells it, where it is not the customer's own seller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<SellerId>,
    /// True when its amounts hold the tax already.
    #[serde(default)]
    pub tax_included: bool,
    /// In the order of the bill.
    #[serde(default)]
    pub fees: Vec<Fee>,
    /// In the order of the bill.
    #[serde(default)]
    pub prices: Vec<Price>,
    /// On the whole subscription.
    #[serde(default)]
    pub discounts: Vec<Discount>,
    /// The least that is spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<Commitment>,
    /// The meters that the prices name, as they were when the version began.
    pub meters: BTreeMap<MeterId, Meter>,
}

/// A version of a plan, by name. Versions count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct PlanRef {
    /// The plan.
    #[serde(rename = "plan")]
    pub id: PlanId,
    /// Its version.
    pub version: u32,
}

/// One price of a plan: a meter and the curve that prices it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Price {
    /// Its name.
    pub id: PriceId,
    /// The meter whose quantity it prices.
    pub meter: MeterId,
    /// How.
    pub curve: Curve,
    /// Units that are free before the curve starts.
    #[serde(default)]
    pub included: Quantity,
    /// F is never above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Amount>,
    /// F is applied inside each group of the meter instead of to their sum.
    #[serde(default)]
    pub per_group: bool,
    /// At least this much a period, after the price's discounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Amount>,
    /// On this price alone, in order.
    #[serde(default)]
    pub discounts: Vec<Discount>,
    /// Its own tax, where it is not the customer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxId>,
    /// The unit's code on documents (UN/ECE Recommendation 20 in UBL), such as DAY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Arc<str>>,
}

/// A fixed sum each period.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fee {
    /// Its name.
    pub id: FeeId,
    /// For a full period (or a full `every`).
    pub amount: Amount,
    /// On which bill it stands.
    pub when: When,
    /// Its own rhythm, a multiple of the plan's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Every>,
    /// Its own tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxId>,
}

/// Which bill a fee stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The bill that ends when the fee's period starts.
    Advance,
    /// The bill that ends when the fee's period ends.
    Arrears,
}

/// Something off.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Discount {
    /// Its name.
    pub id: DiscountId,
    /// How much.
    #[serde(flatten)]
    pub off: Off,
}

/// How much a discount takes off; never more than what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// A share.
    Percent(Rate),
    /// A fixed sum each period.
    Amount(Amount),
}

/// The least that a subscription spends.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Commitment {
    /// For a full period (or a full `every`).
    pub amount: Amount,
    /// Its own rhythm, a multiple of the plan's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Every>,
}
