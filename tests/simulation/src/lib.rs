//! The whole system in memory, under faults, from one seed.
//!
//! Real stages (ingest, rater, invoicer) run on [`storage::sim`] in one thread, on time that passes only when nothing else
//! is to be done. A script drawn from the seed sends events, moves log time, puts catalogs in force and crashes stages at
//! any await, while the storage refuses calls, loses answers, tears and repeats writes. An auditor that shares no code
//! with what it checks (but the codec of records) holds what is stored against the design's section 15, all along and at
//! the end. The same seed does the same, byte for byte.

// Reading order: what is drawn and what should come of it, then what runs, then who checks.
pub mod auditor;
pub mod calendar;
pub mod clients;
pub mod curve;
pub mod finance;
pub mod gate;
pub mod history;
pub mod model;
pub mod script;
pub mod sighting;
pub mod terms;
pub mod workload;
pub mod world;

use auditor::{Books, Invariant};
use sha2::{Digest, Sha256};
use sighting::Sightings;
use std::fmt;

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Where it all came from.
    pub seed: u64,
    /// Steps taken.
    pub steps: u64,
    /// Events sent, copies not counted.
    pub events: u64,
    /// Records in the log.
    pub records: u64,
    /// Arrivals in the log, copies counted.
    pub arrivals: u64,
    /// Charge rows.
    pub charges: u64,
    /// Documents issued.
    pub invoices: u64,
    /// A hash over the log, the charges and the documents.
    pub digest: String,
    /// What was seen.
    pub sightings: Sightings,
}

/// Why a run failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{invariant:?} does not hold at step {step} of seed {seed}: {what}")]
pub struct Failure {
    /// The invariant that does not hold.
    pub invariant: Invariant,
    /// Of which run.
    pub seed: u64,
    /// After which step.
    pub step: u64,
    /// What did not hold, and where.
    pub what: String,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, events, records, arrivals, charges, invoices, .. } = self;
        write!(
            out,
            "{steps} steps, {events} events in {arrivals} arrivals, {records} records, {charges} charges, {invoices} \
             invoices; every invariant held; digest {}",
            self.digest.get(..16).unwrap_or(&self.digest)
        )?;
        let seen: Vec<String> = self.sightings.0.iter().map(|(what, count)| format!("{what:?} {count}")).collect();
        write!(out, "; seen: {}", seen.join(", "))
    }
}

/// Runs the workload of `seed`.
///
/// # Errors
/// [`Failure`] names what did not hold.
pub fn run(seed: u64) -> Result<Report, Failure> {
    in_simulated_time(seed, async |script| {
        let (books, history) = script.run().await?;
        Ok(report(seed, script, &books, &history))
    })
}

/// Runs the workload of `seed`, changes what the auditor reads at the end, and names what it objects to.
///
/// # Errors
/// [`Failure`] when the run itself fails before.
pub fn objections(seed: u64, tamper: impl FnOnce(&mut Books)) -> Result<Vec<Invariant>, Failure> {
    in_simulated_time(seed, async |script| {
        let (mut books, _) = script.run().await?;
        tamper(&mut books);
        Ok(script.objections(&books).await)
    })
}

fn in_simulated_time<T>(
    seed: u64,
    run: impl AsyncFnOnce(&mut script::Script) -> Result<T, auditor::Broken>,
) -> Result<T, Failure> {
    let failure = |invariant, step, what| Failure { invariant, seed, step, what };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| failure(Invariant::Liv1, 0, error.to_string()))?;
    runtime.block_on(async {
        let script = script::Script::new(seed);
        let mut script = script.map_err(|broken| failure(broken.invariant, 0, broken.what))?;
        let done = run(&mut script).await;
        done.map_err(|broken| failure(broken.invariant, script.step, broken.what))
    })
}

fn report(seed: u64, script: &script::Script, books: &Books, history: &history::History) -> Report {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let mut digest = Sha256::new();
    for record in books.log.values().flatten() {
        digest.update(record);
    }
    digest.update(format!("{:?}{:?}{:?}", books.charges, books.manifests, books.outcomes));
    for invoice in books.invoices.values() {
        digest.update(&invoice.canonical);
    }
    Report {
        seed,
        steps: script.step,
        events: script.clients.sent().events,
        records: books.log.values().map(|records| count(records.len())).sum(),
        arrivals: count(history.arrivals.len()),
        charges: books.charges.values().map(|charges| count(charges.len())).sum(),
        invoices: count(books.invoices.len()),
        digest: digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        sightings: script.sightings.clone(),
    }
}
