//! The port: gRPC services, CloudEvents over HTTP, health.

use super::catalogs;
use crate::failure::{Failure, Result};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ingest::{Catalogs, Ingest};
use invoicer::Invoicer;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;

/// What makes ingest look at the catalogs again.
#[derive(Clone)]
pub(super) struct Refresh {
    pub(super) source: Arc<catalogs::Source>,
    pub(super) catalogs: Arc<Catalogs>,
}

/// Services by their full names, for health.
const SERVICES: [&str; 7] = [
    "farthing.v1.IngestService",
    "farthing.v1.CatalogService",
    "farthing.v1.CustomerService",
    "farthing.v1.SubscriptionService",
    "farthing.v1.UsageService",
    "farthing.v1.InvoiceService",
    "farthing.v1.AdminService",
];

/// Everything that the port answers.
pub(super) async fn routes(ingest: &Ingest, invoicer: &Invoicer, refresh: Refresh) -> Result<Routes> {
    let services = invoicer.services();
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in SERVICES.into_iter().chain([""]) {
        health.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    }
    let reflection =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(proto::DESCRIPTORS);
    // What changes a catalog answers after ingest knows of it: who applies and then sends is never told of an old one.
    let changing = Routes::new(services.catalog())
        .add_service(services.customers())
        .add_service(services.subscriptions())
        .into_axum_router()
        .reset_fallback()
        .layer(axum::middleware::from_fn_with_state(refresh, refreshed));
    let others = Routes::new(ingest.grpc())
        .add_service(services.usage())
        .add_service(services.invoices())
        .add_service(services.admin())
        .add_service(health_service)
        .add_service(reflection().build_v1().map_err(Failure::refused)?)
        .add_service(reflection().build_v1alpha().map_err(Failure::refused)?)
        .into_axum_router()
        .reset_fallback();
    let web = axum::Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async || "ok\n"))
        .merge(ingest.router().reset_fallback());
    Ok(Routes::from(web.merge(changing).merge(others).fallback(unknown)).prepare())
}

/// Serves until told to stop.
pub(super) async fn serve(
    listener: tokio::net::TcpListener,
    routes: Routes,
    mut stop: watch::Receiver<bool>,
) -> std::result::Result<(), tonic::transport::Error> {
    let stopped = async move {
        // Whoever held the sender is gone when this fails: that is a stop, too.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let keep_alive = Duration::from_secs(30);
    tonic::transport::Server::builder()
        .accept_http1(true)
        .tcp_nodelay(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_frame_size(1 << 20)
        .http2_keepalive_interval(Some(keep_alive))
        .http2_keepalive_timeout(Some(keep_alive))
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped)
        .await
}

async fn refreshed(State(refresh): State<Refresh>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Err(reason) = refresh.source.refresh(&refresh.catalogs).await {
        tracing::warn!(%reason, "the catalogs cannot be read; ingest goes on with the last ones");
    }
    response
}

/// What is not there, in the caller's own language.
async fn unknown(request: Request) -> Response {
    let content = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content.is_some_and(|content| content.starts_with("application/grpc")) {
        let status = tonic::Status::unimplemented("there is no such method; reflection lists those that there are");
        return status.into_http::<axum::body::Body>();
    }
    let message = format!("nothing is at {}; events go to POST /v1/events\n", request.uri().path());
    (StatusCode::NOT_FOUND, message).into_response()
}
