//! Catalog files: the examples of the design as written, what mistakes read like, and putting files in force.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use pricing::catalog::entity::CreditKind;
use pricing::catalog::settings::{Issue, Settings};
use pricing::catalog::{Action, Catalog, Change, Entity, File, Kind, Options};
use pricing::curve::Curve;
use pricing::id::{CustomerId, PlanId, SubscriptionId, TenantId};
use pricing::time::Instant;

/// The first example of the design.
const FIRST: &str = include_str!("catalog/first.yaml");
/// Every other key, as the design lists them.
const OTHERS: &str = include_str!("catalog/others.yaml");

fn at(text: &str) -> Instant {
    text.parse().unwrap_or_else(|_| format!("{text}T00:00:00Z").parse().unwrap())
}

fn empty() -> Catalog {
    Catalog::new(TenantId::new("acme").unwrap())
}

fn file(text: &str) -> File {
    File::parse(text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn apply(catalog: &Catalog, text: &str, log_time: &str) -> Change {
    apply_with(catalog, text, &Options::default(), log_time).unwrap_or_else(|errors| panic!("{errors}"))
}

fn apply_with(catalog: &Catalog, text: &str, options: &Options, log_time: &str) -> Result<Change, String> {
    catalog.apply(&file(text), options, at(log_time)).map_err(|errors| errors.to_string())
}

fn refused(text: &str) -> String {
    File::parse(text).expect_err("refused").to_string()
}

/// What a change says, a line for each entity and indented ones for its details.
fn story(change: &Change) -> String {
    let mut lines = Vec::new();
    for entity in &change.entities {
        let action = match entity.action {
            Action::Created => "+",
            Action::Changed => "~",
            Action::Ended => "-",
        };
        lines.push(format!("{action} {}", entity.what()));
        lines.extend(entity.details.iter().map(|detail| format!("    {detail}")));
    }
    lines.join("\n")
}

fn subscription<'a>(catalog: &'a Catalog, id: &str) -> &'a pricing::subscription::Subscription {
    &catalog.subscriptions()[id].timeline
}

#[test]
fn the_examples_are_read_as_written() {
    let change = apply(&empty(), FIRST, "2026-01-10");
    let catalog = &change.catalog;
    let plan = catalog.plans()["payg"].newest().unwrap();
    assert_eq!(plan.prices[0].included.to_string(), "100000");
    let Curve::Graduated(tiers) = &plan.prices[0].curve else { panic!("graduated") };
    assert_eq!(
        (tiers[0].up_to.unwrap().to_string(), tiers[0].each.each.to_string()),
        ("1000000".into(), "0.000015".into())
    );
    assert_eq!((tiers[1].up_to, tiers[1].each.each.to_string()), (None, "0.00001".into()));
    assert_eq!(plan.fees[0].amount.to_string(), "20");
    assert_eq!(catalog.taxes()["vat19"].rate.to_string(), "0.19");
    assert_eq!(catalog.sellers()["main"].address.postcode.as_deref(), Some("10115"));
    // 15 January is midnight in Berlin, and so is each 15th after.
    let (period, _, share) = subscription(catalog, "s-1").period_at(at("2026-01-20")).unwrap();
    assert_eq!((period.start, period.end), (at("2026-01-14T23:00:00Z"), at("2026-02-14T23:00:00Z")));
    assert!(share.is_full());

    let change = apply(catalog, OTHERS, "2026-01-10");
    let catalog = &change.catalog;
    assert_eq!(*catalog.settings(), Settings::default(), "the design lists the defaults");
    let pro = catalog.plans()["pro"].newest().unwrap();
    assert_eq!((pro.discounts.len(), pro.prices[0].discounts.len()), (2, 1));
    assert_eq!(pro.commitment.as_ref().unwrap().every, Some(pricing::period::Every::Year));
    assert_eq!(catalog.credits()["g-1"].kind, CreditKind::Promotional);
    assert_eq!(catalog.credits()["g-1"].expires_at, Some(at("2026-12-31")));
    let terms = &subscription(catalog, "s-2").terms;
    assert_eq!(
        terms.iter().map(|term| (term.from, term.trial)).collect::<Vec<_>>(),
        [(at("2026-02-01"), true), (at("2026-02-15"), false)]
    );
    assert_eq!(terms[1].until, Some(at("2027-02-01")));
    assert_eq!(terms[1].overrides.len(), 1);
}

