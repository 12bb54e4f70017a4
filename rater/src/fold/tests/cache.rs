//! What the fold remembers of types and property names has a limit in bytes.

use super::Run;
use crate::sample::{self, call};

const LIMIT: usize = 20 << 20;

#[test]
fn long_names_are_forgotten() {
    let mut run = Run::sold("2026-01-15T12:00:00Z");
    for record in 0..60 {
        let events: Vec<_> = (0..40).map(|at| named(&format!("x{record}-{at}-{}", "x".repeat(10_000)))).collect();
        run.events(&events);
        assert!(run.fold.cache.bytes() < LIMIT, "{}", run.fold.cache.bytes());
        assert_eq!(run.fold.counters().charged, (record + 1) * 40);
    }
}

#[test]
fn many_shapes_in_one_record_are_forgotten() {
    let mut run = Run::sold("2026-01-15T12:00:00Z");
    let events: Vec<_> = (0..25_000).map(|at| named(&format!("x{at}"))).collect();
    run.events(&events);
    assert_eq!(run.fold.counters().charged, 25_000);
    assert!(run.fold.cache.bytes() < LIMIT, "{}", run.fold.cache.bytes());
}

/// A call with one property more.
fn named(name: &str) -> sample::Event {
    let mut event =
        call("c", name.split('-').take(2).collect::<Vec<_>>().join("-").as_str(), "2026-01-15T11:00:00Z", "1");
    event.properties.push((name.to_owned(), String::new()));
    event
}
