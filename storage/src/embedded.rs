//! The backends of one machine: segment files, snapshot files and SQLite in one folder.

// Reading order: the log, then what comes out of it, then the books.
pub mod books;
pub mod charges;
pub mod log;
pub mod snapshots;
mod sqlite;
