//! What holds for every catalog, whatever files are applied in whatever order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use pricing::catalog::{Catalog, Entity, File, Options};
use pricing::id::{PlanId, TenantId};
use pricing::time::Instant;
use proptest::prelude::*;

const BASE: &str = include_str!("catalog/first.yaml");

/// Files that people may apply one after the other; some will be refused, as the state they meet forbids them.
const FILES: [&str; 14] = [
    BASE,
    include_str!("catalog/others.yaml"),
    "limits: {future: 1h}",
    "billing: {rounding: half_even, zero: issue}",
    "meters: [{id: output_tokens, event: llm.completion, aggregate: max, value: n}]",
    "meters: [{id: calls, event: call, aggregate: count}]",
    "plans: [{id: payg, currency: USD, every: month, prices: [{id: out, meter: calls, per_unit: {each: 1}}]}]",
    "plans: [{id: payg, currency: USD, every: week, prices: [{id: out, meter: calls, package: {size: 3, amount: 1}}]}]",
    "customers: [{id: c-1, name: Moved, time_zone: Pacific/Auckland}]",
    "customers: [{id: c-1}]\nsubscriptions: [{id: s-1, customer: c-1, plan: pro, from: 2026-01-15, anchor: 1, change: now}]",
    "subscriptions: [{id: s-1, customer: c-1, plan: payg, from: 2026-01-15}]",
    "subscriptions: [{id: s-1, customer: c-1, plan: payg, from: 2026-01-15, anchor: 15, until: 2026-06-01T12:00:00Z}]",
    "subscriptions: [{id: s-3, customer: c-1, plan: payg, from: 2026-03-31, trial_until: 2026-04-10, where: {project: x}}]",
    "credits: [{id: g-2, customer: c-1, kind: prepaid, amount: 100, currency: USD, expires: 2026-05-01}]",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// The same file again changes nothing, then and later; the catalog as a file changes nothing; each change says all
    /// that became different, through JSON too; what lies before log time + skew never changes.
    #[test]
    fn applying_is_idempotent_and_says_what_it_does(
        steps in prop::collection::vec((0..FILES.len(), any::<bool>(), any::<bool>(), 0i64..40), 1..12),
    ) {
        let day = 86_400_000_000_000;
        let mut log_time: Instant = "2026-01-10T00:00:00Z".parse().unwrap();
        let mut catalog = Catalog::new(TenantId::new("acme").unwrap());
        let mut applied = 0;
        for (file, prune, migrate, days) in std::iter::once((0, false, false, 0)).chain(steps) {
            log_time = Instant::from_nanos(log_time.nanos() + days * day);
            let file = File::parse(FILES[file]).unwrap();
            let migrate = if migrate { vec![PlanId::new("payg").unwrap()] } else { Vec::new() };
            let Ok(change) = catalog.apply(&file, &Options { prune: prune && days % 3 == 0, migrate }, log_time) else { continue };
            applied += 1;
            let after = &change.catalog;
            for later in [0, 1, 50] {
                let then = Instant::from_nanos(log_time.nanos() + later * day);
                prop_assert!(after.apply(&file, &Options::default(), then).is_ok_and(|again| again.is_empty()));
            }
            let yaml = File::parse(&after.to_yaml()).unwrap();
            prop_assert!(after.apply(&yaml, &Options::default(), log_time).is_ok_and(|again| again.is_empty()));
            let mut retold = catalog.clone();
            for entity in &change.entities {
                let json = entity.after.to_json().unwrap();
                retold.insert(Entity::from_json(entity.kind(), &json).unwrap());
            }
            prop_assert_eq!(&retold, after);
            let fixed = Instant::from_nanos(log_time.plus(catalog.settings().limits.future).nanos() - 1);
            // One that was ended before it began has no past: declared again later, it is like a new one.
            for (id, before) in catalog.subscriptions().iter().filter(|(_, before)| before.timeline.from().is_some()) {
                let past = |of: &pricing::subscription::Subscription| {
                    of.periods_ending(Instant::MIN, fixed).map(|(period, term, _)| (period, term.plan.clone(), term.trial)).collect::<Vec<_>>()
                };
                prop_assert_eq!(past(&before.timeline), past(&after.subscriptions()[id].timeline));
            }
            catalog = change.catalog;
        }
        prop_assert!(applied > 0);
    }
}
