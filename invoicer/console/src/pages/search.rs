//! The field at the top: a bill by number or id, or a customer.

use crate::answer::Answer;
use crate::html::{self, Page, Section};
use crate::visit::{Fault, Visit};
use axum::http::StatusCode;
use invoicer::people::Role;
use maud::html;
use proto::v1;
use proto::v1::customer_service_server::CustomerService;
use proto::v1::invoice_service_server::InvoiceService;
use tonic::Request;

pub(crate) async fn page(visit: Visit) -> Result<Answer, Fault> {
    let wanted = visit.query("q");
    if visit.has(&[Role::Finance, Role::Audit]) {
        let asked = Request::new(v1::GetInvoiceRequest { id: wanted.to_owned() });
        match InvoiceService::get(&visit.reading(), asked).await.map_err(Fault::from) {
            Ok(_) => return Ok(Answer::Go(html::bill_link(wanted))),
            Err(fault) if fault.is_not_found() => {}
            Err(fault) => return Err(fault),
        }
    }
    let asked = v1::ListRequest { customer: wanted.to_owned(), ..Default::default() };
    let found = CustomerService::list(&visit.reading(), Request::new(asked)).await?.into_inner();
    if !found.entries.is_empty() && !wanted.is_empty() {
        return Ok(Answer::Go(html::customer_link(wanted)));
    }
    let body = html! {
        h1 { "Nothing found" }
        p.calm { "No bill has the number or id “" (wanted) "”, and no customer the id." }
    };
    Ok(Page::new("Nothing found", Section::None, body).into())
}

/// Where nothing is.
pub(crate) async fn nowhere(_: Visit) -> Result<Answer, Fault> {
    Err(Fault::new(StatusCode::NOT_FOUND, "Nothing is here."))
}
