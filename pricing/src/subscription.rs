//! Subscriptions: a customer on a version of a plan, as a timeline of terms. A change never alters the past: it ends the
//! term that runs and begins another, so that no price changes inside a period.

use crate::curve::Curve;
use crate::group::Filter;
use crate::id::{CustomerId, PriceId, SubscriptionId};
use crate::period::Grid;
use crate::plan::PlanRef;
use crate::time::Instant;
use std::collections::BTreeMap;

/// A subscription's whole timeline, as the log's `Customer` records and the books hold it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Subscription {
    /// Its name.
    pub id: SubscriptionId,
    /// Who is billed.
    pub customer: CustomerId,
    /// Start of its first billed period. Usage before it is refused as `not_backfilled`.
    pub first_billed: Instant,
    /// Without gaps or overlaps, in order; the last may be open.
    pub terms: Vec<Term>,
}

/// A stretch of a subscription in which nothing about it changes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Term {
    /// Its first moment.
    pub from: Instant,
    /// The first moment after it; absent while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
    /// What is sold.
    pub plan: PlanRef,
    /// Where its periods are cut; the first and the last are clipped to the term.
    pub grid: Grid,
    /// Usage is shown and discounted by 100 %; no fees, minimum or commitment.
    #[serde(default)]
    pub trial: bool,
    /// Which of the customer's events are its own.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// Curves that replace those of the plan.
    #[serde(default)]
    pub overrides: BTreeMap<PriceId, Curve>,
}
