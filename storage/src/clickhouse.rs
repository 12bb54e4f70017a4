//! Charges in ClickHouse, over HTTP.
//!
//! **Rows first, the boundary last.** There are no transactions, and none are needed: a row is a function of the log, so
//! an insert whose answer was lost is sent again, and a rater that starts anew writes what it wrote before. Every read
//! collapses rows with equal keys. A row therefore always has to stand in the same partition: that of its period's start,
//! which is a part of its key. (Its log time would not do: an output tells only that of its end, which depends on how the
//! records were batched.)
//!
//! **Exact.** Quantities and amounts are 128-bit decimals at our own scales. ClickHouse adds those up without a check for
//! overflow, so sums are made in 256 bits and read as text. The client does not compare scales: [`Charges::open`] does.

// Reading order: how it connects, what it finds there, in, out.
mod connect;
mod insert;
mod read;
mod row;
mod schema;

pub use schema::migrate;

use crate::charges::{
    Boundary, Charge, Error as ChargesError, ExplainQuery, OutcomeQuery, PeriodKey, Usage, UsageQuery,
};
use crate::output::{Manifest, Outcome, Output, Sum};
use crate::shard::{Position, Shard};
use ::clickhouse::Client;
use async_trait::async_trait;
use pricing::id::TenantId;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;

/// How to reach a database, and how long to wait for it.
#[derive(Clone)]
pub struct Options {
    /// `http://HOST:PORT` or `https://HOST:PORT`: the HTTP interface.
    pub url: String,
    /// The database.
    pub database: String,
    /// Who we are.
    pub user: String,
    /// The user's password.
    pub password: Option<String>,
    /// Certificates, in PEM, of those who may vouch for the server; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// Rows in one request, at most; an output that has more goes alone.
    pub rows_max: usize,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a question may take.
    pub read_timeout: Duration,
    /// How long one request of an insert may take.
    pub insert_timeout: Duration,
}

/// The charges in a database.
pub struct Charges {
    client: Client,
    rows_max: usize,
    read_timeout: Duration,
    insert_timeout: Duration,
    /// One insert at a time.
    inserting: Mutex<()>,
}

/// Why charges cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The options cannot be used.
    #[error("the charges' database is not described well: {reason}")]
    Options {
        /// What does not fit.
        reason: String,
    },
    /// The server does not answer, or does not let us in.
    #[error("the charges store cannot be reached: {reason}")]
    Unreachable {
        /// What the system said.
        reason: String,
    },
    /// The database is there, but a promise could not be kept with it.
    #[error("{reason}")]
    Refused {
        /// What does not fit, and what to do.
        reason: String,
    },
}

// === impl Options ===

impl Options {
    /// This URL, database and user, with defaults: no password; 500,000 rows a request; 5 s to connect, 60 s to answer, 120 s
    /// for an insert.
    #[must_use]
    pub fn new(url: &str, database: &str, user: &str) -> Self {
        Self {
            url: url.to_owned(),
            database: database.to_owned(),
            user: user.to_owned(),
            password: None,
            ca_file: None,
            rows_max: 500_000,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(60),
            insert_timeout: Duration::from_secs(120),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        out.debug_struct("Options").field("database", &self.database).field("user", &self.user).finish_non_exhaustive()
    }
}

// === impl Charges ===

impl Charges {
    /// Connects, and checks that the tables can keep what is promised of charges.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(options: Options) -> Result<Self, Error> {
        let client = connect::client(&options)?;
        schema::check(&client, &options).await?;
        Ok(Self {
            client,
            rows_max: options.rows_max.max(1),
            read_timeout: options.read_timeout,
            insert_timeout: options.insert_timeout,
            inserting: Mutex::new(()),
        })
    }
}

impl std::fmt::Debug for Charges {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Charges").finish_non_exhaustive()
    }
}

#[async_trait]
impl crate::charges::Charges for Charges {
    async fn insert(&self, outputs: Vec<Output>) -> Result<(), ChargesError> {
        let _alone = self.inserting.lock().await;
        self.insert_all(&outputs).await
    }

    async fn boundary(&self, shard: Shard) -> Result<Option<Boundary>, ChargesError> {
        Ok(self.boundaries(&[shard]).await?.remove(&shard))
    }

    async fn manifests(
        &self,
        after: &[(Shard, Option<Position>)],
        count_max: usize,
    ) -> Result<Vec<Manifest>, ChargesError> {
        self.read_manifests(after, count_max).await
    }

    async fn newest(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Manifest>, ChargesError> {
        self.read_newest(tenant, periods).await
    }

    async fn sums(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Vec<Sum>>, ChargesError> {
        self.read_sums(tenant, periods).await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<Usage>, ChargesError> {
        self.read_usage(query).await
    }

    async fn explain(&self, query: &ExplainQuery) -> Result<Vec<Charge>, ChargesError> {
        self.read_explanation(query).await
    }

    async fn outcomes(&self, query: &OutcomeQuery) -> Result<Vec<Outcome>, ChargesError> {
        self.read_outcomes(query).await
    }
}
