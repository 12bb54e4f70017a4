//! Documents, judged by others.

// The world of `pricing`'s own tests: a tenant with one customer, whose usage is priced as the rater would.
#[allow(dead_code)]
#[path = "../../../../pricing/tests/bill/world.rs"]
mod world;

mod cases;
mod electronic;
mod judge;
