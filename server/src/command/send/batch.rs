//! From a file to requests.

use crate::reader::{Broken, Events, Located};
use proto::v1;
use tokio::sync::mpsc::Sender;

/// A request stays well below the server's 4 MiB.
const BYTES_MAX: usize = 1 << 20;

/// Events that go in one request, and the lines they came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    /// The events.
    pub(super) events: Vec<v1::Event>,
    /// Their lines.
    pub(super) lines: Vec<u64>,
    /// Where the file was read up to.
    pub(super) end: u64,
}

/// What comes out of the file.
#[derive(Debug)]
pub(super) enum Item {
    /// Something to send.
    Batch(Batch),
    /// A line that is no event.
    Broken(Broken),
}

/// How requests are cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Events in one.
    pub(super) events: u32,
    /// Read no further than the first line that is no event.
    pub(super) stop_at_broken: bool,
}

/// Reads the file to its end, or until nobody takes batches any more.
pub(super) fn read(events: Events, limits: Limits, items: &Sender<Item>) {
    let mut batch = Batch::default();
    let mut bytes = 0;
    for event in events {
        match event {
            Ok(Located { line, end, event }) => {
                bytes += prost::Message::encoded_len(&event) + 4;
                batch.events.push(event);
                batch.lines.push(line);
                batch.end = end;
                let full = u32::try_from(batch.events.len()).is_ok_and(|count| count >= limits.events);
                if full || bytes >= BYTES_MAX {
                    bytes = 0;
                    if items.blocking_send(Item::Batch(std::mem::take(&mut batch))).is_err() {
                        return;
                    }
                }
            }
            Err(broken) => {
                if items.blocking_send(Item::Broken(broken)).is_err() {
                    return;
                }
                if limits.stop_at_broken {
                    break;
                }
            }
        }
    }
    if !batch.events.is_empty() {
        // Where nobody takes it the pump has failed, and says why.
        let _ = items.blocking_send(Item::Batch(batch));
    }
}
