//! Delivering: one task for each lane, in the process that leads.

use super::kinds::{Attempt, Delivery, Endpoint, EventKind, Lane, LaneId, Pending, Secrets, State};
use super::message::Message;
use super::{Outgoing, Outside, rejected};
use crate::ledger::{Draft, Error, Filter, Ledger, Stored};
use crate::publisher::Publisher;
use pricing::time::{Instant, Span};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use storage::books::AuditQuery;
use storage::charges::Charges;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Delivers messages. See the module's own words.
#[derive(Clone)]
pub struct Deliverer {
    ledger: Ledger,
    publisher: Arc<Publisher>,
    charges: Arc<dyn Charges>,
    outside: Arc<dyn Outside>,
    /// Messages on their way at once, to all addresses.
    permits: Arc<Semaphore>,
}

/// What a look at a lane brought.
enum Step {
    /// There may be more to do at once.
    More,
    /// Nothing to do now.
    Idle,
    /// There is no such webhook any more.
    Gone,
}

/// Tasks that end with whoever holds them.
#[derive(Default)]
struct Tasks(BTreeMap<LaneId, JoinHandle<()>>);

/// Messages on their way at once.
const AT_ONCE: usize = 32;
/// Messages that one webhook may have pending: past that its lane reads no further.
const PENDING_MAX: usize = 500;
/// Entries of the audit log that are looked at at once.
const ENTRIES_MAX: usize = 100;
/// How often a lane is looked at.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether events were rejected.
const LOOK: Duration = Duration::from_secs(5);
/// When a message is sent again, after the first, the second, … failure, in seconds: for about three days in all.
const AGAIN: [u32; 10] = [2, 30, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// After so long without a single success a webhook is disabled.
const PATIENCE: Span = Span::from_days(5);
/// How long deliveries are kept.
const KEPT: Span = Span::from_days(30);
/// How often old ones are removed, and how many at once.
const SWEEP: (Span, usize) = (Span::from_hours(1), 100);
/// By this an address says that it wants nothing more.
const GONE: u16 = 410;
/// Attempts that a delivery remembers.
const ATTEMPTS_MAX: usize = 20;

// === impl Deliverer ===

impl Deliverer {
    /// A deliverer over these books and charges.
    pub fn new(
        ledger: Ledger,
        publisher: Arc<Publisher>,
        charges: Arc<dyn Charges>,
        outside: Arc<dyn Outside>,
    ) -> Self {
        Self { ledger, publisher, charges, outside, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Delivers; never ends. Dropping it stops what is on its way, which is then sent again by whoever leads next.
    pub async fn run(&self) {
        let mut tasks = Tasks::default();
        loop {
            match self.ledger.all::<Lane>(None, &Filter::default()).await {
                Ok(lanes) => {
                    tasks.0.retain(|_, task| !task.is_finished());
                    for id in lanes.iter().filter_map(|lane| LaneId::parse(&lane.id)) {
                        tasks.0.entry(id.clone()).or_insert_with(|| tokio::spawn(self.clone().follow(id)));
                    }
                }
                Err(error) => tracing::warn!(%error, "webhooks wait"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Works on one lane until its webhook is gone.
    async fn follow(self, id: LaneId) {
        let mut looked: Option<tokio::time::Instant> = None;
        loop {
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                looked = Some(tokio::time::Instant::now());
                if let Err(error) = self.take_rejected(&id).await {
                    tracing::debug!(%error, webhook = id.text(), "a webhook waits");
                }
            }
            match self.step(&id).await {
                Ok(Step::More) => {}
                Ok(Step::Gone) => return,
                Ok(Step::Idle) => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    // A person changed the lane at the same moment, or this process leads no more.
                    tracing::debug!(%error, webhook = id.text(), "a webhook waits");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn step(&self, id: &LaneId) -> Result<Step, Error> {
        let Some(lane) = self.ledger.get::<Lane>(None, &id.text()).await? else { return Ok(Step::Gone) };
        let webhook = id.webhook.as_str();
        let Some(endpoint) = self.ledger.get::<Endpoint>(Some(&id.tenant), webhook).await? else {
            let mut draft = self.draft();
            draft.remove::<Lane>(None, &lane.id, lane.revision);
            self.ledger.commit(draft).await?;
            return Ok(Step::Gone);
        };
        if endpoint.value.disabled.is_some() {
            return Ok(Step::Idle);
        }
        if lane.value.pending.len() < PENDING_MAX && self.take(id, &lane, &endpoint.value).await? {
            return Ok(Step::More);
        }
        let now = self.publisher.wall();
        let due = lane.value.pending.iter().filter(|pending| pending.due <= now);
        match due.min_by_key(|pending| (pending.due, pending.delivery.clone())).cloned() {
            Some(pending) => self.send(id, lane, endpoint, pending).await,
            None => self.sweep(id, lane, now).await,
        }
    }

    /// Makes messages of what was changed since; false where nothing was.
    async fn take(&self, id: &LaneId, lane: &Stored<Lane>, endpoint: &Endpoint) -> Result<bool, Error> {
        let query = AuditQuery::all(Some(&id.tenant), lane.value.seen, ENTRIES_MAX);
        let entries = self.ledger.books().audit(&query).await?;
        let Some(last) = entries.last() else { return Ok(false) };
        let (mut next, mut draft) = (lane.value.clone(), self.draft());
        next.seen = last.number;
        self.add(id, &mut next, endpoint, entries.iter().filter_map(Message::of), &mut draft)?;
        draft.put(None, &lane.id, Some(lane.revision), &next)?;
        self.ledger.commit(draft).await?;
        Ok(true)
    }

    /// Makes messages of events that were rejected since.
    async fn take_rejected(&self, id: &LaneId) -> Result<(), Error> {
        let lane = self.ledger.get::<Lane>(None, &id.text()).await?;
        let endpoint = self.ledger.get::<Endpoint>(Some(&id.tenant), id.webhook.as_str()).await?;
        let Some((lane, endpoint)) = lane.zip(endpoint) else { return Ok(()) };
        let is_told = endpoint.value.disabled.is_none() && endpoint.value.events.contains(&EventKind::Rejected);
        if !is_told || lane.value.pending.len() >= PENDING_MAX {
            return Ok(());
        }
        let (mut next, shards) = (lane.value.clone(), self.publisher.shards());
        let messages = match rejected::messages(self.charges.as_ref(), shards, &id.tenant, &mut next).await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::debug!(%error, webhook = id.text(), "rejected events cannot be read");
                return Ok(());
            }
        };
        if messages.is_empty() && lane.value.rejected.is_some() {
            return Ok(());
        }
        let mut draft = self.draft();
        self.add(id, &mut next, &endpoint.value, messages.into_iter(), &mut draft)?;
        draft.put(None, &lane.id, Some(lane.revision), &next)?;
        self.ledger.commit(draft).await
    }

    /// Adds those messages to a lane that its webhook is told.
    fn add(
        &self,
        id: &LaneId,
        lane: &mut Lane,
        endpoint: &Endpoint,
        messages: impl Iterator<Item = Message>,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        let now = self.publisher.wall();
        for message in messages.filter(|message| endpoint.events.contains(&message.event)) {
            let delivery = format!("{}.{}", message.id, id.webhook);
            lane.pending.push(Pending { delivery: delivery.clone(), due: now, attempts: 0 });
            let made = Delivery {
                webhook: id.webhook.clone(),
                message: message.id,
                event: message.event,
                body: message.body,
                made: now,
                state: State::Pending,
                attempts: Vec::new(),
            };
            draft.put(Some(&id.tenant), &delivery, None, &made)?;
        }
        Ok(())
    }

    /// Sends one message, and writes down what came of it.
    async fn send(
        &self,
        id: &LaneId,
        lane: Stored<Lane>,
        endpoint: Stored<Endpoint>,
        pending: Pending,
    ) -> Result<Step, Error> {
        let tenant = Some(&id.tenant);
        let delivery = self.ledger.get::<Delivery>(tenant, &pending.delivery).await?;
        let secrets = self.ledger.get::<Secrets>(tenant, id.webhook.as_str()).await?;
        let (mut next, mut draft) = (lane.value, self.draft());
        let Some((delivery, secrets)) = delivery.zip(secrets) else {
            next.pending.retain(|other| other.delivery != pending.delivery);
            draft.put(None, &lane.id, Some(lane.revision), &next)?;
            self.ledger.commit(draft).await?;
            return Ok(Step::More);
        };
        let mut known = delivery.value;
        let answer = self.post(&endpoint.value.url, &secrets.value, &known).await;
        let now = self.publisher.wall();
        let state = next.answered(&pending, &answer, now);
        if let Some(reason) = next.given_up(&answer, now) {
            next.restart(now);
            draft.put(
                tenant,
                &endpoint.id,
                Some(endpoint.revision),
                &Endpoint { disabled: Some(reason), ..endpoint.value },
            )?;
        }
        known.attempts.push(Attempt { time: now, answer });
        let forgotten = known.attempts.len().saturating_sub(ATTEMPTS_MAX);
        known.attempts.drain(..forgotten);
        known.state = state;
        draft.put(tenant, &delivery.id, Some(delivery.revision), &known)?;
        draft.put(None, &lane.id, Some(lane.revision), &next)?;
        self.ledger.commit(draft).await?;
        Ok(Step::More)
    }

    async fn post(&self, url: &str, secrets: &Secrets, delivery: &Delivery) -> Result<u16, String> {
        // It is never closed.
        let _permit = self.permits.acquire().await;
        let headers = secrets.headers(&delivery.message, self.publisher.wall(), &delivery.body);
        self.outside.post(Outgoing { url: url.to_owned(), headers, body: delivery.body.clone() }).await
    }

    /// Removes deliveries that are old enough, from time to time.
    async fn sweep(&self, id: &LaneId, lane: Stored<Lane>, now: Instant) -> Result<Step, Error> {
        if lane.value.swept.is_some_and(|swept| now < swept.plus(SWEEP.0)) {
            return Ok(Step::Idle);
        }
        let filter = Filter { tags: vec![("webhook".to_owned(), id.webhook.to_string())], ..Filter::default() };
        let oldest = self.ledger.list::<Delivery>(Some(&id.tenant), &filter, SWEEP.1).await?;
        let old = oldest.iter().filter(|delivery| delivery.value.made.plus(KEPT) < now);
        let (mut draft, mut removed) = (self.draft(), 0);
        for delivery in old.filter(|delivery| delivery.value.state != State::Pending) {
            draft.remove::<Delivery>(Some(&id.tenant), &delivery.id, delivery.revision);
            removed += 1;
        }
        // Where there may be more, the next look goes on.
        let swept = if removed == SWEEP.1 { None } else { Some(now) };
        draft.put(None, &lane.id, Some(lane.revision), &Lane { swept, ..lane.value })?;
        self.ledger.commit(draft).await?;
        Ok(Step::More)
    }

    fn draft(&self) -> Draft {
        Draft::new("webhooks", "deliver", self.publisher.log_time())
    }
}

// === impl Lane ===

impl Lane {
    /// Writes an answer down: how the delivery stands by it.
    fn answered(&mut self, sent: &Pending, answer: &Result<u16, String>, now: Instant) -> State {
        let Some(at) = self.pending.iter().position(|pending| pending.delivery == sent.delivery) else {
            return State::Failed;
        };
        if matches!(answer, Ok(200..300)) {
            self.pending.remove(at);
            self.failing_since = None;
            return State::Delivered;
        }
        self.failing_since = self.failing_since.or(Some(now));
        match AGAIN.get(sent.attempts) {
            Some(seconds) => {
                let attempts = sent.attempts + 1;
                let due = now.plus(spread(&sent.delivery, attempts, *seconds));
                self.pending[at] = Pending { delivery: sent.delivery.clone(), due, attempts };
                State::Pending
            }
            None => {
                self.pending.remove(at);
                State::Failed
            }
        }
    }

    /// Why the webhook is to be told nothing more, if it is.
    fn given_up(&self, answer: &Result<u16, String>, now: Instant) -> Option<String> {
        if *answer == Ok(GONE) {
            return Some("the address answered 410: it wants nothing more".to_owned());
        }
        let since = self.failing_since.filter(|since| since.plus(PATIENCE) <= now)?;
        Some(format!("every attempt since {since} failed"))
    }

    /// From a fresh start, once it is enabled again.
    fn restart(&mut self, now: Instant) {
        self.failing_since = None;
        for pending in &mut self.pending {
            (pending.due, pending.attempts) = (now, 0);
        }
    }
}

/// The pause before an attempt: up to a fifth longer or shorter, so that those of many messages do not fall together.
fn spread(delivery: &str, attempts: usize, seconds: u32) -> Span {
    let digest = Sha256::digest(format!("{delivery}/{attempts}"));
    let part = i64::from(digest.first().copied().unwrap_or_default()) - 128;
    let nanos = Span::from_seconds(seconds).nanos();
    Span::from_nanos(nanos + nanos / 5 * part / 128)
}

// === impl Tasks ===

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.0.values() {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Deliverer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Deliverer")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    fn pending(delivery: &str) -> Pending {
        Pending { delivery: delivery.to_owned(), due: Instant::from_nanos(0), attempts: 0 }
    }

    #[test]
    fn a_message_is_sent_again_for_days_and_then_given_up() {
        let mut lane = Lane { pending: vec![pending("a"), pending("b")], ..Lane::default() };
        let (mut now, start) = (Instant::from_nanos(0), Instant::from_nanos(0));
        let mut tries = 0;
        while let Some(next) = lane.pending.iter().find(|pending| pending.delivery == "a").cloned() {
            now = now.max(next.due);
            lane.answered(&next, &Err("no".to_owned()), now);
            tries += 1;
        }
        assert_eq!(tries, AGAIN.len() + 1);
        let took = now.since(start);
        assert!(took > Span::from_days(2) && took < PATIENCE, "{took}");
        assert_eq!(lane.pending, [pending("b")], "the other one did not wait for it");
        assert_eq!(lane.given_up(&Ok(500), now), None);
        assert!(lane.given_up(&Ok(500), start.plus(PATIENCE)).is_some());
        assert!(lane.given_up(&Ok(GONE), start).is_some());
        assert_eq!(lane.answered(&pending("b"), &Ok(204), now), State::Delivered);
        assert_eq!((lane.failing_since, lane.pending.len()), (None, 0));
    }
}
