//! Whole chains of bills against an oracle on rationals, written from DESIGN §5 and §10 alone: it knows no bills, only
//! what each period costs in the end, however late its usage came.

use crate::world::{World, at};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use pricing::bill::Due;
use pricing::currency::Currency;
use pricing::number::Quantity;
use proptest::prelude::*;
use std::fmt::Write;

type R = BigRational;

/// A plan, every number in thousandths.
#[derive(Clone, Debug)]
struct Plan {
    advance: u32,
    arrears: u32,
    curve: u8,
    bound: u32,
    each: [u32; 2],
    flat: u32,
    included: u32,
    cap: Option<u32>,
    minimum: Option<u32>,
    price_percent: u32,
    price_fixed: u32,
    percent: u32,
    fixed: u32,
    fixed_first: bool,
    commitment: Option<(u32, bool)>,
    tax_included: bool,
    rounding: &'static str,
}

/// What happens from January to June 2026.
#[derive(Clone, Debug)]
struct Story {
    plan: Plan,
    from_day: u32,
    until: (u32, u32),
    /// The end is declared as it nears, so that fees in advance are credited.
    ends_late: bool,
    usage: [[u32; 2]; 6],
    /// Month, price, quantity, and after which month's bill it comes.
    late: Vec<(u32, usize, u32, u32)>,
}

fn thousandth(value: u32) -> String {
    format!("{}.{:03}", value / 1000, value % 1000)
}

fn rational(value: u32) -> R {
    R::new(BigInt::from(value), BigInt::from(1000))
}

fn day_of_year(month: u32, day: u32) -> i64 {
    const BEFORE: [i64; 7] = [0, 31, 59, 90, 120, 151, 181];
    BEFORE[usize::try_from(month - 1).unwrap()] + i64::from(day) - 1
}

impl Plan {
    fn yaml(&self) -> String {
        let [low, high] = self.each.map(|each| format!("0.0{each:06}"));
        let (bound, flat) = (thousandth(self.bound), thousandth(self.flat));
        let curve = match self.curve {
            0 => format!("per_unit: {{each: {low}}}"),
            1 => format!("graduated: [{{up_to: {bound}, each: {low}, flat: {flat}}}, {{each: {high}}}]"),
            2 => format!("volume: [{{up_to: {bound}, each: {low}}}, {{each: {high}, flat: {flat}}}]"),
            _ => format!("package: {{size: {bound}, amount: {flat}}}"),
        };
        let mut price = format!("included: {}", thousandth(self.included));
        for (key, value) in [("cap", self.cap), ("minimum", self.minimum)] {
            if let Some(value) = value {
                write!(price, ", {key}: {}", thousandth(value)).unwrap();
            }
        }
        let (percent, fixed) = (self.price_percent, thousandth(self.price_fixed));
        write!(price, ", discounts: [{{id: i, percent: {percent}%}}, {{id: j, amount: {fixed}}}]").unwrap();
        let mut whole = [
            format!("{{id: k, percent: {}%}}", self.percent),
            format!("{{id: l, amount: {}}}", thousandth(self.fixed)),
        ];
        if self.fixed_first {
            whole.reverse();
        }
        let commitment = self.commitment.map_or_else(String::new, |(amount, quarter)| {
            let every = if quarter { ", every: quarter" } else { "" };
            format!("commitment: {{amount: {}{every}}}, ", thousandth(amount))
        });
        format!(
            "plans:\n  - {{id: p, currency: USD, every: month, tax_included: {}, {commitment}fees: [{{id: a, amount: {}, when: advance}}, \
             {{id: b, amount: {}, when: arrears, tax: low}}], discounts: [{}], prices: [{{id: x, meter: m, {price}, {curve}}}, \
             {{id: y, meter: m, tax: low, per_unit: {{each: {low}}}}}]}}\n",
            self.tax_included,
            thousandth(self.advance),
            thousandth(self.arrears),
            whole.join(", "),
        )
    }

