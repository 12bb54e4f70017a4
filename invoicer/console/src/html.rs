//! What all pages have: head, way around, and the parts they are made of.

use crate::fields::link;
use crate::visit::{Fault, Visit};
use crate::{assets, words};
use invoicer::people::Role;
use maud::{DOCTYPE, Markup, html};
use proto::v1;

/// What a page shows.
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) section: Section,
    pub(crate) body: Markup,
}

/// Where a page belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Home,
    Bills,
    Customers,
    Leaks,
    Catalog,
    Audit,
    /// What is reached from elsewhere.
    None,
}

/// The way around: section, name, path, the key after `g`, who sees it.
const WAYS: [(Section, &str, &str, &str, &[Role]); 6] = [
    (Section::Home, "Home", "/console", "h", &Role::ALL),
    (Section::Bills, "Bills", "/console/bills", "b", &[Role::Finance, Role::Audit]),
    (Section::Customers, "Customers", "/console/customers", "c", &Role::ALL),
    (Section::Leaks, "Leaks", "/console/leaks", "l", &Role::ALL),
    (Section::Catalog, "Catalog", "/console/catalog", "p", &Role::ALL),
    (Section::Audit, "Audit", "/console/audit", "a", &[Role::Audit]),
];

impl Page {
    pub(crate) fn new(title: impl Into<String>, section: Section, body: Markup) -> Self {
        Self { title: title.into(), section, body }
    }
}

/// A page of somebody who is signed in.
pub(crate) fn whole(visit: &Visit, page: &Page) -> Markup {
    let person = &visit.person;
    let roles = person.roles.iter().map(|role| role.word()).collect::<Vec<_>>().join(", ");
    document(
        &page.title,
        &html! {
            header {
                div.top {
                a.skip href="#main" { "Skip to content" }
                a.brand href="/console" { "Farthing" }
                nav aria-label="Main" {
                    @for (section, name, path, key, roles) in WAYS {
                        @if visit.has(roles) {
                            a href=(path) data-go=(key) aria-current=[(section == page.section).then_some("page")] { (name) }
                        }
                    }
                }
                form.search action="/console/search" role="search" {
                    label.unseen for="search" { "Find a bill or customer" }
                    input #search name="q" type="search" placeholder="Find  /" autocomplete="off";
                }
                div.person {
                    span title={ (person.tenant) " · " (roles) } { (person.name) }
                    form method="post" action="/console/sign-out" {
                        (token(visit))
                        button.quiet { "Sign out" }
                    }
                }
                }
                @if visit.guest.console.services().is_test_clock() {
                    p.test role="note" {
                        "Test system: log time is " (words::moment(visit.guest.console.services().log_time()))
                        ". Nothing here is anybody's debt."
                    }
                }
            }
            main #main tabindex="-1" {
                @if let Some(done) = visit.was_done().and_then(words::done) { p.done role="status" { (done) } }
                (page.body)
            }
            footer {
                "Tenant " (person.tenant) " · Keys: "
                kbd { "j" } " " kbd { "k" } " rows, " kbd { "Enter" } " open, " kbd { "/" } " find, "
                kbd { "g" } " and then " kbd { "h" } " home, " kbd { "b" } " bills, " kbd { "c" } " customers, "
                kbd { "l" } " leaks, " kbd { "p" } " plans, "
                kbd { "a" } " audit"
            }
        },
    )
}

/// A page of nobody in particular.
pub(crate) fn bare(title: &str, body: &Markup) -> Markup {
    document(title, &html! { main.bare #main { (body) } })
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Farthing" }
                link rel="stylesheet" href=(assets::style());
                link rel="icon" type="image/svg+xml" href=(assets::icon());
                script src=(assets::keys()) defer {}
            }
            body { (body) }
        }
    }
}

/// Why there is no page, and the way back to the bill that it was about.
pub(crate) fn fault(fault: &Fault, bill: Option<&str>) -> Page {
    let title = match fault.status.as_u16() {
        403 => "Not allowed",
        404 => "Not found",
        429 => "Too many tries",
        500.. => "Something is in the way",
        _ => "Not done",
    };
    let body = html! {
        h1 { (title) }
        p.notice { (words::sentence(&fault.message)) }
        p { @match bill {
            Some(id) => { a href=(bill_link(id)) { "Back to the bill" } }
            None => { a href="/console" { "To the start" } }
        } }
    };
    Page::new(title, Section::None, body)
}

/// What makes a form one of ours.
pub(crate) fn token(visit: &Visit) -> Markup {
    html! { input type="hidden" name="form" value=(visit.guest.token.form()); }
}

/// A status as a word with a colour.
pub(crate) fn badge(status: &str) -> Markup {
    html! { span class={ "badge " (status) } { (words::status(status)) } }
}

/// How far a bill has come; of what is issued, how far it is paid.
pub(crate) fn state(bill: &v1::InvoiceSummary) -> Markup {
    badge(if bill.payment.is_empty() { &bill.status } else { &bill.payment })
}

/// A table that scrolls by itself where the page is narrow.
pub(crate) fn table(label: &str, content: &Markup) -> Markup {
    html! { div.scroll role="group" aria-label=(label) tabindex="0" { table { (content) } } }
}

/// The way to the next page of a list.
pub(crate) fn next(path: &str, fields: &[(&str, &str)], token: &str) -> Markup {
    let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("page", token)]).collect();
    html! { @if !token.is_empty() { p.next { a rel="next" href=(link(path, &fields)) { "Next page →" } } } }
}

/// Where a bill is opened.
pub(crate) fn bill_link(id: &str) -> String {
    link("/console/bill", &[("id", id)])
}

/// Where a customer is opened.
pub(crate) fn customer_link(id: &str) -> String {
    link("/console/customer", &[("id", id)])
}
