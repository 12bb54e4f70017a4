//! Bills: chains of them over catalogs written as files, single rules with their sums worked out by hand, and whole
//! chains against an oracle on rationals.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cases;
mod credit_notes;
mod documents;
mod fees;
mod money;
mod oracle;
mod world;
