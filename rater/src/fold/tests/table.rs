//! Every row of the table of outcomes, and what halts.

use super::{Run, offset, restored};
use crate::fold::{Fold, Halt, Options};
use crate::sample::{self, call, event};
use OutcomeKind::{Conflict, NotBackfilled, Parked, Rejected, Unparked, Unpriced};
use pricing::time::Span;
use serde_json::json;
use storage::output::OutcomeKind;
use storage::record::{CatalogRecord, Control, encode_control};
use storage::shard::Shard;

const NOW: &str = "2026-01-15T12:00:00Z";
const EARLIER: &str = "2026-01-15T11:00:00Z";

fn amounts(run: &Run, price: &str) -> (String, String) {
    let sums = run.sums();
    let of_price = sums.values().filter(|sum| sum.price.as_str() == price);
    let (mut quantity, mut amount) = (pricing::number::Quantity::ZERO, pricing::number::Amount::ZERO);
    for sum in of_price {
        quantity = quantity.add(sum.quantity).expect("fits");
        amount = amount.add(sum.amount).expect("fits");
    }
    (quantity.to_string(), amount.to_string())
}

#[test]
fn an_event_is_charged_by_every_price_that_reads_it() {
    let mut run = Run::sold(NOW);
    let output = run.events(&[call("c", "1", EARLIER, "7"), call("c", "2", EARLIER, "0.5")]);
    assert_eq!(output.charges.rows.len(), 16, "two events, eight prices");
    assert_eq!(output.charges.series.len(), 8, "series are shared");
    assert_eq!(output.charges.sources.len(), 1);
    let indexes: Vec<u32> = output.charges.rows.iter().map(|row| row.index).collect();
    assert_eq!(indexes, (0..16).collect::<Vec<_>>());
    assert_eq!(output.charges.id(0), "1");
    assert_eq!(output.charges.id(15), "2");
    assert_eq!(amounts(&run, "p-calls"), ("2".into(), "0".into()), "three calls are included");
    // 7.5 − 1.5 included: 5 in the first tier at a third each (rounded once), 1 in the second, both flats.
    assert_eq!(amounts(&run, "p-tokens").1, "4.416666666666666666666667");
    assert_eq!(amounts(&run, "p-share").1, "0.903", "7 × 2.9 % + 0.3 and the minimum of 0.4");
    assert_eq!(amounts(&run, "p-peak"), ("7".into(), "10".into()));
    assert_eq!(amounts(&run, "p-users"), ("1".into(), "5".into()));
    assert_eq!(amounts(&run, "p-size").0, "0.5", "ties in time go by id");
}

#[test]
fn copies_and_conflicts() {
    let mut run = Run::sold(NOW);
    run.events(&[call("c", "1", EARLIER, "7")]);
    let before = run.sums();
    run.events(&[call("c", "1", EARLIER, "7"), call("c", "1", EARLIER, "8")]);
    assert_eq!(run.sums(), before);
    assert_eq!(run.kinds(), [(Conflict, "1".to_owned())]);
    let counters = run.fold.counters();
    assert_eq!((counters.charged, counters.duplicate, counters.rejected), (1, 1, 1));
    let other_source = sample::Event { source: "other".to_owned(), ..call("c", "1", EARLIER, "7") };
    run.events(&[other_source]);
    assert_eq!(run.fold.counters().charged, 2, "another source's id is another id");
    let mut again = restored(&run.fold);
    again.fold(again.next(), &sample::record(&[call("c", "1", EARLIER, "7")])).expect("fits");
    assert_eq!(again.counters().duplicate, 2, "known after a restart");
}

#[test]
fn events_from_the_future_wait_for_a_tick() {
    let mut run = Run::sold(NOW);
    run.events(&[call("c", "b", "2026-01-15T12:07:00Z", "1"), call("c", "a", "2026-01-15T12:05:00Z", "1")]);
    run.events(&[
        call("c", "a", "2026-01-15T12:05:00Z", "1"),
        call("c", "soon", "2026-01-15T12:04:59.999999999Z", "1"),
    ]);
    assert_eq!(run.fold.counters().waiting, 3, "at log time + 5 minutes, too: a plan may change at that very moment");
    assert_eq!(run.fold.counters().charged, 1);
    let again = restored(&run.fold);
    run.fold = again;
    let output = run.tick("2026-01-15T12:00:00.000000001Z");
    let ids: Vec<&str> = (0..output.charges.rows.len()).map(|at| output.charges.id(at)).collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == "a"), "only what log time + 5 minutes has passed");
    assert_eq!(output.counters.duplicate, 1, "the copy that waited too");
    assert_eq!(output.charges.rows[0].event.offset, offset(4), "rows name the event's own record");
    assert_eq!(output.charges.rows[0].offset, offset(6), "and the record that caused them");
    run.tick("2026-01-15T12:02:00Z");
    assert_eq!(run.fold.counters().waiting, 1, "the moment itself has not passed");
    run.tick("2026-01-15T12:03:00Z");
    assert_eq!(run.fold.counters().waiting, 0);
    assert_eq!(run.fold.counters().charged, 3);
}

