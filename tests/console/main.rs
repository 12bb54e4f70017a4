//! The console over HTTP: who is refused, what a browser is told, that markup stays text, and the way from a sign-in to an
//! event.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod browser;
mod finance;
mod refused;
mod seen;
mod shown;
mod world;
