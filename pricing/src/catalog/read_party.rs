//! Sellers, taxes, customers, subscriptions and credits out of a file.

use super::entity::{Address, AnchorText, Category, Contact, Credit, CreditKind, Customer, Seller, Subscribe, Tax};
use super::read_meter::{filter, id};
use super::read_plan::{override_curve, share};
use super::reader::{Fields, Value};
use crate::currency::Currency;
use crate::curve::Curve;
use crate::id::{CustomerId, PlanId, PriceId};
use crate::number::{Amount, Rate};
use crate::period::Zone;
use crate::subscription::When;
use std::collections::BTreeMap;
use std::sync::Arc;

const SELLER: [&str; 15] = [
    "id",
    "name",
    "address",
    "vat_id",
    "prefix",
    "credit_prefix",
    "terms_days",
    "iban",
    "bic",
    "currency",
    "exchange_rates",
    "registration",
    "contact",
    "endpoint",
    "logo",
];

pub(super) fn seller(value: &Value<'_>) -> Option<Seller> {
    let mut fields = Fields::open(value, &SELLER)?;
    let id = id(&mut fields, "sellers")?;
    // A series without a prefix is one, too.
    let prefix = |key: &str| fields.get(key).and_then(|value| value.text().map(Arc::from));
    Some(Seller {
        id,
        name: fields.text("name"),
        address: address(&fields),
        vat_id: fields.text("vat_id"),
        prefix: prefix("prefix"),
        credit_prefix: prefix("credit_prefix"),
        terms_days: fields.whole("terms_days"),
        iban: fields.text("iban"),
        bic: fields.text("bic"),
        currency: fields.parse("currency"),
        exchange_rates: exchange_rates(&fields),
        registration: fields.text("registration"),
        contact: contact(&fields),
        endpoint: endpoint(&fields),
        logo: logo(&fields),
    })
}

/// A file's plain name: it is looked for in one folder only.
fn logo(fields: &Fields<'_>) -> Option<Arc<str>> {
    let value = fields.get("logo")?;
    let found = value.text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let ends = [".png", ".jpg", ".jpeg", ".svg"].iter().any(|end| found.ends_with(end));
    if !ends || found.starts_with('.') || !found.bytes().all(plain) {
        value.refuse(format!(
            "found '{found}'; write the name of a PNG, JPEG or SVG file without its folder, such as acme.png"
        ));
    }
    Some(Arc::from(found))
}

fn contact(fields: &Fields<'_>) -> Contact {
    let Some(value) = fields.get("contact") else { return Contact::default() };
    let Some(fields) = Fields::open(&value, &["name", "phone", "email"]) else { return Contact::default() };
    Contact { name: fields.text("name"), phone: fields.text("phone"), email: fields.text("email") }
}

/// What one unit of each currency is worth in the seller's own.
fn exchange_rates(fields: &Fields<'_>) -> BTreeMap<Currency, Rate> {
    let entries = fields.get("exchange_rates").map(|value| value.map()).unwrap_or_default();
    let one = |(key, value): (&super::node::Key, Value<'_>)| {
        let currency = Currency::new(&key.text).map_err(|error| value.refuse(error.to_string())).ok();
        let rate = value.number::<Rate>()?;
        if !rate.is_positive() {
            value.refuse("a rate is above zero: what one unit is worth in the seller's own currency");
        }
        Some((currency?, rate))
    };
    let rates: BTreeMap<Currency, Rate> = entries.into_iter().filter_map(one).collect();
    if !rates.is_empty() && !fields.has("currency") {
        fields.refuse("'exchange_rates' lead into the seller's own currency: write 'currency', too");
    }
    rates
}

/// Where electronic documents go to or come from.
fn endpoint(fields: &Fields<'_>) -> Option<Arc<str>> {
    let value = fields.get("endpoint")?;
    let found = value.text()?;
    let well_formed = found.split_once(':').is_some_and(|(scheme, address)| {
        let code = scheme == "EM" || (scheme.len() == 4 && scheme.bytes().all(|byte| byte.is_ascii_digit()));
        code && !address.is_empty() && !address.contains(' ')
    });
    if !well_formed {
        value.refuse(format!(
            "found '{found}'; write SCHEME:ADDRESS, such as 9930:DE123456789 or EM:billing@example.com"
        ));
    }
    Some(Arc::from(found))
}

fn address(fields: &Fields<'_>) -> Address {
    let Some(value) = fields.get("address") else { return Address::default() };
    let Some(fields) = Fields::open(&value, &["street", "city", "postcode", "country"]) else {
        return Address::default();
    };
    let country = fields.text("country");
    if let Some(found) = country.as_deref()
        && (found.len() != 2 || !found.bytes().all(|byte| byte.is_ascii_uppercase()))
        && let Some(value) = fields.get("country")
    {
        value.refuse(format!("found '{found}'; write the two letters of ISO 3166-1, such as DE"));
    }
    Address { street: fields.text("street"), city: fields.text("city"), postcode: fields.text("postcode"), country }
}

