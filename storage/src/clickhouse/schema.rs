//! The tables: making them, and checking that those that are there can keep our promises. The files that make them are
//! also what they are compared with.

use super::{Error, Options, connect};
use ::clickhouse::sql::Identifier;
use ::clickhouse::{Client, Row};
use std::collections::BTreeMap;

/// A table, as its file describes it.
struct Table {
    name: &'static str,
    sql: &'static str,
}

/// What `system.tables` says of one.
#[derive(Row, serde::Deserialize)]
struct FoundTable {
    name: String,
    engine: String,
    engine_full: String,
    partition_key: String,
    sorting_key: String,
}

/// What `system.columns` says of one.
#[derive(Row, serde::Deserialize)]
struct FoundColumn {
    table: String,
    name: String,
    r#type: String,
}

const TABLES: [Table; 4] = [
    Table { name: "charges", sql: include_str!("charges.sql") },
    Table { name: "manifests", sql: include_str!("manifests.sql") },
    Table { name: "outcomes", sql: include_str!("outcomes.sql") },
    Table { name: "boundaries", sql: include_str!("boundaries.sql") },
];
/// What tables got since they were made first.
const ADDED: [&str; 1] = ["ALTER TABLE boundaries ADD COLUMN IF NOT EXISTS record UInt64"];
const ENGINE: &str = "ReplacingMergeTree";
/// Without these a machine that loses its power loses what was acknowledged.
const DURABLE: [&str; 2] = ["fsync_after_insert = 1", "fsync_part_directory = 1"];

/// Makes the database and the tables, where they are not there.
///
/// # Errors
/// See [`Error`]; a table that is there and does not fit is refused.
pub async fn migrate(options: &Options) -> Result<(), Error> {
    let client = connect::without_database(options)?;
    let database = client.query("CREATE DATABASE IF NOT EXISTS ?").bind(Identifier(&options.database));
    database.execute().await.map_err(unreachable)?;
    let client = connect::client(options)?;
    for table in &TABLES {
        client.query(table.sql).execute().await.map_err(unreachable)?;
    }
    for added in ADDED {
        client.query(added).execute().await.map_err(unreachable)?;
    }
    check(&client, options).await
}

/// Compares the tables with the files that make them.
pub(super) async fn check(client: &Client, options: &Options) -> Result<(), Error> {
    let tables = client
        .query("SELECT name, engine, engine_full, partition_key, sorting_key FROM system.tables WHERE database = ?")
        .bind(&options.database)
        .fetch_all::<FoundTable>();
    let tables = tokio::time::timeout(options.read_timeout, tables).await.map_err(|_| late())?.map_err(unreachable)?;
    let columns = client
        .query("SELECT table, name, type FROM system.columns WHERE database = ?")
        .bind(&options.database)
        .fetch_all::<FoundColumn>();
    let columns =
        tokio::time::timeout(options.read_timeout, columns).await.map_err(|_| late())?.map_err(unreachable)?;
    for table in &TABLES {
        let found = tables.iter().find(|found| found.name == table.name);
        let place = format!("the table '{}.{}'", options.database, table.name);
        let Some(found) = found else {
            return Err(refused(&format!("{place} is missing: make it with `farthing migrate`")));
        };
        let of_table = columns.iter().filter(|column| column.table == table.name);
        let types = of_table.map(|column| (column.name.as_str(), column.r#type.as_str())).collect();
        if let Some(reason) = table.misfit(found, &types) {
            return Err(refused(&format!(
                "{place} cannot hold charges: {reason}; run `farthing migrate`; where that does not help, move charges, \
                 manifests, outcomes and boundaries away together, so that all are made anew: a boundary without its charges \
                 loses them"
            )));
        }
    }
    Ok(())
}

// === impl Table ===

impl Table {
    /// What does not fit, in words.
    fn misfit(&self, found: &FoundTable, types: &BTreeMap<&str, &str>) -> Option<String> {
        for (name, expected) in self.columns() {
            match types.get(name) {
                None => return Some(format!("its column '{name}' of type {expected} is missing")),
                Some(found) if *found != expected => {
                    return Some(format!("its column '{name}' is of type {found} and has to be {expected}"));
                }
                Some(_) => {}
            }
        }
        // In ClickHouse's cloud they are shared ones, which collapse equal keys as well.
        if found.engine.starts_with("Replicated") {
            let reason = "it is replicated, so a read may come from a replica that lags: replicate its volume instead";
            return Some(reason.to_owned());
        }
        if !found.engine.ends_with(ENGINE) {
            return Some(format!("its engine is {} and has to be {ENGINE}", found.engine));
        }
        let (partition, order) = (self.clause("PARTITION BY "), self.clause("ORDER BY "));
        if found.partition_key != partition {
            return Some(format!("it is partitioned by '{}' and has to be by '{partition}'", found.partition_key));
        }
        if found.sorting_key != order.trim_matches(['(', ')']) {
            return Some(format!("it is ordered by ({}) and has to be by {order}", found.sorting_key));
        }
        let missing = DURABLE.iter().find(|setting| !found.engine_full.contains(*setting));
        missing.map(|setting| format!("its setting '{setting}' is missing"))
    }

    /// The columns and their types: a line each between the parentheses.
    fn columns(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let lines = self.sql.lines().skip_while(|line| !line.ends_with('(')).skip(1);
        let lines = lines.take_while(|line| !line.starts_with(')'));
        lines.filter_map(|line| line.trim().trim_end_matches(',').split_once(' '))
    }

    /// What follows a word at the beginning of a line; nothing where there is none.
    fn clause(&self, word: &str) -> &'static str {
        self.sql.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_default()
    }
}

fn refused(reason: &str) -> Error {
    Error::Refused { reason: reason.to_owned() }
}

fn late() -> Error {
    Error::Unreachable { reason: "it did not answer in time".to_owned() }
}

#[allow(clippy::needless_pass_by_value)] // fits map_err
fn unreachable(error: ::clickhouse::error::Error) -> Error {
    Error::Unreachable { reason: error.to_string() }
}
