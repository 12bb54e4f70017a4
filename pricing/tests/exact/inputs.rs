//! What the properties are tried on.

use crate::oracle::Event;
use pricing::curve::{Curve, Each, Row, Step, Tier};
use pricing::number::{Amount, Quantity, Rate, UnitPrice};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) const MODELS: [&str; 3] = ["large", "small", "tiny"];

pub(crate) fn quantity(raw: i128) -> Quantity {
    Quantity::from_raw(raw).unwrap()
}

/// Whole and fractional values, some below zero, some on the bounds that tiers like to have.
pub(crate) fn value() -> impl Strategy<Value = Quantity> {
    prop_oneof![
        4 => (-40i128..400).prop_map(|whole| quantity(whole * 1_000_000_000)),
        3 => (-40_000_000_000i128..400_000_000_000).prop_map(quantity),
        2 => (1i128..8).prop_map(|tens| quantity(tens * 100_000_000_000)),
        1 => Just(Quantity::ZERO),
    ]
}

fn size() -> impl Strategy<Value = Quantity> {
    prop_oneof![
        (1i128..200).prop_map(|whole| quantity(whole * 1_000_000_000)),
        (1i128..90_000_000_000).prop_map(quantity),
    ]
}

pub(crate) fn money() -> impl Strategy<Value = Amount> {
    let raw = prop_oneof![Just(0), (0i128..100_000).prop_map(|cents| cents * 10i128.pow(22)), 0..10i128.pow(27),];
    raw.prop_map(|raw| Amount::from_raw(raw).unwrap())
}

pub(crate) fn each() -> impl Strategy<Value = Each> {
    let price = prop_oneof![Just(0), (1i128..300).prop_map(|cents| cents * 10i128.pow(13)), 1..2 * 10i128.pow(15),];
    let per = prop_oneof![4 => Just(1_000_000_000i128), 1 => Just(3_000_000_000), 1 => Just(7), 2 => Just(10i128.pow(15)),
        1 => Just(300_000_000), 1 => 1..10i128.pow(13)];
    (price, per).prop_map(|(each, per)| Each { each: UnitPrice::from_raw(each).unwrap(), per: quantity(per) })
}

/// Rising bounds, then none.
fn bounds() -> impl Strategy<Value = Vec<Option<Quantity>>> {
    let bound = prop_oneof![(1i128..10).prop_map(|tens| tens * 100_000_000_000), 1..900_000_000_000i128];
    proptest::collection::vec(bound, 0..4).prop_map(|bounds| {
        let rising: BTreeSet<_> = bounds.into_iter().collect();
        rising.into_iter().map(|raw| Some(quantity(raw))).chain([None]).collect()
    })
}

fn tiers() -> impl Strategy<Value = Vec<Tier>> {
    (bounds(), proptest::collection::vec((each(), money()), 5)).prop_map(|(bounds, prices)| {
        bounds.into_iter().zip(prices).map(|(up_to, (each, flat))| Tier { up_to, each, flat }).collect()
    })
}

/// Curves that are functions of the quantity.
pub(crate) fn function() -> impl Strategy<Value = Curve> {
    prop_oneof![
        1 => each().prop_map(Curve::PerUnit),
        2 => tiers().prop_map(Curve::Graduated),
        2 => tiers().prop_map(Curve::Volume),
        1 => (size(), money()).prop_map(|(size, amount)| Curve::Package { size, amount }),
        1 => (bounds(), proptest::collection::vec(money(), 5)).prop_map(|(bounds, amounts)| {
            Curve::Stairstep(bounds.into_iter().zip(amounts).map(|(up_to, amount)| Step { up_to, amount }).collect())
        }),
    ]
}

/// Curves that look at single events; their tables look `model` up.
pub(crate) fn by_event() -> impl Strategy<Value = Curve> {
    let rate = (0i128..10i128.pow(14)).prop_map(|raw| Rate::from_raw(raw).unwrap());
    let bound = || proptest::option::of(money());
    let percentage = (rate, money(), bound(), bound()).prop_map(|(rate, fixed, min, max)| match (min, max) {
        (Some(a), Some(b)) => Curve::Percentage { rate, fixed, min: Some(a.min(b)), max: Some(a.max(b)) },
        (min, max) => Curve::Percentage { rate, fixed, min, max },
    });
    let table = (proptest::collection::vec(each(), 0..3), each()).prop_map(|(rows, default)| {
        let row = |(model, each): (&&str, Each)| Row { is: vec![Arc::from(*model)], each };
        let rows = MODELS.iter().zip(rows).map(row).collect();
        Curve::Dimensional { by: vec![Arc::from("model")], rows, default: Some(default) }
    });
    prop_oneof![percentage, table]
}

/// Events with ids of their own, with ties in time, some of them without a model.
pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0i64..40, 0u8..3, value(), 0usize..3, proptest::option::of(0usize..3));
    proptest::collection::vec(event, 0..14).prop_map(|events| {
        let event = |(at, (time, source, value, group, model)): (usize, (i64, u8, _, usize, Option<usize>))| Event {
            time,
            id: format!("e{}", at * 7 % 16),
            source: format!("s{source}"),
            value,
            group: ["", "eu", "us"][group].to_owned(),
            model: model.map(|model| MODELS[model].to_owned()),
        };
        events.into_iter().enumerate().map(event).collect()
    })
}