#[test]
fn an_event_at_the_moment_of_a_plan_change_is_folded_after_it() {
    let mut run = Run::sold(NOW);
    let (start, change) = ("2026-01-01T00:00:00Z", "2026-01-15T12:05:00Z");
    run.events(&[call("c", "1", change, "7")]);
    // As a change that acts now is written: at log time + 5 minutes.
    let terms = [sample::term(start, Some(change)), sample::term(change, None)];
    let changed = sample::customer("c", 2, &[sample::subscription("s-c", "c", start, &terms)]);
    run.fold(&encode_control(&Control::Customer(changed)));
    run.tick("2026-01-15T12:00:01Z");
    let starts: Vec<_> = run.sums().keys().map(|series| series.start).collect();
    assert!(!starts.is_empty() && starts.iter().all(|start| *start == sample::time(change)), "{starts:?}");
}

#[test]
fn too_old_is_rejected_and_the_limit_never_goes_back() {
    let mut run = Run::sold("2026-03-01T00:00:00Z");
    run.events(&[call("c", "old", "2026-01-18T23:59:59Z", "1"), call("c", "edge", "2026-01-19T00:00:00Z", "1")]);
    assert_eq!(run.kinds(), [(Rejected, "old".to_owned())]);
    assert_eq!(run.fold.counters().charged, 1);
    let mut longer = sample::catalog(2);
    longer.past = pricing::time::Span::from_days(400);
    run.fold(&encode_control(&Control::Catalog(longer)));
    run.events(&[call("c", "old", "2026-01-18T23:59:59Z", "1")]);
    assert_eq!(run.kinds().len(), 2, "what was too old once may have been forgotten");
}

#[test]
fn unknown_customers_types_and_times_are_parked_until_explained() {
    let mut run = Run::sold(NOW);
    let first = call("new", "1", EARLIER, "7");
    run.events(&[
        first.clone(),
        event("c", "nobody-meters", "2", EARLIER, &[]),
        call("c", "3", "2025-12-31T12:00:00Z", "1"),
        first,
    ]);
    assert_eq!(run.kinds().iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [Parked; 4]);
    run.fold = restored(&run.fold);
    let output = run.fold(&sample::simple("new"));
    assert_eq!(output.outcomes.iter().map(|one| one.kind).collect::<Vec<_>>(), [Unparked; 2]);
    assert_eq!(output.charges.rows.len(), 8);
    let counters = run.fold.counters();
    assert_eq!((counters.charged, counters.duplicate, counters.parked), (1, 1, 2));
    let mut catalog = sample::catalog(2);
    let meter = json!({"id": "more", "event": "nobody-meters", "aggregate": "count"});
    catalog.meters.push(serde_json::from_value(meter).expect("a meter"));
    let output = run.fold(&encode_control(&Control::Catalog(catalog)));
    assert_eq!(output.outcomes.iter().map(|one| one.kind).collect::<Vec<_>>(), [Unpriced]);
    // Nothing explains the third one; 40 days after its time it goes, with what was sent.
    run.tick("2026-02-09T11:00:00Z");
    assert_eq!(run.fold.counters().parked, 1);
    let output = run.tick("2026-02-09T12:00:00Z");
    assert_eq!((output.outcomes[0].kind, output.outcomes[0].id.as_str()), (Rejected, "3"));
    assert_eq!(output.outcomes[0].properties.len(), 3);
}

