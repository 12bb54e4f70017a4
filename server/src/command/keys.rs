//! `farthing keys`: who may do what.

use crate::client::{Client, Connection, answer};
use crate::failure::Result;
use crate::output::{self, Format, Grid};
use clap::{Args, Subcommand, ValueEnum};
use proto::v1;

const AFTER: &str = "\
Examples:
  farthing keys create --scope ingest       a key that may send events, shown this once
  farthing keys list
  farthing keys revoke 3f9a52c1d07b4e68     in force within ten seconds";

/// Makes, lists and revokes API keys.
#[derive(Debug, Args)]
#[command(after_help = AFTER, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a key and shows it, this once.
    Create {
        /// What it may do.
        #[arg(long, value_enum)]
        scope: Scope,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lists keys, without their secrets.
    List {
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    /// Ends a key, within ten seconds.
    Revoke {
        /// The key's id, as `keys list` shows it.
        id: String,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
}

/// What a key may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scope {
    /// Send events.
    Ingest,
    /// Read usage, charges and bills.
    Read,
    /// Also decide about bills: approve, issue, void, credit, payments.
    Finance,
    /// Everything: catalog, keys, clock.
    Admin,
}

/// A key as JSON.
#[derive(serde::Serialize)]
struct Key<'a> {
    id: &'a str,
    tenant: &'a str,
    scope: &'a str,
    revoked: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    match arguments.action {
        Action::Create { scope, format, connection } => create(scope, format, &connection).await,
        Action::List { format, connection } => list(format, &connection).await,
        Action::Revoke { id, format, connection } => revoke(id, format, &connection).await,
    }
}

async fn create(scope: Scope, format: Format, connection: &Connection) -> Result {
    let scope = match scope {
        Scope::Ingest => "ingest",
        Scope::Read => "read",
        Scope::Finance => "finance",
        Scope::Admin => "admin",
    };
    let tenant = connection.tenant.clone().unwrap_or_default();
    let request = v1::CreateKeyRequest { tenant, scope: scope.to_owned() };
    let made = answer(Client::connect(connection).await?.admin().create_key(request).await)?;
    if format.json {
        return output::json(&serde_json::json!({"id": made.id, "key": made.key}));
    }
    output::line(&made.key)?;
    output::note(format_args!("Key {} may {scope}. Keep it now: it is not shown again.", made.id));
    Ok(())
}

async fn list(format: Format, connection: &Connection) -> Result {
    let keys = answer(Client::connect(connection).await?.admin().list_keys(v1::ListKeysRequest {}).await)?.keys;
    if format.json {
        let keys: Vec<Key<'_>> = keys
            .iter()
            .map(|key| Key { id: &key.id, tenant: &key.tenant, scope: &key.scope, revoked: key.revoked })
            .collect();
        return output::json(&serde_json::json!({"keys": keys}));
    }
    let mut grid = Grid::new(&["ID", "TENANT", "SCOPE", "STATE"]);
    for key in &keys {
        let tenant = if key.tenant.is_empty() { "(all)" } else { key.tenant.as_str() };
        grid.row([key.id.as_str(), tenant, key.scope.as_str(), if key.revoked { "revoked" } else { "valid" }]);
    }
    grid.print("No keys.")
}

async fn revoke(id: String, format: Format, connection: &Connection) -> Result {
    let request = v1::RevokeKeyRequest { id: id.clone() };
    answer(Client::connect(connection).await?.admin().revoke_key(request).await)?;
    if format.json {
        return output::json(&serde_json::json!({"id": id, "revoked": true}));
    }
    output::line(format_args!("Key {id} is revoked, everywhere within ten seconds."))
}
