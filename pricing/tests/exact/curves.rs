//! Curves: F(q), tiers, parts, and what is refused.

use crate::inputs::{function, quantity, value};
use crate::oracle::{self, Rational};
use num_bigint::BigInt;
use pricing::curve::{Curve, Each, Error, Kind, Place, Row, Step, Tier};
use pricing::number::{Amount, Quantity, UnitPrice};
use proptest::prelude::*;
use std::sync::Arc;

fn units(text: &str) -> Quantity {
    text.parse().unwrap()
}

fn money(text: &str) -> Amount {
    text.parse().unwrap()
}

fn each(text: &str) -> Each {
    Each::one(text.parse().unwrap())
}

fn tier(up_to: Option<&str>, price: &str, flat: &str) -> Tier {
    Tier { up_to: up_to.map(units), each: each(price), flat: money(flat) }
}

#[test]
fn amounts_worked_by_hand() {
    let graduated =
        Curve::Graduated(vec![tier(Some("100"), "2", "5"), tier(Some("200.5"), "1", "0"), tier(None, "0.5", "7")]);
    let volume = Curve::Volume(vec![tier(Some("100"), "2", "0"), tier(None, "1", "3")]);
    let package = Curve::Package { size: units("2.5"), amount: money("10") };
    let step = |up_to: Option<&str>, amount| Step { up_to: up_to.map(units), amount: money(amount) };
    let stairs = Curve::Stairstep(vec![step(Some("10"), "1"), step(None, "4")]);
    let million = Curve::PerUnit(Each { each: "0.15".parse().unwrap(), per: units("1000000") });
    let third = Curve::PerUnit(Each { each: UnitPrice::ONE, per: units("3") });
    let cases: [(&Curve, &str, &str, u32); 19] = [
        (&graduated, "0", "0", 1),
        (&graduated, "-3", "0", 1),
        (&graduated, "0.000000001", "5.000000002", 1),
        (&graduated, "100", "205", 1),
        (&graduated, "100.000000001", "205.000000001", 2),
        (&graduated, "200.5", "305.5", 2),
        (&graduated, "201.5", "313", 3),
        (&volume, "100", "200", 1),
        (&volume, "101", "104", 2),
        (&volume, "0", "0", 1),
        (&package, "0.1", "10", 1),
        (&package, "2.5", "10", 1),
        (&package, "2.500000001", "20", 1),
        (&stairs, "10", "1", 1),
        (&stairs, "10.5", "4", 2),
        (&stairs, "0", "0", 1),
        (&million, "1", "0.00000015", 1),
        (&third, "1", "0.333333333333333333333333", 1),
        (&third, "2", "0.666666666666666666666667", 1),
    ];
    for (curve, q, amount, tier) in cases {
        assert_eq!(curve.amount(units(q)).unwrap(), Some(money(amount)), "{} {q}", curve.kind());
        assert_eq!(curve.tier(units(q)), tier, "{} {q}", curve.kind());
    }
}

#[test]
fn a_bill_prints_each_tier_that_was_used() {
    let curve = Curve::Graduated(vec![tier(Some("100"), "0", "5"), tier(None, "1", "0")]);
    let parts = curve.breakdown(units("130")).unwrap();
    let shown: Vec<_> =
        parts.iter().map(|part| (part.kind, part.tier, part.quantity, part.each, part.amount)).collect();
    let price = |text: &str| Some(text.parse::<UnitPrice>().unwrap());
    assert_eq!(
        shown,
        [
            (Kind::Units, 1, units("100"), price("0"), money("0")),
            (Kind::Flat, 1, units("1"), price("5"), money("5")),
            (Kind::Units, 2, units("30"), price("1"), money("30")),
        ]
    );
    let packages = Curve::Package { size: units("1000"), amount: money("0.1") }.breakdown(units("2500")).unwrap();
    assert_eq!((packages[0].quantity, packages[0].each, packages[0].amount), (units("3"), price("0.1"), money("0.3")));
    // An amount with more decimals than a price holds is printed as 1 × amount.
    let fine = Curve::Package { size: units("1"), amount: money("0.0000000000000001") }.breakdown(units("1")).unwrap();
    assert_eq!(fine[0].each, None);
}

