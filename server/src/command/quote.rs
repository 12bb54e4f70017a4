//! `farthing quote`: F of a quantity, offline.

use crate::failure::{Failure, Result};
use crate::offline;
use crate::output::{self, Format};
use clap::Args;
use pricing::catalog::{Catalog, Entries, near};
use pricing::curve::Curve;
use pricing::id::{PlanId, PriceId};
use pricing::number::Quantity;
use pricing::plan::{PlanVersion, Price};
use std::fmt::Display;
use std::path::PathBuf;

const AFTER: &str = "\
Examples:
  farthing quote -f catalog.yaml --price payg/out --quantity 2_500_000
  farthing quote -f catalog.yaml --price payg/images --quantity 12 --where size=large

The quantity is that of a full period. For a percentage price it is the value of one event; for a dimensional price
--where gives the properties that choose its row, one --where for each name under its `by`. Discounts and the minimum of
the price are not part of what is quoted, nor are tax and fees: `farthing rate` makes whole bills.";

/// Says what a quantity costs, from a catalog file alone.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// The catalog file (YAML).
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Which price of which plan: their ids in the catalog file, such as payg/out.
    #[arg(long, value_name = "PLAN/PRICE")]
    price: String,
    /// How much is used in a full period, such as 1500 or 2_500_000 or 0.5.
    #[arg(long, allow_negative_numbers = true, value_parser = quantity)]
    quantity: Quantity,
    /// A property of the event, for dimensional prices; may be repeated.
    #[arg(long = "where", value_name = "NAME=VALUE", value_parser = super::explain::pair)]
    properties: Vec<(String, String)>,
    #[command(flatten)]
    format: Format,
}

/// Reads a quantity; `_` may group its digits as in a catalog file.
fn quantity(text: &str) -> std::result::Result<Quantity, String> {
    let grouped = text.replace('_', "");
    let is_grouped_well = !text.starts_with('_') && !text.ends_with('_');
    let text = if is_grouped_well { grouped.as_str() } else { text };
    text.parse().map_err(|error: pricing::number::Error| error.to_string())
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let catalog = offline::catalog(&arguments.file)?;
    let (plan, price) = find(&catalog, &arguments.price)?;
    for (name, _) in &arguments.properties {
        must_be_looked_up(name, &price.curve).map_err(|failure| failure.within(&arguments.price))?;
    }
    let property =
        |name: &str| arguments.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let amount = pricing::price::quote(price, arguments.quantity, property)
        .map_err(|error| Failure::refused(format_args!("{}: {error}", arguments.price)))?;
    let quantity = arguments.quantity;
    if arguments.format.json {
        let (quantity, amount) = (quantity.to_string(), amount.to_string());
        return output::json(&serde_json::json!({"price": arguments.price, "quantity": quantity, "amount": amount}));
    }
    output::line(format_args!("{amount} {}", plan.currency))
}

fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<(&'a PlanVersion, &'a Price)> {
    let bad = || Failure::usage(format_args!("--price '{name}': write PLAN/PRICE, such as payg/out"));
    let (plan_name, price_name) = name.split_once('/').ok_or_else(bad)?;
    let plan_id = PlanId::new(plan_name).map_err(|_| bad())?;
    let price_id = PriceId::new(price_name).map_err(|_| bad())?;
    let plans: &Entries<PlanId, _> = catalog.plans();
    let plan = plans.get(&plan_id).and_then(|plan| plan.newest());
    let plan = plan.ok_or_else(|| {
        Failure::refused(format_args!("the catalog has no plan '{plan_name}'; it has {}", listed(plans.keys())))
    })?;
    let price = plan.prices.iter().find(|price| price.id == price_id);
    let price = price.ok_or_else(|| {
        let known = listed(plan.prices.iter().map(|price| &price.id));
        Failure::refused(format_args!("plan '{plan_name}' has no price '{price_name}'; it has {known}"))
    })?;
    Ok((plan, price))
}

/// Refuses a property that a price does not look at.
fn must_be_looked_up(name: &str, curve: &Curve) -> Result {
    let by = match curve {
        Curve::Dimensional { by, .. } => by.as_slice(),
        _ => &[],
    };
    if by.iter().any(|known| **known == *name) {
        return Ok(());
    }
    let near = near(name, by.iter().map(AsRef::as_ref));
    Err(Failure::refused(format_args!("--where '{name}': the price looks up {}{near}", listed(by.iter()))))
}

fn listed<T: Display>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
