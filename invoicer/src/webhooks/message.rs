//! What becomes a message: some changes of bills.

use super::kinds::EventKind;
use crate::ledger::{Kind, Receivable, Standing, Status, StoredBill};
use pricing::time::Instant;
use serde_json::json;
use storage::books::AuditEntry;

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The same however often it is sent, and to whomever.
    pub(super) id: String,
    pub(super) event: EventKind,
    /// JSON.
    pub(super) body: String,
}

/// What of a bill messages tell. Other fields are for those who ask.
const TOLD: [&str; 8] = ["number", "status", "customer", "currency", "period", "total", "reason", "test"];

impl Message {
    /// What an entry of the audit log has to tell.
    pub(super) fn of(entry: &AuditEntry) -> Option<Self> {
        if entry.key.collection != StoredBill::COLLECTION {
            return None;
        }
        let read = |body: &str| serde_json::from_str::<StoredBill>(body).ok();
        let after = read(entry.after.as_deref()?)?;
        let event = event(entry.before.as_deref().and_then(read).as_ref(), &after)?;
        let bill = serde_json::to_value(&after).ok()?;
        let mut data = json!({ "id": entry.key.id });
        for name in TOLD {
            if !bill[name].is_null() {
                data[name] = bill[name].clone();
            }
        }
        let body = json!({ "type": event.word(), "timestamp": entry.log_time.to_string(), "data": data });
        // So many digits that the order of texts is that of numbers.
        Some(Self { id: format!("msg_{:015}", entry.number), event, body: body.to_string() })
    }
}

/// What it means that a bill was one thing and is another.
fn event(before: Option<&StoredBill>, after: &StoredBill) -> Option<EventKind> {
    let was = before.map(|before| before.status);
    match after.status {
        Status::Issued if was != Some(Status::Issued) => Some(EventKind::Issued),
        Status::Issued if is_paid(after) && !before.is_some_and(is_paid) => Some(EventKind::Paid),
        Status::Voided if was != Some(Status::Voided) => Some(EventKind::Voided),
        status if status.is_open() && !was.is_some_and(Status::is_open) => Some(EventKind::Drafted),
        _ => None,
    }
}

/// True once payments left nothing of what was to be paid.
fn is_paid(bill: &StoredBill) -> bool {
    let is_owed = |receivable: &&Receivable| receivable.due.0 > 0;
    let owed = bill.receivable.as_ref().filter(is_owed);
    owed.is_some_and(|receivable| receivable.standing(Instant::MIN) == Standing::Paid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;
    use serde_json::Value as Json;
    use storage::books::DocumentKey;

    /// A bill by its status, and by what is written down of five dollars that are to be paid.
    fn bill(status: &str, payments: &[i64]) -> String {
        let entries = payments.iter().enumerate().map(|(at, amount)| {
            json!({"id": at.to_string(), "kind": "payment", "date": "2024-02-03", "amount": amount,
                   "recorded": "2024-02-03T00:00:00Z", "who": "k"})
        });
        let receivable = json!({"due": 500, "entries": entries.collect::<Vec<_>>()});
        let body = json!({
            "status": status, "customer": "c", "currency": "USD", "total": "5.00", "since": "2024-02-01T00:00:00Z",
            "period": {"start": "2024-01-01T00:00:00Z", "end": "2024-02-01T00:00:00Z"}, "document": "{}",
            "receivable": receivable,
        });
        body.to_string()
    }

    fn told(before: Option<String>, after: Option<String>) -> Option<EventKind> {
        let key = DocumentKey { tenant: None, collection: "bill".to_owned(), id: "c/USD/e".to_owned() };
        let (who, action) = ("closer".to_owned(), "close".to_owned());
        let entry = AuditEntry { number: 7, who, action, log_time: Instant::from_nanos(0), key, before, after };
        let message = Message::of(&entry)?;
        assert_eq!(message.id, "msg_000000000000007");
        let body: Json = serde_json::from_str(&message.body).unwrap();
        assert_eq!((body["type"].as_str(), body["data"]["total"].as_str()), (Some(message.event.word()), Some("5.00")));
        assert!(body["data"]["document"].is_null(), "documents are for those who ask");
        Some(message.event)
    }

    #[test]
    fn a_bill_is_told_once_for_each_thing_that_happens_to_it() {
        let told = |before: Option<&str>, after: Option<&str>| {
            told(before.map(|status| bill(status, &[])), after.map(|status| bill(status, &[])))
        };
        assert_eq!(told(None, Some("draft")), Some(EventKind::Drafted));
        assert_eq!(told(Some("draft"), Some("held")), None);
        assert_eq!(told(Some("draft"), Some("draft")), None);
        assert_eq!(told(Some("held"), Some("issued")), Some(EventKind::Issued));
        assert_eq!(told(None, Some("issued")), Some(EventKind::Issued));
        assert_eq!(told(Some("issued"), Some("issued")), None);
        assert_eq!(told(None, Some("voided")), Some(EventKind::Voided));
        assert_eq!(told(Some("issued"), Some("held")), Some(EventKind::Drafted));
        assert_eq!(told(None, Some("skipped")), None);
        assert_eq!(told(Some("draft"), None), None);
    }

    #[test]
    fn an_invoice_is_told_to_be_paid_with_the_payment_that_leaves_nothing() {
        let issued = |payments: &[i64]| Some(bill("issued", payments));
        assert_eq!(told(issued(&[]), issued(&[200])), None);
        assert_eq!(told(issued(&[200]), issued(&[200, 300])), Some(EventKind::Paid));
        assert_eq!(told(issued(&[200, 300]), issued(&[200, 300])), None);
    }
}
