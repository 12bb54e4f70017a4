//! One line of a bill, opened: its tiers with their arithmetic, the events behind them, and the total that comes out again.

use crate::answer::Answer;
use crate::document::{Document, Line};
use crate::html::{self, Page, Section};
use crate::pages::bill::{self, Bill};
use crate::visit::{Fault, Visit};
use crate::words::{self, brief};
use axum::http::StatusCode;
use maud::{Markup, html};
use pricing::number::{Amount, Quantity, grouped};
use pricing::period::Zone;
use pricing::time::Instant;
use proto::v1;
use proto::v1::usage_service_server::UsageService;
use tonic::Request;

const PATH: &str = "/console/bill/line";
/// Events on a page.
const PAGE: u32 = 100;
/// Pages of a thousand that are gone through for late usage, which no sum of the store stands for.
const LATE_PAGES_MAX: usize = 20;

/// What a line is made of.
struct Part<'a> {
    line: &'a Line,
    start: Instant,
    /// Of late usage: only charges of records from this offset on, those that came after the earlier bill.
    from_offset: u64,
    /// Of an issued bill: only charges of records before this offset. What came since stands on a later bill. 0: all.
    until_offset: u64,
}

/// Charges, added up.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: u64,
    quantity: Quantity,
    amount: Amount,
}

pub(crate) async fn page(visit: Visit) -> Result<Answer, Fault> {
    let bill = bill::read(&visit, visit.query("id")).await?;
    let index = visit.query("line").parse::<usize>().ok();
    let line = index.and_then(|index| bill.document.lines.get(index)).filter(|line| line.opens());
    let Some(line) = line else {
        return Err(Fault::new(
            StatusCode::NOT_FOUND,
            "No events stand behind this line, or the bill has no such line.",
        ));
    };
    let part = Part::new(&bill, line);
    let asked =
        v1::ExplainRequest { page_size: PAGE, page_token: visit.query("page").to_owned(), ..explain(&bill, &part) };
    let found = UsageService::explain(&visit.reading(), Request::new(asked)).await?.into_inner();
    let sum = sum(&visit, &bill, &part).await?;
    let zone = bill.document.zone();
    let tiers = tiers(&bill.document, line);
    let title = if line.description.is_empty() { line.kind.clone() } else { line.description.clone() };
    let (id, at) = (&bill.document.id, visit.query("line"));
    let body = html! {
        p.says { a href=(html::bill_link(id)) { (bill.document.title()) } " · " (bill.document.buyer_name()) }
        h1 { (title) }
        (facts(&bill, &part, &zone))
        @if line.kind == "usage" { (arithmetic(&tiers, &bill.document.currency)) }
        (verdict(line, &tiers, &sum))
        section aria-labelledby="title-events" {
            h2 #title-events { "Events " span.count { (grouped(&sum.count.to_string())) } }
            p.says {
                "What each event added: the quantity after it less the quantity before it, and the price of the one less the price of the other."
            }
            @if found.charges.is_empty() { p.calm { "No charges on this page." } }
            @else { (html::table("Events", &events(&found.charges, &zone, &sum, &bill.document.currency))) }
            (html::next(PATH, &[("id", id), ("line", at)], &found.next_page_token))
        }
    };
    Ok(Page::new(title, Section::Bills, body).into())
}

fn explain(bill: &Bill, part: &Part<'_>) -> v1::ExplainRequest {
    v1::ExplainRequest {
        customer: bill.document.customer.clone(),
        subscription: part.line.subscription.clone().unwrap_or_default(),
        period: Some(words::timestamp(part.start)),
        price: part.line.price.clone().unwrap_or_default(),
        group: part.line.group.clone().into_iter().collect(),
        from_offset: part.from_offset,
        until_offset: part.until_offset,
        ..Default::default()
    }
}

/// The lines of the same price in the same period: its tiers.
fn tiers<'a>(document: &'a Document, line: &'a Line) -> Vec<&'a Line> {
    let same = |other: &&Line| {
        other.kind == "usage"
            && (&other.subscription, &other.price, &other.group, &other.period)
                == (&line.subscription, &line.price, &line.group, &line.period)
    };
    document.lines.iter().filter(same).collect()
}

