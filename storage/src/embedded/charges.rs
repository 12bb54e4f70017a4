//! Charges in SQLite. The charges of one series that come with one output are one row, packed: inserts are cheap, and what
//! a period holds is read in one go. Outputs that wait at the same time share a transaction and its fsync.

// Reading order: the packed form, in, out.
mod chunk;
mod insert;
mod read;
#[cfg(test)]
mod tests;

use super::sqlite::{Database, Failure};
use crate::charges::{Boundary, Charge, Error, ExplainQuery, OutcomeQuery, PeriodKey, Usage, UsageQuery};
use crate::output::{Manifest, Outcome, Output, Series, Sum};
use crate::shard::{Position, Shard};
use async_trait::async_trait;
use pricing::id::TenantId;
use rusqlite::Connection;
use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The charges in one file.
#[derive(Debug)]
pub struct Charges {
    database: Database,
    series: Arc<SeriesNumbers>,
}

/// The numbers of series that are known to be stored, so that few are looked up.
#[derive(Debug, Default)]
struct SeriesNumbers(Mutex<HashMap<Series, i64>>);

type Failed = Failure<Error>;

const MIGRATIONS: [&str; 4] = [
    include_str!("charges/schema_1.sql"),
    include_str!("charges/schema_2.sql"),
    include_str!("charges/schema_3.sql"),
    include_str!("charges/schema_4.sql"),
];
/// Before it rows have no levels, and the fold put out fewer.
const OLDEST: usize = 3;
/// About 200 bytes each.
const SERIES_KEPT: usize = 500_000;

// === impl Charges ===

impl Charges {
    /// Opens the file, or makes it. Blocks.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let database = Database::open(path, &MIGRATIONS, OLDEST).map_err(|reason| Error::Unavailable { reason })?;
        Ok(Self { database, series: Arc::default() })
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, Error> {
        self.database.read(work).await.map_err(Error::from)
    }
}

#[async_trait]
impl crate::charges::Charges for Charges {
    async fn insert(&self, outputs: Vec<Output>) -> Result<(), Error> {
        let known = Arc::clone(&self.series);
        let stored = self.database.write(move |connection| insert::outputs(connection, &outputs, &known)).await;
        // Only what stands is remembered: a transaction that failed took its series with it.
        self.series.remember(stored.map_err(Error::from)?);
        Ok(())
    }

    async fn boundary(&self, shard: Shard) -> Result<Option<Boundary>, Error> {
        self.read(move |connection| insert::boundary(connection, shard)).await
    }

    async fn manifests(&self, after: &[(Shard, Option<Position>)], count_max: usize) -> Result<Vec<Manifest>, Error> {
        let mut after = after.to_vec();
        after.sort_unstable();
        self.read(move |connection| read::manifests(connection, &after, count_max)).await
    }

    async fn newest(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Manifest>, Error> {
        let (tenant, periods) = (tenant.clone(), periods.to_vec());
        self.read(move |connection| read::newest(connection, &tenant, &periods)).await
    }

    async fn sums(&self, tenant: &TenantId, periods: &[PeriodKey]) -> Result<Vec<Vec<Sum>>, Error> {
        let (tenant, periods) = (tenant.clone(), periods.to_vec());
        self.read(move |connection| periods.iter().map(|period| read::sums(connection, &tenant, period)).collect())
            .await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<Usage>, Error> {
        let query = query.clone();
        self.read(move |connection| read::usage(connection, &query)).await
    }

    async fn explain(&self, query: &ExplainQuery) -> Result<Vec<Charge>, Error> {
        let query = query.clone();
        self.read(move |connection| read::explain(connection, &query)).await
    }

    async fn outcomes(&self, query: &OutcomeQuery) -> Result<Vec<Outcome>, Error> {
        let query = query.clone();
        self.read(move |connection| read::outcomes(connection, &query)).await
    }
}

fn damaged<T: Display + ?Sized>(what: &T) -> Failed {
    Failure::Refused(Error::Damaged { reason: what.to_string() })
}

// === impl SeriesNumbers ===

impl SeriesNumbers {
    fn get(&self, series: &Series) -> Option<i64> {
        self.lock().get(series).copied()
    }

    fn remember(&self, found: HashMap<Series, i64>) {
        let mut known = self.lock();
        if known.len() + found.len() > SERIES_KEPT {
            known.clear();
        }
        known.extend(found);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Series, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Error ===

impl From<Failed> for Error {
    fn from(failure: Failed) -> Self {
        match failure {
            Failure::Database(reason) => Self::Unavailable { reason },
            Failure::Refused(error) => error,
        }
    }
}
