//! The sorts of problems: each has its code of gRPC and its status of HTTP, and says whether a call may be sent again.
//!
//! | kind | gRPC | HTTP | send it again? |
//! |---|---|---|---|
//! | [`Kind::Invalid`] | `INVALID_ARGUMENT` | 400 | not as it is |
//! | [`Kind::TooLarge`] | `INVALID_ARGUMENT` | 413 | in smaller parts |
//! | [`Kind::Unauthenticated`] | `UNAUTHENTICATED` | 401 | with a key |
//! | [`Kind::Denied`] | `PERMISSION_DENIED` | 403 | with another key |
//! | [`Kind::NotFound`] | `NOT_FOUND` | 404 | no |
//! | [`Kind::Method`] | `UNIMPLEMENTED` | 405 | with another method |
//! | [`Kind::Conflict`] | `FAILED_PRECONDITION` | 409 | once what it says has changed |
//! | [`Kind::Exhausted`] | `RESOURCE_EXHAUSTED` | 429 | after the time it names |
//! | [`Kind::Unavailable`] | `UNAVAILABLE` | 503 | after the time it names |
//! | [`Kind::Internal`] | `INTERNAL` | 500 | no; a person is needed |

use std::time::Duration;
use tonic::Code;

/// What sort of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request can never succeed as it is.
    Invalid,
    /// The request is larger than allowed.
    TooLarge,
    /// No key, or an unknown or revoked one.
    Unauthenticated,
    /// The key may not do this.
    Denied,
    /// The thing that was named is not there.
    NotFound,
    /// The thing that was named is there, but cannot be asked so.
    Method,
    /// The state of things does not allow it now.
    Conflict,
    /// The caller is over a limit that passes with time.
    Exhausted {
        /// When to send it again.
        retry_after: Duration,
    },
    /// Farthing, or what it depends on, cannot do it now.
    Unavailable {
        /// When to send it again.
        retry_after: Duration,
    },
    /// A fault of Farthing's own.
    Internal,
}

impl Kind {
    /// The gRPC code.
    pub fn code(self) -> Code {
        match self {
            Self::Invalid | Self::TooLarge => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Denied => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::Method => Code::Unimplemented,
            Self::Conflict => Code::FailedPrecondition,
            Self::Exhausted { .. } => Code::ResourceExhausted,
            Self::Unavailable { .. } => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    /// The HTTP status.
    pub fn http(self) -> http::StatusCode {
        match self {
            Self::Invalid => http::StatusCode::BAD_REQUEST,
            Self::TooLarge => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthenticated => http::StatusCode::UNAUTHORIZED,
            Self::Denied => http::StatusCode::FORBIDDEN,
            Self::NotFound => http::StatusCode::NOT_FOUND,
            Self::Method => http::StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => http::StatusCode::CONFLICT,
            Self::Exhausted { .. } => http::StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => http::StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => http::StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// When the same request may be sent again; none where it may not.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Exhausted { retry_after } | Self::Unavailable { retry_after } => Some(retry_after),
            _ => None,
        }
    }
}
