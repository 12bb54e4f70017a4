//! Limits on events, and how bills are made.

use crate::currency::Rounding;
use crate::number::Rate;
use crate::time::{Instant, Span};

/// What holds for the whole tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Settings {
    /// On events.
    pub limits: Limits,
    /// How bills are made.
    pub billing: Billing,
    /// Events before it may be priced already, under a `future` that was longer than the one in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub horizon: Option<Instant>,
}

/// Limits on events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Limits {
    /// How old an event may be, by log time.
    pub past: Span,
    /// How far ahead of log time an event may be.
    pub future: Span,
    /// How many events a second are taken; 0: no limit.
    pub events_per_second: u64,
}

/// How bills are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Billing {
    /// How long after its end a period closes.
    pub grace: Span,
    /// How long a draft waits before it is issued by itself.
    pub review: Span,
    /// Who issues.
    pub issue: Issue,
    /// A draft that differs from the customer's last bill by more than this share of it is held.
    pub hold_above: Rate,
    /// How a bill's exact sum becomes minor units.
    pub rounding: Rounding,
    /// What becomes of a bill of nothing but zeros.
    pub zero: Zero,
}

/// Who issues drafts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Issue {
    /// Farthing, when the review is over and nothing holds the draft.
    #[default]
    Auto,
    /// A person.
    Approve,
}

/// What becomes of a bill of nothing but zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zero {
    /// It counts as invoiced, without a document.
    #[default]
    Skip,
    /// It is issued like any other.
    Issue,
}

impl Default for Limits {
    fn default() -> Self {
        Self { past: Span::from_days(40), future: Span::from_seconds(300), events_per_second: 0 }
    }
}

impl Default for Billing {
    fn default() -> Self {
        Self {
            grace: Span::from_hours(1),
            review: Span::from_hours(24),
            issue: Issue::Auto,
            hold_above: Rate::ONE.scale_by(3, 1).unwrap_or(Rate::ONE),
            rounding: Rounding::HalfAway,
            zero: Zero::Skip,
        }
    }
}
