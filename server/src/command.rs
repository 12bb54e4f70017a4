//! The commands, one file each: what can be typed, and what it does.

// Offline first, then what runs a server, then what talks to one.
pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod copy;
pub(crate) mod credits;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod invoices;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod quote;
pub(crate) mod rate;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod sim;
pub(crate) mod skip;
pub(crate) mod status;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod webhooks;
