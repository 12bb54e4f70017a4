//! The list of bills.

use crate::answer::Answer;
use crate::fields::link;
use crate::html::{self, Page, Section};
use crate::pages::{customers, export};
use crate::visit::{Fault, Visit};
use crate::words;
use axum::http::StatusCode;
use invoicer::people::Role;
use maud::{Markup, html};
use pricing::catalog::Entry;
use pricing::catalog::entity::Customer;
use pricing::period::{Period, Zone};
use proto::v1;
use proto::v1::invoice_service_server::InvoiceService;
use storage::keyring::Scope;
use tonic::Request;

const PATH: &str = "/console/bills";
/// Bills on a page.
const PAGE: u32 = 50;

/// What bills can be filtered by.
const STATUSES: [&str; 11] = [
    "draft",
    "approved",
    "held",
    "issued",
    "open",
    "partly_paid",
    "overdue",
    "paid",
    "written_off",
    "voided",
    "skipped",
];

pub(crate) async fn page(visit: Visit) -> Result<Answer, Fault> {
    let (status, customer, month) = (visit.query("status"), visit.query("customer"), visit.query("month"));
    let asked = v1::ListInvoicesRequest {
        status: status.to_owned(),
        customer: customer.to_owned(),
        month: month.to_owned(),
        page_size: PAGE,
        page_token: visit.query("page").to_owned(),
    };
    let (answer, notice) = match InvoiceService::list(&visit.reading(), Request::new(asked)).await {
        Ok(answer) => (answer.into_inner(), None),
        Err(refused) => {
            let fault = Fault::from(refused);
            if fault.status.is_server_error() {
                return Err(fault);
            }
            (v1::ListInvoicesResponse::default(), Some(fault.message))
        }
    };
    let known = customers::of(&visit, &answer.invoices).await?;
    let body = html! {
        h1 { "Bills" }
        (filter(status, customer, month))
        (export::form(customer))
        @if let Some(notice) = &notice { p.notice role="alert" { (notice) } }
        @if answer.invoices.is_empty() && notice.is_none() { p.calm { "No bills here." } }
        @if !answer.invoices.is_empty() { (listed(&visit, &answer.invoices, &known)) }
        (html::next(PATH, &[("status", status), ("customer", customer), ("month", month)], &answer.next_page_token))
    };
    Ok(Page::new("Bills", Section::Bills, body).into())
}

fn filter(status: &str, customer: &str, month: &str) -> Markup {
    html! {
        form.filter action=(PATH) {
            label { "Status"
                select name="status" {
                    option value="" { "All" }
                    @for known in STATUSES {
                        option value=(known) selected[known == status] { (words::status(known)) }
                    }
                }
            }
            label { "Customer" input name="customer" value=(customer) autocomplete="off"; }
            label { "Month" input name="month" value=(month) placeholder="2026-01" pattern="[0-9]{4}-[0-9]{2}" size="8"; }
            button { "Show" }
        }
    }
}

/// The list; where drafts stand in it that the person may approve, they can be chosen.
fn listed(visit: &Visit, bills: &[v1::InvoiceSummary], known: &customers::Known) -> Markup {
    if !visit.has(&[Role::Finance]) || !bills.iter().any(is_to_approve) {
        return table("Bills", bills, known);
    }
    html! {
        form method="post" action={ (PATH) "/approve" } {
            (html::token(visit))
            (rows("Bills", bills, known, true))
            div.actions { button { "Approve the chosen drafts" } }
        }
    }
}

/// A draft that a person can approve as it stands in the list.
fn is_to_approve(bill: &v1::InvoiceSummary) -> bool {
    !bill.digest.is_empty() && ["draft", "held"].contains(&bill.status.as_str())
}

