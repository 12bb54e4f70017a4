//! Plans, prices and curves out of a file.

use super::read_meter::id;
use super::reader::{Fields, Value};
use crate::currency::Currency;
use crate::curve::{Curve, Each, Row, Step, Tier};
use crate::id::PlanId;
use crate::number::{Amount, Quantity, Rate, UnitPrice};
use crate::period::Every;
use crate::plan::{Commitment, Discount, Fee, Off, PlanRef, PlanVersion, Price, When};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const EVERY: [(&str, Every); 6] = [
    ("hour", Every::Hour),
    ("day", Every::Day),
    ("week", Every::Week),
    ("month", Every::Month),
    ("quarter", Every::Quarter),
    ("year", Every::Year),
];

pub(super) const CURVES: [&str; 7] =
    ["per_unit", "graduated", "volume", "package", "stairstep", "percentage", "dimensional"];

const PLAN: [&str; 9] =
    ["id", "currency", "every", "seller", "tax_included", "fees", "prices", "discounts", "commitment"];

/// A plan as declared: version 0, its meters not frozen yet.
pub(super) fn plan(value: &Value<'_>) -> Option<PlanVersion> {
    let mut fields = Fields::open(value, &PLAN)?;
    let id: PlanId = id(&mut fields, "plans")?;
    let currency = fields.need("currency", "an ISO 4217 code, such as EUR").and_then(|value| value.parse::<Currency>());
    let every = fields.need("every", "hour, day, week, month, quarter or year").and_then(|value| value.word(&EVERY));
    let fees = items(&fields, "fees", |item, path| fee(item, path, every));
    let prices = items(&fields, "prices", price);
    let discounts = items(&fields, "discounts", discount);
    let (seller, tax_included) = (fields.parse("seller"), fields.flag("tax_included"));
    let commitment = fields.get("commitment").and_then(|value| commitment(&value, every));
    Some(PlanVersion {
        plan: PlanRef { id, version: 0 },
        currency: currency?,
        every: every?,
        seller,
        tax_included,
        fees,
        prices,
        discounts,
        commitment,
        meters: BTreeMap::new(),
    })
}

/// The items of a list, whose ids differ; each goes by its id.
fn items<'a, T>(fields: &Fields<'a>, key: &str, read: impl Fn(&Value<'a>, &str) -> Option<T>) -> Vec<T> {
    let path = format!("{}.{key}", fields.path());
    let mut known = BTreeMap::new();
    let mut items = Vec::new();
    for value in fields.list(key) {
        if let Some(id) = super::reader::id(value.node)
            && let Some(first) = known.insert(id, value.node.line)
        {
            value.refuse(format!("id '{id}' is taken by line {first}; ids differ"));
        }
        items.extend(read(&value, &path));
    }
    items
}

fn fee(value: &Value<'_>, path: &str, plan: Option<Every>) -> Option<Fee> {
    let mut fields = Fields::open(value, &["id", "amount", "when", "every", "tax"])?;
    let id = id(&mut fields, path)?;
    let amount = fields.need("amount", "the fee for a full period").and_then(|amount| positive(&amount));
    let when = fields.need("when", "advance or arrears");
    let when = when.and_then(|when| when.word(&[("advance", When::Advance), ("arrears", When::Arrears)]));
    let (every, tax) = (rhythm(&fields, plan), fields.parse("tax"));
    Some(Fee { id, amount: amount?, when: when?, every, tax })
}

fn commitment(value: &Value<'_>, plan: Option<Every>) -> Option<Commitment> {
    let fields = Fields::open(value, &["amount", "every"])?;
    let amount = fields.need("amount", "the least that is spent").and_then(|amount| positive(&amount));
    let every = rhythm(&fields, plan);
    Some(Commitment { amount: amount?, every })
}

/// A rhythm of its own, whose bounds are always bounds of the plan's, too.
fn rhythm(fields: &Fields<'_>, plan: Option<Every>) -> Option<Every> {
    let value = fields.get("every")?;
    let (every, plan) = (value.word(&EVERY)?, plan?);
    if plan.per(every).is_some() {
        return (every != plan).then_some(every);
    }
    let allowed: Vec<&str> =
        Every::ALL.into_iter().filter(|longer| plan.per(*longer).is_some()).map(Every::word).collect();
    value.refuse(format!("found {every}; the plan is billed every {plan}, so allowed are {}", allowed.join(", ")));
    None
}

/// An amount that is not below zero.
fn positive(value: &Value<'_>) -> Option<Amount> {
    let amount: Amount = value.number()?;
    if amount.is_negative() {
        value.refuse(format!("{amount} is below 0; write 0 or more"));
    }
    Some(amount)
}

fn discount(value: &Value<'_>, path: &str) -> Option<Discount> {
    let mut fields = Fields::open(value, &["id", "percent", "amount"])?;
    let id = id(&mut fields, path)?;
    let off = match (fields.get("percent"), fields.get("amount")) {
        (Some(percent), None) => Off::Percent(share(&percent)?),
        (None, Some(amount)) => Off::Amount(positive(&amount)?),
        _ => {
            fields.refuse("a discount has either 'percent' or 'amount'; write exactly one of them");
            return None;
        }
    };
    Some(Discount { id, off })
}

/// A rate from 0 to 1.
pub(super) fn share(value: &Value<'_>) -> Option<Rate> {
    let rate = value.rate()?;
    if rate.is_negative() || rate > Rate::ONE {
        value.refuse(format!("{} is not between 0% and 100%; write 19% or 0.19", value.text().unwrap_or_default()));
    }
    Some(rate)
}

