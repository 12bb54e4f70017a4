//! What is done with a bill. Each is one call of a service; what it refuses is shown as it says it.

use crate::answer::Answer;
use crate::html::{self, Page, Section};
use crate::visit::{Fault, Visit};
use crate::words;
use axum::http::StatusCode;
use maud::html;
use proto::v1;
use proto::v1::invoice_service_server::InvoiceService;
use storage::keyring::Scope;
use tonic::Request;

/// Back to the bill, which says what was done.
fn back(visit: &Visit, id: &str, done: &str) -> Answer {
    Answer::done(visit, "/console/bill", id, done)
}

pub(crate) async fn issue(visit: Visit) -> Result<Answer, Fault> {
    let id = visit.form("id");
    let asked = v1::IssueRequest { id: id.to_owned(), digest: visit.form("digest").to_owned() };
    InvoiceService::issue(&visit.acting(Scope::Finance), Request::new(asked)).await?;
    Ok(back(&visit, id, "issued"))
}

pub(crate) async fn approve(visit: Visit) -> Result<Answer, Fault> {
    let id = visit.form("id");
    let asked = v1::ApproveRequest { id: id.to_owned(), digest: visit.form("digest").to_owned() };
    InvoiceService::approve(&visit.acting(Scope::Finance), Request::new(asked)).await?;
    Ok(back(&visit, id, "approved"))
}

/// Holds, or lets go again.
pub(crate) async fn hold(visit: Visit) -> Result<Answer, Fault> {
    let (id, release) = (visit.form("id"), !visit.form("release").is_empty());
    let asked = v1::HoldRequest { id: id.to_owned(), reason: visit.form("reason").to_owned(), release };
    InvoiceService::hold(&visit.acting(Scope::Finance), Request::new(asked)).await?;
    Ok(back(&visit, id, if release { "released" } else { "held" }))
}

pub(crate) async fn pay(visit: Visit) -> Result<Answer, Fault> {
    let id = visit.form("id");
    let asked = v1::PayRequest {
        id: id.to_owned(),
        amount: visit.form("amount").to_owned(),
        date: visit.form("date").to_owned(),
        reference: visit.form("reference").to_owned(),
        payment_id: visit.form("once").to_owned(),
    };
    InvoiceService::pay(&visit.acting(Scope::Finance), Request::new(asked)).await?;
    Ok(back(&visit, id, "paid"))
}

pub(crate) async fn credit(visit: Visit) -> Result<Answer, Fault> {
    let id = visit.form("id");
    let line = |number: &str| {
        let line = number.parse().ok()?;
        Some(v1::CreditLine { line, amount: visit.form(&format!("amount-{number}")).to_owned() })
    };
    let asked = v1::CreditRequest {
        id: id.to_owned(),
        reason: visit.form("reason").to_owned(),
        lines: visit.guest.form.all("line").filter_map(line).collect(),
        amount: visit.form("amount").to_owned(),
        credit_id: visit.form("once").to_owned(),
    };
    let made = InvoiceService::credit(&visit.acting(Scope::Finance), Request::new(asked)).await?.into_inner();
    let number = made.summary.map(|note| note.number).unwrap_or_default();
    Ok(back(&visit, if number.is_empty() { id } else { &number }, "credited"))
}

pub(crate) async fn void(visit: Visit) -> Result<Answer, Fault> {
    let asked = v1::VoidRequest { id: visit.form("id").to_owned(), reason: visit.form("reason").to_owned() };
    InvoiceService::void(&visit.acting(Scope::Finance), Request::new(asked)).await?;
    Ok(back(&visit, visit.form("id"), "voided"))
}

pub(crate) async fn write_off(visit: Visit) -> Result<Answer, Fault> {
    let asked = v1::WriteOffRequest { id: visit.form("id").to_owned(), reason: visit.form("reason").to_owned() };
    InvoiceService::write_off(&visit.acting(Scope::Finance), Request::new(asked)).await?;
    Ok(back(&visit, visit.form("id"), "written-off"))
}

/// Takes a payment or a write-off back.
pub(crate) async fn reverse(visit: Visit) -> Result<Answer, Fault> {
    let asked = v1::ReverseRequest {
        id: visit.form("id").to_owned(),
        entry: visit.form("entry").to_owned(),
        reason: visit.form("reason").to_owned(),
    };
    InvoiceService::reverse(&visit.acting(Scope::Finance), Request::new(asked)).await?;
    Ok(back(&visit, visit.form("id"), "reversed"))
}

pub(crate) async fn waive(visit: Visit) -> Result<Answer, Fault> {
    let id = visit.form("id");
    let asked = v1::WaiveRequest { id: id.to_owned(), reason: visit.form("reason").to_owned() };
    InvoiceService::waive(&visit.acting(Scope::Finance), Request::new(asked)).await?;
    Ok(back(&visit, id, "waived"))
}

pub(crate) async fn export(visit: Visit) -> Result<Answer, Fault> {
    let (id, format, rules) = (visit.query("id"), visit.query("format"), visit.query("rules"));
    let asked = v1::ExportRequest { id: id.to_owned(), format: format.to_owned(), customization: rules.to_owned() };
    let answer = InvoiceService::export(&visit.reading(), Request::new(asked)).await?.into_inner();
    let name = if rules.is_empty() { format!("{id}.{format}") } else { format!("{id}-{rules}-{format}.xml") };
    Ok(Answer::File { name, media_type: answer.media_type, content: answer.content })
}

/// Recomputes a bill from charges and catalog.
pub(crate) async fn check(visit: Visit) -> Result<Answer, Fault> {
    let id = visit.query("id");
    if id.is_empty() {
        return Err(Fault::new(StatusCode::BAD_REQUEST, "Which bill? The link names none."));
    }
    let asked = Request::new(v1::CheckRequest { id: id.to_owned() });
    let report = InvoiceService::check(&visit.reading(), asked).await?.into_inner();
    let body = html! {
        h1 { "Recomputed" }
        p.says { a href=(html::bill_link(id)) { (id) } }
        @if report.findings.is_empty() {
            p.done {
                "All of it comes out again, to the last digit: "
                (words::counted(report.charges, "charge")) " of " (words::counted(report.records, "record")) " were added up."
            }
        } @else {
            p.notice role="alert" { (words::counted(report.findings.len(), "finding")) ":" }
            ul { @for finding in &report.findings { li { (finding) } } }
        }
    };
    Ok(Page::new("Recomputed", Section::Bills, body).into())
}
