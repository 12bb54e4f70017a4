//! The fold against an independent model, and every row of its tables by name.

mod cache;
mod levels;
mod model;
mod random;
mod table;
mod time_goes;

use super::{Fold, Options};
use crate::ids::Room;
use crate::sample;
use bytes::Bytes;
use std::collections::BTreeMap;
use storage::output::{Counters, Outcome, OutcomeKind, Output, Series, Sum, row_hash};
use storage::shard::{Offset, Shard};

/// A fold of one shard, with all that it put out.
pub(super) struct Run {
    pub(super) fold: Fold,
    pub(super) outputs: Vec<Output>,
}

impl Run {
    /// A shard that is open.
    pub(super) fn new() -> Self {
        let mut run = Self { fold: Fold::new(Shard(0), sample::count(1), Options::default()), outputs: Vec::new() };
        run.fold(&sample::open(0, 1));
        run
    }

    /// Open, with a catalog, customer `c`, and log time.
    pub(super) fn sold(now: &str) -> Self {
        let mut run = Self::new();
        for record in [sample::catalog_record(1), sample::simple("c"), sample::tick(now)] {
            run.fold(&record);
        }
        run
    }

    pub(super) fn fold(&mut self, record: &Bytes) -> &Output {
        self.fold.fold(self.fold.next(), record).expect("a record that fits");
        let counters = self.fold.counters();
        check_counters(counters);
        self.outputs.extend(self.fold.take());
        self.outputs.last().expect("an output")
    }

    pub(super) fn events(&mut self, events: &[sample::Event]) -> &Output {
        self.fold(&sample::record(events))
    }

    /// Moves log time day by day, so that nothing is skipped.
    pub(super) fn tick(&mut self, now: &str) -> &Output {
        self.fold(&sample::tick(now))
    }

    pub(super) fn kinds(&self) -> Vec<(OutcomeKind, String)> {
        self.outputs.iter().flat_map(|output| &output.outcomes).map(|one| (one.kind, one.id.clone())).collect()
    }

    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        self.outputs.iter().flat_map(|output| output.outcomes.clone()).collect()
    }

    /// Σ over all rows, by what they share.
    pub(super) fn sums(&self) -> BTreeMap<Series, Sum> {
        let mut sums = BTreeMap::new();
        for output in &self.outputs {
            add_sums(&mut sums, output);
        }
        sums
    }
}

/// CON-1.
pub(super) fn check_counters(counters: Counters) {
    let Counters { arrivals, charged, unpriced, unmetered, duplicate, rejected, parked, waiting } = counters;
    assert_eq!(arrivals, charged + unpriced + unmetered + duplicate + rejected + parked + waiting, "{counters:?}");
}

pub(super) fn add_sums(sums: &mut BTreeMap<Series, Sum>, output: &Output) {
    let rows = &output.charges;
    for (at, row) in rows.rows.iter().enumerate() {
        let series = rows.series[row.series as usize].clone();
        let sum = Sum {
            price: series.price.clone(),
            group: series.group.clone(),
            row: 0,
            count: 1,
            quantity: row.quantity,
            amount: row.amount,
            hash: row_hash(row, rows.id(at)),
        };
        match sums.entry(series) {
            std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(sum)),
            std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().absorb(&sum).expect("fits"),
        }
    }
}

/// The state, written and read again.
pub(super) fn restored(fold: &Fold) -> Fold {
    let chunks: Vec<Bytes> = fold.chunks().collect();
    // A backend may cut the bytes anywhere.
    let bytes: Vec<u8> = chunks.concat();
    let pieces: Vec<_> = bytes.chunks(777).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let restored = Fold::restore(pieces.into_iter(), Options::default(), Room::default()).expect("a good snapshot");
    assert_eq!(restored.state_hash(), fold.state_hash());
    assert_eq!(restored.next(), fold.next());
    restored
}

pub(super) const fn offset(number: u64) -> Offset {
    Offset(number)
}
