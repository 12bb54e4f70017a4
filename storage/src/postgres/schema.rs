//! The schema: made by migrations, known exactly by its version.

use super::{Error, Options, connect};
use deadpool_postgres::Object;
use refinery::{Migration, Runner};

/// Every migration there is, oldest first. One that was released never changes; its version is the number in its name.
const MIGRATIONS: [(&str, &str); 2] = [
    ("V1__books", include_str!("V1__books.sql")),
    ("V2__audit_of_document", include_str!("V2__audit_of_document.sql")),
];
/// Where the database keeps which migrations it has had.
const HISTORY: &str = "farthing_schema";
/// Two that migrate at the same time take turns by this advisory lock.
const LOCK: &str = "SELECT pg_advisory_lock(hashtextextended('farthing migrate', 0))";

/// Brings the schema to this binary's version; where it is already, nothing is done.
///
/// # Errors
/// See [`Error`].
pub async fn migrate(options: &Options) -> Result<(), Error> {
    let pool = connect::pool(options)?;
    let client = pool.get().await.map_err(|error| unreachable(connect::explain_pool(&error)))?;
    // A session of its own, which ends with this function and lets the lock go.
    let mut client = Object::take(client);
    let database = |error: tokio_postgres::Error| unreachable(connect::explain(&error));
    client.batch_execute("SET statement_timeout = 0").await.map_err(database)?;
    client.batch_execute(LOCK).await.map_err(database)?;
    refuse_newer(version(&client).await?)?;
    let report = runner()?.run_async(&mut *client).await.map_err(|error| Error::Refused {
        reason: format!("the books' schema could not be brought to version {}: {error}", latest()),
    })?;
    for migration in report.applied_migrations() {
        tracing::info!(%migration, "the books' schema was migrated");
    }
    Ok(())
}

/// See [`super::Books::check`].
pub(super) async fn check(client: &tokio_postgres::Client) -> Result<(), Error> {
    let found = version(client).await?;
    refuse_newer(found)?;
    if found < latest() {
        return Err(Error::Refused {
            reason: format!(
                "the books' schema is of version {found}, this binary wants {}: run `farthing migrate`",
                latest()
            ),
        });
    }
    for (name, lost) in [("fsync", "a crash of the machine"), ("full_page_writes", "a torn page")] {
        if setting(client, name).await? == "off" {
            return Err(refused(&format!(
                "the database server runs with {name} = off, and {lost} would destroy invoices: set {name} = on"
            )));
        }
    }
    if setting(client, "synchronous_commit").await? == "off" {
        return Err(refused(
            "the database acknowledges commits before they are on disk: ALTER ROLE or ALTER DATABASE … SET \
             synchronous_commit = on",
        ));
    }
    if setting(client, "server_encoding").await? != "UTF8" {
        return Err(refused("the database's encoding is not UTF8: make another one with ENCODING 'UTF8'"));
    }
    Ok(())
}

/// The newest migration that the database has had; 0: none.
async fn version(client: &tokio_postgres::Client) -> Result<i32, Error> {
    let failed = |error: tokio_postgres::Error| unreachable(connect::explain(&error));
    let known = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&HISTORY]).await.map_err(failed)?;
    if !known.try_get::<_, bool>(0).map_err(failed)? {
        return Ok(0);
    }
    let newest = format!("SELECT coalesce(max(version), 0)::int FROM {HISTORY}");
    client.query_one(&newest, &[]).await.and_then(|row| row.try_get(0)).map_err(failed)
}

async fn setting(client: &tokio_postgres::Client, name: &str) -> Result<String, Error> {
    let row = client.query_one("SELECT current_setting($1)", &[&name]).await;
    row.and_then(|row| row.try_get(0)).map_err(|error| unreachable(connect::explain(&error)))
}

fn refuse_newer(found: i32) -> Result<(), Error> {
    if found <= latest() {
        return Ok(());
    }
    Err(refused(&format!(
        "this binary is older than the schema: the books are of version {found}, this binary knows {}; run the newer binary",
        latest()
    )))
}

fn latest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

fn runner() -> Result<Runner, Error> {
    let migrations = MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql));
    let migrations: Result<Vec<Migration>, refinery::Error> = migrations.collect();
    let mut runner = Runner::new(&migrations.map_err(|error| refused(&error.to_string()))?).set_grouped(true);
    runner.set_migration_table_name(HISTORY);
    Ok(runner)
}

fn unreachable(reason: String) -> Error {
    Error::Unreachable { reason }
}

fn refused(reason: &str) -> Error {
    Error::Refused { reason: reason.to_owned() }
}
