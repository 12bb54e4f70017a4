//! Money and quantity against an independent oracle on rationals (MON-1, MON-2). The oracle is written from the design's
//! words, not from the code.

// A test that cannot go on says so by panicking, in its helpers too.
#![allow(clippy::unwrap_used)]

// The oracle and what it is fed with, then what it judges.
mod curves;
mod inputs;
mod meters;
mod numbers;
mod oracle;
mod prices;
