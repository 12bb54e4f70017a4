//! What a request becomes: a page, a file, or the way to another page.

use crate::fields::link;
use crate::html::{self, Page};
use crate::visit::{Fault, Visit};
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use std::future::Future;

/// What came of a request.
pub(crate) enum Answer {
    /// A page.
    Page(Page),
    /// A file.
    File { name: String, media_type: String, content: Vec<u8> },
    /// Another page is to be loaded.
    Go(String),
}

// === impl Answer ===

impl Answer {
    /// To a page that says what was done; without an id, to one that shows no document.
    pub(crate) fn done(visit: &Visit, path: &str, id: &str, what: &str) -> Self {
        let by = visit.guest.token.done(what, id);
        Self::Go(link(path, &[("id", id), ("done", what), ("by", &by)]))
    }
}

impl From<Page> for Answer {
    fn from(page: Page) -> Self {
        Self::Page(page)
    }
}

/// The answer of a path as the browser takes it.
pub(crate) async fn shown(
    path: &'static str,
    visit: Visit,
    answer: impl Future<Output = Result<Answer, Fault>>,
) -> Response {
    match answer.await {
        Ok(Answer::Page(page)) => Html(html::whole(&visit, &page).into_string()).into_response(),
        Ok(Answer::Go(to)) => Redirect::to(&to).into_response(),
        Ok(Answer::File { name, media_type, content }) => file(&name, &media_type, content),
        Err(fault) => refused(&visit, &fault, bill_of(path, &visit)),
    }
}

/// Why there is no page, for who is signed in; with the way back to the bill that it was about.
pub(crate) fn refused(visit: &Visit, fault: &Fault, bill: Option<&str>) -> Response {
    (fault.status, Html(html::whole(visit, &html::fault(fault, bill)).into_string())).into_response()
}

/// The bill that something was to be done with.
fn bill_of<'a>(path: &str, visit: &'a Visit) -> Option<&'a str> {
    let is_about_bill = path.starts_with("/console/bill/");
    let named = [visit.form("id"), visit.query("id")].into_iter().find(|id| !id.is_empty());
    named.filter(|_| is_about_bill)
}

fn file(name: &str, media_type: &str, content: Vec<u8>) -> Response {
    let safe: String = name.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect();
    let mut response = content.into_response();
    let headers = response.headers_mut();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{safe}\""));
    headers.insert(header::CONTENT_DISPOSITION, disposition.unwrap_or(HeaderValue::from_static("attachment")));
    if let Ok(media_type) = HeaderValue::from_str(media_type) {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    response
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "._-".contains(letter)
}

impl IntoResponse for Fault {
    /// For who is not signed in.
    fn into_response(self) -> Response {
        (self.status, Html(html::bare("Not done", &html::fault(&self, None).body).into_string())).into_response()
    }
}
