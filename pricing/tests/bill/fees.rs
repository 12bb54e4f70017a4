//! Fees and minimum spends through whatever becomes of subscriptions: each is paid for exactly the time in which it was
//! sold, however often plans change, ends move and accounts forget.

use crate::world::{World, at};
use pricing::number::Amount;
use pricing::subscription::Subscription;
use pricing::time::{Instant, Span};
use proptest::prelude::*;

/// What happens, some days after what happened before.
#[derive(Clone, Debug)]
enum Step {
    /// The plan, at once or at the period's end; the end in so many days, or none.
    Change { plan: char, now: bool, ends_in: Option<u32> },
    /// Another subscription that began before, from its first day on or from the period that runs.
    Late { backfill: bool },
    /// The accounts keep the last 40 days.
    Forget,
}

const DAY: i64 = 86_400_000_000_000;
/// By plan: monthly in advance, monthly in arrears, yearly in advance, and the least that is spent in a year.
const FEES: [(char, [i128; 4]); 3] = [('a', [31, 7, 365, 810]), ('b', [62, 0, 730, 2000]), ('l', [0, 0, 1000, 0])];

fn story(steps: &[(u32, Step)]) -> World {
    let plan = |(id, [month, arrears, year, least]): (char, [i128; 4])| {
        let every = if id == 'l' { "year" } else { "month" };
        format!(
            "  - {{id: {id}, currency: USD, every: {every}, commitment: {{amount: {least}, every: year}}, fees: [{{id: m, amount: {month}, when: advance}}, \
             {{id: r, amount: {arrears}, when: arrears}}, {{id: y, amount: {year}, when: advance, every: year}}]}}\n"
        )
    };
    let mut world = World::new(&format!(
        "customers: [{{id: c}}]\nplans:\n{}  - {{id: w, currency: USD, every: week, fees: []}}\nsubscriptions:\n  \
         - {{id: s, customer: c, plan: a, from: 2026-01-10}}\n  - {{id: w, customer: c, plan: w, from: 2026-01-01}}\n",
        FEES.map(plan).join("")
    ));
    let mut time = at("2026-01-11");
    world.bill_up_to(time);
    for (days, step) in steps {
        time = Instant::from_nanos(time.nanos() + i64::from(*days) * DAY);
        world.bill_up_to(time);
        match step {
            Step::Change { plan, now, ends_in } => {
                let change = if *now { "now" } else { "period_end" };
                let until = ends_in.map_or_else(String::new, |days| {
                    let until = Instant::from_nanos(time.nanos() + i64::from(days) * DAY);
                    format!(", until: \"{until}\"")
                });
                // Refused once it is over.
                _ = world.try_apply(
                    &format!(
                        "subscriptions: [{{id: s, customer: c, plan: {plan}, from: 2026-01-10, change: {change}{until}}}]"
                    ),
                    time,
                );
            }
            Step::Late { backfill } => {
                _ = world.try_apply(
                    &format!(
                        "subscriptions: [{{id: l, customer: c, plan: l, from: 2024-12-01, backfill: {backfill}}}]"
                    ),
                    time,
                );
            }
            Step::Forget => {
                let before = time.minus(Span::from_days(40));
                world.accounts.values_mut().for_each(|account| *account = account.clone().forget(before));
            }
        }
    }
    for id in ["s", "l"] {
        let Some(is) = world.subscriptions().into_iter().find(|is| is.id.as_str() == id) else { continue };
        let (plan, from) = if id == "l" { ('l', "2024-12-01") } else { (plan_of(&is), "2026-01-10") };
        let until = Instant::from_nanos(time.nanos() + 3 * DAY);
        let end = format!("subscriptions: [{{id: {id}, customer: c, plan: {plan}, from: {from}, until: \"{until}\"}}]");
        _ = world.try_apply(&end, time);
    }
    world.bill_up_to(Instant::from_nanos(time.nanos() + 60 * DAY));
    world
}

fn plan_of(subscription: &Subscription) -> char {
    subscription.terms.last().and_then(|term| term.plan.id.as_str().chars().next()).unwrap_or('a')
}

/// A fee for the part of a full cycle, in 10⁻²⁴.
fn part(fee: i128, elapsed: i64, full: i64) -> i128 {
    fee * Amount::ONE.raw() / i128::from(full) * i128::from(elapsed)
}

/// What a subscription's fees come to, by its timeline alone.
fn owed(subscription: &Subscription) -> i128 {
    let mut owed = 0;
    let end = subscription.until().expect("the story ends it");
    // Turns of a year begin with the month (of the yearly plan: the year) of the first billed period.
    let first = subscription.terms[0].grid.containing(subscription.first_billed).unwrap().start;
    let mut turns = vec![first];
    while *turns.last().unwrap() < end {
        let turn = turns.last().unwrap().to_string();
        let (year, rest) = turn.split_at(4);
        turns.push(at(&format!("{}{rest}", year.parse::<i32>().unwrap() + 1)));
    }
    for term in &subscription.terms {
        let plan = term.plan.id.as_str().chars().next().unwrap();
        let [month, arrears, year, least] = FEES.iter().find(|(id, _)| *id == plan).unwrap().1;
        let (from, until) = (term.from.max(subscription.first_billed), term.until.unwrap());
        for pair in turns.windows(2) {
            let (elapsed, full) =
                (pair[1].min(until).nanos() - pair[0].max(from).nanos(), pair[1].nanos() - pair[0].nanos());
            let mut spent = part(year, elapsed.max(0), full);
            for (period, of, share) in subscription.periods_ending(subscription.first_billed, end) {
                if of.from == term.from && pair[0] <= period.start && period.start < pair[1] {
                    spent += part(month + arrears, share.elapsed, share.full);
                }
            }
            owed += spent.max(part(least, elapsed.max(0), full));
        }
    }
    owed
}

fn steps() -> impl Strategy<Value = Vec<(u32, Step)>> {
    let change = (prop::sample::select(vec!['a', 'b']), any::<bool>(), prop::option::of(1u32..90))
        .prop_map(|(plan, now, ends_in)| Step::Change { plan, now, ends_in });
    let step = prop_oneof![4 => change, 1 => any::<bool>().prop_map(|backfill| Step::Late { backfill }), 2 => Just(Step::Forget)];
    prop::collection::vec((1u32..60, step), 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fees_are_paid_for_the_time_in_which_they_were_sold(steps in steps()) {
        let world = story(&steps);
        let billed: i128 = world.bills.iter().map(|bill| bill.net_exact.raw()).sum();
        let subscriptions = world.subscriptions();
        let owed: i128 = subscriptions.iter().filter(|is| is.id.as_str() != "w").map(owed).sum();
        // Each part is rounded at 10⁻²⁴, by the oracle times the nanoseconds.
        prop_assert!((billed - owed).abs() < 10i128.pow(20), "owed {owed}, billed {billed}");
    }
}
