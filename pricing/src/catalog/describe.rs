//! Entities as a file would declare them: the way back to YAML, and the two sides of a diff.

use super::Catalog;
use super::entity::{Address, Contact, Credit, CreditKind, Customer, Entity, Entry, Seller, Subscribe, Tax};
use super::read_meter::{LEVEL_UNITS, ROUNDINGS};
use super::settings::{Billing, Issue, Limits, Settings, Zero};
use super::tree::{Field, Tree};
use crate::curve::{Curve, Each, Row, Step, Tier};
use crate::group::Filter;
use crate::meter::{Aggregate, Meter};
use crate::number::{Amount, Quantity};
use crate::plan::{Commitment, Discount, Fee, Off, PlanRef, PlanVersion, Price, When as FeeWhen};
use crate::subscription::{Subscription as Timeline, Term, When};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A whole file; what ended is left out.
pub(super) fn file(catalog: &Catalog) -> String {
    let Catalog { tenant, settings, meters, plans, sellers, taxes, customers, subscriptions, credits, .. } = catalog;
    let mut out = format!("apiVersion: farthing/v1\ntenant: {}\n", Tree::text(tenant).flow());
    out.push_str(&format!(
        "limits: {}\nbilling: {}\n",
        limits(&settings.limits).flow(),
        billing(&settings.billing).flow()
    ));
    let goes_on = |entry: &Entry<super::entity::Subscription>| {
        !entry.ended && customers.get(&entry.customer).is_none_or(|customer| !customer.ended)
    };
    section(&mut out, "meters", alive(meters.values()).map(meter));
    section(&mut out, "plans", alive(plans.values()).filter_map(|plan| plan.newest()).map(plan));
    section(&mut out, "sellers", alive(sellers.values()).map(seller));
    section(&mut out, "taxes", alive(taxes.values()).map(tax));
    section(&mut out, "customers", alive(customers.values()).map(customer));
    let going_on = subscriptions.values().filter(|entry| goes_on(entry));
    section(&mut out, "subscriptions", going_on.map(|entry| subscribe(&entry.declared)));
    section(&mut out, "credits", alive(credits.values()).map(credit));
    out
}

fn alive<'a, T: 'a>(entries: impl Iterator<Item = &'a Arc<Entry<T>>>) -> impl Iterator<Item = &'a T> {
    entries.filter(|entry| !entry.ended).map(|entry| &entry.is)
}

fn section(out: &mut String, key: &str, items: impl Iterator<Item = Tree>) {
    let items: Vec<Tree> = items.collect();
    if !items.is_empty() {
        out.push_str(key);
        out.push(':');
        Tree::List(items).block(0, out);
        out.push('\n');
    }
}

/// One entity, for a diff.
pub(super) fn entity(entity: &Entity) -> Tree {
    match entity {
        Entity::Settings(is) => settings(is),
        Entity::Meter(entry) => meter(entry),
        Entity::Plan(entry) => entry.newest().map_or(Tree::Nothing, plan),
        Entity::Seller(entry) => seller(entry),
        Entity::Tax(entry) => tax(entry),
        Entity::Customer(entry) => customer(entry),
        Entity::Subscription(entry) => subscribe(&entry.declared),
        Entity::Credit(entry) => credit(entry),
    }
}

// === Parts ===

fn field(key: &str, value: Tree) -> Field {
    Field { key: key.to_owned(), value, default: false }
}

fn text(key: &str, value: impl ToString) -> Field {
    field(key, Tree::text(value))
}

/// A key that may be absent.
fn option(key: &str, value: Option<impl ToString>) -> Field {
    Field { default: value.is_none(), ..field(key, Tree::option(value)) }
}

/// A key that files leave out where it has its default.
fn or<T: ToString + PartialEq>(key: &str, value: T, default: &T) -> Field {
    Field { default: value == *default, ..text(key, value) }
}

/// A list or map that files leave out where it is empty.
fn many(key: &str, value: Tree) -> Field {
    let empty = match &value {
        Tree::List(items) => items.is_empty(),
        Tree::Map(fields) => fields.iter().all(|field| field.default),
        _ => false,
    };
    Field { default: empty, ..field(key, value) }
}

fn list<T>(items: &[T], tree: impl Fn(&T) -> Tree) -> Tree {
    Tree::List(items.iter().map(tree).collect())
}

fn texts(items: &[Arc<str>]) -> Tree {
    list(items, |text| Tree::text(text))
}

fn word<T: PartialEq + Copy>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, meaning)| *meaning == value).map_or("", |(word, _)| *word)
}

fn filter(filter: &Filter) -> Field {
    let values = |values: &[Arc<str>]| match values {
        [one] => Tree::text(one),
        several => texts(several),
    };
    many("where", Tree::Map(filter.0.iter().map(|(name, found)| field(name, values(found))).collect()))
}

// === Entities ===

fn settings(settings: &Settings) -> Tree {
    Tree::Map(vec![field("limits", limits(&settings.limits)), field("billing", billing(&settings.billing))])
}

