//! The one place where a problem becomes an answer: a gRPC status with `google.rpc` details, or an HTTP answer in JSON.
//!
//! Every status carries `ErrorInfo` with the stable reason and [`DOMAIN`]; `BadRequest` where fields are named;
//! `RetryInfo` on `RESOURCE_EXHAUSTED` and `UNAVAILABLE`, which alone may be sent again unchanged.

use crate::code::Code as Reason;
use crate::kind::Kind;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "farthing";

/// The metadata key, and HTTP header, by which the installation's admin key names the tenant it acts for.
pub const TENANT_KEY: &str = "farthing-tenant";

/// The reason of a problem that came without one: a status made by another program, or by the transport.
pub const REASON_UNKNOWN: &str = "UNKNOWN";

/// Something that a caller must hear about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// A stable code in capitals, such as `KEY_UNKNOWN`.
    pub reason: Cow<'static, str>,
    /// What sort of problem it is: it decides the codes.
    pub kind: Kind,
    /// What was found, what is allowed, what to do.
    pub message: String,
    /// The fields that are wrong, where any are named.
    pub violations: Vec<Violation>,
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path, such as `events[3].id`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

// === impl Problem ===

impl Problem {
    /// A problem of a kind that is its code's own.
    pub fn new(kind: Kind, code: Reason, message: impl Into<String>) -> Self {
        debug_assert_eq!(kind.http(), code.kind().http(), "{code} is told as what the table says");
        Self { reason: Cow::Borrowed(code.as_str()), kind, message: message.into(), violations: Vec::new() }
    }

    /// See [`Kind::Invalid`].
    pub fn invalid(code: Reason, message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, code, message)
    }

    /// See [`Kind::TooLarge`].
    pub fn too_large(code: Reason, message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, code, message)
    }

    /// See [`Kind::Unauthenticated`].
    pub fn unauthenticated(code: Reason, message: impl Into<String>) -> Self {
        Self::new(Kind::Unauthenticated, code, message)
    }

    /// See [`Kind::Denied`].
    pub fn denied(code: Reason, message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, code, message)
    }

    /// See [`Kind::NotFound`].
    pub fn not_found(code: Reason, message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, code, message)
    }

    /// See [`Kind::Conflict`].
    pub fn conflict(code: Reason, message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, code, message)
    }

    /// See [`Kind::Exhausted`].
    pub fn exhausted(code: Reason, retry_after: Duration, message: impl Into<String>) -> Self {
        Self::new(Kind::Exhausted { retry_after }, code, message)
    }

    /// See [`Kind::Unavailable`].
    pub fn unavailable(code: Reason, retry_after: Duration, message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable { retry_after }, code, message)
    }

    /// See [`Kind::Internal`].
    pub fn internal(code: Reason, message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, code, message)
    }

    /// Names a wrong field too.
    #[must_use]
    pub fn with_violation(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.violations.push(Violation { field: field.into(), message: message.into() });
        self
    }

    /// The gRPC status with its details.
    pub fn to_status(&self) -> Status {
        let mut details = ErrorDetails::new();
        details.set_error_info(self.reason.as_ref(), DOMAIN, std::collections::HashMap::new());
        for violation in &self.violations {
            details.add_bad_request_violation(&violation.field, &violation.message);
        }
        if let Some(retry_after) = self.kind.retry_after() {
            details.set_retry_info(Some(retry_after));
        }
        Status::with_error_details(self.kind.code(), &self.message, details)
    }

    /// What a client makes of a status. A status of the transport (no connection, a deadline) has the reason
    /// [`REASON_UNKNOWN`]; one that names no time to wait, but may be sent again, gets one second.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let asked = details.retry_info().and_then(|retry| retry.retry_delay);
        let retry_after = asked.unwrap_or(Duration::from_secs(1));
        let kind = match status.code() {
            Code::InvalidArgument => Kind::Invalid,
            Code::OutOfRange => Kind::TooLarge,
            Code::Unauthenticated => Kind::Unauthenticated,
            Code::PermissionDenied => Kind::Denied,
            Code::NotFound | Code::Unimplemented => Kind::NotFound,
            Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => Kind::Conflict,
            Code::ResourceExhausted => Kind::Exhausted { retry_after },
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Kind::Unavailable { retry_after },
            Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => Kind::Internal,
        };
        let reason = match details.error_info() {
            Some(info) if info.domain == DOMAIN => Cow::Owned(info.reason.clone()),
            _ => Cow::Borrowed(REASON_UNKNOWN),
        };
        let violations = details.bad_request().map(|bad| &bad.field_violations[..]).unwrap_or_default();
        let violations = violations.iter().map(|bad| Violation::new(&bad.field, &bad.description)).collect();
        Self { reason, kind, message: status.message().to_owned(), violations }
    }

    /// The JSON body of an HTTP answer:
    /// `{"error": {"code", "message", "fields": [{"field", "message"}], "retry_after_ms"}}`, the last two where there are
    /// any.
    pub fn to_json(&self) -> serde_json::Value {
        let mut error = serde_json::Map::new();
        error.insert("code".to_owned(), self.reason.as_ref().into());
        error.insert("message".to_owned(), self.message.as_str().into());
        if !self.violations.is_empty() {
            let fields = self.violations.iter();
            let fields = fields.map(|bad| serde_json::json!({"field": bad.field, "message": bad.message}));
            error.insert("fields".to_owned(), fields.collect());
        }
        if let Some(retry_after) = self.kind.retry_after() {
            let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
            error.insert("retry_after_ms".to_owned(), retry_after_ms.into());
        }
        serde_json::json!({ "error": error })
    }

    /// The whole HTTP answer; `B` is the server's body type.
    pub fn to_response<B: From<Vec<u8>>>(&self) -> http::Response<B> {
        use http::HeaderValue;
        use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
        let mut response = http::Response::new(B::from(format!("{}\n", self.to_json()).into_bytes()));
        *response.status_mut() = self.kind.http();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(retry_after) = self.kind.retry_after() {
            // The header counts whole seconds: rounded up, so that nobody comes too early.
            let seconds = retry_after.as_secs().saturating_add(u64::from(retry_after.subsec_nanos() > 0));
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        problem.to_status()
    }
}

