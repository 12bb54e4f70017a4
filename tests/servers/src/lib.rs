//! Real servers for tests, without containers: each runs on loopback, on free ports, in a folder of its own, and ends with
//! the test that started it, however that ends.
//!
//! `tests/run` installs what they need; a server whose programs are missing says so and fails its test.

#![allow(clippy::expect_used, reason = "what fails here fails its test, with a message")]

// What they share, then each server.
mod clickhouse;
mod kafka;
mod postgres;
mod process;
mod s3;

pub use clickhouse::ClickHouse;
pub use kafka::Kafka;
pub use postgres::Postgres;
pub use process::{Process, free_ports, tools};
pub use s3::S3;
