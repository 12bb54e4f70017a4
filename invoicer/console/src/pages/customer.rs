//! One customer: who it is, what it subscribes to, what it uses by day, its bills.

use crate::answer::Answer;
use crate::document::Document;
use crate::html::{self, Page, Section};
use crate::pages::chart::{self, Day};
use crate::pages::{bills, customers};
use crate::visit::{Fault, Visit};
use crate::words;
use axum::http::StatusCode;
use invoicer::people::Role;
use maud::{Markup, html};
use pricing::catalog::entity::{Customer, Subscription};
use pricing::catalog::{Entity, Entry, Kind};
use pricing::number::Quantity;
use pricing::period::Zone;
use pricing::time::{Instant, Span};
use proto::v1;
use proto::v1::customer_service_server::CustomerService;
use proto::v1::invoice_service_server::InvoiceService;
use proto::v1::subscription_service_server::SubscriptionService;
use proto::v1::usage_service_server::UsageService;
use std::collections::BTreeMap;
use tonic::Request;

const PATH: &str = "/console/customer";
/// Days that are shown where no month is asked for.
const DAYS: usize = 31;
/// Bills that are read, and shown.
const BILLS_MAX: u32 = 1_000;
const BILLS_SHOWN: usize = 24;

pub(crate) async fn page(visit: Visit) -> Result<Answer, Fault> {
    let id = visit.query("id");
    let asked = v1::ListRequest { customer: id.to_owned(), ..Default::default() };
    let found = CustomerService::list(&visit.reading(), Request::new(asked.clone())).await?.into_inner();
    let Some(customer) = customers::read(&found.entries).pop() else {
        return Err(Fault::new(StatusCode::NOT_FOUND, format!("There is no customer “{id}”.")));
    };
    let subscriptions = SubscriptionService::list(&visit.reading(), Request::new(asked)).await?.into_inner();
    let month = visit.query("month");
    let charts = charts(&visit, &customer, month).await?;
    let name = customer.name.as_deref().unwrap_or(id);
    let known = customers::Known::from([(id.to_owned(), customer.clone())]);
    let sees_bills = visit.has(&[Role::Finance, Role::Audit]);
    let money = if sees_bills { Some(money(&visit, id, &known).await?) } else { None };
    let body = html! {
        h1 { (name) @if customer.ended { " " span.badge { "Ended" } } }
        (facts(&customer))
        @if let Some(money) = &money { (money) }
        section aria-labelledby="title-usage" {
            h2 #title-usage { "Usage by day" }
            form.filter action=(PATH) {
                input type="hidden" name="id" value=(id);
                label { "Month" input name="month" value=(month) placeholder="2026-01" pattern="[0-9]{4}-[0-9]{2}" size="8"; }
                button { "Show" }
            }
            (charts)
        }
        (subscribed(&subscriptions.entries))
    };
    Ok(Page::new(name, Section::Customers, body).into())
}

fn facts(customer: &Entry<Customer>) -> Markup {
    let address = &customer.address;
    let parts = [&address.street, &address.postcode, &address.city, &address.country];
    let place: Vec<&str> = parts.into_iter().filter_map(|part| part.as_deref()).collect();
    html! {
        dl {
            dt { "Id" } dd { (customer.id) }
            @if !place.is_empty() { dt { "Address" } dd { (place.join(", ")) } }
            @if let Some(email) = &customer.email { dt { "Mail" } dd { (email) } }
            @if let Some(vat_id) = &customer.vat_id { dt { "VAT ID" } dd { (vat_id) } }
            @if let Some(tax) = &customer.tax { dt { "Tax" } dd { (tax) } }
            dt { "Time zone" } dd { (customer.time_zone.name()) }
        }
    }
}

