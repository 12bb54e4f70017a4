//! An event on its way through the fold, and what becomes of it.

use crate::ids::Id;
use pricing::id::TenantId;
use pricing::meter::Moment;
use pricing::time::Instant;
use storage::output::EventPlace;

/// An event as it arrived; text is borrowed from its record.
pub(super) struct Arrival<'e, 'v> {
    pub(super) place: EventPlace,
    pub(super) tenant: &'v TenantId,
    pub(super) customer: &'e str,
    pub(super) event_type: &'e str,
    pub(super) source: &'e str,
    pub(super) id: &'e str,
    pub(super) time: Instant,
    pub(super) payload: u64,
    pub(super) hash: Id,
    pub(super) names: &'v [&'e str],
    pub(super) values: &'v [&'e str],
}

/// What becomes of an event.
pub(super) enum Verdict {
    Charged,
    Unpriced(String),
    Unmetered,
    Duplicate,
    Conflict,
    Waiting,
    Parked(&'static str),
    Rejected(String),
    NotBackfilled(String),
}

// === impl Arrival ===

impl<'e> Arrival<'e, '_> {
    /// A property by name.
    #[inline]
    pub(super) fn property(&self, name: &str) -> Option<&'e str> {
        self.names.iter().position(|known| *known == name).and_then(|at| self.values.get(at)).copied()
    }

    /// When and as what it counts.
    #[inline]
    pub(super) fn moment(&self) -> Moment<'e> {
        Moment { time: self.time, id: self.id, source: self.source }
    }
}
