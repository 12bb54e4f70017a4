//! What stands before every page: a browser does only what its person asked for, on pages that the person may see.

use crate::answer;
use crate::session::Token;
use crate::visit::{Fault, Guest, Visit};
use crate::{Console, fields};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use invoicer::people::Role;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody: what is needed to sign in.
    Anyone,
    /// Who is signed in and has one of these roles.
    Only(&'static [Role]),
}

/// A form has at most so many bytes.
const FORM_BYTES_MAX: usize = 4 << 20;
/// That of somebody who is not known yet.
const GUEST_FORM_BYTES_MAX: usize = 16 << 10;

/// Scripts, styles and forms are ours alone, and no page stands in another one's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// What every answer says.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds the headers.
pub(crate) async fn headers(State(console): State<Console>, request: Request, next: Next) -> Response {
    let is_secure = is_secure(&console, request.headers());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets a request through to its page, or answers it.
pub(crate) async fn check(
    State((console, access)): State<(Console, Access)>,
    request: Request,
    next: Next,
) -> Response {
    match admitted(console, access, request).await {
        Ok(request) => next.run(request).await,
        Err(answer) => *answer,
    }
}

async fn admitted(console: Console, access: Access, request: Request) -> Result<Request, Box<Response>> {
    let is_secure = is_secure(&console, request.headers());
    let (mut parts, body) = request.into_parts();
    let shown = Token::of(&parts.headers, is_secure);
    let query = fields::Fields::read(parts.uri.query().unwrap_or_default().as_bytes());
    let mut form = fields::Fields::default();
    let mut body = body;
    // Who it is comes first: nobody else's form is read.
    let person = match (&shown, access) {
        (Some(token), Access::Only(_)) => console.sessions().find(token).await,
        _ => Ok(None),
    };
    let person = person.map_err(|error| Box::new(Fault::from(error).into_response()))?;
    if parts.method == Method::POST {
        if !is_from_here(&parts) {
            return Err(refused("The request came from another site."));
        }
        if matches!(access, Access::Only(_)) && person.is_none() {
            return Err(Box::new(to_sign_in(&parts)));
        }
        let bytes_max = if person.is_some() { FORM_BYTES_MAX } else { GUEST_FORM_BYTES_MAX };
        let taken = std::mem::take(&mut body);
        let taken = axum::body::to_bytes(taken, bytes_max).await;
        form = fields::Fields::read(&taken.map_err(|_| refused("The form is too large."))?);
        if !shown.as_ref().is_some_and(|token| token.vouches_for(form.get("form"))) {
            return Err(refused("The form is too old, or no page of this console. Load the page again."));
        }
    }
    let token = shown.clone().unwrap_or_else(Token::new);
    let guest = Guest { console: console.clone(), token, is_new: shown.is_none(), is_secure, query, form };
    if let Access::Only(roles) = access {
        let Some(person) = person else { return Err(Box::new(to_sign_in(&parts))) };
        let visit = Visit { guest: guest.clone(), person };
        if !visit.has(roles) {
            let fault =
                Fault::new(StatusCode::FORBIDDEN, "Your roles do not allow this. Ask who administers Farthing.");
            return Err(Box::new(answer::refused(&visit, &fault, None)));
        }
        parts.extensions.insert(visit);
    }
    parts.extensions.insert(guest);
    Ok(Request::from_parts(parts, body))
}

fn refused(message: &str) -> Box<Response> {
    Box::new(Fault::new(StatusCode::FORBIDDEN, message).into_response())
}

/// Who is not signed in comes back to a page that was asked for; what was to be done has to be asked for again.
fn to_sign_in(parts: &Parts) -> Response {
    let asked = parts.uri.path_and_query().map(axum::http::uri::PathAndQuery::as_str).unwrap_or_default();
    let to = if parts.method == Method::POST { "" } else { asked };
    Redirect::to(&fields::link("/console/sign-in", &[("to", to)])).into_response()
}

/// Browsers say where a form comes from, and scripts of other sites cannot change it. One that says nothing of the kind is
/// held to the form's token alone.
fn is_from_here(parts: &Parts) -> bool {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site")
        && site != "same-origin"
    {
        return false;
    }
    let Some(origin) = text("origin") else { return true };
    let origin = origin.split_once("://").map(|(_, host)| host);
    // A process that stands by, or a proxy, says how it was called itself; pages of other sites cannot say that.
    let authority = parts.uri.authority().map(axum::http::uri::Authority::as_str);
    let hosts = [text("host"), authority, text("x-forwarded-host")];
    origin.is_some_and(|origin| hosts.contains(&Some(origin)))
}

fn is_secure(console: &Console, headers: &HeaderMap) -> bool {
    let proxied = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    console.options().is_secure || proxied == Some("https")
}
