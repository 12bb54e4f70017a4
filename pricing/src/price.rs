//! Prices: a curve with `included`, `cap`, `per_group` and the scaling of short periods. This is the F whose differences
//! are charges.
//!
//! | rule | |
//! |---|---|
//! | `included` | F(max(0, q − included)); tiers count what is left. Only for curves that are functions of q |
//! | `cap` | F is min(cap, what the curve says), over everything that F is applied to |
//! | `per_group` | F with its `included` and `cap` is applied inside each group; otherwise to the sum of the groups |
//! | short periods | `included`, `cap`, `minimum` scale by elapsed ÷ full, half to even at their scale; tier bounds do not |
//! | `dimensional` | F is Σ over rows of (row's q × each), zero for a row whose q ≤ 0; a row's q is the sum of its events' values |
//! | `percentage` | F is Σ over events, each zero for a value ≤ 0: a refund takes no fee back |
//!
//! The fold calls [`Terms::charge`] for each event, with one [`State`] for each price of each period (with `per_group`:
//! one for each of its groups), and applies the charge when every price agreed. The bill calls [`Terms::settle`] with
//! sums over the charges and gets F anew, so that the two check each other.

use crate::curve::{self, Curve};
use crate::meter::{Aggregate, Meter};
use crate::number::{self, Amount, Quantity};
use crate::period::Share;
use crate::plan::Price;
use std::collections::BTreeMap;
use std::sync::Arc;

// What a bill prints of a price.
mod settle;

pub use settle::{Settled, Usage};

/// What a price's limits are in one period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Units that are free before the curve starts.
    pub included: Quantity,
    /// F is never above it.
    pub cap: Option<Amount>,
    /// At least this much, after the price's discounts.
    pub minimum: Option<Amount>,
}

/// F of one price in one period: its curve, or the one that overrides it, and its limits. Cheap to make from kept
/// [`Limits`]: it borrows the curve.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// How quantity becomes money.
    pub curve: &'a Curve,
    /// Scaled to the period.
    pub limits: Limits,
    /// F is applied inside each group.
    pub per_group: bool,
}

/// What F needs to remember of what it is applied to: a price's period, or with `per_group` one group of it. Small and
/// without allocations, but for `dimensional`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct State {
    /// F so far, which is the sum of all charges.
    amount: Amount,
    /// F before the cap, for curves that are no functions of q.
    #[serde(default, skip_serializing_if = "Amount::is_zero")]
    uncapped: Amount,
    /// Quantity and amount by table row.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    rows: BTreeMap<u32, (Quantity, Amount)>,
}

/// What one event does to one price: made by [`Terms::charge`], done by [`State::apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// q after − q before.
    pub quantity: Quantity,
    /// F(q after) − F(q before).
    pub amount: Amount,
    /// The tier that holds q after, from 1; for `dimensional` the table's row, from 1, its default last.
    pub tier: u32,
    next: Next,
}

/// A [`State`] after a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Function { amount: Amount },
    Sum { amount: Amount, uncapped: Amount },
    Row { amount: Amount, uncapped: Amount, row: u32, row_quantity: Quantity, row_amount: Amount },
}

/// Why a price refuses an event, or makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No row of the table takes the event, and the table has no default.
    #[error(
        "no row of the price's table takes {found}; add a row or a default to the price, or send a value that has one"
    )]
    NoRow {
        /// The event's properties, such as `model=large, region=` (empty: it has not got it).
        found: String,
    },
    /// A quantity or an amount is too large.
    #[error(transparent)]
    Number(#[from] number::Error),
    /// The curve makes no sense.
    #[error(transparent)]
    Curve(#[from] curve::Error),
    /// The curve looks at each event, which the meter does not keep.
    #[error(
        "{curve} prices single events, but meter {meter} aggregates {aggregate}; use a meter that aggregates sum or count"
    )]
    Meter {
        /// The curve's kind.
        curve: &'static str,
        /// The meter.
        meter: crate::id::MeterId,
        /// How it aggregates.
        aggregate: &'static str,
    },
    /// The curve cannot have included units.
    #[error("{curve} takes no included units, but included is {found}; leave it out")]
    Included {
        /// The curve's kind.
        curve: &'static str,
        /// The units.
        found: Quantity,
    },
    /// A limit is below zero.
    #[error("{field} is {found}; write 0 or more")]
    Negative {
        /// Which key.
        field: &'static str,
        /// What was found.
        found: String,
    },
}

