//! The document as its customer will see it.

use super::read::Bill;
use crate::document::{Document, Line};
use crate::fields::link;
use crate::html;
use crate::words::{self, brief};
use maud::{Markup, html};
use pricing::number::grouped;

/// All of it.
pub(super) fn sheet(bill: &Bill) -> Markup {
    let document = &bill.document;
    let currency = &document.currency;
    html! {
        section.sheet aria-label="The document" {
            div.parties {
                div { (seller(document)) }
                div { (buyer(document)) }
                dl {
                    @if let Some(number) = &document.number { dt { "Number" } dd { (number) } }
                    @if let Some(corrects) = &document.corrects {
                        dt { "Corrects" }
                        dd { (corrects.number) @if !corrects.reason.is_empty() { br; small { (corrects.reason) } } }
                    }
                    @if let Some(date) = &document.issue_date { dt { "Date" } dd { (date) } }
                    dt { "Period" } dd { (document.zone().stretch(document.period)) }
                    @if let Some(date) = &document.due_date { dt { "Due" } dd { (date) } }
                }
            }
            (html::table("Lines", &lines(document)))
            table.totals {
                caption.unseen { "Totals" }
                tbody {
                    tr { th scope="row" { "Net" } td.n { (words::money(&document.net, currency)) } }
                    @for tax in &document.taxes {
                        tr {
                            th scope="row" { (tax.name()) " on " (grouped(&tax.net)) @if let Some(reason) = &tax.reason { br; small { (reason) } } }
                            td.n { (words::money(&tax.tax, currency)) }
                        }
                    }
                    tr.sum { th scope="row" { "Total" } td.n { (words::money(&document.total, currency)) } }
                    @if !document.prepaid.trim_matches(['0', '.']).is_empty() {
                        tr { th scope="row" { "Prepaid" } td.n { (words::money(&document.prepaid, currency)) } }
                        tr.sum { th scope="row" { "Due" } td.n { (words::money(&document.due, currency)) } }
                    }
                }
            }
        }
        p.fine {
            "Exact net " (brief(&document.net_exact)) " " (currency)
            "; rounded off and carried on the customer's account: " (brief(&document.rounding_residue))
        }
    }
}

fn seller(document: &Document) -> Markup {
    let Some(seller) = &document.seller else { return html! { p.says { "No seller is declared." } } };
    html! {
        strong { (seller.name.as_deref().unwrap_or_default()) }
        @for line in seller.address.lines() { br; (line) }
        @if let Some(id) = &seller.vat_id { br; "VAT ID " (id) }
        @if let Some(iban) = &seller.iban { br; "IBAN " (iban) }
    }
}

fn buyer(document: &Document) -> Markup {
    html! {
        span.label { "Billed to" } br;
        strong { (document.buyer_name()) }
        @if let Some(buyer) = &document.buyer {
            @for line in buyer.address.lines() { br; (line) }
            @if let Some(id) = &buyer.vat_id { br; "VAT ID " (id) }
        }
    }
}

fn lines(document: &Document) -> Markup {
    html! {
        thead { tr { th scope="col" { "Description" } th.n.wide scope="col" { "Quantity" } th.n.wide scope="col" { "Each" } th.n scope="col" { "Amount" } } }
        tbody {
            @for (index, line) in document.lines.iter().enumerate() {
                tr {
                    td { (described(document, index, line)) }
                    td.n.wide { (brief(line.quantity.as_deref().unwrap_or_default())) }
                    td.n.wide { (each(line)) }
                    td.n { (grouped(&line.amount)) }
                }
            }
        }
    }
}

/// What a line is, with the way to its events.
fn described(document: &Document, index: usize, line: &Line) -> Markup {
    let text = if line.description.is_empty() { &line.kind } else { &line.description };
    let to = link("/console/bill/line", &[("id", &document.id), ("line", &index.to_string())]);
    html! {
        @if line.opens() { a data-row href=(to) { (text) } } @else { (text) }
        @if let Some(quantity) = &line.quantity { small.narrow { (brief(quantity)) " × " (each(line)) } }
    }
}

/// The price of one, or of so many.
pub(crate) fn each(line: &Line) -> String {
    let each = brief(line.each.as_deref().unwrap_or_default());
    match line.per.as_deref() {
        None | Some("" | "1") => each,
        Some(per) => format!("{each} / {}", grouped(per)),
    }
}
