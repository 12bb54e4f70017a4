//! What a simulated tenant sells and what its customers do, drawn from a seed. The specification is written out twice: as a
//! catalog file for Farthing, and as plain data for the naive model.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::RngExt;
use std::fmt::Write;

/// The first moment of the simulated world: 2024-03-29T00:00:00Z, so that Berlin's clocks change inside it.
pub const BEGIN_SECONDS: i64 = 1_711_670_400;
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
    /// Whether the meter splits by region and F applies in each.
    pub per_group: bool,
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

/// A curve, its numbers as decimal text.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the catalog's own words
pub enum Curve {
    PerUnit { each: String, per: u32 },
    Graduated(Vec<Tier>),
    Volume(Vec<Tier>),
    Package { size: u32, amount: String },
    Stairstep(Vec<(Option<u32>, String)>),
    Percentage { rate: String, fixed: String, min: String, max: String },
    Dimensional { rows: Vec<(String, String, u32)>, default: String },
}

/// One tier of a graduated or volume curve.
#[derive(Clone, Debug)]
pub struct Tier {
    /// Its upper bound; none on the last.
    pub up_to: Option<u32>,
    /// Price of `per` units.
    pub each: String,
    /// Units that `each` is for.
    pub per: u32,
    /// Added when the tier is entered.
    pub flat: String,
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
}

/// One report of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique within customer and source.
    pub id: String,
    /// Who reports.
    pub source: &'static str,
    /// What happened.
    pub event_type: &'static str,
    /// Who is billed.
    pub customer: String,
    /// When, in nanoseconds since the epoch.
    pub time: i64,
    /// `region`, `user`, `value`.
    pub properties: Vec<(&'static str, String)>,
}

/// All that is drawn before the run begins.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What is sold.
    pub prices: Vec<Price>,
    /// A fee of each period in arrears, as decimal text.
    pub fee: String,
    /// Who buys it.
    pub customers: Vec<Customer>,
}

/// The regions that events come from.
pub const REGIONS: [&str; 3] = ["ap", "eu", "us"];

impl Workload {
    /// Draws prices and customers.
    pub fn draw(random: &mut StdRng) -> Self {
        let prices = (0..random.random_range(3..7)).map(|number| Price::draw(random, number)).collect();
        let customers = (0..random.random_range(3..7))
            .map(|number| Customer {
                id: format!("c-{number}"),
                zone: ["UTC", "Europe/Berlin", "Asia/Kathmandu"].choose(random).copied().unwrap_or("UTC"),
                late: number > 0 && random.random_ratio(1, 4),
            })
            .collect();
        Self { prices, fee: decimal(random, 3), customers }
    }

    /// The catalog file: with the late customers, or without.
    pub fn catalog(&self, with_late: bool) -> String {
        let mut file = String::from("apiVersion: farthing/v1\ntenant: acme\nlimits: {past: 2d, future: 5m}\n");
        file.push_str("billing: {grace: 1h, review: 6h, hold_above: 100000000%}\nmeters:\n");
        for price in &self.prices {
            let aggregate = price.meter.yaml();
            let groups = if price.per_group { ", group_by: [region]" } else { "" };
            let _ = writeln!(file, "  - {{id: {}, event: use, {aggregate}{groups}}}", price.id);
        }
        file.push_str("  - {id: unsold, event: unsold, aggregate: count}\n");
        let _ = writeln!(file, "plans:\n  - id: p\n    currency: USD\n    every: day");
        let _ = writeln!(file, "    fees: [{{id: f, amount: {}, when: arrears}}]\n    prices:", self.fee);
        for price in &self.prices {
            let _ = writeln!(file, "      - {{{}}}", price.yaml());
        }
        file.push_str("customers:\n");
        let there = || self.customers.iter().filter(|customer| with_late || !customer.late);
        for customer in there() {
            let _ = writeln!(file, "  - {{id: {}, time_zone: {}}}", customer.id, customer.zone);
        }
        file.push_str("subscriptions:\n");
        for customer in there() {
            // From noon: the first period is short, so that included units, caps and fees scale.
            let id = &customer.id;
            let _ = writeln!(file, "  - {{id: s-{id}, customer: {id}, plan: p, from: 2024-03-28T12:00:00Z, backfill: true}}");
        }
        file
    }

    /// Draws an event around `now` (seconds): most are on time, some late, some a little ahead, some of strangers.
    pub fn event(&self, random: &mut StdRng, number: u64, now: i64) -> Event {
        let ago = match random.random_range(0..10) {
            0 => random.random_range(0..DAY_SECONDS * 3 / 2),
            1 => -random.random_range(0..240),
            _ => random.random_range(0..1_800),
        };
        let time = (now - ago).max(BEGIN_SECONDS - DAY_SECONDS / 4) * 1_000_000_000 + random.random_range(0..1_000_000_000);
        let customer = match self.customers.choose(random) {
            Some(customer) if !random.random_ratio(1, 40) => customer.id.clone(),
            _ => "stranger".to_owned(),
        };
        let value = match random.random_range(0..12) {
            0 => format!("-{}", random.random_range(0..50)),
            1 => "0".to_owned(),
            2 => "x".to_owned(),
            3..=5 => decimal(random, 9),
            _ => random.random_range(1..2_000u32).to_string(),
        };
        Event {
            id: format!("e-{number}"),
            source: ["a", "b"].choose(random).copied().unwrap_or("a"),
            event_type: if random.random_ratio(1, 25) { "unsold" } else { "use" },
            customer,
            time,
            properties: vec![
                ("region", REGIONS.choose(random).copied().unwrap_or("eu").to_owned()),
                ("user", format!("u-{}", random.random_range(0..9))),
                ("value", value),
            ],
        }
    }
}

