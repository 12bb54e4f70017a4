//! Records on their way into the log, as the books keep them until they are there.

use super::lane::Place;
use super::{Announcement, Error, Publisher, State, Target};
use crate::ledger::{Draft, Filter, Outbox};
use storage::log::RECORD_BYTES_MAX;
use storage::record::{self, Control};
use storage::shard::ShardCount;

/// Records of one entry: large enough that an apply for many customers is few documents, small enough to stay well below
/// what one append may carry.
const RECORDS_MAX: usize = 200;
/// Bytes of one entry that has more than one record.
const BYTES_MAX: usize = 1 << 20;

/// An entry's id, in the order of sequence.
pub(super) fn id(sequence: u64) -> String {
    format!("{sequence:020}")
}

/// The sequence of an entry's id.
fn sequence(id: &str) -> u64 {
    id.parse().unwrap_or(0)
}

/// Groups records by where they go. Records for all shards come first, since those of single shards build on them: a
/// customer's subscription names a plan version of the catalog.
pub(super) fn entries(records: &[Announcement], shards: ShardCount) -> Vec<Outbox> {
    let of = |target: Target| records.iter().filter(move |one| one.shards == target).map(|one| one.record.clone());
    let targets = std::iter::once(Target::All).chain(shards.all().map(Target::One));
    let mut entries = Vec::new();
    for target in targets {
        entries.extend(pieces(of(target)).into_iter().map(|records| Outbox { shards: target, records }));
    }
    entries
}

/// Cuts records, in their order, into pieces of a good size.
pub(crate) fn pieces(records: impl IntoIterator<Item = Control>) -> Vec<Vec<Control>> {
    let mut pieces: Vec<Vec<Control>> = Vec::new();
    let mut bytes = 0;
    for record in records {
        let length = record::encode_control(&record).len();
        match pieces.last_mut().filter(|piece| piece.len() < RECORDS_MAX && bytes + length <= BYTES_MAX) {
            Some(piece) => {
                piece.push(record);
                bytes += length;
            }
            None => {
                pieces.push(vec![record]);
                bytes = length;
            }
        }
    }
    pieces
}

/// Refuses a record that no log takes: its lane would stand for ever.
pub(super) fn check_lengths(records: &[Announcement]) -> Result<(), Error> {
    for one in records {
        let bytes = record::encode_control(&one.record).len();
        if bytes > RECORD_BYTES_MAX {
            let what = match &one.record {
                Control::Catalog(record) => format!("the catalog of tenant '{}'", record.tenant),
                Control::Customer(record) => format!("customer '{}'", record.customer),
                _ => "what was asked for".to_owned(),
            };
            return Err(Error::TooLarge { what, bytes });
        }
    }
    Ok(())
}

// === impl Publisher ===

impl Publisher {
    /// Where it is not known what the books hold (at a start, after a commit without an answer): reads whose turn it is
    /// and sends what waits in the outbox, in its order.
    pub(super) async fn catch_up(&self, state: &mut State) -> Result<(), Error> {
        if !state.is_unsure {
            return Ok(());
        }
        self.read_clock(state).await?;
        let entries = self.ledger.all::<Outbox>(None, &Filter::default()).await?;
        let mut known = std::mem::take(&mut state.sent);
        for entry in entries {
            let number = sequence(&entry.id);
            state.sequence = state.sequence.max(number.saturating_add(1));
            let sent = known.remove(&number);
            let sent = sent.unwrap_or_else(|| self.lanes.push(entry.value.shards, &entry.value.records));
            state.sent.insert(number, sent);
        }
        state.is_unsure = false;
        // Who committed them may have gone away before it could say so.
        self.changed();
        Ok(())
    }

    /// Removes the entries that are in the log of every shard they concern. Where that fails they are removed later.
    pub(super) async fn tidy(&self, state: &mut State) {
        let is_done = |(_, places): &(&u64, &Vec<Place>)| self.lanes.are_durable(places);
        let done: Vec<u64> = state.sent.iter().filter(is_done).map(|(number, _)| *number).collect();
        if done.is_empty() || state.is_unsure || state.is_lost {
            return;
        }
        let mut draft = Draft::new("publisher", "publish", state.log_time);
        for number in &done {
            draft.discard::<Outbox>(None, &id(*number));
        }
        let signed = self.sign(state, &mut draft);
        state.is_unsure = true;
        match signed {
            Ok(()) => {}
            Err(error) => return tracing::warn!(%error, "the outbox is not tidied"),
        }
        if let Err(error) = self.ledger.commit(draft).await {
            return tracing::debug!(%error, "the outbox is tidied later");
        }
        state.signed();
        done.iter().for_each(|number| drop(state.sent.remove(number)));
    }
}
