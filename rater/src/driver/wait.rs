//! Waiting for what does not answer, for as long as it takes or until the driver stops.

use super::Shared;
use std::time::Duration;

/// Why a shard does not begin.
pub(super) enum Failure {
    /// The driver stops.
    Stopped,
    /// A person is needed.
    Halted(String),
}

/// The pause before something is tried again.
pub(super) struct Backoff(Duration);

/// Waits before the next try.
pub(super) async fn wait(shared: &mut Shared, backoff: &mut Backoff) -> Result<(), Failure> {
    if shared.pause(backoff).await { Ok(()) } else { Err(Failure::Stopped) }
}

// === impl Shared ===

impl Shared {
    /// Waits a little, or until the driver stops: then false.
    pub(super) async fn pause(&mut self, backoff: &mut Backoff) -> bool {
        let pause = backoff.next();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = self.stop.wait_for(|stop| *stop) => {}
        }
        !self.is_stopped()
    }
}

// === impl Backoff ===

impl Backoff {
    pub(super) fn new() -> Self {
        Self(Duration::from_millis(10))
    }

    /// True until the first pause.
    pub(super) fn is_fresh(&self) -> bool {
        self.0 == Self::new().0
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Duration::from_secs(5));
        pause
    }
}
