//! Settling: what a subscription owes for one of its periods, exact, before any bill rounds it.

use crate::group::Group;
use crate::id::PriceId;
use crate::number::{Amount, Quantity};

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
