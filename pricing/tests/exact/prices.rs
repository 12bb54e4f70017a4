//! Prices: a fold of charges sums to F bit for bit, whatever the curve, the limits, the groups and the order.

use crate::inputs::{by_event, events, function, money};
use crate::meters::{FOLDED, meter, moment};
use crate::oracle::{self, Event, Rational};
use num_traits::Zero;
use pricing::curve::{Curve, Each, Kind, Row};
use pricing::group::Group;
use pricing::id::{MeterId, PriceId};
use pricing::meter::{self, Aggregate};
use pricing::number::{Amount, Quantity};
use pricing::period::Share;
use pricing::plan::Price;
use pricing::price::{self, Error, State, Terms, Usage};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A price on the meter of the tests.
fn plain(curve: Curve) -> Price {
    Price {
        id: PriceId::new("p").unwrap(),
        meter: MeterId::new("m").unwrap(),
        curve,
        included: Quantity::ZERO,
        cap: None,
        per_group: false,
        minimum: None,
        discounts: Vec::new(),
        tax: None,
        measure: None,
    }
}

/// Any price with a meter that suits it.
fn prices() -> impl Strategy<Value = (Price, Aggregate)> {
    let included = prop_oneof![Just(0i128), 0..90_000_000_000_000i128, (0i128..900).prop_map(|n| n * 1_000_000_000)];
    let curve = prop_oneof![
        3 => (function(), included, 0usize..5),
        2 => (by_event(), Just(0), 0usize..2),
    ];
    (curve, proptest::option::of(money()), proptest::option::of(money()), any::<bool>()).prop_map(
        |((curve, included, aggregate), cap, minimum, per_group)| {
            let included = Quantity::from_raw(included).unwrap();
            (Price { included, cap, minimum, per_group, ..plain(curve) }, FOLDED[aggregate])
        },
    )
}

fn shares() -> impl Strategy<Value = Share> {
    prop_oneof![
        Just(Share { elapsed: 7, full: 7 }),
        (1i64..2_678_400_000_000_000).prop_map(|elapsed| Share { elapsed, full: 2_678_400_000_000_000 }),
    ]
}

/// What the design says about limits in a period.
fn expected_terms(price: &Price, share: Share) -> oracle::Terms<'_> {
    let scaled = |value: Rational, decimals| oracle::scaled(&value, share.elapsed, share.full, decimals);
    oracle::Terms {
        curve: &price.curve,
        included: scaled(oracle::of_quantity(price.included), oracle::UNITS),
        cap: price.cap.map(|cap| scaled(oracle::of_amount(cap), oracle::MONEY)),
        per_group: price.per_group,
    }
}

/// Charges as the rater makes them, with the rater's own sums.
#[derive(Default)]
struct Fold {
    meters: BTreeMap<String, meter::State>,
    prices: BTreeMap<String, State>,
    sums: BTreeMap<(Group, u32), (Quantity, Amount)>,
    quantity: Quantity,
    amount: Amount,
}

impl Fold {
    fn event(&mut self, terms: &Terms<'_>, aggregate: Aggregate, event: &Event) -> price::Charge {
        let (meter, text) = (meter(aggregate), event.value.to_string());
        let property = |name: &str| match name {
            "value" => Some(text.as_str()),
            "model" => event.model.as_deref(),
            "region" => Some(event.group.as_str()),
            _ => None,
        };
        let state = self.meters.entry(event.group.clone()).or_insert_with(|| meter::State::new(aggregate));
        let change = state.preview(meter.read(property).unwrap(), moment(event)).unwrap();
        let group_before = state.quantity();
        let total_after = self.quantity.sub(group_before).unwrap().add(change.quantity).unwrap();
        let (scope, before, after) = if terms.per_group {
            (event.group.clone(), group_before, change.quantity)
        } else {
            (String::new(), self.quantity, total_after)
        };
        let scope = self.prices.entry(scope).or_default();
        let charge = terms.charge(scope, before, after, property).unwrap();
        state.apply(change);
        scope.apply(&charge);
        self.quantity = total_after;
        self.amount = self.amount.add(charge.amount).unwrap();
        let row = if matches!(terms.curve, Curve::Dimensional { .. }) { charge.tier } else { 0 };
        let sum = self.sums.entry((meter.group(property), row)).or_default();
        *sum = (sum.0.add(charge.quantity).unwrap(), sum.1.add(charge.amount).unwrap());
        charge
    }

    fn usage(&self) -> impl Iterator<Item = Usage<'_>> {
        self.sums.iter().map(|((group, row), (quantity, amount))| Usage {
            group,
            row: *row,
            quantity: *quantity,
            amount: *amount,
        })
    }
}

