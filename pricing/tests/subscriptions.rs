//! A subscription's timeline: how it begins, how it changes, and the periods that come of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use pricing::curve::{Curve, Each};
use pricing::group::Filter;
use pricing::id::{CustomerId, PlanId, PriceId, SubscriptionId};
use pricing::number::Quantity;
use pricing::period::{Anchor, Every, Grid, Zone};
use pricing::plan::PlanRef;
use pricing::subscription::{Error, Subscription, Wanted, When};
use pricing::time::{Instant, Span};
use proptest::prelude::*;
use std::collections::BTreeMap;

const FUTURE: Span = Span::from_seconds(300);

fn at(text: &str) -> Instant {
    text.parse().unwrap_or_else(|_| format!("{text}T00:00:00Z").parse().unwrap())
}

fn plan(id: &str, version: u32) -> PlanRef {
    PlanRef { id: PlanId::new(id).unwrap(), version }
}

fn wanted(from: &str) -> Wanted {
    Wanted {
        id: SubscriptionId::new("s-1").unwrap(),
        customer: CustomerId::new("c-1").unwrap(),
        plan: plan("payg", 1),
        grid: Grid { every: Every::Month, anchor: Anchor::Calendar, zone: Zone::utc() },
        from: at(from),
        until: None,
        trial_until: None,
        change: When::PeriodEnd,
        backfill: false,
        filter: Filter::default(),
        overrides: BTreeMap::new(),
    }
}

fn begun(wanted: &Wanted, log_time: &str) -> Subscription {
    Subscription::begin(wanted, at(log_time), FUTURE).unwrap()
}

/// The terms in short: from, plan and version, `trial`; and the end.
fn story(subscription: &Subscription) -> Vec<String> {
    let mut lines: Vec<String> = subscription
        .terms
        .iter()
        .map(|term| {
            let trial = if term.trial { " trial" } else { "" };
            format!("{} {}.{}{trial}", term.from, term.plan.id, term.plan.version)
        })
        .collect();
    lines.extend(subscription.until().map(|until| format!("{until} end")));
    for pair in subscription.terms.windows(2) {
        assert_eq!(pair[0].until, Some(pair[1].from), "terms follow each other");
    }
    lines
}

#[test]
fn what_was_over_when_it_came_is_billed_only_if_asked() {
    let mut want = wanted("2026-01-10");
    assert_eq!(begun(&want, "2026-01-05").first_billed, at("2026-01-10"));
    assert_eq!(begun(&want, "2026-01-20").first_billed, at("2026-01-10"));
    assert_eq!(begun(&want, "2026-03-20").first_billed, at("2026-03-01"));
    want.backfill = true;
    assert_eq!(begun(&want, "2026-03-20").first_billed, at("2026-01-10"));
}

#[test]
fn periods_are_clipped_to_the_subscription() {
    let mut want = wanted("2026-01-10");
    want.until = Some(at("2026-03-05"));
    let made = begun(&want, "2026-01-01");
    let periods: Vec<_> = made
        .periods_ending(Instant::MIN, at("2027-01-01"))
        .map(|(period, _, share)| format!("{} {} {}", period.start, period.end, share.elapsed / 86_400_000_000_000))
        .collect();
    assert_eq!(
        periods,
        [
            "2026-01-10T00:00:00Z 2026-02-01T00:00:00Z 22",
            "2026-02-01T00:00:00Z 2026-03-01T00:00:00Z 28",
            "2026-03-01T00:00:00Z 2026-03-05T00:00:00Z 4"
        ]
    );
    assert_eq!(made.next_period_end(at("2026-02-01")), Some(at("2026-03-01")));
    assert_eq!(made.next_period_end(at("2026-03-05")), None);
    assert_eq!(made.periods_ending(at("2026-02-01"), at("2026-03-01")).count(), 1);
    assert_eq!(made.periods_starting(at("2026-02-01"), at("2026-03-01")).count(), 1);
    assert!(made.period_starting(at("2026-02-01")).is_some() && made.period_starting(at("2026-02-02")).is_none());
    assert!(made.period_ending(at("2026-03-05")).is_some() && made.period_ending(at("2026-04-01")).is_none());
    assert!(made.period_at(at("2026-01-09")).is_none() && made.period_at(at("2026-03-05")).is_none());
}