#[test]
fn copies_of_what_a_longer_future_let_in_are_known_while_they_are_admissible() {
    let mut run = Run::sold("2026-01-01T00:00:00Z");
    let longer = CatalogRecord { future: Span::from_days(10), ..sample::catalog(2) };
    run.fold(&encode_control(&Control::Catalog(longer)));
    let ahead = call("c", "1", "2026-01-10T00:00:00Z", "1");
    run.events(std::slice::from_ref(&ahead));
    assert_eq!(run.fold.counters().charged, 1);
    run.fold(&encode_control(&Control::Catalog(sample::catalog(3))));
    // The event is 36 days old, its id 45.
    run.tick("2026-02-15T00:00:00Z");
    run.fold = restored(&run.fold);
    run.events(&[ahead]);
    assert_eq!((run.fold.counters().charged, run.fold.counters().duplicate), (1, 1));
}

#[test]
fn the_quotas_of_kept_events_hold() {
    let now = EARLIER;
    let later = "2026-01-15T12:30:00Z";
    let small = Options { parked_max: 2, waiting_max: 2, ..Options::default() };
    // Each event below takes 256 bytes, 3 × 48 for its properties, and 31 for its text.
    let narrow = Options { parked_bytes_max: 2 * 431 + 430, waiting_bytes_max: 2 * 431 + 430, ..Options::default() };
    for options in [small, narrow] {
        let mut fold = Fold::new(Shard(0), sample::count(1), options);
        let of = |id: usize, at: &str| call("x", &id.to_string(), at, "1");
        let events: Vec<_> =
            (0..3).map(|id| of(id, "2026-01-15T10:00:00Z")).chain((3..6).map(|id| of(id, later))).collect();
        for record in [sample::open(0, 1), sample::tick(now), sample::record(&events)] {
            fold.fold(fold.next(), &record).expect("fits");
        }
        let output = fold.take().expect("an output");
        let found: Vec<_> = output.outcomes.iter().map(|one| (one.kind, one.id.as_str())).collect();
        assert_eq!(found, [(Parked, "0"), (Parked, "1"), (Rejected, "2"), (Rejected, "5")]);
        assert!(output.outcomes[3].reason.contains("send it again when its time has come"), "{:?}", output.outcomes[3]);
        assert_eq!(output.outcomes[3].properties.len(), 3, "with its payload");
        assert_eq!((fold.counters().parked, fold.counters().waiting), (2, 2));
        // A restart knows how much is kept; what goes makes room.
        let chunks: Vec<_> = fold.chunks().map(Ok).collect();
        let mut again =
            Fold::restore(chunks.into_iter(), options, crate::ids::Room::default()).expect("a good snapshot");
        assert_eq!(again.state_hash(), fold.state_hash());
        for record in
            [sample::record(&[of(6, later)]), sample::catalog_record(1), sample::simple("x"), sample::tick(NOW)]
        {
            again.fold(again.next(), &record).expect("fits");
        }
        assert_eq!((again.counters().parked, again.counters().rejected, again.counters().waiting), (0, 3, 2));
        again.fold(again.next(), &sample::tick("2026-01-15T12:26:00Z")).expect("fits");
        let late = [of(7, "2026-01-15T13:00:00Z"), of(8, "2026-01-15T13:00:00Z")];
        again.fold(again.next(), &sample::record(&late)).expect("fits");
        assert_eq!((again.counters().rejected, again.counters().waiting, again.counters().charged), (3, 2, 4));
        let other = Fold::new(Shard(0), sample::count(1), Options::default());
        assert_ne!(
            other.state_hash(),
            Fold::new(Shard(0), sample::count(1), options).state_hash(),
            "limits tell folds apart"
        );
    }
}

#[test]
fn not_backfilled_unmetered_unpriced_unreadable() {
    let mut run = Run::new();
    run.fold(&sample::catalog_record(1));
    let terms = [sample::term("2025-12-01T00:00:00Z", None)];
    let subscription = sample::subscription("s", "c", "2026-01-01T00:00:00Z", &terms);
    run.fold(&encode_control(&Control::Customer(sample::customer("c", 1, &[subscription]))));
    run.tick(NOW);
    run.events(&[
        call("c", "before", "2025-12-31T23:00:00Z", "1"),
        event("c", "job", "tiny", EARLIER, &[("size", "tiny")]),
        event("c", "job", "small", EARLIER, &[("size", "small")]),
        event("c", "job", "large", EARLIER, &[("size", "large")]),
        call("c", "words", EARLIER, "many"),
        call("c", "huge", EARLIER, "170141183460469231731687303715"),
        event("c", "call", "poor", EARLIER, &[("tokens", "1")]),
    ]);
    let expected =
        [(NotBackfilled, "before"), (Unpriced, "small"), (Rejected, "words"), (Rejected, "huge"), (Rejected, "poor")];
    assert_eq!(run.kinds(), expected.map(|(kind, id)| (kind, id.to_owned())));
    let counters = run.fold.counters();
    assert_eq!((counters.charged, counters.unmetered, counters.unpriced, counters.rejected), (1, 1, 1, 4));
    assert_eq!(run.sums().len(), 1, "what is refused by one price is charged by none");
    // A rejected id may be used again, by what was meant.
    run.events(&[call("c", "words", EARLIER, "3")]);
    assert_eq!(run.fold.counters().charged, 2);
}

