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

use crate::arguments::{Arguments, Command};
use crate::failure::{Context, Result};
use std::future::Future;

/// Runs one command.
pub(crate) fn run(arguments: Arguments) -> Result {
    match arguments.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Apply(arguments) => wait(apply::run(arguments)),
        Command::Keys(arguments) => wait(keys::run(arguments)),
        Command::Users(arguments) => wait(users::run(arguments)),
        Command::Migrate(arguments) => wait(migrate::run(arguments)),
        Command::Copy(arguments) => wait(copy::run(arguments)),
        Command::Send(arguments) => send::run(&arguments),
        Command::Quote(arguments) => quote::run(&arguments),
        Command::Rate(arguments) => rate::run(&arguments),
        Command::Usage(arguments) => wait(usage::run(arguments)),
        Command::Explain(arguments) => wait(explain::run(arguments)),
        Command::Audit(arguments) => wait(audit::run(arguments)),
        Command::Check(arguments) => wait(check::run(arguments)),
        Command::Credits(arguments) => wait(credits::run(arguments)),
        Command::Invoices(arguments) => wait(invoices::run(arguments)),
        Command::Export(arguments) => wait(export::run(arguments)),
        Command::Webhooks(arguments) => wait(webhooks::run(arguments)),
        Command::Clock(arguments) => wait(clock::run(arguments)),
        Command::Skip(arguments) => wait(skip::run(arguments)),
        Command::Status(arguments) => wait(status::run(arguments)),
        Command::Openapi => openapi::run(),
        Command::Sim(arguments) => sim::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    }
}

/// Runs a client's calls: one thread is enough for them.
fn wait(work: impl Future<Output = Result>) -> Result {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?.block_on(work)
}