/// What the customer is billed: so far in the running periods, and before.
async fn money(visit: &Visit, id: &str, known: &customers::Known) -> Result<Markup, Fault> {
    let asked = Request::new(v1::PreviewRequest { customer: id.to_owned() });
    let previews = UsageService::preview(&visit.reading(), asked).await?.into_inner().invoices;
    let previews: Vec<Document> = previews.iter().map(|preview| Document::read(preview)).collect::<Result<_, _>>()?;
    let asked = v1::ListInvoicesRequest { customer: id.to_owned(), page_size: BILLS_MAX, ..Default::default() };
    let asked_credits = v1::ListCreditsRequest { customer: id.to_owned(), ..Default::default() };
    let credits = match InvoiceService::list_credits(&visit.reading(), Request::new(asked_credits)).await {
        Err(refused) if refused.code() == tonic::Code::Unimplemented => Vec::new(),
        answer => answer?.into_inner().credits,
    };
    let mut bills = InvoiceService::list(&visit.reading(), Request::new(asked)).await?.into_inner().invoices;
    bills.sort_by_key(|bill| std::cmp::Reverse(words::instant(bill.end.as_ref())));
    Ok(html! {
        @if !previews.is_empty() {
            ul.tiles {
                @for preview in &previews {
                    li { a href="#title-usage" {
                        strong { (words::money(&preview.total, &preview.currency)) } br;
                        "so far, " (preview.zone().stretch(preview.period))
                    } }
                }
            }
        }
        section aria-labelledby="title-bills" {
            h2 #title-bills { "Bills " span.count { (bills.len()) } }
            @if bills.is_empty() { p.calm { "None yet." } }
            @else { (bills::table("Bills", bills.get(..BILLS_SHOWN).unwrap_or(&bills), known)) }
        }
        (credited(&credits))
    })
}

/// What the customer was given, or paid before.
fn credited(credits: &[v1::CreditSummary]) -> Markup {
    let content = html! {
        thead { tr { th scope="col" { "Credit" } th scope="col" { "Kind" } th.n scope="col" { "Given" } th.n scope="col" { "Used" } th.n scope="col" { "Left" } th scope="col" { "Until" } } }
        tbody {
            @for credit in credits {
                tr {
                    td { (credit.id) " " (html::badge(&credit.status)) }
                    td { (credit.kind) }
                    td.n { (words::money(&credit.amount, &credit.currency)) }
                    td.n { (words::brief(&credit.used)) }
                    td.n { (words::brief(&credit.left)) }
                    td { @if let Some(expires) = words::instant(credit.expires.as_ref()) { (words::moment(expires)) } }
                }
            }
        }
    };
    html! {
        @if !credits.is_empty() {
            section aria-labelledby="title-credits" {
                h2 #title-credits { "Credits" }
                (html::table("Credits", &content))
            }
        }
    }
}

fn subscribed(entries: &[String]) -> Markup {
    let subscription = |entry: &String| match Entity::from_json(Kind::Subscription, entry) {
        Ok(Entity::Subscription(subscription)) => Some(subscription),
        _ => None,
    };
    let all: Vec<Entry<Subscription>> = entries.iter().filter_map(subscription).collect();
    let content = html! {
        thead { tr { th scope="col" { "Subscription" } th scope="col" { "Plan" } th scope="col" { "From" } th scope="col" { "Until" } } }
        tbody {
            @for subscription in &all {
                @for term in &subscription.timeline.terms {
                    @let zone = &term.grid.zone;
                    tr {
                        td { (subscription.declared.id) @if term.trial { " " span.badge { "Trial" } } }
                        td { (term.plan.id) " v" (term.plan.version) }
                        td { (zone.local(term.from)) }
                        td { @if let Some(until) = term.until { (zone.local(until)) } }
                    }
                }
            }
        }
    };
    html! {
        section aria-labelledby="title-subscriptions" {
            h2 #title-subscriptions { "Subscriptions" }
            @if all.is_empty() { p.calm { "None." } } @else { (html::table("Subscriptions", &content)) }
        }
    }
}

