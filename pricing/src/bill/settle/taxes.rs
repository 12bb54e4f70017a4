//! The taxes that a period settles with, as they were when it was settled.

use crate::bill::{Error, Party, Tax};
use crate::id::TaxId;
use crate::number::{self, Amount};
use crate::plan::PlanVersion;
use std::collections::BTreeMap;

/// The taxes that one plan's lines fall under, by the names in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Taxes {
    /// The customer's: for whatever names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<Tax>,
    /// Those that prices and fees name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    named: BTreeMap<TaxId, Tax>,
}

/// How an amount is taxed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct Taxed {
    /// By which tax, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tax: Option<Tax>,
    /// The amount holds it.
    #[serde(default)]
    pub(crate) included: bool,
}

/// Exact sums by tax, in a fixed order.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "Vec<(Taxed, Amount)>", into = "Vec<(Taxed, Amount)>")]
pub(crate) struct Sums(pub(crate) BTreeMap<Taxed, Amount>);

impl Taxes {
    /// Looks up what the customer and the plan name.
    pub(crate) fn of(party: &Party, plan: &PlanVersion, known: &BTreeMap<TaxId, Tax>) -> Result<Self, Error> {
        let find = |tax: &TaxId, used_by: String| {
            known.get(tax).cloned().ok_or_else(|| Error::UnknownTax { tax: tax.clone(), used_by })
        };
        let default = party.tax.as_ref().map(|tax| find(tax, format!("customer '{}'", party.id))).transpose()?;
        let mut named = BTreeMap::new();
        let of_prices = plan.prices.iter().filter_map(|price| Some((price.tax.as_ref()?, "price", price.id.as_str())));
        let of_fees = plan.fees.iter().filter_map(|fee| Some((fee.tax.as_ref()?, "fee", fee.id.as_str())));
        for (tax, what, id) in of_prices.chain(of_fees) {
            named.insert(tax.clone(), find(tax, format!("{what} '{id}' of plan '{}'", plan.plan.id))?);
        }
        Ok(Self { default, named })
    }

    /// How something of the plan is taxed that names this tax, or none.
    pub(crate) fn get(&self, tax: Option<&TaxId>, plan: &PlanVersion) -> Taxed {
        let tax = tax.and_then(|tax| self.named.get(tax)).or(self.default.as_ref()).cloned();
        Taxed { included: plan.tax_included && tax.is_some(), tax }
    }
}

impl Sums {
    /// Adds an amount under its tax.
    pub(crate) fn add(&mut self, taxed: &Taxed, amount: Amount) -> Result<(), number::Error> {
        match self.0.get_mut(taxed) {
            Some(sum) => *sum = sum.add(amount)?,
            None => _ = self.0.insert(taxed.clone(), amount),
        }
        Ok(())
    }

    /// Over all taxes.
    pub(crate) fn total(&self) -> Result<Amount, number::Error> {
        Amount::sum(self.0.values().copied())
    }
}

impl From<Vec<(Taxed, Amount)>> for Sums {
    fn from(entries: Vec<(Taxed, Amount)>) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl From<Sums> for Vec<(Taxed, Amount)> {
    fn from(sums: Sums) -> Self {
        sums.0.into_iter().collect()
    }
}
