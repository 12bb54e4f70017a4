//! Where things are kept: the traits that the stages know, and the backends behind them.
//!
//! | trait | holds | embedded | cluster |
//! |---|---|---|---|
//! | [`log::Log`] | the truth: records in shards | segment files | Kafka |
//! | [`snapshots::Snapshots`] | the fold's state at a record boundary | files | files, copied to object storage |
//! | [`charges::Charges`] | what the fold put out | SQLite | ClickHouse |
//! | [`books::Books`] | what people edit and auditors read | SQLite | PostgreSQL |

// Reading order: the log and what stands in it, what comes out of it, the books, then the backends.
pub mod again;
pub mod books;
pub mod charges;
pub mod clickhouse;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod embedded;
pub mod kafka;
pub mod keyring;
pub mod log;
pub mod objects;
pub mod output;
pub mod postgres;
pub mod record;
pub mod shard;
pub mod sim;
pub mod snapshots;
pub mod tls;
pub mod wide;
