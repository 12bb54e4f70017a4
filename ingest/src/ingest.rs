//! Ingest as a whole: its ways in, how it is, and its end.

use crate::grpc::Server;
use crate::options::Options;
use crate::service::{Core, Parts};
use crate::stats::Stats;
use std::sync::Arc;

/// Ingest, running. Clones are handles of the same one.
#[derive(Clone)]
pub struct Ingest {
    core: Arc<Core>,
}

// === impl Ingest ===

impl Ingest {
    /// Starts a task for each shard of the log; call it inside a tokio runtime.
    pub fn start(options: Options, parts: Parts) -> Self {
        Self { core: Arc::new(Core::start(options, parts)) }
    }

    /// The gRPC service `farthing.v1.IngestService`.
    pub fn grpc(&self) -> Server {
        Server::new(self.core.clone())
    }

    /// `POST /v1/events`.
    pub fn router(&self) -> axum::Router {
        crate::http::router(self.core.clone())
    }

    /// What it did so far.
    pub fn stats(&self) -> Arc<Stats> {
        self.core.stats.clone()
    }

    /// Whether events are worth sending now: it is not closing, and the log takes appends, as far as the last ones tell.
    ///
    /// # Errors
    /// Why not, in one sentence.
    pub fn ready(&self) -> Result<(), String> {
        if *self.core.closing.borrow() {
            return Err("the server is shutting down".to_owned());
        }
        self.core.health.check()
    }

    /// Resolves when it begins to close: whoever asks for its health is to be told at once.
    pub async fn closing(&self) {
        // An error says that the sender is gone, and this core holds it.
        let _ = self.core.closing().wait_for(|closing| *closing).await;
    }

    /// From now on refuses new requests and ends streams once what they sent is answered. Does not wait.
    pub fn close(&self) {
        self.core.closing.send_replace(true);
    }

    /// Closes, waits until everybody is answered, appends what is left and ends the tasks.
    pub async fn shutdown(&self) {
        self.close();
        // An error says that the sender is gone, and this core holds it.
        let _ = self.core.active.subscribe().wait_for(|active| *active == 0).await;
        self.core.batcher.close().await;
    }
}