/// The tier or row that the design gives the newest of these events.
fn expected_tier(terms: &oracle::Terms<'_>, aggregate: Aggregate, events: &[&Event]) -> u32 {
    let newest = events.last().unwrap();
    match terms.curve {
        Curve::Percentage { .. } => 1,
        Curve::Dimensional { .. } => oracle::row(terms.curve, newest).unwrap(),
        curve => {
            let mut scope = events.to_vec();
            scope.retain(|event| !terms.per_group || event.group == newest.group);
            let counted = oracle::total_quantity(aggregate, &scope) - &terms.included;
            oracle::curve_tier(curve, &counted.max(Rational::zero()))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// MON-1: every charge is F after − F before, and their sum is F. MON-2: in any order.
    #[test]
    fn charges_sum_to_f(
        (price, aggregate) in prices(),
        share in shares(),
        (events, shuffled) in events().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
    ) {
        prop_assert_eq!(price::check(&price, &meter(aggregate)), Ok(()));
        prop_assert_eq!(&serde_json::from_str::<Price>(&serde_json::to_string(&price).unwrap()).unwrap(), &price);
        let terms = Terms::new(&price, None, share).unwrap();
        let expected = expected_terms(&price, share);
        let mut fold = Fold::default();
        let mut so_far = Vec::new();
        let mut amount = Rational::zero();
        for event in &shuffled {
            let charge = fold.event(&terms, aggregate, event);
            so_far.push(event);
            let after = oracle::price_amount(&expected, aggregate, &so_far);
            prop_assert_eq!(oracle::of_amount(charge.amount), &after - &amount);
            prop_assert_eq!(charge.tier, expected_tier(&expected, aggregate, &so_far));
            amount = after;
        }
        prop_assert_eq!(oracle::of_amount(fold.amount), amount.clone());
        let mut ordered = Fold::default();
        for event in &events {
            ordered.event(&terms, aggregate, event);
        }
        prop_assert_eq!((ordered.amount, ordered.quantity), (fold.amount, fold.quantity));
        prop_assert_eq!(&ordered.prices, &fold.prices);
        let kept = serde_json::to_string(&fold.prices).unwrap();
        prop_assert_eq!(serde_json::from_str::<BTreeMap<String, State>>(&kept).unwrap(), fold.prices);
    }

    /// What the bill calculates from sums is what the charges say, and its parts are all of it.
    #[test]
    fn a_bill_settles_at_the_sum_of_charges((price, aggregate) in prices(), share in shares(), events in events()) {
        let terms = Terms::new(&price, None, share).unwrap();
        let mut fold = Fold::default();
        for event in &events {
            fold.event(&terms, aggregate, event);
        }
        let settled = terms.settle(fold.usage()).unwrap();
        prop_assert_eq!(Amount::sum(settled.iter().map(|one| one.amount)).unwrap(), fold.amount);
        prop_assert_eq!(Quantity::sum(settled.iter().map(|one| one.quantity)).unwrap(), fold.quantity);
        for one in &settled {
            prop_assert_eq!(one.amount, one.charged);
            prop_assert_eq!(one.group.is_some(), price.per_group);
            prop_assert_eq!(Amount::sum(one.parts.iter().map(|part| part.amount)).unwrap(), one.amount);
            prop_assert!(terms.limits.cap.is_none_or(|cap| one.amount <= cap));
            for part in &one.parts {
                if let Some(each) = part.each {
                    prop_assert_eq!(part.quantity.times_per(each, part.per).unwrap(), part.amount);
                }
            }
        }
    }

    /// A record that changes F (a shortened period) writes F new − F old, and events go on from there.
    #[test]
    fn new_terms_settle_the_difference(
        (price, aggregate) in prices(),
        (early, late) in (shares(), shares()),
        events in events(),
        cut in 0usize..14,
    ) {
        let price = Price { per_group: false, ..price };
        let (before, after) = (Terms::new(&price, None, early).unwrap(), Terms::new(&price, None, late).unwrap());
        let mut fold = Fold::default();
        let cut = cut.min(events.len());
        for event in &events[..cut] {
            fold.event(&before, aggregate, event);
        }
        let quantity = fold.quantity;
        let state = fold.prices.entry(String::new()).or_default();
        let change = after.resettle(state, quantity).unwrap();
        state.apply(&change);
        fold.amount = fold.amount.add(change.amount).unwrap();
        prop_assert_eq!(change.quantity, Quantity::ZERO);
        for event in &events[cut..] {
            fold.event(&after, aggregate, event);
        }
        let all: Vec<_> = events.iter().collect();
        let expected = oracle::price_amount(&expected_terms(&price, late), aggregate, &all);
        prop_assert_eq!(oracle::of_amount(fold.amount), expected);
    }

    #[test]
    fn a_quote_is_f((price, _) in prices(), value in crate::inputs::value(), model in 0usize..3) {
        let model = crate::inputs::MODELS[model];
        let event = Event {
            time: 0,
            id: String::new(),
            source: String::new(),
            value,
            group: String::new(),
            model: Some(model.to_owned()),
        };
        let expected = oracle::price_amount(&expected_terms(&price, Share { elapsed: 1, full: 1 }), Aggregate::Sum, &[&event]);
        let quoted = price::quote(&price, value, |name| (name == "model").then_some(model)).unwrap();
        prop_assert_eq!(oracle::of_amount(quoted), expected);
    }

    #[test]
    fn limits_scale_half_to_even((price, _) in prices(), share in shares()) {
        let limits = price::Limits::new(&price, share).unwrap();
        let expected = expected_terms(&price, share);
        prop_assert_eq!(oracle::of_quantity(limits.included), expected.included);
        prop_assert_eq!(limits.cap.map(oracle::of_amount), expected.cap);
        let minimum = price.minimum.map(|minimum| oracle::scaled(&oracle::of_amount(minimum), share.elapsed, share.full, 24));
        prop_assert_eq!(limits.minimum.map(oracle::of_amount), minimum);
    }
}

fn per_unit(each: &str) -> Curve {
    Curve::PerUnit(Each::one(each.parse().unwrap()))
}

fn table(default: Option<Each>) -> Curve {
    let row = Row { is: vec![Arc::from("large"), Arc::from("eu")], each: Each::one("2".parse().unwrap()) };
    Curve::Dimensional { by: vec![Arc::from("model"), Arc::from("region")], rows: vec![row], default }
}

#[test]
fn prices_that_make_no_sense_are_refused() {
    let units = |text: &str| text.parse::<Quantity>().unwrap();
    let sum = meter(Aggregate::Sum);
    let included = Price { included: units("5"), ..plain(table(None)) };
    assert!(matches!(price::check(&included, &sum), Err(Error::Included { curve: "dimensional", .. })));
    assert!(matches!(price::check(&plain(table(None)), &meter(Aggregate::Max)), Err(Error::Meter { .. })));
    assert!(matches!(price::check(&plain(Curve::Graduated(Vec::new())), &sum), Err(Error::Curve(_))));
    let negative = Price { cap: Some("-1".parse().unwrap()), ..plain(per_unit("1")) };
    assert_eq!(price::check(&negative, &sum).unwrap_err().to_string(), "cap is -1; write 0 or more");
    assert_eq!(price::check(&plain(table(None)), &sum), Ok(()));
}

#[test]
fn an_event_without_a_row_is_refused_in_words() {
    let property = |name: &str| (name == "model").then_some("huge");
    let refused = price::quote(&plain(table(None)), Quantity::ONE, property).unwrap_err();
    assert!(refused.to_string().starts_with("no row of the price's table takes model=huge, region=;"), "{refused}");
    let default = plain(table(Some(Each::one("7".parse().unwrap()))));
    assert_eq!(price::quote(&default, Quantity::ONE, property).unwrap(), "7".parse().unwrap());
    let both = |name: &str| Some(if name == "model" { "large" } else { "eu" });
    assert_eq!(price::quote(&default, Quantity::ONE, both).unwrap(), "2".parse().unwrap());
}

#[test]
fn a_bill_shows_included_units_at_nothing_and_a_cap_as_a_whole() {
    let units = |text: &str| text.parse::<Quantity>().unwrap();
    let price = Price { included: units("100"), cap: Some("50".parse().unwrap()), ..plain(per_unit("2")) };
    let terms = Terms::new(&price, None, Share { elapsed: 1, full: 1 }).unwrap();
    let shown = |quantity: &str| -> Vec<_> {
        let parts = terms.breakdown(units(quantity)).unwrap();
        parts.iter().map(|part| (part.kind, part.tier, part.quantity.to_string(), part.amount.to_string())).collect()
    };
    let text = |quantity: &str, amount: &str| (quantity.to_owned(), amount.to_owned());
    let line = |kind, tier, (quantity, amount): (String, String)| (kind, tier, quantity, amount);
    assert_eq!(shown("0"), []);
    assert_eq!(shown("40"), [line(Kind::Included, 0, text("40", "0"))]);
    assert_eq!(shown("110"), [line(Kind::Included, 0, text("100", "0")), line(Kind::Units, 1, text("10", "20"))]);
    assert_eq!(shown("200"), [line(Kind::Included, 0, text("100", "0")), line(Kind::Whole, 1, text("100", "50"))]);
}

#[test]
fn an_override_replaces_the_curve_and_nothing_else() {
    let price = Price { included: Quantity::ONE, ..plain(per_unit("2")) };
    let other = per_unit("5");
    let terms = Terms::new(&price, Some(&other), Share { elapsed: 1, full: 1 }).unwrap();
    assert_eq!(terms.amount("3".parse().unwrap()).unwrap(), Some("10".parse().unwrap()));
}
