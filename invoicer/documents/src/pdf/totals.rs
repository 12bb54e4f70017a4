//! What it comes to, how it is taxed and how it is paid: kept together on one page.

use super::sheet::{BODY, BODY_BOLD, INK, LABEL, LEFT, MUTED, Mark, RIGHT, SMALL, Sheets, TINT};
use super::table;
use super::text::{Run, Weight, wrap};
use crate::invoice::{Invoice, Kind, Tax};
use pricing::number::{Amount, Minor};

/// Where the sums begin.
const SUMS: f32 = 312.0;
const LEADING: f32 = 15.0;
/// How wide all that stands beside them is.
const BESIDE: f32 = SUMS - LEFT - 34.0;
/// Between a label and its sum, at least.
const GAP: f32 = 8.0;

pub(super) fn draw(invoice: &Invoice, sheets: &mut Sheets) {
    let notes = notes(invoice);
    let (sentence, payment) = (sentence(invoice), payment(invoice));
    let rows = sums(invoice);
    let count = |length: usize| f32::from(u16::try_from(length).unwrap_or(u16::MAX));
    let own = (count(rows.len()) * LEADING + 36.0)
        .max(count(sentence.len()) * 12.0 + count(payment.iter().map(|(_, value)| value.len()).sum()) * 13.0 + 12.0);
    if !sheets.has_room(own + count(notes.len()) * 10.5 + 24.0) {
        table::turn(invoice, invoice.net, sheets);
    }
    let top = sheets.y + 24.0;
    beside(sentence, payment, top, sheets);
    sheets.y = top;
    for (label, amount) in &rows {
        let end = sheets.text(SUMS, sheets.y, label, (Weight::Regular, 9.0, MUTED));
        let run = Run::fitted(amount, BODY.0, BODY.1, RIGHT - 10.0 - end - GAP);
        sheets.run(RIGHT - 10.0 - run.width, sheets.y, run, INK);
        sheets.y += LEADING;
    }
    due(invoice, sheets);
    sheets.y = top + own;
    for note in notes {
        sheets.run(LEFT, sheets.y, note, MUTED);
        sheets.y += 10.5;
    }
}

/// The rows above the sum that is due.
fn sums(invoice: &Invoice) -> Vec<(String, String)> {
    let (words, language) = (invoice.language.words(), invoice.language);
    let money = |amount: Minor| language.number(&invoice.text(amount));
    let mut rows = vec![(words.net.to_owned(), money(invoice.net))];
    for tax in &invoice.taxes {
        rows.push((format!("{} {} {}", name(invoice, tax), words.on, money(tax.net)), money(tax.amount)));
    }
    rows.push((words.total.to_owned(), money(invoice.total)));
    if invoice.prepaid.0 != 0 {
        rows.push((words.prepaid.to_owned(), money(Minor(-invoice.prepaid.0))));
    }
    rows
}

/// `VAT 19%`, or why there is none.
fn name(invoice: &Invoice, tax: &Tax) -> String {
    let words = invoice.language.words();
    let none = match tax.category.as_str() {
        "AE" => words.reverse_charge,
        "E" => words.exempt,
        "G" => words.export,
        "O" => words.outside,
        _ => return format!("{} {}", words.vat, invoice.language.percent(&tax.rate.percent())),
    };
    // The longest words leave no room for a sum beside them.
    Some(none).filter(|none| none.chars().count() <= 24).unwrap_or(words.vat).to_owned()
}

fn due(invoice: &Invoice, sheets: &mut Sheets) {
    let words = invoice.language.words();
    let label = if invoice.kind == Kind::Invoice { words.due } else { words.credited };
    let amount = format!("{} {}", invoice.language.number(&invoice.text(invoice.due)), invoice.currency);
    let (x, width) = (SUMS - 10.0, RIGHT - SUMS + 10.0);
    sheets.put(Mark::Area { x, y: sheets.y - 7.0, width, height: 28.0, color: TINT });
    let end = sheets.text(SUMS, sheets.y + 11.0, label, (Weight::SemiBold, 10.0, INK));
    let run = Run::fitted(&amount, Weight::SemiBold, 12.5, RIGHT - 10.0 - end - GAP);
    sheets.run(RIGHT - 10.0 - run.width, sheets.y + 11.5, run, INK);
    sheets.y += 36.0;
}