impl Event {
    /// The text of a property.
    pub fn property(&self, name: &str) -> &str {
        self.properties.iter().find(|(own, _)| *own == name).map_or("", |(_, value)| value)
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
        let meters = [Meter::Count, Meter::Sum, Meter::Sum, Meter::Max, Meter::Unique, Meter::Latest, Meter::TimeWeighted];
        let meter = *meters.choose(random).unwrap_or(&Meter::Sum);
        let by_event = matches!(meter, Meter::Count | Meter::Sum);
        let curve = Curve::draw(random, if by_event { 7 } else { 5 });
        let takes_included = !matches!(curve, Curve::Percentage { .. } | Curve::Dimensional { .. });
        Self {
            id: format!("m{number}"),
            meter,
            curve,
            included: (takes_included && random.random_ratio(1, 3)).then(|| random.random_range(1..20)),
            cap: random.random_ratio(1, 5).then(|| decimal(random, 4)),
            per_group: random.random_ratio(1, 3),
        }
    }

    fn yaml(&self) -> String {
        let mut yaml = format!("id: {0}, meter: {0}, {1}", self.id, self.curve.yaml());
        if let Some(included) = self.included {
            let _ = write!(yaml, ", included: {included}");
        }
        if let Some(cap) = &self.cap {
            let _ = write!(yaml, ", cap: {cap}");
        }
        if self.per_group {
            yaml.push_str(", per_group: true");
        }
        yaml
    }
}

impl Curve {
    fn draw(random: &mut StdRng, kinds: u32) -> Self {
        match random.random_range(0..kinds) {
            0 => Self::PerUnit { each: decimal(random, 15), per: *[1, 1, 7, 1_000].choose(random).unwrap_or(&1) },
            1 => Self::Graduated(Tier::draw_all(random)),
            2 => Self::Volume(Tier::draw_all(random)),
            3 => Self::Package { size: random.random_range(1..9), amount: decimal(random, 5) },
            4 => Self::Stairstep(vec![
                (Some(random.random_range(1..10)), decimal(random, 5)),
                (Some(random.random_range(10..500)), decimal(random, 5)),
                (None, decimal(random, 5)),
            ]),
            5 => Self::Percentage {
                rate: format!("0.{:03}", random.random_range(0..200)),
                fixed: decimal(random, 4),
                min: "0.01".to_owned(),
                max: random.random_range(2..50u32).to_string(),
            },
            _ => Self::Dimensional {
                rows: REGIONS[..2].iter().map(|region| ((*region).to_owned(), decimal(random, 9), 3)).collect(),
                default: decimal(random, 9),
            },
        }
    }

    fn yaml(&self) -> String {
        let tiers = |tiers: &[Tier]| tiers.iter().map(Tier::yaml).collect::<Vec<_>>().join(", ");
        match self {
            Self::PerUnit { each, per } => format!("per_unit: {{each: {each}, per: {per}}}"),
            Self::Graduated(own) => format!("graduated: [{}]", tiers(own)),
            Self::Volume(own) => format!("volume: [{}]", tiers(own)),
            Self::Package { size, amount } => format!("package: {{size: {size}, amount: {amount}}}"),
            Self::Stairstep(steps) => {
                let step = |(up_to, amount): &(Option<u32>, String)| match up_to {
                    Some(up_to) => format!("{{up_to: {up_to}, amount: {amount}}}"),
                    None => format!("{{amount: {amount}}}"),
                };
                format!("stairstep: [{}]", steps.iter().map(step).collect::<Vec<_>>().join(", "))
            }
            Self::Percentage { rate, fixed, min, max } => {
                format!("percentage: {{rate: {rate}, fixed: {fixed}, min: {min}, max: {max}}}")
            }
            Self::Dimensional { rows, default } => {
                let row = |(region, each, per): &(String, String, u32)| format!("{{is: [{region}], each: {each}, per: {per}}}");
                let rows = rows.iter().map(row).collect::<Vec<_>>().join(", ");
                format!("dimensional: {{by: [region], rows: [{rows}], default: {{each: {default}}}}}")
            }
        }
    }
}

impl Tier {
    fn draw_all(random: &mut StdRng) -> Vec<Self> {
        let count = random.random_range(1..4);
        let mut bound = 0;
        (1..=count)
            .map(|number| {
                bound += random.random_range(1..300);
                Self {
                    up_to: (number < count).then_some(bound),
                    each: decimal(random, 12),
                    per: *[1, 1, 3, 1_000].choose(random).unwrap_or(&1),
                    flat: if random.random_ratio(1, 3) { decimal(random, 2) } else { "0".to_owned() },
                }
            })
            .collect()
    }

    fn yaml(&self) -> String {
        let Self { up_to, each, per, flat } = self;
        let up_to = up_to.map_or_else(String::new, |up_to| format!("up_to: {up_to}, "));
        format!("{{{up_to}each: {each}, per: {per}, flat: {flat}}}")
    }
}

/// A number between 0 and 3 with up to `decimals` decimals.
fn decimal(random: &mut StdRng, decimals: u32) -> String {
    let fraction = random.random_range(1..10u64.pow(decimals));
    format!("{}.{fraction:0width$}", random.random_range(0..3), width = decimals as usize)
}
