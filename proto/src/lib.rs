//! The wire contract `farthing.v1`, generated from `proto/farthing/v1/*.proto`, and how problems are told.

pub mod code;
pub mod kind;
pub mod raw;
pub mod status;

/// Messages, clients and servers of `farthing.v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::restriction)]
pub mod v1 {
    tonic::include_proto!("farthing.v1");
}

/// The compiled descriptors with comments and options: for reflection, and for the form in JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/farthing.bin"));
