//! Credit notes: whatever is asked for, in any order, an invoice never gives back more than it billed, and the rest of it
//! leaves nothing.

use crate::world::{World, check};
use pricing::bill::{Ask, Bill, Correction, DocumentKind, Issue, Issued, Refused, issued};
use pricing::number::Minor;
use proptest::prelude::*;

/// A bill of two taxes, with discounts (lines below zero), prepaid money and a gift; with tax in its prices or without.
fn invoice(included: bool, used: &[u32; 3]) -> World {
    let mut world = World::new(&format!(
        "meters: [{{id: m, event: e, aggregate: sum, value: v}}]\n\
         taxes: [{{id: vat19, category: S, rate: 19%}}, {{id: vat7, category: S, rate: 7%}}]\n\
         customers: [{{id: c, tax: vat19}}]\n\
         credits: [{{id: gift, customer: c, kind: promotional, amount: 0.55, currency: EUR}}, \
         {{id: money, customer: c, kind: prepaid, amount: 1.23, currency: EUR}}]\n\
         plans:\n  - id: pro\n    currency: EUR\n    every: month\n    tax_included: {included}\n    \
         discounts: [{{id: off, percent: 10%}}]\n    prices:\n      \
         - {{id: a, meter: m, per_unit: {{each: 0.0111}}}}\n      \
         - {{id: b, meter: m, tax: vat7, graduated: [{{up_to: 100, each: 0.037}}, {{each: 0.013}}]}}\n      \
         - {{id: c, meter: m, per_unit: {{each: 0.0005}}}}\n\
         subscriptions: [{{id: s, customer: c, plan: pro, from: 2026-01-01}}]\n",
    ));
    for (price, quantity) in ["a", "b", "c"].iter().zip(used) {
        world.used("2026-01-10", price, &quantity.to_string());
    }
    world.bill("2026-02-01");
    world
}

fn document(bill: &Bill, number: &str) -> Issued {
    let kind = if number == "1" { DocumentKind::Invoice } else { DocumentKind::CreditNote };
    let issue =
        Issue { kind, number, seller: None, issue_date: "2026-02-02", due_date: None, test: false, corrects: None };
    Issued::read(&issued(bill, &issue)).unwrap()
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let line = (1u32..9, prop::option::of((-300i64..3_000).prop_map(Minor)));
    prop_oneof![
        prop::collection::vec(line, 1..4).prop_map(Ask::Lines),
        (1i64..3_000).prop_map(|amount| Ask::Amount(Minor(amount))),
    ]
}

proptest! {
    #[test]
    fn never_more_than_what_is_left(
        included: bool,
        used in prop::array::uniform3(0u32..5_000),
        asks in prop::collection::vec(any_ask(), 0..6),
    ) {
        let world = invoice(included, &used);
        let bill = world.bills.last().unwrap();
        let original = document(bill, "1");
        prop_assert_eq!(&original.lines.len(), &bill.lines.len());
        let mut notes: Vec<Issued> = Vec::new();
        for ask in asks.into_iter().chain([Ask::Rest]) {
            let correction = Correction {
                invoice: &original, earlier: &notes, party: &bill.party, seller: None, ask: &ask, reason: "outage",
            };
            let left: i64 = original.total.0 + notes.iter().map(|note| note.total.0).sum::<i64>();
            let note = match correction.bill() {
                Ok(note) => note,
                Err(Refused::Number(error)) => panic!("{error}"),
                Err(refused) => {
                    // All that is left can always be given back, as long as there is something.
                    prop_assert!(ask != Ask::Rest || (left == 0 && !notes.is_empty()), "{refused}, {left} left");
                    if let Ask::Amount(amount) = ask {
                        prop_assert!(amount.0 > left.min(positive(&original, &notes)), "{refused}");
                    }
                    continue;
                }
            };
            check(&note);
            prop_assert!(note.total.0 <= 0 && -note.total.0 <= left, "{} of {left}", note.total.0);
            match &ask {
                Ask::Amount(amount) => prop_assert_eq!(note.total.0, -amount.0),
                Ask::Rest => {
                    prop_assert_eq!(note.total.0, -left);
                    prop_assert_eq!(note.prepaid.0, -original.prepaid.0.min(left));
                }
                Ask::Lines(lines) => prop_assert_eq!(lines.len(), note.lines.len()),
            }
            let note = document(&note, &(notes.len() + 2).to_string());
            notes.push(note);
            for total in &original.taxes {
                let same = |tax: &&pricing::bill::TaxTotal| tax.tax == total.tax;
                let net: i64 = notes.iter().flat_map(|note| &note.taxes).filter(same).map(|tax| tax.net.0).sum();
                let tax: i64 = notes.iter().flat_map(|note| &note.taxes).filter(same).map(|tax| tax.amount.0).sum();
                let within = |back: i64, billed: i64| (back <= 0) == (billed >= 0) && back.abs() <= billed.abs() || back == 0;
                prop_assert!(within(net, total.net.0) && within(tax, total.amount.0), "{net} {tax} of {total:?}");
                if ask == Ask::Rest {
                    prop_assert_eq!((net, tax), (-total.net.0, -total.amount.0));
                }
            }
        }
    }
}

/// What is left with tax of the taxes that come to more than nothing.
fn positive(original: &Issued, notes: &[Issued]) -> i64 {
    let mut sum = 0;
    for total in &original.taxes {
        let all = [original].into_iter().chain(notes).flat_map(|document| &document.taxes);
        let left: i64 = all.filter(|tax| tax.tax == total.tax).map(|tax| tax.net.0 + tax.amount.0).sum();
        sum += left.max(0);
    }
    sum
}
