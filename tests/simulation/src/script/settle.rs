//! The end of a run: everything heals, and then everything must get through.

use super::{SECOND, Script};
use crate::auditor::{Books, Broken, Invariant, broken};
use crate::history::History;
use crate::workload::{BEGIN_SECONDS, DAY_SECONDS};
use invoicer::ledger::Status;
use rand::RngExt;
use std::time::Duration;
use storage::log::Log as _;
use storage::shard::Shard;
use storage::sim::faults::Chances;

// === impl Script ===

impl Script {
    /// Everything heals; then everything must get through.
    pub(super) async fn settle(&mut self) -> Result<(Books, History), Broken> {
        let stuck = |what: String| broken(Invariant::Liv1, what);
        self.chances = Chances::default();
        self.world.storage.faults.heal();
        self.step += 1;
        self.world.end_zombie();
        self.world.start().await;
        self.world
            .apply(&self.workload.catalog(true), &["p"])
            .await
            .map_err(|error| stuck(format!("the full catalog: {error}")))?;
        self.number += 1;
        let mut fresh = self.workload.event(&mut self.random, self.number, self.world.log_time() / SECOND);
        (fresh.event_type, fresh.timeless) = ("use".to_owned(), false);
        fresh.customer.clone_from(&self.workload.customers[0].id);
        fresh.time = self.world.log_time() - SECOND;
        fresh.properties[2].1 = "1".to_owned();
        self.clients.send(vec![fresh.clone()]);
        let waiting = || self.clients.sent().waiting;
        let acknowledged = async {
            while waiting() > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), acknowledged).await.is_err() {
            return Err(stuck(format!("{} batches are never acknowledged", waiting())));
        }
        let end = self.world.log_time().max((BEGIN_SECONDS + 2 * DAY_SECONDS) * SECOND) + 5 * DAY_SECONDS * SECOND;
        for part in 1..=5 {
            let to = end - (5 - part) * DAY_SECONDS * SECOND;
            self.advance(to, false).await.map_err(|error| stuck(format!("log time does not reach {to}: {error}")))?;
            // While several bills are issued, and some are on their way.
            let acts = if part < 5 { self.random.random_range(0..6) } else { 0 };
            for _ in 0..acts {
                self.bookkeeping().await;
            }
            self.release().await?;
        }
        self.told().await?;
        self.advance(end + 9 * 3_600 * SECOND, false).await.map_err(stuck)?;
        self.release().await?;
        self.caught_up().await?;
        let books = Books::read(&self.world.storage).await?;
        self.auditor.glance(&books, &self.workload, &mut self.sightings)?;
        let sent = self.clients.sent().clone();
        let history = self.auditor.audit(&self.world.storage, &books, &self.workload, &sent).await?;
        self.auditor.settled(&books, &self.workload, &history)?;
        self.finance.check(&books)?;
        let is_fresh = |event: &crate::workload::Event| event.id == fresh.id;
        let gone = self.workload.customers[0].until.is_some_and(|until| fresh.time >= until * SECOND);
        if !gone && !history.charged(&fresh.customer).any(is_fresh) {
            return Err(stuck(format!("a fresh event is not charged: {fresh:?}")));
        }
        self.sight(&books, &history);
        Ok((books, history))
    }

    /// A person issues what is held for being below zero or unlike the last, or by a person.
    async fn release(&mut self) -> Result<(), Broken> {
        let tenant = crate::auditor::tenant()?;
        for _ in 0..40 {
            let books = Books::read(&self.world.storage).await?;
            let Some(invoicer) = self.world.invoicer() else { return Ok(()) };
            let mut is_done = true;
            for (id, bill) in &books.bills {
                let waits = ["below zero", "hold_above", "held by"];
                let reason = bill.reason.as_ref().filter(|_| bill.status == Status::Held);
                if reason.is_some_and(|reason| waits.iter().any(|word| reason.contains(word))) {
                    // Where it is refused, one before it must go first.
                    is_done &= invoicer.closer().issue(&tenant, id, None, "simulation").await.is_err();
                }
            }
            if is_done {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The finance team knows what came of all that it did.
    async fn told(&mut self) -> Result<(), Broken> {
        for _ in 0..20 {
            if !self.finance.is_waiting() {
                return self.release().await;
            }
            self.bookkeeping().await;
        }
        Err(broken(Invariant::Liv1, "the finance team is never told what came of something"))
    }

    /// The store has all of the log.
    async fn caught_up(&self) -> Result<(), Broken> {
        for shard in self.shards.all() {
            self.shard_caught_up(shard).await?;
        }
        Ok(())
    }

    async fn shard_caught_up(&self, shard: Shard) -> Result<(), Broken> {
        use storage::charges::Charges as _;
        for _ in 0..1_000 {
            let end = self.world.storage.log.bounds(shard).await.map(|bounds| bounds.end);
            let stored = self.world.storage.charges.boundary(shard).await;
            if let (Ok(end), Ok(Some(stored))) = (end, stored)
                && stored.next == end
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(broken(Invariant::Liv1, format!("shard {shard} lags for ever")))
    }
}
