//! Every record of every shard: read, checksum, decoded to the last event.

use super::{Check, Report};
use crate::close::Error;
use crate::publisher;
use storage::log;
use storage::record::{self, Record};
use storage::shard::{Offset, Shard};

/// How much of the log is read at once.
const READ_BYTES: usize = 4 << 20;

// === impl Check ===

impl Check {
    pub(super) async fn records(&self, report: &mut Report) -> Result<(), Error> {
        for shard in self.log.shards().all() {
            self.shard(shard, report).await?;
        }
        Ok(())
    }

    async fn shard(&self, shard: Shard, report: &mut Report) -> Result<(), Error> {
        let bounds = self.log.bounds(shard).await.map_err(publisher::Error::from)?;
        let mut next = bounds.start;
        while next < bounds.end {
            match self.log.read(shard, next, READ_BYTES).await {
                Ok(entries) => {
                    for entry in entries.into_iter().filter(|entry| entry.offset < bounds.end) {
                        report.records += 1;
                        if let Some(finding) = damage(shard, entry.offset, &entry.record) {
                            report.findings.push(finding);
                        }
                        next = entry.offset.next();
                    }
                }
                Err(error @ log::Error::Damaged { .. }) => {
                    report.findings.push(error.to_string());
                    next = match error {
                        log::Error::Damaged { offset, .. } => offset.max(next).next(),
                        _ => next.next(),
                    };
                }
                // The oldest records may go while the rest is read.
                Err(log::Error::OutOfRange { first, .. }) if first > next => next = first,
                Err(log::Error::Unavailable { reason })
                    if report.findings.iter().any(|found| found.contains("damaged")) =>
                {
                    report.findings.push(format!("shard {shard} cannot be read from offset {next} on: {reason}"));
                    return Ok(());
                }
                Err(error) => return Err(publisher::Error::from(error).into()),
            }
        }
        Ok(())
    }
}

/// What is wrong with a record.
fn damage(shard: Shard, offset: Offset, bytes: &[u8]) -> Option<String> {
    let place = format!("shard {shard} offset {offset}");
    match record::decode(bytes) {
        Err(error) => Some(format!("{place}: {error}")),
        Ok(Record::Control(_)) => None,
        Ok(Record::Events(events)) => {
            let wrong = events.iter().find_map(Result::err);
            wrong.map(|error| format!("{place}: {error}"))
        }
    }
}
