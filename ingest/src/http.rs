//! `POST /v1/events`: CloudEvents over HTTP, with the answer of gRPC as JSON.

use crate::cloudevents::{self, Error, Event};
use crate::options::Limits;
use crate::room::{Call, Room};
use crate::service::Core;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::BytesMut;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use proto::code::Code;
use proto::status::Problem;
use proto::v1::IngestResponse;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use tokio_stream::StreamExt;

const PATH: &str = "/v1/events";

pub(crate) fn router(core: Arc<Core>) -> Router {
    Router::new().route(PATH, post(events).fallback(other_method)).with_state(core)
}

async fn other_method(request: Request) -> Response {
    proto::status::other_method(request.method(), PATH, "POST")
}

async fn events(State(core): State<Arc<Core>>, request: Request) -> Response {
    match take(&core, request).await {
        Ok(answer) => to_json(&answer),
        Err(problem) => problem.to_response::<Body>(),
    }
}

async fn take(core: &Core, request: Request) -> Result<IngestResponse, Problem> {
    let (head, body) = request.into_parts();
    let entered = core.enter(&head.headers).await?;
    let (body, room) = whole(core, &entered.call, body).await?;
    let events = read(&head.headers, &body, &core.options.limits)?;
    core.events(&entered.tenant, &events, room).await
}

/// The whole body. Room for each piece is taken before the next one is read.
async fn whole(core: &Core, call: &Call, body: Body) -> Result<(Bytes, Room), Problem> {
    let bytes_max = core.options.limits.request_bytes_max;
    if usize::try_from(body.size_hint().lower()).map_or(true, |bytes| bytes > bytes_max) {
        return Err(core.too_large());
    }
    let mut room = core.room(call, 0, 0).await?;
    let (mut whole, mut pieces) = (BytesMut::new(), body.into_data_stream());
    let mut deadline = Instant::now() + core.options.body_wait;
    while let Some(piece) = timeout_at(deadline, pieces.next()).await.map_err(|_| core.too_slow())? {
        let piece = piece.map_err(|error| {
            Problem::invalid(Code::RequestMalformed, format!("the body could not be read to its end: {error}"))
        })?;
        if whole.len() + piece.len() > bytes_max {
            return Err(core.too_large());
        }
        let asked = Instant::now();
        room.add(core.room(call, room.bytes(), piece.len()).await?);
        // What it waits for us is not its own time.
        deadline += asked.elapsed();
        whole.extend_from_slice(&piece);
    }
    Ok((whole.freeze(), room))
}

fn read(headers: &HeaderMap, body: &Bytes, limits: &Limits) -> Result<Vec<Result<Event, Error>>, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/cloudevents-batch+json" => cloudevents::batch(body, limits).map_err(|bad| {
            let message = format!("the body is no JSON array of CloudEvents: {bad}");
            Problem::invalid(Code::RequestMalformed, message)
        }),
        "application/cloudevents+json" => Ok(vec![cloudevents::structured_within(body, limits)]),
        "application/x-ndjson" | "application/ndjson" => Ok(cloudevents::lines(body, limits).collect()),
        _ if headers.contains_key("ce-specversion") => Ok(vec![cloudevents::binary(headers, body, limits)]),
        found => {
            let message = format!(
                "the content type is '{found}'; send application/cloudevents+json, application/cloudevents-batch+json, \
                 application/x-ndjson, or a CloudEvent in binary mode with ce- headers"
            );
            Err(Problem::invalid(Code::ContentTypeUnsupported, message))
        }
    }
}

fn to_json(answer: &IngestResponse) -> Response {
    let rejected = answer.rejected.iter().map(|rejection| {
        let proto::v1::Rejection { index, code, field, message } = rejection;
        // A CloudEvent has its properties in `data`.
        let field = field.strip_prefix("properties").map_or_else(|| field.clone(), |name| format!("data{name}"));
        serde_json::json!({"index": index, "code": code, "field": field, "message": message})
    });
    let rejected: Vec<_> = rejected.collect();
    let body = serde_json::json!({"accepted": answer.accepted, "rejected": rejected});
    let mut response = Response::new(Body::from(format!("{body}\n")));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