#[test]
fn a_table_without_a_row_refuses_the_event() {
    let mut run = Run::new();
    let mut catalog = serde_json::to_value(sample::catalog(1)).expect("JSON");
    catalog["plans"][0]["prices"][3]["curve"]["dimensional"]["default"] = json!(null);
    let catalog = serde_json::from_value(catalog).expect("a catalog");
    run.fold(&encode_control(&Control::Catalog(catalog)));
    run.fold(&sample::simple("c"));
    run.tick(NOW);
    run.events(&[event("c", "call", "1", EARLIER, &[("region", "moon"), ("tokens", "1"), ("user", "u")])]);
    assert_eq!(run.kinds(), [(Rejected, "1".to_owned())]);
    assert!(run.outcomes()[0].reason.contains("region=moon"), "{}", run.outcomes()[0].reason);
}

#[test]
fn what_cannot_be_true_halts_and_changes_nothing() {
    let mut run = Run::sold(NOW);
    let hash = run.fold.state_hash();
    let mut other = sample::catalog(1);
    other.grace = pricing::time::Span::ZERO;
    let mut damaged = sample::tick(NOW).to_vec();
    if let Some(last) = damaged.last_mut() {
        *last ^= 1;
    }
    let unknown_plan = {
        let mut term = sample::term("2026-01-01T00:00:00Z", None);
        term["plan"]["version"] = json!(9);
        let subscription = sample::subscription("s", "d", "2026-01-01T00:00:00Z", &[term]);
        Control::Customer(sample::customer("d", 1, &[subscription]))
    };
    for record in [
        encode_control(&Control::Catalog(sample::catalog(3))),
        encode_control(&Control::Catalog(other)),
        encode_control(&Control::Customer(sample::customer("c", 3, &[]))),
        encode_control(&unknown_plan),
        encode_control(&Control::Barrier { version: 200 }),
        encode_control(&Control::Skip { offset: offset(2), reason: "it was folded".to_owned() }),
        sample::open(0, 2),
        sample::open(1, 1),
        bytes::Bytes::from(damaged),
    ] {
        let halt = run.fold.fold(offset(4), &record).expect_err("a halt");
        assert!(!matches!(halt, Halt::Offset { .. }), "{halt}");
        assert_eq!(run.fold.state_hash(), hash);
    }
    assert!(matches!(run.fold.fold(offset(5), &sample::tick(NOW)), Err(Halt::Offset { .. })));
    // Known versions with the same content, and the same Open, are ignored.
    for record in [sample::catalog_record(1), sample::simple("c"), sample::open(0, 1)] {
        run.fold(&record);
    }
    assert!(Fold::new(Shard(0), sample::count(1), Options::default()).fold(offset(0), &sample::tick(NOW)).is_err());
}

#[test]
fn ids_are_forgotten_when_no_copy_is_admissible_any_more() {
    let mut run = Run::sold(NOW);
    // The latest time that is admitted: its copies are admissible the longest.
    let copy = [call("c", "1", "2026-01-15T12:04:59.999999999Z", "7")];
    run.events(&copy);
    run.tick("2026-02-25T12:00:00Z");
    run.events(&copy);
    assert_eq!(run.fold.counters().duplicate, 1);
    run.tick("2026-02-25T12:06:00Z");
    run.events(&copy);
    assert_eq!(run.fold.counters().duplicate, 2, "or it is rejected as too old, but never billed again");
    assert_eq!(run.fold.counters().charged, 1);
    run.tick("2026-03-10T12:00:00Z");
    for _ in 0..300 {
        run.tick("2026-03-10T12:00:00Z");
    }
    assert_eq!(run.fold.ids(), 0, "swept");
}
