//! The web console: what finance looks at, rendered by the server, from the same services that gRPC calls.
//!
//! ```text
//! request ─▶ guard: origin, form token, session, role ─▶ page ─▶ services, as the person who signed in ─▶ HTML
//! ```
//!
//! No rule of billing stands here: a page asks the services and shows what they say, an action calls one of them and
//! shows its refusal. What stands here is who may see and do what ([`table`]), and that a browser does only what its
//! person asked for ([`guard`]).

// Reading order: who comes in, what is shown of the parts that pages share, the pages, the table of all of them.
mod fields;
mod guard;
mod session;
mod throttle;
mod visit;

mod answer;
mod assets;
mod document;
mod html;
mod words;

mod pages;
mod table;

pub use guard::Access;
pub use table::{Route, routes};

use invoicer::services::Services;
use pricing::time::{Instant, Span};
use session::Sessions;
use std::sync::Arc;
use throttle::Throttle;

/// How the console works.
#[derive(Clone)]
pub struct Options {
    /// A session that is not used for so long has ended.
    pub idle: Span,
    /// No session lasts longer.
    pub age_max: Span,
    /// True where the port speaks TLS: cookies then never travel without.
    pub is_secure: bool,
    /// The wall clock: sessions end by it, also in a test system.
    pub clock: Arc<dyn Fn() -> Instant + Send + Sync>,
}

/// The console. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    shared: Arc<Shared>,
}

struct Shared {
    services: Services,
    sessions: Sessions,
    throttle: Throttle,
    options: Options,
}

// === impl Options ===

impl Options {
    /// Sessions of a working day.
    pub fn new(clock: Arc<dyn Fn() -> Instant + Send + Sync>) -> Self {
        Self { idle: Span::from_hours(2), age_max: Span::from_hours(12), is_secure: false, clock }
    }
}

// === impl Console ===

impl Console {
    /// A console over these services.
    pub fn new(services: Services, options: Options) -> Self {
        let sessions = Sessions::new(services.clone(), options.clone());
        Self { shared: Arc::new(Shared { services, sessions, throttle: Throttle::default(), options }) }
    }

    /// Everything below `/console`, and `/`, which leads there.
    pub fn router(&self) -> axum::Router {
        table::router(self)
    }

    fn services(&self) -> &Services {
        &self.shared.services
    }

    fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    fn throttle(&self) -> &Throttle {
        &self.shared.throttle
    }

    fn options(&self) -> &Options {
        &self.shared.options
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Console")
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { idle, age_max, is_secure, .. } = self;
        write!(out, "Options({idle} idle, {age_max} at most, secure: {is_secure})")
    }
}
