//! Catalog and events without a server: what `quote` and `rate` have in common, and the whole way from events to bills
//! through the rater's own fold and the invoicer's own settling.

// What is asked for, then the way from events to totals, then to bills.
mod bills;
mod fold;
mod period;

pub(crate) use bills::bills;
pub(crate) use fold::{Limits, Totals, declarations, fold};
pub(crate) use period::Asked;

use crate::failure::{Failure, Result, mistakes, read_text};
use pricing::catalog::{Catalog, File, Options};
use pricing::id::TenantId;
use pricing::time::Instant;
use std::path::Path;

/// Log time at which an offline catalog is declared: before every subscription, so that each is billed from its `from`
/// on. Early in the range of [`Instant`], with room for calendar arithmetic below.
pub(crate) fn declared_at() -> Instant {
    // 1700-01-01T00:00:00Z.
    Instant::from_nanos(-8_520_336_000_000_000_000)
}

/// Reads a catalog file and puts it in force, alone.
///
/// # Errors
/// All of its mistakes, with file and line.
pub(crate) fn catalog(path: &Path) -> Result<Catalog> {
    let text = read_text(path)?;
    let refuse = |errors: pricing::catalog::Errors| mistakes(path, &errors.to_string());
    let file = File::parse(&text).map_err(refuse)?;
    let tenant = match &file.tenant {
        Some(tenant) => tenant.clone(),
        None => TenantId::new("default").map_err(Failure::refused)?,
    };
    let change = Catalog::new(tenant).apply(&file, &Options::default(), declared_at()).map_err(refuse)?;
    Ok(change.catalog)
}