pub(super) fn tax(value: &Value<'_>) -> Option<Tax> {
    let mut fields = Fields::open(value, &["id", "category", "rate", "reason"])?;
    let id = id(&mut fields, "taxes")?;
    let words = Category::ALL.map(|category| (category.code(), category));
    let category = fields.need("category", "S, Z, E, AE, G or O").and_then(|category| category.word(&words))?;
    let rate = fields.get("rate").and_then(|rate| share(&rate));
    match (category, rate) {
        (Category::S, None) if !fields.has("rate") => {
            fields.refuse("'rate' is missing; category S has one, such as 19%");
        }
        (Category::S, Some(rate)) if rate.is_zero() => {
            fields.refuse("category S has a rate above 0%; with 0% it is category Z");
        }
        (other, Some(rate)) if other != Category::S && !rate.is_zero() => {
            fields.refuse(format!("category {} has no rate; leave it out, or write category S", other.code()));
        }
        _ => {}
    }
    Some(Tax { id, category, rate: rate.unwrap_or(Rate::ZERO), reason: fields.text("reason") })
}

const CUSTOMER: [&str; 11] =
    ["id", "name", "address", "time_zone", "tax", "seller", "language", "email", "vat_id", "reference", "endpoint"];

pub(super) fn customer(value: &Value<'_>) -> Option<Customer> {
    let mut fields = Fields::open(value, &CUSTOMER)?;
    let id = id(&mut fields, "customers")?;
    let time_zone = fields.get("time_zone").and_then(|value| {
        let name = value.text()?;
        Zone::new(name).map_err(|error| value.refuse(error.to_string())).ok()
    });
    let email = fields.text("email");
    if let Some(found) = email.as_deref()
        && !found.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        && let Some(value) = fields.get("email")
    {
        value.refuse(format!("'{found}' is not an email address"));
    }
    Some(Customer {
        id,
        name: fields.text("name"),
        address: address(&fields),
        time_zone: time_zone.unwrap_or_else(Zone::utc),
        tax: fields.parse("tax"),
        seller: fields.parse("seller"),
        language: fields.text("language"),
        email,
        vat_id: fields.text("vat_id"),
        reference: fields.text("reference"),
        endpoint: endpoint(&fields),
    })
}

const SUBSCRIPTION: [&str; 11] =
    ["id", "customer", "plan", "from", "until", "trial_until", "anchor", "change", "backfill", "where", "overrides"];

pub(super) fn subscription(value: &Value<'_>) -> Option<Subscribe> {
    let mut fields = Fields::open(value, &SUBSCRIPTION)?;
    let id = id(&mut fields, "subscriptions")?;
    let customer = fields.need("customer", "the customer's id").and_then(|value| value.parse::<CustomerId>());
    let plan = fields.need("plan", "the plan's id").and_then(|value| value.parse::<PlanId>());
    let from = fields.need("from", "its first day, such as 2026-01-15").and_then(|value| value.parse());
    let anchor = fields.get("anchor").and_then(|value| {
        let found = value.text()?;
        let anchor = AnchorText::read(found);
        if anchor.is_none() {
            value.refuse(format!("found '{found}'; write a day of the month (1 to 31), a weekday, or MM-DD"));
        }
        anchor
    });
    let change = fields.word("change", &[("period_end", When::PeriodEnd), ("now", When::Now)]);
    let (filter, overrides) = (filter(&fields), overrides(&fields));
    let (until, trial_until, backfill) =
        (fields.moment("until"), fields.moment("trial_until"), fields.flag("backfill"));
    Some(Subscribe {
        id,
        customer: customer?,
        plan: plan?,
        from: from?,
        until,
        trial_until,
        anchor,
        change: change.unwrap_or_default(),
        backfill,
        filter,
        overrides,
    })
}

fn overrides(fields: &Fields<'_>) -> BTreeMap<PriceId, Curve> {
    let entries = fields.get("overrides").map(|value| value.map()).unwrap_or_default();
    let one = |(key, value): (&super::node::Key, Value<'_>)| {
        let id = PriceId::new(&key.text).map_err(|error| value.refuse(error.to_string())).ok();
        override_curve(&value).and_then(|curve| Some((id?, curve)))
    };
    entries.into_iter().filter_map(one).collect()
}

pub(super) fn credit(value: &Value<'_>) -> Option<Credit> {
    let mut fields = Fields::open(value, &["id", "customer", "kind", "amount", "currency", "expires"])?;
    let id = id(&mut fields, "credits")?;
    let customer = fields.need("customer", "the customer's id").and_then(|value| value.parse::<CustomerId>());
    let kinds = [("promotional", CreditKind::Promotional), ("prepaid", CreditKind::Prepaid)];
    let kind = fields.need("kind", "promotional or prepaid").and_then(|value| value.word(&kinds));
    let amount = fields.need("amount", "how much").and_then(|value| {
        let amount: Amount = value.number()?;
        if !amount.is_positive() {
            value.refuse(format!("{amount} is no credit; write more than 0"));
        }
        Some(amount)
    });
    let currency = fields.need("currency", "an ISO 4217 code, such as EUR").and_then(|value| value.parse::<Currency>());
    Some(Credit {
        id,
        customer: customer?,
        kind: kind?,
        amount: amount?,
        currency: currency?,
        expires: fields.moment("expires"),
        expires_at: None,
    })
}

/// Text that names a file format.
pub(super) fn api_version(root: &Fields<'_>) {
    if let Some(value) = root.get("apiVersion")
        && let Some(found) = value.text()
        && found != "farthing/v1"
    {
        value
            .refuse(format!("found '{}'; this Farthing reads farthing/v1", found.chars().take(64).collect::<String>()));
    }
}
