//! The first page: what needs attention.

use crate::answer::Answer;
use crate::fields::link;
use crate::html::{Page, Section};
use crate::pages::{bills, customers, leaks};
use crate::visit::{Fault, Visit};
use invoicer::people::Role;
use maud::{Markup, html};
use proto::v1;
use proto::v1::admin_service_server::AdminService;
use proto::v1::invoice_service_server::InvoiceService;
use storage::output::Outcome;
use tonic::Request;

/// Bills that stand on the page itself.
const SHOWN: usize = 8;
/// What is counted at most: more shows as `1,000+`.
const COUNTED_MAX: u32 = 1_000;

/// Bills that wait for something.
struct Waiting {
    title: &'static str,
    says: &'static str,
    status: &'static str,
}

/// The most urgent first.
const WAITING: [Waiting; 4] = [
    Waiting { title: "Held", says: "A person decides: each says why.", status: "held" },
    Waiting { title: "Overdue", says: "Not paid by the day that stands on them.", status: "overdue" },
    Waiting {
        title: "Drafts",
        says: "To be looked at: they are issued after their review, or once a person approves them, as the catalog says.",
        status: "draft",
    },
    Waiting { title: "Approved", says: "Issued as soon as the customer's bills before them are.", status: "approved" },
];

/// A list that was read up to [`COUNTED_MAX`].
struct Counted<T> {
    found: Vec<T>,
    has_more: bool,
}

pub(crate) async fn page(visit: Visit) -> Result<Answer, Fault> {
    let halted = halted(&visit).await?;
    let sees_bills = visit.has(&[Role::Finance, Role::Audit]);
    let mut bills = Vec::new();
    for waiting in WAITING.iter().filter(|_| sees_bills) {
        let counted = with(&visit, waiting.status).await?;
        let known = customers::of(&visit, counted.shown()).await?;
        bills.push((waiting, counted, known));
    }
    let mut found_of = Vec::new();
    for kind in &leaks::KINDS {
        let (found, next) = leaks::read(&visit, kind.word, "", COUNTED_MAX, "").await?;
        found_of.push((kind, Counted { found, has_more: !next.is_empty() }));
    }
    let is_calm = halted.is_empty()
        && bills.iter().all(|(_, counted, _)| counted.found.is_empty())
        && found_of.iter().all(|(_, counted)| counted.found.is_empty());
    let body = html! {
        h1 { "What needs attention" }
        @for reason in &halted { p.notice role="alert" { (reason) } }
        @if is_calm { p.calm { "Nothing. All that arrived is charged, and no bill waits." } }
        @for (kind, counted, known) in &bills { (waiting(kind, counted, known)) }
        (leak_counts(&found_of))
    };
    Ok(Page::new("What needs attention", Section::Home, body).into())
}

/// Bills that wait for something.
fn waiting(kind: &Waiting, counted: &Counted<v1::InvoiceSummary>, known: &customers::Known) -> Markup {
    let Waiting { title, says, status } = *kind;
    let (count, all) = (counted.text(), link("/console/bills", &[("status", status)]));
    html! {
        @if !counted.found.is_empty() {
            section aria-labelledby={ "title-" (status) } {
                h2 id={ "title-" (status) } { (title) " " span.count { (count) } }
                p.says { (says) }
                (bills::table(title, counted.shown(), known))
                @if counted.found.len() > SHOWN { p.next { a href=(all) { "All " (count) " →" } } }
            }
        }
    }
}

fn leak_counts(found_of: &[(&leaks::Kind, Counted<Outcome>)]) -> Markup {
    let any = found_of.iter().any(|(_, counted)| !counted.found.is_empty());
    html! {
        @if any {
            section aria-labelledby="title-leaks" {
                h2 #title-leaks { "Not charged" }
                p.says { "Arrivals that are on no bill, with the reason of each." }
                ul.tiles {
                    @for (kind, counted) in found_of.iter().filter(|(_, counted)| !counted.found.is_empty()) {
                        li { a data-row href=(link("/console/leaks", &[("kind", kind.word)])) { strong { (counted.text()) } " " (kind.name) } }
                    }
                }
            }
        }
    }
}

async fn with(visit: &Visit, status: &str) -> Result<Counted<v1::InvoiceSummary>, Fault> {
    let asked = v1::ListInvoicesRequest { status: status.to_owned(), page_size: COUNTED_MAX, ..Default::default() };
    let answer = InvoiceService::list(&visit.reading(), Request::new(asked)).await?.into_inner();
    Ok(Counted { found: answer.invoices, has_more: !answer.next_page_token.is_empty() })
}

/// Shards that stand, and with them every bill whose usage they hold.
async fn halted(visit: &Visit) -> Result<Vec<String>, Fault> {
    let asked = Request::new(v1::StatusRequest {});
    let status = AdminService::status(&visit.of_all_tenants(), asked).await?.into_inner();
    let halted = status.shards.into_iter().filter(|shard| !shard.halted.is_empty());
    let said = halted.map(|shard| {
        let number = shard.shard;
        // The reason may name another tenant's customer: who runs the system reads it with `farthing status`.
        format!("Shard {number} has halted, and bills of its customers wait. docs/runbook.md says what to do.")
    });
    Ok(said.collect())
}

impl<T> Counted<T> {
    /// Those that stand on the page itself.
    fn shown(&self) -> &[T] {
        self.found.get(..SHOWN).unwrap_or(&self.found)
    }

    fn text(&self) -> String {
        let more = if self.has_more { "+" } else { "" };
        format!("{}{more}", pricing::number::grouped(&self.found.len().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::Counted;

    #[test]
    fn a_count_says_when_there_are_more() {
        let counted = |has_more| Counted { found: vec![(); 1_000], has_more }.text();
        assert_eq!((counted(false), counted(true)), ("1,000".to_owned(), "1,000+".to_owned()));
        assert_eq!(crate::words::counted(2, "bill"), "2 bills");
    }
}
