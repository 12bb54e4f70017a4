//! The leak report: arrivals that are on no bill, why, and what to do about them.

use crate::answer::Answer;
use crate::fields::link;
use crate::html::{self, Page, Section};
use crate::visit::{Fault, Visit};
use crate::words;
use axum::http::StatusCode;
use maud::{Markup, html};
use proto::v1;
use proto::v1::usage_service_server::UsageService;
use std::collections::BTreeSet;
use storage::output::Outcome;
use storage::shard::{Offset, Shard};
use tonic::Request;

const PATH: &str = "/console/leaks";
/// Arrivals on a page.
const PAGE: u32 = 100;

/// A kind of arrival that was not charged.
pub(crate) struct Kind {
    /// As the services call it.
    pub(crate) word: &'static str,
    /// As people do.
    pub(crate) name: &'static str,
    what: &'static str,
    to_do: &'static str,
}

/// What can become of a parked event; the first is what has no outcome of its own.
const FATES: [&str; 5] = ["unparked", "unpriced", "rejected", "conflict", "not_backfilled"];

/// All of them, the most urgent first.
pub(crate) const KINDS: [Kind; 5] = [
    Kind {
        word: "parked",
        name: "parked",
        what: "They wait for something that is not declared: their customer, a subscription at their time, or a meter for their type. They hold back the bill of their period.",
        to_do: "Declare what the reason names; they are then priced by themselves. To bill without them, waive them on the bill.",
    },
    Kind {
        word: "unpriced",
        name: "unpriced",
        what: "A meter counts them, but no price of the customer's plan names the meter.",
        to_do: "Add a price to the plan, for what comes from then on; or leave it, where the use is meant to be free.",
    },
    Kind {
        word: "rejected",
        name: "rejected",
        what: "They are never billed: a meter cannot read them, they came too late, or more waited than is kept.",
        to_do: "Mend what sends them as the reason says, and send them again under new ids. Nothing is lost: the payload is here.",
    },
    Kind {
        word: "conflict",
        name: "in conflict",
        what: "Their id came before with other content. The first one stands.",
        to_do: "Find out which is right. If both are, the sender gives one id to two events: mend it, and send the second under an id of its own.",
    },
    Kind {
        word: "not_backfilled",
        name: "before the first billed period",
        what: "They lie in a period before the first one that their subscription is billed for.",
        to_do: "Nothing, where that is meant. Otherwise declare the subscription with backfill: true before its events are sent.",
    },
];

pub(crate) async fn page(visit: Visit) -> Result<Answer, Fault> {
    let (kind, customer) = (visit.query("kind"), visit.query("customer"));
    let Some(kind) = KINDS.iter().find(|known| known.word == kind || kind.is_empty()) else {
        return Err(Fault::new(StatusCode::NOT_FOUND, format!("There is no kind “{kind}”.")));
    };
    let (found, next) = read(&visit, kind.word, customer, PAGE, visit.query("page")).await?;
    let body = html! {
        h1 { "Leak report" }
        p.says { "Every event that arrived is charged, a duplicate, or here with the reason why not." }
        ul.tiles {
            @for known in &KINDS {
                li { a href=(link(PATH, &[("kind", known.word), ("customer", customer)])) aria-current=[(known.word == kind.word).then_some("true")] { (known.name) } }
            }
        }
        form.filter action=(PATH) {
            input type="hidden" name="kind" value=(kind.word);
            label { "Customer" input name="customer" value=(customer) autocomplete="off"; }
            button { "Show" }
        }
        section aria-labelledby="title-kind" {
            h2 #title-kind { "Events that are " (kind.name) }
            p.says { (kind.what) }
            p { strong { "What to do: " } (kind.to_do) }
            @if found.is_empty() { p.calm { "None." } } @else { (html::table("Events", &rows(&found))) }
            (html::next(PATH, &[("kind", kind.word), ("customer", customer)], &next))
        }
    };
    Ok(Page::new("Leak report", Section::Leaks, body).into())
}

fn rows(outcomes: &[Outcome]) -> Markup {
    html! {
        thead { tr { th scope="col" { "Time" } th scope="col" { "Customer" } th scope="col" { "Type" } th scope="col" { "Event" } th scope="col" { "Why" } } }
        tbody {
            @for outcome in outcomes {
                tr {
                    td { (words::moment(outcome.time)) }
                    td { a data-row href=(html::customer_link(&outcome.customer)) { (outcome.customer) } }
                    td { (outcome.event_type) }
                    td.id { (outcome.id) br; small { (outcome.source) } }
                    td {
                        (outcome.reason)
                        @if !outcome.properties.is_empty() {
                            details {
                                summary { "Payload" }
                                dl { @for (name, value) in &outcome.properties { dt { (name) } dd { (value) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A page of arrivals of a kind; of parked ones those that still are.
pub(crate) async fn read(
    visit: &Visit,
    kind: &str,
    customer: &str,
    size: u32,
    page: &str,
) -> Result<(Vec<Outcome>, String), Fault> {
    let mut asked = v1::OutcomesRequest {
        customer: customer.to_owned(),
        kinds: vec![kind.to_owned()],
        page_size: size,
        page_token: page.to_owned(),
    };
    let (mut found, mut next) = ask(visit, asked.clone()).await?;
    if kind != "parked" || found.is_empty() {
        return Ok((found, next));
    }
    let over = explained(visit, customer).await?;
    loop {
        found.retain(|outcome| !over.contains(&place(outcome)));
        // A page of nothing but what was explained since says nothing of the pages after it.
        if !found.is_empty() || next.is_empty() {
            return Ok((found, next));
        }
        asked.page_token = next;
        (found, next) = ask(visit, asked.clone()).await?;
    }
}

/// Parked events that something explained, or that waited too long: their newest outcome says what became of them.
async fn explained(visit: &Visit, customer: &str) -> Result<BTreeSet<(Shard, Offset, u32)>, Fault> {
    let mut asked = v1::OutcomesRequest {
        customer: customer.to_owned(),
        kinds: FATES.map(str::to_owned).to_vec(),
        page_size: 1_000,
        page_token: String::new(),
    };
    let mut places = BTreeSet::new();
    loop {
        let (found, next) = ask(visit, asked.clone()).await?;
        places.extend(found.iter().map(place));
        if next.is_empty() {
            return Ok(places);
        }
        asked.page_token = next;
    }
}

async fn ask(visit: &Visit, asked: v1::OutcomesRequest) -> Result<(Vec<Outcome>, String), Fault> {
    let answer = UsageService::outcomes(&visit.reading(), Request::new(asked)).await?.into_inner();
    let read = answer.outcomes.iter().map(|outcome| serde_json::from_str(outcome)).collect::<Result<_, _>>();
    let unreadable = |error: serde_json::Error| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    Ok((read.map_err(unreadable)?, answer.next_page_token))
}

/// Where the event itself stands.
fn place(outcome: &Outcome) -> (Shard, Offset, u32) {
    (outcome.position.shard, outcome.event.offset, outcome.event.index)
}
