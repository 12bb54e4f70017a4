//! What a printed bill needs of a curve: one part for each tier that was used, summing to F(q) exactly.

use super::{Curve, Each, count_from_one, entered, holding, packages};
use crate::number::{self, Amount, Quantity, UnitPrice};

/// A part of an amount, with its arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How `amount` comes about.
    pub kind: Kind,
    /// The tier, step or table row, from 1; 0 for included units, which come before the first.
    pub tier: u32,
    /// Units, or packages, or 1 for a flat. For [`Kind::Whole`] the usage, which does not multiply to the amount.
    pub quantity: Quantity,
    /// The price of a unit, a package or the flat; absent where it has more decimals than a price holds, and for
    /// [`Kind::Whole`]: such a line is printed as 1 × amount.
    pub each: Option<UnitPrice>,
    /// Divides `each`.
    pub per: Quantity,
    /// quantity × each ÷ per, half to even at 10⁻²⁴; or the whole amount.
    pub amount: Amount,
}

/// How a part's amount comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Units that are free before the curve starts.
    Included,
    /// Units at a price.
    Units,
    /// The flat of a tier.
    Flat,
    /// Packages at a price.
    Packages,
    /// No product: a step's amount, a sum over events, a cap.
    Whole,
}

impl Part {
    /// Units at a price.
    ///
    /// # Errors
    /// [`number::Error::Overflow`].
    pub fn units(tier: u32, quantity: Quantity, each: Each) -> Result<Self, number::Error> {
        let amount = each.amount(quantity)?;
        Ok(Self { kind: Kind::Units, tier, quantity, each: Some(each.each), per: each.per, amount })
    }

    /// Units that cost nothing because they are included.
    pub const fn included(quantity: Quantity) -> Self {
        let each = Some(UnitPrice::ZERO);
        Self { kind: Kind::Included, tier: 0, quantity, each, per: Quantity::ONE, amount: Amount::ZERO }
    }

    /// An amount that is no product, with the usage behind it.
    pub const fn whole(tier: u32, quantity: Quantity, amount: Amount) -> Self {
        Self { kind: Kind::Whole, tier, quantity, each: None, per: Quantity::ONE, amount }
    }

    const fn flat(tier: u32, amount: Amount) -> Self {
        let each = amount.unit_price();
        Self { kind: Kind::Flat, tier, quantity: Quantity::ONE, each, per: Quantity::ONE, amount }
    }
}

impl Curve {
    /// F(q) in parts, in the order of the tiers: the units of each tier that was used (also where they cost nothing),
    /// then its flat, if any. Empty for `q ≤ 0`, and for `percentage` and `dimensional`, which are no functions of q.
    ///
    /// # Errors
    /// [`number::Error::Overflow`].
    pub fn breakdown(&self, quantity: Quantity) -> Result<Vec<Part>, number::Error> {
        let mut parts = Vec::new();
        if !quantity.is_positive() {
            return Ok(parts);
        }
        match self {
            Self::PerUnit(each) => parts.push(Part::units(1, quantity, *each)?),
            Self::Graduated(tiers) => {
                for (index, tier, inside) in entered(tiers, quantity) {
                    push_tier(&mut parts, count_from_one(index), inside?, tier.each, tier.flat)?;
                }
            }
            Self::Volume(tiers) => {
                if let Some((index, tier)) = holding(tiers, quantity) {
                    push_tier(&mut parts, count_from_one(index), quantity, tier.each, tier.flat)?;
                }
            }
            Self::Package { size, amount } => {
                let count = packages(quantity, *size)?;
                parts.push(Part {
                    kind: Kind::Packages,
                    tier: 1,
                    quantity: Quantity::from_whole(count)?,
                    each: amount.unit_price(),
                    per: Quantity::ONE,
                    amount: amount.times_count(count)?,
                });
            }
            Self::Stairstep(steps) => {
                if let Some((index, step)) = holding(steps, quantity) {
                    parts.push(Part::whole(count_from_one(index), quantity, step.amount));
                }
            }
            Self::Percentage { .. } | Self::Dimensional { .. } => {}
        }
        Ok(parts)
    }
}

fn push_tier(
    parts: &mut Vec<Part>,
    number: u32,
    units: Quantity,
    each: Each,
    flat: Amount,
) -> Result<(), number::Error> {
    parts.push(Part::units(number, units, each)?);
    if !flat.is_zero() {
        parts.push(Part::flat(number, flat));
    }
    Ok(())
}
