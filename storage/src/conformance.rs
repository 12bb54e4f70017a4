//! What every backend of a trait has to do, as suites that panic on the first thing that is not so. Each takes a function
//! that opens the backend; called again, after all handles were dropped, it opens the same again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)] // a suite fails by panicking

// In the order in which data flows.
pub mod books;
pub mod charges;
pub mod log;
pub mod snapshots;