fn limits(limits: &Limits) -> Tree {
    Tree::Map(vec![
        text("past", limits.past),
        text("future", limits.future),
        text("events_per_second", limits.events_per_second),
    ])
}

fn billing(billing: &Billing) -> Tree {
    Tree::Map(vec![
        text("grace", billing.grace),
        text("review", billing.review),
        text("issue", word(&[("auto", Issue::Auto), ("approve", Issue::Approve)], billing.issue)),
        text("hold_above", billing.hold_above.percent()),
        text("rounding", word(&ROUNDINGS, billing.rounding)),
        text("zero", word(&[("skip", Zero::Skip), ("issue", Zero::Issue)], billing.zero)),
    ])
}

fn meter(meter: &Meter) -> Tree {
    let per = match meter.aggregate {
        Aggregate::TimeWeighted(unit) => Some(word(&LEVEL_UNITS, unit)),
        _ => None,
    };
    Tree::Map(vec![
        text("id", &meter.id),
        text("event", &meter.event),
        text("aggregate", meter.aggregate.name()),
        option("value", meter.value.as_ref()),
        option("per", per),
        filter(&meter.filter),
        many("group_by", texts(&meter.group_by)),
    ])
}

pub(super) fn plan(plan: &PlanVersion) -> Tree {
    Tree::Map(vec![
        text("id", &plan.plan.id),
        text("currency", plan.currency),
        text("every", plan.every),
        option("seller", plan.seller.as_ref()),
        or("tax_included", plan.tax_included, &false),
        many("fees", list(&plan.fees, fee)),
        many("prices", list(&plan.prices, price)),
        many("discounts", list(&plan.discounts, discount)),
        Field {
            default: plan.commitment.is_none(),
            ..field("commitment", plan.commitment.as_ref().map_or(Tree::Nothing, commitment))
        },
    ])
}

fn fee(fee: &Fee) -> Tree {
    let when = word(&[("advance", FeeWhen::Advance), ("arrears", FeeWhen::Arrears)], fee.when);
    Tree::Map(vec![
        text("id", &fee.id),
        text("amount", fee.amount),
        text("when", when),
        option("every", fee.every),
        option("tax", fee.tax.as_ref()),
    ])
}

fn price(price: &Price) -> Tree {
    Tree::Map(vec![
        text("id", &price.id),
        text("meter", &price.meter),
        or("included", price.included, &Quantity::ZERO),
        curve(&price.curve),
        or("per_group", price.per_group, &false),
        option("minimum", price.minimum),
        option("cap", price.cap),
        many("discounts", list(&price.discounts, discount)),
        option("tax", price.tax.as_ref()),
        option("measure", price.measure.as_ref()),
    ])
}

fn discount(discount: &Discount) -> Tree {
    let off = match discount.off {
        Off::Percent(rate) => text("percent", rate.percent()),
        Off::Amount(amount) => text("amount", amount),
    };
    Tree::Map(vec![text("id", &discount.id), off])
}

fn commitment(commitment: &Commitment) -> Tree {
    Tree::Map(vec![text("amount", commitment.amount), option("every", commitment.every)])
}

fn each(each: &Each) -> Vec<Field> {
    vec![text("each", each.each), or("per", each.per, &Quantity::ONE)]
}

fn curve(curve: &Curve) -> Field {
    match curve {
        Curve::PerUnit(one) => field("per_unit", Tree::Map(each(one))),
        Curve::Graduated(tiers) => field("graduated", list(tiers, tier)),
        Curve::Volume(tiers) => field("volume", list(tiers, tier)),
        Curve::Package { size, amount } => {
            field("package", Tree::Map(vec![text("size", size), text("amount", amount)]))
        }
        Curve::Stairstep(steps) => field("stairstep", list(steps, step)),
        Curve::Percentage { rate, fixed, min, max } => field(
            "percentage",
            Tree::Map(vec![
                text("rate", rate.percent()),
                or("fixed", *fixed, &Amount::ZERO),
                option("min", *min),
                option("max", *max),
            ]),
        ),
        Curve::Dimensional { by, rows, default } => field(
            "dimensional",
            Tree::Map(vec![
                field("by", texts(by)),
                many("rows", list(rows, row)),
                Field {
                    default: default.is_none(),
                    ..field("default", default.as_ref().map_or(Tree::Nothing, |one| Tree::Map(each(one))))
                },
            ]),
        ),
    }
}

fn tier(tier: &Tier) -> Tree {
    let mut fields = vec![option("up_to", tier.up_to)];
    fields.extend(each(&tier.each));
    fields.push(or("flat", tier.flat, &Amount::ZERO));
    Tree::Map(fields)
}

fn step(step: &Step) -> Tree {
    Tree::Map(vec![option("up_to", step.up_to), text("amount", step.amount)])
}

fn row(row: &Row) -> Tree {
    let mut fields = vec![field("is", texts(&row.is))];
    fields.extend(each(&row.each));
    Tree::Map(fields)
}

