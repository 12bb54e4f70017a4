//! What people ask of bills: to issue one now, to lift the hold of parked events.

use super::chain::Key;
use super::walk::Order;
use super::{Closer, Error};
use crate::ledger::{Draft, Status, Stored, StoredBill, Waiver};
use crate::publisher::{Announcement, Target};
use pricing::id::TenantId;
use storage::record::Control;

// === impl Closer ===

impl Closer {
    /// Issues a draft or held bill now. It must be the first of its customer's that is not issued, and its charges must add
    /// up; parked events must be waived.
    ///
    /// # Errors
    /// [`Error::Bill`] says what is in the way.
    pub async fn issue(&self, tenant: &TenantId, id: &str, who: &str) -> Result<StoredBill, Error> {
        let mut state = self.state.lock().await;
        let before = self.open_bill(tenant, id).await?;
        let key = key(tenant, &before.value);
        let order = Order { key: key.clone(), end: before.value.period.end, who: who.to_owned() };
        if state.is_none() {
            *state = Some(self.load().await?);
        }
        if let Some(state) = state.as_mut() {
            state.dirty.insert((tenant.clone(), key.customer.clone()));
        }
        self.settled(&mut state, Some(&order)).await?;
        let after = self.bill(tenant, id).await?.value;
        if after.status == Status::Issued {
            return Ok(after);
        }
        let reason = after.reason.clone().unwrap_or_else(|| {
            "a bill of this customer before it is not issued yet, or it waits for its manifests".to_owned()
        });
        Err(Error::Bill { reason: format!("bill {id} cannot be issued: {reason}") })
    }

    /// Lets parked events no longer hold a bill back; they stay parked.
    ///
    /// # Errors
    /// [`Error::Bill`] for a bill that is issued or not there.
    pub async fn waive(&self, tenant: &TenantId, id: &str, reason: &str, who: &str) -> Result<StoredBill, Error> {
        let mut state = self.state.lock().await;
        let stored = self.open_bill(tenant, id).await?;
        let customer = stored.value.customer.clone();
        let record = Control::Waive {
            tenant: tenant.clone(),
            customer: customer.clone(),
            from: stored.value.period.start,
            until: stored.value.period.end,
            reason: reason.to_owned(),
            seen: Some(stored.value.newest),
        };
        let shard = self.publisher.shards().of(tenant, customer.as_str().as_bytes());
        let waived = Some(Waiver { reason: reason.to_owned(), until: stored.value.newest });
        let bill = StoredBill { waived, ..stored.value };
        let mut turn = self.publisher.turn().await?;
        let mut draft = Draft::new(who, "waive", turn.log_time());
        draft.put(Some(tenant), id, Some(stored.revision), &bill)?;
        // The bill changes behind the state's back: it is read again.
        *state = None;
        let receipt = turn.publish(draft, &[Announcement { shards: Target::One(shard), record }]).await?;
        drop(turn);
        // A shard may take its time: nobody else's bills wait for it.
        drop(state);
        receipt.durable().await?;
        self.settled(&mut *self.state.lock().await, None).await?;
        Ok(self.bill(tenant, id).await?.value)
    }

    async fn bill(&self, tenant: &TenantId, id: &str) -> Result<Stored<StoredBill>, Error> {
        let found = self.ledger.get::<StoredBill>(Some(tenant), id).await?;
        found.ok_or_else(|| Error::Bill { reason: format!("there is no bill '{id}'; see `farthing invoices list`") })
    }

    async fn open_bill(&self, tenant: &TenantId, id: &str) -> Result<Stored<StoredBill>, Error> {
        let stored = self.bill(tenant, id).await?;
        match stored.value.status {
            Status::Draft | Status::Held => Ok(stored),
            Status::Issued | Status::Skipped => {
                let status = stored.value.status.word();
                Err(Error::Bill { reason: format!("bill {id} is {status} already and never changes") })
            }
        }
    }
}

fn key(tenant: &TenantId, bill: &StoredBill) -> Key {
    Key { tenant: tenant.clone(), customer: bill.customer.clone(), currency: bill.currency }
}
