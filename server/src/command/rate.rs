//! `farthing rate`: whole bills, offline.

use super::invoices::Shown;
use crate::failure::{Failure, Result};
use crate::local::counted;
use crate::offline::{self, Asked, Totals};
use crate::output::{self, Format, Grid};
use crate::reader::{self, Columns};
use clap::Args;
use pricing::time::Instant;
use std::path::PathBuf;

const AFTER: &str = "\
Examples:
  farthing rate -f catalog.yaml --events january.ndjson --period 2026-01
  farthing rate -f catalog.yaml --events usage.csv --period 2026-Q1 --json --type call --customer account \\
      --time at --zone UTC --property tokens

Bills are those whose last moment lies in the period, cut in each customer's own time zone; an opening bill counts at its
start. Every subscription is settled from its `from` on, so give all events since then. Order and copies do not matter.";

/// Writes whole bills from a catalog file and a file of events, without a server.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// The catalog file (YAML).
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// The events: CSV when the name ends in .csv, otherwise CloudEvents NDJSON.
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Which bills: 2026, 2026-Q1, 2026-01 or 2026-01-31.
    #[arg(long)]
    period: Asked,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    columns: Columns,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let catalog = offline::catalog(&arguments.file)?;
    let mut until = Instant::MIN;
    for customer in catalog.customers().values() {
        until = until.max(arguments.period.within(customer.time_zone.name()).map_err(Failure::refused)?.end);
    }
    let events = reader::open(&arguments.events, &arguments.columns)?;
    let named = |failure| match failure {
        Failure::Refused(message) => Failure::Refused(format!("{}: {message}", arguments.events.display())),
        other => other,
    };
    let totals = offline::fold(&catalog, events, until).map_err(named)?;
    let documents = offline::bills(&catalog, &totals, arguments.period)?;
    let documents = documents.into_iter().map(|document| Shown::preview(document, false)).collect::<Vec<_>>();
    super::invoices::print_documents(documents, arguments.format)?;
    tell(&totals);
    Ok(())
}

/// Says what was not charged, and why, away from the bills.
fn tell(totals: &Totals) {
    let counters = totals.counters;
    let left_out = counters.unpriced + counters.unmetered + counters.rejected + counters.parked;
    if left_out == 0 {
        return;
    }
    output::note(format_args!(
        "{}: {} charged, {} copies; not charged: {} unpriced, {} unmetered, {} rejected, {} parked",
        counted(counters.arrivals, "arrival"),
        counters.charged,
        counters.duplicate,
        counters.unpriced,
        counters.unmetered,
        counters.rejected,
        counters.parked
    ));
    let mut grid = Grid::new(&["KIND", "CUSTOMER", "TYPE", "ID", "REASON"]);
    for outcome in totals.outcomes.iter().take(10) {
        let kind = format!("{:?}", outcome.kind).to_lowercase();
        grid.row([kind.as_str(), &outcome.customer, &outcome.event_type, &outcome.id, &outcome.reason]);
    }
    output::note(grid.text());
}
