//! The documents of webhooks.
//!
//! | collection | tenant | id | holds |
//! |---|---|---|---|
//! | `webhook` | its own | its own | the address and what it is told |
//! | `webhook_secret` | its own | the webhook's | what messages are signed with; never in the audit log |
//! | `webhook_lane` | none | `TENANT/WEBHOOK` | how far it was told, and what it has not taken yet |
//! | `delivery` | its own | `MESSAGE.WEBHOOK` | one message to one webhook, and what came of it |

use crate::ledger::Kind;
use pricing::id::{TenantId, WebhookId};
use pricing::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use storage::shard::{Position, Shard};

/// An address that is told.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Endpoint {
    /// Where to.
    pub url: String,
    /// What it is told.
    pub events: BTreeSet<EventKind>,
    /// Why it is told nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<String>,
}

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum EventKind {
    /// A bill was drafted.
    #[serde(rename = "invoice.drafted")]
    Drafted,
    /// An invoice or credit note was issued.
    #[serde(rename = "invoice.issued")]
    Issued,
    /// An invoice was paid.
    #[serde(rename = "invoice.paid")]
    Paid,
    /// An invoice was taken back.
    #[serde(rename = "invoice.voided")]
    Voided,
    /// Events were rejected after they had been accepted.
    #[serde(rename = "event.rejected")]
    Rejected,
}

/// What messages are signed with.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Secrets {
    /// `whsec_` and base64.
    pub current: String,
    /// The one before, and until when messages are signed with it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<(String, Instant)>,
}

/// How far a webhook was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lane {
    /// The last entry of the audit log that was looked at.
    pub seen: u64,
    /// Of each shard the last place up to which it was told of rejected events; none before that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<BTreeMap<Shard, Position>>,
    /// What it has not taken yet.
    pub pending: Vec<Pending>,
    /// Since when every attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Instant>,
    /// When old deliveries were last removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swept: Option<Instant>,
}

/// A message that was not taken yet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pending {
    /// Its delivery.
    pub delivery: String,
    /// When to send it.
    pub due: Instant,
    /// How often it was sent since it was made, or since a person asked for it again.
    pub attempts: usize,
}

/// A lane's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneId {
    /// Whose webhook.
    pub tenant: TenantId,
    /// Which.
    pub webhook: WebhookId,
}

/// One message to one webhook.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Delivery {
    /// Where to.
    pub webhook: WebhookId,
    /// The message's id.
    pub message: String,
    /// What it tells.
    pub event: EventKind,
    /// What is sent.
    pub body: String,
    /// When it was made.
    pub made: Instant,
    /// How it stands.
    pub state: State,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// To be sent, or sent again.
    Pending,
    /// Taken.
    Delivered,
    /// Given up.
    Failed,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Attempt {
    /// When.
    pub time: Instant,
    /// The status of the answer, or why there was none.
    pub answer: Result<u16, String>,
}

// === impl EventKind ===

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Drafted, Self::Issued, Self::Paid, Self::Voided, Self::Rejected];

    /// The word in messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Drafted => "invoice.drafted",
            Self::Issued => "invoice.issued",
            Self::Paid => "invoice.paid",
            Self::Voided => "invoice.voided",
            Self::Rejected => "event.rejected",
        }
    }
}

// === impl LaneId ===

impl LaneId {
    /// The id of its document.
    pub fn text(&self) -> String {
        format!("{}/{}", self.tenant, self.webhook)
    }

    /// A lane by the id of its document.
    pub fn parse(text: &str) -> Option<Self> {
        let (tenant, webhook) = text.split_once('/')?;
        Some(Self { tenant: tenant.parse().ok()?, webhook: webhook.parse().ok()? })
    }
}

// === impl State ===

impl State {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secrets(…)")
    }
}

impl Kind for Endpoint {
    const COLLECTION: &'static str = "webhook";
}

impl Kind for Secrets {
    const COLLECTION: &'static str = "webhook_secret";
    const AUDITED: bool = false;
}

impl Kind for Lane {
    const COLLECTION: &'static str = "webhook_lane";
    const AUDITED: bool = false;
}

impl Kind for Delivery {
    const COLLECTION: &'static str = "delivery";
    const AUDITED: bool = false;

    fn tags(&self) -> Vec<(String, String)> {
        vec![("webhook".to_owned(), self.webhook.to_string()), ("state".to_owned(), self.state.word().to_owned())]
    }
}
