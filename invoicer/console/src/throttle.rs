//! How often a sign-in may be tried: a few times at once, then ever more slowly, up to once a minute; and how many
//! passwords are checked at once, since each check is meant to be costly.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Sign-ins that failed lately, by name.
pub(crate) struct Throttle {
    names: Mutex<HashMap<String, Tries>>,
    checks: Semaphore,
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    count: u32,
    last: Instant,
}

/// Tries of one name that need not wait.
const FREE: u32 = 5;
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// After so long all is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// Names that are remembered at once.
const NAMES_MAX: usize = 10_000;
/// Passwords that are checked at once, 19 MiB each.
const CHECKS_MAX: usize = 4;

impl Default for Throttle {
    fn default() -> Self {
        Self { names: Mutex::default(), checks: Semaphore::new(CHECKS_MAX) }
    }
}

impl Throttle {
    /// Counts a try, before it is known how it ends; or says how long the next one has to wait.
    pub(crate) fn admit(&self, name: &str) -> Result<(), Duration> {
        let now = Instant::now();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX && !names.contains_key(name) {
            names.retain(|_, tries| now.duration_since(tries.last) < FORGOTTEN);
            // Whoever fills it with names that nobody has keeps nobody else out.
            let oldest = names.iter().min_by_key(|(_, tries)| tries.last).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest.filter(|_| names.len() >= NAMES_MAX) {
                names.remove(&oldest);
            }
        }
        let tries = names.entry(name.to_owned()).or_insert(Tries { count: 0, last: now });
        let passed = now.duration_since(tries.last);
        if passed >= FORGOTTEN {
            tries.count = 0;
        }
        let wait = wait(tries.count);
        if passed < wait {
            return Err(wait.saturating_sub(passed));
        }
        *tries = Tries { count: tries.count.saturating_add(1), last: now };
        Ok(())
    }

    /// The name signed in.
    pub(crate) fn forget(&self, name: &str) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Waits for its turn to check a password.
    pub(crate) async fn check(&self) -> Option<SemaphorePermit<'_>> {
        self.checks.acquire().await.ok()
    }
}

fn wait(count: u32) -> Duration {
    match count.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1 << more.min(6)).min(WAIT_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::{FREE, Throttle, WAIT_MAX, wait};
    use std::time::Duration;

    #[test]
    fn tries_are_free_at_first_and_then_ever_slower() {
        let throttle = Throttle::default();
        let admitted = (0..20).filter(|_| throttle.admit("anna").is_ok()).count();
        assert!((5..8).contains(&admitted), "{admitted} tries at once");
        assert!(throttle.admit("ben").is_ok(), "one name does not hold up another");
        throttle.forget("anna");
        assert!(throttle.admit("anna").is_ok(), "who signed in begins anew");
        for other in 0..2 * super::NAMES_MAX {
            assert!(throttle.admit(&format!("nobody-{other}")).is_ok(), "many names hold up no other");
        }
        let kept = throttle.names.lock().expect("nobody panicked").len();
        assert!(kept <= super::NAMES_MAX, "{kept} names are kept");
        let waits = [FREE - 1, FREE, FREE + 3, FREE + 100].map(wait);
        assert_eq!(waits, [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(8), WAIT_MAX]);
    }
}
