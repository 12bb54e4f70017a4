//! A bill for people, within 100 columns.

use crate::failure::{Failure, Result};
use crate::local::{grouped, stretch};
use crate::output::Grid;
use pricing::currency::{Currency, Rounding};
use pricing::number::{Amount, Rate};
use proto::v1;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The width of the page.
const WIDTH: usize = 98;

/// A document, and what is known of it beside its own bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// Its JSON.
    pub(crate) document: String,
    /// When it was issued; empty before.
    issued: String,
    /// Until when it is to be paid; empty without terms.
    due_date: String,
    /// Why it is held; empty where it is not.
    reason: String,
    /// Names a draft by what it says; empty once it is issued.
    digest: String,
    test: bool,
    /// What was paid and set off.
    entries: Vec<v1::Entry>,
    /// What is left to pay, and how it stands; empty before it is issued.
    left: String,
    standing: String,
    is_voided: bool,
    /// Credit notes on it, and invoices of its bill that were voided before.
    credit_notes: Vec<String>,
    voided: Vec<String>,
    /// No bill: what one would be.
    preview: bool,
}

impl Shown {
    /// What a bill would be.
    pub(crate) fn preview(document: String, test: bool) -> Self {
        Self { document, test, preview: true, ..Self::default() }
    }
}

impl From<v1::GetInvoiceResponse> for Shown {
    fn from(answer: v1::GetInvoiceResponse) -> Self {
        let issued = crate::client::instant_text(answer.issued.as_ref());
        let v1::GetInvoiceResponse { summary, document, due_date, test, digest, entries, credit_notes, voided, .. } =
            answer;
        let summary = summary.unwrap_or_default();
        let (standing, is_voided) = (super::list::payment(&summary), summary.status == "voided");
        let v1::InvoiceSummary { reason, left, .. } = summary;
        Self {
            document,
            issued,
            due_date,
            reason,
            digest,
            test,
            entries,
            left,
            standing,
            is_voided,
            credit_notes,
            voided,
            preview: false,
        }
    }
}

/// The document as text.
///
/// # Errors
/// Refused when it is no document.
pub(crate) fn text(shown: &Shown) -> Result<String> {
    let document: Value = serde_json::from_str(&shown.document).map_err(Failure::refused)?;
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = head(&document, shown, &mut out);
    let apportioned = apportioned(&document);
    out.push_str(&lines(&document, &apportioned).text());
    out.push('\n');
    let _ = foot(&document, !apportioned.is_empty(), &mut out);
    let _ = since(&document, shown, &mut out);
    Ok(out)
}

/// At most ten decimals; `…` says that there are more, which JSON shows.
fn brief(number: &str) -> String {
    match number.split_once('.') {
        Some((whole, decimals)) if decimals.len() > 10 => {
            format!("{}.{}…", grouped(whole), decimals.get(..10).unwrap_or_default())
        }
        _ => grouped(number),
    }
}

fn head(document: &Value, shown: &Shown, out: &mut String) -> std::fmt::Result {
    let number = field(document, "number");
    let title = match number.as_str() {
        "" if shown.preview => "PREVIEW".to_owned(),
        "" => "Draft".to_owned(),
        number if field(document, "total").starts_with('-') => format!("Credit note {number}"),
        number => format!("Invoice {number}"),
    };
    // The document's own bytes never tell that it was voided.
    let status = if shown.is_voided { "voided".to_owned() } else { field(document, "status") };
    let status = if shown.preview { String::new() } else { status.to_uppercase() };
    let marks = [if shown.test { "TEST" } else { "" }, &status].into_iter().filter(|mark| !mark.is_empty());
    let marks = marks.collect::<Vec<_>>().join(" · ");
    let (period, zone) = (document.get("period").unwrap_or(&Value::Null), zone(document));
    writeln!(out, "{}", "━".repeat(WIDTH))?;
    let title = format!(" {title}{marks:>width$}", width = (WIDTH - 2).saturating_sub(title.chars().count()));
    writeln!(out, "{}", title.trim_end())?;
    writeln!(out, " {}", field(document, "id"))?;
    writeln!(out, " {}", buyer(document))?;
    let (start, end) = (field(period, "start"), field(period, "end"));
    let mut dates = format!("{} ({zone})", stretch(&start, &end, &zone));
    if !shown.issued.is_empty() {
        let issued = crate::local::local(&shown.issued, &zone);
        dates.push_str(&format!(" · issued {}", issued.get(..10).unwrap_or(&issued)));
    }
    if !shown.due_date.is_empty() {
        dates.push_str(&format!(" · due {}", shown.due_date));
    }
    writeln!(out, " {dates}")?;
    if !shown.reason.is_empty() {
        wrap(&format!("Reason: {}", shown.reason), out)?;
    }
    if !shown.digest.is_empty() {
        writeln!(out, " Digest {}", shown.digest)?;
    }
    writeln!(out, "{}", "━".repeat(WIDTH))
}

