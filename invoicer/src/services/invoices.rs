//! `InvoiceService`: bills and invoices.

use super::access::Granted;
use super::bills::{open_document, summary};
use super::export::Form;
use super::{Services, asked, page, problem};
use crate::close::Payment;
use pricing::catalog::Kind;
use proto::v1;
use proto::v1::invoice_service_server::InvoiceService;
use storage::keyring::Scope;
use tonic::{Request, Response, Status, async_trait};

#[async_trait]
impl InvoiceService for Services {
    async fn list(
        &self,
        request: Request<v1::ListInvoicesRequest>,
    ) -> Result<Response<v1::ListInvoicesResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let asked = request.into_inner();
        let (mut bills, size) = (self.listed(&tenant, &asked).await?, page::size(asked.page_size)?);
        if bills.is_empty() && !asked.customer.is_empty() {
            self.must_know(&tenant, Kind::Customer, &asked.customer).await?;
        }
        let next_page_token = page::cut(&mut bills, size, |bill| bill.id.clone());
        let now = self.publisher.log_time();
        let invoices = bills.into_iter().map(|bill| summary(bill.id, &bill.value, now)).collect();
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
        let invoice = self.invoice(&tenant, &bill.value).await?;
        let canonical = invoice.map_or_else(|| open_document(&bill), |invoice| Ok(invoice.canonical))?;
        let content = self.rendered(&tenant, bill.value.number.as_deref(), canonical, form).await?;
        Ok(Response::new(v1::ExportResponse { content, media_type: form.media_type().to_owned() }))
    }

    async fn issue(&self, request: Request<v1::IssueRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = request.into_inner();
        let bill = self.bill(&tenant, &asked.id).await?;
        let issued = self.closer.issue(&tenant, &bill.id, seen(&asked.digest), &caller.key).await;
        issued.map_err(|error| problem::close(&error))?;
        let bill = self.bill(&tenant, &bill.id).await?;
        self.answer(&tenant, bill).await
    }

    async fn waive(&self, request: Request<v1::WaiveRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = request.into_inner();
        asked::reason("a waiver", &asked.reason)?;
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

    async fn approve(&self, request: Request<v1::ApproveRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = request.into_inner();
        let bill = self.bill(&tenant, &asked.id).await?;
        let approved = self.closer.approve(&tenant, &bill.id, seen(&asked.digest), &caller.key).await;
        approved.map_err(|error| problem::close(&error))?;
        let bill = self.bill(&tenant, &bill.id).await?;
        self.answer(&tenant, bill).await
    }

    async fn hold(&self, request: Request<v1::HoldRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = request.into_inner();
        let bill = self.bill(&tenant, &asked.id).await?;
        let done = if asked.release {
            self.closer.release(&tenant, &bill.id, &caller.key).await
        } else {
            asked::reason("a hold", &asked.reason)?;
            self.closer.hold(&tenant, &bill.id, &asked.reason, &caller.key).await
        };
        done.map_err(|error| problem::close(&error))?;
        let bill = self.bill(&tenant, &bill.id).await?;
        self.answer(&tenant, bill).await
    }

    async fn void(&self, request: Request<v1::VoidRequest>) -> Result<Response<v1::VoidResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = request.into_inner();
        asked::reason("a void", &asked.reason)?;
        self.bill(&tenant, &asked.id).await?;
        let voided = self.closer.void(&tenant, &asked.id, &asked.reason, &caller.key).await;
        let (note, draft) = voided.map_err(|error| problem::close(&error))?;
        let (note, draft) = (self.bill(&tenant, &note).await?, self.bill(&tenant, &draft).await?);
        let credit_note = Some(self.answer(&tenant, note).await?.into_inner());
        let draft = Some(summary(draft.id, &draft.value, self.publisher.log_time()));
        Ok(Response::new(v1::VoidResponse { credit_note, draft }))
    }

    async fn credit(&self, request: Request<v1::CreditRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = request.into_inner();
        asked::reason("a credit note", &asked.reason)?;
        let bill = self.bill(&tenant, &asked.id).await?;
        let ask = asked::credit(bill.value.currency, &asked)?;
        let name = asked::name("credit_id", asked.credit_id)?;
        let note = self.closer.credit(&tenant, &asked.id, &name, &ask, &asked.reason, &caller.key).await;
        let note = self.bill(&tenant, &note.map_err(|error| problem::close(&error))?).await?;
        self.answer(&tenant, note).await
    }

    async fn pay(&self, request: Request<v1::PayRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = request.into_inner();
        let bill = self.bill(&tenant, &asked.id).await?;
        let payment = Payment {
            amount: asked::money(bill.value.currency, "amount", &asked.amount)?,
            date: asked::date("date", &asked.date)?,
            reference: asked::name("reference", asked.reference)?,
            id: asked::name("payment_id", asked.payment_id)?,
        };
        let paid = self.closer.pay(&tenant, &asked.id, &payment, &caller.key).await;
        paid.map_err(|error| problem::close(&error))?;
        let bill = self.bill(&tenant, &bill.id).await?;
        self.answer(&tenant, bill).await
    }

    async fn write_off(
        &self,
        request: Request<v1::WriteOffRequest>,
    ) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = request.into_inner();
        asked::reason("a write-off", &asked.reason)?;
        let bill = self.bill(&tenant, &asked.id).await?;
        let done = self.closer.write_off(&tenant, &asked.id, &asked.reason, &caller.key).await;
        done.map_err(|error| problem::close(&error))?;
        let bill = self.bill(&tenant, &bill.id).await?;
        self.answer(&tenant, bill).await
    }

    async fn reverse(&self, request: Request<v1::ReverseRequest>) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let Granted { tenant, caller } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = request.into_inner();
        asked::reason("taking an entry back", &asked.reason)?;
        let bill = self.bill(&tenant, &asked.id).await?;
        let done = self.closer.reverse(&tenant, &asked.id, &asked.entry, &asked.reason, &caller.key).await;
        done.map_err(|error| problem::close(&error))?;
        let bill = self.bill(&tenant, &bill.id).await?;
        self.answer(&tenant, bill).await
    }

    async fn list_credits(
        &self,
        request: Request<v1::ListCreditsRequest>,
    ) -> Result<Response<v1::ListCreditsResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        Ok(Response::new(self.credits(&tenant, &request.into_inner()).await?))
    }
}

/// The draft that the caller saw; none: as it is.
fn seen(digest: &str) -> Option<&str> {
    Some(digest).filter(|digest| !digest.is_empty())
}
