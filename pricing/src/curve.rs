//! Curves: how a quantity becomes money. `F(q) = 0` for `q ≤ 0`.
//!
//! A curve knows nothing of `included`, `cap` or groups: those are the price's, see [`crate::price`]. `per` divides once
//! for each tier (or row), half to even at 10⁻²⁴; everything else is exact.

use crate::number::{self, Amount, Quantity, Rate, UnitPrice};
use std::sync::Arc;

// What a curve may be, then what a bill prints of it.
mod check;
mod parts;

pub use check::{Error, Place};
pub use parts::{Kind, Part};

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

// === impl Curve ===

impl Curve {
    /// `F(q)` of a curve that is a function of the quantity; zero for `q ≤ 0`. None for `percentage` and `dimensional`,
    /// which look at each event: see [`Curve::event_amount`], [`Curve::row_amount`].
    ///
    /// # Errors
    /// [`number::Error::Overflow`].
    #[inline]
    pub fn amount(&self, quantity: Quantity) -> Result<Option<Amount>, number::Error> {
        if !quantity.is_positive() && self.is_function() {
            return Ok(Some(Amount::ZERO));
        }
        match self {
            Self::PerUnit(each) => each.amount(quantity),
            Self::Graduated(tiers) => graduated(tiers, quantity),
            Self::Volume(tiers) => holding(tiers, quantity)
                .map_or(Ok(Amount::ZERO), |(_, tier)| tier.each.amount(quantity)?.add(tier.flat)),
            Self::Package { size, amount } => amount.times_count(packages(quantity, *size)?),
            Self::Stairstep(steps) => Ok(holding(steps, quantity).map_or(Amount::ZERO, |(_, step)| step.amount)),
            Self::Percentage { .. } | Self::Dimensional { .. } => return Ok(None),
        }
        .map(Some)
    }

    /// True for a curve that looks at nothing but the quantity.
    pub const fn is_function(&self) -> bool {
        !matches!(self, Self::Percentage { .. } | Self::Dimensional { .. })
    }

    /// The tier that holds a quantity, counted from 1; 1 for `q ≤ 0` and for curves without tiers.
    #[inline]
    pub fn tier(&self, quantity: Quantity) -> u32 {
        let index = match self {
            Self::Graduated(tiers) | Self::Volume(tiers) => holding(tiers, quantity).map(|(index, _)| index),
            Self::Stairstep(steps) => holding(steps, quantity).map(|(index, _)| index),
            _ => None,
        };
        count_from_one(index.unwrap_or(0))
    }

    /// What `percentage` takes for one event: value × rate + fixed, clamped into [min, max], 0 for a value ≤ 0. None for
    /// other curves.
    ///
    /// # Errors
    /// [`number::Error::Overflow`].
    pub fn event_amount(&self, value: Quantity) -> Result<Option<Amount>, number::Error> {
        let Self::Percentage { rate, fixed, min, max } = self else { return Ok(None) };
        if !value.is_positive() {
            return Ok(Some(Amount::ZERO));
        }
        let amount = value.times_rate(*rate)?.add(*fixed)?;
        let amount = min.map_or(amount, |min| amount.max(min));
        Ok(Some(max.map_or(amount, |max| amount.min(max))))
    }

