//! A request that was let in: whose it is, what it asks for, and why there may be no page.

use crate::Console;
use crate::fields::Fields;
use crate::session::Token;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use invoicer::ledger;
use invoicer::people::{Person, Role};
use invoicer::services::Services;
use proto::status::Problem;
use storage::keyring::{Caller, Scope};
use tonic::Status;

/// Somebody, signed in or not.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) console: Console,
    pub(crate) token: Token,
    /// True where the browser does not have the token yet.
    pub(crate) is_new: bool,
    pub(crate) is_secure: bool,
    pub(crate) query: Fields,
    pub(crate) form: Fields,
}

/// Somebody who is signed in and may see the page.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) guest: Guest,
    pub(crate) person: Person,
}

/// Why there is no page.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

// === impl Visit ===

impl Visit {
    /// A field of the address.
    pub(crate) fn query(&self, name: &str) -> &str {
        self.guest.query.get(name)
    }

    /// A field of the form that was sent.
    pub(crate) fn form(&self, name: &str) -> &str {
        self.guest.form.get(name)
    }

    /// Whether the person has one of these roles.
    pub(crate) fn has(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.person.roles.contains(role))
    }

    /// The services as this person reads them: the tenant's own, nothing can be changed.
    pub(crate) fn reading(&self) -> Services {
        self.acting(Scope::Read)
    }

    /// The services as this person changes something. The page's place in the table says who may.
    pub(crate) fn acting(&self, scope: Scope) -> Services {
        let key = format!("user:{}", self.person.name);
        let caller = Caller { key, tenant: Some(self.person.tenant.clone()), scope };
        self.guest.console.services().acting_as(caller)
    }

    /// The services as the console itself reads what all tenants share: whether shards stand.
    pub(crate) fn of_all_tenants(&self) -> Services {
        let caller = Caller { key: "console".to_owned(), tenant: None, scope: Scope::Admin };
        self.guest.console.services().acting_as(caller)
    }

    /// What the person just did, where an action of theirs led here: nobody else can make such a link.
    pub(crate) fn was_done(&self) -> Option<&str> {
        let (what, id) = (self.query("done"), self.query("id"));
        self.guest.token.says(what, id, self.query("by")).then_some(what)
    }
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        parts.extensions.remove().ok_or_else(unguarded)
    }
}

impl<S: Sync> FromRequestParts<S> for Guest {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        parts.extensions.remove().ok_or_else(unguarded)
    }
}

/// Every route stands behind the guard, which puts these there.
fn unguarded() -> Fault {
    Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "This page is not guarded.")
}

// === impl Fault ===

impl Fault {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// True where what was asked for is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        let problem = Problem::from_status(&status);
        Self { status: problem.kind.http(), message: problem.message }
    }
}

impl From<ledger::Error> for Fault {
    fn from(error: ledger::Error) -> Self {
        tracing::warn!(%error, "the console cannot read the books");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The books cannot be reached now. Try again in a moment.")
    }
}
