//! `ExportService`: what bookkeeping takes over.

use super::access::Granted;
use super::{Services, problem};
use crate::ledger::{Filter, Invoice, Receivable, StoredBill, What};
use documents::journal::{self, Booked, Entry};
use documents::{focus, register};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use pricing::id::TenantId;
use proto::code::Code;
use proto::status::Problem;
use proto::v1;
use proto::v1::export_service_server::ExportService;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use storage::keyring::Scope;
use tonic::{Request, Response, Status, async_trait};

/// Documents read at once.
const PAGE: usize = 500;
/// The longest export: what one answer holds.
const BYTES_MAX: usize = 60 << 20;
const CSV: &str = "text/csv; charset=utf-8; header=present";

/// What a file is to hold.
struct Asked {
    /// First and last day.
    days: RangeInclusive<Date>,
    /// Only of this one; empty: of all.
    customer: String,
}

#[async_trait]
impl ExportService for Services {
    async fn invoices(&self, request: Request<v1::ExportDaysRequest>) -> Result<Response<v1::ExportResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = Asked::read(request.get_ref())?;
        let receivables = self.receivables(&tenant).await?;
        let mut out = register::COLUMNS.to_owned();
        let each = |number: &str, invoice: Invoice| {
            let left = receivables.get(number).map(Receivable::left);
            let (issued, row) = register::row(&invoice.canonical, left).map_err(|error| problem::document(&error))?;
            if asked.days.contains(&issued) {
                out.push_str(&row);
            }
            fits(&out)
        };
        self.each_invoice(&tenant, &asked.customer, each).await?;
        Ok(answer(out, CSV))
    }

    async fn lines(&self, request: Request<v1::ExportDaysRequest>) -> Result<Response<v1::ExportResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = Asked::read(request.get_ref())?;
        let mut out = String::new();
        let each = |_: &str, invoice: Invoice| {
            let (issued, _) = register::row(&invoice.canonical, None).map_err(|error| problem::document(&error))?;
            if asked.days.contains(&issued) {
                let csv = documents::csv(&invoice.canonical).map_err(|error| problem::document(&error))?;
                // The row of names stands there once.
                let rows = csv.split_once("\r\n").map_or("", |(_, rows)| rows);
                out.push_str(if out.is_empty() { &csv } else { rows });
            }
            fits(&out)
        };
        self.each_invoice(&tenant, &asked.customer, each).await?;
        Ok(answer(out, CSV))
    }

    async fn focus(&self, request: Request<v1::ExportDaysRequest>) -> Result<Response<v1::ExportResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = Asked::read(request.get_ref())?;
        let mut out = focus::header();
        let each = |_: &str, invoice: Invoice| {
            let rows = focus::rows(&invoice.canonical, tenant.as_str());
            let (issued, rows) = rows.map_err(|error| problem::document(&error))?;
            if asked.days.contains(&issued) {
                out.push_str(&rows);
            }
            fits(&out)
        };
        self.each_invoice(&tenant, &asked.customer, each).await?;
        Ok(answer(out, CSV))
    }

    async fn journal(&self, request: Request<v1::ExportDaysRequest>) -> Result<Response<v1::ExportResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let asked = Asked::read(request.get_ref())?;
        let mut transactions = self.transactions(&tenant, &asked.customer).await?;
        transactions.retain(|transaction| asked.days.contains(&transaction.date));
        let out = journal::write(transactions);
        fits(&out)?;
        Ok(answer(out, "text/plain; charset=utf-8"))
    }

    async fn accrual(
        &self,
        request: Request<v1::ExportAccrualRequest>,
    ) -> Result<Response<v1::ExportResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Finance).await?;
        let day = date("day", &request.get_ref().day)?;
        let transactions = self.transactions(&tenant, "").await?;
        Ok(answer(register::accrual(day, &journal::accrual(&transactions, day)), CSV))
    }
}

// === impl Services ===

