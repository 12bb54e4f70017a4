//! The services in JSON over HTTP: every call of the contract under `/v1`, by one mechanism.
//!
//! What a call looks like stands in the contract itself, as the option `http` of its method (`proto/farthing/v1/http.proto`).
//! A request becomes the message that gRPC would bring, goes to the same service in this process, and the message that comes
//! back becomes JSON. So keys, scopes, limits and errors are those of gRPC, and a new call needs an option and nothing else.
//! The OpenAPI file is made of the same descriptors, with their comments.

// Reading order: which calls there are, a request's way in, its answer's way out, the two together, the file that tells of it.
mod answer;
mod calls;
mod openapi;
mod path;
mod request;
mod schema;
mod serve;

pub(crate) use openapi::document;
pub(crate) use serve::router;
