//! The state as bytes: the same state gives the same bytes, whatever led to it.

use super::catalog::{Gate, Plan, Tenant};
use super::customer::Customer;
use super::emit::Emit;
use super::park::Stored;
use super::{Fold, Options, RestoreError, StateHash};
use crate::codec::{Frames, Malformed, Reader, Writer};
use crate::ids::{Day, Index, Key, Room};
use bytes::Bytes;
use pricing::id::TenantId;
use pricing::meter::Meter;
use pricing::plan::PlanVersion;
use pricing::time::{Instant, Span};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::sync::Arc;
use storage::output::{Counters, EventPlace};
use storage::shard::{Offset, Shard, ShardCount};

/// 3 knows which levels periods begin with, 4 keeps a meter's levels when its unit changes; who goes on from an older one
/// would put out other rows than who folds anew.
const VERSION: u32 = 4;

/// Frames, in the order in which they come.
const HEAD: u8 = 1;
const TENANT: u8 = 2;
const CUSTOMERS: u8 = 3;
const WAITING: u8 = 4;
const PARKED: u8 = 5;
const IDS: u8 = 6;
const END: u8 = 7;

const CUSTOMERS_A_FRAME: usize = 256;
const EVENTS_A_FRAME: usize = 1_024;
const ID_BYTES_A_FRAME: usize = 1 << 20;

#[derive(serde::Serialize, serde::Deserialize)]
struct Head {
    shard: Shard,
    shards: ShardCount,
    next: Offset,
    record: u64,
    log_time: Instant,
    /// What was set: the limits are part of what was folded. Not taken up again.
    #[serde(default)]
    options: Options,
    key: Option<String>,
    barrier: u8,
    #[serde(default)]
    skipped: BTreeSet<Offset>,
    counters: Counters,
    gate: Gate,
    retry: Vec<EventPlace>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct TenantBody {
    name: TenantId,
    versions: Vec<u64>,
    gate: Gate,
    grace: Span,
    meters: Vec<Meter>,
    plans: Vec<PlanVersion>,
}

/// How far a state is written.
#[derive(Default)]
pub(super) struct Cursor {
    kind: u8,
    at: usize,
    place: Option<(Instant, EventPlace)>,
}

/// A state on its way out: owns the fold, and gives it back when it is dropped.
pub(crate) struct Chunks {
    fold: Option<Box<Fold>>,
    cursor: Cursor,
    back: Option<tokio::sync::oneshot::Sender<Box<Fold>>>,
}

fn json(value: &impl serde::Serialize, out: &mut Writer) {
    // Every part of the state has text keys only, so it can be JSON.
    out.blob(&serde_json::to_vec(value).unwrap_or_default());
}

fn read_json<T: serde::de::DeserializeOwned>(from: &mut Reader<'_>) -> Result<T, Malformed> {
    serde_json::from_slice(from.blob()?).map_err(|_| Malformed("a part that is not what it should be"))
}

// === impl Chunks ===

impl Chunks {
    pub(crate) fn new(fold: Box<Fold>, back: tokio::sync::oneshot::Sender<Box<Fold>>) -> Self {
        Self { fold: Some(fold), cursor: Cursor::default(), back: Some(back) }
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.fold.as_ref()?.frame(&mut self.cursor)
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        if let Some((fold, back)) = self.fold.take().zip(self.back.take()) {
            // Nobody waits for it any more: then nobody needs it.
            let _ = back.send(fold);
        }
    }
}

// === impl Fold ===

impl Fold {
    /// The state as chunks, without a copy of the whole. They are good if [`Fold::is_sound`] says so afterwards.
    pub fn chunks(&self) -> impl Iterator<Item = Bytes> + '_ {
        let mut cursor = Cursor::default();
        std::iter::from_fn(move || self.frame(&mut cursor))
    }

    /// The hash of the state: equal where the same records were folded.
    pub fn state_hash(&self) -> StateHash {
        let mut hasher = SipHasher24::new();
        for chunk in self.chunks() {
            hasher.write(&chunk);
        }
        StateHash(hasher.finish128().as_bytes())
    }

