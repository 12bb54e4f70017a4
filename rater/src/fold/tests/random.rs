//! Random records: the fold against the model, in any order, in any batches, on any number of shards, across restarts.

use super::model::{Model, Step, Totals};
use super::{Run, add_sums, check_counters, restored};
use crate::fold::{Fold, Options};
use crate::sample::{self, Event};
use bytes::Bytes;
use pricing::time::{Instant, Span};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use storage::output::{Output, Series, Sum};
use storage::record::{Control, encode_control};
use storage::shard::{Shard, ShardCount};

const HOUR: i64 = 3_600_000_000_000;

fn hours(count: i64) -> Instant {
    Instant::from_nanos(sample::time("2026-01-20T00:00:00Z").nanos() + count * HOUR)
}

/// An event around `now` hours after the start; ids are few, so that copies and conflicts come up.
fn any_event(now: i64, ids: u32) -> impl Strategy<Value = Event> {
    let kind = prop_oneof![6 => Just("call"), 2 => Just("seats"), 2 => Just("job"), 1 => Just("unknown")];
    let age = prop_oneof![6 => -900..0i64, 1 => 0..30i64, 1 => -1100..-900i64];
    let tokens = prop_oneof![9 => (-3..900i64).prop_map(|n| format!("{}.{}", n / 100, (n % 100).abs())), 1 => Just("x".to_owned())];
    let (region, user) = (prop_oneof![Just("eu"), Just("us"), Just("")], 0..5u32);
    (kind, 0..ids, age, tokens, region, user, 0..4u32).prop_map(
        move |(kind, id, age, tokens, region, user, customer)| {
            let (user, size) = (format!("u{user}"), if user % 2 == 0 { "large" } else { "small" });
            let properties: Vec<(&str, &str)> = match kind {
                "call" => vec![("region", region), ("tokens", &tokens), ("user", &user)],
                "seats" => vec![("seats", &tokens), ("team", region)],
                "job" => vec![("size", if region.is_empty() { "tiny" } else { size })],
                _ => vec![],
            };
            let event =
                sample::event(&format!("c{customer}"), kind, &format!("e{id}"), "2026-01-20T00:00:00Z", &properties);
            Event { time: hours(now + age), ..event }
        },
    )
}

fn declare(customer: u32, version: u64) -> Step {
    let (name, start) = (format!("c{customer}"), "2026-01-01T00:00:00Z");
    let subscription = sample::subscription(&format!("s-{name}"), &name, start, &[sample::term(start, None)]);
    Step::Control(Control::Customer(sample::customer(&name, version, &[subscription])))
}

/// A run of records over sixty days; customers come one after the other.
fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let day = |day: i64| {
        let events = prop::collection::vec(any_event(day * 24, 150), 0..25);
        events.prop_map(move |events| {
            let mut steps = vec![Step::Events(events), Step::Control(Control::Tick { time: hours(day * 24) })];
            match day {
                0 => steps.insert(0, Step::Control(Control::Catalog(sample::catalog(1)))),
                1 => steps.extend([declare(0, 1), declare(1, 1)]),
                30 => steps.extend([declare(2, 1), Step::Control(Control::Catalog(sample::catalog(2)))]),
                _ => {}
            }
            steps
        })
    };
    (0..60i64).step_by(3).map(day).collect::<Vec<_>>().prop_map(|steps| steps.concat())
}

fn encode(step: &Step) -> Bytes {
    match step {
        Step::Events(events) => sample::record(events),
        Step::Control(control) => encode_control(control),
    }
}

fn totals(sums: &BTreeMap<Series, Sum>) -> Totals {
    let mut totals = Totals::new();
    for (series, sum) in sums {
        let key = (series.subscription.as_str().to_owned(), series.start, series.price.as_str().to_owned());
        let total = totals.entry(key).or_default();
        *total = (total.0.add(sum.quantity).expect("fits"), total.1.add(sum.amount).expect("fits"));
    }
    totals.retain(|_, total| *total != Default::default());
    totals
}

