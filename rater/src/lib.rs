//! The rater: a pure fold over each shard's records, and the driver that feeds it.
//!
//! [`fold::Fold`] is the whole meaning: records in, charges, manifests and outcomes out, no I/O and no clock.
//! [`driver::Driver`] reads the log, hands outputs to the charges store, and writes snapshots. [`offline`] folds records
//! that are given in memory.

// Reading order: what is known, the fold, then what surrounds it.
mod codec;
pub mod driver;
pub mod fold;
pub mod ids;
pub mod offline;
#[cfg(test)]
mod sample;

pub use codec::Malformed;
pub use driver::open;