/// How it is paid: labels and what they say.
fn payment(invoice: &Invoice) -> Vec<(&'static str, Vec<Run>)> {
    let words = invoice.language.words();
    let seller = invoice.seller.as_ref();
    let is_due = invoice.kind == Kind::Invoice && invoice.due.0 > 0 && invoice.issue_date.is_some() && !invoice.test;
    let iban = seller.and_then(|seller| seller.iban.as_deref()).filter(|_| is_due);
    let Some(iban) = iban else { return Vec::new() };
    let compact: Vec<char> = iban.chars().filter(|c| !c.is_whitespace()).collect();
    let grouped: Vec<String> = compact.chunks(4).map(|four| four.iter().collect()).collect();
    let holder = seller.and_then(|seller| seller.name.clone());
    let bic = seller.and_then(|seller| seller.bic.clone());
    let rows = [
        (words.account_holder, holder),
        ("IBAN", Some(grouped.join(" "))),
        ("BIC", bic),
        (words.payment_reference, invoice.number.clone()),
    ];
    let wrapped = |value: String| wrap(&value, BODY.0, BODY.1, BESIDE - 80.0);
    rows.into_iter().filter_map(|(label, value)| Some((label, wrapped(value?)))).collect()
}

/// Whether it is to be paid, and when.
fn sentence(invoice: &Invoice) -> Vec<Run> {
    let language = invoice.language;
    let sentence = if invoice.issue_date.is_none() {
        language.words().draft_note.to_owned()
    } else if invoice.test {
        language.words().test_note.to_owned()
    } else if invoice.kind == Kind::Invoice && invoice.due.0 <= 0 {
        language.words().nothing_due.to_owned()
    } else {
        language.terms(invoice.kind, invoice.due_date)
    };
    let runs = wrap(&sentence, BODY_BOLD.0, BODY_BOLD.1, BESIDE);
    runs.into_iter().filter(|run| run.width > 0.0).collect()
}

fn beside(sentence: Vec<Run>, rows: Vec<(&'static str, Vec<Run>)>, top: f32, sheets: &mut Sheets) {
    let mut y = top;
    for run in sentence {
        sheets.run(LEFT, y, run, INK);
        y += 12.0;
    }
    y += 4.0;
    for (label, value) in rows {
        sheets.run(LEFT, y, Run::fitted(label, LABEL.0, LABEL.1, 74.0), LABEL.2);
        for run in value {
            sheets.run(LEFT + 80.0, y, run, BODY.2);
            y += 13.0;
        }
    }
}

/// What the law wants said: reasons for no tax, the tax in the seller's own currency.
fn notes(invoice: &Invoice) -> Vec<Run> {
    let (words, language) = (invoice.language.words(), invoice.language);
    let mut notes = Vec::new();
    for tax in &invoice.taxes {
        let own = match tax.category.as_str() {
            "AE" => words.reverse_charge,
            "E" => words.exempt,
            "G" => words.export,
            "O" => words.outside,
            _ => continue,
        };
        let stated = tax.reason.as_deref().filter(|stated| *stated != own);
        let stated = stated.map(|stated| format!(" ({stated})")).unwrap_or_default();
        notes.push(format!("{}: {own}{stated}.", tax.category));
    }
    if let Some(own) = &invoice.tax_currency
        && let (Some(rate), Some(tax)) = (own.rate, own.tax)
    {
        notes.push(format!(
            "{} {} {} {}: {} {}",
            words.tax_in,
            own.currency,
            words.at_rate,
            language.number(&rate.to_string()),
            language.number(&own.currency.text(tax)),
            own.currency
        ));
    }
    if let (Some((number, _)), Some(reason)) = (&invoice.corrects, &invoice.reason) {
        notes.push(format!("{} {number}: {reason}", words.corrects));
    }
    let exact = |amount: Amount| language.number(&invoice.currency.exact_text(amount).replace(',', ""));
    for credit in invoice.credits.iter().filter(|credit| credit.used != Amount::ZERO) {
        let left = credit.left.map(|left| format!(", {} {}", exact(left), words.left)).unwrap_or_default();
        let used = exact(credit.used.max(credit.used.neg()));
        notes.push(format!("{} {}: {used} {}{left}", words.credit, credit.id, words.used));
    }
    let (weight, size, _) = SMALL;
    notes.iter().flat_map(|note| wrap(note, weight, size, RIGHT - LEFT)).collect()
}