#[test]
fn the_catalog_as_a_file_is_the_catalog() {
    let first = apply(&empty(), FIRST, "2026-01-10").catalog;
    let both = apply(&apply(&first, OTHERS, "2026-01-10").catalog, CURVES, "2026-01-10").catalog;
    let yaml = both.to_yaml();
    assert!(apply(&both, &yaml, "2026-01-11").is_empty(), "{yaml}");
    // In an empty catalog it makes the same, version for version, since each had one.
    let again = apply(&empty(), &yaml, "2026-01-10").catalog;
    assert_eq!(again.to_yaml(), yaml);
    assert_eq!(again, both);
    // And each entity can be kept alone.
    let mut kept = empty();
    for change in apply(&empty(), &yaml, "2026-01-10").entities {
        let json = change.after.to_json().unwrap();
        kept.insert(Entity::from_json(change.kind(), &json).unwrap());
    }
    assert_eq!(kept, both);
}

/// All curves, and texts that YAML would take for something else.
const CURVES: &str = r#"
meters:
  - {id: n, event: api.call, aggregate: count, where: {model: [b, a], "quoted: key": "yes"}}
  - {id: v, event: pay, aggregate: sum, value: amount, group_by: [region, model]}
plans:
  - id: curves
    currency: JPY
    every: quarter
    tax_included: true
    fees: [{id: a, amount: 0.1, when: arrears, every: year}, {id: b, amount: 1, when: advance}]
    prices:
      - {id: p1, meter: n, per_unit: {each: 0.15, per: 1_000_000}}
      - {id: p2, meter: n, volume: [{up_to: 10.5, each: 2, flat: 1}, {flat: 3}]}
      - {id: p3, meter: n, package: {size: 100, amount: 5}}
      - {id: p4, meter: n, stairstep: [{up_to: 10, amount: 0}, {amount: 99.99}]}
      - {id: p5, meter: v, percentage: {rate: 2.9%, fixed: 0.30, min: 0.5, max: 10}}
      - {id: p6, meter: v, dimensional: {by: [region], rows: [{is: [eu], each: 1}, {is: ["null"], each: 2, per: 3}], default: {each: 9}}}
sellers: [{id: quoted, name: "- \"A\": B # C\n\\ [x]", prefix: "", iban: "~"}]
"#;