/// A text in lines of the page.
pub(super) fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let _ = wrap(text, &mut out);
    out.truncate(out.trim_end().len());
    out
}

/// The same, into a text.
fn wrap(text: &str, out: &mut String) -> std::fmt::Result {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH - 2 {
            writeln!(out, " {line}")?;
            line.clear();
        }
        let blank = if line.is_empty() { "" } else { " " };
        line.push_str(&format!("{blank}{word}"));
    }
    writeln!(out, " {line}")
}

/// The customer: name, id, address and VAT number, as far as they are known.
fn buyer(document: &Value) -> String {
    let (id, buyer) = (field(document, "customer"), document.get("buyer").unwrap_or(&Value::Null));
    let name = field(buyer, "name");
    let address = buyer.get("address").unwrap_or(&Value::Null);
    let town = [field(address, "postcode"), field(address, "city")].join(" ");
    let parts = [
        if name.is_empty() { format!("Customer {id}") } else { format!("{name} ({id})") },
        field(address, "street"),
        town.trim().to_owned(),
        field(address, "country"),
        Some(field(buyer, "vat_id")).filter(|id| !id.is_empty()).map(|id| format!("VAT ID {id}")).unwrap_or_default(),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// In whose dates the bill is read.
pub(crate) fn zone(document: &Value) -> String {
    Some(field(document, "time_zone")).filter(|zone| !zone.is_empty()).unwrap_or_else(|| "UTC".to_owned())
}

fn lines(document: &Value, apportioned: &BTreeSet<usize>) -> Grid {
    let mut grid = Grid::page(&["DESCRIPTION", ">QUANTITY", ">EACH", ">EXACT", ">AMOUNT"]);
    let lines = of(document, "lines");
    let several = lines.iter().map(|line| field(line, "subscription")).collect::<BTreeSet<_>>().len() > 1;
    let mut heading = String::new();
    for (index, line) in lines.iter().enumerate() {
        let subscription = field(line, "subscription");
        if several && !subscription.is_empty() && subscription != heading {
            grid.row([format!("Subscription {subscription}").as_str(), "", "", "", ""]);
            heading = subscription;
        }
        let description = match field(line, "description") {
            text if text.is_empty() => [field(line, "kind"), field(line, "price")].join(" "),
            text => text,
        };
        let per = field(line, "per");
        let each = match brief(&field(line, "each")) {
            each if per.is_empty() || per == "1" => each,
            each => format!("{each} / {}", grouped(&per)),
        };
        let mark = if apportioned.contains(&index) { " *" } else { "" };
        grid.row([
            description,
            brief(&field(line, "quantity")),
            each,
            brief(&field(line, "amount_exact")),
            format!("{}{mark}", grouped(&field(line, "amount"))),
        ]);
    }
    grid
}

/// The lines that are printed otherwise than each would be rounded alone.
fn apportioned(document: &Value) -> BTreeSet<usize> {
    let Ok(currency) = Currency::new(&field(document, "currency")) else { return BTreeSet::new() };
    let differs = |line: &Value| {
        let alone = field(line, "amount_exact").parse::<Amount>().ok();
        let alone = alone.and_then(|exact| currency.round(exact, Rounding::HalfAway).ok());
        field(line, "kind") != "rounding" && alone.is_some_and(|alone| currency.text(alone) != field(line, "amount"))
    };
    of(document, "lines").iter().enumerate().filter(|(_, line)| differs(line)).map(|(index, _)| index).collect()
}

fn foot(document: &Value, apportioned: bool, out: &mut String) -> std::fmt::Result {
    let currency = field(document, "currency");
    writeln!(out, "{}", "─".repeat(WIDTH))?;
    let mut row = |name: &str, amount: &str| {
        writeln!(out, "{name:>width$} {amount:>16} {currency}", width = WIDTH - 22, amount = grouped(amount))
    };
    row(&format!("Net (exact {})", brief(&field(document, "net_exact"))), &field(document, "net"))?;
    for tax in of(document, "taxes") {
        row(&format!("{} on {}", tax_name(tax), grouped(&field(tax, "net"))), &field(tax, "tax"))?;
    }
    row("Total", &field(document, "total"))?;
    if !is_zero(&field(document, "prepaid")) {
        row("Prepaid", &field(document, "prepaid"))?;
        row("Due", &field(document, "due"))?;
    }
    for tax in of(document, "taxes") {
        let reason = field(tax, "reason");
        if !reason.is_empty() {
            writeln!(out, " {}: {reason}", tax_name(tax))?;
        }
    }
    if apportioned {
        writeln!(out, " * One minor unit more or less than the exact amount rounds to: the lines add up to the net.")?;
    }
    let residue = field(document, "rounding_residue");
    if !is_zero(&residue) {
        writeln!(out, " Rounded off and carried on the customer's rounding account: {}", brief(&residue))?;
    }
    Ok(())
}

/// What the customer has left of its credits, and what came since the document was issued.
fn since(document: &Value, shown: &Shown, out: &mut String) -> std::fmt::Result {
    let currency = field(document, "currency");
    for credit in of(document, "credits") {
        let (id, kind, used) = (field(credit, "id"), field(credit, "kind"), field(credit, "used"));
        let left = field(credit, "left");
        let left = if left.is_empty() { String::new() } else { format!(", {} left", grouped(&left)) };
        let what = if used.starts_with('-') { "given back" } else { "used here" };
        writeln!(out, " Credit {id} ({kind}): {} {what}{left}", grouped(used.trim_start_matches('-')))?;
    }
    if !shown.voided.is_empty() {
        writeln!(out, " Voided before: {}", shown.voided.join(", "))?;
    }
    if !shown.credit_notes.is_empty() {
        wrap(&format!("Credit notes: {}", shown.credit_notes.join(", ")), out)?;
    }
    for entry in &shown.entries {
        let amount = format!("{} {currency}", grouped(&entry.amount));
        let words = match entry.kind.as_str() {
            "payment" => format!("{}: {amount} paid {}", entry.date, entry.reference),
            "credit" => format!("{amount} set off by credit note {}", entry.of),
            "write_off" => format!("{amount} written off: {}", entry.reason),
            _ => format!("'{}' taken back: {}", entry.of, entry.reason),
        };
        let mark = if entry.reversed { " (taken back)" } else { "" };
        wrap(&format!("{}{mark} [{}]", words.trim_end(), entry.id), out)?;
    }
    if !shown.left.is_empty() && (!shown.entries.is_empty() || is_zero(&shown.left)) {
        writeln!(out, " Left: {} {currency}, {}", grouped(&shown.left), shown.standing)?;
    }
    Ok(())
}

/// `VAT 19% (S)`: what the category's code of EN 16931 means.
fn tax_name(tax: &Value) -> String {
    let (category, rate) = (field(tax, "category"), field(tax, "rate"));
    let words = match category.as_str() {
        "AE" => "Reverse charge, no VAT",
        "E" => "Exempt from VAT",
        "G" => "Export, no VAT",
        "O" => "Outside the scope of VAT",
        _ => return format!("VAT {} ({category})", rate.parse::<Rate>().map_or(rate, Rate::percent)),
    };
    format!("{words} ({category})")
}

fn is_zero(text: &str) -> bool {
    text.chars().all(|digit| matches!(digit, '0' | '.' | '-'))
}

/// The elements of a list; none where it is absent.
pub(crate) fn of<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A field as text; empty where it is absent.
pub(crate) fn field(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Shown, text};

    #[test]
    fn why_a_bill_is_held_stands_on_it_within_the_page() {
        let reason = "its total 1,000.00 USD differs from the last, 1.00 USD, ".repeat(4);
        let document = r#"{"id":"c/USD/2026-02-01T00:00:00Z","number":null,"status":"held","lines":[]}"#.to_owned();
        let held = Shown { document: document.clone(), reason, test: true, ..Shown::default() };
        let page = text(&held).unwrap();
        assert!(page.contains("TEST · HELD\n") && page.contains("\n Reason: its total 1,000.00 USD differs"), "{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
        let preview = text(&Shown::preview(document, false)).unwrap();
        assert!(preview.contains(" PREVIEW\n") && !preview.contains("HELD"), "{preview}");
    }
}
