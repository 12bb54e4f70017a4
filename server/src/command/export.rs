//! `farthing export`: what bookkeeping takes over.

use crate::client::{Client, Connection, answer};
use crate::failure::{Context, Result};
use crate::output;
use clap::{Args, Subcommand};
use proto::v1;
use std::path::PathBuf;

const AFTER: &str = "\
Examples:
  farthing export journal --from 2026-01-01 --until 2026-01-31 --output january.journal
  farthing export invoices --from 2026-01-01 --until 2026-01-31
  farthing export accrual --day 2026-01-31
  farthing export focus --customer c-1 --output costs.csv";

/// Writes what was issued, and double entries, for bookkeeping.
#[derive(Debug, Args)]
#[command(after_help = AFTER, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Invoices and credit notes, a row each, as CSV.
    Invoices(Days),
    /// Their lines, a row each, as CSV.
    Lines(Days),
    /// Costs for those who pay them, by the FinOps specification FOCUS 1.2: lines, taxes and prepaid money, a row each, as CSV.
    Focus(Days),
    /// Double entries in the format of hledger: revenue by the month of the service, deferred, tax, payments.
    Journal(Days),
    /// What is earned and not invoiced, and the other way round, at the end of a day, as CSV.
    Accrual {
        /// Such as 2026-01-31.
        #[arg(long)]
        day: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Days {
    /// The first day, such as 2026-01-01.
    #[arg(long, default_value = "", hide_default_value = true)]
    from: String,
    /// The last day, such as 2026-01-31.
    #[arg(long, default_value = "", hide_default_value = true)]
    until: String,
    /// Only what this customer was billed.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    customer: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl Days {
    fn request(&self) -> v1::ExportDaysRequest {
        v1::ExportDaysRequest { from: self.from.clone(), until: self.until.clone(), customer: self.customer.clone() }
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    let common = match &arguments.what {
        What::Invoices(days) | What::Lines(days) | What::Focus(days) | What::Journal(days) => &days.common,
        What::Accrual { common, .. } => common,
    };
    let mut client = Client::connect(&common.connection).await?.exports();
    let file = match &arguments.what {
        What::Invoices(days) => client.invoices(days.request()).await,
        What::Lines(days) => client.lines(days.request()).await,
        What::Focus(days) => client.focus(days.request()).await,
        What::Journal(days) => client.journal(days.request()).await,
        What::Accrual { day, .. } => client.accrual(v1::ExportAccrualRequest { day: day.clone() }).await,
    };
    let content = answer(file)?.content;
    match &common.output {
        Some(path) => std::fs::write(path, content).context(format_args!("cannot write {}", path.display())),
        None => output::bytes(&content),
    }
}
