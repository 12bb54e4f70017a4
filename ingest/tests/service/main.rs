//! Ingest as its clients see it: gRPC through a generated client, HTTP through the router, over a log that holds back.
#![allow(missing_docs, clippy::unwrap_used)]

// Reading order: what the tests share, then gRPC, HTTP, and what happens when the log does not do what it should.
mod grpc;
mod http;
mod pressure;
mod setup;
