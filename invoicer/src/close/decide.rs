//! Deciding: what becomes of one bill now.
//!
//! | found | status |
//! |---|---|
//! | the store adds up to something else, or the bill cannot be prepared | held; nothing after it is prepared |
//! | parked events inside its periods, not waived | held |
//! | a person's hold | held, until a person approves, issues or releases it |
//! | a total below zero, or unlike the last by more than `hold_above` | held, until a person approves or issues it |
//! | the review is not over and nobody approved the document as it is, or a bill before it is not issued | draft, approved |
//! | nothing but zeros | skipped, unless zeros are to be issued; without period and lines in any case |
//! | otherwise | issued |

use super::chain::{Chain, Key};
use super::desk::Desk;
use super::walk::Order;
use crate::ledger::{BasisPeriod, Hold, Status, StoredBill};
use pricing::bill::{self, Account, Bill, Corrects, Part, Prepared};
use pricing::currency::Currency;
use pricing::number::{Minor, Rate, mul_div};
use pricing::period::Period;
use pricing::time::Instant;
use std::collections::BTreeSet;
use storage::output::Manifest;

/// What is known of a bill that is due.
pub(super) struct Situation {
    key: Key,
    period: Period,
    /// In a test system.
    test: bool,
    /// The account before it.
    before: Account,
    /// Parked events that hold it back.
    parked: u64,
    /// The totals it is made from.
    periods: Vec<BasisPeriod>,
    /// How the store differs from the fold.
    pub(super) difference: Option<String>,
    /// The bill, or why there is none; absent with a difference.
    pub(super) prepared: Option<Result<Prepared, bill::Error>>,
}

/// What becomes of it.
pub(super) struct Decision {
    pub(super) bill: StoredBill,
    /// The content, where it could be prepared.
    pub(super) content: Option<Bill>,
    /// The account after it, where it could be prepared.
    pub(super) account: Option<Account>,
    /// The account before it.
    pub(super) before: Account,
    /// The totals it was made from.
    pub(super) periods: Vec<BasisPeriod>,
    /// What it is as an invoice, once issued: no credit note.
    pub(super) invoice: Option<Corrects>,
    /// Whether it is made again while later bills stand.
    pub(super) again: bool,
    /// What a person must hear about.
    alarm: Option<String>,
}

// === impl Situation ===

impl Situation {
    pub(super) fn new(key: &Key, end: Instant, parts: &[Part], before: &Account, test: bool) -> Self {
        let start = parts.iter().map(|part| part.period.start).min().unwrap_or(end);
        Self {
            key: key.clone(),
            period: Period { start, end },
            test,
            before: before.clone(),
            parked: 0,
            periods: Vec::new(),
            difference: None,
            prepared: None,
        }
    }

    /// Of a bill that is made again from these totals, while later ones stand.
    pub(super) fn again(key: &Key, end: Instant, before: &Account, periods: Vec<BasisPeriod>, test: bool) -> Self {
        Self { periods, ..Self::new(key, end, &[], before, test) }
    }

    /// Takes one period's manifest into account.
    pub(super) fn take(&mut self, manifest: &Manifest, is_part: bool) {
        if is_part {
            self.parked = self.parked.max(manifest.parked);
        }
        self.periods.push(BasisPeriod {
            subscription: manifest.subscription.clone(),
            start: manifest.period.start,
            plan: manifest.plan.clone(),
            revision: manifest.revision,
            offset: manifest.position.offset,
        });
    }

    /// True for a final bill that has nothing to say: what was late settles to what it was.
    pub(super) fn is_nothing(&self, chain: &Chain) -> bool {
        let Some(Ok(prepared)) = &self.prepared else { return false };
        is_empty(&prepared.bill) && !chain.open.contains_key(&self.period.end) && !chain.stored.late.is_empty()
    }