/// Every manifest says what the rows before it sum to.
fn check_manifests(outputs: &[Output]) -> BTreeSet<(String, Instant)> {
    let mut sums = BTreeMap::new();
    let mut closed = BTreeSet::new();
    for output in outputs {
        add_sums(&mut sums, output);
        for manifest in &output.manifests {
            closed.insert((manifest.subscription.as_str().to_owned(), manifest.period.start));
            let rows = sums.iter().filter(|(series, _)| {
                (&series.subscription, series.start) == (&manifest.subscription, manifest.period.start)
            });
            let fold = |sums: Vec<&Sum>| {
                let hash = sums.iter().fold(0u64, |hash, sum| hash.wrapping_add(sum.hash));
                (sums.iter().map(|sum| sum.count).sum::<u64>(), hash)
            };
            assert_eq!(fold(manifest.entries.iter().collect()), fold(rows.map(|(_, sum)| sum).collect()));
        }
    }
    closed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_does_what_the_model_does(steps in any_steps()) {
        let (mut run, mut model) = (Run::new(), Model::default());
        for step in &steps {
            run.fold(&encode(step));
            model.step(step);
            prop_assert_eq!(run.fold.counters(), model.counters);
        }
        let closed = check_manifests(&run.outputs);
        let expected = model.totals(|subscription, start| closed.contains(&(subscription.to_owned(), start)));
        prop_assert_eq!(totals(&run.sums()), expected);
        let seen = model.counters;
        prop_assert!(seen.charged > 0 && seen.duplicate + seen.rejected > 0 && seen.arrivals > seen.charged);
    }

    /// DET-1: a restart at any boundary gives the same bytes from there on, and so do ids on disk.
    #[test]
    fn neither_a_restart_nor_ids_on_disk_change_anything(steps in any_steps(), every in 1..7usize, spilt in 1..5usize) {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut one, mut other) = (Run::new(), Run::new());
        for (at, step) in steps.iter().enumerate() {
            let record = encode(step);
            let expected = one.fold(&record).clone();
            if at % every == 0 {
                other.fold = restored(&other.fold);
            }
            if at % spilt == 0 {
                other.fold.ids.spill(&folder.path().join("ids")).expect("a disk");
            }
            prop_assert_eq!(other.fold(&record), &expected);
            prop_assert_eq!(other.fold.state_hash(), one.fold.state_hash());
        }
    }

    /// MON-2: order, batches and shards do not show in totals, and neither does the sum of the counts.
    #[test]
    fn order_batches_and_shards_do_not_matter(
        events in prop::collection::vec(any_event(0, 1_000_000), 1..80),
        order in any::<prop::sample::Index>(),
        batch in 1..30usize,
        shards in 2..5u16,
    ) {
        // Of one id the first stands, whichever that is: here every id is its own.
        let events: BTreeMap<(String, String), Event> =
            events.into_iter().map(|event| ((event.customer.clone(), event.id.clone()), event)).collect();
        let mut events: Vec<Event> = events.into_values().filter(|event| event.time <= hours(0)).collect();
        let first = fold_sharded(&events, 1, 1);
        let middle = order.index(events.len().max(1)).min(events.len());
        events.rotate_left(middle);
        events.reverse();
        prop_assert_eq!(&fold_sharded(&events, batch, 1), &first);
        prop_assert_eq!(&fold_sharded(&events, batch, shards), &first);
    }
}

fn fold_sharded(events: &[Event], batch: usize, shards: u16) -> (Totals, u64, u64) {
    let count = ShardCount::new(shards).expect("some");
    let mut sums = BTreeMap::new();
    let (mut charged, mut rejected) = (0, 0);
    for shard in count.all() {
        let mut fold = Fold::new(shard, count, Options::default());
        let mut records = vec![sample::open(shard.0, shards), sample::catalog_record(1)];
        let customers = (0..3).filter(|at| of(count, &format!("c{at}")) == shard);
        records.extend(customers.map(|at| encode(&declare(at, 1))));
        records.push(encode_control(&Control::Tick { time: hours(0) }));
        let mine: Vec<&Event> = events.iter().filter(|event| of(count, &event.customer) == shard).collect();
        records.extend(mine.chunks(batch).map(|events| sample::record(events.iter().copied())));
        records.push(encode_control(&Control::Tick { time: hours(0).plus(Span::from_days(32)) }));
        for record in records {
            fold.fold(fold.next(), &record).expect("fits");
        }
        check_counters(fold.counters());
        (charged, rejected) = (charged + fold.counters().charged, rejected + fold.counters().rejected);
        add_sums(&mut sums, &fold.take().expect("an output"));
    }
    (totals(&sums), charged, rejected)
}

fn of(count: ShardCount, customer: &str) -> Shard {
    count.of(&sample::tenant(), customer.as_bytes())
}
