//! What the services answer: entries one by one, pages, previews, refusals that name the place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that cannot go on fails.

mod support;

use invoicer::ledger::{Ledger, Rendering};
use pricing::id::TenantId;
use proto::v1;
use proto::v1::catalog_service_server::CatalogService;
use proto::v1::customer_service_server::CustomerService;
use proto::v1::invoice_service_server::InvoiceService;
use proto::v1::subscription_service_server::SubscriptionService;
use proto::v1::usage_service_server::UsageService;
use storage::shard::ShardCount;
use storage::sim::World;
use support::{System, call};
use tonic::Code;

const CATALOG: &str = r"
apiVersion: farthing/v1
tenant: acme
meters: [{id: calls, event: call, aggregate: sum, value: n}]
plans:
  - {id: payg, currency: USD, every: month, prices: [{id: out, meter: calls, per_unit: {each: 0.01}}]}
";

fn put(entry: &str) -> v1::PutRequest {
    v1::PutRequest { entry: entry.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn customers_and_subscriptions_come_one_by_one() {
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(CATALOG).await.unwrap();
    let services = system.invoicer.services().clone();
    for number in 1..=3 {
        let entry = format!("{{id: c-{number}, name: Number {number}}}");
        let made = CustomerService::put(&services, call("root", put(&entry))).await.unwrap().into_inner();
        assert_eq!(made.changes[0].what, format!("customer c-{number}"));
        let again = CustomerService::put(&services, call("root", put(&entry))).await.unwrap().into_inner();
        assert_eq!(again.changes, Vec::new(), "creating twice is harmless");
    }
    let unknown = put("{id: s-1, customer: c-9, plan: payg, from: 2026-01-01}");
    let refused = SubscriptionService::put(&services, call("root", unknown)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("c-9"), "{refused}");
    let entry = put("{id: s-1, customer: c-1, plan: payg, from: 2026-01-01}");
    SubscriptionService::put(&services, call("root", entry)).await.unwrap();

    let mut listed = Vec::new();
    let mut page = v1::ListRequest { page_size: 2, ..Default::default() };
    loop {
        let answer = CustomerService::list(&services, call("acme-read", page.clone())).await.unwrap().into_inner();
        assert!(answer.entries.len() <= 2);
        listed.extend(answer.entries);
        page.page_token = answer.next_page_token;
        if page.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed.len(), 3);
    let forged = v1::ListRequest { page_token: "zz".to_owned(), ..Default::default() };
    let refused = CustomerService::list(&services, call("acme-read", forged)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let of = |customer: &str| v1::ListRequest { customer: customer.to_owned(), ..Default::default() };
    let own = SubscriptionService::list(&services, call("acme-read", of("c-1"))).await.unwrap().into_inner();
    let other = SubscriptionService::list(&services, call("acme-read", of("c-2"))).await.unwrap().into_inner();
    assert_eq!((own.entries.len(), other.entries.len()), (1, 0));

    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-01-15T00:00:00Z").await.unwrap();
    let preview = v1::PreviewRequest { customer: "c-1".to_owned() };
    let preview = services.preview(call("acme-read", preview)).await.unwrap().into_inner();
    assert_eq!(preview.invoices.len(), 1);
    assert!(preview.invoices[0].contains(r#""total":"2.50""#), "{}", preview.invoices[0]);
    assert!(system.bills().await.is_empty(), "a preview writes nothing");
    let usage =
        UsageService::usage(&services, call("acme-read", v1::UsageRequest::default())).await.unwrap().into_inner();
    assert_eq!((usage.rows[0].quantity.as_str(), usage.rows[0].amount.as_str()), ("250", "2.5"));
}

#[tokio::test]
async fn a_preview_is_the_bill_at_the_periods_end() {
    let world = World::new(ShardCount::new(1).unwrap());
    let mut system = System::rated(world, "2026-01-01T00:00:00Z").await;
    let file = CATALOG
        .replace("every: month, prices", "every: month, fees: [{id: base, amount: 31.00, when: arrears}], prices")
        .replace("{id: out, meter: calls, ", "{id: out, meter: calls, included: 100, minimum: 1.00, ");
    let file = format!(
        "{file}  - {{id: daily, currency: USD, every: day, prices: [{{id: out, meter: days, per_unit: {{each: 1}}}}]}}\n\
         customers: [{{id: c-1}}]\nsubscriptions:\n  - {{id: s-1, customer: c-1, plan: payg, from: 2026-01-01}}\n  \
         - {{id: s-2, customer: c-1, plan: daily, from: 2026-01-01}}\n"
    );
    let file = file.replace("value: n}]", "value: n}, {id: days, event: day, aggregate: count}]");
    system.apply(&file).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "350").await;
    system.advance("2026-01-10T12:00:00Z").await.unwrap();
    let services = system.invoicer.services();
    let preview = v1::PreviewRequest { customer: "c-1".to_owned() };
    let preview = services.preview(call("acme-read", preview)).await.unwrap().into_inner().invoices;
    // Days that are over and wait for their review, today's bill, and January's: 31.00 and 250 calls, nothing cut short.
    assert!(preview.len() >= 2, "{preview:?}");
    let january = preview.last().unwrap();
    assert!(january.contains(r#""id":"c-1/USD/2026-02-01T00:00:00Z""#), "{january}");
    assert!(january.contains(r#""total":"33.50""#), "{january}");
    assert!(preview.iter().any(|bill| bill.contains(r#""id":"c-1/USD/2026-01-11T00:00:00Z""#)), "{preview:?}");
}

#[tokio::test(start_paused = true)]
async fn the_catalog_comes_back_as_a_file_and_mistakes_have_lines() {
    let system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(CATALOG).await.unwrap();
    let services = system.invoicer.services();
    let file =
        CatalogService::get(services, call("acme-read", v1::GetCatalogRequest {})).await.unwrap().into_inner().file;
    assert_eq!(system.apply(&file).await.unwrap().changes, Vec::new(), "{file}");
    let wrong = system.apply(&CATALOG.replace("aggregate: sum", "agregate: sum")).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(wrong.message().contains("line 4") && wrong.message().contains("aggregate"), "{wrong}");
    let changed = v1::ApplyRequest { file: CATALOG.replace("0.01", "0.02"), ..Default::default() };
    let diff = services.diff(call("root", changed)).await.unwrap().into_inner();
    assert_eq!(diff.changes[0].what, "plan payg");
    let after =
        CatalogService::get(services, call("acme-read", v1::GetCatalogRequest {})).await.unwrap().into_inner().file;
    assert_eq!(after, file, "a diff changes nothing");
}

#[tokio::test(start_paused = true)]
async fn issued_documents_are_exported_and_never_change() {
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    let file = format!(
        "{CATALOG}sellers: [{{id: main, name: Acme GmbH, prefix: ACME-}}]\ncustomers: [{{id: c-1}}]\nsubscriptions: \
         [{{id: s-1, customer: c-1, plan: payg, from: 2026-01-01}}]\n"
    );
    system.apply(&file).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-01T02:00:00Z").await.unwrap();
    let services = system.invoicer.services();
    let id = "c-1/USD/2026-02-01T00:00:00Z";
    let export = |id: &str, format: &str| v1::ExportRequest {
        id: id.to_owned(),
        format: format.to_owned(),
        ..v1::ExportRequest::default()
    };
    let early = services.export(call("acme-read", export(id, "ubl"))).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition, "{early}");
    let draft = services.export(call("acme-read", export(id, "pdf"))).await.unwrap().into_inner();
    assert!(draft.content.starts_with(b"%PDF-1.7"), "drafts are pages, too");
    let issued = system.issue(id).await.unwrap();
    assert_eq!(issued.summary.unwrap().number, "ACME-TEST-1", "a test system's documents say so");
    let json = services.export(call("acme-read", export("ACME-TEST-1", "json"))).await.unwrap().into_inner();
    assert_eq!(String::from_utf8(json.content).unwrap(), issued.document);
    let csv = services.export(call("acme-read", export("ACME-TEST-1", "csv"))).await.unwrap().into_inner();
    assert!(String::from_utf8(csv.content).unwrap().contains("2.50"));
    let pdf = services.export(call("acme-read", export("ACME-TEST-1", "pdf"))).await.unwrap().into_inner();
    assert_eq!(pdf.media_type, "application/pdf");
    assert_ne!(pdf.content, draft.content);
    let kept = Ledger::new(system.world.books.clone());
    let kept = kept.get::<Rendering>(Some(&TenantId::new("acme").unwrap()), "ACME-TEST-1/pdf").await.unwrap();
    assert_eq!(kept.unwrap().revision, 1, "what was sent is kept");
    let again = services.export(call("acme-read", export("ACME-TEST-1", "pdf"))).await.unwrap().into_inner();
    assert_eq!(again.content, pdf.content);
    system.advance("2026-02-05T00:00:00Z").await.unwrap();
    let request = v1::GetInvoiceRequest { id: "ACME-TEST-1".to_owned() };
    let later = InvoiceService::get(services, call("acme-read", request)).await.unwrap().into_inner();
    assert_eq!(later.document, issued.document);
}
