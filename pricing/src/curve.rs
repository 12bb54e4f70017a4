//! Curves: how a quantity becomes money. `F(q) = 0` for `q ≤ 0`.

use crate::number::{Amount, Quantity, Rate, UnitPrice};
use std::sync::Arc;

/// How a quantity becomes an amount.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Curve {
    /// `q × each`.
    PerUnit(Each),
    /// Σ over tiers of (units inside the tier × each) + flat of each tier entered.
    Graduated(Vec<Tier>),
    /// With k the tier that holds q: q × each of k + flat of k.
    Volume(Vec<Tier>),
    /// ⌈q ÷ size⌉ × amount.
    Package {
        /// Units in one package, above zero.
        size: Quantity,
        /// What one package costs.
        amount: Amount,
    },
    /// The amount of the step that holds q.
    Stairstep(Vec<Step>),
    /// Per event: value × rate + fixed, clamped into [min, max], 0 for a value ≤ 0; summed over events.
    Percentage {
        /// Share of the value.
        rate: Rate,
        /// Added per event.
        fixed: Amount,
        /// At least this much per event.
        min: Option<Amount>,
        /// At most this much per event.
        max: Option<Amount>,
    },
    /// Σ over the rows of a table from property values to a price.
    Dimensional {
        /// The properties that are looked up, in order.
        by: Vec<Arc<str>>,
        /// The table; the first row that matches takes the event.
        rows: Vec<Row>,
        /// For events that no row matches; without it they are refused.
        default: Option<Each>,
    },
}

/// A price for each unit, or for each `per` units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Each {
    /// The price.
    pub each: UnitPrice,
    /// Divides it; one by default; above zero.
    pub per: Quantity,
}

/// One tier of a graduated or volume curve: it covers (up_to of the tier before, `up_to`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tier {
    /// Its upper bound, inside the tier; absent on the last tier only.
    pub up_to: Option<Quantity>,
    /// Price of a unit.
    #[serde(flatten)]
    pub each: Each,
    /// Added once when the tier is entered.
    pub flat: Amount,
}

/// One step of a stairstep curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// Its upper bound, inside the step; absent on the last only.
    pub up_to: Option<Quantity>,
    /// The whole amount on this step.
    pub amount: Amount,
}

/// One row of a dimensional curve.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// The values of the `by` properties, in their order.
    pub is: Vec<Arc<str>>,
    /// The price.
    #[serde(flatten)]
    pub each: Each,
}
