//! Composition and command line: the only place that knows every stage and every backend.
//!
//! | module | is |
//! |---|---|
//! | `arguments` | what people can type, and the command that does it |
//! | `failure`, `output` | what they get back: exit codes, one message, tables, JSON |
//! | `config` | how a process is composed, from a file or flags |
//! | `system`, `telemetry` | a running process: stages, storage, port; what it tells |
//! | `local` | this machine's time; times, dates and numbers as people write and read them |
//! | `json` | the services in JSON over HTTP, and the OpenAPI file |
//! | `client` | calls to a running server |
//! | `reader` | files of events |
//! | `command` | the commands, one file each |

// Reading order: the words people type, what they get back, then what the commands need, then the commands.
mod arguments;
mod bench;
mod client;
mod command;
mod config;
mod demo;
mod failure;
mod json;
mod local;
mod offline;
mod output;
mod reader;
mod system;
mod telemetry;

use clap::Parser;
use std::process::ExitCode;

/// Reads the command line and runs it: 0 done, 1 refused or failed with one message on standard error, 2 wrong usage.
pub fn main() -> ExitCode {
    // For tests of upgrades: see `storage::record::rehearse`.
    let rehearsed = std::env::var("FARTHING_REHEARSE_RECORD_VERSION").ok().and_then(|version| version.parse().ok());
    rehearsed.into_iter().for_each(storage::record::rehearse);
    let arguments = arguments::Arguments::parse();
    match arguments::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
