//! What can be done with a bill, as far as its state and the person's roles allow.

use super::read::Bill;
use crate::fields::link;
use crate::html;
use crate::session::Token;
use crate::visit::Visit;
use invoicer::people::Role;
use maud::{Markup, html};
use pricing::number::grouped;
use pricing::period::Zone;

/// All of it.
pub(super) fn buttons(visit: &Visit, bill: &Bill) -> Markup {
    let summary = &bill.summary;
    let may = visit.has(&[Role::Finance]);
    let is_open = ["draft", "held", "approved"].contains(&summary.status.as_str());
    html! {
        div.actions {
            @if may && is_open { (open(visit, bill)) }
            @if may && summary.status == "issued" { (issued(visit, bill)) }
            @for format in FORMATS { a.button href=(export(bill, format, "")) { (format.to_uppercase()) } }
            @if !summary.number.is_empty() { (electronic(bill)) }
            a.button href=(link("/console/bill/check", &[("id", &summary.id)])) { "Recompute" }
            @if visit.has(&[Role::Audit]) {
                a.button href=(link("/console/audit", &[("collection", "bill"), ("document", &summary.id)])) { "History" }
            }
        }
    }
}

/// What every document can be downloaded as.
const FORMATS: [&str; 3] = ["pdf", "csv", "json"];
/// What one that is issued can be sent as: its rules and its syntax.
const ELECTRONIC: [(&str, &str, &str); 5] = [
    ("en16931", "ubl", "EN 16931, UBL"),
    ("en16931", "cii", "EN 16931, CII"),
    ("peppol", "ubl", "Peppol BIS Billing 3.0, UBL"),
    ("xrechnung", "ubl", "XRechnung 3.0, UBL"),
    ("xrechnung", "cii", "XRechnung 3.0, CII"),
];

fn export(bill: &Bill, format: &str, rules: &str) -> String {
    link("/console/bill/export", &[("id", name(bill)), ("format", format), ("rules", rules)])
}

/// The choice of electronic forms.
fn electronic(bill: &Bill) -> Markup {
    html! {
        details.act {
            summary { "E-invoice" }
            ul {
                @for (rules, format, name) in ELECTRONIC { li { a href=(export(bill, format, rules)) { (name) } } }
                li.fine { "What one asks for and this document does not say is listed, with the key of the catalog that gives it to later ones." }
            }
        }
    }
}

/// Before it is issued.
fn open(visit: &Visit, bill: &Bill) -> Markup {
    let summary = &bill.summary;
    let digest = html! { input type="hidden" name="digest" value=(bill.answer.digest); };
    let release = html! { input type="hidden" name="release" value="yes"; };
    html! {
        @if !bill.answer.digest.is_empty() && summary.approved_by.is_empty() {
            (button(visit, bill, "Approve", "approve", &digest))
        }
        (button(visit, bill, "Issue now", "issue", &digest))
        @if summary.status == "held" {
            (button(visit, bill, "Release", "hold", &release))
            (form(visit, bill, "Waive parked events", "waive", &reason()))
        } @else {
            (form(visit, bill, "Hold", "hold", &reason()))
        }
    }
}

/// Once it is issued.
fn issued(visit: &Visit, bill: &Bill) -> Markup {
    let summary = &bill.summary;
    let is_credit_note = !summary.corrects.is_empty();
    let is_settled = summary.left.trim_matches(['0', '.', '-']).is_empty();
    html! {
        @if !is_settled { (form(visit, bill, "Record a payment", "pay", &payment(visit, bill))) }
        @if !is_credit_note {
            (form(visit, bill, "Credit", "credit", &credit(bill)))
            @if !is_settled { (form(visit, bill, "Write off", "write-off", &reason())) }
            (form(visit, bill, "Void", "void", &html! {
                p.fine { "A credit note over all that is left, and the bill is a draft again, held." }
                (reason())
            }))
        }
    }
}

pub(super) fn reason() -> Markup {
    html! { label { "Reason: who decided it, and why" input name="reason" required maxlength="500"; } }
}

fn payment(visit: &Visit, bill: &Bill) -> Markup {
    let today = Zone::utc().date(visit.guest.console.services().log_time());
    let (left, currency) = (bill.summary.left.trim_start_matches('-'), &bill.summary.currency);
    html! {
        (once())
        label { "Amount in " (currency) input name="amount" inputmode="decimal" required value=(left); }
        label { "Day" input name="date" required pattern="[0-9]{4}-[0-9]{2}-[0-9]{2}" value=(today); }
        label { "Reference, as the bank has it" input name="reference" maxlength="200"; }
    }
}

fn credit(bill: &Bill) -> Markup {
    html! {
        (once())
        (reason())
        label { "Amount with tax, spread over the taxes" input name="amount" inputmode="decimal"; }
        fieldset {
            legend { "Or lines: all of each, or an amount before tax" }
            @for (index, line) in bill.document.lines.iter().enumerate() {
                div.line {
                    label.check { input type="checkbox" name="line" value=(index + 1); " " (line.description) " · " (grouped(&line.amount)) }
                    input name={ "amount-" (index + 1) } inputmode="decimal" size="8" aria-label={ "Amount of line " (index + 1) };
                }
            }
        }
    }
}

/// Names what is sent, so that sent twice it happens once.
fn once() -> Markup {
    let name: String = Token::new().form().chars().take(20).collect();
    html! { input type="hidden" name="once" value={ "console-" (name) }; }
}

/// A button that does it at once.
fn button(visit: &Visit, bill: &Bill, label: &str, path: &str, fields: &Markup) -> Markup {
    let is_first = ["Approve"].contains(&label);
    html! {
        form method="post" action={ "/console/bill/" (path) } {
            (html::token(visit))
            input type="hidden" name="id" value=(bill.summary.id);
            (fields)
            button.main[is_first] { (label) }
        }
    }
}

/// A button that first asks.
pub(super) fn form(visit: &Visit, bill: &Bill, label: &str, path: &str, fields: &Markup) -> Markup {
    html! {
        details.act {
            summary { (label) }
            form method="post" action={ "/console/bill/" (path) } {
                (html::token(visit))
                input type="hidden" name="id" value=(name(bill));
                (fields)
                button.main { (label) }
            }
        }
    }
}

/// Its number once it has one: later bills of the same id are others.
fn name(bill: &Bill) -> &str {
    if bill.summary.number.is_empty() { &bill.summary.id } else { &bill.summary.number }
}
