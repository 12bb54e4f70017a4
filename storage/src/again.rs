//! Another look at the books, before somebody is refused by a picture of them that may be old.
//!
//! Keys and catalogs are looked up in memory, in pictures that are read again every few seconds. Who is unknown to a picture
//! may be known to the books; so whoever is about to be refused waits for one more look, which began after it came. Everybody
//! who waits shares it, and looks have their distance, so that wrong keys cannot load the books.

use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

/// How far apart looks are, at the least.
pub const EVERY: Duration = Duration::from_secs(1);

/// How long a look may take: past it the old picture decides.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How many wait for a look at once: whoever comes on top is judged by the old picture.
const WAITING_MAX: usize = 256;

/// What can be looked at again.
#[async_trait]
pub trait Look: Send + Sync + 'static {
    /// Reads what may have changed.
    ///
    /// # Errors
    /// Why it cannot be read; the old picture then stays.
    async fn look(&self) -> Result<(), String>;
}

/// Looks again for all that ask.
pub struct Again {
    what: Box<dyn Look>,
    every: Duration,
    looks: Mutex<Looks>,
    waiting: Semaphore,
}

/// When the last looks began.
#[derive(Default)]
struct Looks {
    begun: Option<Instant>,
    /// The last one that came to an end: whoever asked for another may have gone away in the middle.
    ended: Option<Instant>,
}

/// Nothing changes.
#[async_trait]
impl Look for () {
    async fn look(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Again {
    /// Looks at `what`, with [`EVERY`] between looks.
    pub fn new(what: impl Look) -> Self {
        Self { what: Box::new(what), every: EVERY, looks: Mutex::default(), waiting: Semaphore::new(WAITING_MAX) }
    }

    /// Resolves after a look that began now or later came to an end; at once where too many wait already. What cannot be read
    /// stays as it is.
    pub async fn look(&self) {
        let Ok(_place) = self.waiting.try_acquire() else { return };
        let came = Instant::now();
        let mut looks = self.looks.lock().await;
        if looks.ended.is_some_and(|began| began > came) {
            return;
        }
        if let Some(begun) = looks.begun {
            sleep_until(begun + self.every).await;
        }
        let begun = Instant::now();
        looks.begun = Some(begun);
        let reason = match timeout(WAIT_MAX, self.what.look()).await {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
            Err(_) => Some(format!("no answer within {WAIT_MAX:?}")),
        };
        if let Some(reason) = reason {
            tracing::warn!(%reason, "the books cannot be read again; keys and catalogs stay as they were");
        }
        looks.ended = Some(begun);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Counts looks; the second one never ends.
    #[derive(Clone, Default)]
    struct Counted(Arc<AtomicU64>);

    #[async_trait]
    impl Look for Counted {
        async fn look(&self) -> Result<(), String> {
            if self.0.fetch_add(1, Ordering::SeqCst) == 1 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_shared_and_apart_and_begin_after_whoever_asks_came() {
        let (counted, start) = (Counted::default(), Instant::now());
        let again = Again::new(counted.clone());
        let looks = || counted.0.load(Ordering::SeqCst);
        again.look().await;
        assert_eq!((looks(), start.elapsed()), (1, Duration::from_millis(10)), "the first waits for nothing");
        // Who goes away in the middle of a look leaves the next ones without it.
        let gone = timeout(Duration::from_millis(1_500), again.look()).await;
        assert!(gone.is_err());
        assert_eq!(looks(), 2);
        tokio::join!(again.look(), again.look(), async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            again.look().await;
        });
        assert_eq!(
            (looks(), start.elapsed()),
            (3, Duration::from_millis(2_010)),
            "all share one, a second after the last"
        );
        let shared = start.elapsed();
        again.look().await;
        assert_eq!((looks(), start.elapsed()), (4, shared + EVERY), "what is over is not looked at");
    }
}