fn facts(bill: &Bill, part: &Part<'_>, zone: &Zone) -> Markup {
    let line = part.line;
    html! {
        dl {
            @if let Some(subscription) = &line.subscription { dt { "Subscription" } dd { (subscription) } }
            @if let Some(price) = &line.price { dt { "Price" } dd { (price) } }
            @if let Some(meter) = &line.meter { dt { "Meter" } dd { (meter) } }
            @if !line.group.is_empty() { dt { "Group" } dd { (words::group(&line.group)) } }
            dt { "Period" } dd { (zone.stretch(line.period.unwrap_or(bill.document.period))) " (" (zone.name()) ")" }
            dt { "Printed" } dd { (words::money(&line.amount, &bill.document.currency)) }
            dt { "Exact" } dd { (grouped(&line.amount_exact)) }
        }
    }
}

/// How the quantity became money, tier by tier.
fn arithmetic(tiers: &[&Line], currency: &str) -> Markup {
    let content = html! {
        thead { tr { th scope="col" { "Part" } th.n scope="col" { "Units" } th.n scope="col" { "× each" } th.n scope="col" { "= exactly" } } }
        tbody {
            @for tier in tiers {
                tr {
                    td { (tier.description) }
                    td.n { (tier.quantity.as_deref().map(grouped).unwrap_or_default()) }
                    td.n { (bill::each(tier)) }
                    td.n { (grouped(&tier.amount_exact)) }
                }
            }
        }
        tfoot {
            tr.sum {
                th scope="row" { "Sum" } td {} td {}
                td.n { (exact(tiers).map(|sum| grouped(&sum.to_string())).unwrap_or_default()) " " (currency) }
            }
        }
    };
    html! {
        section aria-labelledby="title-tiers" {
            h2 #title-tiers { "The price, step by step" }
            (html::table("The price, step by step", &content))
        }
    }
}

/// What the lines come to, before anything is rounded.
fn exact(lines: &[&Line]) -> Option<Amount> {
    let amounts: Option<Vec<Amount>> = lines.iter().map(|line| line.amount_exact.parse().ok()).collect();
    Amount::sum(amounts?).ok()
}

fn events(charges: &[v1::ChargeRow], zone: &Zone, sum: &Sum, currency: &str) -> Markup {
    let has_groups = charges.iter().any(|row| !row.group.is_empty());
    let time = |row: &v1::ChargeRow| words::instant(row.time.as_ref()).map(|time| zone.local(time)).unwrap_or_default();
    html! {
        thead {
            tr {
                th scope="col" { "Time (" (zone.name()) ")" } th scope="col" { "Event" } th scope="col" { "Source" }
                @if has_groups { th scope="col" { "Group" } }
                th.n scope="col" { "Tier" } th.n scope="col" { "Quantity" } th.n scope="col" { "Amount" }
            }
        }
        tbody {
            @for row in charges {
                tr {
                    td { (time(row)) }
                    td.id title={ "Record " (row.event_position) } { (event(row)) }
                    td { (row.source) }
                    @if has_groups { td { (words::group(&row.group)) } }
                    td.n { (row.tier) }
                    td.n { (grouped(&row.quantity)) }
                    td.n { (brief(&row.amount)) }
                }
            }
        }
        tfoot {
            tr.sum {
                th scope="row" colspan=(if has_groups { 5 } else { 4 }) { "All " (words::counted(sum.count, "charge")) ", added up again" }
                td.n { (grouped(&sum.quantity.to_string())) }
                td.n { (grouped(&sum.amount.to_string())) " " (currency) }
            }
        }
    }
}

/// An event's id, or what a row without one stands for.
fn event(row: &v1::ChargeRow) -> &str {
    match (row.id.as_str(), row.level.as_str()) {
        ("", "") => "(the close settles the level)",
        ("", _) => "(the level that the period begins with)",
        (id, _) => id,
    }
}

