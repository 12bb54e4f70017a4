//! Whose turn it is among processes: one holds the lease and leads, the others wait for it.

use super::{Error, Options, Publisher, State};
use crate::ledger::{self, Clock, Draft, Ledger};
use std::time::Duration;

/// Waits until the lease is this process's; where it is not to stand by, one refusal is the end.
pub(super) async fn take(ledger: &Ledger, options: &Options) -> Result<(), Error> {
    let mut is_told = false;
    loop {
        match ask(ledger, options).await {
            Err(Error::LeaseLost) if options.standby => {}
            Err(Error::Ledger(error)) if options.standby => tracing::warn!(%error, "the lease waits for the books"),
            taken => return taken,
        }
        if !is_told {
            tracing::info!(holder = options.holder, "another process leads; this one stands by");
            is_told = true;
        }
        tokio::time::sleep(options.interval).await;
    }
}

/// Does some work under the lease, and asks for more of it all the while, also once at the end.
pub(super) async fn under<T>(
    ledger: &Ledger,
    options: &Options,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let renewed = async {
        loop {
            tokio::time::sleep(options.interval).await;
            match ask(ledger, options).await {
                Err(Error::LeaseLost) => return Error::LeaseLost,
                Err(error) => tracing::warn!(%error, "the lease waits for the books"),
                Ok(()) => {}
            }
        }
    };
    let done = tokio::select! {
        biased;
        done = work => done?,
        lost = renewed => return Err(lost),
    };
    ask(ledger, options).await?;
    Ok(done)
}

/// Asks for the lease once, or for more of it.
async fn ask(ledger: &Ledger, options: &Options) -> Result<(), Error> {
    let now = (options.wall)();
    let held = ledger.books().lease("clock", &options.holder, now, now.plus(options.lease)).await;
    if held.map_err(ledger::Error::from)? { Ok(()) } else { Err(Error::LeaseLost) }
}

fn length(options: &Options) -> Duration {
    Duration::from_nanos(u64::try_from(options.lease.nanos()).unwrap_or(0))
}

// === impl Publisher ===

impl Publisher {
    /// Makes sure that this process leads; asks for more of the lease where a good part of it is over.
    ///
    /// # Errors
    /// [`Error::LeaseLost`], for ever after; [`Error::Ledger`] while the books are away and the lease may be over.
    pub(crate) async fn leads(&self) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        self.hold_lease(&mut state).await
    }

    /// The same within a turn.
    pub(super) async fn hold_lease(&self, state: &mut State) -> Result<(), Error> {
        let now = tokio::time::Instant::now();
        if !state.is_lost && now + length(&self.options) * 2 / 3 <= state.lease_until {
            return Ok(());
        }
        self.keep_lease(state).await
    }

    /// Asks for more of the lease.
    pub(super) async fn keep_lease(&self, state: &mut State) -> Result<(), Error> {
        if state.is_lost {
            return Err(Error::LeaseLost);
        }
        let asked = tokio::time::Instant::now();
        match ask(&self.ledger, &self.options).await {
            Ok(()) => {
                state.lease_until = asked + length(&self.options);
                Ok(())
            }
            Err(Error::LeaseLost) => Err(self.lose(state)),
            Err(_) if tokio::time::Instant::now() < state.lease_until => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives the lease up, so that a process that stands by takes over at once. Nothing is published after that.
    pub(crate) async fn resign(&self) {
        let mut state = self.state.lock().await;
        self.lose(&mut state);
        let now = (self.options.wall)();
        if let Err(error) = self.ledger.books().lease("clock", &self.options.holder, now, now).await {
            tracing::debug!(%error, "the lease ends by itself");
        }
    }

    /// Ends everything that this process may write.
    fn lose(&self, state: &mut State) -> Error {
        state.is_lost = true;
        self.lanes.stop();
        Error::LeaseLost
    }

    /// Makes a commit fail where another holder of the lease has taken over.
    pub(super) fn sign(&self, state: &State, draft: &mut Draft) -> Result<(), Error> {
        let clock = Clock { log_time: state.log_time, test: self.is_test_clock(), term: state.term };
        Ok(draft.put(None, Clock::ID, state.clock_revision, &clock)?)
    }

    /// Reads the clock's document, which another holder of the lease may have taken over.
    pub(super) async fn read_clock(&self, state: &mut State) -> Result<(), Error> {
        let clock = self.ledger.get::<Clock>(None, Clock::ID).await?;
        if clock.as_ref().is_none_or(|clock| clock.value.term != state.term) {
            return Err(self.lose(state));
        }
        state.clock_revision = clock.map(|clock| clock.revision);
        Ok(())
    }
}
