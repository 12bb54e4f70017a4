//! `farthing check`: recompute and compare.

use crate::client::{Client, Connection, answer};
use crate::failure::{Failure, Result};
use crate::local::counted;
use crate::output::{self, Format};
use clap::Args;
use proto::v1;

const AFTER: &str = "\
Examples:
  farthing check                    every shard's log, every charge, every invoice
  farthing check ACME-17            one invoice

Exit code 1 when anything differs or is damaged; each finding names its place.";

/// Recomputes bills from charges and catalog, and compares.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// A bill by number or id; without it everything is checked.
    invoice: Option<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    let request = v1::CheckRequest { id: arguments.invoice.unwrap_or_default() };
    let found = answer(Client::connect(&arguments.connection).await?.invoices().check(request).await)?;
    let v1::CheckResponse { records, charges, invoices, findings } = found;
    if arguments.format.json {
        let shown =
            serde_json::json!({"records": records, "charges": charges, "invoices": invoices, "findings": findings});
        output::json(&shown)?;
    } else {
        output::line(format_args!(
            "Compared {}, {}, {}.",
            counted(records, "log record"),
            counted(charges, "charge"),
            counted(invoices, "invoice")
        ))?;
        for finding in &findings {
            output::line(format_args!("  ✗ {finding}"))?;
        }
        if findings.is_empty() {
            output::line("All is as it should be.")?;
        }
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err(Failure::refused("1 finding: something differs or is damaged")),
        count => Err(Failure::refused(format_args!("{count} findings: something differs or is damaged"))),
    }
}
