//! Charges in SQLite beyond what the conformance suite asks.

use super::*;
use crate::charges::Charges as _;
use crate::conformance::charges::{output, suite};
use rand::SeedableRng;

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("charges.db");
    suite(async || Arc::new(Charges::open(&path).unwrap()) as Arc<dyn crate::charges::Charges>).await;
}

#[tokio::test]
async fn chunks_that_do_not_say_their_events_are_counted_row_by_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("charges.db");
    let charges = Charges::open(&path).unwrap();
    let output = output(&mut rand::rngs::StdRng::seed_from_u64(3), Shard(0), 0);
    let tenant = output.charges.series.first().unwrap().tenant.clone();
    charges.insert(vec![output]).await.unwrap();
    let (by, rows_max) = (crate::charges::Resolution::Period, usize::MAX);
    let query = UsageQuery { tenant, customer: None, meter: None, from: None, until: None, by, rows_max };
    let found = charges.usage(&query).await.unwrap();
    assert!(found.iter().any(|row| row.count > 0));
    Connection::open(&path).unwrap().execute("UPDATE chunks SET events = NULL", []).unwrap();
    assert_eq!(charges.usage(&query).await.unwrap(), found);
}

#[tokio::test]
async fn a_changed_chunk_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("charges.db");
    let charges = Charges::open(&path).unwrap();
    let output = output(&mut rand::rngs::StdRng::seed_from_u64(3), Shard(0), 0);
    let row = output.charges.rows.first().unwrap();
    let series = output.charges.series[usize::try_from(row.series).unwrap()].clone();
    charges.insert(vec![output]).await.unwrap();
    let connection = Connection::open(&path).unwrap();
    connection
        .execute(
            "UPDATE chunks SET rows = CAST(substr(rows, 1, length(rows) - 6) || 'x' || substr(rows, -5) AS BLOB)",
            [],
        )
        .unwrap();
    let (customer, subscription) = (series.customer, series.subscription);
    let sums = charges.sums(&series.tenant, &[PeriodKey { customer, subscription, start: series.start }]).await;
    assert!(matches!(sums, Err(Error::Damaged { .. })), "{sums:?}");
}
