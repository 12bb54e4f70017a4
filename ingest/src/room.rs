//! Room: how many calls and bytes may be under way, in all, of one tenant, and of one call. So a call that stalls leaves room
//! for its tenant's others, and a tenant whose calls all stall leaves room for other tenants.

use crate::options::Options;
use pricing::id::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What the semaphores of bytes count.
const PERMIT_BYTES: usize = 1024;
/// A tenant may hold one of so many parts of the calls and of the bytes,
const TENANTS: usize = 2;
/// and a call one of so many of the bytes; or the largest request, where that is more.
const CALLS: usize = 4;

/// All there is.
pub(crate) struct Rooms {
    calls: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// Those that ever sent something.
    tenants: Mutex<HashMap<TenantId, Tenant>>,
    calls_of_tenant: usize,
    bytes_of_tenant: u32,
    bytes_of_call: u32,
    wait: Duration,
}

/// What one tenant may hold.
#[derive(Clone)]
struct Tenant {
    calls: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A call's place, and what it may hold. Given back when it is dropped.
pub(crate) struct Call {
    of_call: Arc<Semaphore>,
    of_tenant: Arc<Semaphore>,
    _place: [OwnedSemaphorePermit; 2],
}

/// Room for bytes, given back when their events are in the log.
pub(crate) struct Room {
    /// Of the call's, of the tenant's, of all.
    permits: [OwnedSemaphorePermit; 3],
    /// For how many it is: permits are counted on all of them together, so that small pieces take no more than they are.
    bytes: usize,
}

/// Whose share is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All there is.
    All,
    /// The tenant's.
    Tenant,
}

// === impl Rooms ===

impl Rooms {
    pub(crate) fn new(options: &Options) -> Self {
        // A compressed request takes room for what came, and for what it may become.
        let largest = options.limits.request_bytes_max.saturating_mul(2);
        let bytes_max = options.queued_bytes_max.max(largest);
        Self {
            calls: Arc::new(Semaphore::new(options.calls_max.min(Semaphore::MAX_PERMITS))),
            bytes: semaphore(permits(bytes_max)),
            tenants: Mutex::default(),
            calls_of_tenant: Self::calls_of_tenant(options),
            bytes_of_tenant: permits((bytes_max / TENANTS).max(largest)),
            bytes_of_call: permits((options.queued_bytes_max / CALLS).max(largest)),
            wait: options.queue_wait,
        }
    }

    /// How many calls a tenant may have under way.
    pub(crate) fn calls_of_tenant(options: &Options) -> usize {
        options.calls_max.div_ceil(TENANTS).min(Semaphore::MAX_PERMITS)
    }

    /// A place for a call.
    pub(crate) fn call(&self, tenant: &TenantId) -> Result<Call, Full> {
        let Tenant { calls, bytes } = self.of(tenant);
        let of_tenant = calls.try_acquire_owned().map_err(|_| Full::Tenant)?;
        let of_all = self.calls.clone().try_acquire_owned().map_err(|_| Full::All)?;
        Ok(Call { of_call: semaphore(self.bytes_of_call), of_tenant: bytes, _place: [of_tenant, of_all] })
    }

    /// Waits for room for more bytes of a request that has some already: first until the call holds less, then for room of
    /// the tenant's and of all, which has to come in time.
    pub(crate) async fn more(&self, call: &Call, held_bytes: usize, more_bytes: usize) -> Result<Room, Full> {
        let permits = |bytes| permits(bytes).min(self.bytes_of_call);
        let more = permits(held_bytes.saturating_add(more_bytes)) - permits(held_bytes);
        // Nobody closes them.
        let of_call = call.of_call.clone().acquire_many_owned(more).await.map_err(|_| Full::All)?;
        let in_time =
            |semaphore: &Arc<Semaphore>| tokio::time::timeout(self.wait, semaphore.clone().acquire_many_owned(more));
        let of_tenant = in_time(&call.of_tenant).await.ok().and_then(Result::ok).ok_or(Full::Tenant)?;
        let of_all = in_time(&self.bytes).await.ok().and_then(Result::ok).ok_or(Full::All)?;
        Ok(Room { permits: [of_call, of_tenant, of_all], bytes: more_bytes })
    }

    fn of(&self, tenant: &TenantId) -> Tenant {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tenants.get(tenant) {
            return known.clone();
        }
        let new =
            Tenant { calls: Arc::new(Semaphore::new(self.calls_of_tenant)), bytes: semaphore(self.bytes_of_tenant) };
        tenants.entry(tenant.clone()).or_insert(new).clone()
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}

fn semaphore(permits: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS)))
}

// === impl Room ===

impl Room {
    /// For how many bytes it is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts more to it.
    pub(crate) fn add(&mut self, more: Self) {
        for (permit, more) in self.permits.iter_mut().zip(more.permits) {
            permit.merge(more);
        }
        self.bytes += more.bytes;
    }

    /// Gives back what is not needed for so many bytes.
    pub(crate) fn cut_to(mut self, bytes: usize) -> Self {
        let kept = usize::try_from(permits(bytes)).unwrap_or(usize::MAX);
        for permit in &mut self.permits {
            drop(permit.split(permit.num_permits().saturating_sub(kept)));
        }
        self.bytes = self.bytes.min(bytes);
        self
    }
}