/// Refuses a price that makes no sense: its curve, what its limits are, and whether its meter suits it.
///
/// # Errors
/// All of [`Error`] but `NoRow` and `Number`.
pub fn check(price: &Price, meter: &Meter) -> Result<(), Error> {
    check_curve(&price.curve, price, meter)
}

/// The same for a curve that overrides the price's own.
///
/// # Errors
/// See [`check`].
pub fn check_curve(curve: &Curve, price: &Price, meter: &Meter) -> Result<(), Error> {
    curve.check()?;
    if !curve.is_function() {
        if !matches!(meter.aggregate, Aggregate::Sum | Aggregate::Count) {
            let (meter, aggregate) = (meter.id.clone(), meter.aggregate.name());
            return Err(Error::Meter { curve: curve.kind(), meter, aggregate });
        }
        if !price.included.is_zero() {
            return Err(Error::Included { curve: curve.kind(), found: price.included });
        }
    }
    let negative = |field, found: String| Err(Error::Negative { field, found });
    match (price.cap, price.minimum) {
        _ if price.included.is_negative() => negative("included", price.included.to_string()),
        (Some(cap), _) if cap.is_negative() => negative("cap", cap.to_string()),
        (_, Some(minimum)) if minimum.is_negative() => negative("minimum", minimum.to_string()),
        _ => Ok(()),
    }
}

/// F of a quantity over a full period, as `farthing quote` shows it: for `percentage` the quantity is one event's value;
/// for `dimensional` the properties choose the row.
///
/// # Errors
/// [`Error::NoRow`], [`Error::Number`].
pub fn quote<'a>(
    price: &Price,
    quantity: Quantity,
    property: impl Fn(&str) -> Option<&'a str>,
) -> Result<Amount, Error> {
    let limits = Limits { included: price.included, cap: price.cap, minimum: price.minimum };
    let terms = Terms { curve: &price.curve, limits, per_group: price.per_group };
    terms.charge(&State::default(), Quantity::ZERO, quantity, property).map(|charge| charge.amount)
}

// === impl Limits ===

impl Limits {
    /// A price's limits in a period that is `share` of a full one.
    ///
    /// # Errors
    /// [`number::Error::DivisionByZero`] for a share of nothing.
    pub fn new(price: &Price, share: Share) -> Result<Self, number::Error> {
        let (elapsed, full) = (i128::from(share.elapsed), i128::from(share.full));
        let scaled = |amount: Option<Amount>| amount.map(|amount| amount.scale_by(elapsed, full)).transpose();
        Ok(Self {
            included: price.included.scale_by(elapsed, full)?,
            cap: scaled(price.cap)?,
            minimum: scaled(price.minimum)?,
        })
    }
}

// === impl Terms ===

impl<'a> Terms<'a> {
    /// The terms of a period: the price's curve or its override, and limits scaled to `share`.
    ///
    /// # Errors
    /// See [`Limits::new`].
    pub fn new(price: &'a Price, replacement: Option<&'a Curve>, share: Share) -> Result<Self, number::Error> {
        Limits::new(price, share).map(|limits| Self::with(price, replacement, limits))
    }

    /// The same from limits that were kept.
    #[inline]
    pub fn with(price: &'a Price, replacement: Option<&'a Curve>, limits: Limits) -> Self {
        Self { curve: replacement.unwrap_or(&price.curve), limits, per_group: price.per_group }
    }

    /// F(q) of a price that is a function of the quantity; none for `percentage` and `dimensional`.
    ///
    /// # Errors
    /// [`number::Error::Overflow`].
    #[inline]
    pub fn amount(&self, quantity: Quantity) -> Result<Option<Amount>, number::Error> {
        Ok(self.curve.amount(self.counted(quantity)?)?.map(|amount| self.capped(amount)))
    }

    /// The tier that holds a quantity, its included units taken off.
    #[inline]
    pub fn tier(&self, quantity: Quantity) -> u32 {
        self.counted(quantity).map_or(1, |counted| self.curve.tier(counted))
    }