    fn price(&self, quantity: &R, share: &R) -> R {
        // Included units are a quantity: half to even at 10⁻⁹.
        let nano = R::from_integer(BigInt::from(1_000_000_000));
        let raw = rational(self.included) * share * &nano;
        let (floor, half) = (raw.floor(), R::new(1.into(), 2.into()));
        let rest = &raw - &floor;
        let even = (floor.to_integer() % 2i32).is_zero();
        let included = if rest > half || (rest == half && !even) { floor + R::one() } else { floor } / nano;
        let q = (quantity - included).max(R::zero());
        let [low, high] = self.each.map(|each| R::new(each.into(), 10_000_000.into()));
        let (bound, flat) = (rational(self.bound), rational(self.flat));
        let curve = match self.curve {
            _ if q.is_zero() => R::zero(),
            0 => q * low,
            1 => (&q).min(&bound) * low + flat + (q - bound).max(R::zero()) * high,
            2 if q <= bound => q * low,
            2 => q * high + flat,
            _ => (q / bound).ceil() * flat,
        };
        let mut amount = self.cap.map_or(curve.clone(), |cap| curve.min(rational(cap) * share));
        amount *= R::one() - R::new(self.price_percent.into(), 100.into());
        amount = (amount - rational(self.price_fixed)).max(R::zero());
        self.minimum.map_or(amount.clone(), |minimum| amount.max(rational(minimum) * share))
    }

    /// A period's own fees and usage, the discounts on the whole taken off.
    fn period(&self, used: &[u32; 2], share: &R) -> R {
        let fees = rational(self.advance + self.arrears) * share;
        let second = rational(used[1]) * R::new(self.each[0].into(), 10_000_000.into());
        let mut sum = fees + self.price(&rational(used[0]), share) + second;
        for fixed in [self.fixed_first, !self.fixed_first] {
            sum = if fixed {
                (sum - rational(self.fixed)).max(R::zero())
            } else {
                sum * (R::one() - R::new(self.percent.into(), 100.into()))
            };
        }
        sum
    }
}

impl Story {
    fn days(&self) -> (i64, i64) {
        (day_of_year(1, self.from_day), day_of_year(self.until.0, self.until.1))
    }

    /// How much of the months `first ..= last` is sold; none where nothing is.
    fn share(&self, first: u32, last: u32) -> Option<R> {
        let (start, end) = (day_of_year(first, 1), day_of_year(last + 1, 1));
        let (from, until) = self.days();
        let elapsed = end.min(until) - start.max(from);
        (elapsed > 0).then(|| R::new(elapsed.into(), (end - start).into()))
    }

    /// What is owed in the end.
    fn owed(&self) -> R {
        let mut used = self.usage;
        for (month, price, quantity, _) in &self.late {
            used[usize::try_from(month - 1).unwrap()][*price] += quantity;
        }
        let mut owed = R::zero();
        let mut spent = Vec::new();
        for month in 1..=6 {
            let share = self.share(month, month);
            let spend =
                share.map_or(R::zero(), |share| self.plan.period(&used[usize::try_from(month - 1).unwrap()], &share));
            owed += &spend;
            spent.push(spend);
        }
        let Some((amount, quarter)) = self.plan.commitment else { return owed };
        let length = if quarter { 3 } else { 1 };
        for (index, cycle) in spent.chunks(length).enumerate() {
            let first = u32::try_from(index * length + 1).unwrap();
            let Some(share) = self.share(first, first + u32::try_from(length - 1).unwrap()) else { continue };
            owed += (rational(amount) * share - cycle.iter().sum::<R>()).max(R::zero());
        }
        owed
    }

    fn tell(&self) -> World {
        let until = format!("2026-{:02}-{:02}", self.until.0, self.until.1);
        let end = format!(", until: {until}");
        let sale = |end: &str| {
            format!("subscriptions: [{{id: s, customer: c, plan: p, from: 2026-01-{:02}{end}}}]\n", self.from_day)
        };
        let mut world = World::new(&format!(
            "billing: {{rounding: {}}}\n\
             meters: [{{id: m, event: e, aggregate: sum, value: v}}]\n\
             taxes: [{{id: vat, category: S, rate: 19%}}, {{id: low, category: S, rate: 7%}}]\n\
             customers: [{{id: c, tax: vat}}]\n{}{}",
            self.plan.rounding,
            self.plan.yaml(),
            sale(if self.ends_late { "" } else { &end }),
        ));
        for month in 1..=6 {
            if self.ends_late && month == self.until.0 {
                world.apply(&sale(&end), &format!("2026-{month:02}-01T12:00:00Z"));
            }
            for (price, quantity) in self.usage[usize::try_from(month - 1).unwrap()].iter().enumerate() {
                self.use_up(&mut world, month, price, *quantity);
            }
            if self.share(month, month).is_some() {
                world.bill(&format!("2026-{:02}-01", month + 1));
            }
            for (of, price, quantity, after) in &self.late {
                if *of.max(after) == month {
                    self.use_up(&mut world, *of, *price, *quantity);
                }
            }
        }
        world.bill_at(Due { end: at("2026-12-31"), currency: Currency::new("USD").unwrap() });
        world
    }

