//! The benchmarks: what Farthing does on this machine, client and server together.

// What is measured, on which machine, with what load; then each benchmark.
mod client;
pub(crate) mod cluster;
pub(crate) mod embedded;
mod figures;
pub(crate) mod fold;
pub(crate) mod ingest;
mod load;
mod machine;
mod meter;
mod processes;

pub(crate) use figures::{Figures, Latency, print};
pub(crate) use load::{CHARGED, KNOWN};
pub(crate) use machine::Machine;
pub(crate) use meter::Meter;
