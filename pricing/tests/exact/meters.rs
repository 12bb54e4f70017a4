//! Meters: every aggregate in every order, levels against an integral on rationals.

use crate::inputs::{events, quantity};
use crate::oracle::{self, Event};
use num_bigint::BigInt;
use num_traits::ToPrimitive;
use pricing::group::{Filter, Group};
use pricing::id::MeterId;
use pricing::meter::{Aggregate, Error, LevelUnit, Levels, Meter, Moment, Reading, State};
use pricing::number::Quantity;
use pricing::period::Share;
use pricing::time::Instant;
use proptest::prelude::*;
use std::sync::Arc;

pub(crate) const FOLDED: [Aggregate; 5] =
    [Aggregate::Count, Aggregate::Sum, Aggregate::Max, Aggregate::Unique, Aggregate::Latest];

pub(crate) fn meter(aggregate: Aggregate) -> Meter {
    Meter {
        id: MeterId::new("m").unwrap(),
        event: Arc::from("used"),
        aggregate,
        value: (aggregate != Aggregate::Count).then(|| Arc::from("value")),
        filter: Filter::default(),
        group_by: vec![Arc::from("region")],
    }
}

pub(crate) fn moment(event: &Event) -> Moment<'_> {
    Moment { time: Instant::from_nanos(event.time), id: &event.id, source: &event.source }
}

/// As the fold does it, for one group.
fn fold(aggregate: Aggregate, events: &[&Event]) -> State {
    let meter = meter(aggregate);
    let mut state = State::new(aggregate);
    for event in events {
        let text = event.value.to_string();
        let reading = meter.read(|name| (name == "value").then_some(text.as_str())).unwrap();
        let before = state.clone();
        let change = state.preview(reading, moment(event)).unwrap();
        assert_eq!(state, before, "a preview changes nothing");
        let promised = change.quantity;
        state.apply(change);
        assert_eq!(state.quantity(), promised);
    }
    state
}

fn insert_all(events: &[&Event]) -> Levels {
    let mut levels = Levels::default();
    for event in events {
        levels.insert(moment(event), event.value);
    }
    levels
}

fn at(nanos: i64) -> Instant {
    Instant::from_nanos(nanos)
}