    fn frame(&self, cursor: &mut Cursor) -> Option<Bytes> {
        loop {
            let mut out = Writer::default();
            let kind = cursor.kind;
            let is_over = match kind {
                0 => true,
                HEAD => self.write_head(cursor, &mut out),
                TENANT => self.write_tenant(cursor, &mut out),
                CUSTOMERS => self.write_customers(cursor, &mut out),
                WAITING => {
                    let after = cursor.place;
                    write_events(self.waiting.after(after), cursor, &mut out)
                }
                PARKED => write_events(self.parked.iter().skip(cursor.at), cursor, &mut out),
                IDS => self.write_ids(cursor, &mut out),
                END => cursor.at > 0,
                _ => return None,
            };
            if is_over {
                *cursor = Cursor { kind: kind + 1, ..Cursor::default() };
                continue;
            }
            if kind == END {
                cursor.at = 1;
            }
            return Some(out.frame(kind));
        }
    }

    fn write_head(&self, cursor: &mut Cursor, out: &mut Writer) -> bool {
        if cursor.at > 0 {
            return true;
        }
        cursor.at = 1;
        out.u32(VERSION);
        let head = Head {
            shard: self.shard,
            shards: self.shards,
            next: self.next,
            record: self.record,
            log_time: self.log_time,
            options: self.options,
            key: self.key.map(Key::to_hex),
            barrier: self.barrier,
            skipped: self.skipped.clone(),
            counters: self.counters,
            gate: self.gate,
            retry: self.parked.retry.iter().copied().collect(),
        };
        json(&head, out);
        self.ids.write_days(out);
        false
    }

    fn write_tenant(&self, cursor: &mut Cursor, out: &mut Writer) -> bool {
        let Some(tenant) = self.tenants.get(cursor.at) else { return true };
        cursor.at += 1;
        let body = TenantBody {
            name: tenant.name.clone(),
            versions: tenant.versions.clone(),
            gate: tenant.gate,
            grace: tenant.grace,
            meters: tenant.meters.clone(),
            plans: tenant.plans.values().map(|plan| plan.version.clone()).collect(),
        };
        json(&body, out);
        false
    }

    fn write_customers(&self, cursor: &mut Cursor, out: &mut Writer) -> bool {
        let Some(rest) = self.customers.get(cursor.at..).filter(|rest| !rest.is_empty()) else { return true };
        for customer in rest.iter().take(CUSTOMERS_A_FRAME) {
            json(customer, out);
            cursor.at += 1;
        }
        false
    }

    fn write_ids(&self, cursor: &mut Cursor, out: &mut Writer) -> bool {
        if cursor.at >= Index::pieces() || self.is_sound().is_err() {
            return true;
        }
        while cursor.at < Index::pieces() && out.len() < ID_BYTES_A_FRAME && self.is_sound().is_ok() {
            self.ids.write_piece(cursor.at, out);
            cursor.at += 1;
        }
        false
    }