fn price(value: &Value<'_>, path: &str) -> Option<Price> {
    let own = ["id", "meter", "included", "per_group", "tax", "measure", "minimum", "cap", "discounts"];
    let keys: Vec<&str> = own.into_iter().chain(CURVES).collect();
    let mut fields = Fields::open(value, &keys)?;
    let id = id(&mut fields, path)?;
    let meter = fields.need("meter", "the meter whose quantity it prices").and_then(|meter| meter.parse());
    let curve = curve(&fields);
    let included = fields.number("included").unwrap_or_default();
    let (cap, minimum) = (fields.number("cap"), fields.number("minimum"));
    let discounts = items(&fields, "discounts", discount);
    let (per_group, tax, measure) = (fields.flag("per_group"), fields.parse("tax"), fields.text("measure"));
    Some(Price { id, meter: meter?, curve: curve?, included, cap, per_group, minimum, discounts, tax, measure })
}

/// The curve that takes the place of a price's own: a map with nothing but the curve.
pub(super) fn override_curve(value: &Value<'_>) -> Option<Curve> {
    let fields = Fields::open(value, &CURVES)?;
    curve(&fields)
}

/// The one curve of a map.
fn curve(fields: &Fields<'_>) -> Option<Curve> {
    let found: Vec<&str> = fields.keys().filter(|key| CURVES.contains(key)).collect();
    let [kind] = found[..] else {
        let message = match found.is_empty() {
            true => format!("there is no curve; write one of {}", CURVES.join(", ")),
            false => format!("there are {} curves, {}; keep exactly one", found.len(), found.join(" and ")),
        };
        fields.refuse(message);
        return None;
    };
    let value = fields.get(kind)?;
    let curve = match kind {
        "per_unit" => Curve::PerUnit(each(&Fields::open(&value, &["each", "per"])?)?),
        "graduated" => Curve::Graduated(all(&value, tier)?),
        "volume" => Curve::Volume(all(&value, tier)?),
        "package" => package(&value)?,
        "stairstep" => Curve::Stairstep(all(&value, step)?),
        "percentage" => percentage(&value)?,
        _ => dimensional(&value)?,
    };
    if let Err(error) = curve.check() {
        value.refuse(error.to_string());
    }
    Some(curve)
}

/// All items of a list, or none if one of them cannot be read.
fn all<'a, T>(value: &Value<'a>, read: impl Fn(&Value<'a>) -> Option<T>) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = value.list().iter().map(read).collect();
    read.into_iter().collect()
}

/// `{each, per}`; absent `each` is zero, absent `per` one. None where one of them cannot be read.
fn each(fields: &Fields<'_>) -> Option<Each> {
    let each: UnitPrice = or(fields, "each", UnitPrice::ZERO)?;
    Some(Each { each, per: or(fields, "per", Quantity::ONE)? })
}

/// A number or its default; none where it is there and cannot be read.
fn or<T: std::str::FromStr<Err: std::fmt::Display>>(fields: &Fields<'_>, key: &str, default: T) -> Option<T> {
    if fields.has(key) { fields.number(key) } else { Some(default) }
}

/// A number that may be absent; none in all where it is there and cannot be read.
fn maybe<T: std::str::FromStr<Err: std::fmt::Display>>(fields: &Fields<'_>, key: &str) -> Option<Option<T>> {
    if fields.has(key) { fields.number(key).map(Some) } else { Some(None) }
}

fn tier(value: &Value<'_>) -> Option<Tier> {
    let fields = Fields::open(value, &["up_to", "each", "per", "flat"])?;
    Some(Tier { up_to: maybe(&fields, "up_to")?, each: each(&fields)?, flat: or(&fields, "flat", Amount::ZERO)? })
}

fn step(value: &Value<'_>) -> Option<Step> {
    let fields = Fields::open(value, &["up_to", "amount"])?;
    let up_to = maybe(&fields, "up_to")?;
    Some(Step { up_to, amount: fields.need("amount", "what the step costs")?.number()? })
}

fn package(value: &Value<'_>) -> Option<Curve> {
    let fields = Fields::open(value, &["size", "amount"])?;
    let size = fields.need("size", "the units in one package").and_then(|size| size.number());
    let amount = fields.need("amount", "what one package costs").and_then(|amount| amount.number());
    Some(Curve::Package { size: size?, amount: amount? })
}

fn percentage(value: &Value<'_>) -> Option<Curve> {
    let fields = Fields::open(value, &["rate", "fixed", "min", "max"])?;
    Some(Curve::Percentage {
        rate: fields.need("rate", "a share of each event's value, such as 2.9%")?.rate()?,
        fixed: or(&fields, "fixed", Amount::ZERO)?,
        min: maybe(&fields, "min")?,
        max: maybe(&fields, "max")?,
    })
}

fn dimensional(value: &Value<'_>) -> Option<Curve> {
    let fields = Fields::open(value, &["by", "rows", "default"])?;
    let by = fields.need("by", "the properties that the rows tell apart")?;
    let by: Vec<Arc<str>> = all(&by, Value::name)?;
    let rows = match fields.get("rows") {
        Some(rows) => all(&rows, row)?,
        None => Vec::new(),
    };
    let default = match fields.get("default") {
        Some(default) => Some(each(&Fields::open(&default, &["each", "per"])?)?),
        None => None,
    };
    Some(Curve::Dimensional { by, rows, default })
}

fn row(value: &Value<'_>) -> Option<Row> {
    let fields = Fields::open(value, &["is", "each", "per"])?;
    let is = fields.need("is", "the values of the properties, in their order")?;
    let is = all(&is, |value| value.text().map(Arc::from))?;
    Some(Row { is, each: each(&fields)? })
}
