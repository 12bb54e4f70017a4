//! The script of one run: random steps while things go wrong, then everything heals and must settle.

mod settle;

use crate::auditor::{Auditor, Books, Broken, Invariant, broken};
use crate::clients::Clients;
use crate::finance::Finance;
use crate::history::{Fate, History};
use crate::sighting::{Sighting, Sightings};
use crate::workload::{DAY_SECONDS, Workload};
use crate::world::{Stage, World, random};
use invoicer::ledger::Status;
use pricing::time::Instant;
use rand::RngExt;
use rand::rngs::StdRng;
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::shard::ShardCount;
use storage::sim::faults::Chances;
use storage::snapshots::Snapshots as _;

/// A run under way.
pub struct Script {
    random: StdRng,
    /// The running system.
    pub world: World,
    /// What is sold and who buys.
    pub workload: Workload,
    /// Who sends.
    pub clients: Clients,
    auditor: Auditor,
    chances: Chances,
    shards: ShardCount,
    /// Steps taken.
    pub step: u64,
    /// What was seen.
    pub sightings: Sightings,
    number: u64,
    full: bool,
    finance: Finance,
}

const SECOND: i64 = 1_000_000_000;
/// Tries of an advance before a step gives up, while things go wrong.
const TRIES: u32 = 12;
/// The longest that a try may take, of the simulation's time.
const TRY: Duration = Duration::from_secs(400);

// === impl Script ===

impl Script {
    /// Draws everything from the seed.
    ///
    /// # Errors
    /// Never in practice: the number of shards is not zero.
    pub fn new(seed: u64) -> Result<Self, Broken> {
        let mut steps = random(seed, 1);
        let shards = ShardCount::new(steps.random_range(1..4));
        let shards = shards.ok_or_else(|| broken(Invariant::Liv1, "there are no shards"))?;
        let storage = storage::sim::World::with_faults(shards, seed, Chances::default());
        let workload = Workload::draw(&mut random(seed, 3));
        let world = World::new(storage, shards, workload.limits, random(seed, 2));
        let clients = Clients::new(world.door());
        Ok(Self {
            random: steps,
            workload,
            world,
            clients,
            auditor: Auditor::default(),
            chances: Chances::default(),
            shards,
            step: 0,
            sightings: Sightings::default(),
            number: 0,
            full: false,
            finance: Finance::default(),
        })
    }

