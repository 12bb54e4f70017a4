//! What a chain of bills remembers from one to the next.

use crate::number::Amount;
use crate::time::Instant;

/// A customer's account in one currency: what the next bill must know of the ones before. JSON; the same fold gives the
/// same text.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Account {
    /// When the last bill ended; none before the first.
    pub end: Option<Instant>,
    /// Exact minus printed over all bills: always less than one minor unit either side of zero.
    pub residue: Amount,
}

impl Account {
    /// Drops what only late usage of periods that ended at or before `before` would ask for.
    #[must_use]
    pub fn forget(self, before: Instant) -> Self {
        let _ = before;
        self
    }
}
