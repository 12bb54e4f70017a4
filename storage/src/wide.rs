//! Totals that cannot overflow while they are added up: 256 bits hold more rows than there can be, and only the end must
//! fit the types.

use crate::output::{ChargeRow, Sum, row_hash};
use ethnum::I256;
use pricing::id::PriceId;
use pricing::number::{self, Amount, Quantity};

/// What rows come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wide {
    /// Rows.
    pub count: u64,
    /// Σ of their hashes, wrapping.
    pub hash: u64,
    quantity: I256,
    amount: I256,
}

impl Wide {
    /// A sum.
    pub fn of(sum: &Sum) -> Self {
        let mut wide = Self { hash: sum.hash, ..Self::default() };
        wide.add(sum.count, sum.quantity, sum.amount);
        wide
    }

    /// Adds a charge row with its id.
    pub fn add_row(&mut self, row: &ChargeRow, id: &str) {
        self.add(1, row.quantity, row.amount);
        self.hash = self.hash.wrapping_add(row_hash(row, id));
    }

    /// Adds what `count` rows come to, without their hashes.
    pub fn add(&mut self, count: u64, quantity: Quantity, amount: Amount) {
        self.count = self.count.saturating_add(count);
        self.quantity += I256::from(quantity.raw());
        self.amount += I256::from(amount.raw());
    }

    /// Adds another's rows.
    pub fn absorb(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.hash = self.hash.wrapping_add(other.hash);
        self.quantity += other.quantity;
        self.amount += other.amount;
    }

    /// Quantity and amount in their own types.
    ///
    /// # Errors
    /// Overflow.
    pub fn narrow(&self) -> Result<(Quantity, Amount), number::Error> {
        // The smallest of 128 bits is beyond the limit of every type.
        let raw = |wide: I256| i128::try_from(wide).unwrap_or(i128::MIN);
        Ok((Quantity::from_raw(raw(self.quantity))?, Amount::from_raw(raw(self.amount))?))
    }
}

/// Puts the sums of one price and group together where `has_rows` says no (that is, for every price but `dimensional`
/// ones), with row 0: from [`crate::charges::Charges::sums`] to the entries of a manifest. The order stays.
///
/// # Errors
/// Overflow of a sum.
pub fn merge_rows(sums: Vec<Sum>, has_rows: impl Fn(&PriceId) -> bool) -> Result<Vec<Sum>, number::Error> {
    let mut merged: Vec<(Sum, Wide)> = Vec::with_capacity(sums.len());
    for sum in sums {
        let has_rows = has_rows(&sum.price);
        let last =
            merged.last_mut().filter(|(last, _)| !has_rows && last.price == sum.price && last.group == sum.group);
        match last {
            Some((_, wide)) => wide.absorb(&Wide::of(&sum)),
            None => {
                let wide = Wide::of(&sum);
                merged.push((if has_rows { sum } else { Sum { row: 0, ..sum } }, wide));
            }
        }
    }
    // What is added up may be larger than what it comes to.
    let narrowed = merged.into_iter().map(|(sum, wide)| {
        let (quantity, amount) = wide.narrow()?;
        Ok(Sum { count: wide.count, quantity, amount, hash: wide.hash, ..sum })
    });
    narrowed.collect()
}
