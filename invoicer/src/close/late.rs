//! Late usage: periods already invoiced that have changed since. They stand on the next bill; where none is coming, on a
//! final one once nothing more can come.

use super::chain::{Chain, Key};
use super::desk::{Customer, Desk};
use pricing::time::{Instant, Span};

/// How long after the last admissible event the fold's last manifest may come: it puts out changed ones hourly.
const LAST_MANIFEST: Span = Span::from_hours(2);

/// The end of the final bill and when it can be made; none where nothing is late or another bill comes.
pub(super) fn final_moment(desk: &Desk, customer: &Customer, key: &Key, chain: &Chain) -> Option<(Instant, Instant)> {
    if is_another_coming(desk, customer, key, chain) {
        return None;
    }
    let end = chain.stored.late.values().map(|end| desk.settled_for_good(*end)).max()?;
    Some((end, end.plus(LAST_MANIFEST)))
}

/// Whether a subscription in this currency still has a period that ends after the last bill.
fn is_another_coming(desk: &Desk, customer: &Customer, key: &Key, chain: &Chain) -> bool {
    let after = chain.stored.account.end.unwrap_or(Instant::MIN);
    let mut periods = customer.subscriptions.iter().flat_map(|subscription| {
        let next = subscription.next_period_end(after);
        next.and_then(|end| subscription.period_ending(end)).into_iter()
    });
    periods.any(|(_, term, _)| desk.currency(&term.plan) == Some(key.currency))
}
