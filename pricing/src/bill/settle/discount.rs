//! Discounts: a share or a fixed sum, never more than what is there.

use crate::id::DiscountId;
use crate::number::{self, Amount, mul_div};
use crate::plan::{Discount, Off};
use std::collections::BTreeMap;

/// What each discount, in order, takes off each entry; all zero or above. Of a fixed sum, what was `used` elsewhere is
/// not there any more.
pub(crate) fn take(
    discounts: &[Discount],
    entries: &[Amount],
    used: &BTreeMap<DiscountId, Amount>,
) -> Result<Vec<Vec<Amount>>, number::Error> {
    let mut left: Vec<Amount> = entries.iter().map(|entry| (*entry).max(Amount::ZERO)).collect();
    let mut taken = Vec::with_capacity(discounts.len());
    for discount in discounts {
        let off: Vec<Amount> = match discount.off {
            Off::Percent(rate) => left
                .iter()
                .map(|entry| Ok(entry.times_rate(rate)?.min(*entry).max(Amount::ZERO)))
                .collect::<Result<_, number::Error>>()?,
            Off::Amount(amount) => {
                let unused = amount.sub(used.get(&discount.id).copied().unwrap_or_default())?;
                let there = Amount::sum(left.iter().copied())?;
                spread(unused.max(Amount::ZERO).min(there), &left)?
            }
        };
        for (entry, off) in left.iter_mut().zip(&off) {
            *entry = entry.sub(*off)?.max(Amount::ZERO);
        }
        taken.push(off);
    }
    Ok(taken)
}

/// Shares a sum out in proportion to weights that are zero or above; the shares add up to the sum exactly. All zero
/// where there is no weight.
pub(crate) fn spread(sum: Amount, weights: &[Amount]) -> Result<Vec<Amount>, number::Error> {
    let whole = Amount::sum(weights.iter().copied())?;
    if whole == sum || whole.is_zero() {
        return Ok(weights.to_vec());
    }
    let (mut weight, mut before) = (Amount::ZERO, Amount::ZERO);
    let mut shares = Vec::with_capacity(weights.len());
    for entry in weights {
        weight = weight.add(*entry)?;
        let up_to_here = Amount::from_raw(mul_div(sum.raw(), weight.raw(), whole.raw())?)?;
        shares.push(up_to_here.sub(before)?);
        before = up_to_here;
    }
    Ok(shares)
}
