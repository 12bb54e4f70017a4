//! The output under construction.

use super::arrival::Arrival;
use super::catalog::Priced;
use pricing::group::Group;
use pricing::id::{CustomerId, SubscriptionId, TenantId};
use pricing::number::{Amount, Quantity};
use pricing::time::Instant;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use storage::charges::Boundary;
use storage::output::{ChargeRow, ChargeRows, EventPlace, Manifest, Outcome, OutcomeKind, Output, Series, row_hash};
use storage::shard::{Offset, Position, Shard};

/// Collects what records put out.
pub(super) struct Emit {
    shard: Shard,
    from: Offset,
    /// Counts outputs, so that a remembered place in one is not used in another.
    epoch: u64,
    /// The record that is folded now.
    offset: Offset,
    charge_index: u32,
    manifest_index: u32,
    outcome_index: u32,
    charges: ChargeRows,
    manifests: Vec<Manifest>,
    outcomes: Vec<Outcome>,
    /// For lookups only.
    sources: HashMap<Arc<str>, u32>,
    bytes: usize,
    /// Copies, which put out no rows, by tenant.
    duplicates: BTreeMap<TenantId, u64>,
}

/// Where a series stands in the output, remembered by what it belongs to.
#[derive(Clone, Copy, Default)]
pub(super) struct SeriesSlot {
    epoch: u64,
    index: u32,
}

/// What a row says of its event.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) event: EventPlace,
    pub(super) id: &'a str,
    pub(super) source: u32,
    pub(super) time: Instant,
    /// The level that holds from then on.
    pub(super) level: Option<Quantity>,
}

/// Whose period it is, for rows.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) customer: &'a CustomerId,
    pub(super) subscription: &'a SubscriptionId,
}

// === impl Emit ===

impl Emit {
    pub(super) fn new(shard: Shard, from: Offset) -> Self {
        Self {
            shard,
            from,
            epoch: 1,
            offset: from,
            charge_index: 0,
            manifest_index: 0,
            outcome_index: 0,
            charges: ChargeRows::default(),
            manifests: Vec::new(),
            outcomes: Vec::new(),
            sources: HashMap::new(),
            bytes: 0,
            duplicates: BTreeMap::new(),
        }
    }

    /// Counts a copy.
    pub(super) fn duplicate(&mut self, tenant: &TenantId) {
        match self.duplicates.get_mut(tenant) {
            Some(count) => *count += 1,
            None => drop(self.duplicates.insert(tenant.clone(), 1)),
        }
    }

    /// How many copies there were since this was last asked.
    pub(super) fn take_duplicates(&mut self) -> BTreeMap<TenantId, u64> {
        std::mem::take(&mut self.duplicates)
    }

    /// Begins a record.
    pub(super) fn begin(&mut self, offset: Offset) {
        self.offset = offset;
        (self.charge_index, self.manifest_index, self.outcome_index) = (0, 0, 0);
    }

    /// Hands out everything before `to`.
    pub(super) fn take(&mut self, at: Boundary) -> Option<Output> {
        let Boundary { next: to, log_time, counters, close_due, record } = at;
        if to == self.from {
            return None;
        }
        let from = std::mem::replace(&mut self.from, to);
        self.epoch += 1;
        self.bytes = 0;
        self.sources.clear();
        // The next output will be about as large.
        let next = ChargeRows {
            ids: String::with_capacity(self.charges.ids.len()),
            rows: Vec::with_capacity(self.charges.rows.len()),
            ..ChargeRows::default()
        };
        Some(Output {
            shard: self.shard,
            from,
            to,
            log_time,
            charges: std::mem::replace(&mut self.charges, next),
            manifests: std::mem::take(&mut self.manifests),
            outcomes: std::mem::take(&mut self.outcomes),
            counters,
            close_due,
            record,
        })
    }

    /// About how many bytes wait to be taken.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many rows wait to be taken.
    pub(super) fn rows(&self) -> usize {
        self.charges.rows.len() + self.manifests.len() + self.outcomes.len()
    }

    /// The place of rows that no event caused.
    pub(super) fn place(&self) -> EventPlace {
        EventPlace { offset: self.offset, index: EventPlace::NO_EVENT }
    }

