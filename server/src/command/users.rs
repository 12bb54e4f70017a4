//! `farthing users`: who may sign in to the console.

use crate::client::{Client, Connection, answer};
use crate::failure::{Context, Failure, Result};
use crate::output::{self, Format, Grid};
use crate::system::random;
use clap::{Args, Subcommand, ValueEnum};
use proto::v1;

const AFTER: &str = "\
Examples:
  farthing users create anna --role finance                    prints a password, this once
  farthing users create ben --role catalog --role audit --password-stdin < FILE
  farthing users list
  farthing users disable anna                                  ends all of her sessions at once

Roles: finance sees and changes bills, catalog sees and changes plans and customers, audit sees everything and changes
nothing. `create` for a name that is there gives it these roles and a new password. The console is at the server's address
in a browser.";

/// Makes, lists and disables people who sign in to the console.
#[derive(Debug, Args)]
#[command(after_help = AFTER, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a person, or gives one that is there other roles and a new password.
    Create {
        /// The name to sign in with, such as an address for mail.
        name: String,
        /// What the person may do; may be repeated.
        #[arg(long, value_enum, required = true)]
        role: Vec<Role>,
        /// Read the password from standard input instead of making one.
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    /// Lists people and their roles.
    List {
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    /// Ends a person's sessions, and every way to a new one.
    Disable {
        /// The name, as `users list` shows it.
        name: String,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
}

/// What a person may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// See and change bills.
    Finance,
    /// See and change plans and customers.
    Catalog,
    /// See everything, change nothing.
    Audit,
}

/// Letters and digits that nobody takes for another.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

pub(crate) async fn run(arguments: Arguments) -> Result {
    match arguments.action {
        Action::Create { name, role, password_stdin, format, connection } => {
            let password = if password_stdin { read_password()? } else { new_password()? };
            let roles = role.into_iter().map(|role| role.word().to_owned()).collect();
            put(&Client::connect(&connection).await?, &name, roles, &password).await?;
            if format.json {
                let shown = if password_stdin { None } else { Some(&password) };
                return output::json(&serde_json::json!({"name": name, "password": shown}));
            }
            if !password_stdin {
                output::line(&password)?;
            }
            output::note(format_args!(
                "{name} signs in at {}/console{}",
                connection.server.trim_end_matches('/'),
                if password_stdin { "." } else { " with this password: it is not shown again." }
            ));
            Ok(())
        }
        Action::List { format, connection } => list(format, &connection).await,
        Action::Disable { name, format, connection } => {
            let request = v1::DisableUserRequest { name: name.clone() };
            answer(Client::connect(&connection).await?.admin().disable_user(request).await)?;
            if format.json {
                return output::json(&serde_json::json!({"name": name, "disabled": true}));
            }
            output::line(format_args!("{name} is signed out and cannot sign in any more."))
        }
    }
}

/// Makes a person.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn put(client: &Client, name: &str, roles: Vec<String>, password: &str) -> Result {
    let request = v1::PutUserRequest { name: name.to_owned(), roles, password: password.to_owned() };
    answer(client.admin().put_user(request).await).map(|_| ())
}

/// A password that nobody guesses: 16 letters, 80 bits.
///
/// # Errors
/// The system has no randomness to give.
pub(crate) fn new_password() -> Result<String> {
    let letters = random()?.map(|byte| LETTERS.get(usize::from(byte % 32)).copied().map_or('x', char::from));
    Ok(letters.chunks(4).map(|part| part.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}

fn read_password() -> Result<String> {
    let text = std::io::read_to_string(std::io::stdin()).context("the password cannot be read")?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::refused("standard input holds no password")),
        password => Ok(password.to_owned()),
    }
}

async fn list(format: Format, connection: &Connection) -> Result {
    let users = answer(Client::connect(connection).await?.admin().list_users(v1::ListUsersRequest {}).await)?.users;
    if format.json {
        let users: Vec<_> = users
            .iter()
            .map(|user| serde_json::json!({"name": user.name, "roles": user.roles, "disabled": user.disabled}))
            .collect();
        return output::json(&serde_json::json!({"users": users}));
    }
    let mut grid = Grid::new(&["NAME", "ROLES", "STATE"]);
    for user in &users {
        let state = if user.disabled { "disabled" } else { "valid" };
        grid.row([user.name.as_str(), &user.roles.join(", "), state]);
    }
    grid.print("No users.")
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Finance => "finance",
            Self::Catalog => "catalog",
            Self::Audit => "audit",
        }
    }
}