impl From<&Problem> for Status {
    fn from(problem: &Problem) -> Self {
        problem.to_status()
    }
}

// === impl Violation ===

impl Violation {
    /// A wrong field and what is wrong with it.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.field, self.message)
    }
}

/// The HTTP answer to a method that a path does not take; `allowed` are those that it takes.
pub fn other_method<B: From<Vec<u8>>>(method: &http::Method, path: &str, allowed: &str) -> http::Response<B> {
    let message = format!("{path} does not take {method}; it takes {allowed}");
    let mut response = Problem::new(Kind::Method, Reason::MethodNotAllowed, message).to_response();
    if let Ok(allowed) = http::HeaderValue::from_str(allowed) {
        response.headers_mut().insert(http::header::ALLOW, allowed);
    }
    response
}

/// The key of `authorization: Bearer KEY` in gRPC metadata.
pub fn bearer(metadata: &MetadataMap) -> Option<&str> {
    metadata.get("authorization").and_then(|value| value.to_str().ok()).and_then(bearer_of)
}

/// The key of `Authorization: Bearer KEY` in HTTP headers.
pub fn bearer_http(headers: &http::HeaderMap) -> Option<&str> {
    headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer_of)
}

/// The tenant that gRPC metadata names, see [`TENANT_KEY`].
pub fn tenant(metadata: &MetadataMap) -> Option<&str> {
    metadata.get(TENANT_KEY).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// The tenant that HTTP headers name, see [`TENANT_KEY`].
pub fn tenant_http(headers: &http::HeaderMap) -> Option<&str> {
    headers.get(TENANT_KEY).and_then(|value| value.to_str().ok()).map(str::trim)
}

fn bearer_of(header: &str) -> Option<&str> {
    let (scheme, key) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests;