    /// A source's place in the output.
    pub(super) fn source(&mut self, source: &str) -> u32 {
        if let Some(index) = self.sources.get(source) {
            return *index;
        }
        let text: Arc<str> = Arc::from(source);
        let index = u32::try_from(self.charges.sources.len()).unwrap_or(u32::MAX);
        self.charges.sources.push(text.clone());
        self.sources.insert(text, index);
        self.bytes += source.len() + size_of::<Arc<str>>();
        index
    }

    /// A series' place in the output.
    #[inline]
    pub(super) fn series(&mut self, slot: &mut SeriesSlot, make: impl FnOnce() -> Series) -> u32 {
        if slot.epoch != self.epoch {
            let index = u32::try_from(self.charges.series.len()).unwrap_or(u32::MAX);
            *slot = SeriesSlot { epoch: self.epoch, index };
            self.charges.series.push(make());
            self.bytes += size_of::<Series>();
        }
        slot.index
    }

    /// Puts out a charge; its hash.
    #[inline]
    pub(super) fn row(&mut self, series: u32, of: &Row<'_>, quantity: Quantity, amount: Amount, tier: u32) -> u64 {
        self.charges.ids.push_str(of.id);
        let row = ChargeRow {
            series,
            offset: self.offset,
            index: self.charge_index,
            event: of.event,
            id_end: u32::try_from(self.charges.ids.len()).unwrap_or(u32::MAX),
            source: of.source,
            time: of.time,
            quantity,
            amount,
            tier,
            level: of.level,
        };
        self.charge_index += 1;
        self.bytes += size_of::<ChargeRow>() + of.id.len();
        let hash = row_hash(&row, of.id);
        self.charges.rows.push(row);
        hash
    }

    /// Puts out a manifest, at its position.
    pub(super) fn manifest(&mut self, make: impl FnOnce(Position) -> Manifest) {
        let position = Position { shard: self.shard, offset: self.offset, index: self.manifest_index };
        self.manifest_index += 1;
        let manifest = make(position);
        self.bytes += size_of::<Manifest>() + manifest.entries.len() * 128;
        self.manifests.push(manifest);
    }

    /// Puts out what became of an event that was not charged.
    pub(super) fn outcome(&mut self, kind: OutcomeKind, arrival: &Arrival<'_, '_>, reason: String) {
        let properties = arrival.names.iter().zip(arrival.values);
        let properties = properties.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let position = self.outcome_position();
        self.push(Outcome {
            kind,
            position,
            event: arrival.place,
            tenant: arrival.tenant.clone(),
            customer: arrival.customer.to_owned(),
            source: arrival.source.to_owned(),
            id: arrival.id.to_owned(),
            event_type: arrival.event_type.to_owned(),
            time: arrival.time,
            reason,
            properties,
        });
    }

    /// Puts out that a price could not be settled for a group. No event is to blame: the row has no id, and stands at no
    /// event's place.
    pub(super) fn unsettled(
        &mut self,
        owner: Owner<'_>,
        priced: &Priced,
        group: &Group,
        time: Instant,
        reason: String,
    ) {
        let (position, event) = (self.outcome_position(), self.place());
        self.push(Outcome {
            kind: OutcomeKind::Rejected,
            position,
            event,
            tenant: owner.tenant.clone(),
            customer: owner.customer.as_str().to_owned(),
            source: String::new(),
            id: String::new(),
            event_type: priced.meter.event.as_ref().to_owned(),
            time,
            reason,
            properties: group
                .0
                .iter()
                .map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned()))
                .collect(),
        });
    }

    fn outcome_position(&mut self) -> Position {
        let position = Position { shard: self.shard, offset: self.offset, index: self.outcome_index };
        self.outcome_index += 1;
        position
    }

    fn push(&mut self, outcome: Outcome) {
        let text: usize = outcome.properties.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        let Outcome { reason, id, source, .. } = &outcome;
        self.bytes += size_of::<Outcome>() + text + reason.len() + id.len() + source.len();
        self.outcomes.push(outcome);
    }
}
