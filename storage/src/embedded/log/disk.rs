//! What the writer asks of the system, so that tests can let it fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Writes and makes durable.
pub(super) trait Disk: std::fmt::Debug + Send + Sync {
    /// Writes all bytes at a place.
    fn write_all_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()>;

    /// What was written is durable.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The system's own.
#[derive(Debug)]
pub(super) struct Real;

// === impl Real ===

impl Disk for Real {
    fn write_all_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}