    /// What an event does that takes the quantity (of the price, or with `per_group` of the group) from `before` to
    /// `after`. The difference is the event's value where the curve looks at single events; `property` looks up the
    /// event's properties for `dimensional`. Nothing is changed yet.
    ///
    /// # Errors
    /// [`Error::NoRow`], [`Error::Number`].
    #[inline]
    pub fn charge<'p>(
        &self,
        state: &State,
        before: Quantity,
        after: Quantity,
        property: impl Fn(&str) -> Option<&'p str>,
    ) -> Result<Charge, Error> {
        let value = after.sub(before)?;
        if self.curve.is_function() {
            let counted = self.counted(after)?;
            let amount = self.capped(self.curve.amount(counted)?.unwrap_or_default());
            let difference = amount.sub(state.amount)?;
            let tier = self.curve.tier(counted);
            return Ok(Charge { quantity: value, amount: difference, tier, next: Next::Function { amount } });
        }
        if let Some(event) = self.curve.event_amount(value)? {
            let uncapped = state.uncapped.add(event)?;
            let amount = self.capped(uncapped);
            let next = Next::Sum { amount, uncapped };
            return Ok(Charge { quantity: value, amount: amount.sub(state.amount)?, tier: 1, next });
        }
        self.charge_row(state, value, property)
    }

    fn charge_row<'p>(
        &self,
        state: &State,
        value: Quantity,
        property: impl Fn(&str) -> Option<&'p str>,
    ) -> Result<Charge, Error> {
        let row = self.curve.row(&property).ok_or_else(|| self.no_row(&property))?;
        let (quantity_before, amount_before) = state.rows.get(&row).copied().unwrap_or_default();
        let row_quantity = quantity_before.add(value)?;
        let row_amount = self.curve.row_amount(row, row_quantity)?.unwrap_or_default();
        let uncapped = state.uncapped.add(row_amount.sub(amount_before)?)?;
        let amount = self.capped(uncapped);
        let next = Next::Row { amount, uncapped, row, row_quantity, row_amount };
        Ok(Charge { quantity: value, amount: amount.sub(state.amount)?, tier: row, next })
    }

    /// What new terms do to a state made under others (a shortened period): F new − F old, with no quantity. `quantity`
    /// is that of the price, or with `per_group` of the group.
    ///
    /// # Errors
    /// [`number::Error::Overflow`].
    pub fn resettle(&self, state: &State, quantity: Quantity) -> Result<Charge, number::Error> {
        let (amount, next) = match self.amount(quantity)? {
            Some(amount) => (amount, Next::Function { amount }),
            None => {
                let (amount, uncapped) = (self.capped(state.uncapped), state.uncapped);
                (amount, Next::Sum { amount, uncapped })
            }
        };
        Ok(Charge { quantity: Quantity::ZERO, amount: amount.sub(state.amount)?, tier: self.tier(quantity), next })
    }

    /// What is left for the curve once the included units are taken off.
    #[inline]
    fn counted(&self, quantity: Quantity) -> Result<Quantity, number::Error> {
        if quantity <= self.limits.included || !quantity.is_positive() {
            return Ok(Quantity::ZERO);
        }
        quantity.sub(self.limits.included)
    }

    #[inline]
    fn capped(&self, amount: Amount) -> Amount {
        self.limits.cap.map_or(amount, |cap| amount.min(cap))
    }

    #[cold]
    fn no_row<'p>(&self, property: impl Fn(&str) -> Option<&'p str>) -> Error {
        let by: &[Arc<str>] = if let Curve::Dimensional { by, .. } = self.curve { by } else { &[] };
        let found: Vec<_> = by.iter().map(|name| format!("{name}={}", property(name).unwrap_or_default())).collect();
        Error::NoRow { found: found.join(", ") }
    }
}

// === impl State ===

impl State {
    /// F so far: the sum of all charges that were applied.
    #[inline]
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// Quantity and amount (before the cap) of a `dimensional` table's rows, by row.
    pub fn rows(&self) -> impl Iterator<Item = (u32, Quantity, Amount)> {
        self.rows.iter().map(|(row, (quantity, amount))| (*row, *quantity, *amount))
    }

    /// Does what was charged. The charge was made from this state.
    #[inline]
    pub fn apply(&mut self, charge: &Charge) {
        match charge.next {
            Next::Function { amount } => self.amount = amount,
            Next::Sum { amount, uncapped } => (self.amount, self.uncapped) = (amount, uncapped),
            Next::Row { amount, uncapped, row, row_quantity, row_amount } => {
                (self.amount, self.uncapped) = (amount, uncapped);
                self.rows.insert(row, (row_quantity, row_amount));
            }
        }
    }
}
