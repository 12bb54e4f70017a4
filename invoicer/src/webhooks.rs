//! Webhooks: what happened is told to addresses that tenants name, as Standard Webhooks describes it.
//!
//! The audit log is the queue: a change and what tells of it are one commit already, so nothing can be lost between them, and
//! nobody who changes something waits for an address. Each webhook has a *lane*, a document that says up to which entry of
//! the audit log it was told and what it has not taken yet:
//!
//! ```text
//! audit log ──after `seen`──▶ messages ──▶ lane.pending ──POST──▶ 2xx: delivered
//!             one commit: lane and deliveries            └─────▶ else: again later, up to some days
//! ```
//!
//! So one that takes nothing holds up nobody: its pending messages have a bound, past which its lane reads no further. A
//! message is sent before it is written down that it was taken, so a crash sends it twice, under the same id.

// Reading order: the documents, what becomes a message, how it is signed, how it is delivered.
mod deliver;
mod kinds;
mod message;
mod rejected;
mod sign;

pub use deliver::Deliverer;
pub use kinds::{Attempt, Delivery, Endpoint, EventKind, Lane, LaneId, Pending, Secrets, State};

use async_trait::async_trait;

/// The world outside: who can reach it is the server's to say.
#[async_trait]
pub trait Outside: Send + Sync + 'static {
    /// Sends a message; the HTTP status of the answer.
    ///
    /// # Errors
    /// Why there was no answer.
    async fn post(&self, request: Outgoing) -> Result<u16, String>;

    /// Whether a message may be sent there, as far as the address alone tells.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Random bytes for a secret.
    ///
    /// # Errors
    /// The system has none to give.
    fn random(&self) -> Result<[u8; 24], String>;
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub url: String,
    /// Headers beside the content's type.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}