fn address(address: &Address) -> Field {
    let parts = vec![
        option("street", address.street.as_ref()),
        option("city", address.city.as_ref()),
        option("postcode", address.postcode.as_ref()),
        option("country", address.country.as_ref()),
    ];
    many("address", Tree::Map(parts))
}

fn seller(seller: &Seller) -> Tree {
    Tree::Map(vec![
        text("id", &seller.id),
        option("name", seller.name.as_ref()),
        address(&seller.address),
        option("vat_id", seller.vat_id.as_ref()),
        option("prefix", seller.prefix.as_ref()),
        option("credit_prefix", seller.credit_prefix.as_ref()),
        option("terms_days", seller.terms_days),
        option("iban", seller.iban.as_ref()),
        option("bic", seller.bic.as_ref()),
        option("currency", seller.currency),
        exchange_rates(seller),
        option("registration", seller.registration.as_ref()),
        contact(&seller.contact),
        option("endpoint", seller.endpoint.as_ref()),
        option("logo", seller.logo.as_ref()),
    ])
}

fn exchange_rates(seller: &Seller) -> Field {
    let rates = seller.exchange_rates.iter().map(|(currency, rate)| text(currency.code(), rate));
    many("exchange_rates", Tree::Map(rates.collect()))
}

fn contact(contact: &Contact) -> Field {
    let parts = vec![
        option("name", contact.name.as_ref()),
        option("phone", contact.phone.as_ref()),
        option("email", contact.email.as_ref()),
    ];
    many("contact", Tree::Map(parts))
}

fn tax(tax: &Tax) -> Tree {
    let rate = Field { default: tax.rate.is_zero(), ..text("rate", tax.rate.percent()) };
    Tree::Map(vec![
        text("id", &tax.id),
        text("category", tax.category.code()),
        rate,
        option("reason", tax.reason.as_ref()),
    ])
}

fn customer(customer: &Customer) -> Tree {
    Tree::Map(vec![
        text("id", &customer.id),
        option("name", customer.name.as_ref()),
        address(&customer.address),
        text("time_zone", customer.time_zone.name()),
        option("tax", customer.tax.as_ref()),
        option("seller", customer.seller.as_ref()),
        option("language", customer.language.as_ref()),
        option("email", customer.email.as_ref()),
        option("vat_id", customer.vat_id.as_ref()),
        option("reference", customer.reference.as_ref()),
        option("endpoint", customer.endpoint.as_ref()),
    ])
}

fn subscribe(subscribe: &Subscribe) -> Tree {
    let change = word(&[("period_end", When::PeriodEnd), ("now", When::Now)], subscribe.change);
    Tree::Map(vec![
        text("id", &subscribe.id),
        text("customer", &subscribe.customer),
        text("plan", &subscribe.plan),
        text("from", subscribe.from),
        option("until", subscribe.until),
        option("trial_until", subscribe.trial_until),
        option("anchor", subscribe.anchor),
        or("change", change, &"period_end"),
        or("backfill", subscribe.backfill, &false),
        filter(&subscribe.filter),
        overrides(&subscribe.overrides),
    ])
}

fn overrides(overrides: &BTreeMap<crate::id::PriceId, Curve>) -> Field {
    let one = |(id, replaced): (&crate::id::PriceId, &Curve)| field(id.as_str(), Tree::Map(vec![curve(replaced)]));
    many("overrides", Tree::Map(overrides.iter().map(one).collect()))
}

fn credit(credit: &Credit) -> Tree {
    let kinds = [("promotional", CreditKind::Promotional), ("prepaid", CreditKind::Prepaid)];
    Tree::Map(vec![
        text("id", &credit.id),
        text("customer", &credit.customer),
        text("kind", word(&kinds, credit.kind)),
        text("amount", credit.amount),
        text("currency", credit.currency),
        option("expires", credit.expires),
    ])
}

/// What a timeline has that it had not: one line for each new term, and its end.
pub(super) fn timeline(before: Option<&Timeline>, after: &Timeline) -> Vec<String> {
    let known = |term: &Term| {
        before.is_some_and(|before| before.terms.iter().any(|old| old.from == term.from && old.sells_as(term)))
    };
    let one = |term: &Term| {
        let PlanRef { id, version } = &term.plan;
        let trial = if term.trial { ", trial" } else { "" };
        format!("from {}: plan {id} version {version}{trial}", term.from)
    };
    let mut lines: Vec<String> = after.terms.iter().filter(|term| !known(term)).map(one).collect();
    match (before.and_then(Timeline::until), after.until()) {
        (was, Some(until)) if was != Some(until) => lines.push(format!("ends {until}")),
        (Some(_), None) => lines.push("does not end".to_owned()),
        _ => {}
    }
    match before {
        Some(_) => {}
        None if after.terms.is_empty() => lines.push("never begins".to_owned()),
        None => lines.push(format!("billed from {}", after.first_billed)),
    }
    lines
}