    /// The row of a `dimensional` table that takes an event, counted from 1, its default last; none where no row matches
    /// and there is no default, and for other curves. A property that the event has not got matches no row.
    pub fn row<'a>(&self, property: impl Fn(&str) -> Option<&'a str>) -> Option<u32> {
        let Self::Dimensional { by, rows, default } = self else { return None };
        let fits = |row: &Row| by.iter().zip(&row.is).all(|(name, value)| property(name) == Some(&**value));
        let index = rows.iter().position(fits).or(default.map(|_| rows.len()))?;
        Some(count_from_one(index))
    }

    /// The price on a row of a `dimensional` table, see [`Curve::row`].
    pub fn row_each(&self, row: u32) -> Option<Each> {
        let Self::Dimensional { rows, default, .. } = self else { return None };
        let index = usize::try_from(row).ok()?.checked_sub(1)?;
        if index == rows.len() { *default } else { rows.get(index).map(|row| row.each) }
    }

    /// F of one row of a `dimensional` table: q × each, zero for `q ≤ 0`. None for a row that is not there.
    ///
    /// # Errors
    /// [`number::Error::Overflow`].
    pub fn row_amount(&self, row: u32, quantity: Quantity) -> Result<Option<Amount>, number::Error> {
        match self.row_each(row) {
            Some(_) if !quantity.is_positive() => Ok(Some(Amount::ZERO)),
            Some(each) => each.amount(quantity).map(Some),
            None => Ok(None),
        }
    }

    /// The word that catalog files use.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PerUnit(_) => "per_unit",
            Self::Graduated(_) => "graduated",
            Self::Volume(_) => "volume",
            Self::Package { .. } => "package",
            Self::Stairstep(_) => "stairstep",
            Self::Percentage { .. } => "percentage",
            Self::Dimensional { .. } => "dimensional",
        }
    }
}

impl Each {
    /// A price for each single unit.
    pub const fn one(each: UnitPrice) -> Self {
        Self { each, per: Quantity::ONE }
    }

    /// `quantity × each ÷ per`.
    ///
    /// # Errors
    /// [`number::Error::Overflow`].
    #[inline]
    pub fn amount(self, quantity: Quantity) -> Result<Amount, number::Error> {
        quantity.times_per(self.each, self.per)
    }
}

// === tiers and steps ===

/// What ends somewhere.
trait Bounded {
    fn up_to(&self) -> Option<Quantity>;
}

impl Bounded for Tier {
    fn up_to(&self) -> Option<Quantity> {
        self.up_to
    }
}

impl Bounded for Step {
    fn up_to(&self) -> Option<Quantity> {
        self.up_to
    }
}

/// The tier that holds a quantity: the first that does not end below it, or else the last.
fn holding<T: Bounded>(tiers: &[T], quantity: Quantity) -> Option<(usize, &T)> {
    let (last, before) = tiers.split_last()?;
    let inside = |(_, tier): &(usize, &T)| tier.up_to().is_none_or(|up_to| quantity <= up_to);
    Some(before.iter().enumerate().find(inside).unwrap_or((before.len(), last)))
}

/// Tiers that a positive quantity enters, each with the units inside: they begin at zero and the last takes the rest.
fn entered(
    tiers: &[Tier],
    quantity: Quantity,
) -> impl Iterator<Item = (usize, &Tier, Result<Quantity, number::Error>)> {
    let last = tiers.len().saturating_sub(1);
    let mut lower = Quantity::ZERO;
    tiers.iter().enumerate().map_while(move |(index, tier)| {
        if quantity <= lower {
            return None;
        }
        let upper = tier.up_to.filter(|_| index < last).map_or(quantity, |up_to| up_to.min(quantity));
        let inside = upper.sub(lower);
        lower = upper;
        Some((index, tier, inside))
    })
}

fn graduated(tiers: &[Tier], quantity: Quantity) -> Result<Amount, number::Error> {
    let mut sum = Amount::ZERO;
    for (_, tier, inside) in entered(tiers, quantity) {
        sum = sum.add(tier.each.amount(inside?)?)?.add(tier.flat)?;
    }
    Ok(sum)
}

/// ⌈quantity ÷ size⌉ of a positive quantity.
fn packages(quantity: Quantity, size: Quantity) -> Result<i128, number::Error> {
    let whole = quantity.raw().checked_div(size.raw()).ok_or(number::Error::DivisionByZero)?;
    let begun = quantity.raw() % size.raw() != 0;
    Ok(if begun { whole + 1 } else { whole })
}

fn count_from_one(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}
