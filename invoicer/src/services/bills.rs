//! Bills by number or id, and as they are answered.

use super::asked::{self, Which};
use super::{Services, page, problem, words};
use crate::ledger::{
    self, BasisPeriod, Entry, Filter, Invoice, Receivable, Standing, Status as BillStatus, Stored, StoredBill, What,
    digest,
};
use pricing::bill::Kind as LineKind;
use pricing::id::{SubscriptionId, TenantId};
use pricing::period::Period;
use pricing::time::Instant;
use proto::code::Code;
use proto::status::Problem;
use proto::v1;
use std::collections::BTreeSet;
use tonic::{Response, Status};

/// Bills that are looked through at once.
const EARLIER: usize = 20;

// === impl Services ===

impl Services {
    /// The bills of a list: one more than its page holds, where there are more.
    pub(super) async fn listed(
        &self,
        tenant: &TenantId,
        asked: &v1::ListInvoicesRequest,
    ) -> Result<Vec<Stored<StoredBill>>, Problem> {
        let count_max = page::size(asked.page_size)? + 1;
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let which = asked::which(&asked.status)?;
        let customer = Some(&asked.customer).filter(|customer| !customer.is_empty());
        let mut tags: Vec<_> = customer.map(|customer| tag("customer", customer)).into_iter().collect();
        tags.extend(Some(&asked.month).filter(|month| !month.is_empty()).map(|month| tag("month", month)));
        tags.extend(which.map(|which| match which {
            Which::Status(status) => tag("status", status.word()),
            Which::Standing(standing @ (Standing::Paid | Standing::WrittenOff)) => tag("payment", standing.word()),
            // Which of them is overdue depends on the hour.
            Which::Standing(_) => tag("payment", "due"),
        }));
        let mut filter = Filter { tags, after: page::after(&asked.page_token)?, ..Filter::default() };
        let now = self.publisher.log_time();
        let fits = |bill: &Stored<StoredBill>| match which {
            Some(Which::Standing(standing)) => bill.value.standing(now) == Some(standing),
            _ => true,
        };
        let mut found = Vec::new();
        loop {
            let page = self.ledger.list::<StoredBill>(Some(tenant), &filter, count_max).await;
            let page = page.map_err(|error| problem::ledger(&error))?;
            let is_last = page.len() < count_max;
            filter.after = page.last().map(|bill| bill.id.clone());
            found.extend(page.into_iter().filter(fits));
            if is_last || found.len() >= count_max {
                found.truncate(count_max);
                return Ok(found);
            }
        }
    }

    /// A bill by number or id.
    pub(super) async fn bill(&self, tenant: &TenantId, id: &str) -> Result<Stored<StoredBill>, Problem> {
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
    pub(super) async fn invoice(&self, tenant: &TenantId, bill: &StoredBill) -> Result<Option<Invoice>, Problem> {
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
            let standing =
                |bill: &&Stored<StoredBill>| matches!(bill.value.status, BillStatus::Issued | BillStatus::Skipped);
            for bill in earlier.iter().filter(standing) {
                let issued = self.invoice(tenant, &bill.value).await?;
                let settled = issued.as_ref().map_or(&bill.value.periods, |issued| &issued.basis.periods);
                open.retain(|(subscription, start)| {
                    let same = |period: &&BasisPeriod| (&period.subscription, period.start) == (subscription, *start);
                    let Some(offset) = settled.iter().find(same).map(|period| period.offset) else { return true };
                    adjusted.push(v1::AdjustedPeriod {
                        subscription: subscription.to_string(),
                        start: Some(words::timestamp(*start)),
                        from_offset: offset.0 + 1,
                    });
                    false
                });
            }
        }
        Ok(adjusted)
    }

    pub(super) async fn answer(
        &self,
        tenant: &TenantId,
        bill: Stored<StoredBill>,
    ) -> Result<Response<v1::GetInvoiceResponse>, Status> {
        let mut answer = v1::GetInvoiceResponse::default();
        match self.invoice(tenant, &bill.value).await? {
            Some(invoice) => {
                answer.issued = Some(words::timestamp(invoice.issued));
                answer.due_date = invoice.due_date.clone().unwrap_or_default();
                let receivable = bill.value.receivable.clone().map_or_else(|| Receivable::of(&invoice), Ok);
                if let Ok(receivable) = receivable {
                    answer.entries =
                        receivable.entries.iter().map(|one| entry(&bill.value, &receivable, one)).collect();
                    answer.credit_notes = receivable.credit_notes.into_iter().map(|note| note.number).collect();
                }
                answer.test = invoice.test;
                answer.billed = invoice.basis.periods.iter().map(billed).collect();
                answer.document = invoice.canonical;
            }
            None => {
                answer.digest = bill.value.document.as_deref().map(digest).unwrap_or_default();
                answer.document = open_document(&bill)?;
                answer.test = self.publisher.is_test_clock();
            }
        }
        answer.adjusted = self.adjusted(tenant, &bill, &answer.document).await?;
        answer.voided.clone_from(&bill.value.voided);
        answer.summary = Some(summary(bill.id, &bill.value, self.publisher.log_time()));
        Ok(Response::new(answer))
    }
}

fn billed(period: &BasisPeriod) -> v1::BilledPeriod {
    v1::BilledPeriod {
        subscription: period.subscription.to_string(),
        start: Some(words::timestamp(period.start)),
        until_offset: period.offset.0 + 1,
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
pub(super) fn open_document(bill: &Stored<StoredBill>) -> Result<String, Problem> {
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

/// An entry on the wire.
fn entry(bill: &StoredBill, receivable: &Receivable, entry: &Entry) -> v1::Entry {
    let mut answer = v1::Entry {
        id: entry.id.clone(),
        kind: entry.what.word().to_owned(),
        amount: bill.currency.text(entry.amount),
        recorded: Some(words::timestamp(entry.recorded)),
        who: entry.who.clone(),
        reversed: receivable.is_reversed(&entry.id),
        ..v1::Entry::default()
    };
    match entry.what.clone() {
        What::Payment { date, reference } => (answer.date, answer.reference) = (date, reference),
        What::Credit { note } => answer.of = note,
        What::WriteOff { reason } => answer.reason = reason,
        What::Reversal { of, reason } => (answer.of, answer.reason) = (of, reason),
    }
    answer
}

/// A bill in a list, as it stands now.
pub(super) fn summary(id: String, bill: &StoredBill, now: Instant) -> v1::InvoiceSummary {
    let receivable = bill.receivable.as_ref();
    let left = receivable.filter(|_| bill.status == BillStatus::Issued).map(Receivable::left);
    let approved = bill.approved.as_ref().filter(|_| bill.status == BillStatus::Approved);
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
        payment: bill.standing(now).map(|standing| standing.word().to_owned()).unwrap_or_default(),
        left: left.map(|left| bill.currency.text(left)).unwrap_or_default(),
        due_date: receivable.and_then(|receivable| receivable.due_date.clone()).unwrap_or_default(),
        corrects: bill.corrects.clone().unwrap_or_default(),
        approved_by: approved.map(|approval| approval.who.clone()).unwrap_or_default(),
        digest: bill.document.as_deref().map(digest).unwrap_or_default(),
    }
}
