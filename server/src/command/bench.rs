//! Placeholder.
use crate::failure::Result;
/// Placeholder.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}
pub(crate) fn run(_: &Arguments) -> Result {
    Ok(())
}
