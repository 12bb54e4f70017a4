//! Files of events: CloudEvents NDJSON, or CSV with columns named on the command line.

// The two formats.
mod csv;
mod ndjson;
#[cfg(test)]
mod tests;

use crate::failure::{Context, Failure, Result};
use clap::Args;
use proto::v1;
use std::path::Path;

pub(crate) use self::csv::Zone;

/// An event and where it stands in its file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Located {
    /// The line, from 1.
    pub(crate) line: u64,
    /// The place of the byte after it.
    pub(crate) end: u64,
    /// The event.
    pub(crate) event: v1::Event,
}

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub(crate) struct Broken {
    /// The line, from 1.
    pub(crate) line: u64,
    /// What was found, what is allowed, what to do.
    pub(crate) message: String,
}

/// The events of a file, in its order.
pub(crate) type Events = Box<dyn Iterator<Item = std::result::Result<Located, Broken>> + Send>;

/// How a CSV file is read. A file that ends in `.csv` is CSV, all others are NDJSON.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "CSV files")]
pub(crate) struct Columns {
    /// CSV: the type of every event.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
    /// CSV: the column with the customer.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) customer: Option<String>,
    /// CSV: the column with the time, such as 2026-01-31T12:00:00Z or, with --zone, 2026-01-31 12:00:00.25.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time: Option<String>,
    /// CSV: the zone of times without an offset: UTC, an IANA name, or a fixed offset such as +02:00.
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<Zone>,
    /// CSV: a property and its column, where it is called otherwise; may be repeated. An empty cell is an absent property.
    #[arg(long, value_name = "NAME[=COLUMN]", value_parser = property)]
    pub(crate) property: Vec<(String, String)>,
    /// CSV: the column with the id. Without it, ids are the file's hash and the row's number.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) id: Option<String>,
    /// CSV: the service that reports.
    #[arg(long, value_name = "NAME", default_value = "file")]
    pub(crate) source: String,
}

/// Reads `NAME` or `NAME=COLUMN`.
fn property(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=').unwrap_or((text, text)) {
        ("", _) | (_, "") => Err("write NAME or NAME=COLUMN".to_owned()),
        (name, column) => Ok((name.to_owned(), column.to_owned())),
    }
}

/// Opens a file of events.
///
/// # Errors
/// Refused when it cannot be read or a named column is missing; wrong usage when CSV options are missing or superfluous.
pub(crate) fn open(path: &Path, columns: &Columns) -> Result<Events> {
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let file = std::fs::File::open(path).context(format_args!("cannot read {}", path.display()))?;
    if is_csv {
        return csv::open(path, file, columns);
    }
    let Columns { event_type, customer, time, zone, property, id, source: _ } = columns;
    if event_type.is_some()
        || customer.is_some()
        || time.is_some()
        || zone.is_some()
        || !property.is_empty()
        || id.is_some()
    {
        let name = path.display();
        return Err(Failure::usage(format_args!(
            "{name} is read as CloudEvents NDJSON, where --type, --customer, --time, --zone, --property and --id mean \
             nothing; a CSV file's name ends in .csv"
        )));
    }
    Ok(ndjson::open(file))
}
