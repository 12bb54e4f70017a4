//! All pages and actions in one table, each with who may. A route that is not here is not there.

use crate::answer::{self, Answer};
use crate::guard::{self, Access};
use crate::visit::{Fault, Visit};
use crate::{Console, assets, pages};
use axum::http::Method;
use axum::response::Redirect;
use axum::routing::{MethodRouter, get, post};
use invoicer::people::Role;
use std::future::Future;

/// A route, as tests go through all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// GET or POST.
    pub method: Method,
    /// Its path.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
}

/// A route with what it does.
struct Entry {
    route: Route,
    handler: MethodRouter,
}

/// Everybody who is signed in.
const EVERYBODY: Access = Access::Only(&Role::ALL);
/// Who sees bills.
const BILLS: Access = Access::Only(&[Role::Finance, Role::Audit]);
/// Who changes bills.
const FINANCE: Access = Access::Only(&[Role::Finance]);
/// Who reads what everybody did.
const AUDIT: Access = Access::Only(&[Role::Audit]);
/// Who changes plans and customers.
const CATALOG: Access = Access::Only(&[Role::Catalog]);

fn table() -> Vec<Entry> {
    vec![
        page("/console", EVERYBODY, pages::home::page),
        page("/console/bills", BILLS, pages::bills::page),
        action("/console/bills/approve", FINANCE, pages::bills::approve),
        page("/console/export", BILLS, pages::export::file),
        page("/console/bill", BILLS, pages::bill::page),
        page("/console/bill/line", BILLS, pages::line::page),
        page("/console/bill/check", BILLS, pages::actions::check),
        page("/console/bill/export", BILLS, pages::actions::export),
        action("/console/bill/issue", FINANCE, pages::actions::issue),
        action("/console/bill/approve", FINANCE, pages::actions::approve),
        action("/console/bill/hold", FINANCE, pages::actions::hold),
        action("/console/bill/pay", FINANCE, pages::actions::pay),
        action("/console/bill/credit", FINANCE, pages::actions::credit),
        action("/console/bill/void", FINANCE, pages::actions::void),
        action("/console/bill/write-off", FINANCE, pages::actions::write_off),
        action("/console/bill/reverse", FINANCE, pages::actions::reverse),
        action("/console/bill/waive", FINANCE, pages::actions::waive),
        page("/console/customers", EVERYBODY, pages::customers::page),
        page("/console/customer", EVERYBODY, pages::customer::page),
        page("/console/leaks", EVERYBODY, pages::leaks::page),
        page("/console/catalog", EVERYBODY, pages::catalog::page),
        page("/console/catalog/file", EVERYBODY, pages::catalog::file),
        action("/console/catalog/diff", CATALOG, pages::catalog::diff),
        action("/console/catalog/apply", CATALOG, pages::catalog::apply),
        page("/console/audit", AUDIT, pages::audit::page),
        page("/console/search", EVERYBODY, pages::search::page),
        page("/console/{*rest}", EVERYBODY, pages::search::nowhere),
        action("/console/sign-out", EVERYBODY, pages::sign_in::out),
        Entry::new(Method::GET, "/console/sign-in", Access::Anyone, get(pages::sign_in::page)),
        Entry::new(Method::POST, "/console/sign-in", Access::Anyone, post(pages::sign_in::enter)),
        Entry::new(Method::GET, "/console/assets/{name}", Access::Anyone, get(assets::serve)),
        Entry::new(Method::GET, "/", Access::Anyone, get(async || Redirect::to("/console"))),
    ]
}

/// All of them.
pub fn routes() -> Vec<Route> {
    table().into_iter().map(|entry| entry.route).collect()
}

pub(crate) fn router(console: &Console) -> axum::Router {
    let mut router = axum::Router::new();
    for Entry { route, handler } in table() {
        let guarded = axum::middleware::from_fn_with_state((console.clone(), route.access), guard::check);
        router = router.route(route.path, handler.layer(guarded));
    }
    router.layer(axum::middleware::from_fn_with_state(console.clone(), guard::headers))
}

impl Entry {
    fn new(method: Method, path: &'static str, access: Access, handler: MethodRouter) -> Self {
        Self { route: Route { method, path, access }, handler }
    }
}

/// What is looked at.
fn page<F, A>(path: &'static str, access: Access, page: F) -> Entry
where
    F: Fn(Visit) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Fault>> + Send + 'static,
{
    Entry::new(Method::GET, path, access, get(move |visit: Visit| answer::shown(path, visit.clone(), page(visit))))
}

/// What changes something.
fn action<F, A>(path: &'static str, access: Access, action: F) -> Entry
where
    F: Fn(Visit) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Answer, Fault>> + Send + 'static,
{
    Entry::new(Method::POST, path, access, post(move |visit: Visit| answer::shown(path, visit.clone(), action(visit))))
}