impl Services {
    /// All issued documents (of a customer, where one is named), by their number, each once and few at a time.
    async fn each_invoice(
        &self,
        tenant: &TenantId,
        customer: &str,
        mut each: impl FnMut(&str, Invoice) -> Result<(), Problem> + Send,
    ) -> Result<(), Problem> {
        let mut filter = Filter::default();
        loop {
            let page = self.ledger.list::<Invoice>(Some(tenant), &filter, PAGE).await;
            let page = page.map_err(|error| problem::ledger(&error))?;
            let is_last = page.len() < PAGE;
            filter.after = page.last().map(|invoice| invoice.id.clone());
            let is_asked = |invoice: &Invoice| customer.is_empty() || invoice.bill.split('/').next() == Some(customer);
            for invoice in page.into_iter().filter(|invoice| is_asked(&invoice.value)) {
                each(&invoice.id, invoice.value)?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// What is left of each issued document, by its number.
    async fn receivables(&self, tenant: &TenantId) -> Result<BTreeMap<String, Receivable>, Problem> {
        let (mut filter, mut found) = (Filter::default(), BTreeMap::new());
        loop {
            let page = self.ledger.list::<StoredBill>(Some(tenant), &filter, PAGE).await;
            let page = page.map_err(|error| problem::ledger(&error))?;
            let is_last = page.len() < PAGE;
            filter.after = page.last().map(|bill| bill.id.clone());
            found.extend(page.into_iter().filter_map(|bill| bill.value.number.zip(bill.value.receivable)));
            if is_last {
                return Ok(found);
            }
        }
    }

    async fn transactions(&self, tenant: &TenantId, customer: &str) -> Result<Vec<journal::Transaction>, Problem> {
        let receivables = self.receivables(tenant).await?;
        let mut transactions = Vec::new();
        let each = |number: &str, invoice: Invoice| {
            let entries = receivables.get(number).map(entries).unwrap_or_default();
            let booked = Booked { canonical: invoice.canonical, entries };
            transactions.extend(journal::transactions(&booked).map_err(|error| problem::document(&error))?);
            Ok(())
        };
        self.each_invoice(tenant, customer, each).await?;
        Ok(transactions)
    }
}

/// What was paid or written off. A credit note that is set off changes nothing: both stand in one account.
fn entries(receivable: &Receivable) -> Vec<Entry> {
    let booked = |entry: &crate::ledger::Entry, of: &crate::ledger::Entry, is_reversal: bool| {
        let recorded = entry.recorded.to_jiff().to_zoned(TimeZone::UTC).date();
        let (what, date) = match &of.what {
            What::Payment { date, .. } => (journal::What::Payment, date.parse().unwrap_or(recorded)),
            What::WriteOff { .. } => (journal::What::WriteOff, recorded),
            What::Credit { .. } | What::Reversal { .. } => return None,
        };
        Some(Entry { date: if is_reversal { recorded } else { date }, what, amount: of.amount, is_reversal })
    };
    let one = |entry: &crate::ledger::Entry| match &entry.what {
        What::Reversal { of, .. } => booked(entry, receivable.entry(of)?, true),
        _ => booked(entry, entry, false),
    };
    receivable.entries.iter().filter_map(one).collect()
}

// === impl Asked ===

impl Asked {
    fn read(asked: &v1::ExportDaysRequest) -> Result<Self, Problem> {
        let from = if asked.from.is_empty() { Date::MIN } else { date("from", &asked.from)? };
        let until = if asked.until.is_empty() { Date::MAX } else { date("until", &asked.until)? };
        Ok(Self { days: from..=until, customer: asked.customer.clone() })
    }
}

fn date(field: &str, text: &str) -> Result<Date, Problem> {
    text.parse().map_err(|_| {
        Problem::invalid(Code::TimeInvalid, format!("{field} is '{text}'; send a day such as 2026-01-31"))
            .with_violation(field, "a day such as 2026-01-31")
    })
}

fn fits(out: &str) -> Result<(), Problem> {
    if out.len() <= BYTES_MAX {
        return Ok(());
    }
    Err(Problem::conflict(
        Code::AnswerTooLarge,
        format!("the file has more than {BYTES_MAX} bytes; ask for fewer days"),
    ))
}

fn answer(content: String, media_type: &str) -> Response<v1::ExportResponse> {
    Response::new(v1::ExportResponse { content: content.into_bytes(), media_type: media_type.to_owned() })
}
