//! What people ask of bills that are not issued: to issue one now, to approve or hold one, to lift the hold of parked
//! events.

use super::chain::Key;
use super::walk::Order;
use super::{Closer, Error, Refusal};
use crate::ledger::{Approval, Draft, Filter, Hold, Status, Stored, StoredBill, Waiver, digest};
use crate::publisher::{Announcement, Target};
use pricing::id::TenantId;
use storage::record::Control;

/// The record version since which a waiver says what its person saw.
const SEEN: u8 = 2;

// === impl Closer ===

impl Closer {
    /// Issues a draft or held bill now. It must be the first of its customer's that is not issued, and its charges must add
    /// up; parked events must be waived. Where `seen` names a document, the bill as it is issued must say that.
    ///
    /// # Errors
    /// [`Error::Refused`] when it says something else by now; [`Error::Bill`] says what is in the way.
    pub async fn issue(&self, tenant: &TenantId, id: &str, seen: Option<&str>, who: &str) -> Result<StoredBill, Error> {
        let mut state = self.state.lock().await;
        let before = self.open_bill(tenant, id).await?;
        let key = key(tenant, &before.value);
        let (end, seen) = (before.value.period.end, seen.map(str::to_owned));
        let order = Order { key: key.clone(), end, seen, who: who.to_owned() };
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
        if after.document.as_deref().is_some_and(|document| !order.is_for(document)) {
            return Err(changed(id));
        }
        let reason = after.reason.clone().unwrap_or_else(|| {
            "a bill of this customer before it is not issued yet, or it waits for its manifests".to_owned()
        });
        Err(Error::Bill { reason: format!("bill {id} cannot be issued: {reason}") })
    }

    /// Lets a draft or held bill be issued as it is now, once the bills before it are. Where `seen` names a document, the
    /// draft must still say that.
    ///
    /// # Errors
    /// [`Error::Refused`] when it says something else by now; [`Error::Bill`] for a bill without a document.
    pub async fn approve(&self, tenant: &TenantId, id: &str, seen: Option<&str>, who: &str) -> Result<(), Error> {
        let change = |bill: &mut StoredBill| {
            let Some(document) = &bill.document else {
                let reason = bill.reason.as_deref().unwrap_or("it could not be prepared");
                return Err(Error::bill(format!("bill {id} cannot be approved: it has no document yet: {reason}")));
            };
            let digest = digest(document);
            if seen.is_some_and(|seen| seen != digest) {
                return Err(changed(id));
            }
            (bill.approved, bill.hold) = (Some(Approval { who: who.to_owned(), digest }), None);
            Ok(())
        };
        self.amend(tenant, id, who, "approve", change).await
    }

    /// Keeps a bill from being issued; what was approved before no longer is.
    ///
    /// # Errors
    /// [`Error::Bill`] for a bill that is issued or not there.
    pub async fn hold(&self, tenant: &TenantId, id: &str, reason: &str, who: &str) -> Result<(), Error> {
        let change = |bill: &mut StoredBill| {
            let hold = Hold { who: who.to_owned(), reason: reason.to_owned() };
            (bill.status, bill.reason, bill.approved) = (Status::Held, Some(hold.text()), None);
            bill.hold = Some(hold);
            Ok(())
        };
        self.amend(tenant, id, who, "hold", change).await
    }

    /// Lets a bill go that a person held.
    ///
    /// # Errors
    /// [`Error::Bill`] for a bill that no person holds.
    pub async fn release(&self, tenant: &TenantId, id: &str, who: &str) -> Result<(), Error> {
        let change = |bill: &mut StoredBill| {
            let status = bill.status.word();
            let nobody =
                || Error::bill(format!("nobody holds bill {id}, which is {status}; there is nothing to release"));
            bill.hold.take().map(drop).ok_or_else(nobody)
        };
        self.amend(tenant, id, who, "release", change).await
    }

    /// Changes what stands about an open bill, in a commit of its own, and has a pass look at it.
    async fn amend(
        &self,
        tenant: &TenantId,
        id: &str,
        who: &str,
        action: &str,
        change: impl Fn(&mut StoredBill) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut slot = self.state.lock().await;
        self.publisher.leads().await?;
        let stored = self.open_bill(tenant, id).await?;
        let mut bill = stored.value;
        change(&mut bill)?;
        let mut draft = Draft::new(who, action, self.publisher.log_time());
        draft.put(Some(tenant), id, Some(stored.revision), &bill)?;
        // Where it is not known what became of the commit, all is read again.
        let state = slot.take();
        self.ledger.commit(draft).await?;
        if let Some(mut state) = state {
            let key = key(tenant, &bill);
            state.dirty.insert((tenant.clone(), key.customer.clone()));
            state.chains.entry(key).or_default().follow(bill, stored.revision + 1);
            *slot = Some(state);
        }
        self.settled(&mut slot, None).await.map(drop)
    }

    /// Lets parked events no longer hold a bill back; they stay parked.
    ///
    /// # Errors
    /// [`Error::Bill`] for a bill that is issued or not there.
    pub async fn waive(&self, tenant: &TenantId, id: &str, reason: &str, who: &str) -> Result<StoredBill, Error> {
        let mut state = self.state.lock().await;
        let stored = self.open_bill(tenant, id).await?;
        let customer = stored.value.customer.clone();
        // A rater that knows no better lifts what parked before it comes to the record, as it did when it was written so.
        let is_seen_known = self.publisher.record_version().await? >= SEEN;
        let record = Control::Waive {
            tenant: tenant.clone(),
            customer: customer.clone(),
            from: stored.value.period.start,
            until: stored.value.period.end,
            reason: reason.to_owned(),
            seen: is_seen_known.then_some(stored.value.newest),
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

    /// The row of an issued document, by its number and nothing else: a bill's own id may stand for another document by the
    /// time that a call is sent again.
    pub(super) async fn numbered(&self, tenant: &TenantId, number: &str) -> Result<Stored<StoredBill>, Error> {
        let filter = Filter { tags: vec![("number".to_owned(), number.to_owned())], ..Filter::default() };
        let found = self.ledger.list::<StoredBill>(Some(tenant), &filter, 1).await?.pop();
        found.ok_or_else(|| {
            let reason = "payments, credit notes and voids name what is issued by its number";
            Error::bill(format!("'{number}' is no number of an invoice or credit note: {reason}"))
        })
    }

    async fn open_bill(&self, tenant: &TenantId, id: &str) -> Result<Stored<StoredBill>, Error> {
        let stored = self.bill(tenant, id).await?;
        let status = stored.value.status;
        if status.is_open() {
            return Ok(stored);
        }
        Err(Error::bill(format!("bill {id} is {} already and never changes", status.word())))
    }
}

/// The draft is not what the person saw.
fn changed(id: &str) -> Error {
    let reason = format!("bill {id} is not what it was: look at it again, and decide on what it says now");
    Error::Refused { refusal: Refusal::Changed, reason }
}

pub(super) fn key(tenant: &TenantId, bill: &StoredBill) -> Key {
    Key { tenant: tenant.clone(), customer: bill.customer.clone(), currency: bill.currency }
}