    fn use_up(&self, world: &mut World, month: u32, price: usize, quantity: u32) {
        if quantity > 0 && self.share(month, month).is_some() {
            let day = if month == 1 { self.from_day } else { 1 };
            let quantity = Quantity::from_raw(i128::from(quantity) * 1_000_000).unwrap();
            world.used_with("s", &format!("2026-{month:02}-{day:02}"), ["x", "y"][price], &[], quantity);
        }
    }
}

prop_compose! {
    fn plan()(
        fees in (0u32..40_000, 0u32..9_000),
        (curve, bound) in (0u8..4, 1u32..900_000),
        each in [0u32..999_999, 0u32..999_999],
        (flat, included) in (0u32..5_000, 0u32..400_000),
        limits in (prop::option::of(0u32..30_000), prop::option::of(0u32..20_000)),
        price_off in (0u32..=100, 0u32..4_000),
        off in (0u32..=100, 0u32..30_000, any::<bool>()),
        commitment in prop::option::of((0u32..300_000, any::<bool>())),
        tax_included in any::<bool>(),
        rounding in prop::sample::select(vec!["half_away", "half_even", "up", "down"]),
    ) -> Plan {
        Plan {
            advance: fees.0, arrears: fees.1, curve, bound, each, flat, included, cap: limits.0, minimum: limits.1,
            price_percent: price_off.0, price_fixed: price_off.1, percent: off.0, fixed: off.1, fixed_first: off.2,
            commitment, tax_included, rounding,
        }
    }
}

prop_compose! {
    fn story()(
        mut plan in plan(),
        from_day in 1u32..=28,
        until in (3u32..=6, 2u32..=28),
        ends_late in any::<bool>(),
        usage in prop::array::uniform6([0u32..1_500_000, 0u32..90_000]),
        late in prop::collection::vec((1u32..=6, 0usize..2, 1u32..900_000, 1u32..=6), 0..4),
    ) -> Story {
        if ends_late {
            // What of a fixed discount belongs to a credited part is the bill's choice, not the oracle's.
            plan.fixed = 0;
        }
        let late = late.into_iter().filter(|late| late.0 <= until.0).collect();
        Story { plan, from_day, until, ends_late, usage, late }
    }
}

fn to_rational(amount: pricing::number::Amount) -> R {
    R::new(amount.raw().into(), BigInt::from(10).pow(24))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_of_bills_comes_to_what_its_periods_cost(story in story()) {
        let world = story.tell();
        let included = story.plan.tax_included;
        let cents = |cents: i64| R::new(cents.into(), 100.into());
        let (mut exact, mut paid) = (R::zero(), R::zero());
        for bill in &world.bills {
            let tax = cents(bill.total.0 - bill.net.0);
            exact += to_rational(bill.net_exact) + if included { tax } else { R::zero() };
            paid += cents(if included { bill.total.0 } else { bill.net.0 });
            for tax in &bill.taxes {
                let rate = R::new(tax.tax.rate.raw().into(), BigInt::from(10).pow(15));
                let reckoned = if included {
                    R::from_integer((tax.net.0 + tax.amount.0).into()) * &rate / (R::one() + &rate)
                } else {
                    R::from_integer(tax.net.0.into()) * rate
                };
                prop_assert_eq!(reckoned.round(), R::from_integer(tax.amount.0.into()), "tax is on the rounded sum");
            }
        }
        let owed = story.owed();
        let off = (&exact - &owed).abs();
        prop_assert!(off < R::new(1.into(), BigInt::from(10).pow(18)), "owed {:?}, billed {:?}", owed.to_f64(), exact.to_f64());
        prop_assert!((paid - exact).abs() < R::new(1.into(), 100.into()), "the paid sum stays within a cent");
    }
}