/// A chart for each meter.
async fn charts(visit: &Visit, customer: &Entry<Customer>, month: &str) -> Result<Markup, Fault> {
    let zone = &customer.time_zone;
    let days = days(zone, month, visit.guest.console.services().log_time())?;
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(html! {}) };
    let asked = v1::UsageRequest {
        customer: customer.id.to_string(),
        from: Some(words::timestamp(*first)),
        until: Some(words::timestamp(next_day(zone, *last)?)),
        by: v1::usage_request::By::Day.into(),
        ..Default::default()
    };
    let usage = UsageService::usage(&visit.reading(), Request::new(asked)).await?.into_inner();
    let meters = by_meter(&usage);
    let charts = meters.iter().map(|(meter, used)| {
        let days: Vec<Day> = days
            .iter()
            .map(|day| zone.date(*day).to_string())
            .map(|date| Day { quantity: used.get(&date).copied().unwrap_or_default(), date })
            .collect();
        chart::bars(meter, &days)
    });
    Ok(html! {
        @if meters.is_empty() { p.calm { "Nothing was used in these days." } }
        div.charts { @for chart in charts { (chart) } }
    })
}

/// What was used of each meter on each day. Where several prices take a meter, each has all of it: the first counts.
fn by_meter(usage: &v1::UsageResponse) -> BTreeMap<String, BTreeMap<String, Quantity>> {
    let zone = words::zone(&usage.time_zone);
    let mut first: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut meters: BTreeMap<String, BTreeMap<String, Quantity>> = BTreeMap::new();
    for row in &usage.rows {
        let price = *first.entry((&row.subscription, &row.meter)).or_insert(&row.price);
        let (Some(day), Ok(more)) = (words::instant(row.bucket.as_ref()), row.quantity.parse::<Quantity>()) else {
            continue;
        };
        if price == row.price {
            let used = meters.entry(row.meter.clone()).or_default().entry(zone.date(day).to_string()).or_default();
            *used = used.add(more).unwrap_or(*used);
        }
    }
    meters
}

/// The first moments of the days of a month, or of the last days.
fn days(zone: &Zone, month: &str, now: Instant) -> Result<Vec<Instant>, Fault> {
    let refused = || Fault::new(StatusCode::BAD_REQUEST, format!("“{month}” is no month; write one such as 2026-01."));
    let early = |_| refused();
    let mut days = Vec::new();
    if month.is_empty() {
        let mut day = zone.day(now).map_err(early)?;
        while days.len() < DAYS {
            days.push(day);
            day = zone.day(day.minus(Span::from_hours(12))).map_err(early)?;
        }
        days.reverse();
        return Ok(days);
    }
    // Noon of UTC lies on the same date in nearly every zone.
    let mut day: Instant = format!("{month}-01T11:00:00Z").parse().map_err(|_| refused())?;
    day = zone.day(day).map_err(early)?;
    while zone.date(day).to_string().starts_with(month) && days.len() < DAYS {
        days.push(day);
        day = next_day(zone, day)?;
    }
    Ok(days)
}

/// The first moment of the day after: 36 hours later it is that day, whatever clocks did.
fn next_day(zone: &Zone, day: Instant) -> Result<Instant, Fault> {
    let refused = |_| Fault::new(StatusCode::BAD_REQUEST, "The days lie outside the years 1678 to 2261.");
    zone.day(day.plus(Span::from_hours(36))).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::days;
    use pricing::period::Zone;

    #[test]
    fn months_have_their_days_whatever_the_clock_does() {
        let now = "2026-04-01T12:00:00Z".parse().unwrap();
        for (zone, month, count) in
            [("Europe/Berlin", "2026-03", 31), ("America/New_York", "2026-11", 30), ("Asia/Tokyo", "2026-02", 28)]
        {
            let zone = Zone::new(zone).unwrap();
            let days = days(&zone, month, now).unwrap();
            assert_eq!(days.len(), count, "{month}");
            assert!(days.iter().all(|day| zone.date(*day).to_string().starts_with(month)));
        }
        let last = days(&Zone::utc(), "", now).unwrap();
        assert_eq!((last.len(), last.last().unwrap().to_string()), (31, "2026-04-01T00:00:00Z".to_owned()));
        assert!(days(&Zone::utc(), "January", now).is_err());
    }
}
