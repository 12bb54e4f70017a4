//! Rejected events become messages, too. They stand among the charges, not in the books, so a lane says of each shard up to
//! where it was told.

use super::kinds::{EventKind, Lane};
use super::message::Message;
use pricing::id::TenantId;
use serde_json::json;
use std::collections::BTreeMap;
use storage::charges::{Charges, Error, OutcomeQuery};
use storage::output::{Outcome, OutcomeKind};
use storage::shard::{Offset, Position, Shard, ShardCount};

/// Events that one message tells of.
const EVENTS_MAX: usize = 100;

/// What becomes of an event that is never billed.
const KINDS: [OutcomeKind; 3] = [OutcomeKind::Rejected, OutcomeKind::Conflict, OutcomeKind::NotBackfilled];

/// The messages on what was rejected since the lane was told, at most one for each shard. A lane that was never told begins
/// with what comes from now on.
///
/// # Errors
/// See [`Error`]; the lane is then unchanged.
pub(super) async fn messages(
    charges: &dyn Charges,
    shards: ShardCount,
    tenant: &TenantId,
    lane: &mut Lane,
) -> Result<Vec<Message>, Error> {
    let is_first = lane.rejected.is_none();
    let mut told: BTreeMap<Shard, Position> = lane.rejected.clone().unwrap_or_default();
    let mut messages = Vec::new();
    for shard in shards.all() {
        let next = charges.boundary(shard).await?.map_or(Offset(0), |boundary| boundary.next);
        // All that is stored for certain.
        let Some(last) = next.0.checked_sub(1) else { continue };
        let last = Position { shard, offset: Offset(last), index: u32::MAX };
        if is_first {
            told.insert(shard, last);
            continue;
        }
        // Nobody's events stand in the first record.
        let after = told.get(&shard).copied().unwrap_or(Position { shard, offset: Offset(0), index: 0 });
        let query = OutcomeQuery {
            tenant: tenant.clone(),
            customer: None,
            kinds: KINDS.to_vec(),
            after: Some(after),
            count_max: EVENTS_MAX,
        };
        let mut found = charges.outcomes(&query).await?;
        let is_full = found.len() == EVENTS_MAX;
        found.retain(|outcome| outcome.position.shard == shard && outcome.position <= last);
        if let Some(newest) = found.last().map(|outcome| outcome.position) {
            told.insert(shard, if is_full { newest } else { last });
            messages.push(message(newest, &found));
        }
    }
    lane.rejected = Some(told);
    Ok(messages)
}

fn message(newest: Position, outcomes: &[Outcome]) -> Message {
    let Position { shard, offset, index } = newest;
    let events: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            json!({
                "kind": outcome.kind, "customer": outcome.customer, "source": outcome.source, "id": outcome.id,
                "type": outcome.event_type, "time": outcome.time, "reason": outcome.reason,
            })
        })
        .collect();
    let time = outcomes.last().map(|outcome| outcome.time.to_string());
    let body = json!({ "type": EventKind::Rejected.word(), "timestamp": time, "data": { "events": events } });
    Message {
        id: format!("rej_{:05}_{:015}_{index}", shard.0, offset.0),
        event: EventKind::Rejected,
        body: body.to_string(),
    }
}
