//! `POST /v1/events`: CloudEvents over HTTP, with the answer of gRPC as JSON.

use crate::access::Credentials;
use crate::cloudevents::{self, Error, Event};
use crate::code::Code;
use crate::options::Limits;
use crate::service::Core;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use proto::status::{self, Problem};
use proto::v1::IngestResponse;
use std::sync::Arc;

pub(crate) fn router(core: Arc<Core>) -> Router {
    Router::new().route("/v1/events", post(events)).with_state(core)
}

async fn events(State(core): State<Arc<Core>>, request: Request) -> Response {
    match take(&core, request).await {
        Ok(answer) => to_json(&answer),
        Err(problem) => problem.to_response::<Body>(),
    }
}

async fn take(core: &Core, request: Request) -> Result<IngestResponse, Problem> {
    let _active = core.enter()?;
    let (head, body) = request.into_parts();
    let (key, tenant) = (status::bearer_http(&head.headers), status::tenant_http(&head.headers));
    let credentials = Credentials { key: key.map(str::to_owned), tenant: tenant.map(str::to_owned) };
    let tenant = core.admit(&credentials)?;
    let body = to_bytes(body, core.options.limits.request_bytes_max).await.map_err(|error| cut_off(core, &error))?;
    let events = read(&head.headers, &body, &core.options.limits)?;
    core.events(&tenant, &events, body.len()).await
}

/// The body is longer than allowed, or the connection broke.
fn cut_off(core: &Core, error: &axum::Error) -> Problem {
    if std::error::Error::source(error).is_some_and(|source| source.to_string().contains("length limit exceeded")) {
        return core.too_large();
    }
    Problem::invalid(Code::RequestMalformed.as_str(), format!("the body could not be read to its end: {error}"))
}

fn read(headers: &HeaderMap, body: &Bytes, limits: &Limits) -> Result<Vec<Result<Event, Error>>, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/cloudevents-batch+json" => cloudevents::batch(body, limits).map_err(|bad| {
            let message = format!("the body is no JSON array of CloudEvents: {bad}");
            Problem::invalid(Code::RequestMalformed.as_str(), message)
        }),
        "application/cloudevents+json" => Ok(vec![cloudevents::structured_within(body, limits)]),
        "application/x-ndjson" | "application/ndjson" => Ok(cloudevents::lines(body, limits).collect()),
        _ if headers.contains_key("ce-specversion") => Ok(vec![cloudevents::binary(headers, body, limits)]),
        found => {
            let message = format!(
                "the content type is '{found}'; send application/cloudevents+json, application/cloudevents-batch+json, \
                 application/x-ndjson, or a CloudEvent in binary mode with ce- headers"
            );
            Err(Problem::invalid(Code::ContentTypeUnsupported.as_str(), message))
        }
    }
}

fn to_json(answer: &IngestResponse) -> Response {
    let rejected = answer.rejected.iter().map(|rejection| {
        let proto::v1::Rejection { index, code, field, message } = rejection;
        serde_json::json!({"index": index, "code": code, "field": field, "message": message})
    });
    let rejected: Vec<_> = rejected.collect();
    let body = serde_json::json!({"accepted": answer.accepted, "rejected": rejected});
    let mut response = Response::new(Body::from(body.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
