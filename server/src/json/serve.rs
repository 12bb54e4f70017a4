//! From HTTP to the service and back.

use super::answer;
use super::calls::{Call, Calls, Found};
use super::path::Captures;
use super::request;
use crate::failure;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use invoicer::services::Services;
use prost_reflect::DynamicMessage;
use proto::code::Code;
use proto::raw::Passing;
use proto::status::{self, Problem, TENANT_KEY};
use std::sync::Arc;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};

/// What answers in JSON.
#[derive(Clone)]
struct Transcoder {
    calls: Arc<Calls>,
    /// The services, as gRPC reaches them.
    services: axum::Router,
    /// Who knows keys.
    keys: Services,
}

/// What an answer may hold, as of the services.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The services in JSON under `/v1`, answered by `services` for callers that `keys` knows.
///
/// # Errors
/// The contract's options cannot be served.
pub(crate) fn router(services: axum::Router, keys: Services) -> failure::Result<axum::Router> {
    let transcoder = Transcoder { calls: Arc::new(Calls::read()?), services, keys };
    Ok(axum::Router::new().route("/v1/{*path}", any(take)).with_state(transcoder))
}

async fn take(State(transcoder): State<Transcoder>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match transcoder.calls.find(&method, &path) {
        Found::Call(call, captures) => {
            let answer = transcoder.answer(call, captures, request).await;
            answer.unwrap_or_else(|problem| problem.to_response())
        }
        Found::Methods(methods) => {
            let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            status::other_method(&method, &path, &allowed)
        }
        Found::Nothing => {
            let message = format!("nothing is at {path}; /v1/openapi.json lists what there is");
            Problem::not_found(Code::PathUnknown, message).to_response()
        }
    }
}

// === impl Transcoder ===

impl Transcoder {
    async fn answer(&self, call: &Call, captures: Captures, request: Request) -> Result<Response, Problem> {
        let (head, body) = request.into_parts();
        let metadata = metadata(&head.headers)?;
        // The service would say the same, but read the body first.
        self.keys.admit(status::bearer_http(&head.headers)).await?;
        let message = request::message(call, captures, &head.uri, &head.headers, body).await?;
        let mut asked = tonic::Request::new(message);
        for (key, value) in metadata {
            asked.metadata_mut().insert(key, value);
        }
        let mut services = Grpc::new(self.services.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let answer = services.unary(asked, call.grpc.clone(), Passing::default()).await;
        let answer = answer.map_err(|status| Problem::from_status(&status))?.into_inner();
        let internal = |error: &dyn std::fmt::Display| Problem::internal(Code::Internal, error.to_string());
        let answer = DynamicMessage::decode(call.rpc.output(), answer).map_err(|error| internal(&error))?;
        if call.is_file {
            return file(&answer).ok_or_else(|| internal(&"the answer is no file"));
        }
        let mut json = answer::to_json(&self.calls, &answer).map_err(|error| internal(&error))?;
        json.push('\n');
        Ok(response(json, HeaderValue::from_static("application/json")))
    }
}

/// What of the headers the services read.
fn metadata(headers: &HeaderMap) -> Result<Vec<(&'static str, MetadataValue<Ascii>)>, Problem> {
    let mut metadata = Vec::new();
    for key in [AUTHORIZATION.as_str(), TENANT_KEY] {
        if let Some(value) = headers.get(key) {
            let value = MetadataValue::try_from(value.as_bytes()).map_err(|_| {
                Problem::invalid(Code::RequestMalformed, format!("the header {key} is no text of visible characters"))
            })?;
            metadata.push((key, value));
        }
    }
    Ok(metadata)
}

fn file(answer: &DynamicMessage) -> Option<Response> {
    let content = answer.get_field_by_name("content")?.as_bytes()?.clone();
    let media_type = HeaderValue::from_str(answer.get_field_by_name("media_type")?.as_str()?).ok()?;
    Some(response(content, media_type))
}

fn response(body: impl Into<Body>, media_type: HeaderValue) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}
