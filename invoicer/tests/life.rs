//! The life of bills: approvals, holds, payments, voids, credit notes, credits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that cannot go on fails.

mod support;

use proto::v1;
use proto::v1::invoice_service_server::InvoiceService as _;
use proto::v1::usage_service_server::UsageService as _;
use storage::books::{AuditQuery, Books as _};
use support::{CATALOG, System, acme, call};
use tonic::Code;

const JANUARY: &str = "c-1/USD/2026-02-01T00:00:00Z";
const FEBRUARY: &str = "c-1/USD/2026-03-01T00:00:00Z";

/// A catalog where nothing is issued without a person's word, with two weeks to pay.
fn approving() -> String {
    let seller = "sellers: [{id: main, name: Acme, terms_days: 14}]\n";
    CATALOG.replace("meters:", &format!("billing: {{issue: approve}}\n{seller}meters:"))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_issued_without_an_approval_of_what_it_says() {
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(&approving()).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-05T00:00:00Z").await.unwrap();
    assert_eq!(system.listed("draft").await, [JANUARY], "its review is long over");
    let seen = system.get(JANUARY).await.unwrap().digest;
    system.send("c-1", "2026-01-11T00:00:00Z", "100").await;
    system.advance("2026-02-05T02:00:00Z").await.unwrap();
    let refused = system.approve(JANUARY, &seen).await.unwrap_err();
    assert!(refused.message().contains("not what it was"), "{refused}");
    let refused = system.issue_seen(JANUARY, &seen).await.unwrap_err();
    assert!(refused.message().contains("not what it was"), "{refused}");
    // The one before it is not issued: approving waits, and a change asks for another word.
    system.advance("2026-03-05T00:00:00Z").await.unwrap();
    assert_eq!(system.approve(FEBRUARY, "").await.unwrap().status, "approved");
    let approved = system.approve(JANUARY, &system.get(JANUARY).await.unwrap().digest).await.unwrap();
    assert_eq!((approved.status.as_str(), approved.total.as_str()), ("issued", "3.50"));
    let next = system.get(FEBRUARY).await.unwrap().summary.unwrap();
    assert_eq!(next.status, "skipped", "a bill of zeros, approved, follows at once");
    let audit = system.world.books.audit(&AuditQuery::all(Some(&acme()), 0, 1_000)).await.unwrap();
    let approved: Vec<&str> =
        audit.iter().filter(|entry| entry.action == "approve").map(|entry| entry.who.as_str()).collect();
    assert_eq!(approved, ["acme-finance", "acme-finance"]);
    assert!(system.approve("INV-TEST-1", "").await.is_err(), "there is no such number: the seller's is main");
    assert!(system.approve("main-TEST-1", "").await.unwrap_err().message().contains("never changes"));
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_approval_counts_for_what_was_seen() {
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(&approving()).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-05T00:00:00Z").await.unwrap();
    system.send("c-1", "2026-02-10T00:00:00Z", "250").await;
    system.hold(JANUARY, "ask Ann").await.unwrap();
    system.advance("2026-03-05T00:00:00Z").await.unwrap();
    assert_eq!(system.approve(FEBRUARY, "").await.unwrap().approved_by, "acme-finance");
    system.send("c-1", "2026-02-11T00:00:00Z", "100").await;
    system.advance("2026-03-05T02:00:00Z").await.unwrap();
    let changed = system.get(FEBRUARY).await.unwrap().summary.unwrap();
    assert_eq!((changed.status.as_str(), changed.total.as_str()), ("draft", "3.50"));
    assert!(changed.reason.contains("changed since acme-finance approved it"), "{}", changed.reason);
}

#[tokio::test(start_paused = true)]
async fn a_hold_keeps_a_draft_until_somebody_lets_it_go() {
    let mut system = System::running().await;
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-01T12:00:00Z").await.unwrap();
    let held = system.hold(JANUARY, "ask Ann").await.unwrap();
    assert_eq!((held.status.as_str(), held.reason.as_str()), ("held", "ask Ann: held by acme-finance"));
    system.advance("2026-02-05T00:00:00Z").await.unwrap();
    assert_eq!(system.listed("held").await, [JANUARY]);
    assert_eq!(system.hold(JANUARY, "").await.unwrap().status, "issued", "its review is over");
    assert!(system.hold(JANUARY, "too late").await.unwrap_err().message().contains("never changes"));
    // A hold takes an approval back; issuing takes the hold.
    system.send("c-1", "2026-02-10T00:00:00Z", "250").await;
    system.advance("2026-03-01T02:00:00Z").await.unwrap();
    assert!(system.hold(FEBRUARY, "").await.unwrap_err().message().contains("nobody holds"));
    system.hold(FEBRUARY, "wait").await.unwrap();
    let seen = system.get(FEBRUARY).await.unwrap().digest;
    assert!(system.issue_seen(FEBRUARY, "another").await.unwrap_err().message().contains("not what it was"));
    assert!(system.get(FEBRUARY).await.unwrap().summary.unwrap().reason.starts_with("wait"), "the hold stays");
    assert_eq!(system.issue_seen(FEBRUARY, &seen).await.unwrap().summary.unwrap().status, "issued");
}

#[tokio::test(start_paused = true)]
async fn an_unusual_bill_is_issued_once_it_is_approved() {
    let mut system = System::running().await;
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    system.send("c-1", "2026-02-10T00:00:00Z", "2500").await;
    system.advance("2026-03-05T00:00:00Z").await.unwrap();
    let held = system.get(FEBRUARY).await.unwrap().summary.unwrap();
    assert!(held.status == "held" && held.reason.contains("hold_above"), "{held:?}");
    assert_eq!(system.approve(FEBRUARY, "").await.unwrap().status, "issued");
}

#[tokio::test(start_paused = true)]
async fn payments_are_entries_that_are_never_changed() {
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(&approving().replace("issue: approve", "issue: auto")).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.send("c-2", "2026-01-10T00:00:00Z", "100").await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    let (first, second) = ("main-TEST-1", "main-TEST-2");
    assert_eq!(system.listed("open").await, [first, second]);
    let paid = system.pay(first, "1.00", "bank 1").await.unwrap();
    assert_eq!((paid.payment.as_str(), paid.left.as_str()), ("partly_paid", "1.50"));
    assert_eq!(system.pay(first, "1.00", "bank 1").await.unwrap().left, "1.50", "the same, sent twice, counts once");
    let refused = system.pay(first, "1.51", "").await.unwrap_err();
    assert!(refused.message().contains("1.51 USD is more than what is left to be paid: 1.50 USD"), "{refused}");
    for (amount, why) in [("0.00", "above zero"), ("1.001", "decimals"), ("-1", "above zero"), ("x", "not a decimal")] {
        let refused = system.pay(first, amount, "").await.unwrap_err();
        assert!(refused.code() == tonic::Code::InvalidArgument && refused.message().contains(why), "{refused}");
    }
    assert_eq!(system.pay(first, "1.50", "bank 2").await.unwrap().payment, "paid");
    assert_eq!(system.listed("paid").await, [first]);
    // The second payment comes back; the invoice is overdue once its 14 days are over.
    assert_eq!(system.reverse(first, "2026-02-10 1.50 bank 2").await.unwrap().payment, "partly_paid");
    assert_eq!(system.reverse(first, "2026-02-10 1.50 bank 2").await.unwrap().left, "1.50", "twice is once");
    assert!(system.pay(first, "1.50", "bank 2").await.unwrap_err().message().contains("was taken back"));
    assert_eq!(system.reverse(first, "nothing").await.unwrap_err().code(), tonic::Code::NotFound);
    system.advance("2026-02-16T12:00:00Z").await.unwrap();
    assert_eq!(system.listed("partly_paid").await, [first], "due on the 16th, the whole day");
    system.advance("2026-02-17T00:00:00Z").await.unwrap();
    assert_eq!(system.listed("overdue").await, [first, second]);
    let off = system.write_off(first).await.unwrap();
    assert_eq!((off.payment.as_str(), off.left.as_str()), ("written_off", "0.00"));
    assert!(system.pay(first, "1.50", "at last").await.unwrap_err().message().contains("written off"));
    system.reverse(first, "write-off-4").await.unwrap();
    assert_eq!(system.pay(first, "1.50", "at last").await.unwrap().payment, "paid");
    let entries = system.get(first).await.unwrap().entries;
    let kinds: Vec<(&str, bool)> = entries.iter().map(|entry| (entry.kind.as_str(), entry.reversed)).collect();
    let expected = [
        ("payment", false),
        ("payment", true),
        ("reversal", false),
        ("write_off", true),
        ("reversal", false),
        ("payment", false),
    ];
    assert_eq!(kinds, expected);
    let draft = system.pay(FEBRUARY, "1.00", "").await.unwrap_err();
    assert_eq!(draft.code(), tonic::Code::NotFound);
    system.advance("2026-03-01T02:00:00Z").await.unwrap();
    assert!(system.pay(FEBRUARY, "1.00", "").await.unwrap_err().message().contains("by its number"));
}

/// What a document says under a name, as text.
fn said(document: &str, name: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    document[name].as_str().map_or_else(|| document[name].to_string(), str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn voiding_the_newest_invoice_makes_its_bill_a_draft_again() {
    let mut system = System::running().await;
    system.send("c-1", "2026-01-10T00:00:00Z", "250.4").await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    system.send("c-1", "2026-01-31T12:00:00Z", "100").await;
    system.send("c-1", "2026-02-10T00:00:00Z", "200").await;
    system.advance("2026-03-03T00:00:00Z").await.unwrap();
    let first = system.get("INV-TEST-1").await.unwrap().document;
    let before = system.invoices().await;
    let voided = system.void("INV-TEST-2").await.unwrap();
    let note = voided.credit_note.unwrap();
    let document = &note.document;
    assert_eq!((said(document, "number"), said(document, "total")), ("CN-TEST-1".to_owned(), "-3.00".to_owned()));
    assert!(
        document.contains(r#""corrects":{"number":"INV-TEST-2""#) && document.contains("wrong address"),
        "{document}"
    );
    let draft = voided.draft.unwrap();
    assert_eq!((draft.id.as_str(), draft.status.as_str(), draft.total.as_str()), (FEBRUARY, "held", "3.00"));
    assert_eq!(draft.reason, "INV-TEST-2 was voided: wrong address: held by acme-finance");
    assert_eq!(system.listed("voided").await, ["INV-TEST-2"]);
    assert_eq!(system.listed("paid").await, ["CN-TEST-1"], "set off against what nobody had paid");
    // What comes by now stands on the draft; what it adjusted, it adjusts again.
    system.send("c-1", "2026-02-11T00:00:00Z", "50").await;
    system.advance("2026-03-03T03:00:00Z").await.unwrap();
    let draft = system.get(FEBRUARY).await.unwrap();
    assert_eq!(draft.summary.unwrap().total, "3.50");
    assert!(draft.document.contains(r#""kind":"adjustment""#) && draft.voided == ["INV-TEST-2"], "{}", draft.document);
    for number in ["INV-TEST-2", "CN-TEST-1"] {
        assert!(system.void(number).await.is_err(), "{number} cannot be voided");
    }
    assert_eq!(system.approve(FEBRUARY, "").await.unwrap().number, "INV-TEST-3");
    assert_eq!(system.void("INV-TEST-3").await.unwrap().credit_note.unwrap().summary.unwrap().number, "CN-TEST-2");
    assert_eq!(system.issue(FEBRUARY).await.unwrap().summary.unwrap().number, "INV-TEST-4");
    assert_eq!(system.get("INV-TEST-1").await.unwrap().document, first);
    let after = system.invoices().await;
    assert!(before.iter().all(|one| after.iter().any(|now| now.id == one.id && now.value == one.value)));
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_older_invoice_is_made_again_from_what_it_was_made_from() {
    let mut system = System::running().await;
    system.send("c-1", "2026-01-10T00:00:00Z", "250.4").await;
    system.send("c-1", "2026-02-10T00:00:00Z", "200.4").await;
    system.advance("2026-03-03T00:00:00Z").await.unwrap();
    let draft = system.void("INV-TEST-1").await.unwrap().draft.unwrap();
    assert_eq!((draft.id.as_str(), draft.status.as_str(), draft.total.as_str()), (JANUARY, "held", "2.50"));
    let draft_document =
        system.get(JANUARY).await.unwrap().document.replace(r#""status":"held""#, r#""status":"draft""#);
    let asked = v1::PreviewRequest { customer: "c-1".to_owned() };
    let previews = system.invoicer.services().preview(call("acme-read", asked)).await.unwrap().into_inner().invoices;
    assert_eq!(previews.first(), Some(&draft_document), "what is not issued is in the preview");
    // Later bills do not wait for it, and what is late now stands on the next one.
    system.send("c-1", "2026-01-31T12:00:00Z", "100").await;
    system.send("c-1", "2026-03-10T00:00:00Z", "200").await;
    system.advance("2026-04-03T00:00:00Z").await.unwrap();
    let march = system.get("c-1/USD/2026-04-01T00:00:00Z").await.unwrap();
    assert_eq!((march.summary.unwrap().status.as_str(), said(&march.document, "net").as_str()), ("issued", "3.00"));
    assert!(march.document.contains(r#""kind":"adjustment""#), "{}", march.document);
    // Made again for who the customer is today.
    let file = CATALOG.replace(
        "customers: [{id: c-1}",
        "taxes: [{id: vat, category: S, rate: 19%}]\ncustomers: [{id: c-1, name: Example GmbH, tax: vat}",
    );
    system.apply(&file).await.unwrap();
    system.advance("2026-04-03T01:00:00Z").await.unwrap();
    let draft = system.get(JANUARY).await.unwrap().document;
    assert_eq!((said(&draft, "net"), said(&draft, "total")), ("2.50".to_owned(), "2.98".to_owned()), "{draft}");
    assert!(draft.contains("Example GmbH") && !draft.contains("adjustment"), "{draft}");
    assert_eq!(system.approve(JANUARY, "").await.unwrap().status, "issued");
    assert_eq!(system.check().await.findings, Vec::<String>::new());
    // 750.8 calls and no more, in all documents.
    let invoices = system.invoices().await;
    let exact = invoices
        .iter()
        .filter(|one| one.value.bill.starts_with("c-1"))
        .map(|one| said(&one.value.canonical, "net_exact"));
    let exact: Vec<pricing::number::Amount> = exact.map(|text| text.parse().unwrap()).collect();
    assert_eq!(pricing::number::Amount::sum(exact).unwrap().to_string(), "7.508");
}

/// Two taxes on one bill: usage at 19 %, a fee of 20.00 at 7 %.
fn taxed() -> String {
    CATALOG
        .replace("every: month,", "every: month, fees: [{id: base, amount: 20.00, when: arrears, tax: low}],")
        .replace("meter: calls,", "meter: calls, tax: vat,")
        .replace("plans:", "taxes: [{id: vat, category: S, rate: 19%}, {id: low, category: S, rate: 7%}]\nplans:")
}

#[tokio::test(start_paused = true)]
async fn credit_notes_never_give_back_more_than_what_is_left() {
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(&taxed()).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "1000").await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    let number = "INV-TEST-1";
    let document = system.get(number).await.unwrap().document;
    // 20.00 at 7 % and 10.00 at 19 %.
    assert_eq!(said(&document, "total"), "33.30");
    let usage = 1 + u32::from(document.find(r#""kind":"usage""#) > document.find(r#""kind":"fee""#));
    let fee = 3 - usage;
    let note = system.credit(number, &[(usage, "4.00")], "").await.unwrap();
    assert_eq!((said(&note.document, "net"), said(&note.document, "total")), ("-4.00".to_owned(), "-4.76".to_owned()));
    assert_eq!(note.summary.unwrap().number, "CN-TEST-1");
    let again = system.credit(number, &[(usage, "4.00")], "").await.unwrap().summary.unwrap();
    assert_eq!(again.number, "CN-TEST-1", "sent twice, it is made once");
    let refused = system.credit(number, &[(usage, "6.01")], "").await.unwrap_err();
    assert!(refused.message().contains("6.00 USD is left of it"), "{refused}");
    assert!(system.credit(number, &[(3, "")], "").await.unwrap_err().message().contains("has no line 3"));
    assert!(system.credit(number, &[(fee, "-1.00")], "").await.unwrap_err().message().contains("is left of it"));
    assert!(system.credit(number, &[], "28.55").await.unwrap_err().message().contains("28.54 USD is left"));
    // 21.40 and 7.14 with tax are left: 10.00 is 7.50 and 2.50 of them.
    let spread = system.credit(number, &[], "10.00").await.unwrap().document;
    assert_eq!(said(&spread, "total"), "-10.00");
    assert!(
        spread.contains(r#""net":"-7.01","tax":"-0.49""#) && spread.contains(r#""net":"-2.10","tax":"-0.40""#),
        "{spread}"
    );
    let open = system.get(number).await.unwrap();
    assert_eq!((open.summary.unwrap().left.as_str(), open.credit_notes.len()), ("18.54", 2));
    // Paid, and the rest given back: that is owed to the customer.
    assert_eq!(system.pay(number, "18.54", "").await.unwrap().payment, "paid");
    let voided = system.void(number).await.unwrap();
    let note = voided.credit_note.unwrap();
    assert_eq!(said(&note.document, "total"), "-18.54");
    let summary = note.summary.unwrap();
    assert_eq!((summary.left.as_str(), summary.payment.as_str()), ("-18.54", "open"));
    assert!(system.pay(&summary.number, "18.55", "").await.unwrap_err().message().contains("to be given back"));
    assert_eq!(system.pay(&summary.number, "18.54", "back").await.unwrap().payment, "paid");
    assert!(system.pay(number, "1.00", "").await.unwrap_err().message().contains("voided by CN-TEST-3"));
    assert!(system.credit(number, &[], "0.01").await.is_err());
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn credits_are_used_in_order_shown_and_given_back() {
    let credits = "credits:\n  - {id: gift, customer: c-1, kind: promotional, amount: 3.00, currency: USD}\n  \
                   - {id: soon, customer: c-1, kind: promotional, amount: 1.00, currency: USD, expires: 2026-02-15}\n  \
                   - {id: money, customer: c-1, kind: prepaid, amount: 5.00, currency: USD}\n  \
                   - {id: euros, customer: c-1, kind: prepaid, amount: 5.00, currency: EUR}\n";
    let file = format!("{CATALOG}{credits}");
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(&file).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    let document = system.get("INV-TEST-1").await.unwrap().document;
    assert_eq!((said(&document, "net"), said(&document, "due")), ("0.00".to_owned(), "0.00".to_owned()), "{document}");
    assert!(document.contains(r#""credits":[{"id":"soon","kind":"promotional","used":"1","left":"0"},{"id":"gift","#));
    assert_eq!(system.credits().await, ["euros 0 5 open", "gift 1.5 1.5 open", "money 0 5 open", "soon 1 0 used"]);
    system.send("c-1", "2026-02-10T00:00:00Z", "400").await;
    system.advance("2026-03-03T00:00:00Z").await.unwrap();
    let second = system.bills().await.into_iter().find(|bill| bill.id == FEBRUARY).unwrap().value;
    let number = second.number.unwrap();
    let document = system.get(&number).await.unwrap().document;
    assert_eq!((said(&document, "prepaid"), said(&document, "due")), ("2.50".to_owned(), "0.00".to_owned()));
    assert_eq!(system.get(&number).await.unwrap().summary.unwrap().payment, "paid");
    assert_eq!(system.credits().await, ["euros 0 5 open", "gift 3 0 used", "money 2.5 2.5 open", "soon 1 0 used"]);
    // Nothing takes away what is used.
    let lower = |from: &str, to: &str| file.replace(from, to);
    let refused =
        system.apply(&lower("prepaid, amount: 5.00, currency: USD", "prepaid, amount: 2.49, currency: USD")).await;
    assert!(refused.unwrap_err().message().contains("bills have used 2.50 USD of it"));
    let other =
        system.apply(&lower("prepaid, amount: 5.00, currency: USD", "prepaid, amount: 5.00, currency: EUR")).await;
    assert!(other.unwrap_err().message().contains("currency"));
    system.apply(&lower("prepaid, amount: 5.00, currency: USD", "prepaid, amount: 2.50, currency: USD")).await.unwrap();
    // A void gives back what its bill took, and no more.
    let note = system.void(&number).await.unwrap().credit_note.unwrap();
    assert_eq!((said(&note.document, "prepaid"), said(&note.document, "due")), ("-2.50".to_owned(), "0.00".to_owned()));
    assert_eq!(system.credits().await, ["euros 0 5 open", "gift 1.5 1.5 open", "money 0 2.5 open", "soon 1 0 used"]);
    assert_eq!(system.issue(FEBRUARY).await.unwrap().summary.unwrap().payment, "paid");
    assert_eq!(system.credits().await[1..3], ["gift 3 0 used".to_owned(), "money 2.5 0 used".to_owned()]);
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn deciding_needs_a_key_of_finance_and_of_the_tenant() {
    let mut system = System::running().await;
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    let services = system.invoicer.services();
    let (id, text) = ("INV-TEST-1".to_owned(), String::new);
    for (key, code) in [("acme-read", Code::PermissionDenied), ("other-admin", Code::NotFound)] {
        let reason = "because".to_owned();
        let approve = v1::ApproveRequest { id: id.clone(), digest: text() };
        let hold = v1::HoldRequest { id: id.clone(), reason: reason.clone(), release: false };
        let void = v1::VoidRequest { id: id.clone(), reason: reason.clone() };
        let (amount, date) = ("1.00".to_owned(), "2026-02-10".to_owned());
        let credit =
            v1::CreditRequest { id: id.clone(), reason: reason.clone(), amount: amount.clone(), ..Default::default() };
        let pay = v1::PayRequest { id: id.clone(), amount, date, ..Default::default() };
        let write_off = v1::WriteOffRequest { id: id.clone(), reason: reason.clone() };
        let reverse = v1::ReverseRequest { id: id.clone(), entry: "x".to_owned(), reason };
        let answers = [
            services.approve(call(key, approve)).await.err(),
            services.hold(call(key, hold)).await.err(),
            services.void(call(key, void)).await.err(),
            services.credit(call(key, credit)).await.err(),
            services.pay(call(key, pay)).await.err(),
            services.write_off(call(key, write_off)).await.err(),
            services.reverse(call(key, reverse)).await.err(),
        ];
        for (place, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.map(|status| status.code()), Some(code), "call {place} with {key}");
        }
    }
    let other = services.list_credits(call("other-admin", v1::ListCreditsRequest::default())).await.unwrap();
    assert!(other.into_inner().credits.is_empty());
}
