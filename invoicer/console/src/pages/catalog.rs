//! The catalog: plans with their versions and what each changed, all that is in force, and the way to change it.

use crate::answer::Answer;
use crate::html::{self, Page, Section};
use crate::visit::{Fault, Visit};
use crate::words;
use invoicer::people::Role;
use maud::{Markup, html};
use proto::v1;
use proto::v1::catalog_service_server::CatalogService;
use storage::keyring::Scope;
use tonic::Request;

const PATH: &str = "/console/catalog";

pub(crate) async fn page(visit: Visit) -> Result<Answer, Fault> {
    let asked = Request::new(v1::VersionsRequest::default());
    let versions = CatalogService::versions(&visit.reading(), asked).await?.into_inner().versions;
    let plans = versions.chunk_by(|one, next| one.plan == next.plan);
    let body = html! {
        h1 { "Catalog" }
        @if versions.is_empty() { p.calm { "No plans are declared yet." } }
        @for versions in plans { (plan(versions)) }
        section aria-labelledby="title-file" {
            h2 #title-file { "All that is in force" }
            p { a href={ (PATH) "/file" } download { "As a catalog file" } ", such as people keep in version control." }
        }
        @if visit.has(&[Role::Catalog]) { (change(&visit, "", None)) }
    };
    Ok(Page::new("Catalog", Section::Catalog, body).into())
}

/// A plan's versions, newest first.
fn plan(versions: &[v1::PlanVersion]) -> Markup {
    html! {
        @if let Some(newest) = versions.first() {
            section {
                h2 { "Plan " (newest.plan) }
                @for version in versions {
                    h3 {
                        "Version " (version.version) " "
                        span.count { (words::counted(version.subscriptions, "subscription")) }
                        @if !version.ended { " " span.badge.issued { "On sale" } }
                    }
                    @if !version.changes.is_empty() {
                        ul { @for change in &version.changes { li { (changed(change)) } } }
                    }
                    details { summary { "As declared" } pre tabindex="0" { (version.entry) } }
                }
            }
        }
    }
}

/// `prices.out.included: 0 → 100000`, the old struck out.
pub(crate) fn changed(line: &str) -> Markup {
    let parts = line.split_once(": ").and_then(|(key, values)| Some((key, values.split_once(" → ")?)));
    match parts {
        Some((key, (before, after))) => html! { code { (key) } ": " del { (before) } " → " ins { (after) } },
        None => html! { (line) },
    }
}

fn change(visit: &Visit, file: &str, changes: Option<&[v1::Change]>) -> Markup {
    html! {
        section aria-labelledby="title-change" {
            h2 #title-change { "Change it" }
            p.says { "What a file leaves out stays. A plan that changed becomes a new version, for new subscriptions." }
            form method="post" action={ (PATH) "/diff" } {
                (html::token(visit))
                label for="file" { "Catalog file (YAML)" }
                textarea #file name="file" spellcheck="false" required { (file) }
                div.actions { button.main { "Show what it changes" } }
            }
            @if let Some(changes) = changes { (shown(visit, file, changes)) }
        }
    }
}

/// What a file would change, and the button that does it.
fn shown(visit: &Visit, file: &str, changes: &[v1::Change]) -> Markup {
    html! {
        @if changes.is_empty() { p.calm { "Nothing: all of this is in force already." } }
        @else {
            ul {
                @for change in changes {
                    li {
                        strong { (action(change.kind())) " " (change.what) }
                        @if !change.details.is_empty() { ul { @for detail in &change.details { li { (changed(detail)) } } } }
                    }
                }
            }
            form method="post" action={ (PATH) "/apply" } {
                (html::token(visit))
                input type="hidden" name="file" value=(file);
                button.main { "Put it in force" }
            }
        }
    }
}

fn action(kind: v1::change::Kind) -> &'static str {
    match kind {
        v1::change::Kind::Created => "New:",
        v1::change::Kind::Changed => "Changed:",
        v1::change::Kind::Ended => "Ended:",
        v1::change::Kind::Unspecified => "",
    }
}

/// All that is in force.
pub(crate) async fn file(visit: Visit) -> Result<Answer, Fault> {
    let asked = Request::new(v1::GetCatalogRequest {});
    let file = CatalogService::get(&visit.reading(), asked).await?.into_inner().file;
    let name = format!("{}.yaml", visit.person.tenant);
    Ok(Answer::File { name, media_type: "text/plain; charset=utf-8".to_owned(), content: file.into_bytes() })
}

fn asked(visit: &Visit) -> Request<v1::ApplyRequest> {
    Request::new(v1::ApplyRequest { file: visit.form("file").to_owned(), ..Default::default() })
}

/// Shows what a file would change.
pub(crate) async fn diff(visit: Visit) -> Result<Answer, Fault> {
    let (changes, refusal) = match CatalogService::diff(&visit.acting(Scope::Admin), asked(&visit)).await {
        Ok(answer) => (Some(answer.into_inner().changes), None),
        Err(refused) => (None, Some(Fault::from(refused).message)),
    };
    let body = html! {
        h1 { "Change the catalog" }
        @if let Some(refusal) = &refusal { pre.notice role="alert" { (refusal) } }
        (change(&visit, visit.form("file"), changes.as_deref()))
    };
    Ok(Page::new("Change the catalog", Section::Catalog, body).into())
}

/// Puts a file in force.
pub(crate) async fn apply(visit: Visit) -> Result<Answer, Fault> {
    CatalogService::apply(&visit.acting(Scope::Admin), asked(&visit)).await?;
    Ok(Answer::done(&visit, PATH, "", "applied"))
}
