//! The whole of Farthing in one thread, on storage in memory with faults, from one seed.

pub mod workload;
pub mod model;