/// Whether the events come to what the line says.
fn verdict(line: &Line, tiers: &[&Line], sum: &Sum) -> Markup {
    let wanted = if line.kind == "usage" { exact(tiers) } else { line.amount_exact.parse().ok() };
    match wanted {
        Some(wanted) if wanted == sum.amount => html! {
            p.done { "The events come to " (grouped(&sum.amount.to_string())) ", which is what the bill says, to the last digit." }
        },
        Some(wanted) => html! {
            p.notice {
                "The events come to " (grouped(&sum.amount.to_string())) ", the bill says " (grouped(&wanted.to_string()))
                ". Prices that hold tax show their net; a discount on late usage is its own."
            }
        },
        None => html! {},
    }
}

/// All charges of the line: by the store's own sums, or one by one where only late ones count.
async fn sum(visit: &Visit, bill: &Bill, part: &Part<'_>) -> Result<Sum, Fault> {
    if part.line.kind == "adjustment" {
        return sum_of_each(visit, explain(bill, part)).await;
    }
    let asked = v1::UsageRequest {
        customer: bill.document.customer.clone(),
        meter: part.line.meter.clone().unwrap_or_default(),
        ..Default::default()
    };
    let usage = UsageService::usage(&visit.reading(), Request::new(asked)).await?.into_inner();
    let mut sum = Sum::default();
    for row in usage.rows {
        let is_ours = Some(&row.subscription) == part.line.subscription.as_ref()
            && Some(&row.price) == part.line.price.as_ref()
            && words::instant(row.period.as_ref()) == Some(part.start)
            && part.line.group.iter().all(|(name, value)| row.group.get(name) == Some(value));
        if is_ours {
            sum.add(row.count, &row.quantity, &row.amount)?;
        }
    }
    if part.until_offset > 0 {
        let since = v1::ExplainRequest { from_offset: part.until_offset, until_offset: 0, ..explain(bill, part) };
        sum.take_off(&sum_of_each(visit, since).await?)?;
    }
    Ok(sum)
}

/// Charges one by one: those that came after a bill are few.
async fn sum_of_each(visit: &Visit, asked: v1::ExplainRequest) -> Result<Sum, Fault> {
    let mut asked = v1::ExplainRequest { page_size: 1_000, ..asked };
    let mut sum = Sum::default();
    for _ in 0..LATE_PAGES_MAX {
        let page = UsageService::explain(&visit.reading(), Request::new(asked.clone())).await?.into_inner();
        for row in &page.charges {
            sum.add(1, &row.quantity, &row.amount)?;
        }
        asked.page_token = page.next_page_token;
        if asked.page_token.is_empty() {
            break;
        }
    }
    Ok(sum)
}

impl<'a> Part<'a> {
    fn new(bill: &Bill, line: &'a Line) -> Self {
        let start = line.period.unwrap_or(bill.document.period).start;
        let is_ours = |subscription: &String, other: Option<&prost_types::Timestamp>| {
            Some(subscription) == line.subscription.as_ref() && words::instant(other) == Some(start)
        };
        let mut adjusted = bill.answer.adjusted.iter().filter(|_| line.kind == "adjustment");
        let adjusted = adjusted.find(|one| is_ours(&one.subscription, one.start.as_ref()));
        let billed = bill.answer.billed.iter().find(|one| is_ours(&one.subscription, one.start.as_ref()));
        Self {
            line,
            start,
            from_offset: adjusted.map_or(0, |one| one.from_offset),
            until_offset: billed.map_or(0, |one| one.until_offset),
        }
    }
}

impl Sum {
    fn add(&mut self, count: u64, quantity: &str, amount: &str) -> Result<(), Fault> {
        let (more, worth): (Quantity, Amount) = quantity.parse().ok().zip(amount.parse().ok()).ok_or_else(too_large)?;
        self.quantity = self.quantity.add(more).map_err(|_| too_large())?;
        self.amount = self.amount.add(worth).map_err(|_| too_large())?;
        self.count = self.count.saturating_add(count);
        Ok(())
    }

    fn take_off(&mut self, other: &Self) -> Result<(), Fault> {
        self.quantity = self.quantity.sub(other.quantity).map_err(|_| too_large())?;
        self.amount = self.amount.sub(other.amount).map_err(|_| too_large())?;
        self.count = self.count.saturating_sub(other.count);
        Ok(())
    }
}

fn too_large() -> Fault {
    Fault::new(StatusCode::CONFLICT, "The charges cannot be added up.")
}
