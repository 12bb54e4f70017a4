//! Folding records that are given in memory: what `farthing rate`, benchmarks and tests use.

use crate::fold::{Fold, Halt, Options};
use bytes::Bytes;
use storage::output::Output;
use storage::shard::{Shard, ShardCount};

/// Folds a whole shard's records, the `Open` record first, and returns what came out.
///
/// # Errors
/// [`Halt`] at the first record that does not fit.
pub fn fold_all<'a>(
    shard: Shard,
    shards: ShardCount,
    options: Options,
    records: impl IntoIterator<Item = &'a Bytes>,
) -> Result<(Fold, Option<Output>), Halt> {
    let mut fold = Fold::new(shard, shards, options);
    for record in records {
        fold.fold(fold.next(), record)?;
    }
    let output = fold.take();
    Ok((fold, output))
}
