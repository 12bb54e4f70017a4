//! The simulation over many seeds: every invariant holds in each, together they see every path of recovery, and the
//! auditor does object to what is wrong. `FARTHING_SEEDS=FROM..TO` runs others than the usual thousand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use simulation::auditor::{Books, Invariant};
use simulation::sighting::Sightings;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("FARTHING_SEEDS") else { return 0..1_000 };
    let (from, to) = text.split_once("..").expect("FARTHING_SEEDS is FROM..TO");
    from.parse().expect("a number")..to.parse().expect("a number")
}

#[test]
fn a_thousand_seeds_hold_every_invariant() {
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let seen = Mutex::new(Sightings::default());
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failures.lock().unwrap().len() >= 10 {
                return;
            }
            match simulation::run(seed) {
                Ok(report) => {
                    // The same seed does the same, byte for byte.
                    if seed.is_multiple_of(20) && simulation::run(seed).ok().as_ref() != Some(&report) {
                        failures.lock().unwrap().push(format!("Det2: seed {seed} does something else each time"));
                    }
                    seen.lock().unwrap().merge(&report.sightings);
                }
                Err(failure) => failures.lock().unwrap().push(failure.to_string()),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    let missing = seen.into_inner().unwrap().missing();
    assert!(missing.is_empty(), "See1: never seen: {missing:?}");
}

/// Changes the books, and wants the auditor to name at least these.
fn objects(tamper: impl FnOnce(&mut Books), expected: &[Invariant]) {
    let found = simulation::objections(0, tamper).expect("the run itself holds");
    assert!(expected.iter().all(|one| found.contains(one)), "found {found:?}, expected {expected:?}");
}

#[test]
fn the_auditor_objects_to_what_is_wrong() {
    objects(|_| {}, &[]);
    assert_eq!(simulation::objections(0, |_| {}).unwrap(), []);
    let some = |books: &mut Books| books.charges.values().position(|rows| !rows.is_empty()).unwrap();
    objects(
        |books| {
            let at = some(books);
            books.charges.values_mut().nth(at).unwrap().clear();
        },
        &[Invariant::Snk1, Invariant::Con2, Invariant::Mon1],
    );
    objects(
        |books| {
            let at = some(books);
            let rows = books.charges.values_mut().nth(at).unwrap();
            let charge = rows.iter().find(|row| !row.amount.is_zero()).unwrap().clone();
            rows.push(charge);
        },
        &[Invariant::Snk1, Invariant::Mon1],
    );
    objects(
        |books| {
            let row = books.charges.values_mut().flatten().next().unwrap();
            row.amount = pricing::number::Amount::from_raw(row.amount.raw() + 1).unwrap();
        },
        &[Invariant::Snk1, Invariant::Mon1],
    );
    objects(|books| drop(books.outcomes.pop()), &[Invariant::Snk1]);
    objects(|books| drop(books.manifests.pop()), &[Invariant::Snk1]);
    objects(|books| books.log.values_mut().for_each(Vec::clear), &[Invariant::Con2]);
    objects(
        |books| books.boundaries.values_mut().for_each(|boundary| boundary.counters.charged += 1),
        &[Invariant::Con1, Invariant::Det1],
    );
    objects(|books| drop(books.invoices.pop_first()), &[Invariant::Inv1]);
    objects(
        |books| {
            let invoice = books.invoices.values_mut().next().unwrap();
            invoice.canonical = invoice.canonical.replacen("\"net\":\"", "\"net\":\"1", 1);
        },
        &[Invariant::Inv1],
    );
}
