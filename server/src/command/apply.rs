//! `farthing apply`: a catalog file's changes, shown and put in force.

use crate::client::{Client, Connection, refusal};
use crate::failure::{Failure, Result, mistakes, read_text};
use crate::output::{self, Format};
use clap::Args;
use proto::v1;
use std::path::{Path, PathBuf};
use tonic::Status;
use tonic_types::StatusExt;

const AFTER: &str = "\
Examples:
  farthing apply -f catalog.yaml --diff                what would change, changing nothing
  farthing apply -f catalog.yaml                       put it in force
  farthing apply -f catalog.yaml --migrate payg        move existing subscriptions of payg at their next period

What a file leaves out stays as it is. A plan that changed becomes a new version, for new subscriptions.";

/// Puts a catalog file in force, after showing what it changes.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// The catalog file (YAML).
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Show what would change, and change nothing.
    #[arg(long)]
    diff: bool,
    /// End what an earlier file declared and this one leaves out.
    #[arg(long)]
    prune: bool,
    /// Move existing subscriptions of this plan to its new version at their next period; may be repeated.
    #[arg(long, value_name = "PLAN")]
    migrate: Vec<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// The answer as JSON.
#[derive(serde::Serialize)]
struct Answer<'a> {
    applied: bool,
    changes: Vec<Change<'a>>,
}

#[derive(serde::Serialize)]
struct Change<'a> {
    kind: &'static str,
    what: &'a str,
    details: &'a [String],
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    let file = read_text(&arguments.file)?;
    let request = v1::ApplyRequest { file, prune: arguments.prune, migrate: arguments.migrate };
    let mut catalog = Client::connect(&arguments.connection).await?.catalog();
    let call = if arguments.diff { catalog.diff(request).await } else { catalog.apply(request).await };
    let changes = call.map_err(|status| in_file(&arguments.file, &status))?.into_inner().changes;
    if arguments.format.json {
        return output::json(&Answer { applied: !arguments.diff, changes: changes.iter().map(described).collect() });
    }
    for change in changes.iter().map(described) {
        let mark = match change.kind {
            "created" => '+',
            "ended" => '-',
            _ => '~',
        };
        output::line(format_args!("{mark} {}", change.what))?;
        for detail in change.details {
            output::line(format_args!("    {detail}"))?;
        }
    }
    output::line(summary(&changes, arguments.diff))
}

/// The file's mistakes, each with the file's name; anything else as it is.
fn in_file(file: &Path, status: &Status) -> Failure {
    let details = status.get_error_details();
    match details.error_info().map(|info| info.reason.as_str()) {
        Some("CATALOG_INVALID") => mistakes(file, status.message()),
        Some("TENANT_MISMATCH") => Failure::refused(format_args!("{}: {}", file.display(), status.message())),
        _ => refusal(status),
    }
}

fn described(change: &v1::Change) -> Change<'_> {
    let kind = match change.kind() {
        v1::change::Kind::Created => "created",
        v1::change::Kind::Changed => "changed",
        v1::change::Kind::Ended => "ended",
        v1::change::Kind::Unspecified => "unspecified",
    };
    Change { kind, what: &change.what, details: &change.details }
}

fn summary(changes: &[v1::Change], diff: bool) -> String {
    let count = |kind: v1::change::Kind| changes.iter().filter(|change| change.kind() == kind).count();
    if changes.is_empty() {
        return "Nothing to change: the catalog in force says the same.".to_owned();
    }
    let (created, changed, ended) =
        (count(v1::change::Kind::Created), count(v1::change::Kind::Changed), count(v1::change::Kind::Ended));
    let end = if diff { "Nothing was changed (--diff)." } else { "In force." };
    format!("{created} created, {changed} changed, {ended} ended. {end}")
}
