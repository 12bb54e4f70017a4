//! What a simulated tenant sells and what its customers do, drawn from a seed. The specification is written out twice: as a
//! catalog file for Farthing, and as plain data for the naive model.

use crate::curve::{Curve, decimal};
use crate::terms::{Off, TAXES, Terms, draw_overrides};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The first moment of the simulated world: 2024-03-29T00:00:00Z, so that Berlin's clocks change inside it.
pub const BEGIN_SECONDS: i64 = 1_711_670_400;
/// The first moment of every subscription: noon of the day before.
pub const FROM_SECONDS: i64 = BEGIN_SECONDS - DAY_SECONDS / 2;
/// One day.
pub const DAY_SECONDS: i64 = 86_400;

/// A meter and a curve, priced together.
#[derive(Clone, Debug)]
pub struct Price {
    /// Id of the price and of its meter.
    pub id: String,
    /// How events fold.
    pub meter: Meter,
    /// How the quantity is priced.
    pub curve: Curve,
    /// Free units, or none where the curve takes none.
    pub included: Option<u32>,
    /// F is never above it, as decimal text.
    pub cap: Option<String>,
    /// Its own discounts, in order.
    pub discounts: Vec<Off>,
    /// The least that a full period comes to after them, as decimal text.
    pub minimum: Option<String>,
    /// Taxed at the lower rate.
    pub low_tax: bool,
    /// Whether the meter splits by region.
    pub grouped: bool,
    /// Whether F applies in each region.
    pub per_group: bool,
    /// The type of events that its meter reads.
    pub event_type: &'static str,
    /// The only region that its meter admits.
    pub only: Option<&'static str>,
}

/// How events fold into a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the catalog's own words
pub enum Meter {
    Count,
    Sum,
    Max,
    Unique,
    Latest,
    TimeWeighted,
}

/// Who buys.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Its id.
    pub id: String,
    /// Its zone.
    pub zone: &'static str,
    /// Declared with the first catalog, or only later: until then its events are parked.
    pub late: bool,
    /// Whether periods from before its declaration are billed.
    pub backfill: bool,
    /// When its subscription ends, in seconds.
    pub until: Option<i64>,
    /// When its trial ends, in seconds.
    pub trial_until: Option<i64>,
    /// Curves of its own, by price.
    pub overrides: BTreeMap<String, Curve>,
    /// Whether the full catalog moves it to another plan at once.
    pub moves: bool,
    /// When it moved (nanoseconds), as the history tells.
    pub changed: Option<i64>,
    /// Whether it pays tax on what names none of its own.
    pub taxed: bool,
}

/// One report of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique within customer and source.
    pub id: String,
    /// Who reports.
    pub source: String,
    /// What happened.
    pub event_type: String,
    /// Who is billed.
    pub customer: String,
    /// When, in nanoseconds since the epoch.
    pub time: i64,
    /// Whether the sender leaves the time out.
    pub timeless: bool,
    /// `region`, `user`, `value`.
    pub properties: Vec<(String, String)>,
}

/// All that is drawn before the run begins.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What is sold first.
    pub prices: Vec<Price>,
    /// What is sold with the full catalog: the same meters, other curves.
    pub later_prices: Vec<Price>,
    /// How it settles first, and with the full catalog.
    pub terms: [Terms; 2],
    /// Amounts hold their tax.
    pub tax_included: bool,
    /// A fee of each period in arrears, as decimal text.
    pub fee: String,
    /// A fee of each period in advance.
    pub advance: Option<String>,
    /// Who buys it.
    pub customers: Vec<Customer>,
    /// How much a shard keeps of events that wait or that nothing explains; in half of the runs next to nothing.
    pub limits: rater::fold::Options,
}

/// The regions that events come from.
pub const REGIONS: [&str; 3] = ["ap", "eu", "us"];

