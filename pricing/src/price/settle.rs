//! F for a whole period from sums over its charges: what the bill prints, and what manifests are checked against.

use super::{Error, Terms};
use crate::curve::Part;
use crate::group::Group;
use crate::number::{Amount, Quantity};
use std::collections::BTreeMap;

/// Sums over the charges of one group and, for `dimensional`, one table row: a manifest's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage<'a> {
    /// Which group.
    pub group: &'a Group,
    /// For `dimensional` the table's row, from 1; otherwise 0.
    pub row: u32,
    /// Σ of the charges' quantities.
    pub quantity: Quantity,
    /// Σ of the charges' amounts.
    pub amount: Amount,
}

/// F over a whole period: one for the price, or with `per_group` one for each group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which group, with `per_group`.
    pub group: Option<Group>,
    /// All that was used.
    pub quantity: Quantity,
    /// F, calculated anew from the quantities; for `percentage`, which no quantity tells, the sum of the charges.
    pub amount: Amount,
    /// Σ of the charges' amounts. Anything but `amount` means that charges are missing, doubled or wrong.
    pub charged: Amount,
    /// `amount`, part by part, in the order of the bill.
    pub parts: Vec<Part>,
}

/// Sums over everything that F is applied to.
#[derive(Default)]
struct Sums {
    quantity: Quantity,
    charged: Amount,
    rows: BTreeMap<u32, Quantity>,
}

impl Terms<'_> {
    /// F over a whole period from the sums over its charges, in any order; the result is ordered by group. Empty where
    /// nothing was used.
    ///
    /// # Errors
    /// [`Error::Number`]; [`Error::NoRow`] for a row that the table has not got.
    pub fn settle<'a>(&self, usage: impl IntoIterator<Item = Usage<'a>>) -> Result<Vec<Settled>, Error> {
        let mut scopes = BTreeMap::<Option<&Group>, Sums>::new();
        for entry in usage {
            let sums = scopes.entry(self.per_group.then_some(entry.group)).or_default();
            sums.quantity = sums.quantity.add(entry.quantity)?;
            sums.charged = sums.charged.add(entry.amount)?;
            let row = sums.rows.entry(entry.row).or_default();
            *row = row.add(entry.quantity)?;
        }
        scopes.into_iter().map(|(group, sums)| self.settle_one(group.cloned(), &sums)).collect()
    }

    /// F(q) in parts, in the order of the bill: included units at 0 first, then tier by tier; one [`Kind::Whole`] where
    /// the cap holds. Only for prices that are functions of q.
    ///
    /// [`Kind::Whole`]: crate::curve::Kind::Whole
    ///
    /// # Errors
    /// [`Error::Number`].
    pub fn breakdown(&self, quantity: Quantity) -> Result<Vec<Part>, Error> {
        let counted = self.counted(quantity)?;
        let mut parts = Vec::new();
        if self.limits.included.is_positive() && quantity.is_positive() {
            parts.push(Part::included(quantity.min(self.limits.included)));
        }
        parts.extend(self.cap_parts(self.curve.tier(counted), counted, self.curve.breakdown(counted)?)?);
        Ok(parts)
    }

    fn settle_one(&self, group: Option<Group>, sums: &Sums) -> Result<Settled, Error> {
        let Sums { quantity, charged, rows } = sums;
        let parts = if self.curve.is_function() {
            self.breakdown(*quantity)?
        } else if self.curve.kind() == "percentage" {
            vec![Part::whole(1, *quantity, *charged)]
        } else {
            let parts = rows.iter().map(|(row, quantity)| self.row_part(*row, *quantity)).collect::<Result<_, _>>()?;
            self.cap_parts(1, *quantity, parts)?
        };
        let amount = Amount::sum(parts.iter().map(|part| part.amount))?;
        Ok(Settled { group, quantity: *quantity, amount, charged: *charged, parts })
    }

    /// The parts as they are, or the cap in place of them all.
    fn cap_parts(&self, tier: u32, quantity: Quantity, parts: Vec<Part>) -> Result<Vec<Part>, Error> {
        let amount = Amount::sum(parts.iter().map(|part| part.amount))?;
        let capped = self.capped(amount);
        Ok(if capped == amount { parts } else { vec![Part::whole(tier, quantity, capped)] })
    }

    fn row_part(&self, row: u32, quantity: Quantity) -> Result<Part, Error> {
        let each = self.curve.row_each(row).ok_or_else(|| Error::NoRow { found: format!("row {row}") })?;
        if quantity.is_positive() {
            return Ok(Part::units(row, quantity, each)?);
        }
        Ok(Part::whole(row, quantity, Amount::ZERO))
    }
}
