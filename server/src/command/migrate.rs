//! `farthing migrate`: makes what a cluster's processes need before they start.

use crate::config::{Config, Stage};
use crate::failure::{Failure, Result};
use crate::local::wall;
use crate::output;
use crate::system::backends::Backends;
use crate::system::keys;
use clap::Args;
use invoicer::ledger::Ledger;
use invoicer::publisher;
use std::path::PathBuf;
use storage::keyring::Keyring;
use storage::record;

const AFTER: &str = "\
Examples:
  farthing migrate --config farthing.toml                        topic, tables, schema
  farthing migrate --config farthing.toml --admin-key admin.key  and the first admin key, for `farthing keys create`
  farthing migrate --config farthing.toml --record-version 2     after an upgrade of all raters: newer records may be written

Run it once before a release is started; running it again changes nothing. Processes refuse to start on what does not fit.";

/// Makes topic, tables and schema of a cluster, or brings them to this version.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// The configuration file, as for `serve`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Make the installation's first admin key, where there is none, and write it to this file; `-` prints it.
    #[arg(long, value_name = "FILE")]
    admin_key: Option<PathBuf>,
    /// Let writers use records up to this version. A rater that does not know it halts from here on: upgrade all of them first.
    #[arg(long, value_name = "VERSION")]
    record_version: Option<u8>,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    let (config, _) = Config::read(&arguments.config, Stage::Invoicer, None)?;
    let mut backends = Backends::new(&config);
    for line in backends.migrate().await? {
        output::line(line)?;
    }
    records(&mut backends, arguments.record_version).await?;
    if let Some(file) = &arguments.admin_key {
        let keyring = Keyring::open(backends.books().await?).await.map_err(Failure::refused)?;
        keyring.set_log_time(wall);
        if file.as_os_str() == "-" {
            let made = keyring.create_first("migrate").await.map_err(Failure::refused)?;
            return output::line(made.map_or("keys: the first admin key was made before".to_owned(), |made| made.key));
        }
        if keys::first_key(&keyring, file).await? {
            output::line(format_args!("keys: the first admin key stands in {}", file.display()))?;
        } else {
            output::line("keys: the first admin key was made before")?;
        }
    }
    Ok(())
}

/// Allows records up to `version`, where that is asked for, and says what may be written.
async fn records(backends: &mut Backends, version: Option<u8>) -> Result {
    let ledger = Ledger::new(backends.books().await?);
    if let Some(version) = version {
        let log = backends.log().await?;
        publisher::allow_records(&ledger, log.as_ref(), version).await.map_err(Failure::refused)?;
    }
    match publisher::record_version(&ledger).await.map_err(Failure::refused)? {
        Some(allowed) if allowed < record::version_newest() => {
            let newest = record::version_newest();
            output::line(format_args!(
                "records: up to version {allowed}; once all raters are of this version: `farthing migrate --record-version {newest}`"
            ))
        }
        Some(allowed) => output::line(format_args!("records: up to version {allowed}, the newest")),
        None => Ok(()),
    }
}
