//! Curves as they are drawn, and as a catalog file has them.

use crate::workload::REGIONS;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

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

impl Curve {
    pub(crate) fn draw(random: &mut StdRng, kinds: u32) -> Self {
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

    pub(crate) fn yaml(&self) -> String {
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
                let row = |(region, each, per): &(String, String, u32)| {
                    format!("{{is: [{region}], each: {each}, per: {per}}}")
                };
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

    pub(crate) fn yaml(&self) -> String {
        let Self { up_to, each, per, flat } = self;
        let up_to = up_to.map_or_else(String::new, |up_to| format!("up_to: {up_to}, "));
        format!("{{{up_to}each: {each}, per: {per}, flat: {flat}}}")
    }
}

/// A number between 0 and 3 with up to `decimals` decimals.
pub(crate) fn decimal(random: &mut StdRng, decimals: u32) -> String {
    let fraction = random.random_range(1..10u64.pow(decimals));
    format!("{}.{fraction:0width$}", random.random_range(0..3), width = decimals as usize)
}
