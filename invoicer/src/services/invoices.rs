//! `InvoiceService`: bills and invoices.

use super::access::Granted;
use super::export::Form;
use super::{Services, page, problem, words};
use crate::ledger::{self, BasisPeriod, Filter, Invoice, Status as BillStatus, Stored, StoredBill};
use pricing::bill::Kind as LineKind;
use pricing::catalog::Kind;
use pricing::id::{SubscriptionId, TenantId};
use pricing::period::Period;
use pricing::time::Instant;
use proto::code::Code;
use proto::status::Problem;
use proto::v1;
use proto::v1::invoice_service_server::InvoiceService;
use std::collections::BTreeSet;
use storage::keyring::Scope;
use tonic::{Request, Response, Status, async_trait};

/// Bills that are looked through at once.
const EARLIER: usize = 20;

#[async_trait]
impl InvoiceService for Services {
    async fn list(
        &self,
        request: Request<v1::ListInvoicesRequest>,
    ) -> Result<Response<v1::ListInvoicesResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let asked = request.into_inner();
        let size = page::size(asked.page_size)?;
        let customer = (!asked.customer.is_empty()).then(|| ("customer".to_owned(), asked.customer.clone()));
        let status = status_filter(&asked.status)?.map(|status| ("status".to_owned(), status.word().to_owned()));
        let filter = Filter {
            tags: customer.into_iter().chain(status).collect(),
            after: page::after(&asked.page_token)?,
            ..Filter::default()
        };
        let bills = self.ledger.list::<StoredBill>(Some(&tenant), &filter, size + 1).await;
        let mut bills = bills.map_err(|error| problem::ledger(&error))?;
        if bills.is_empty() && !asked.customer.is_empty() {
            self.must_know(&tenant, Kind::Customer, &asked.customer).await?;
        }
        let next_page_token = page::cut(&mut bills, size, |bill| bill.id.clone());
        let invoices = bills.into_iter().map(|bill| summary(bill.id, &bill.value)).collect();
        Ok(Response::new(v1::ListInvoicesResponse { invoices, next_page_token }))
    }

    async fn get(&self, request: Request<v1::GetInvoiceRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let bill = self.bill(&tenant, &request.into_inner().id).await?;
        self.answer(&tenant, bill).await
    }

    async fn export(&self, request: Request<v1::ExportRequest>) -> Result<Response<v1::ExportResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let asked = request.into_inner();
        let form = Form::read(&asked.format, &asked.customization)?;
        let bill = self.bill(&tenant, &asked.id).await?;
        let source = match self.invoice(&tenant, &bill.value).await? {
            Some(invoice) => invoice.canonical,
            None => {
                let status = bill.value.status.word();
                let message = format!("bill {} is {status}; only issued ones are exported", bill.id);
                return Err(Problem::conflict(Code::NotIssued, message).into());
            }
        };
        let content = form.render(source).await?;
        Ok(Response::new(v1::ExportResponse { content, media_type: form.media_type().to_owned() }))
    }

    async fn issue(&self, request: Request<v1::GetInvoiceRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let bill = self.bill(&tenant, &request.into_inner().id).await?;
        self.closer.issue(&tenant, &bill.id, &caller.key).await.map_err(|error| problem::close(&error))?;
        let bill = self.bill(&tenant, &bill.id).await?;
        self.answer(&tenant, bill).await
    }

    async fn waive(&self, request: Request<v1::WaiveRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = request.into_inner();
        if asked.reason.trim().is_empty() {
            return Err(
                Problem::invalid(Code::ReasonMissing, "a waiver needs a reason: who decided it, and why").into()
            );
        }
        let bill = self.bill(&tenant, &asked.id).await?;
        let waived = self.closer.waive(&tenant, &bill.id, &asked.reason, &caller.key).await;
        waived.map_err(|error| problem::close(&error))?;
        let bill = self.bill(&tenant, &bill.id).await?;
        self.answer(&tenant, bill).await
    }

    async fn check(&self, request: Request<v1::CheckRequest>) -> Result<Response<v1::CheckResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Read).await?;
        let id = request.into_inner().id;
        let report = if id.is_empty() {
            // The log is everybody's: a tenant's own key has its tenant's invoices checked.
            self.check.all(&tenant, caller.tenant.is_none()).await
        } else {
            let bill = self.bill(&tenant, &id).await?;
            self.check.one(&tenant, &bill.id).await
        };
        let report = report.map_err(|error| problem::close(&error))?;
        Ok(Response::new(v1::CheckResponse {
            records: report.records,
            charges: report.charges,
            invoices: report.invoices,
            findings: report.findings,
        }))
    }
}

// === impl Services ===

impl Services {
    /// A bill by number or id.
    async fn bill(&self, tenant: &TenantId, id: &str) -> Result<Stored<StoredBill>, Problem> {
        let read = |error: ledger::Error| problem::ledger(&error);
        if let Some(bill) = self.ledger.get::<StoredBill>(Some(tenant), id).await.map_err(read)? {
            return Ok(bill);
        }
        let filter = Filter { tags: vec![("number".to_owned(), id.to_owned())], ..Filter::default() };
        let mut found = self.ledger.list::<StoredBill>(Some(tenant), &filter, 1).await.map_err(read)?;
        found.pop().ok_or_else(|| {
            Problem::not_found(
                Code::InvoiceNotFound,
                format!("there is no bill or invoice '{id}'; see `farthing invoices list`"),
            )
        })
    }