#[test]
fn readings_say_what_they_miss() {
    let sum = meter(Aggregate::Sum);
    let refusals = [
        (sum.read(|_| None).unwrap_err().to_string(), "reads property value, which the event has not got"),
        (sum.read_value(Some("many")).unwrap_err().to_string(), "property value: 'many' is not a decimal number"),
        (sum.read_value(Some("0.0000000001")).unwrap_err().to_string(), "has 10 decimals; at most 9"),
        (meter(Aggregate::Unique).read(|_| None).unwrap_err().to_string(), "has not got"),
        (Meter { value: None, ..sum.clone() }.read(|_| Some("1")).unwrap_err().to_string(), "names no value"),
    ];
    for (message, part) in refusals {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(meter(Aggregate::Count).read(|_| None), Ok(Reading::Value(Quantity::ONE)));
    assert_eq!(meter(Aggregate::Unique).read(|_| Some("not a number")), Ok(Reading::Text("not a number")));
    assert!(matches!(Meter { value: None, ..sum.clone() }.check(), Err(Error::NoValue { .. })));
    assert!(matches!(Meter { aggregate: Aggregate::Count, ..sum }.check(), Err(Error::NeedlessValue { .. })));
}

#[test]
fn a_sum_that_overflows_is_refused_and_untouched() {
    let moment = Moment { time: at(0), id: "", source: "" };
    let mut state = State::new(Aggregate::Sum);
    let change = state.preview(Reading::Value(Quantity::MAX), moment).unwrap();
    state.apply(change);
    assert!(matches!(state.preview(Reading::Value(quantity(1)), moment), Err(Error::Overflow { .. })));
    assert_eq!(state.quantity(), Quantity::MAX);
    let mut levels = Levels::default();
    levels.insert(Moment { time: Instant::MIN, ..moment }, Quantity::MAX);
    assert!(levels.weighted(Instant::MIN, Instant::MAX, 1).is_err());
    assert_eq!(levels.weighted(at(0), at(5), 5), Ok(Quantity::MAX));
}

#[test]
fn values_are_unique_as_texts() {
    let mut state = State::new(Aggregate::Unique);
    for text in ["1", "1.0", "1", "", "a", "A"] {
        let change = state.preview(Reading::Text(text), Moment { time: at(0), id: "x", source: "" }).unwrap();
        state.apply(change);
    }
    assert_eq!(state.quantity(), Quantity::from_whole(5).unwrap());
}

#[test]
fn groups_are_found_without_being_made() {
    let names = [Arc::from("model"), Arc::from("region")];
    let event = |name: &str| if name == "model" { Some("large") } else { None };
    let group = Group::of(&names, event);
    assert_eq!(group.to_string(), "model=large, region=");
    assert!(group.holds(event) && !group.holds(|_| Some("eu")));
    assert_eq!(group.cmp_event(event), std::cmp::Ordering::Equal);
    assert_eq!(group.cmp_event(|_| Some("eu")), group.cmp(&Group::of(&names, |_| Some("eu"))));
    let text = serde_json::to_string(&group).unwrap();
    assert_eq!(text, r#"{"model":"large","region":""}"#);
    assert_eq!(serde_json::from_str::<Group>(&text).unwrap(), group);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn aggregates_equal_the_oracle_in_any_order(events in events(), seed in any::<u64>()) {
        let ordered: Vec<_> = events.iter().collect();
        let mut shuffled = ordered.clone();
        shuffled.sort_by_key(|event| seed.wrapping_mul(event.id.bytes().map(u64::from).sum::<u64>() * 2 + 1));
        for aggregate in FOLDED {
            let state = fold(aggregate, &ordered);
            prop_assert_eq!(oracle::of_quantity(state.quantity()), oracle::meter_quantity(aggregate, &ordered));
            prop_assert_eq!(&fold(aggregate, &shuffled), &state);
            let kept = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(serde_json::from_str::<State>(&kept).unwrap(), state);
        }
    }

    #[test]
    fn levels_equal_the_integral_in_any_order(
        events in events(),
        cut in 0usize..14,
        from in -5i64..45,
        length in 0i64..50,
        unit in prop_oneof![Just(1i64), Just(3), Just(7), Just(86_400), Just(1_000_000_007)],
    ) {
        let to = from + length;
        let ordered: Vec<_> = events.iter().collect();
        let exact = oracle::integral(&ordered, from, to, unit);
        let mut shuffled = ordered.clone();
        shuffled.rotate_left(cut.min(ordered.len()));
        let levels = insert_all(&shuffled);
        prop_assert_eq!(&levels, &insert_all(&ordered));
        prop_assert_eq!(oracle::of_quantity(levels.weighted(at(from), at(to), unit).unwrap()), exact.clone());
        let kept = serde_json::to_string(&levels).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Levels>(&kept).unwrap(), &levels);
        // What one more change would do is the same as doing it, and shows inside its reach alone.
        if let Some((last, rest)) = shuffled.split_last() {
            let without = insert_all(rest);
            let with = without.weighted_with(moment(last), last.value, at(from), at(to), unit).unwrap();
            prop_assert_eq!(oracle::of_quantity(with), exact);
            let (start, end) = without.reach(moment(last));
            let untouched = to <= start.nanos() || end.is_some_and(|end| from >= end.nanos() || end == start);
            if untouched {
                prop_assert_eq!(without.weighted(at(from), at(to), unit), Ok(with));
            }
            // A change that stands already is replaced, not doubled.
            prop_assert_eq!(levels.weighted_with(moment(last), last.value, at(from), at(to), unit), Ok(with));
        }
    }

    #[test]
    fn what_is_forgotten_is_not_missed(events in events(), horizon in 0i64..45, length in 0i64..50, late in 0i64..40) {
        let ordered: Vec<_> = events.iter().collect();
        let (mut levels, full) = (insert_all(&ordered), insert_all(&ordered));
        levels.forget_before(at(horizon));
        prop_assert!(levels.len() <= ordered.iter().filter(|event| event.time >= horizon).count() + 1);
        prop_assert_eq!(levels.at(at(horizon)), full.at(at(horizon)));
        let span = (at(horizon), at(horizon + length), 3);
        prop_assert_eq!(levels.weighted(span.0, span.1, span.2), full.weighted(span.0, span.1, span.2));
        let late = Moment { time: at(horizon + late), id: "late", source: "" };
        let (kept, all) = (
            levels.weighted_with(late, Quantity::ONE, span.0, span.1, span.2),
            full.weighted_with(late, Quantity::ONE, span.0, span.1, span.2),
        );
        prop_assert_eq!(kept, all);
    }

    #[test]
    fn levels_of_any_size_are_exact_or_refused(
        changes in proptest::collection::vec((any::<i64>(), any::<i128>(), 0u32..127), 0..5),
        from in any::<i64>(),
        to in any::<i64>(),
        unit in 1i64..,
    ) {
        let event = |(at, (time, raw, shift)): (usize, (i64, i128, u32))| Event {
            time,
            id: at.to_string(),
            source: String::new(),
            value: quantity((raw >> shift).max(-i128::MAX)),
            group: String::new(),
            model: None,
        };
        let events: Vec<_> = changes.into_iter().enumerate().map(event).collect();
        let events: Vec<_> = events.iter().collect();
        let (from, to) = (from.min(to), from.max(to));
        let exact = oracle::integral(&events, from, to, unit) * BigInt::from(10).pow(9);
        let expected = exact.to_integer().to_i128().filter(|raw| *raw != i128::MIN);
        prop_assert_eq!(insert_all(&events).weighted(at(from), at(to), unit).ok().map(Quantity::raw), expected);
    }
}

#[test]
fn units_of_levels() {
    let full = Share { elapsed: 1, full: 2_678_400_000_000_000 };
    let nanos = [LevelUnit::Second, LevelUnit::Hour, LevelUnit::Day, LevelUnit::Period].map(|unit| unit.nanos(full));
    assert_eq!(nanos, [1_000_000_000, 3_600_000_000_000, 86_400_000_000_000, 2_678_400_000_000_000]);
}
