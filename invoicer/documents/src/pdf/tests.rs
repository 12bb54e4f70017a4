//! Where things stand on pages: inside them, never over each other, with sums that carry on.

use super::sheet::{BOTTOM, HEIGHT, LEFT, Mark, RIGHT, Sheets};
use super::{Invoice, sheets};
use serde_json::json;

/// A document of so many lines, of which names, numbers and addresses are long.
fn document(language: &str, kind: &str, count: i64) -> Invoice {
    let sign = if kind == "credit_note" { "-" } else { "" };
    let cents = |cents: i64| format!("{sign}{}.{:02}", cents / 100, cents % 100);
    let amount = |at: i64| 100_007 + at * 12_345;
    let lines: Vec<_> = (0..count)
        .map(|at| {
            json!({"kind": "usage", "subscription": format!("s-{}", at / 40), "description":
                   format!("tokens (region={}): tier {}", "long-name-".repeat(usize::try_from(at % 13).unwrap()), at + 1),
                   "quantity": format!("{sign}123456789{at}.123456789"), "each": "0.000000000001234567", "per": "1000000",
                   "amount_exact": cents(amount(at)), "amount": cents(amount(at)), "tax": {"category": "AE", "rate": "0"}})
        })
        .collect();
    let net = cents((0..count).map(amount).sum());
    let name = "Gesellschaft für die Errechnung und Abrechnung sehr langer Namen mit beschränkter Haftung & Co. KG";
    let address = json!({"street": "Straße des Siebzehnten Junis 135, Hinterhaus, zweiter Aufgang, fünfter Stock links", "city":
                         "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch", "postcode": "LL61 5UJ", "country": "GB"});
    let json = json!({
        "id": "c/EUR/2026-02-01T00:00:00Z", "number": "ACME-2026-0000000000017", "status": "issued", "kind": kind,
        "issue_date": "2026-02-02", "due_date": "2026-02-16", "test": true, "customer": "c", "language": language,
        "corrects": {"number": "ACME-2026-0000000000016", "issue_date": "2026-01-02",
                     "reason": "outage of 3 January"}, "currency": "EUR",
        "period": {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
        "seller": {"name": name, "address": address, "vat_id": "GB123456789", "registration": "HRB 12345 B",
                   "contact": {"phone": "+49 30 1234567", "email": "billing@example.com"}, "iban": "DE02120300000000202051"},
        "buyer": {"name": name, "address": address, "vat_id": "GB987654321", "reference": "0123456789-".repeat(8)},
        "lines": lines, "net": net, "total": net, "prepaid": "0.00", "due": net,
        "taxes": [{"category": "AE", "rate": "0", "net": net, "tax": "0.00", "reason": "Reverse charge"}],
    });
    Invoice::read(&json.to_string()).unwrap()
}

/// All text of a page: where it begins, ends, and on which line.
fn texts(page: &[Mark]) -> Vec<(f32, f32, f32, &str)> {
    let text = |mark| match mark {
        &Mark::Text { x, y, ref run, .. } => Some((x, x + run.width, y, run.text.as_str())),
        _ => None,
    };
    page.iter().filter_map(text).filter(|(.., text)| !text.is_empty()).collect()
}

/// The amount on the line that begins with a label.
fn amount(page: &[Mark], label: &str) -> Option<String> {
    let texts = texts(page);
    let (_, _, y, _) = texts.iter().find(|(_, _, _, text)| *text == label)?;
    let last = texts.iter().filter(|(_, _, at, _)| at == y).max_by(|one, other| one.1.total_cmp(&other.1))?;
    Some(last.3.to_owned())
}

fn everything_has_its_place(sheets: &Sheets) {
    for page in &sheets.pages {
        let texts = texts(page);
        for (at, (start, end, y, text)) in texts.iter().enumerate() {
            assert!(LEFT - 0.1 <= *start && *end <= RIGHT + 0.1, "'{text}' goes from {start} to {end}");
            assert!(20.0 < *y && *y < HEIGHT - 20.0, "'{text}' stands at {y}");
            for (other_start, other_end, other_y, other) in texts.iter().skip(at + 1) {
                let apart = end <= other_start || other_end <= start || (y - other_y).abs() > 6.0;
                assert!(apart, "'{text}' and '{other}' stand over each other");
            }
        }
    }
}

#[test]
fn nothing_is_cut_off_or_written_over_and_sums_carry_on() {
    for (language, carried, brought, of) in [
        ("en", "Carried forward", "Brought forward", "of"),
        ("de", "Übertrag", "Übertrag", "von"),
        ("fr", "À reporter", "Report", "sur"),
    ] {
        for (kind, count) in
            [("invoice", 1), ("credit_note", 1), ("invoice", 27), ("invoice", 120), ("credit_note", 60)]
        {
            let invoice = document(language, kind, count);
            let sheets = sheets(&invoice, None);
            everything_has_its_place(&sheets);
            let pages = sheets.pages.len();
            assert_eq!(pages > 1, count > 20, "{count} lines fill {pages} pages");
            for (at, page) in sheets.pages.iter().enumerate() {
                let number = format!(" {} {of} {pages}", at + 1);
                assert!(texts(page).iter().any(|(.., text)| text.ends_with(&number)), "no '{number}'");
                let Some(next) = sheets.pages.get(at + 1) else { continue };
                let sum = texts(page).iter().filter(|(.., y, text)| *text == carried && *y > BOTTOM - 30.0).count();
                assert_eq!(sum, 1, "page {} ends with what it carries", at + 1);
                // What a page carries is written last; German says the same of what it brought.
                let below: Vec<Mark> = page
                    .iter()
                    .filter(|mark| matches!(mark, Mark::Text { y, .. } if *y > BOTTOM - 30.0))
                    .cloned()
                    .collect();
                assert_eq!(amount(&below, carried), amount(next, brought), "{language}: page {}", at + 1);
                assert!(
                    amount(next, brought).is_some_and(|amount| amount.ends_with(|last: char| last.is_ascii_digit()))
                );
            }
            let all: String = sheets.pages.iter().flat_map(|page| texts(page)).map(|(.., text)| text).collect();
            assert!(all.contains("outage of 3 January"), "why it corrects another one: {all}");
            for line in &invoice.lines {
                let amount = invoice.language.number(&invoice.text(line.amount));
                assert!(all.contains(&amount), "{amount} is missing");
            }
        }
    }
}
