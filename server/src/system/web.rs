//! The port: health and metrics from the first moment; once they are there, the services over gRPC and in JSON, the
//! console, and CloudEvents.

use super::catalogs;
use super::listener::{Connection, Count};
use super::metrics;
use super::state::State as Process;
use crate::config::Port;
use crate::failure::{Failure, Result};
use crate::json;
use crate::telemetry;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use console::Console;
use ingest::{Catalogs, Ingest};
use invoicer::Invoicer;
use invoicer::services::Services;
use invoicer::webhooks::Outside;
use proto::status::{self, Problem};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::Service;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// What makes ingest look at the catalogs again.
#[derive(Clone)]
pub(super) struct Refresh {
    pub(super) source: Arc<catalogs::Source>,
    pub(super) catalogs: Arc<Catalogs>,
}

/// What the front knows.
#[derive(Clone)]
struct Front {
    process: Arc<Process>,
    connections: Count,
}

const INGEST: &str = "farthing.v1.IngestService";

/// Services by their full names, for health.
const SERVICES: [&str; 10] = [
    INGEST,
    "farthing.v1.CatalogService",
    "farthing.v1.CustomerService",
    "farthing.v1.SubscriptionService",
    "farthing.v1.UsageService",
    "farthing.v1.InvoiceService",
    "farthing.v1.AdminService",
    "farthing.v1.AuditService",
    "farthing.v1.WebhookService",
    "farthing.v1.ExportService",
];

/// How often health follows what is.
const HEALTH_EVERY: Duration = Duration::from_millis(500);
/// When callers of what is not ready may come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a connection that is too old may go on with what it began.
const AGE_GRACE: Duration = Duration::from_secs(30);

/// Everything that the port answers; what is not there yet is refused until it is.
pub(super) async fn front(process: Arc<Process>, connections: Count) -> Result<(Routes, HealthReporter)> {
    let (health, health_service) = tonic_health::server::health_reporter();
    show_health(&health, &process).await;
    let reflection =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(proto::DESCRIPTORS);
    let grpc = Routes::new(health_service)
        .add_service(reflection().build_v1().map_err(Failure::refused)?)
        .add_service(reflection().build_v1alpha().map_err(Failure::refused)?)
        .into_axum_router()
        .reset_fallback();
    let services = axum::Router::new().fallback(pass_on).with_state(process.clone());
    let openapi = json::document()?;
    let openapi = get(async move || ([(header::CONTENT_TYPE, "application/json")], openapi.clone()));
    let all = told(process, connections).route("/v1/openapi.json", openapi).merge(grpc).fallback_service(services);
    Ok((Routes::from(all).prepare(), health))
}

/// Health and metrics alone.
pub(super) fn probes(process: Arc<Process>, connections: Count) -> Routes {
    Routes::from(told(process, connections).fallback(unknown)).prepare()
}

fn told(process: Arc<Process>, connections: Count) -> axum::Router {
    axum::Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Front { process, connections })
}

/// What the stages of this process answer.
///
/// # Errors
/// The contract's form in JSON cannot be served.
pub(super) fn services(
    ingest: Option<&Ingest>,
    invoicer: Option<&Invoicer>,
    outside: &Arc<dyn Outside>,
    refresh: Option<Refresh>,
    console: console::Options,
) -> Result<axum::Router> {
    let mut all = axum::Router::new();
    if let Some(ingest) = ingest {
        let grpc = Routes::new(ingest.grpc()).into_axum_router().reset_fallback();
        all = all.merge(ingest.router().reset_fallback()).merge(grpc);
    }
    if let Some(invoicer) = invoicer {
        let services = invoicer.services();
        let mut changing = Routes::new(services.catalog())
            .add_service(services.customers())
            .add_service(services.subscriptions())
            .into_axum_router()
            .reset_fallback();
        if let Some(refresh) = refresh {
            // What changes a catalog answers after ingest knows of it: who applies and then sends is never told of an old
            // one.
            changing = changing.layer(axum::middleware::from_fn_with_state(refresh, refreshed));
        }
        let others = Routes::new(services.usage())
            .add_service(services.invoices())
            .add_service(services.admin())
            .add_service(services.audit())
            .add_service(services.exports())
            .add_service(services.webhooks(outside.clone()))
            .into_axum_router()
            .reset_fallback();
        let grpc = changing.merge(others).layer(axum::middleware::from_fn_with_state(services.clone(), key_first));
        let console = Console::new(services.clone(), console).router();
        all = all.merge(json::router(grpc.clone(), services.clone())?).merge(grpc).merge(console);
    }
    Ok(all.fallback(unknown))
}

