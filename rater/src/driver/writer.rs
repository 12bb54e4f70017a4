//! The writer: one insert at a time, each with what many shards put out, in each shard's order.

use super::Shared;
use super::wait::Backoff;
use std::collections::VecDeque;
use std::sync::Arc;
use storage::charges::Error;
use storage::output::Output;
use storage::shard::{Offset, Shard};
use tokio::sync::{mpsc, watch};

/// What a shard hands over.
pub(super) struct Parcel {
    pub(super) output: Output,
    /// About how many bytes it takes.
    pub(super) bytes: Held,
}

/// Bytes that count as unsent until they are dropped: stored, or refused for good.
pub(super) struct Held {
    bytes: usize,
    unsent: Arc<watch::Sender<usize>>,
}

/// How far a shard's outputs came.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// The first record that is not known to be stored; none before the first confirmation.
    pub(super) stored: Option<Offset>,
    /// Bytes of all outputs that were stored.
    pub(super) bytes: u64,
    /// Why this shard's outputs cannot be stored.
    pub(super) refused: Option<String>,
}

pub(super) struct Task {
    shared: Shared,
    queue: mpsc::UnboundedReceiver<Parcel>,
    pending: VecDeque<Parcel>,
    shards: Vec<(Shard, watch::Sender<Progress>)>,
}

// === impl Parcel ===

impl Parcel {
    fn rows(&self) -> usize {
        self.output.charges.rows.len() + self.output.manifests.len() + self.output.outcomes.len()
    }
}

// === impl Held ===

impl Held {
    pub(super) fn new(bytes: usize, unsent: &Arc<watch::Sender<usize>>) -> Self {
        unsent.send_modify(|all| *all = all.saturating_add(bytes));
        Self { bytes, unsent: unsent.clone() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.unsent.send_modify(|all| *all = all.saturating_sub(self.bytes));
    }
}

// === impl Task ===

impl Task {
    pub(super) fn new(
        shared: Shared,
        queue: mpsc::UnboundedReceiver<Parcel>,
        shards: Vec<(Shard, watch::Sender<Progress>)>,
    ) -> Self {
        Self { shared, queue, pending: VecDeque::new(), shards }
    }

    /// Ends when every shard's task has ended and all they handed over was tried.
    pub(super) async fn run(mut self) {
        while let Some(parcel) = self.next().await {
            let mut batch = vec![parcel];
            self.gather(&mut batch).await;
            self.insert(batch).await;
        }
    }

    async fn next(&mut self) -> Option<Parcel> {
        match self.pending.pop_front() {
            Some(parcel) => Some(parcel),
            None => self.queue.recv().await,
        }
    }

    /// Takes what comes within the wait, up to the limit.
    async fn gather(&mut self, batch: &mut Vec<Parcel>) {
        let until = tokio::time::Instant::now() + self.shared.options.insert_wait;
        let rows_max = self.shared.options.insert_rows_max;
        let mut rows: usize = batch.iter().map(Parcel::rows).sum();
        while rows < rows_max {
            let next = match self.pending.pop_front() {
                Some(parcel) => Some(parcel),
                None => tokio::time::timeout_at(until, self.queue.recv()).await.ok().flatten(),
            };
            let Some(parcel) = next else { return };
            if rows + parcel.rows() > rows_max {
                self.pending.push_front(parcel);
                return;
            }
            rows += parcel.rows();
            batch.push(parcel);
        }
    }

    /// Inserts until it is done; what the store refuses for good halts its shard.
    async fn insert(&mut self, mut batch: Vec<Parcel>) {
        let mut backoff = Backoff::new();
        let mut is_told = false;
        while !batch.is_empty() {
            let outputs = batch.iter().map(|parcel| parcel.output.clone()).collect();
            match self.shared.charges.insert(outputs).await {
                Ok(()) => {
                    if is_told {
                        tracing::info!("the charges store takes rows again");
                    }
                    self.confirm(&batch);
                    return;
                }
                Err(Error::Gap { shard, next, from }) => {
                    let reason = Error::Gap { shard, next, from }.to_string();
                    self.refuse(shard, &reason);
                    batch.retain(|parcel| parcel.output.shard != shard);
                    continue;
                }
                Err(Error::Damaged { .. } | Error::Overflow { .. }) => {
                    // Whose rows they are is known once each shard's are tried apart: no shard stands for another's.
                    batch = self.insert_apart(batch).await;
                    continue;
                }
                Err(error) if !is_told => {
                    is_told = true;
                    tracing::warn!(%error, "rows are not stored; the rater keeps them and tries again");
                }
                Err(_) => {}
            }
            if !self.shared.pause(&mut backoff).await {
                // The driver stops: what was not stored is folded again after the next start.
                return;
            }
        }
    }

    /// Inserts each shard's parcels apart and halts the shards whose rows are refused for good; gives what is to be tried
    /// again.
    async fn insert_apart(&self, mut batch: Vec<Parcel>) -> Vec<Parcel> {
        let mut again = Vec::new();
        while let Some(shard) = batch.first().map(|parcel| parcel.output.shard) {
            let (of_shard, others): (Vec<Parcel>, _) =
                batch.into_iter().partition(|parcel| parcel.output.shard == shard);
            batch = others;
            let outputs = of_shard.iter().map(|parcel| parcel.output.clone()).collect();
            match self.shared.charges.insert(outputs).await {
                Ok(()) => self.confirm(&of_shard),
                Err(Error::Unavailable { .. }) => again.extend(of_shard),
                Err(error) => self.refuse(shard, &error.to_string()),
            }
        }
        again
    }

    fn confirm(&self, batch: &[Parcel]) {
        for parcel in batch {
            self.tell(parcel.output.shard, |progress| {
                progress.stored = Some(parcel.output.to);
                progress.bytes = progress.bytes.saturating_add(u64::try_from(parcel.bytes.bytes).unwrap_or(u64::MAX));
            });
        }
    }

    fn refuse(&self, shard: Shard, reason: &str) {
        self.tell(shard, |progress| progress.refused = Some(reason.to_owned()));
    }

    fn tell(&self, shard: Shard, change: impl FnOnce(&mut Progress)) {
        if let Some((_, progress)) = self.shards.iter().find(|(known, _)| *known == shard) {
            progress.send_modify(change);
        }
    }
}
