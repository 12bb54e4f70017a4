//! Clients: send batches again, with the same ids, until they are acknowledged; and remember what they were told.

use crate::auditor::{Books, Broken, Checked, Invariant, broken};
use crate::workload::Event;
use crate::world::Door;
use pricing::time::Instant;
use proto::v1;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::record::{Record, decode, payload_hash};

/// Customer, source, id.
type Identity = (String, String, String);

/// What was sent and what was acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Every payload that was ever sent under an id.
    payloads: BTreeMap<Identity, BTreeMap<u64, Event>>,
    /// What clients were told is safe.
    acknowledged: BTreeSet<(Identity, u64)>,
    /// Batches that are not acknowledged yet.
    pub waiting: usize,
    /// Events refused at once.
    pub refused: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Events sent, copies not counted.
    pub events: u64,
}

/// All clients. Cheap to clone.
#[derive(Clone)]
pub struct Clients {
    sent: Arc<Mutex<Sent>>,
    door: Door,
}

fn identity(event: &Event) -> Identity {
    (event.customer.clone(), event.source.clone(), event.id.clone())
}

/// The hash of what is sent.
fn payload(event: &Event) -> u64 {
    let mut properties: Vec<(&str, &str)> =
        event.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    properties.sort_unstable();
    let time = (!event.timeless).then(|| Instant::from_nanos(event.time));
    payload_hash(&event.event_type, time, &properties)
}

fn wire(event: &Event) -> v1::Event {
    let time = (!event.timeless).then(|| prost_types::Timestamp {
        seconds: event.time.div_euclid(1_000_000_000),
        nanos: i32::try_from(event.time.rem_euclid(1_000_000_000)).unwrap_or(0),
    });
    v1::Event {
        id: event.id.clone(),
        source: event.source.clone(),
        r#type: event.event_type.clone(),
        customer: event.customer.clone(),
        time,
        properties: event.properties.iter().cloned().collect(),
    }
}

// === impl Clients ===

impl Clients {
    /// Clients of one ingest.
    pub fn new(door: Door) -> Self {
        Self { sent: Arc::default(), door }
    }

    /// What they know.
    pub fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a batch until it is acknowledged, in a task of its own.
    pub fn send(&self, batch: Vec<Event>) {
        {
            let mut sent = self.sent();
            sent.waiting += 1;
            for event in &batch {
                let known = sent.payloads.entry(identity(event)).or_default();
                let is_new = known.is_empty();
                known.insert(payload(event), event.clone());
                sent.events += u64::from(is_new);
            }
        }
        let (clients, mut wait) = (self.clone(), Duration::from_millis(20));
        tokio::spawn(async move {
            let request = v1::IngestRequest { events: batch.iter().map(wire).collect(), sequence: 1 };
            loop {
                match clients.door.send(request.clone()).await {
                    Ok(response) => return clients.told(&batch, &response),
                    Err(_) => clients.sent().retries += 1,
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            }
        });
    }

    fn told(&self, batch: &[Event], response: &v1::IngestResponse) {
        let refused: BTreeSet<u32> = response.rejected.iter().map(|one| one.index).collect();
        let mut sent = self.sent();
        sent.waiting -= 1;
        sent.refused += u64::try_from(refused.len()).unwrap_or(u64::MAX);
        let safe = (0u32..).zip(batch).filter(|(index, _)| !refused.contains(index));
        let safe: Vec<_> = safe.map(|(_, event)| (identity(event), payload(event))).collect();
        sent.acknowledged.extend(safe);
    }
}

// === impl Sent ===

impl Sent {
    /// An acknowledged event, drawn by number.
    pub fn acknowledged(&self, number: usize) -> Option<&Event> {
        let at = number.checked_rem(self.acknowledged.len())?;
        let (identity, payload) = self.acknowledged.iter().nth(at)?;
        self.payloads.get(identity)?.get(payload)
    }

    /// What is acknowledged stands in the log, and nothing stands in the log that was not sent.
    pub(crate) fn check(&self, books: &Books) -> Checked {
        let unread = |error: storage::record::DecodeError| broken(Invariant::Con2, error.to_string());
        let mut logged: BTreeSet<(Identity, u64)> = BTreeSet::new();
        for record in books.log.values().flatten() {
            let Record::Events(events) = decode(record).map_err(unread)? else { continue };
            for event in events.iter() {
                let event = event.map_err(unread)?;
                let of =
                    |all: &[&str], at: u32| all.get(at as usize).map_or_else(String::new, |text| (*text).to_owned());
                let customer = events.accounts.get(event.account as usize).map_or("", |(_, customer)| customer);
                let identity = (customer.to_owned(), of(&events.sources, event.source), event.id.to_owned());
                self.is_as_sent(&identity, &event, &events)?;
                logged.insert((identity, event.payload));
            }
        }
        match self.acknowledged.iter().find(|one| !logged.contains(*one)) {
            Some(lost) => Err(broken(Invariant::Con2, format!("{lost:?} was acknowledged and is not in the log"))),
            None => Ok(()),
        }
    }

    fn is_as_sent(
        &self,
        identity: &Identity,
        event: &storage::record::Event<'_>,
        events: &storage::record::Events<'_>,
    ) -> Result<(), Broken> {
        let invented =
            |what: &str| broken(Invariant::Con2, format!("{what} stands in the log: {identity:?} {event:?}"));
        let sent = self.payloads.get(identity).and_then(|known| known.get(&event.payload));
        let sent = sent.ok_or_else(|| invented("what was never sent"))?;
        let names = events.shapes.get(event.shape as usize).map_or(&[][..], Vec::as_slice);
        let logged: BTreeMap<&str, &str> = names.iter().copied().zip(event.values.iter()).collect();
        let meant: BTreeMap<&str, &str> =
            sent.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let same_type = events.types.get(event.event_type as usize) == Some(&sent.event_type.as_str());
        let same_time = sent.timeless || event.time.nanos() == sent.time;
        if logged == meant && same_type && same_time { Ok(()) } else { Err(invented("another payload")) }
    }
}