    /// The state that [`Fold::chunks`] wrote.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(
        chunks: impl Iterator<Item = Result<Bytes, storage::snapshots::Error>>,
        options: Options,
        room: Room,
    ) -> Result<Self, RestoreError> {
        let mut frames = Frames::new(chunks.map(|chunk| chunk.map_err(RestoreError::from)));
        let Some((HEAD, head)) = frames.next()? else { return Err(Malformed("no head").into()) };
        let mut fold = read_head(&mut Reader::new(&head), options)?;
        fold.set_room(room);
        let mut piece = 0;
        let mut is_complete = false;
        while let Some((kind, frame)) = frames.next()? {
            let mut from = Reader::new(&frame);
            match kind {
                TENANT => fold.read_tenant(&mut from)?,
                CUSTOMERS => fold.read_customers(&mut from)?,
                WAITING => for_each(&mut from, |event| fold.waiting.insert(event))?,
                PARKED => for_each(&mut from, |event| fold.parked.insert(event))?,
                IDS => {
                    while !from.is_empty() {
                        fold.ids.read_piece(piece, &mut from)?;
                        fold.ids.make_room()?;
                        piece += 1;
                    }
                }
                END => is_complete = true,
                _ => return Err(Malformed("a part that is not known").into()),
            }
        }
        if !is_complete || piece != Index::pieces() {
            return Err(Malformed("less than all").into());
        }
        Ok(fold)
    }

    fn read_tenant(&mut self, from: &mut Reader<'_>) -> Result<(), Malformed> {
        let TenantBody { name, versions, gate, grace, meters, plans } = read_json(from)?;
        let at = self.tenant_or_new(&name);
        let mut compiled = BTreeMap::new();
        for version in plans {
            let plan = Plan::new(version, self.plans).map_err(|_| Malformed("a plan without its meters"))?;
            self.plans = self.plans.saturating_add(1);
            compiled.insert(plan.version.plan.clone(), Arc::new(plan));
        }
        let tenant = self.tenants.get_mut(at).ok_or(Malformed("a tenant that is not there"))?;
        *tenant = Tenant { versions, grace, meters, plans: compiled, ..Tenant::new(name, gate) };
        tenant.find_level_types();
        Ok(())
    }

    fn read_customers(&mut self, from: &mut Reader<'_>) -> Result<(), Malformed> {
        for_each(from, |customer: Customer| self.customers.push(customer))?;
        let Self { customers, tenants, .. } = self;
        for (number, customer) in (0u32..).zip(customers).filter(|(_, customer)| !customer.is_bound()) {
            let tenant = usize::try_from(customer.tenant).ok().and_then(|at| tenants.get_mut(at));
            let tenant = tenant.ok_or(Malformed("a customer of an unknown tenant"))?;
            customer.bind(tenant)?;
            index(tenant, number, customer);
        }
        Ok(())
    }
}

/// Finds what a tenant knows of a customer again.
fn index(tenant: &mut Tenant, number: u32, customer: &mut Customer) {
    tenant.customers.insert(customer.id.clone(), number);
    for (at, sub) in (0u32..).zip(&mut customer.subscriptions) {
        if let Some((next, _)) = sub.next_to_close() {
            tenant.closing.insert((next.end, number, at));
        }
        tenant.opening.extend(sub.next_to_open().map(|(next, _)| (next.start, number, at)));
        for state in &mut sub.periods {
            let Some(closed) = &mut state.closed else { continue };
            tenant.kept.insert((state.period.end, number, at, state.period.start));
            if std::mem::take(&mut closed.is_changed) {
                tenant.mark_changed(number, at, state);
            }
        }
    }
}

fn read_head(from: &mut Reader<'_>, options: Options) -> Result<Fold, RestoreError> {
    let version = from.u32()?;
    if version != VERSION {
        return Err(RestoreError::Version { found: version, known: VERSION });
    }
    let head: Head = read_json(from)?;
    let Head { shard, shards, next, record, log_time, key, barrier, skipped, counters, gate, retry, .. } = head;
    let mut fold = Fold::new(shard, shards, options);
    fold.key = match key {
        Some(key) => Some(Key::parse(&key).ok_or(Malformed("a key that is none"))?),
        None => None,
    };
    (fold.next, fold.record, fold.log_time, fold.today) = (next, record, log_time, Day::of(log_time));
    (fold.barrier, fold.skipped, fold.counters, fold.gate) = (barrier, skipped, counters, gate);
    fold.emit = Emit::new(shard, next);
    fold.parked.retry.extend(retry);
    fold.ids.read_days(from, fold.today)?;
    Ok(fold)
}

fn write_events<'a>(events: impl Iterator<Item = &'a Stored>, cursor: &mut Cursor, out: &mut Writer) -> bool {
    let mut is_over = true;
    for event in events.take(EVENTS_A_FRAME) {
        is_over = false;
        json(event, out);
        cursor.at += 1;
        cursor.place = Some((event.time, event.place));
    }
    is_over
}

fn for_each<T: serde::de::DeserializeOwned>(from: &mut Reader<'_>, mut take: impl FnMut(T)) -> Result<(), Malformed> {
    while !from.is_empty() {
        take(read_json(from)?);
    }
    Ok(())
}
