//! CSV with a heading, its columns named on the command line.

use super::{Broken, Columns, Events, Located};
use crate::client::timestamp;
use crate::failure::{Context, Failure, Result};
use crate::local::counted;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use pricing::time::Instant;
use proto::v1;
use sha2::Digest;
use std::fs::File;
use std::io::{BufRead, Read};
use std::path::Path;
use std::str::FromStr;

/// The zone of times that name none.
#[derive(Clone, Debug)]
pub(crate) struct Zone(TimeZone);

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        // An instant with the text as its offset tells whether it is one.
        let fixed = format!("2000-01-01T12:00:00{text}").parse::<jiff::Timestamp>();
        let noon = DateTime::constant(2000, 1, 1, 12, 0, 0, 0);
        if let Ok(instant) = fixed {
            let utc = instant.to_zoned(TimeZone::UTC).datetime();
            let seconds = noon.duration_since(utc).as_secs();
            let offset = i32::try_from(seconds).ok().and_then(|seconds| jiff::tz::Offset::from_seconds(seconds).ok());
            if let Some(offset) = offset {
                return Ok(Self(TimeZone::fixed(offset)));
            }
        }
        TimeZone::get(text)
            .map(Self)
            .map_err(|_| "write UTC, an IANA name such as Europe/Berlin, or an offset such as +02:00".to_owned())
    }
}

/// Where the columns are.
struct Layout {
    event_type: String,
    source: String,
    customer: usize,
    time: usize,
    zone: Option<TimeZone>,
    properties: Vec<(String, usize)>,
    ids: Ids,
}

/// Where ids come from.
enum Ids {
    Column(usize),
    /// The file's hash, to go before the row's number.
    Made(String),
}

/// The events of the file.
pub(super) fn open(path: &Path, file: File, columns: &Columns) -> Result<Events> {
    let mut reader = ::csv::ReaderBuilder::new().trim(::csv::Trim::All).buffer_capacity(1 << 20).from_reader(file);
    let headings = reader.headers().context(format_args!("cannot read {}", path.display()))?.clone();
    let layout = layout(path, &headings, columns)?;
    // The library counts a record of a file with CR LF from the LF that ends the line before.
    let behind = u64::from(ends_with_cr_lf(path)?);
    let mut record = ::csv::StringRecord::new();
    let mut row = 0;
    Ok(Box::new(std::iter::from_fn(move || {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => None,
            Ok(true) => {
                row += 1;
                let line = record.position().map_or(line, ::csv::Position::line) + behind;
                let event = layout.event(&record, row).map_err(|message| Broken { line, message });
                Some(event.map(|event| Located { line, end: reader.position().byte(), event }))
            }
            Err(error) => {
                row += 1;
                let line = error.position().map_or(line, ::csv::Position::line) + behind;
                Some(Err(Broken { line, message: broken(&error) }))
            }
        }
    })))
}

/// Whether the file's first line ends as on Windows.
fn ends_with_cr_lf(path: &Path) -> Result<bool> {
    let reason = || format!("cannot read {}", path.display());
    let mut first = Vec::new();
    let mut input = std::io::BufReader::new(File::open(path).context(reason())?);
    input.read_until(b'\n', &mut first).context(reason())?;
    Ok(first.ends_with(b"\r\n"))
}

/// The library's message without its own count of lines.
fn broken(error: &::csv::Error) -> String {
    match error.kind() {
        ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {}, the heading has {expected_len}", counted(len, "field"))
        }
        ::csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}

fn layout(path: &Path, headings: &::csv::StringRecord, columns: &Columns) -> Result<Layout> {
    let needed = |flag: &str, value: &Option<String>| {
        let name = path.display();
        value.clone().ok_or_else(|| Failure::usage(format_args!("{name} is CSV: --{flag} is needed to read it")))
    };
    let find = |flag: &str, name: &str| {
        headings.iter().position(|heading| heading == name).ok_or_else(|| {
            let known = headings.iter().collect::<Vec<_>>().join(", ");
            Failure::refused(format_args!("{} has no column '{name}' (--{flag}); it has {known}", path.display()))
        })
    };
    let mut properties = Vec::new();
    for (name, column) in &columns.property {
        if properties.iter().any(|(known, _)| known == name) {
            return Err(Failure::usage(format_args!("--property names '{name}' twice")));
        }
        properties.push((name.clone(), find("property", column)?));
    }
    let ids = match &columns.id {
        Some(column) => Ids::Column(find("id", column)?),
        None => Ids::Made(hash(path)?),
    };
    Ok(Layout {
        event_type: needed("type", &columns.event_type)?,
        source: columns.source.clone(),
        customer: find("customer", &needed("customer", &columns.customer)?)?,
        time: find("time", &needed("time", &columns.time)?)?,
        zone: columns.zone.clone().map(|Zone(zone)| zone),
        properties,
        ids,
    })
}

/// The first 16 hexadecimal digits of the file's SHA-256: the same file has the same ids, wherever it lies.
fn hash(path: &Path) -> Result<String> {
    let reason = || format!("cannot read {}", path.display());
    let mut file = File::open(path).context(reason())?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).context(reason())? {
            0 => break,
            count => hasher.update(buffer.get(..count).unwrap_or_default()),
        }
    }
    Ok(hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

impl Layout {
    fn event(&self, record: &::csv::StringRecord, row: u64) -> std::result::Result<v1::Event, String> {
        let cell = |column: usize| record.get(column).unwrap_or_default();
        let id = match &self.ids {
            Ids::Column(column) => cell(*column).to_owned(),
            Ids::Made(hash) => format!("{hash}-{row}"),
        };
        let properties = self.properties.iter().map(|(name, column)| (name.clone(), cell(*column).to_owned()));
        Ok(v1::Event {
            id,
            source: self.source.clone(),
            r#type: self.event_type.clone(),
            customer: cell(self.customer).to_owned(),
            time: Some(timestamp(self.instant(cell(self.time))?)),
            properties: properties.filter(|(_, value)| !value.is_empty()).collect(),
        })
    }

    /// Reads a time with its own offset, or one in the file's zone. Nothing is guessed: a local time that a change of
    /// clocks skips or repeats is refused.
    fn instant(&self, text: &str) -> std::result::Result<Instant, String> {
        if let Ok(instant) = text.parse::<Instant>() {
            return Ok(instant);
        }
        let bad = || format!("'{text}' is not a time; write 2026-01-31T12:00:00Z or, with --zone, 2026-01-31 12:00:00");
        let local: DateTime = text.parse().map_err(|_| bad())?;
        if text.parse::<jiff::Timestamp>().is_ok() {
            return Err(format!("'{text}' lies outside the years 1678 to 2261"));
        }
        let Some(zone) = &self.zone else {
            return Err(format!("'{text}' has no offset: say with --zone in which zone it is, such as --zone UTC"));
        };
        let instant = zone.to_ambiguous_timestamp(local).unambiguous().map_err(|_| {
            format!(
                "'{text}' does not exist, or exists twice, in this zone (clocks change there): write it with an offset"
            )
        })?;
        Instant::from_jiff(instant).map_err(|error| error.to_string())
    }
}
