//! `farthing invoices`: list, show, export, and what people decide about bills.

// Reading order: what can be decided, a list, a bill.
mod change;
mod list;
pub(crate) mod show;

use crate::client::{Client, Connection, answer};
use crate::failure::{Context, Failure, Result};
use crate::output::{self, Format};
use clap::{Args, Subcommand, ValueEnum};
use proto::v1;
use std::path::PathBuf;

pub(crate) use list::table as list_table;
pub(crate) use show::{Shown, text as document_text};

const AFTER: &str = "\
A bill is a draft until its review is over (billing.review, 24 hours), then an invoice with a number, whose bytes never
change. Drafts are held when something about them is unusual; approve, hold, waive and issue decide about drafts. Void,
credit and pay are about what is issued.

Examples:
  farthing invoices list --status held                      what waits for a person, and why
  farthing invoices show ACME-17                            by number
  farthing invoices show c-1/USD/2026-02-01T00:00:00Z      or by id: CUSTOMER/CURRENCY/END
  farthing invoices approve c-1/USD/2026-02-01T00:00:00Z
  farthing invoices pay ACME-17 --amount 50.00 --date 2026-02-16 --reference 'bank 4711'
  farthing invoices credit ACME-17 --line 2 --reason 'the outage of 3 February'
  farthing invoices void ACME-17 --reason 'wrong address'
  farthing invoices export ACME-17 --format pdf --output ACME-17.pdf
  farthing invoices export ACME-17 --format ubl --customization xrechnung --output invoice.xml";

/// Lists, shows, approves, issues, voids and exports bills, and keeps their payments.
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
        /// Only drafts, held ones, issued ones, …; or of what is issued: open, overdue, paid, ….
        #[arg(long, value_enum)]
        status: Option<list::Status>,
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
    #[command(flatten)]
    Change(change::Action),
    /// Writes a bill to a file or standard output.
    Export {
        /// Number or id.
        #[arg(value_name = "NUMBER|ID")]
        invoice: String,
        /// As what: PDF/A-3 with the electronic invoice inside, EN 16931 as UBL or CII, the canonical JSON, or a CSV row for
        /// each line.
        #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
        format: ExportFormat,
        /// Of UBL and CII: the rules that it follows.
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
enum ExportFormat {
    Pdf,
    Ubl,
    Cii,
    Json,
    Csv,
}

/// Which rules an electronic invoice follows beside EN 16931 itself.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Customization {
    En16931,
    Peppol,
    Xrechnung,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    match arguments.action {
        Action::List { customer, status, format, connection } => {
            list::run(&Client::connect(&connection).await?, customer, status, format).await
        }
        Action::Show { invoices, format, connection } => {
            let client = Client::connect(&connection).await?;
            let mut documents = Vec::new();
            for id in invoices {
                documents.push(answer(client.invoices().get(v1::GetInvoiceRequest { id }).await)?);
            }
            print_documents(documents, format)
        }
        Action::Change(action) => change::run(action).await,
        Action::Export { invoice, format, customization, output, connection } => {
            let request = v1::ExportRequest {
                id: invoice,
                format: word(&format),
                customization: if matches!(format, ExportFormat::Ubl | ExportFormat::Cii) {
                    word(&customization)
                } else {
                    String::new()
                },
            };
            export(&Client::connect(&connection).await?, request, output).await
        }
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