    /// The document of an issued bill.
    async fn invoice(&self, tenant: &TenantId, bill: &StoredBill) -> Result<Option<Invoice>, Problem> {
        let Some(number) = &bill.number else { return Ok(None) };
        let invoice =
            self.ledger.get::<Invoice>(Some(tenant), number).await.map_err(|error| problem::ledger(&error))?;
        Ok(invoice.map(|invoice| invoice.value))
    }

    /// The periods that a bill's document adjusts, each with what the last bill before that was made from it.
    async fn adjusted(
        &self,
        tenant: &TenantId,
        bill: &Stored<StoredBill>,
        document: &str,
    ) -> Result<Vec<v1::AdjustedPeriod>, Problem> {
        let mut adjusted = Vec::new();
        let mut open = adjustments(document)?;
        let chain = format!("{}/{}/", bill.value.customer, bill.value.currency);
        let mut filter =
            Filter { prefix: Some(chain), after: Some(bill.id.clone()), descending: true, ..Filter::default() };
        while !open.is_empty() {
            let earlier = self.ledger.list::<StoredBill>(Some(tenant), &filter, EARLIER).await;
            let earlier = earlier.map_err(|error| problem::ledger(&error))?;
            let Some(last) = earlier.last() else { break };
            filter.after = Some(last.id.clone());
            for bill in &earlier {
                let Some(before) = self.invoice(tenant, &bill.value).await? else { continue };
                open.retain(|(subscription, start)| {
                    let same = |period: &&BasisPeriod| (&period.subscription, period.start) == (subscription, *start);
                    let Some(found) = before.basis.periods.iter().find(same) else { return true };
                    adjusted.push(v1::AdjustedPeriod {
                        subscription: subscription.to_string(),
                        start: Some(words::timestamp(*start)),
                        from_offset: found.offset.0 + 1,
                    });
                    false
                });
            }
        }
        Ok(adjusted)
    }

    async fn answer(
        &self,
        tenant: &TenantId,
        bill: Stored<StoredBill>,
    ) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let mut answer = v1::GetInvoiceResponse::default();
        match self.invoice(tenant, &bill.value).await? {
            Some(invoice) => {
                answer.issued = Some(words::timestamp(invoice.issued));
                answer.due_date = invoice.due_date.clone().unwrap_or_default();
                answer.test = invoice.test;
                answer.document = invoice.canonical;
            }
            None => {
                answer.document = open_document(&bill)?;
                answer.test = self.publisher.is_test_clock();
            }
        }
        answer.adjusted = self.adjusted(tenant, &bill, &answer.document).await?;
        answer.summary = Some(summary(bill.id, &bill.value));
        Ok(Response::new(answer))
    }
}

/// What of a document tells which periods it adjusts.
#[derive(serde::Deserialize)]
struct Adjusting {
    lines: Vec<AdjustingLine>,
}

#[derive(serde::Deserialize)]
struct AdjustingLine {
    kind: LineKind,
    subscription: Option<SubscriptionId>,
    period: Option<Period>,
}

/// The periods of a document's lines of late usage.
fn adjustments(document: &str) -> Result<BTreeSet<(SubscriptionId, Instant)>, Problem> {
    if !document.contains(r#""kind":"adjustment""#) {
        return Ok(BTreeSet::new());
    }
    let document: Adjusting = serde_json::from_str(document)
        .map_err(|error| Problem::internal(Code::BooksDamaged, format!("a document cannot be read: {error}")))?;
    let late = document.lines.into_iter().filter(|line| line.kind == LineKind::Adjustment);
    Ok(late.filter_map(|line| Some((line.subscription?, line.period?.start))).collect())
}

/// The document of a bill that is not issued, with the status that the bill has by now.
fn open_document(bill: &Stored<StoredBill>) -> Result<String, Problem> {
    let status = bill.value.status.word();
    let Some(document) = &bill.value.document else {
        let reason = bill.value.reason.as_deref().unwrap_or("it could not be prepared");
        return Err(Problem::conflict(
            Code::NoDocument,
            format!("bill {} is {status}, without a document: {reason}", bill.id),
        ));
    };
    // The first is the document's own: only the id and the number stand before it, and quotes in texts are escaped.
    Ok(document.replacen(r#""status":"draft""#, &format!(r#""status":"{status}""#), 1))
}

fn summary(id: String, bill: &StoredBill) -> v1::InvoiceSummary {
    v1::InvoiceSummary {
        id,
        number: bill.number.clone().unwrap_or_default(),
        status: bill.status.word().to_owned(),
        customer: bill.customer.to_string(),
        currency: bill.currency.to_string(),
        start: Some(words::timestamp(bill.period.start)),
        end: Some(words::timestamp(bill.period.end)),
        total: bill.total.clone(),
        reason: bill.reason.clone().unwrap_or_default(),
        test: bill.test,
    }
}

fn status_filter(text: &str) -> Result<Option<BillStatus>, Problem> {
    let known = [BillStatus::Draft, BillStatus::Held, BillStatus::Issued, BillStatus::Skipped];
    match known.into_iter().find(|status| status.word() == text) {
        None if !text.is_empty() => {
            let allowed = "draft, held, issued or skipped";
            let message = format!("'{text}' is no status; send {allowed}");
            Err(Problem::invalid(Code::StatusUnknown, message).with_violation("status", allowed))
        }
        found => Ok(found),
    }
}
