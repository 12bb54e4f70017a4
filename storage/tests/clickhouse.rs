//! Charges in a real ClickHouse.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails its test")]

use pricing::id::{CustomerId, PriceId, SubscriptionId, TenantId};
use pricing::number::{Amount, Quantity};
use pricing::time::Instant;
use rand::SeedableRng;
use rand::rngs::StdRng;
use servers::ClickHouse;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::charges::{Charges, Error as ChargesError, ExplainQuery, OutcomeQuery, PeriodKey, Resolution, UsageQuery};
use storage::clickhouse::{self, Error, Options};
use storage::conformance::charges::{agree, joined, output, suite};
use storage::output::{OutcomeKind, Output};
use storage::shard::Shard;
use storage::sim;
use tokio::sync::watch;

/// Records of one output of the suite.
const RECORDS: u64 = 6;

fn options(server: &ClickHouse, database: &str) -> Options {
    // Few rows a request, so that one insert needs several.
    Options { rows_max: 50, ..Options::new(&server.url(), database, "default") }
}

/// Charges in a new database.
async fn fresh(server: &ClickHouse, database: &str) -> clickhouse::Charges {
    let options = options(server, database);
    clickhouse::migrate(&options).await.unwrap();
    clickhouse::migrate(&options).await.unwrap();
    clickhouse::Charges::open(options).await.unwrap()
}

fn model() -> sim::charges::Charges {
    sim::charges::Charges::new(sim::faults::Faults::new(0, sim::faults::Chances::default()))
}

fn outputs(seed: u64, count: u64) -> Vec<Output> {
    let mut random = StdRng::seed_from_u64(seed);
    let steps = (0..count).flat_map(|step| [Shard(0), Shard(1)].map(|shard| (step, shard)));
    steps.map(|(step, shard)| output(&mut random, shard, step * RECORDS)).collect()
}

/// On one server, since each takes a while to come up; each part in a database of its own.
#[tokio::test(flavor = "multi_thread")]
async fn charges_in_a_real_server() {
    let mut server = ClickHouse::start();
    passes_the_suite(&server).await;
    what_is_written_twice_reads_once(&server).await;
    tables_that_do_not_fit_are_refused(&server).await;
    documented_questions_get_the_same_answers(&server).await;
    killed_amid_inserts_it_keeps_each_row_once(&mut server).await;
}

async fn passes_the_suite(server: &ClickHouse) {
    drop(fresh(server, "suite").await);
    let open = async || {
        let charges = clickhouse::Charges::open(options(server, "suite")).await.unwrap();
        Arc::new(charges) as Arc<dyn Charges>
    };
    suite(open).await;
}

async fn what_is_written_twice_reads_once(server: &ClickHouse) {
    let (store, model) = (fresh(server, "twice").await, model());
    let all = outputs(2, 6);
    store.insert(all.clone()).await.unwrap();
    model.insert(all.clone()).await.unwrap();
    agree(&store, &model).await;
    // A rater that starts from an old snapshot, and cuts its outputs elsewhere.
    server.sql("twice", "TRUNCATE TABLE boundaries", &[]);
    for pair in all.chunks(4) {
        store.insert(vec![joined(&pair[0], &pair[2]), joined(&pair[1], &pair[3])]).await.unwrap();
    }
    let rows: u64 = server.sql("twice", "SELECT count() FROM charges", &[]).trim().parse().unwrap();
    let once = all.iter().map(|output| output.charges.rows.len()).sum::<usize>();
    assert!(rows > u64::try_from(once).unwrap(), "no copies: nothing is shown");
    agree(&store, &model).await;
}

