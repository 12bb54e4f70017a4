//! What a period settles by.

use super::Taxes;
use crate::period::{Period, Share};
use crate::plan::PlanVersion;
use crate::subscription::{Subscription, Term};

/// One period, with all that it settles by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// Whose.
    pub(crate) subscription: &'a Subscription,
    /// The term that holds it.
    pub(crate) term: &'a Term,
    /// The plan version in force.
    pub(crate) plan: &'a PlanVersion,
    /// The period.
    pub(crate) period: Period,
    /// How much it is of a full one.
    pub(crate) share: Share,
    /// The taxes in force.
    pub(crate) taxes: &'a Taxes,
}