impl Workload {
    /// Draws prices and customers.
    pub fn draw(random: &mut StdRng) -> Self {
        let mut prices: Vec<Price> = (0..random.random_range(2..5)).map(|number| Price::draw(random, number)).collect();
        prices.push(Price::vip(random));
        let mut customers: Vec<Customer> =
            (0..random.random_range(2..6)).map(|number| Customer::draw(random, number, &prices)).collect();
        let terms = [Terms::draw(random), Terms::draw(random)];
        let tax_included = random.random_ratio(1, 4);
        let later_prices = prices.iter().map(|price| price.again(random)).collect();
        let fee = if random.random_ratio(1, 4) { "0.001".to_owned() } else { decimal(random, 3) };
        let advance = random.random_ratio(1, 3).then(|| decimal(random, 4));
        let mut limits = rater::fold::Options::default();
        if random.random_ratio(1, 2) {
            (limits.parked_max, limits.waiting_max) = (random.random_range(2..9), random.random_range(1..4));
        }
        // What of a fixed discount belongs to the unused part of a fee in advance is the bill's choice, not the model's.
        let splits = advance.is_none() || !terms[0].discounts.iter().any(|off| matches!(off, Off::Amount(_)));
        for customer in &mut customers {
            let lasts = customer.until.is_none() && customer.trial_until.is_none();
            customer.moves = splits && lasts && random.random_ratio(1, 3);
        }
        Self { prices, later_prices, terms, tax_included, fee, advance, customers, limits }
    }

    /// The catalog file: with the late customers, or without.
    pub fn catalog(&self, with_late: bool) -> String {
        let mut file = String::from("apiVersion: farthing/v1\ntenant: acme\nlimits: {past: 2d, future: 5m}\n");
        file.push_str("billing: {grace: 1h, review: 6h, hold_above: 100000000%}\nmeters:\n");
        for price in &self.prices {
            let (event_type, aggregate) = (price.event_type, price.meter.yaml());
            let groups = if price.grouped { ", group_by: [region]" } else { "" };
            let only = price.only.map(|region| format!(", where: {{region: {region}}}")).unwrap_or_default();
            let _ = writeln!(file, "  - {{id: {}, event: {event_type}, {aggregate}{groups}{only}}}", price.id);
        }
        if with_late {
            file.push_str("  - {id: later, event: later, aggregate: count}\n");
        }
        file.push_str("  - {id: unsold, event: unsold, aggregate: count}\n");
        let taxes = TAXES.map(|(id, rate)| format!("{{id: {id}, category: S, rate: {rate}}}")).join(", ");
        let _ = writeln!(file, "taxes: [{taxes}]\nplans:");
        // The same under two names, so that a customer can move at once.
        for plan in ["p", "q"].into_iter().take(1 + usize::from(with_late)) {
            self.plan(&mut file, plan, with_late);
        }
        file.push_str("customers:\n");
        let there = || self.customers.iter().filter(|customer| with_late || !customer.late);
        for customer in there() {
            let _ = writeln!(file, "  - {{id: {}, time_zone: {}{}}}", customer.id, customer.zone, customer.tax());
        }
        file.push_str("subscriptions:\n");
        for customer in there() {
            // From noon: the first period is short, so that included units, caps and fees scale.
            let Customer { id, backfill, .. } = customer;
            let from = instant(FROM_SECONDS);
            let plan = if with_late && customer.moves { "q, change: now" } else { "p" };
            let until = customer.until.map(|until| format!(", until: {}", instant(until))).unwrap_or_default();
            let trial =
                customer.trial_until.map(|until| format!(", trial_until: {}", instant(until))).unwrap_or_default();
            let _ = writeln!(
                file,
                "  - {{id: s-{id}, customer: {id}, plan: {plan}, from: {from}, backfill: {backfill}{until}{trial}{}}}",
                customer.own_curves()
            );
        }
        file
    }

    fn plan(&self, file: &mut String, id: &str, with_late: bool) {
        let (included, terms) = (self.tax_included, self.terms[usize::from(with_late)].yaml());
        let _ = writeln!(file, "  - id: {id}\n    currency: USD\n    every: day\n    tax_included: {included}");
        let _ = write!(file, "{terms}    fees: [{{id: f, amount: {}, when: arrears}}", self.fee);
        if let Some(advance) = &self.advance {
            let _ = write!(file, ", {{id: g, amount: {advance}, when: advance}}");
        }
        file.push_str("]\n    prices:\n");
        for price in if with_late { &self.later_prices } else { &self.prices } {
            let _ = writeln!(file, "      - {{{}}}", price.yaml());
        }
    }