#[test]
fn curves_that_make_no_sense_are_refused() {
    let tiers = |bounds: &[Option<&str>]| Curve::Volume(bounds.iter().map(|up_to| tier(*up_to, "1", "0")).collect());
    let row = |is: &[&str]| Row { is: is.iter().map(|value| Arc::from(*value)).collect(), each: each("1") };
    let table = |by: &[&str], rows: Vec<Row>, default| Curve::Dimensional {
        by: by.iter().map(|name| Arc::from(*name)).collect(),
        rows,
        default,
    };
    let nothing = Each { each: UnitPrice::ONE, per: Quantity::ZERO };
    let cases = [
        (tiers(&[]), Error::NoTiers),
        (tiers(&[Some("0"), None]), Error::NotRising { tier: 1, found: units("0"), above: units("0") }),
        (tiers(&[Some("5"), Some("5"), None]), Error::NotRising { tier: 2, found: units("5"), above: units("5") }),
        (tiers(&[None, None]), Error::Open { tier: 1, tiers: 2 }),
        (tiers(&[Some("5"), Some("9")]), Error::Closed { found: units("9") }),
        (Curve::Package { size: units("0"), amount: money("1") }, Error::Size { found: units("0") }),
        (Curve::PerUnit(nothing), Error::Per { place: Place::Unit, found: units("0") }),
        (
            Curve::Percentage {
                rate: "0.1".parse().unwrap(),
                fixed: Amount::ZERO,
                min: Some(money("2")),
                max: Some(money("1")),
            },
            Error::MinAboveMax { min: money("2"), max: money("1") },
        ),
        (table(&[], vec![], Some(each("1"))), Error::NoProperties),
        (table(&["a", "a"], vec![row(&["x", "y"])], None), Error::PropertyTwice { name: Arc::from("a") }),
        (table(&["a"], vec![], None), Error::NoRows),
        (table(&["a", "b"], vec![row(&["x"])], None), Error::RowValues { row: 1, found: 1, wanted: 2 }),
        (table(&["a"], vec![row(&["x"]), row(&["y"]), row(&["x"])], None), Error::RowTwice { row: 3, first: 1 }),
        (table(&["a"], vec![row(&["x"])], Some(nothing)), Error::Per { place: Place::Default, found: units("0") }),
    ];
    for (curve, error) in cases {
        assert_eq!(curve.check(), Err(error));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn functions_equal_the_oracle(curve in function(), q in value(), scale in 0u32..5) {
        prop_assert_eq!(curve.check(), Ok(()));
        let q = quantity(q.raw() * 3i128.pow(scale) / 2);
        let rational = oracle::of_quantity(q);
        let amount = curve.amount(q).unwrap().unwrap();
        prop_assert_eq!(oracle::of_amount(amount), oracle::curve_amount(&curve, &rational));
        prop_assert_eq!(curve.tier(q), oracle::curve_tier(&curve, &rational));
        let parts = curve.breakdown(q).unwrap();
        prop_assert_eq!(Amount::sum(parts.iter().map(|part| part.amount)).unwrap(), amount);
        for part in &parts {
            if let Some(each) = part.each {
                prop_assert_eq!(part.quantity.times_per(each, part.per).unwrap(), part.amount);
            }
        }
        let units = parts.iter().filter(|part| matches!(part.kind, Kind::Units | Kind::Whole)).map(|part| part.quantity);
        if !matches!(curve, Curve::Package { .. }) {
            prop_assert_eq!(Quantity::sum(units).unwrap(), q.max(Quantity::ZERO));
        }
    }

    /// However large the numbers: the oracle's amount, or a refusal where that has no place.
    #[test]
    fn extreme_quantities_refuse_rather_than_wrap(curve in function(), raw in any::<i128>(), shift in 0u32..70) {
        let Ok(q) = Quantity::from_raw(raw >> shift) else { return Ok(()) };
        let exact = oracle::curve_amount(&curve, &oracle::of_quantity(q));
        let fits = exact < Rational::from(BigInt::from(10).pow(14));
        prop_assert_eq!(curve.amount(q).ok().flatten().map(oracle::of_amount), Some(exact).filter(|_| fits));
        prop_assert!(curve.breakdown(q).is_ok() == fits);
    }
}
