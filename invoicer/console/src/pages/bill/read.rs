//! A bill with its document.

use crate::document::Document;
use crate::visit::{Fault, Visit};
use proto::v1;
use proto::v1::invoice_service_server::InvoiceService;
use tonic::Request;

/// A bill as it was read.
pub(crate) struct Bill {
    pub(crate) answer: v1::GetInvoiceResponse,
    pub(crate) summary: v1::InvoiceSummary,
    pub(crate) document: Document,
}

/// Reads a bill by number or id.
pub(crate) async fn read(visit: &Visit, id: &str) -> Result<Bill, Fault> {
    let asked = Request::new(v1::GetInvoiceRequest { id: id.to_owned() });
    let answer = InvoiceService::get(&visit.reading(), asked).await?.into_inner();
    let document = Document::read(&answer.document)?;
    let summary = answer.summary.clone().unwrap_or_default();
    Ok(Bill { answer, summary, document })
}
