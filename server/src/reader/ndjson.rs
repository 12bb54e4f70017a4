//! CloudEvents 1.0 in structured mode, one JSON object on each line.

use super::{Broken, Events, Located};
use crate::client::timestamp;
use proto::v1;
use std::fs::File;
use std::io::{BufRead, BufReader};

/// The events of the file; empty lines are passed over.
pub(super) fn open(file: File) -> Events {
    let mut lines =
        Lines { input: BufReader::with_capacity(1 << 20, file), line: 0, end: 0, buffer: Vec::new(), over: false };
    Box::new(std::iter::from_fn(move || lines.next_event()))
}

struct Lines {
    input: BufReader<File>,
    line: u64,
    end: u64,
    buffer: Vec<u8>,
    over: bool,
}

impl Lines {
    fn next_event(&mut self) -> Option<Result<Located, Broken>> {
        while !self.over {
            self.buffer.clear();
            self.line += 1;
            match self.input.read_until(b'\n', &mut self.buffer) {
                Ok(0) => self.over = true,
                Ok(count) => {
                    self.end += u64::try_from(count).unwrap_or_default();
                    if !self.buffer.trim_ascii().is_empty() {
                        return Some(self.event());
                    }
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(Broken { line: self.line, message: format!("cannot be read: {error}") }));
                }
            }
        }
        None
    }

    fn event(&self) -> Result<Located, Broken> {
        let event = parse(&self.buffer).map_err(|message| Broken { line: self.line, message })?;
        Ok(Located { line: self.line, end: self.end, event })
    }
}

/// What HTTP reads, too: the same text means the same event, whichever way it comes.
fn parse(line: &[u8]) -> Result<v1::Event, String> {
    let event = ingest::cloudevents::structured(line).map_err(|error| match error.field.as_str() {
        "" => error.message,
        field => format!("{field}: {}", error.message),
    })?;
    Ok(v1::Event {
        id: event.id,
        source: event.source,
        r#type: event.event_type,
        customer: event.customer,
        time: event.time.map(timestamp),
        properties: event.properties.into_iter().collect(),
    })
}
