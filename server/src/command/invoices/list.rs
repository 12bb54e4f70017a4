//! Bills as a list.

use super::word;
use crate::client::{Client, instant_text};
use crate::failure::Result;
use crate::local::grouped;
use crate::output::{self, Format, Grid};
use clap::ValueEnum;
use proto::v1;

/// Which bills.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Status {
    /// Made anew as usage changes, in review.
    Draft,
    /// A person said yes; a bill before it is not issued yet.
    Approved,
    /// Not issued before somebody says so, or the reason is gone.
    Held,
    /// With a number: invoices and credit notes.
    Issued,
    /// Nothing but zeros.
    Skipped,
    /// Taken back by a credit note.
    Voided,
    /// Issued; nothing is paid.
    Open,
    /// Issued; a part is paid.
    PartlyPaid,
    /// Issued; something is left after the due date.
    Overdue,
    /// Issued; nothing is left.
    Paid,
    /// Issued; what was left is not expected any more.
    WrittenOff,
}

/// A summary as JSON.
#[derive(serde::Serialize)]
struct Summary<'a> {
    id: &'a str,
    number: Option<&'a str>,
    status: &'a str,
    customer: &'a str,
    currency: &'a str,
    period: PeriodText,
    total: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    approved_by: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    corrects: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    payment: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    left: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    due_date: &'a str,
}

#[derive(serde::Serialize)]
struct PeriodText {
    start: String,
    end: String,
}

/// Prints them.
pub(super) async fn run(client: &Client, customer: Option<String>, status: Option<Status>, format: Format) -> Result {
    let status = status.map(|status| word(&status).replace('-', "_")).unwrap_or_default();
    let filtered = customer.is_some() || !status.is_empty();
    let invoices = client.every_invoice(&customer.unwrap_or_default(), &status).await?;
    if format.json {
        let invoices: Vec<Summary<'_>> = invoices.iter().map(summary).collect();
        return output::json(&serde_json::json!({"invoices": invoices}));
    }
    table(&invoices).print(if filtered { "No bill matches the filter." } else { "No bills yet." })?;
    for invoice in invoices.iter().filter(|invoice| !invoice.reason.is_empty()) {
        let name = if invoice.number.is_empty() { &invoice.id } else { &invoice.number };
        output::line(super::show::wrapped(&format!("{name} {}: {}", invoice.status, invoice.reason)))?;
    }
    Ok(())
}

/// The list as a table.
pub(crate) fn table(invoices: &[v1::InvoiceSummary]) -> Grid {
    let mut grid = Grid::new(&["NUMBER", "STATUS", ">TOTAL", "PAYMENT", "ID: CUSTOMER/CURRENCY/END"]);
    for invoice in invoices {
        let number = if invoice.number.is_empty() { "–" } else { &invoice.number };
        let total = format!("{} {}", grouped(&invoice.total), invoice.currency);
        grid.row([number, &invoice.status, &total, &payment(invoice), &invoice.id]);
    }
    grid
}

/// How far it is paid.
pub(super) fn payment(invoice: &v1::InvoiceSummary) -> String {
    let left = grouped(&invoice.left);
    match invoice.payment.as_str() {
        "" => "–".to_owned(),
        "partly_paid" => format!("{left} left"),
        "overdue" if invoice.left != invoice.total => format!("overdue, {left} left"),
        "written_off" => "written off".to_owned(),
        word => word.to_owned(),
    }
}

fn summary(invoice: &v1::InvoiceSummary) -> Summary<'_> {
    Summary {
        id: &invoice.id,
        number: Some(invoice.number.as_str()).filter(|number| !number.is_empty()),
        status: &invoice.status,
        customer: &invoice.customer,
        currency: &invoice.currency,
        period: PeriodText { start: instant_text(invoice.start.as_ref()), end: instant_text(invoice.end.as_ref()) },
        total: &invoice.total,
        reason: &invoice.reason,
        approved_by: &invoice.approved_by,
        corrects: &invoice.corrects,
        payment: &invoice.payment,
        left: &invoice.left,
        due_date: &invoice.due_date,
    }
}