/// Approves drafts as they stood in the list, each by itself.
pub(crate) async fn approve(visit: Visit) -> Result<Answer, Fault> {
    let chosen: Vec<(&str, &str)> = visit.guest.form.all("bill").filter_map(|bill| bill.split_once(' ')).collect();
    if chosen.is_empty() {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "No draft was chosen."));
    }
    let mut said = Vec::new();
    for (digest, id) in chosen {
        let asked = v1::ApproveRequest { id: id.to_owned(), digest: digest.to_owned() };
        let answer = InvoiceService::approve(&visit.acting(Scope::Finance), Request::new(asked)).await;
        said.push((id, answer.map(|answer| answer.into_inner().summary.unwrap_or_default()).map_err(Fault::from)));
    }
    let content = html! {
        thead { tr { th scope="col" { "Bill" } th scope="col" { "What came of it" } } }
        tbody {
            @for (id, said) in &said {
                tr {
                    td { a data-row href=(html::bill_link(id)) { (id) } }
                    td { @match said { Ok(bill) => { (html::state(bill)) " " (bill.number) } Err(fault) => { (fault.message) } } }
                }
            }
        }
    };
    let body = html! {
        h1 { "Approved" }
        p.says { "Each as it stood in the list; it is issued as soon as the customer's bills before it are." }
        (html::table("Approved", &content))
        p { a href=(link(PATH, &[("status", "draft")])) { "To the drafts" } }
    };
    Ok(Page::new("Approved", Section::Bills, body).into())
}

/// A table of bills, each with a way in.
pub(crate) fn table(label: &str, bills: &[v1::InvoiceSummary], known: &customers::Known) -> Markup {
    rows(label, bills, known, false)
}

fn rows(label: &str, bills: &[v1::InvoiceSummary], known: &customers::Known, can_choose: bool) -> Markup {
    let content = html! {
        thead {
            tr {
                @if can_choose { th scope="col" { span.unseen { "Choose" } } }
                th scope="col" { "Bill" } th scope="col" { "Customer" } th.wide scope="col" { "Period" }
                th.wide scope="col" { "Status" } th.n scope="col" { "Total" } th.n.wide scope="col" { "Left" }
            }
        }
        tbody {
            @for bill in bills {
                @let customer = known.get(&bill.customer);
                @let name = customer.and_then(|customer| customer.name.as_deref()).unwrap_or(&bill.customer);
                @let period = period(bill, customer);
                tr {
                    @if can_choose { td { (choice(bill)) } }
                    td.whole { a data-row href=(html::bill_link(bill_name(bill))) { (title(bill)) } span.narrow { (html::state(bill)) } }
                    td { (name) small.narrow { (period) } }
                    td.wide { (period) }
                    td.wide { (html::state(bill)) }
                    td.n { (words::money(&bill.total, &bill.currency)) }
                    td.n.wide { (left(bill)) }
                }
                @if !bill.reason.is_empty() {
                    tr.why { @if can_choose { td {} } td colspan="6" { (bill.reason) } }
                }
            }
        }
    };
    html::table(label, &content)
}

/// Names the draft and what it says.
fn choice(bill: &v1::InvoiceSummary) -> Markup {
    html! {
        @if is_to_approve(bill) {
            input type="checkbox" name="bill" value={ (bill.digest) " " (bill.id) } aria-label={ "Choose " (bill.id) };
        }
    }
}

/// In the days of its customer.
fn period(bill: &v1::InvoiceSummary, customer: Option<&Entry<Customer>>) -> String {
    let zone = customer.map_or_else(Zone::utc, |customer| customer.time_zone.clone());
    match (words::instant(bill.start.as_ref()), words::instant(bill.end.as_ref())) {
        (Some(start), Some(end)) => zone.stretch(Period { start, end }),
        _ => String::new(),
    }
}

/// What it is opened by: a number names one document for good.
fn bill_name(bill: &v1::InvoiceSummary) -> &str {
    if bill.number.is_empty() { &bill.id } else { &bill.number }
}

/// What is still to be paid; nothing where that is all or none of it.
fn left(bill: &v1::InvoiceSummary) -> String {
    let is_settled = bill.left.trim_matches(['0', '.', '-']).is_empty();
    if is_settled { String::new() } else { pricing::number::grouped(&bill.left) }
}

/// Its number; before it has one, what it is and whose.
fn title(bill: &v1::InvoiceSummary) -> Markup {
    html! {
        @if bill.number.is_empty() { (words::status(&bill.status)) span.unseen { " " (bill.customer) } }
        @else { (bill.number) }
    }
}
