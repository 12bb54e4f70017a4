//! Ingest: authenticate → validate → shard → append → acknowledge.
//!
//! ```text
//!  gRPC  ──▶ wire ────────┐ borrowed     ┌─▶ shard 0 ─┐ one record every few          ┌─▶ acknowledge: all of
//!  HTTP  ──▶ cloudevents ─┼─▶ intake ────┼─▶ shard 1 ─┤ milliseconds, for ──▶ Log ──▶─┤   a request's records
//!                         │   validates  └─▶ …       ─┘ all requests together         └─▶ are durable
//!        access, rate, queue bound
//! ```
//!
//! Who calls is known from the headers, before a byte of a body is read. Bounds: the calls under way (of all, and of a tenant), a request's events and
//! bytes ([`options::Limits`]), the requests of a stream in flight, the bytes from when they are read until they stand in the
//! log (of all calls, of a tenant's and of one), how long a request may take to come, and each shard's appends in flight
//! ([`Options`]). Past them the server stops reading or refuses; nothing grows.

// Reading order: what can be set and said, who may call, what is known of the catalog, then an event's way in.
pub mod access;
mod batcher;
pub mod catalogs;
pub mod cloudevents;
mod grpc;
mod health;
mod http;
mod ingest;
mod intake;
mod metered;
pub mod options;
mod rate;
mod room;
mod service;
pub mod stats;
mod wire;

pub use access::Authenticator;
pub use catalogs::Catalogs;
pub use grpc::Server;
pub use ingest::Ingest;
pub use options::Options;
pub use service::{Clock, Parts, WallClock};
