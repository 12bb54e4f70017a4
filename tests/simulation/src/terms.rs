//! How a plan settles what its prices come to: discounts, minimums, the least that is spent, taxes, curves of one's own.

use crate::curve::{Curve, decimal};
use crate::workload::Price;
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeMap;

/// How a version of the plan settles, beside its prices and fees.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// On all of a period, in order.
    pub discounts: Vec<Off>,
    /// The least that a full period comes to, as decimal text.
    pub commitment: Option<String>,
}

/// What a discount takes off.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the catalog's own words
pub enum Off {
    /// So many per cent.
    Percent(u32),
    /// As decimal text.
    Amount(String),
}

/// What a customer pays on top, by name and rate as decimal text.
pub const TAXES: [(&str, &str); 2] = [("vat", "0.19"), ("low", "0.07")];

impl Terms {
    /// Draws them; a third of all plans have none.
    pub fn draw(random: &mut StdRng) -> Self {
        if random.random_ratio(1, 3) {
            return Self::default();
        }
        let commitment = random.random_ratio(1, 3).then(|| random.random_range(1..400u32).to_string());
        Self { discounts: Off::draw_all(random), commitment }
    }

    /// The plan's keys, if it has any.
    pub fn yaml(&self) -> String {
        let mut yaml = String::new();
        if !self.discounts.is_empty() {
            yaml += &format!("    discounts: [{}]\n", Off::yaml(&self.discounts));
        }
        if let Some(amount) = &self.commitment {
            yaml += &format!("    commitment: {{amount: {amount}}}\n");
        }
        yaml
    }
}

impl Off {
    /// Draws up to two.
    pub fn draw_all(random: &mut StdRng) -> Vec<Self> {
        let one = |random: &mut StdRng| match random.random_range(0..3) {
            0 => Self::Amount(decimal(random, 6)),
            _ => Self::Percent(random.random_range(1..=100)),
        };
        (0..random.random_range(0..3)).map(|_| one(random)).collect()
    }

    /// The entries of a list of discounts, in order.
    pub fn yaml(all: &[Self]) -> String {
        let one = |(number, off): (usize, &Self)| match off {
            Self::Percent(percent) => format!("{{id: cut{number}, percent: {percent}%}}"),
            Self::Amount(amount) => format!("{{id: cut{number}, amount: {amount}}}"),
        };
        all.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// A customer's own curves, by price.
pub fn draw_overrides(random: &mut StdRng, prices: &[Price]) -> BTreeMap<String, Curve> {
    let mut overrides = BTreeMap::new();
    if random.random_ratio(1, 3) {
        for price in prices.iter().filter(|_| random.random_ratio(1, 2)).collect::<Vec<_>>() {
            overrides.insert(price.id.clone(), Curve::draw(random, 5));
        }
    }
    overrides
}
