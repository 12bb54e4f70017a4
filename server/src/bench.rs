//! The benchmarks: what Farthing does on this machine, client and server together.

// What is measured, on which machine, then each benchmark.
mod figures;
mod machine;
mod meter;

pub(crate) use figures::{Figures, Latency};
pub(crate) use machine::Machine;
pub(crate) use meter::Meter;
