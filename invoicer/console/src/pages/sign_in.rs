//! Signing in and out.

use crate::answer::Answer;
use crate::html;
use crate::session::Token;
use crate::visit::{Fault, Guest, Visit};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};
use std::time::Duration;

/// Where it begins without another wish.
const START: &str = "/console";
/// Nobody has a longer name.
const NAME_BYTES_MAX: usize = 256;
/// Nobody has a longer password: what is longer is not worth a costly check.
const PASSWORD_BYTES_MAX: usize = 1 << 10;

pub(crate) async fn page(guest: Guest) -> Response {
    let shown = form(&guest, guest.query.get("to"), "", None);
    with_token(&guest, Html(shown.into_string()).into_response())
}

pub(crate) async fn enter(guest: Guest) -> Response {
    let (name, to) = (guest.form.get("name").to_owned(), guest.form.get("to").to_owned());
    match signed_in(&guest, &name).await {
        Ok(token) => {
            let mut response = Redirect::to(within(&to)).into_response();
            response.headers_mut().insert(header::SET_COOKIE, token.set(guest.is_secure));
            response
        }
        Err(fault) => {
            let shown = form(&guest, &to, &name, Some(&fault.message));
            with_token(&guest, (fault.status, Html(shown.into_string())).into_response())
        }
    }
}

pub(crate) async fn out(visit: Visit) -> Result<Answer, Fault> {
    visit.guest.console.sessions().end(&visit.guest.token).await?;
    Ok(Answer::Go("/console/sign-in".to_owned()))
}

/// A session under a token that nobody had before.
async fn signed_in(guest: &Guest, name: &str) -> Result<Token, Fault> {
    let (console, password) = (&guest.console, guest.form.get("password").to_owned());
    if name.len() > NAME_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX {
        return Err(wrong());
    }
    console.throttle().admit(name).map_err(too_many)?;
    let _turn = console.throttle().check().await;
    let person = console.services().people().signed_in(name, password).await?;
    let Some(person) = person else {
        tracing::info!("a sign-in to the console was refused");
        return Err(wrong());
    };
    console.throttle().forget(name);
    console.sessions().end(&guest.token).await?;
    Ok(console.sessions().begin(&person).await?)
}

fn wrong() -> Fault {
    Fault::new(StatusCode::UNAUTHORIZED, "Name or password is wrong.")
}

fn too_many(wait: Duration) -> Fault {
    let seconds = wait.as_secs().saturating_add(1);
    Fault::new(StatusCode::TOO_MANY_REQUESTS, format!("Too many tries. Wait {seconds} s, then try again."))
}

/// Never to another site.
fn within(to: &str) -> &str {
    let is_ours = to == START || to.starts_with("/console/") || to.starts_with("/console?");
    let is_plain = !to.contains(['\\', '\r', '\n']) && !to.contains("//");
    if is_ours && is_plain { to } else { START }
}

fn with_token(guest: &Guest, mut response: Response) -> Response {
    if guest.is_new {
        let value: HeaderValue = guest.token.set(guest.is_secure);
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

fn form(guest: &Guest, to: &str, name: &str, notice: Option<&str>) -> Markup {
    html::bare(
        "Sign in",
        &html! {
            h1 { "Farthing" }
            @if let Some(notice) = notice { p.notice role="alert" { (notice) } }
            form.sign-in method="post" action="/console/sign-in" {
                input type="hidden" name="form" value=(guest.token.form());
                input type="hidden" name="to" value=(within(to));
                label { "Name" input name="name" value=(name) required autocomplete="username" autofocus; }
                label { "Password" input name="password" type="password" required autocomplete="current-password"; }
                button.main { "Sign in" }
            }
            p.says { "People are made with " code { "farthing users create" } "." }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn nobody_is_led_to_another_site() {
        for ours in ["/console", "/console/bills?status=held", "/console?done=issued"] {
            assert_eq!(within(ours), ours);
        }
        for other in ["https://evil.example", "//evil.example", "/console//evil", "/console\\@evil", "/consoles", ""] {
            assert_eq!(within(other), "/console");
        }
    }
}