    /// The meters of the first catalog, read from its file.
    pub fn meters(&self) -> Vec<pricing::meter::Meter> {
        let Ok(file) = pricing::catalog::File::parse(&self.catalog(false)) else { return Vec::new() };
        let Some(tenant) = file.tenant.clone() else { return Vec::new() };
        let empty = pricing::catalog::Catalog::new(tenant);
        let begin = pricing::time::Instant::from_nanos(BEGIN_SECONDS * 1_000_000_000);
        let applied = empty.apply(&file, &pricing::catalog::Options::default(), begin);
        applied.map(|change| change.catalog.meters_in_force()).unwrap_or_default()
    }

    /// Draws an event around `now` (seconds): most are on time, some late, some a little ahead, some of strangers.
    pub fn event(&self, random: &mut StdRng, number: u64, now: i64) -> Event {
        let ago = match random.random_range(0..40) {
            0..5 => random.random_range(0..DAY_SECONDS * 3 / 2),
            5..8 => -random.random_range(0..800),
            8 => random.random_range(2 * DAY_SECONDS..4 * DAY_SECONDS),
            _ => random.random_range(0..1_800),
        };
        // What is very old may lie before anything that is sold.
        let first = if ago < 2 * DAY_SECONDS { BEGIN_SECONDS - DAY_SECONDS / 4 } else { 0 };
        let time = (now - ago).max(first) * 1_000_000_000 + random.random_range(0..1_000_000_000);
        let customer = match self.customers.choose(random) {
            Some(customer) if !random.random_ratio(1, 40) => customer.id.clone(),
            _ => "stranger".to_owned(),
        };
        let value = match random.random_range(0..15) {
            0 => format!("-{}", random.random_range(0..50)),
            1 => "0".to_owned(),
            2 => "x".to_owned(),
            3..6 => decimal(random, 9),
            _ => random.random_range(1..2_000u32).to_string(),
        };
        let event_type = match random.random_range(0..200) {
            0..8 => "unsold",
            8..28 => "vip",
            28..34 => "later",
            34 => "odd",
            _ => "use",
        };
        let property = |name: &str, value: String| (name.to_owned(), value);
        Event {
            id: format!("e-{number}"),
            source: ["a", "b"].choose(random).copied().unwrap_or("a").to_owned(),
            event_type: event_type.to_owned(),
            customer,
            time,
            timeless: random.random_ratio(1, 30),
            properties: vec![
                property("region", REGIONS.choose(random).copied().unwrap_or("eu").to_owned()),
                property("user", format!("u-{}", random.random_range(0..9))),
                property("value", value),
            ],
        }
    }
}

/// An instant as catalog files write it.
fn instant(seconds: i64) -> String {
    pricing::time::Instant::from_nanos(seconds.saturating_mul(1_000_000_000)).to_string()
}

impl Customer {
    fn draw(random: &mut StdRng, number: u32, prices: &[Price]) -> Self {
        let late = number > 0 && random.random_ratio(1, 3);
        let ends = random.random_ratio(1, 3);
        let until = BEGIN_SECONDS + random.random_range(18 * 3_600..48 * 3_600);
        Self {
            id: format!("c-{number}"),
            zone: ["UTC", "Europe/Berlin", "Asia/Kathmandu"].choose(random).copied().unwrap_or("UTC"),
            late,
            backfill: number == 0 || random.random_ratio(2, 3),
            until: (ends && !late).then_some(until),
            trial_until: random.random_ratio(1, 6).then(|| FROM_SECONDS + random.random_range(3_600..30 * 3_600)),
            overrides: draw_overrides(random, prices),
            moves: false,
            changed: None,
            taxed: random.random_ratio(1, 2),
        }
    }

    fn tax(&self) -> &'static str {
        if self.taxed { ", tax: vat" } else { "" }
    }

    fn own_curves(&self) -> String {
        let curves = self.overrides.iter().map(|(price, curve)| format!("{price}: {{{}}}", curve.yaml()));
        let curves = curves.collect::<Vec<_>>().join(", ");
        if curves.is_empty() { curves } else { format!(", overrides: {{{curves}}}") }
    }
}

