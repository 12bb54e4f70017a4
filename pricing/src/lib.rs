//! What things mean: money, quantity, time, meters, prices, plans, periods, and how charges become a bill.
//!
//! Nothing here does I/O, reads a clock, or awaits. The same functions price an event in the rater, a what-if in
//! `farthing quote`, and a bill in the invoicer, so the three cannot disagree.

// Reading order: the numbers, the words, then meaning from the single event up to the bill.
pub mod bill;
pub mod catalog;
pub mod currency;
pub mod curve;
pub mod group;
pub mod id;
pub mod meter;
pub mod number;
pub mod period;
pub mod plan;
pub mod price;
pub mod subscription;
pub mod time;
