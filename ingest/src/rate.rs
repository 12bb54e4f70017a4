//! Events per second and tenant: a token bucket that holds one second's worth. A request may overdraw it once, so that
//! one larger than the bucket still gets through, and the tenant then waits until the debt is paid.

use pricing::id::TenantId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The buckets of all tenants that have a limit.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    buckets: Mutex<HashMap<TenantId, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// Millionths of an event; negative is debt.
    level: i128,
    at: Instant,
}

const MILLION: i128 = 1_000_000;

impl Buckets {
    /// Takes `events` from the tenant's bucket, or says how long to wait. `per_second` 0 is no limit.
    pub(crate) fn take(&self, tenant: &TenantId, events: usize, per_second: u64, now: Instant) -> Result<(), Duration> {
        if per_second == 0 || events == 0 {
            return Ok(());
        }
        let full = i128::from(per_second) * MILLION;
        let cost = i128::try_from(events).unwrap_or(i128::MAX / MILLION) * MILLION;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(tenant.clone()).or_insert(Bucket { level: full, at: now });
        // `per_second` events a second are as many millionths a microsecond.
        let micros = now.saturating_duration_since(bucket.at).as_micros();
        let refill = i128::try_from(micros).unwrap_or(i128::MAX / MILLION).saturating_mul(i128::from(per_second));
        bucket.level = bucket.level.saturating_add(refill).min(full);
        bucket.at = now;
        if bucket.level > 0 {
            bucket.level -= cost;
            return Ok(());
        }
        let wait_micros = (MILLION - bucket.level) / i128::from(per_second) + 1;
        Err(Duration::from_micros(u64::try_from(wait_micros).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_is_paid_before_the_next_request() {
        let (buckets, tenant, start) = (Buckets::default(), TenantId::new("acme").unwrap(), Instant::now());
        let later = |millis| start + Duration::from_millis(millis);
        assert_eq!(buckets.take(&tenant, 250, 100, start), Ok(()));
        let wait = buckets.take(&tenant, 1, 100, start).unwrap_err();
        // 150 events of debt and one more, at 100 a second.
        assert!(wait > Duration::from_millis(1_500) && wait < Duration::from_millis(1_520), "{wait:?}");
        assert!(buckets.take(&tenant, 1, 100, later(1_400)).is_err());
        assert_eq!(buckets.take(&tenant, 1, 100, later(1_520)), Ok(()));
        assert_eq!(buckets.take(&TenantId::new("other").unwrap(), 1, 100, start), Ok(()));
        assert_eq!(buckets.take(&tenant, 1_000_000, 0, start), Ok(()));
    }
}