    /// Decides. `first`: every bill before it is issued. `order`: a person wants it issued now, if it is what was seen.
    pub(super) fn decide(
        self,
        desk: &Desk,
        chain: &Chain,
        log_time: Instant,
        first: bool,
        order: Option<&Order>,
    ) -> Decision {
        let document = self.document(desk);
        let asked = document.as_ref().is_some_and(|document| order.is_some_and(|order| order.is_for(document)));
        let mut bill = self.begun(chain, log_time, asked);
        let mut alarm = None;
        let (mut content, mut account) = (None, None);
        match (self.difference, self.prepared) {
            (None, Some(Ok(prepared))) => {
                bill.period = prepared.bill.period;
                bill.total = self.key.currency.text(prepared.bill.total);
                bill.document = document;
                let is_waived = bill.waived.as_ref().is_some_and(|waived| bill.newest <= waived.until);
                bill.reason = if self.parked > 0 && !is_waived {
                    Some(parked(self.parked))
                } else {
                    let unusual = || unusual(&prepared.bill, chain, desk).filter(|_| !asked && !bill.is_approved());
                    bill.hold.as_ref().map(Hold::text).or_else(unusual)
                };
                content = Some(prepared.bill);
                account = Some(prepared.account);
            }
            (difference, prepared) => {
                let error = prepared.and_then(Result::err).map(|error| error.to_string());
                alarm = difference.or(error);
                bill.reason.clone_from(&alarm);
            }
        }
        let approved = bill.is_approved();
        let is_empty = content.as_ref().is_some_and(is_empty);
        let zero = is_empty || content.as_ref().is_some_and(|content| content.zero && !desk.terms.issue_zero);
        let in_time = bill.since.plus(desk.terms.review) <= log_time;
        let reviewed = asked || approved || ((desk.terms.auto || zero) && in_time);
        bill.status = match (&bill.reason, first && reviewed) {
            (Some(_), _) => Status::Held,
            (None, false) if approved => Status::Approved,
            (None, false) => Status::Draft,
            (None, true) if zero && (is_empty || !asked) => Status::Skipped,
            (None, true) => Status::Issued,
        };
        if let (Status::Draft, Some(approval)) = (bill.status, &bill.approved) {
            bill.reason = Some(format!("it changed since {} approved it", approval.who));
        }
        let again = bill.again.is_some();
        if matches!(bill.status, Status::Issued | Status::Skipped) {
            bill.again = None;
        }
        if bill.status == Status::Skipped {
            bill.periods.clone_from(&self.periods);
        }
        Decision { bill, content, account, before: self.before, periods: self.periods, invoice: None, again, alarm }
    }

    /// What the bill says, where the charges add up and it could be prepared.
    fn document(&self, desk: &Desk) -> Option<String> {
        let bill = self.prepared.as_ref()?.as_ref().ok().map(|prepared| &prepared.bill)?;
        let seller = desk.seller(bill).map(|seller| &seller.is);
        self.difference.is_none().then(|| bill::document(bill, seller, bill::Status::Draft, self.test))
    }

    /// The bill as far as it does not depend on what it comes to: with what people said of it.
    fn begun(&self, chain: &Chain, log_time: Instant, asked: bool) -> StoredBill {
        let earlier = chain.bill(self.period.end).map(|(bill, _)| bill);
        StoredBill {
            status: Status::Draft,
            customer: self.key.customer.clone(),
            currency: self.key.currency,
            period: self.period,
            number: None,
            total: self.key.currency.text(Minor(0)),
            reason: None,
            since: earlier.map_or_else(|| whole_second(log_time), |bill| bill.since),
            periods: Vec::new(),
            newest: self.periods.iter().map(|period| period.offset).max().unwrap_or_default(),
            waived: earlier.and_then(|bill| bill.waived.clone()),
            receivable: None,
            corrects: None,
            voided: earlier.map(|bill| bill.voided.clone()).unwrap_or_default(),
            again: earlier.and_then(|bill| bill.again.clone()),
            approved: earlier.and_then(|bill| bill.approved.clone()),
            // Who issues it, lets it go.
            hold: earlier.and_then(|bill| bill.hold.clone()).filter(|_| !asked),
            test: self.test,
            document: None,
        }
    }
}

// === impl Decision ===

impl Decision {
    /// What a person must hear about, once each.
    pub(super) fn report(&self, key: &Key, reported: &mut BTreeSet<String>) -> Option<String> {
        let alarm = self.alarm.as_ref()?;
        let report = format!("bill {} is held: {alarm}", key.bill_id(self.bill.period.end));
        reported.insert(report.clone()).then_some(report)
    }
}

/// True for a bill that has no period of its own and nothing to say.
pub(super) fn is_empty(content: &Bill) -> bool {
    content.lines.is_empty() && content.period.start == content.period.end
}

fn parked(count: u64) -> String {
    let events =
        if count == 1 { "1 event of its period is".to_owned() } else { format!("{count} events of its period are") };
    format!(
        "{events} parked: nothing explains them yet; declare what is missing, or lift the hold with \
         `farthing invoices waive`"
    )
}

/// Why a person should look at the bill first.
fn unusual(content: &Bill, chain: &Chain, desk: &Desk) -> Option<String> {
    let text = |minor: Minor| format!("{} {}", Currency::text(content.currency, minor), content.currency);
    if content.total.0 < 0 {
        return Some(format!("its total is below zero: {}", text(content.total)));
    }
    let last = chain.stored.last_total.filter(|last| last.0 > 0)?;
    let difference = i128::from(content.total.0) - i128::from(last.0);
    let allowed = mul_div(i128::from(last.0), desk.terms.hold_above.raw(), Rate::ONE.raw()).unwrap_or(i128::MAX);
    (difference.abs() > allowed).then(|| {
        format!("its total {} differs from the last, {}, by more than hold_above", text(content.total), text(last))
    })
}

/// The review runs from a whole second, so that its end does not hang on the odd nanosecond of a Tick.
fn whole_second(time: Instant) -> Instant {
    Instant::from_nanos(time.nanos() - time.nanos().rem_euclid(1_000_000_000))
}