/// Serves until told to stop.
pub(super) async fn serve(
    port: Port,
    connections: ReceiverStream<std::io::Result<Connection>>,
    routes: Routes,
    mut stop: watch::Receiver<bool>,
) -> std::result::Result<(), tonic::transport::Error> {
    let stopped = async move {
        // Whoever held the sender is gone when this fails: that is a stop, too.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let keep_alive = Duration::from_secs(30);
    let mut server = tonic::transport::Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(port.streams_max)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_frame_size(1 << 20)
        .http2_keepalive_interval(Some(keep_alive))
        .http2_keepalive_timeout(Some(keep_alive))
        .trace_fn(telemetry::request);
    if let Some(age) = port.connection_age {
        server = server.max_connection_age(age).max_connection_age_grace(AGE_GRACE);
    }
    server.add_routes(routes).serve_with_incoming_shutdown(connections, stopped).await
}

// === Health ===

/// Keeps gRPC health in step with what is; runs until it is dropped.
pub(super) async fn follow_health(health: HealthReporter, process: Arc<Process>) {
    loop {
        tokio::time::sleep(HEALTH_EVERY).await;
        show_health(&health, &process).await;
    }
}

/// Tells gRPC health what is now.
pub(super) async fn show_health(health: &HealthReporter, process: &Process) {
    let status = |ready: std::result::Result<(), String>| {
        if ready.is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing }
    };
    let (ingest, invoicer) = (status(process.ingest()), status(process.invoicer()));
    health.set_service_status("", status(process.ready())).await;
    for service in SERVICES {
        let is_here = if service == INGEST { process.stage.ingests() } else { process.stage.invoices() };
        if is_here {
            health.set_service_status(service, if service == INGEST { ingest } else { invoicer }).await;
        }
    }
}

async fn ready(State(front): State<Front>) -> Response {
    match front.process.ready() {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(front): State<Front>) -> Response {
    let page = metrics::page(&front.process, front.connections.open());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response()
}

// === Requests ===

/// To the services, once they are there.
async fn pass_on(State(process): State<Arc<Process>>, request: Request) -> Response {
    let Some(services) = process.services.get() else { return not_here(&process, request).await };
    match services.clone().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// To the process that leads, where this one stands by.
async fn not_here(process: &Process, request: Request) -> Response {
    let is_grpc = is_grpc(&request);
    let passed_on = match process.way() {
        Some(way) => way.pass_on(request).await,
        None => {
            let message = format!("this process does not answer yet: {}", process.awaited());
            Err(Problem::unavailable(proto::code::Code::NotReady, RETRY_AFTER, message))
        }
    };
    passed_on.unwrap_or_else(|problem| if is_grpc { problem.to_status().into_http() } else { problem.to_response() })
}

/// Lists and refused calls cost one comparison: the source's revision moves only when something was published.
async fn refreshed(State(refresh): State<Refresh>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Err(reason) = refresh.catalogs.refresh(&*refresh.source).await {
        tracing::warn!(%reason, "the catalogs cannot be read; ingest goes on with the last ones");
    }
    response
}

/// Nobody's call is read before its key is known: messages may be large.
async fn key_first(State(services): State<Services>, request: Request, next: Next) -> Response {
    match services.admit(status::bearer_http(request.headers())).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.to_status().into_http(),
    }
}

/// What is not there, in the caller's own language.
async fn unknown(request: Request) -> Response {
    if is_grpc(&request) {
        let status = tonic::Status::unimplemented("there is no such method; reflection lists those that there are");
        return status.into_http::<axum::body::Body>();
    }
    let message = format!("nothing is at {}; events go to POST /v1/events", request.uri().path());
    Problem::not_found(proto::code::Code::PathUnknown, message).to_response()
}

fn is_grpc(request: &Request) -> bool {
    let content = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content.is_some_and(|content| content.starts_with("application/grpc"))
}
