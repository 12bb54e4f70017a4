//! Late usage: periods already invoiced that have changed since. They stand on the next bill; where none is coming, on a
//! final one once nothing more can come.

use super::chain::{Chain, Key};
use super::desk::{Customer, Desk};
use pricing::bill;
use pricing::time::{Instant, Span};

/// How long after the last admissible event the fold's last manifest may come: it puts out changed ones hourly.
const LAST_MANIFEST: Span = Span::from_hours(2);

/// The end of the final bill and when it can be made; none where nothing is late or another bill comes.
pub(super) fn final_moment(desk: &Desk, customer: &Customer, key: &Key, chain: &Chain) -> Option<(Instant, Instant)> {
    let last = bill::last_end(&customer.subscriptions, &desk.plans, key.currency).ok().flatten()?;
    if chain.stored.account.end.is_none_or(|end| end < last) {
        return None;
    }
    let end = chain.stored.late.values().map(|end| desk.settled_for_good(*end)).max()?;
    Some((end, end.plus(LAST_MANIFEST)))
}

/// The end of an opening bill that no other bill brings along; none where there is none.
pub(super) fn opening(desk: &Desk, customer: &Customer, key: &Key, chain: &Chain) -> Option<Instant> {
    bill::late_opening(&customer.subscriptions, &desk.plans, key.currency, &chain.stored.account).ok().flatten()
}
