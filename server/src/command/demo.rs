//! `farthing demo`: the whole path on this machine.

use crate::client::{Client, Connection, answer, local_key, timestamp};
use crate::command::{invoices, serve, users};
use crate::config::Config;
use crate::demo;
use crate::failure::{Context, Failure, Result};
use crate::output;
use crate::system::System;
use clap::Args;
use pricing::time::Instant;
use proto::v1;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use storage::shard::ShardCount;

const AFTER: &str = "\
Examples:
  farthing demo            look around afterwards with the commands that it prints
  farthing demo --exit     only show it

Log time is a test clock's, so a month passes in a moment; documents say TEST.";

/// Shows the whole path on this machine: server, catalog, events over gRPC, the period closed, invoices issued.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// End when it has shown everything.
    #[arg(long)]
    exit: bool,
    /// Keep the data here; without it they go to a temporary folder.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// Events in one request.
const BATCH: usize = 500;

pub(crate) fn run(arguments: &Arguments) -> Result {
    if !arguments.listen.ip().is_loopback() {
        return Err(Failure::refused("the demo listens on this machine only: take an address such as 127.0.0.1:9600"));
    }
    // Gone with its content when the demo ends.
    let (folder, _temporary) = match &arguments.data {
        Some(path) => (path.clone(), None),
        None => {
            let made = tempfile::Builder::new().prefix("farthing-demo-").tempdir().context("cannot make a folder")?;
            (made.path().to_owned(), Some(made))
        }
    };
    if folder.join("log").exists() {
        let name = folder.display();
        return Err(Failure::refused(format_args!("{name} holds a system already; the demo wants an empty folder")));
    }
    serve::runtime()?.block_on(show(arguments, &folder))
}

async fn show(arguments: &Arguments, folder: &Path) -> Result {
    let mut stop = serve::Stop::listen()?;
    let began = std::time::Instant::now();
    let shards = ShardCount::new(4).ok_or_else(|| Failure::refused("no shards"))?;
    let mut config = Config::new(folder, arguments.listen, shards);
    config.test_clock = Some(demo::NOW.parse().map_err(Failure::refused)?);
    let mut system = System::start(config).await?;
    let story = tell(arguments, &system, folder, began).await;
    let result = match story {
        Ok(()) if !arguments.exit => {
            output::line("\nThe system stays until Ctrl-C.")?;
            tokio::select! {
                () = stop.asked() => Ok(()),
                failure = system.failed() => Err(failure),
            }
        }
        ended => ended,
    };
    system.stop().await;
    result
}

/// The story, step by step.
async fn tell(arguments: &Arguments, system: &System, folder: &Path, began: std::time::Instant) -> Result {
    let server = format!("http://{}", system.address);
    let key = system
        .key_file
        .as_deref()
        .and_then(local_key)
        .ok_or_else(|| Failure::refused("the demo's key cannot be read"))?;
    let client = Client::connect(&Connection::here(server.clone(), Some(key), None)).await?;
    step(1, format_args!("Farthing runs at {server}, its data in {}", folder.display()))?;

    let request = v1::ApplyRequest { file: demo::CATALOG.to_owned(), prune: false, migrate: Vec::new() };
    let changes = answer(client.catalog().apply(request).await)?.changes;
    let names: Vec<&str> =
        changes.iter().map(|change| change.what.as_str()).filter(|what| what.starts_with("plan")).collect();
    step(2, format_args!("A catalog is in force: {} entries, {} among them", changes.len(), names.join(", ")))?;

    let events = demo::events();
    let count = events.len();
    let sending = std::time::Instant::now();
    send(&client, events).await?;
    let millis = sending.elapsed().as_millis();
    step(3, format_args!("{count} events of January were sent over gRPC and acknowledged as durable in {millis} ms"))?;

    let to: Instant = demo::LATER.parse().map_err(Failure::refused)?;
    let request = v1::AdvanceClockRequest { to: Some(timestamp(to)) };
    answer(client.admin().advance_clock(request).await)?;
    let all = client.every_invoice("", "").await?;
    let issued = all.iter().filter(|invoice| invoice.status == "issued").count();
    step(
        4,
        format_args!("The clock moved to {to}: the month was closed, checked and billed, {issued} invoices issued\n"),
    )?;
    invoices::list_table(&all).print("No invoices.")?;

    if let Some(shown_one) = all.iter().rfind(|invoice| invoice.status == "issued") {
        let request = v1::GetInvoiceRequest { id: shown_one.id.clone() };
        let shown = answer(client.invoices().get(request).await)?;
        output::line(format_args!("\n{}", invoices::document_text(&shown.into())?))?;
        let seconds = began.elapsed();
        let took = format!("{}.{} s", seconds.as_secs(), seconds.subsec_millis() / 100);
        if arguments.exit {
            return output::line(format_args!(
                "All of this took {took}. Without --exit the demo stays to be looked at."
            ));
        }
        output::line(format_args!("All of this took {took}. Look around:\n"))?;
        let name = if shown_one.number.is_empty() { &shown_one.id } else { &shown_one.number };
        look_around(&server, &folder.join("admin.key"), name)?;
        sign_in(&client, &server).await?;
    }
    Ok(())
}

fn look_around(server: &str, key_file: &Path, invoice: &str) -> Result {
    output::line(format_args!("  export FARTHING_SERVER={server}"))?;
    output::line(format_args!("  export FARTHING_KEY=$(cat {})", key_file.display()))?;
    for command in [
        format!("explain {invoice} --limit 5"),
        format!("invoices export {invoice} --format csv"),
        "usage --customer nordwind".to_owned(),
        "check".to_owned(),
    ] {
        output::line(format_args!("  farthing {command}"))?;
    }
    Ok(())
}

/// Somebody who may see and do everything in the console.
async fn sign_in(client: &Client, server: &str) -> Result {
    let password = users::new_password()?;
    let roles = ["finance", "catalog", "audit"].map(str::to_owned).to_vec();
    users::put(client, "demo", roles, &password).await?;
    output::line(format_args!("\nOr in a browser: {server}/console, name demo, password {password}"))
}

fn step(number: u32, text: std::fmt::Arguments<'_>) -> Result {
    output::line(format_args!("{number}. {text}"))
}

async fn send(client: &Client, mut events: Vec<v1::Event>) -> Result {
    let mut ingest = client.ingest();
    let mut sequence = 0;
    while !events.is_empty() {
        let rest = events.split_off(BATCH.min(events.len()));
        let batch = std::mem::replace(&mut events, rest);
        sequence += 1;
        let said = answer(ingest.ingest(v1::IngestRequest { events: batch, sequence }).await)?;
        if let Some(rejection) = said.rejected.first() {
            return Err(Failure::refused(format_args!("an event was refused: {}", rejection.message)));
        }
    }
    Ok(())
}