#[test]
fn another_plan_begins_with_the_next_period_or_now() {
    let current = begun(&wanted("2026-01-01"), "2026-01-01");
    let mut want = Wanted { plan: plan("pro", 3), ..wanted("2026-01-01") };
    let later = current.change(&want, at("2026-01-20"), FUTURE).unwrap();
    assert_eq!(story(&later), ["2026-01-01T00:00:00Z payg.1", "2026-02-01T00:00:00Z pro.3"]);
    // Events up to 5 minutes ahead may be priced already: so close to its end a period's successor has begun.
    let close = current.change(&want, at("2026-01-31T23:58:00Z"), FUTURE).unwrap();
    assert_eq!(story(&close), ["2026-01-01T00:00:00Z payg.1", "2026-03-01T00:00:00Z pro.3"]);

    want.change = When::Now;
    let now = current.change(&want, at("2026-01-20"), FUTURE).unwrap();
    assert_eq!(story(&now), ["2026-01-01T00:00:00Z payg.1", "2026-01-20T00:05:00Z pro.3"]);
    let short = now.period_at(at("2026-01-25")).unwrap();
    assert_eq!((short.0.start, short.0.end), (at("2026-01-20T00:05:00Z"), at("2026-02-01")));
    assert!(!short.2.is_full());
    // The same again, then and later, changes nothing.
    assert_eq!(now.change(&want, at("2026-01-20"), FUTURE).unwrap(), now);
    assert_eq!(now.change(&want, at("2026-05-20"), FUTURE).unwrap(), now);
    // Back again before it happened: nothing happens.
    assert_eq!(later.change(&wanted("2026-01-01"), at("2026-01-21"), FUTURE).unwrap(), current);
}

#[test]
fn all_else_begins_with_the_next_period() {
    let current = begun(&wanted("2026-01-01"), "2026-01-01");
    let curve = Curve::PerUnit(Each { each: "0.35".parse().unwrap(), per: Quantity::ONE });
    let berlin = Grid { every: Every::Month, anchor: Anchor::Calendar, zone: Zone::new("Europe/Berlin").unwrap() };
    let want = Wanted {
        overrides: BTreeMap::from([(PriceId::new("out").unwrap(), curve)]),
        grid: berlin,
        change: When::Now,
        ..wanted("2026-01-01")
    };
    let changed = current.change(&want, at("2026-01-20"), FUTURE).unwrap();
    assert_eq!(changed.terms.len(), 2);
    assert_eq!(changed.terms[1].from, at("2026-02-01"));
    // The first period by the new clock is an hour short of what is left: 1 February in UTC is 01:00 in Berlin.
    let (first, _, share) = changed.period_at(at("2026-02-01")).unwrap();
    assert_eq!((first.start, first.end), (at("2026-02-01"), at("2026-02-28T23:00:00Z")));
    assert!(!share.is_full());
}

#[test]
fn a_trial_ends_a_period() {
    let mut want = Wanted { trial_until: Some(at("2026-01-15")), ..wanted("2026-01-01") };
    let made = begun(&want, "2026-01-01");
    assert_eq!(story(&made), ["2026-01-01T00:00:00Z payg.1 trial", "2026-01-15T00:00:00Z payg.1"]);
    assert_eq!(made.next_period_end(at("2026-01-01")), Some(at("2026-01-15")));
    // Another plan, while the trial runs: at the trial's end, for that ends the running period.
    want.plan = plan("pro", 1);
    let changed = made.change(&want, at("2026-01-05"), FUTURE).unwrap();
    assert_eq!(story(&changed), ["2026-01-01T00:00:00Z payg.1 trial", "2026-01-15T00:00:00Z pro.1"]);
    // A longer trial acts from the next period on.
    let longer = Wanted { trial_until: Some(at("2026-02-10")), ..wanted("2026-01-01") };
    let changed = made.change(&longer, at("2026-01-05"), FUTURE).unwrap();
    assert_eq!(story(&changed), ["2026-01-01T00:00:00Z payg.1 trial", "2026-02-10T00:00:00Z payg.1"]);
}

