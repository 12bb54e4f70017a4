//! What changed how much of an invoice or credit note is left to pay.

use super::doing::{form, reason};
use super::read::Bill;
use crate::html;
use crate::visit::Visit;
use crate::words;
use invoicer::people::Role;
use maud::{Markup, html};

/// Payments, credit notes, what was written off, and what took back what.
pub(super) fn entries(visit: &Visit, bill: &Bill) -> Markup {
    let currency = &bill.summary.currency;
    let entries = &bill.answer.entries;
    let zone = bill.document.zone();
    let content = html! {
        thead { tr { th scope="col" { "What" } th scope="col" { "Day" } th.n scope="col" { "Amount" } th scope="col" { "Reference or reason" } th scope="col" { "By" } th scope="col" { span.unseen { "Take back" } } } }
        tbody {
            @for entry in entries {
                tr {
                    td { (words::entry(&entry.kind)) @if entry.reversed { " " span.badge { "Taken back" } } }
                    @let recorded = words::instant(entry.recorded.as_ref()).map(|time| zone.date(time).to_string());
                    td { @if entry.date.is_empty() { (recorded.unwrap_or_default()) } @else { (entry.date) } }
                    td.n { (words::money(&entry.amount, currency)) }
                    td.id { (entry.reference) (entry.reason) @if entry.kind == "credit" { a href=(html::bill_link(&entry.of)) { (entry.of) } } }
                    td { (entry.who) }
                    td { @if visit.has(&[Role::Finance]) && !entry.reversed && ["payment", "write_off"].contains(&entry.kind.as_str()) {
                        (form(visit, bill, "Take back", "reverse", &html! { input type="hidden" name="entry" value=(entry.id); (reason()) }))
                    } }
                }
            }
        }
        tfoot { tr.sum { th scope="row" colspan="2" { "Left" } td.n { (words::money(&bill.summary.left, currency)) } td colspan="3" {} } }
    };
    html! {
        @if !entries.is_empty() {
            section aria-labelledby="title-entries" {
                h2 #title-entries { "Payments" }
                (html::table("Payments", &content))
            }
        }
    }
}
