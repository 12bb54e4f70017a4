//! What people can type, and the command that does it.

use crate::command;
use crate::failure::{Context, Result};
use clap::{ArgAction, Parser, Subcommand};
use std::future::Future;

/// The first screen: the commands by what one wants to do. A test holds it to the commands that exist.
const TEMPLATE: &str = "\
{about}

{usage-heading} {usage}

Look around
  demo       The whole path on this machine in a few seconds, from events to an issued invoice
  quote      What a quantity costs, from a catalog file alone
  rate       Whole bills from a catalog file and a file of events, without a server

Run
  serve      Start Farthing: one process, one folder, one port; or one stage of a cluster
  migrate    Make topic, tables and schema of a cluster
  copy       Copy log and books into another system: a backup, or a move to a cluster
  status     How the shards of a server stand
  keys       Make, list and revoke API keys
  users      Make, list and disable people who sign in to the console
  clock      Move the clock of a test system
  openapi    Print the OpenAPI file of the services in JSON
  skip       Step over a damaged record at which a shard halted

Sell
  apply      Put a catalog file (meters, plans, customers, subscriptions) in force
  send       Report use: send a file of events
  usage      What was used
  invoices   List, show, approve, issue, void, credit and export bills; payments
  credits    What customers have with you, used and left
  explain    Open a line of a bill, down to its events
  check      Recompute bills and compare
  export     Invoices, lines and double entries for bookkeeping
  webhooks   Tell other systems what happened to invoices
  audit      What was changed in the books, when and by whom

Prove
  sim        Run the whole system in memory, under faults, from one seed
  bench      Measure it on this machine

Options
{options}{after-help}";

const AFTER: &str = "
Begin with `farthing demo`. Every command explains itself: `farthing COMMAND --help`.
Exit codes: 0 done, 1 refused or failed with one message on standard error, 2 wrong usage.";

/// Farthing bills usage: it prices every event exactly and turns a period's charges into invoices that can be checked,
/// line by line, down to the single event.
#[derive(Debug, Parser)]
#[command(name = "farthing", version, help_template = TEMPLATE, after_help = AFTER, max_term_width = 100)]
#[command(disable_help_subcommand = true, disable_help_flag = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Print help.
    #[arg(short, long, global = true, action = ArgAction::HelpShort, display_order = 1000)]
    help: Option<bool>,
    /// Which.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the whole path on this machine: server, catalog, events over gRPC, the period closed, invoices issued.
    Demo(command::demo::Arguments),
    /// Starts Farthing: everything in one process and folder, or one stage of a cluster.
    Serve(command::serve::Arguments),
    /// Makes topic, tables and schema of a cluster, or brings them to this version.
    Migrate(command::migrate::Arguments),
    /// Copies log and books into an empty system: a backup, its way back, or the way from one machine to a cluster.
    Copy(command::copy::Arguments),
    /// Puts a catalog file in force, after showing what it changes.
    Apply(command::apply::Arguments),
    /// Makes, lists and revokes API keys.
    Keys(command::keys::Arguments),
    /// Makes, lists and disables people who sign in to the console.
    Users(command::users::Arguments),
    /// Sends a file of events: CloudEvents NDJSON, or CSV.
    Send(command::send::Arguments),
    /// Says what a quantity costs, from a catalog file alone.
    Quote(command::quote::Arguments),
    /// Writes whole bills from a catalog file and a file of events, without a server.
    Rate(command::rate::Arguments),
    /// Shows what was used.
    Usage(command::usage::Arguments),
    /// Opens a line of a bill, down to its events.
    Explain(command::explain::Arguments),
    /// Recomputes bills from charges and catalog, and compares.
    Check(command::check::Arguments),
    /// Lists, shows, approves, issues, voids and exports bills, and keeps their payments.
    Invoices(command::invoices::Arguments),
    /// Lists customers' credits: how much of each is used, and left.
    Credits(command::credits::Arguments),
    /// Writes what was issued, and double entries, for bookkeeping.
    Export(command::export::Arguments),
    /// Tells other systems what happened to invoices.
    Webhooks(command::webhooks::Arguments),
    /// Lists changes of the books, the newest first: when, by whom, before and after.
    Audit(command::audit::Arguments),
    /// Moves the clock of a test system.
    Clock(command::clock::Arguments),
    /// Steps over the damaged record at which a shard halted, with a reason, as a record of its own.
    Skip(command::skip::Arguments),
    /// Shows how the shards of a server stand.
    Status(command::status::Arguments),
    /// Prints the OpenAPI file of the services in JSON over HTTP.
    Openapi,
    /// Runs the whole system in memory, under faults, from one seed.
    Sim(command::sim::Arguments),
    /// Measures Farthing on this machine.
    Bench(command::bench::Arguments),
}

/// Runs one command.
pub(crate) fn run(arguments: Arguments) -> Result {
    use command::*;
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