#[test]
fn an_end_is_never_in_the_past_and_can_move_while_it_lies_ahead() {
    let current = begun(&wanted("2026-01-01"), "2026-01-01");
    let ending = |until: &str| Wanted { until: Some(at(until)), ..wanted("2026-01-01") };
    let early = current.change(&ending("2026-01-20T00:04:59Z"), at("2026-01-20"), FUTURE);
    assert_eq!(
        early,
        Err(Error::EndsTooEarly { until: at("2026-01-20T00:04:59Z"), earliest: at("2026-01-20T00:05:00Z") })
    );
    let ended = current.change(&ending("2026-01-25"), at("2026-01-20"), FUTURE).unwrap();
    assert_eq!(story(&ended), ["2026-01-01T00:00:00Z payg.1", "2026-01-25T00:00:00Z end"]);
    // Taken back, later: as if it had never been, with no cut at the end that did not come.
    assert_eq!(ended.change(&wanted("2026-01-01"), at("2026-01-24"), FUTURE).unwrap(), current);
    // Once over it stays over; the same declaration is fine.
    assert_eq!(ended.change(&ending("2026-01-25"), at("2026-03-01"), FUTURE).unwrap(), ended);
    let again = ended.change(&wanted("2026-01-01"), at("2026-03-01"), FUTURE);
    assert_eq!(again, Err(Error::Ended { until: at("2026-01-25") }));
    let backwards = Subscription::begin(
        &Wanted { until: Some(at("2026-01-01")), ..wanted("2026-02-01") },
        at("2025-01-01"),
        FUTURE,
    );
    assert!(matches!(backwards, Err(Error::EndsBeforeItBegins { .. })));
}

#[test]
fn a_beginning_can_move_until_it_has_come() {
    let current = begun(&wanted("2026-02-01"), "2026-01-01");
    let moved = current.change(&wanted("2026-02-10"), at("2026-01-20"), FUTURE).unwrap();
    assert_eq!(story(&moved), ["2026-02-10T00:00:00Z payg.1"]);
    assert_eq!(moved.first_billed, at("2026-02-10"));
    let late = moved.change(&wanted("2026-02-11"), at("2026-02-10"), FUTURE);
    assert!(matches!(late, Err(Error::Begun { .. })));
    let other = Wanted { customer: CustomerId::new("c-2").unwrap(), ..wanted("2026-02-10") };
    assert!(matches!(moved.change(&other, at("2026-02-10"), FUTURE), Err(Error::OtherCustomer { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    /// Whatever changes come, what lies before log time + skew stays, periods follow each other without gaps, and wanting
    /// the same twice is wanting it once.
    #[test]
    fn changes_never_reach_back(changes in prop::collection::vec((1i64..40, 1u32..4, any::<bool>(), prop::option::of(1i64..60)), 1..8)) {
        let day = 86_400_000_000_000;
        let mut current = begun(&wanted("2026-01-10"), "2026-01-10");
        let mut log_time = at("2026-01-10");
        for (days, version, now, trial) in changes {
            log_time = Instant::from_nanos(log_time.nanos() + days * day / 3);
            let fixed = log_time.plus(FUTURE);
            let want = Wanted {
                plan: plan("payg", version),
                change: if now { When::Now } else { When::PeriodEnd },
                trial_until: trial.map(|days| Instant::from_nanos(log_time.nanos() + days * day)),
                ..wanted("2026-01-10")
            };
            let changed = current.change(&want, log_time, FUTURE).unwrap();
            let past = |of: &Subscription| {
                let ended = of.periods_ending(Instant::MIN, Instant::from_nanos(fixed.nanos() - 1));
                ended.map(|(period, term, _)| (period, term.plan.clone(), term.trial)).collect::<Vec<_>>()
            };
            prop_assert_eq!(past(&current), past(&changed));
            prop_assert_eq!(&changed.change(&want, log_time, FUTURE).unwrap(), &changed);
            let mut end = at("2026-01-10");
            for (period, _, share) in changed.periods_from(Instant::MIN).take(30) {
                prop_assert_eq!(period.start, end);
                prop_assert!(share.elapsed > 0 && share.elapsed <= share.full);
                end = period.end;
            }
            current = changed;
        }
    }
}