async fn refusal(server: &ClickHouse, database: &str, change: &str) -> String {
    drop(fresh(server, database).await);
    server.sql(database, change, &[]);
    match clickhouse::Charges::open(options(server, database)).await {
        Err(Error::Refused { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

async fn tables_that_do_not_fit_are_refused(server: &ClickHouse) {
    let reason = refusal(server, "scale", "ALTER TABLE charges MODIFY COLUMN amount Decimal(38, 18)").await;
    assert!(reason.contains("'amount' is of type Decimal(38, 18) and has to be Decimal(38, 24)"), "{reason}");
    let reason = refusal(server, "missing", "DROP TABLE outcomes").await;
    assert_eq!(reason, "the table 'missing.outcomes' is missing: make it with `farthing migrate`");
    let reason = refusal(server, "lazy", "ALTER TABLE charges MODIFY SETTING fsync_after_insert = 0").await;
    assert!(reason.contains("'fsync_after_insert = 1' is missing"), "{reason}");
    let engine =
        "CREATE OR REPLACE TABLE boundaries ENGINE = MergeTree ORDER BY shard EMPTY AS SELECT * FROM boundaries";
    let reason = refusal(server, "engine", engine).await;
    assert!(reason.contains("its engine is MergeTree and has to be ReplacingMergeTree"), "{reason}");
    let reason = refusal(server, "older", "ALTER TABLE boundaries DROP COLUMN record").await;
    assert!(reason.contains("'record' of type UInt64 is missing; run `farthing migrate`"), "{reason}");
    clickhouse::migrate(&options(server, "older")).await.unwrap();
    clickhouse::Charges::open(options(server, "older")).await.unwrap();
    let reason = refusal(server, "levels", "ALTER TABLE charges DROP COLUMN level").await;
    assert!(reason.contains("'level' of type Nullable(Decimal(38, 9)) is missing"), "{reason}");
    let nobody = clickhouse::Charges::open(Options::new("http://127.0.0.1:1", "farthing", "default")).await;
    assert!(matches!(nobody, Err(Error::Unreachable { .. })), "{nobody:?}");
}

/// The answer to the document's question of this title, as rows of text.
fn ask(server: &ClickHouse, title: &str, parameters: &[(&str, &str)]) -> Vec<Vec<String>> {
    let document = include_str!("../../docs/sql.md");
    let section = document.split("\n## ").find(|section| section.starts_with(title)).expect("the section");
    let (_, code) = section.split_once("```sql\n").expect("its query");
    let (sql, _) = code.split_once("```").expect("its end");
    let answer = server.sql("questions", &format!("{sql} FORMAT TSVRaw"), parameters);
    answer.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn text(time: Instant) -> String {
    time.to_jiff().strftime("%Y-%m-%d %H:%M:%S.%9f").to_string()
}

async fn documented_questions_get_the_same_answers(server: &ClickHouse) {
    let store = fresh(server, "questions").await;
    let all = outputs(4, 6);
    store.insert(all.clone()).await.unwrap();
    server.sql("questions", "TRUNCATE TABLE boundaries", &[]);
    store.insert(all).await.unwrap();
    let (tenant, customer) = (TenantId::new("acme").unwrap(), CustomerId::new("c1").unwrap());
    let (from, until) = (Instant::from_nanos(3_600_000_000_007), Instant::from_nanos(100_000_000_000_000));

    let query = UsageQuery {
        tenant: tenant.clone(),
        customer: Some(customer.clone()),
        meter: None,
        from: Some(from),
        until: Some(until),
        by: Resolution::Day,
        rows_max: 1_000,
    };
    let mut days: BTreeMap<[String; 4], (u64, Quantity, Amount)> = BTreeMap::new();
    for usage in store.usage(&query).await.unwrap() {
        let day = usage.bucket.unwrap().to_jiff().strftime("%Y-%m-%d").to_string();
        let grouping = serde_json::to_string(&usage.group).unwrap();
        let day = days.entry([day, usage.meter.to_string(), usage.price.to_string(), grouping]).or_default();
        let (quantity, amount) = (day.1.add(usage.quantity).unwrap(), day.2.add(usage.amount).unwrap());
        *day = (day.0 + usage.count, quantity, amount);
    }
    let (from, until) = (text(from), text(until));
    let parameters = [("tenant", "acme"), ("customer", "c1"), ("from", from.as_str()), ("until", until.as_str())];
    let found = ask(server, "What a customer used, day by day", &parameters);
    let expected: Vec<Vec<String>> = days
        .into_iter()
        .map(|(key, (count, quantity, amount))| {
            key.into_iter().chain([count.to_string(), quantity.to_string(), amount.to_string()]).collect()
        })
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(found, expected);

    a_line_opens(server, &store, &tenant, &customer).await;

    let kinds = vec![OutcomeKind::Unpriced, OutcomeKind::Conflict, OutcomeKind::Rejected, OutcomeKind::NotBackfilled];
    let query = OutcomeQuery { tenant, customer: None, kinds, after: None, count_max: 1000 };
    let expected = store.outcomes(&query).await.unwrap();
    let found = ask(server, "What was not billed", &[("tenant", "acme")]);
    assert!(!expected.is_empty() && found.len() == expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!((&found[0], &found[2], &found[6]), (&text(expected.time), &expected.customer, &expected.reason));
    }

    let found = ask(server, "What became of everything", &[]);
    assert_eq!(found[1][..4], ["1", "36", &text(store.boundary(Shard(1)).await.unwrap().unwrap().log_time), "130"]);
}

async fn a_line_opens(server: &ClickHouse, store: &clickhouse::Charges, tenant: &TenantId, customer: &CustomerId) {
    let start = Instant::from_nanos(86_400_000_000_000);
    let subscription = SubscriptionId::new("s").unwrap();
    let period = PeriodKey { customer: customer.clone(), subscription, start };
    let query =
        ExplainQuery { price: Some(PriceId::new("p1").unwrap()), ..ExplainQuery::all(tenant.clone(), period, 1000) };
    let expected: Vec<Vec<String>> = store
        .explain(&query)
        .await
        .unwrap()
        .into_iter()
        .map(|charge| {
            let grouping = serde_json::to_string(&charge.group).unwrap();
            let (tier, quantity, amount) =
                (charge.tier.to_string(), charge.quantity.to_string(), charge.amount.to_string());
            vec![text(charge.time), charge.source, charge.id, grouping, tier, quantity, amount]
        })
        .collect();
    let start = text(start);
    let parameters =
        [("tenant", "acme"), ("customer", "c1"), ("subscription", "s"), ("period", start.as_str()), ("price", "p1")];
    assert!(!expected.is_empty());
    assert_eq!(ask(server, "A line of a bill", &parameters), expected);
}

async fn killed_amid_inserts_it_keeps_each_row_once(server: &mut ClickHouse) {
    const STEPS: usize = 60;
    let (store, model) = (Arc::new(fresh(server, "killed").await), model());
    let all = outputs(7, u64::try_from(STEPS).unwrap());
    model.insert(all.clone()).await.unwrap();
    let (confirmed, mut progress) = watch::channel(0usize);
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut failures = 0u32;
            for (step, pair) in all.chunks(2).enumerate() {
                while let Err(error) = store.insert(pair.to_vec()).await {
                    assert!(matches!(error, ChargesError::Unavailable { .. }), "{error}");
                    failures += 1;
                    tokio::task::yield_now().await;
                }
                confirmed.send_replace(step + 1);
            }
            failures
        })
    };
    for kill_at in [10, 25, 40] {
        progress.wait_for(|done| *done >= kill_at).await.unwrap();
        server.kill();
        let before = *progress.borrow();
        server.restart();
        let boundary = store.boundary(Shard(0)).await.unwrap().map_or(0, |boundary| boundary.next.0);
        assert!(boundary >= u64::try_from(before).unwrap() * RECORDS, "{before} were confirmed, {boundary} is stored");
    }
    assert!(writer.await.unwrap() >= 3, "no insert was interrupted: nothing is shown");
    agree(&*store, &model).await;
    assert_eq!(*progress.borrow(), STEPS);
}
