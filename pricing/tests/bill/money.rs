//! Rounding, tax and credits, worked out by hand.

use crate::world::{World, amount};
use pricing::bill::Kind;

fn world(currency: &str, more: &str, plan: &str, each: &str) -> World {
    World::new(&format!(
        "meters: [{{id: m, event: e, aggregate: sum, value: v}}]\n\
         taxes: [{{id: vat, category: S, rate: 19%}}, {{id: low, category: S, rate: 7%}}, {{id: rc, category: AE, reason: Reverse charge}}]\n\
         plans: [{{id: p, currency: {currency}, every: month, {plan} prices: [{{id: u, meter: m, per_unit: {{each: {each}}}}}, \
           {{id: v, meter: m, tax: low, per_unit: {{each: {each}}}}}]}}]\n\
         subscriptions: [{{id: s, customer: c, plan: p, from: 2026-01-01}}]\n{more}"
    ))
}

const UNTAXED: &str = "customers: [{id: c}]";
const VAT: &str = "customers: [{id: c, tax: vat}]";

#[test]
fn a_year_of_bills_of_two_fifths_of_a_cent_pays_each_whole_cent_when_it_is_full() {
    let mut world = world("USD", UNTAXED, "", "0.004");
    for month in 1..=12 {
        world.used(&format!("2026-{month:02}-10"), "u", "1");
    }
    world.bill("2027-01-01");
    let paid: Vec<i64> = world.bills.iter().map(|bill| bill.net.0).collect();
    // 0.012 is first above a cent, 0.020 holds the second, then 0.032, 0.040.
    assert_eq!(paid, [0, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0]);
    assert!(world.bills[0].zero && !world.bills[2].zero);
    let third = &world.bills[2];
    assert_eq!((third.net_exact, third.rounding_residue), (amount("0.004"), amount("-0.006")));
    assert_eq!(third.lines[1].kind, Kind::Rounding);
    assert_eq!(world.accounts.values().next().unwrap().residue, amount("0.008"), "0.048 used, 0.04 paid");
}

#[test]
fn lines_are_apportioned_by_largest_remainder_the_earlier_first() {
    let mut world = world(
        "USD",
        UNTAXED,
        "fees: [{id: a, amount: 0.333, when: arrears}, {id: b, amount: 0.333, when: arrears}, {id: c, amount: 0.334, when: arrears}],",
        "1",
    );
    let bill = world.bill("2026-02-01");
    let printed: Vec<i64> = bill.lines.iter().map(|line| line.amount.0).collect();
    assert_eq!(printed, [33, 33, 34]);
    let mut world = self::world(
        "USD",
        UNTAXED,
        "fees: [{id: a, amount: 0.335, when: arrears}, {id: b, amount: 0.335, when: arrears}, {id: c, amount: 0.33, when: arrears}],",
        "1",
    );
    let printed: Vec<i64> = world.bill("2026-02-01").lines.iter().map(|line| line.amount.0).collect();
    assert_eq!(printed, [34, 33, 33]);
}

#[test]
fn tax_is_once_for_each_category_and_rate_and_halves_go_away_from_zero() {
    let mut world = world("EUR", VAT, "", "0.01");
    world.used("2026-01-10", "u", "250");
    world.used("2026-01-10", "v", "150");
    let bill = world.bill("2026-02-01");
    let taxes: Vec<_> = bill.taxes.iter().map(|tax| (tax.tax.rate.to_string(), tax.net.0, tax.amount.0)).collect();
    // 1.50 × 7 % = 0.105; 2.50 × 19 % = 0.475.
    assert_eq!(taxes, [("0.07".to_owned(), 150, 11), ("0.19".to_owned(), 250, 48)]);
    assert_eq!((bill.net.0, bill.total.0, bill.due.0), (400, 459, 459));
}

#[test]
fn included_tax_comes_out_of_the_rounded_sum_and_lines_share_the_net() {
    let mut world = world("EUR", VAT, "tax_included: true, fees: [{id: a, amount: 50, when: arrears}],", "0.05");
    world.used("2026-01-10", "u", "1000");
    let bill = world.bill("2026-02-01");
    // 100 × 0.19 ÷ 1.19 = 15.966…
    assert_eq!((bill.net.0, bill.taxes[0].amount.0, bill.total.0), (8_403, 1_597, 10_000));
    assert_eq!(bill.net_exact, amount("84.03"));
    assert!(bill.rounding_residue.is_zero());
    assert_eq!(
        world.lines(),
        [
            "fee | a, 2026-01-01 to 2026-01-31 (1 at 50 = 50 with 19% tax) | 42.015 | 42.02",
            "usage | u (1,000 at 0.05 = 50 with 19% tax) | 42.015 | 42.01",
        ]
    );
}

