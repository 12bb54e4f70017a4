//! Which bills there are, and what each waits for.

use super::{Account, Error, Plans};
use crate::currency::Currency;
use crate::id::SubscriptionId;
use crate::period::Period;
use crate::subscription::Subscription;
use crate::time::Instant;

/// A bill that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When it ends.
    pub end: Instant,
    /// What it is in.
    pub currency: Currency,
}

/// A period that a bill settles, and whose manifest it therefore waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Whose.
    pub subscription: SubscriptionId,
    /// The period; `period.start` names it.
    pub period: Period,
}

/// The bills of one customer, in all currencies, that end in (`after`, `until`], opening bills included; by end, then
/// currency. `after` none: from the first.
///
/// # Errors
/// [`Error::UnknownPlan`], [`Error::Time`].
pub fn schedule(
    subscriptions: &[Subscription],
    plans: &Plans,
    after: Option<Instant>,
    until: Instant,
) -> Result<Vec<Due>, Error> {
    let _ = (subscriptions, plans, after, until);
    Ok(Vec::new())
}

/// The periods that the bill of `due` settles, by subscription and start: all that end at or before it and that the
/// account has not settled yet.
///
/// # Errors
/// [`Error::UnknownPlan`], [`Error::Time`].
pub fn parts(subscriptions: &[Subscription], plans: &Plans, due: Due, account: &Account) -> Result<Vec<Part>, Error> {
    let _ = (subscriptions, plans, due, account);
    Ok(Vec::new())
}
