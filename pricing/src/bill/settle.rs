//! Settling: what a subscription owes for one of its periods, exact, before any bill rounds it.
//!
//! A period settles in two parts. Its **advance fees** stand on the bill that ends when it starts; the **main part**
//! (usage, fees in arrears, minimums, discounts on the whole, the true-up of a commitment) on the bill that ends when it
//! ends. A discount of a fixed sum is used up on the advance fees first, so that each period gets it once.

use crate::group::Group;
use crate::id::PriceId;
use crate::number::{Amount, Quantity};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

// Reading order: what a period settles by, what a line is made of, the rules one by one, then a period's parts.
mod advance;
mod cycle;
mod discount;
mod draft;
mod period;
mod scope;
mod taxes;
mod usage;

pub(crate) use advance::{Advance, advances_at, correct};
pub(crate) use cycle::Cycle;
pub(crate) use discount::spread;
pub(crate) use draft::{Draft, Stage, part_of};
pub(crate) use period::Main;
pub(crate) use scope::Scope;
pub(crate) use taxes::{Sums, Taxed, Taxes};

/// What one subscription used in one of its periods: a manifest without its hashes. Sorted by price, group, row.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Usage(pub Vec<Sum>);

/// The charges of one price, group and dimensional row, added up.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sum {
    /// Which price.
    pub price: PriceId,
    /// Which group.
    pub group: Group,
    /// For `dimensional` the table's row, from 1; otherwise 0.
    pub row: u32,
    /// Charge rows.
    pub count: u64,
    /// Σ of their quantities.
    pub quantity: Quantity,
    /// Σ of their amounts.
    pub amount: Amount,
}

impl Usage {
    /// Tells whether usage changed since it was settled, without keeping it: 128 bits as hexadecimal text.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = SipHasher13::new_with_keys(0x6661_7274_6869_6e67, 0x7365_7474_6c65_0001);
        let mut text = |text: &str| {
            hasher.write(&text.len().to_le_bytes());
            hasher.write(text.as_bytes());
        };
        for sum in &self.0 {
            text(&format!("{} {}", sum.price, sum.group.0.len()));
            for (name, value) in sum.group.0.iter() {
                text(name);
                text(value);
            }
            text(&format!("{} {} {}", sum.row, sum.quantity, sum.amount));
        }
        format!("{:032x}", hasher.finish128().as_u128())
    }
}
