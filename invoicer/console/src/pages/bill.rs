//! One bill: the document as its customer will see it, what differs from the last one, and what can be done.

// What was read, the document, what differs, what can be done.
mod difference;
mod doing;
mod payments;
mod read;
mod sheet;

pub(crate) use read::{Bill, read};
pub(crate) use sheet::each;

use crate::answer::Answer;
use crate::html::{self, Page, Section};
use crate::visit::{Fault, Visit};
use crate::words;
use maud::{Markup, html};

pub(crate) async fn page(visit: Visit) -> Result<Answer, Fault> {
    let bill = read(&visit, visit.query("id")).await?;
    let is_credit_note = !bill.summary.corrects.is_empty();
    // What is given back is no bill that could be more or less than another.
    let difference = if is_credit_note { None } else { Some(difference::shown(&visit, &bill).await?) };
    let Bill { summary, document, .. } = &bill;
    let zone = document.zone();
    let body = html! {
        h1 { (document.title()) " " (html::state(summary)) @if summary.test { " " span.badge.test { "Test" } } }
        p.says {
            a href=(html::customer_link(&summary.customer)) { (document.buyer_name()) }
            " · " (zone.stretch(document.period)) " (" (zone.name()) ")"
            @if let Some(issued) = words::instant(bill.answer.issued.as_ref()) { " · issued " (zone.date(issued)) }
            @if !bill.answer.due_date.is_empty() { " · due " (bill.answer.due_date) }
            @if !summary.approved_by.is_empty() { " · approved by " (summary.approved_by) }
        }
        @if summary.status == "held" { p.notice { strong { "Why it is held: " } (summary.reason) } }
        @else if !summary.reason.is_empty() && !is_credit_note { p.notice { (summary.reason) } }
        (related(&bill))
        (doing::buttons(&visit, &bill))
        (sheet::sheet(&bill))
        (payments::entries(&visit, &bill))
        @if let Some(difference) = &difference { (difference) }
    };
    Ok(Page::new(document.title(), Section::Bills, body).into())
}

/// Documents that put this one right, or that it puts right.
fn related(bill: &Bill) -> Markup {
    let Bill { answer, summary, .. } = bill;
    let to = |number: &String| html! { a href=(html::bill_link(number)) { (number) } " " };
    html! {
        @if !summary.corrects.is_empty() { p { "A credit note on " (to(&summary.corrects)) } }
        @if !answer.credit_notes.is_empty() { p { "Credit notes: " @for number in &answer.credit_notes { (to(number)) } } }
        @if !answer.voided.is_empty() { p { "Voided before: " @for number in &answer.voided { (to(number)) } } }
    }
}
