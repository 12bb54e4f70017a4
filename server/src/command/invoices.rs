//! `farthing invoices`: list, show, issue, waive, export.

pub(crate) mod show;

use crate::arguments::{Connection, Format};
use crate::client::{Client, answer, instant_text};
use crate::failure::{Context, Failure, Result};
use crate::local::grouped;
use crate::output::{self, Grid};
use clap::{Args, Subcommand, ValueEnum};
use proto::v1;
use std::path::PathBuf;

pub(crate) use show::{Shown, text as document_text};

const AFTER: &str = "\
Examples:
  farthing invoices list --customer c-1
  farthing invoices show ACME-17                            by number
  farthing invoices show c-1/USD/2026-02-01T00:00:00Z      or by id: CUSTOMER/CURRENCY/END
  farthing invoices export ACME-17 --format ubl --customization xrechnung --output invoice.xml";

/// Lists, shows, issues, waives and exports bills.
#[derive(Debug, Args)]
#[command(after_help = AFTER, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists bills and invoices.
    List {
        /// Only this customer's.
        #[arg(long)]
        customer: Option<String>,
        /// Only drafts, held drafts, issued invoices, or bills of nothing but zeros, which are skipped.
        #[arg(long, value_enum)]
        status: Option<Status>,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows bills with their lines.
    Show {
        /// Numbers or ids.
        #[arg(value_name = "NUMBER|ID", required = true)]
        invoices: Vec<String>,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    /// Issues a draft now, without waiting for its review to end.
    Issue {
        /// The draft's id.
        #[arg(value_name = "NUMBER|ID")]
        invoice: String,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lets a bill go although events of its period are parked; they stay parked.
    Waive {
        /// The draft's id.
        #[arg(value_name = "NUMBER|ID")]
        invoice: String,
        /// Why, for the auditor.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    /// Writes a bill to a file or standard output.
    Export {
        /// Number or id.
        #[arg(value_name = "NUMBER|ID")]
        invoice: String,
        /// As what: EN 16931 UBL, the canonical JSON, or one CSV row for each line.
        #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
        format: ExportFormat,
        /// Of UBL: the rules that it follows.
        #[arg(long, value_enum, default_value_t = Customization::En16931)]
        customization: Customization,
        /// Where to; standard output without it.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    Draft,
    Held,
    Issued,
    Skipped,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ExportFormat {
    Ubl,
    Json,
    Csv,
}

/// Which rules UBL follows beside EN 16931 itself.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Customization {
    En16931,
    Peppol,
    Xrechnung,
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
}

#[derive(serde::Serialize)]
struct PeriodText {
    start: String,
    end: String,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    match arguments.action {
        Action::List { customer, status, format, connection } => {
            list(&Client::connect(&connection).await?, customer, status, format).await
        }
        Action::Show { invoices, format, connection } => {
            let client = Client::connect(&connection).await?;
            let mut documents = Vec::new();
            for id in invoices {
                documents.push(answer(client.invoices().get(v1::GetInvoiceRequest { id }).await)?);
            }
            print_documents(documents, format)
        }
        Action::Issue { invoice, format, connection } => {
            let request = v1::GetInvoiceRequest { id: invoice };
            let issued = answer(Client::connect(&connection).await?.invoices().issue(request).await)?;
            report("issued", issued, format)
        }
        Action::Waive { invoice, reason, format, connection } => {
            let request = v1::WaiveRequest { id: invoice, reason };
            let waived = answer(Client::connect(&connection).await?.invoices().waive(request).await)?;
            report("waived", waived, format)
        }
        Action::Export { invoice, format, customization, output, connection } => {
            let request = v1::ExportRequest {
                id: invoice,
                format: word(&format),
                customization: if matches!(format, ExportFormat::Ubl) { word(&customization) } else { String::new() },
            };
            export(&Client::connect(&connection).await?, request, output).await
        }
    }
}

async fn list(client: &Client, customer: Option<String>, status: Option<Status>, format: Format) -> Result {
    let status = match status {
        None => "",
        Some(Status::Draft) => "draft",
        Some(Status::Held) => "held",
        Some(Status::Issued) => "issued",
        Some(Status::Skipped) => "skipped",
    };
    let filtered = customer.is_some() || !status.is_empty();
    let invoices = all(client, customer.unwrap_or_default(), status).await?;
    if format.json {
        let invoices: Vec<Summary<'_>> = invoices.iter().map(summary).collect();
        return output::json(&serde_json::json!({"invoices": invoices}));
    }
    list_table(&invoices).print(if filtered { "No bill matches the filter." } else { "No bills yet." })
}

/// Every page of the list.
pub(crate) async fn all(client: &Client, customer: String, status: &str) -> Result<Vec<v1::InvoiceSummary>> {
    let mut request =
        v1::ListInvoicesRequest { customer, status: status.to_owned(), page_size: 1000, page_token: String::new() };
    let mut invoices = Vec::new();
    loop {
        let page = answer(client.invoices().list(request.clone()).await)?;
        invoices.extend(page.invoices);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(invoices);
        }
    }
}

/// The list as a table; why a bill is held stands in `show`.
pub(crate) fn list_table(invoices: &[v1::InvoiceSummary]) -> Grid {
    let mut grid = Grid::new(&["NUMBER", "STATUS", ">TOTAL", "ID: CUSTOMER/CURRENCY/END"]);
    for invoice in invoices {
        let number = if invoice.number.is_empty() { "–" } else { &invoice.number };
        let total = format!("{} {}", grouped(&invoice.total), invoice.currency);
        grid.row([number, &invoice.status, &total, &invoice.id]);
    }
    grid
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
    }
}

/// Prints documents: as they are, byte for byte, inside one JSON object, or for people.
pub(crate) fn print_documents<T: Into<Shown>>(documents: Vec<T>, format: Format) -> Result {
    let documents: Vec<Shown> = documents.into_iter().map(Into::into).collect();
    if format.json {
        let documents: Vec<&str> = documents.iter().map(|shown| shown.document.as_str()).collect();
        return output::line(format_args!("{{\"invoices\": [{}]}}", documents.join(",\n")));
    }
    if documents.is_empty() {
        return output::line("No bills.");
    }
    for document in &documents {
        output::line(show::text(document)?)?;
    }
    Ok(())
}

fn report(done: &str, invoice: v1::GetInvoiceResponse, format: Format) -> Result {
    if format.json {
        return print_documents(vec![invoice], format);
    }
    let summary = invoice.summary.unwrap_or_default();
    let name = if summary.number.is_empty() { &summary.id } else { &summary.number };
    let reason = if summary.reason.is_empty() { String::new() } else { format!(" ({})", summary.reason) };
    output::line(format_args!(
        "{name}: {done}; now {}{reason}, total {} {}.",
        summary.status,
        grouped(&summary.total),
        summary.currency
    ))
}

/// A value's word on the command line, which is its word on the wire, too.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

async fn export(client: &Client, request: v1::ExportRequest, target: Option<PathBuf>) -> Result {
    let content = answer(client.invoices().export(request).await)?.content;
    let Some(path) = target else { return output::bytes(&content) };
    std::fs::write(&path, &content).context(format_args!("cannot write {}", path.display()))?;
    output::note(format_args!("Wrote {} bytes to {}.", content.len(), path.display()));
    Ok::<(), Failure>(())
}