#[test]
fn mistakes_are_named_with_line_key_and_what_is_allowed() {
    let text = r#"
apiVersion: farthing/v2
tenannt: acme
limits: {past: 40}
meters:
  - {id: a, event: x, aggregate: sum}
  - {id: b, event: x, aggregate: summ, value: v}
  - {id: c, event: x, aggregate: time_weighted, value: v}
  - {id: a, event: x, aggregate: count, per: day}
plans:
  - id: payg
    currency: USB
    every: month
    fees: [{id: base, amount: 1.2.3, when: advance, every: week}]
    prices:
      - id: out
        meter: a
        graduted: [{each: 1}]
      - {id: two, meter: a, per_unit: {each: 1}, volume: [{each: 1}]}
      - {id: tiers, meter: a, graduated: [{up_to: 10, each: 1}, {up_to: 5, each: 1}, {}]}
      - {id: fine, meter: a, per_unit: {each: 0.1234567890123456}}
    discounts: [{id: d, percent: 10}]
taxes: [{id: t, category: S, rate: 19}, {id: u, category: AE, rate: 19%}]
customers: [{id: c-1, time_zone: Europe/Berln, email: nobody}]
subscriptions: [{id: s-1, customer: c-1, plan: payg, from: 15.01.2026, anchor: 32, change: soon}]
"#;
    let expected = r#"line 2: apiVersion: found 'farthing/v2'; this Farthing reads farthing/v1
line 3: unknown key 'tenannt'; did you mean 'tenant'?
line 4: limits.past: '40' is not a length of time; write a whole number and a unit, such as 40d, 1h, 5m, 30s or 250ms
line 6: meters.a: meter a aggregates sum but names no value; write value: with the property to read
line 7: meters.b.aggregate: found 'summ'; allowed are count, sum, max, unique, latest, time_weighted; did you mean 'sum'?
line 8: meters.c: 'per' is missing; a time_weighted meter needs second, hour, day or period
line 9: meters[4]: id 'a' is taken by line 6; ids differ
line 9: meters.a.per: only time_weighted meters have 'per', this one is count; leave it out
line 12: plans.payg.currency: 'USB' is not an ISO 4217 currency code, such as EUR, USD or JPY
line 14: plans.payg.fees.base.amount: '1.2.3' is not a decimal number; write digits with at most one point, such as 12.50
line 14: plans.payg.fees.base.every: found week; the plan is billed every month, so allowed are month, quarter, year
line 16: plans.payg.prices.out: there is no curve; write one of per_unit, graduated, volume, package, stairstep, percentage, dimensional
line 18: plans.payg.prices[1]: unknown key 'graduted'; did you mean 'graduated'?
line 19: plans.payg.prices.two: there are 2 curves, per_unit and volume; keep exactly one
line 20: plans.payg.prices.tiers.graduated: tier 2 ends at 5; up_to must rise from tier to tier: write more than 10
line 21: plans.payg.prices.fine.per_unit.each: '0.1234567890123456' has 16 decimals; at most 15 are kept exactly
line 22: plans.payg.discounts.d.percent: 10 is not between 0% and 100%; write 19% or 0.19
line 23: taxes.t.rate: 19 is not between 0% and 100%; write 19% or 0.19
line 23: taxes.u: category AE has no rate; leave it out, or write category S
line 24: customers.c-1.time_zone: 'Europe/Berln' is not an IANA time zone, such as Europe/Berlin or UTC
line 24: customers.c-1.email: 'nobody' is not an email address
line 25: subscriptions.s-1.from: '15.01.2026' is not a date; write 2026-01-15 (midnight in the customer's time zone) or 2026-01-15T09:30:00Z
line 25: subscriptions.s-1.anchor: found '32'; write a day of the month (1 to 31), a weekday, or MM-DD
line 25: subscriptions.s-1.change: found 'soon'; allowed are period_end, now"#;
    pretty(&refused(text), expected);
}

#[track_caller]
fn pretty(found: &str, expected: &str) {
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{found}");
}

#[test]
fn what_is_no_plain_yaml_is_refused() {
    let cases = [
        ("", "line 1: the file is empty"),
        ("a: [1", "line 2: this is not YAML"),
        ("tenant: acme\ntenant: acme", "line 2: key 'tenant' stands here twice, first on line 1; keep one of them"),
        ("tenant: &x acme", "line 1: anchors (&) and aliases (*) are not read"),
        ("tenant: *x", "line 1"),
        ("tenant: !!str acme", "line 1: tags (!) are not read"),
        ("tenant: acme\n---\ntenant: b", "line 2: a second document begins here"),
        ("meters:\n  - <<: {a: b}", "line 2: merge keys (<<) are not read"),
        ("[a, b]", "line 1: found a list; allowed are keys and values"),
        ("tenant: [a]", "line 1: tenant: found a list; allowed is one value"),
        ("meters: 1_0", "line 1: meters: found text; allowed is a list"),
    ];
    for (text, expected) in cases {
        let found = refused(text);
        assert!(found.starts_with(expected), "{text:?}: {found}");
    }
    assert!(refused(&"[".repeat(100_000)).starts_with("line 1: this is not YAML"));
    for nest in ["- ", "[", "{a: "] {
        let found = refused(&format!("{}x", nest.repeat(60)));
        assert!(found.contains("nested too deeply"), "{nest}: {found}");
    }
    assert!(refused(&" ".repeat(17 << 20)).contains("at most 16777216 are read"));
    let many = format!("meters: [{}]", "{x: y}, ".repeat(500));
    assert!(refused(&many).ends_with(" more"));
}

#[test]
fn numbers_are_read_as_written() {
    let price = |each: &str| {
        format!(
            "meters: [{{id: m, event: e, aggregate: count}}]\nplans: [{{id: p, currency: EUR, every: month, prices: [{{id: a, meter: m, per_unit: {{each: {each}}}}}]}}]"
        )
    };
    let each = |text: &str| match &file(&price(text)).plans[0].is.prices[0].curve {
        Curve::PerUnit(each) => each.each.to_string(),
        _ => unreachable!(),
    };
    assert_eq!(each("0.1"), "0.1");
    assert_eq!(each("\"0.000000000000001\""), "0.000000000000001");
    assert_eq!(each("9_007_199_254_740_993"), "9007199254740993");
    assert_eq!(each("1_000.000_1"), "1000.0001");
    for bad in ["_1", "1_", "1__0", "1e3", "0x10", ".5", "1,5", "NaN"] {
        assert!(File::parse(&price(bad)).is_err(), "{bad}");
    }
}

#[test]
fn references_are_checked_with_near_matches() {
    let text = r#"
meters: [{id: calls, event: x, aggregate: max, value: v}]
plans:
  - id: payg
    currency: EUR
    every: month
    seller: mian
    prices:
      - {id: out, meter: cals, per_unit: {each: 1}, tax: vat}
      - {id: pct, meter: calls, percentage: {rate: 1%}}
sellers: [{id: main}]
customers: [{id: c-1, tax: vat19}]
subscriptions:
  - {id: s-1, customer: c-2, plan: payg, from: 2026-01-01}
  - {id: s-2, customer: c-1, plan: pay, from: 2026-01-01}
  - {id: s-3, customer: c-1, plan: payg, from: 2026-01-01, anchor: monday, overrides: {oot: {per_unit: {each: 1}}}}
credits: [{id: g, customer: c-3, kind: prepaid, amount: 1, currency: EUR}]
"#;
    let expected = r#"line 7: plans.payg.seller: there is no seller 'mian'; did you mean 'main'?
line 9: plans.payg.prices.out.meter: there is no meter 'cals'; did you mean 'calls'?
line 9: plans.payg.prices.out.tax: there is no tax 'vat'
line 10: plans.payg.prices.pct: percentage prices single events, but meter calls aggregates max; use a meter that aggregates sum or count
line 12: customers.c-1.tax: there is no tax 'vat19'
line 14: subscriptions.s-1.customer: there is no customer 'c-2'; did you mean 'c-1'?
line 15: subscriptions.s-2.plan: there is no plan 'pay'; did you mean 'payg'?
line 16: subscriptions.s-3.anchor: found monday; plan 'payg' is billed every month, allowed is a day of the month from 1 to 31 (31: the last)
line 16: subscriptions.s-3.overrides.oot: plan 'payg' has no price 'oot'; did you mean 'out'?
line 17: credits.g.customer: there is no customer 'c-3'; did you mean 'c-1'?"#;
    pretty(&apply_with(&empty(), text, &Options::default(), "2026-01-01").unwrap_err(), expected);
    let other = apply_with(&empty(), "tenant: umbrella", &Options::default(), "2026-01-01").unwrap_err();
    assert_eq!(other, "line 1: tenant: found 'umbrella', but this is put in force for 'acme'");
}

#[test]
fn two_subscriptions_of_a_customer_may_not_price_one_meter_at_once() {
    let base = apply(&empty(), FIRST, "2026-01-10").catalog;
    let second =
        |rest: &str| format!("subscriptions: [{{id: s-9, customer: c-1, plan: payg, from: 2026-03-01{rest}}}]");
    let found = apply_with(&base, &second(""), &Options::default(), "2026-01-10").unwrap_err();
    assert!(found.starts_with("line 1: subscriptions.s-9: prices meter 'output_tokens' from 2026-02-28T23:00:00Z on, as subscription 's-1'"), "{found}");
    assert!(apply_with(&base, &second(", where: {project: a}"), &Options::default(), "2026-01-10").is_err());
    // Apart in time, or by disjoint values of one property.
    let ended =
        "subscriptions: [{id: s-1, customer: c-1, plan: payg, from: 2026-01-15, anchor: 15, until: 2026-03-01}]";
    let base = apply(&base, ended, "2026-01-10").catalog;
    let base = apply(&base, &second(", where: {project: [a, b]}"), "2026-01-10").catalog;
    let third = |values: &str| {
        format!(
            "subscriptions: [{{id: s-10, customer: c-1, plan: payg, from: 2026-03-01, where: {{project: {values}}}}}]"
        )
    };
    assert!(apply_with(&base, &third("[b, c]"), &Options::default(), "2026-01-10").is_err());
    assert!(apply_with(&base, &third("c"), &Options::default(), "2026-01-10").is_ok());
}

#[test]
fn what_is_never_billed_clashes_with_nothing() {
    let base = apply(&empty(), FIRST, "2026-01-10").catalog;
    let ended =
        "subscriptions: [{id: s-1, customer: c-1, plan: payg, from: 2026-01-15, anchor: 15, until: 2026-03-01}]";
    let base = apply(&base, ended, "2026-01-10").catalog;
    let late = |rest: &str| format!("subscriptions: [{{id: s-9, customer: c-1, plan: payg, from: 2026-02-01{rest}}}]");
    // It comes in April and bills from April on: February was the other's alone.
    assert!(apply_with(&base, &late(""), &Options::default(), "2026-04-10").is_ok());
    let found = apply_with(&base, &late(", backfill: true"), &Options::default(), "2026-04-10").unwrap_err();
    assert!(found.contains("from 2026-01-31T23:00:00Z on"), "{found}");
}

#[test]
fn a_changed_plan_is_a_new_version_for_new_subscriptions() {
    let base = apply(&empty(), FIRST, "2026-01-10").catalog;
    let changed = FIRST.replace("included: 100_000", "included: 200_000").replace("each: 0.00001}", "each: 0.00002}");
    let change = apply(&base, &changed, "2026-02-01");
    pretty(
        &story(&change),
        "~ plan payg\n    prices.out.included: 100000 → 200000\n    prices.out.graduated[2].each: 0.00001 → 0.00002\n    version: 1 → 2",
    );
    assert_eq!(change.new_plan_versions().len(), 1);
    assert!(change.changes_catalog_record() && change.changed_customers().is_empty());
    let running = &subscription(&change.catalog, "s-1").terms;
    assert_eq!((running.len(), running[0].plan.version), (1, 1));
    // A version is never lost, and an equal file is no version.
    assert_eq!(change.catalog.plans()["payg"].versions.len(), 2);
    assert!(apply(&change.catalog, &changed, "2026-02-02").is_empty());

    let migrate = Options { migrate: vec![PlanId::new("payg").unwrap()], ..Options::default() };
    let moved = apply_with(&change.catalog, &changed, &migrate, "2026-02-02").unwrap();
    pretty(&story(&moved), "~ subscription s-1\n    from 2026-02-14T23:00:00Z: plan payg version 2");
    assert_eq!(moved.changed_customers().len(), 1);
    // What will be stays planned, whatever else is applied.
    let later =
        apply(&moved.catalog, &changed.replace("anchor: 15", "anchor: 15, where: {a: b}"), "2026-02-03").catalog;
    assert_eq!(subscription(&later, "s-1").terms.last().unwrap().plan.version, 2);
    // One that is over has nowhere to move to, and does not keep the others.
    let ending = changed.replace("anchor: 15", "anchor: 15, until: 2026-02-05");
    let ending = apply(&change.catalog, &ending, "2026-02-02").catalog;
    let over = changed.replace("anchor: 15", "anchor: 15, until: 2026-02-05");
    assert!(apply_with(&ending, &over, &migrate, "2026-03-01").unwrap().is_empty());
    let wrong = Options { migrate: vec![PlanId::new("pay").unwrap()], ..Options::default() };
    let found = apply_with(&base, FIRST, &wrong, "2026-02-02").unwrap_err();
    assert_eq!(found, "there is no plan 'pay' to migrate; did you mean 'payg'?");
}

#[test]
fn a_changed_meter_is_a_new_version_of_its_plans() {
    let base = apply(&empty(), FIRST, "2026-01-10").catalog;
    let meters = "meters: [{id: output_tokens, event: llm.completion, aggregate: sum, value: tokens}]";
    let change = apply(&base, meters, "2026-02-01");
    pretty(
        &story(&change),
        "~ meter output_tokens\n    value: output_tokens → tokens\n    where.model: large → none\n    group_by: [region] → []\n~ plan payg\n    version: 1 → 2",
    );
    let versions = &change.catalog.plans()["payg"].versions;
    assert_eq!(versions[0].meters["output_tokens"].value.as_deref(), Some("output_tokens"));
    assert_eq!(versions[1].meters["output_tokens"].value.as_deref(), Some("tokens"));
    // Levels outlive another unit, and nothing else.
    let seats = |rest: &str| format!("meters: [{{id: seats, event: seats, aggregate: time_weighted, {rest}}}]");
    let base = apply(&empty(), &seats("value: n, per: day"), "2026-01-10").catalog;
    let told = |rest: &str| story(&apply(&base, &seats(rest), "2026-02-01"));
    assert_eq!(told("value: n, per: hour"), "~ meter seats\n    per: day → hour");
    assert!(told("value: m, per: day").contains("levels as newly read begin at 0"));
}

#[test]
fn what_a_file_leaves_out_stays_unless_it_prunes() {
    let base =
        apply(&apply(&empty(), FIRST, "2026-01-10").catalog, "billing: {grace: 5m}\nlimits: {past: 10d}", "2026-01-10")
            .catalog;
    let small = "billing: {issue: approve}\nmeters: [{id: calls, event: call, aggregate: count}]";
    let change = apply(&base, small, "2026-02-01");
    pretty(&story(&change), "~ settings\n    billing.issue: auto → approve\n+ meter calls");
    assert_eq!(change.catalog.settings().billing.grace.to_string(), "5m");
    assert_eq!(change.catalog.settings().billing.issue, Issue::Approve);

    // An entry put alone is no file's, so no file ends it.
    let entry =
        File::parse_entry(Kind::Customer, r#"{"id": "c-7", "name": "Alone", "time_zone": "UTC", "email": null}"#)
            .unwrap();
    let with_entry = change.catalog.apply(&entry, &Options::default(), at("2026-02-01")).unwrap().catalog;
    let prune = Options { prune: true, ..Options::default() };
    let pruned = apply_with(&with_entry, small, &prune, "2026-02-01").unwrap();
    pretty(
        &story(&pruned),
        "- meter output_tokens\n- seller main\n- tax reverse\n- tax vat19\n- plan payg\n- customer c-1\n- subscription s-1\n    until: none → 2026-02-01T00:05:00Z\n    ends 2026-02-01T00:05:00Z",
    );
    assert_eq!(pruned.catalog.meters_in_force().len(), 1);
    assert!(!pruned.catalog.customers()["c-7"].ended);
    assert!(apply_with(&pruned.catalog, small, &prune, "2026-02-02").unwrap().is_empty());
    // What still names something keeps it from ending.
    let kept = FIRST.replace("taxes:    [{id: vat19, category: S, rate: 19%}, {id: reverse", "taxes: [{id: reverse");
    let found = apply_with(&base, &kept, &prune, "2026-02-01").unwrap_err();
    assert!(found.contains("customers.c-1.tax: there is no tax 'vat19'"), "{found}");
    // And what was ended can be declared again, as long as its end has not come.
    let back = apply(&pruned.catalog, FIRST, "2026-02-01").catalog;
    assert_eq!(subscription(&back, "s-1"), subscription(&base, "s-1"));
    let late = apply_with(&pruned.catalog, FIRST, &Options::default(), "2026-03-01").unwrap_err();
    assert!(late.contains("subscriptions.s-1: it ended at 2026-02-01T00:05:00Z"), "{late}");
}

#[test]
fn subscriptions_follow_their_declarations() {
    let base = apply(&empty(), FIRST, "2026-01-10").catalog;
    let base = apply(&base, OTHERS, "2026-01-10").catalog;
    let to_pro = "subscriptions: [{id: s-1, customer: c-1, plan: pro, from: 2026-01-15, anchor: 15, change: now}]";
    let change = apply(&base, to_pro, "2026-02-01T12:00:00Z");
    pretty(
        &story(&change),
        "~ subscription s-1\n    plan: payg → pro\n    change: period_end → now\n    from 2026-02-01T12:05:00Z: plan pro version 1",
    );
    assert!(!change.changes_catalog_record());
    assert_eq!(change.changed_customers().into_iter().collect::<Vec<_>>(), [CustomerId::new("c-1").unwrap()]);
    // Another zone acts from the next period on, for subscriptions that the file does not name, too.
    let zone = "customers: [{id: c-2, language: de, time_zone: America/New_York}]";
    let moved = apply(&base, zone, "2026-03-10").catalog;
    let terms = &subscription(&moved, "s-2").terms;
    let last = terms.last().unwrap();
    assert_eq!((last.from, last.grid.zone.name()), (at("2026-04-01"), "America/New_York"));
    assert_eq!(last.until, Some(at("2027-02-01T05:00:00Z")), "a date is midnight in the customer's zone");
    // A subscription keeps its customer, and what has begun its beginning.
    let moved = apply_with(
        &base,
        &FIRST.replace("customer: c-1, plan", "customer: c-2, plan"),
        &Options::default(),
        "2026-02-01",
    );
    assert!(
        moved
            .unwrap_err()
            .contains("subscriptions.s-1.customer: it belongs to customer 'c-1' and cannot move to 'c-2'")
    );
    let begun =
        apply_with(&base, &FIRST.replace("from: 2026-01-15", "from: 2026-01-16"), &Options::default(), "2026-02-01");
    assert!(begun.unwrap_err().contains("subscriptions.s-1.from: it began at 2026-01-14T23:00:00Z"));
    let backfill = apply_with(
        &base,
        &FIRST.replace("anchor: 15", "anchor: 15, backfill: true"),
        &Options::default(),
        "2026-02-01",
    );
    assert!(backfill.unwrap_err().contains("subscriptions.s-1.backfill: a subscription that runs"));
}

#[test]
fn a_future_that_was_longer_keeps_changes_off_what_may_be_priced() {
    let base = apply(&apply(&empty(), FIRST, "2026-01-10").catalog, OTHERS, "2026-01-10").catalog;
    let mut base = apply(&base, "limits: {future: 2h}", "2026-02-01T10:00:00Z").catalog;
    let shorter = apply(&base, "limits: {future: 1m}", "2026-02-01T11:00:00Z");
    // As the books keep it.
    for entity in &shorter.entities {
        base.insert(Entity::from_json(entity.kind(), &entity.after.to_json().unwrap()).unwrap());
    }
    assert_eq!(base, shorter.catalog);
    let to_pro = "subscriptions: [{id: s-1, customer: c-1, plan: pro, from: 2026-01-15, anchor: 15, change: now}]";
    let changed = |log_time: &str| {
        let catalog = apply(&base, to_pro, log_time).catalog;
        subscription(&catalog, "s-1").terms.last().unwrap().from
    };
    assert_eq!(changed("2026-02-01T12:00:00Z"), at("2026-02-01T13:00:00Z"), "events before it were folded at 11:00");
    assert_eq!(changed("2026-02-01T14:00:00Z"), at("2026-02-01T14:01:00Z"), "log time has passed it");
    assert!(apply(&base, "limits: {future: 1m}", "2026-02-01T12:00:00Z").entities.is_empty());
}

#[test]
fn a_trial_that_would_never_be_is_refused() {
    let base = apply(&empty(), FIRST, "2026-01-10").catalog;
    let typo = "subscriptions: [{id: s-9, customer: c-1, plan: payg, from: 2026-07-01, trial_until: 2025-07-15, where: {project: x}}]";
    let found = apply_with(&base, typo, &Options::default(), "2026-01-10").expect_err("refused");
    let expected =
        "line 1: subscriptions.s-9.trial_until: 2025-07-14T22:00:00Z is not after `from`, 2026-06-30T22:00:00Z";
    assert!(found.contains(expected), "{found}");
}

#[test]
fn an_entry_is_read_like_a_list_of_one() {
    let text = r#"{"id": "s-9", "customer": "c-1", "plan": "payg", "from": "2026-03-01", "wher": {"a": 1}}"#;
    let found = File::parse_entry(Kind::Subscription, text).unwrap_err().to_string();
    assert!(found.ends_with("unknown key 'wher'; did you mean 'where'?"), "{found}");
    let base = apply(&empty(), FIRST, "2026-01-10").catalog;
    let entry = File::parse_entry(Kind::Customer, "{id: c-8, name: 'O''Neill & Söhne'}").unwrap();
    let change = base.apply(&entry, &Options { prune: true, ..Options::default() }, at("2026-01-10")).unwrap();
    pretty(&story(&change), "+ customer c-8");
    assert_eq!(change.catalog.customers()["c-8"].name.as_deref(), Some("O'Neill & Söhne"));
    assert!(base.subscriptions().contains_key(&SubscriptionId::new("s-1").unwrap()));
}
