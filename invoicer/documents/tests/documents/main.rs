//! Documents, judged by others.
#![allow(clippy::unwrap_used, clippy::expect_used)]

// The world of `pricing`'s own tests: a tenant with one customer, whose usage is priced as the rater would.
#[allow(dead_code)]
#[path = "../../../../pricing/tests/bill/world.rs"]
mod world;

mod cases;
mod csv;
mod electronic;
mod focus;
mod judge;
mod pages;
mod sums;
