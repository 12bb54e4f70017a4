//! The calls of a finance team.

use super::{System, call};
use proto::v1;
use proto::v1::invoice_service_server::InvoiceService as _;
use tonic::{Response, Status};

impl System {
    pub(crate) async fn approve(&self, id: &str, digest: &str) -> Result<v1::InvoiceSummary, Status> {
        let request = v1::ApproveRequest { id: id.to_owned(), digest: digest.to_owned() };
        summary(self.invoicer.services().approve(call("acme-finance", request)).await)
    }

    pub(crate) async fn hold(&self, id: &str, reason: &str) -> Result<v1::InvoiceSummary, Status> {
        let request = v1::HoldRequest { id: id.to_owned(), reason: reason.to_owned(), release: reason.is_empty() };
        summary(self.invoicer.services().hold(call("acme-finance", request)).await)
    }

    pub(crate) async fn pay(&self, id: &str, amount: &str, reference: &str) -> Result<v1::InvoiceSummary, Status> {
        let request = v1::PayRequest {
            id: id.to_owned(),
            amount: amount.to_owned(),
            date: "2026-02-10".to_owned(),
            reference: reference.to_owned(),
            payment_id: String::new(),
        };
        summary(self.invoicer.services().pay(call("acme-finance", request)).await)
    }

    pub(crate) async fn write_off(&self, id: &str) -> Result<v1::InvoiceSummary, Status> {
        let request = v1::WriteOffRequest { id: id.to_owned(), reason: "insolvent".to_owned() };
        summary(self.invoicer.services().write_off(call("acme-finance", request)).await)
    }

    pub(crate) async fn reverse(&self, id: &str, entry: &str) -> Result<v1::InvoiceSummary, Status> {
        let (id, entry, reason) = (id.to_owned(), entry.to_owned(), "came back".to_owned());
        let request = v1::ReverseRequest { id, entry, reason };
        summary(self.invoicer.services().reverse(call("acme-finance", request)).await)
    }

    pub(crate) async fn listed(&self, status: &str) -> Vec<String> {
        let request = v1::ListInvoicesRequest { status: status.to_owned(), page_size: 1, ..Default::default() };
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let request = v1::ListInvoicesRequest { page_token: token, ..request.clone() };
            let page = self.invoicer.services().list(call("acme-read", request)).await.unwrap().into_inner();
            all.extend(page.invoices.into_iter().map(|one| if one.number.is_empty() { one.id } else { one.number }));
            token = page.next_page_token;
            if token.is_empty() {
                return all;
            }
        }
    }

    pub(crate) async fn void(&self, number: &str) -> Result<v1::VoidResponse, Status> {
        let request = v1::VoidRequest { id: number.to_owned(), reason: "wrong address".to_owned() };
        self.invoicer.services().void(call("acme-finance", request)).await.map(Response::into_inner)
    }

    /// A credit note over lines, or where there are none over an amount.
    pub(crate) async fn credit(
        &self,
        number: &str,
        lines: &[(u32, &str)],
        amount: &str,
    ) -> Result<v1::GetInvoiceResponse, Status> {
        let line = |(line, amount): &(u32, &str)| v1::CreditLine { line: *line, amount: (*amount).to_owned() };
        let request = v1::CreditRequest {
            id: number.to_owned(),
            reason: "outage".to_owned(),
            lines: lines.iter().map(line).collect(),
            amount: amount.to_owned(),
            credit_id: String::new(),
        };
        self.invoicer.services().credit(call("acme-finance", request)).await.map(Response::into_inner)
    }

    /// Credits as `id used left status`.
    pub(crate) async fn credits(&self) -> Vec<String> {
        let request = v1::ListCreditsRequest::default();
        let listed = self.invoicer.services().list_credits(call("acme-read", request)).await.unwrap().into_inner();
        let text = |one: &v1::CreditSummary| format!("{} {} {} {}", one.id, one.used, one.left, one.status);
        listed.credits.iter().map(text).collect()
    }
}

fn summary(answer: Result<Response<v1::GetInvoiceResponse>, Status>) -> Result<v1::InvoiceSummary, Status> {
    answer.map(|answer| answer.into_inner().summary.unwrap())
}