#[test]
fn lines_that_nearly_cancel_each_other_keep_their_own_share_of_an_included_tax() {
    let credit = "credits: [{id: g, customer: c, kind: promotional, amount: 100.00, currency: EUR}]";
    let mut world = world("EUR", &format!("{VAT}\n{credit}"), "tax_included: true,", "0.01");
    world.used("2026-01-10", "u", "10004");
    let bill = world.bill("2026-02-01");
    // 0.04 × 0.19 ÷ 1.19 = 0.0063…: a cent of tax, which does not make a quarter of each line.
    assert_eq!((bill.net.0, bill.taxes[0].amount.0, bill.total.0), (3, 1, 4));
    let printed: Vec<i64> = bill.lines.iter().map(|line| line.amount.0).collect();
    assert_eq!(printed, [8_407, -8_404], "100.04 ÷ 1.19 = 84.067…, 100 ÷ 1.19 = 84.033…");
}

#[test]
fn reverse_charge_is_listed_at_nothing_and_no_tax_is_no_entry() {
    let mut charged = world("EUR", "customers: [{id: c, tax: rc}]", "", "1");
    charged.used("2026-01-10", "u", "5");
    let bill = charged.bill("2026-02-01");
    assert_eq!((bill.taxes.len(), bill.taxes[0].net.0, bill.taxes[0].amount.0, bill.total.0), (1, 500, 0, 500));
    let mut untaxed = world("EUR", UNTAXED, "", "1");
    untaxed.used("2026-01-10", "u", "5");
    assert!(untaxed.bill("2026-02-01").taxes.is_empty());
}

#[test]
fn currencies_have_their_own_decimals() {
    for (currency, net, printed) in [("JPY", 2, "2"), ("USD", 151, "1.51"), ("KWD", 1507, "1.507")] {
        let mut world = world(currency, UNTAXED, "", "1.5072");
        world.used("2026-01-10", "u", "1");
        let bill = world.bill("2026-02-01");
        assert_eq!((bill.net.0, bill.currency.text(bill.total).as_str()), (net, printed));
    }
}

#[test]
fn a_bill_below_zero_rounds_and_is_taxed_like_any_other() {
    let fee = "fees: [{id: a, amount: 31.005, when: advance}],";
    let mut world = world("EUR", VAT, fee, "1");
    world.bill("2026-01-01");
    world.apply("subscriptions: [{id: s, customer: c, plan: p, from: 2026-01-01, until: 2026-01-16}]", "2026-01-10");
    let bill = world.bill("2026-02-01");
    // 31.005 × 16 ÷ 31 = 16.00258…; 3.0405 tax.
    assert_eq!((bill.net.0, bill.taxes[0].amount.0, bill.total.0), (-1_600, -304, -1_904));
    assert_eq!(world.accounts.values().next().unwrap().residue, amount("31.005").add(bill_exact(&world)).unwrap());
}

/// The last bill's exact net, less what both bills print.
fn bill_exact(world: &World) -> pricing::number::Amount {
    let bill = world.bills.last().unwrap();
    let printed: i64 = world.bills.iter().map(|bill| bill.net.0).sum();
    bill.net_exact.sub(bill.currency.exact(pricing::number::Minor(printed)).unwrap()).unwrap()
}

#[test]
fn credits_go_in_the_order_of_their_end_promotional_before_tax_and_prepaid_after() {
    let mut world = world(
        "EUR",
        &format!(
            "{VAT}\ncredits:\n  - {{id: later, customer: c, kind: promotional, amount: 50.00, currency: EUR, expires: 2026-12-31}}\n  \
             - {{id: soon, customer: c, kind: promotional, amount: 3.00, currency: EUR, expires: 2026-03-31}}\n  \
             - {{id: paid, customer: c, kind: prepaid, amount: 10.00, currency: EUR}}\n"
        ),
        "",
        "0.01",
    );
    world.used("2026-01-10", "u", "1000");
    world.used("2026-02-10", "u", "6000");
    world.bill("2026-02-01");
    assert_eq!(
        world.lines(),
        ["usage | u | 10 | 10.00", "credit | credit soon | -3 | -3.00", "credit | credit later | -7 | -7.00"]
    );
    assert_eq!(world.bills[0].due.0, 0);
    let bill = world.bill("2026-03-01");
    // 60 − 43 = 17, with tax 20.23, 10 of it paid.
    assert_eq!((bill.net.0, bill.total.0, bill.prepaid.0, bill.due.0), (1_700, 2_023, 1_000, 1_023));
}