    /// Runs to the end; what stands in the books then, and what should have become of each event.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub async fn run(&mut self) -> Result<(Books, History), Broken> {
        self.world.start().await;
        self.world
            .apply(&self.workload.catalog(false), &[])
            .await
            .map_err(|error| broken(Invariant::Liv1, format!("the first catalog is refused: {error}")))?;
        self.know();
        self.new_chances();
        for _ in 0..self.random.random_range(18..30) {
            self.step += 1;
            self.one_step().await;
            self.pause().await;
            self.world.start().await;
            self.look(false).await?;
        }
        self.settle().await
    }

    async fn one_step(&mut self) {
        match self.random.random_range(0..100) {
            0..34 => self.send(),
            34..41 => self.resend(),
            41..63 => {
                let hours = if self.random.random_ratio(1, 3) { 24 } else { 7 };
                let by = self.random.random_range(60..hours * 3_600) * SECOND;
                let to = self.world.log_time() + by;
                // Whether it came all the way is no matter: a later one goes on.
                let _ = self.advance(to, true).await;
            }
            63..70 => self.bookkeeping().await,
            70..75 => self.apply_full().await,
            75..79 => self.crash(Stage::Ingest),
            79..83 => self.crash(Stage::Rater),
            83..87 => self.crash(Stage::Invoicer),
            87..90 => {
                // While something is on its way into the log.
                self.send();
                let moment = Duration::from_micros(self.random.random_range(0..20_000));
                tokio::time::sleep(moment).await;
                self.sightings.see(Sighting::MachineCrash);
                self.world.crash_all();
            }
            90..92 => self.damage().await,
            92..94 => {
                self.sightings.see(Sighting::TwoRaters);
                self.world.double_rater();
            }
            94..97 => self.person().await,
            _ => self.new_chances(),
        }
    }

    /// Lets the others run a while.
    async fn pause(&mut self) {
        let pause = self.random.random_range(0..300);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    fn crash(&mut self, stage: Stage) {
        self.sightings.see(match stage {
            Stage::Ingest => Sighting::IngestCrash,
            Stage::Rater => Sighting::RaterCrash,
            Stage::Invoicer => Sighting::InvoicerCrash,
        });
        self.world.crash(stage);
    }

    fn new_chances(&mut self) {
        let mut up_to = |most: u32| self.random.random_range(0..=most);
        self.chances = Chances {
            refused: up_to(50),
            answer_lost: up_to(50),
            partial: up_to(50),
            repeated: up_to(100),
            delayed: up_to(300),
            delay_max: Duration::from_millis(u64::from(up_to(60))),
        };
        self.world.storage.faults.set(self.chances);
    }

    /// Tells ingest, from its next start on, what the catalog says.
    fn know(&mut self) {
        let Ok(tenant) = crate::auditor::tenant() else { return };
        let known = ingest::catalogs::Tenant {
            meters: self.workload.meters(),
            past: pricing::time::Span::from_days(2),
            ..ingest::catalogs::Tenant::default()
        };
        self.world.limits.insert(tenant, known);
    }

    fn send(&mut self) {
        let now = self.world.log_time() / SECOND;
        let batch = (0..self.random.random_range(1..14))
            .map(|_| {
                self.number += 1;
                self.workload.event(&mut self.random, self.number, now)
            })
            .collect();
        self.clients.send(batch);
    }

    /// Copies of what is acknowledged, and other payloads under the same ids.
    fn resend(&mut self) {
        let since = self.world.log_time() - DAY_SECONDS * 3 / 2 * SECOND;
        let mut batch = Vec::new();
        for _ in 0..self.random.random_range(1..8) {
            let drawn = self.random.random_range(0..usize::MAX);
            let Some(mut event) = self.clients.sent().acknowledged(drawn).cloned() else { continue };
            // An id is known for as long as copies of its first event are admissible, and no longer.
            if event.timeless || event.time < since {
                continue;
            }
            if self.random.random_ratio(1, 3) {
                for (name, value) in &mut event.properties {
                    if name == "value" {
                        *value = self.random.random_range(1..99u32).to_string();
                    }
                }
            }
            batch.push(event);
        }
        if !batch.is_empty() {
            self.clients.send(batch);
        }
    }

    async fn apply_full(&mut self) {
        let file = self.workload.catalog(true);
        if self.world.apply(&file, &["p"]).await.is_ok() && !self.full {
            self.full = true;
            if self.workload.customers.iter().any(|customer| customer.late) {
                self.sightings.see(Sighting::LateCustomer);
            }
        }
    }

    /// The newest good snapshot of a shard that has two is no longer what was written.
    async fn damage(&mut self) {
        self.world.storage.faults.heal();
        for shard in self.shards.all() {
            let good = self.world.storage.snapshots.good(shard).await.unwrap_or_default();
            if let [newest, _, ..] = good[..] {
                self.world.storage.snapshots.damage(shard, newest);
                break;
            }
        }
        self.world.storage.faults.set(self.chances);
        self.crash(Stage::Rater);
    }

    /// A person lifts a hold, or issues a draft before its review is over. Whether it works is no matter.
    async fn person(&mut self) {
        self.world.storage.faults.heal();
        let books = Books::read(&self.world.storage).await;
        self.world.storage.faults.set(self.chances);
        let (Ok(books), Ok(tenant)) = (books, crate::auditor::tenant()) else { return };
        let Some(invoicer) = self.world.invoicer() else { return };
        for (id, bill) in books.bills.iter().filter(|(_, bill)| bill.status.is_open()) {
            if bill.status == Status::Held && bill.reason.as_ref().is_some_and(|reason| reason.contains("parked")) {
                if invoicer.closer().waive(&tenant, id, "the simulation says so", "simulation").await.is_ok() {
                    self.sightings.see(Sighting::Waived);
                }
            } else if self.random.random_ratio(1, 2)
                && invoicer.closer().issue(&tenant, id, None, "simulation").await.is_ok()
            {
                self.sightings.see(Sighting::IssuedEarly);
            }
        }
    }

    /// The finance team does something, or asks again for what it had no answer to.
    pub(super) async fn bookkeeping(&mut self) {
        self.world.storage.faults.heal();
        let books = Books::read(&self.world.storage).await;
        self.world.storage.faults.set(self.chances);
        let (Ok(books), Ok(tenant)) = (books, crate::auditor::tenant()) else { return };
        let Some(invoicer) = self.world.invoicer() else { return };
        let closer = invoicer.closer().clone();
        self.finance.act(&closer, &tenant, &books, &mut self.random, &mut self.sightings).await;
    }

    /// Moves log time; with `faulty`, a stage may crash meanwhile.
    async fn advance(&mut self, to: i64, faulty: bool) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..TRIES {
            self.world.start().await;
            let Some(invoicer) = self.world.invoicer() else { continue };
            let clock = invoicer.services().clock().clone();
            let mut task = tokio::spawn(async move { clock.to(Instant::from_nanos(to)).await });
            if faulty && self.random.random_ratio(1, 4) {
                let moment = Duration::from_millis(self.random.random_range(0..400));
                if tokio::time::timeout(moment, &mut task).await.is_err() {
                    self.sightings.see(Sighting::CrashDuringAdvance);
                    self.crash_any();
                    self.pause().await;
                    self.world.start().await;
                } else {
                    return Ok(());
                }
                if !self.world.runs(Stage::Invoicer) {
                    task.abort();
                    continue;
                }
            }
            let answer = tokio::time::timeout(TRY, &mut task).await;
            self.world.log_time();
            match answer {
                Ok(Ok(Ok(_))) => return Ok(()),
                Ok(Ok(Err(error))) => last = error.to_string(),
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => {
                    task.abort();
                    last = "the clock does not answer".to_owned();
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(last)
    }

    fn crash_any(&mut self) {
        match self.random.random_range(0..4) {
            0 => self.crash(Stage::Ingest),
            1 => self.crash(Stage::Rater),
            2 => self.crash(Stage::Invoicer),
            _ => {
                self.sightings.see(Sighting::MachineCrash);
                self.world.crash_all();
            }
        }
    }

    /// Checks what can be checked now; nothing goes wrong while the auditor reads.
    async fn look(&mut self, thoroughly: bool) -> Result<(), Broken> {
        if !thoroughly && !self.random.random_ratio(1, 4) {
            return Ok(());
        }
        self.bounded()?;
        self.world.storage.faults.heal();
        let books = Books::read(&self.world.storage).await?;
        self.auditor.glance(&books, &self.workload, &mut self.sightings)?;
        if thoroughly || self.random.random_ratio(1, 3) {
            let sent = self.clients.sent().clone();
            self.auditor.audit(&self.world.storage, &books, &self.workload, &sent).await?;
        }
        if let Some(status) = self.world.status() {
            for shard in status.shards() {
                if let Some(reason) = shard.halted {
                    return Err(broken(Invariant::Liv1, format!("shard {} halted: {reason}", shard.shard)));
                }
            }
        }
        self.world.storage.faults.set(self.chances);
        Ok(())
    }

    /// What is kept stays under its limits, up to what one read of the log makes of it.
    fn bounded(&mut self) -> Result<(), Broken> {
        const ONE_READ: u64 = 1 << 20;
        let Some(status) = self.world.status() else { return Ok(()) };
        let unsent_max = u64::try_from(self.world.unsent_bytes_max).unwrap_or(u64::MAX);
        for shard in status.shards() {
            if shard.unsent_bytes > unsent_max {
                self.sightings.see(Sighting::Paused);
            }
            if shard.unsent_bytes > unsent_max + ONE_READ {
                return Err(broken(Invariant::Bnd1, format!("{} bytes are unsent", shard.unsent_bytes)));
            }
            let (limits, counters) = (self.workload.limits, shard.counters);
            if counters.parked > limits.parked_max || counters.waiting > limits.waiting_max {
                return Err(broken(Invariant::Bnd1, format!("shard {}: {counters:?} of {limits:?}", shard.shard)));
            }
        }
        Ok(())
    }

    /// What the auditor objects to.
    pub async fn objections(&mut self, books: &Books) -> Vec<Invariant> {
        let sent = self.clients.sent().clone();
        self.auditor.objections(&self.world.storage, books, &self.workload, &sent).await
    }

    fn sight(&mut self, books: &Books, history: &History) {
        let seen = self.world.storage.faults.seen();
        let sightings = &mut self.sightings;
        sightings.add(Sighting::Refused, seen.refused);
        sightings.add(Sighting::AnswerLost, seen.answer_lost);
        sightings.add(Sighting::TornWrite, seen.partial);
        sightings.add(Sighting::Repeated, seen.repeated);
        sightings.add(Sighting::Delayed, seen.delayed);
        sightings.add(Sighting::RecordsLost, seen.records_lost);
        sightings.add(Sighting::Explained, history.explained);
        let loads = &self.world.loads;
        sightings.add(Sighting::SnapshotLoaded, loads.whole.load(Ordering::Relaxed));
        sightings.add(Sighting::SnapshotDamaged, loads.damaged.load(Ordering::Relaxed));
        sightings.add(Sighting::Waited, history.waited);
        let migrated = history.migrated.values().filter(|from| **from > i64::MIN).count();
        sightings.add(Sighting::Migrated, u64::try_from(migrated).unwrap_or(0));
        let tried = self.workload.customers.iter().filter(|customer| customer.trial_until.is_some()).count();
        sightings.add(Sighting::MovedAtOnce, u64::try_from(history.changed.len()).unwrap_or(0));
        let own = self.workload.customers.iter().filter(|customer| !customer.overrides.is_empty()).count();
        sightings.add(Sighting::OwnCurve, u64::try_from(own).unwrap_or(0));
        sightings.add(Sighting::Trial, u64::try_from(tried).unwrap_or(0));
        {
            let sent = self.clients.sent();
            sightings.add(Sighting::ClientRetry, sent.retries);
            sightings.add(Sighting::RefusedAtOnce, sent.refused);
        }
        for (fate, sighting) in [
            (Fate::Duplicate, Sighting::Duplicate),
            (Fate::Conflict, Sighting::Conflict),
            (Fate::Unreadable, Sighting::Unreadable),
            (Fate::TooOld, Sighting::TooOld),
            (Fate::NotBackfilled, Sighting::NotBackfilled),
            (Fate::Unpriced, Sighting::Unpriced),
            (Fate::Unmetered, Sighting::Unmetered),
            (Fate::Expired, Sighting::Expired),
            (Fate::OverQuota, Sighting::OverQuota),
        ] {
            let count = self.shards.all().map(|shard| history.count(shard.0, &[fate])).sum();
            sightings.add(sighting, count);
        }
        let parked = books.outcomes.iter().filter(|one| one.kind == storage::output::OutcomeKind::Parked).count();
        sightings.add(Sighting::Parked, u64::try_from(parked).unwrap_or(0));
        crate::auditor::sight_documents(books, &self.workload, history, sightings);
    }
}