impl Event {
    /// The text of a property.
    pub fn property(&self, name: &str) -> &str {
        self.properties.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }
}

impl Meter {
    fn yaml(self) -> &'static str {
        match self {
            Self::Count => "aggregate: count",
            Self::Sum => "aggregate: sum, value: value",
            Self::Max => "aggregate: max, value: value",
            Self::Unique => "aggregate: unique, value: user",
            Self::Latest => "aggregate: latest, value: value",
            Self::TimeWeighted => "aggregate: time_weighted, value: value, per: hour",
        }
    }
}

impl Price {
    fn draw(random: &mut StdRng, number: u32) -> Self {
        let meters =
            [Meter::Count, Meter::Sum, Meter::Sum, Meter::Max, Meter::Unique, Meter::Latest, Meter::TimeWeighted];
        let meter = *meters.choose(random).unwrap_or(&Meter::Sum);
        let by_event = matches!(meter, Meter::Count | Meter::Sum);
        let curve = Curve::draw(random, if by_event { 7 } else { 5 });
        let grouped = random.random_ratio(1, 2);
        let takes_included = !matches!(curve, Curve::Percentage { .. } | Curve::Dimensional { .. });
        Self {
            id: format!("m{number}"),
            meter,
            curve,
            included: (takes_included && random.random_ratio(1, 3)).then(|| random.random_range(1..20)),
            cap: random.random_ratio(1, 5).then(|| decimal(random, 4)),
            discounts: if random.random_ratio(1, 4) { Off::draw_all(random) } else { Vec::new() },
            minimum: random.random_ratio(1, 6).then(|| decimal(random, 4)),
            low_tax: random.random_ratio(1, 4),
            grouped,
            per_group: grouped && random.random_ratio(2, 3),
            event_type: "use",
            only: None,
        }
    }

    /// One that admits a region only.
    fn vip(random: &mut StdRng) -> Self {
        Self {
            id: "vip".to_owned(),
            meter: Meter::Count,
            curve: Curve::draw(random, 5),
            included: None,
            cap: None,
            discounts: Vec::new(),
            minimum: None,
            low_tax: false,
            grouped: false,
            per_group: false,
            event_type: "vip",
            only: Some("eu"),
        }
    }

    /// Another price on the same meter.
    fn again(&self, random: &mut StdRng) -> Self {
        let by_event = self.event_type == "use" && matches!(self.meter, Meter::Count | Meter::Sum);
        let curve = Curve::draw(random, if by_event { 7 } else { 5 });
        let takes_included = !matches!(curve, Curve::Percentage { .. } | Curve::Dimensional { .. });
        Self {
            curve,
            included: (takes_included && random.random_ratio(1, 3)).then(|| random.random_range(1..20)),
            cap: random.random_ratio(1, 5).then(|| decimal(random, 4)),
            discounts: if random.random_ratio(1, 4) { Off::draw_all(random) } else { Vec::new() },
            minimum: random.random_ratio(1, 6).then(|| decimal(random, 4)),
            ..self.clone()
        }
    }

    /// Whether its meter reads the event.
    pub fn admits(&self, event: &Event) -> bool {
        self.event_type == event.event_type && self.only.is_none_or(|only| only == event.property("region"))
    }

    fn yaml(&self) -> String {
        let mut yaml = format!("id: {0}, meter: {0}, {1}", self.id, self.curve.yaml());
        if let Some(included) = self.included {
            let _ = write!(yaml, ", included: {included}");
        }
        if let Some(cap) = &self.cap {
            let _ = write!(yaml, ", cap: {cap}");
        }
        if !self.discounts.is_empty() {
            let _ = write!(yaml, ", discounts: [{}]", Off::yaml(&self.discounts));
        }
        if let Some(minimum) = &self.minimum {
            let _ = write!(yaml, ", minimum: {minimum}");
        }
        if self.low_tax {
            yaml.push_str(", tax: low");
        }
        if self.per_group {
            yaml.push_str(", per_group: true");
        }
        yaml
    }
}
