//! The books in a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

use pricing::id::TenantId;
use pricing::time::{Instant, Span};
use servers::Postgres;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use storage::books::{AuditQuery, Books, Commit, DocumentKey, Error as BooksError, Expect, ListQuery, Put};
use storage::keyring::{Keyring, Scope};
use storage::postgres::{self, Error, Options};

fn options(server: &Postgres, url: &str) -> Options {
    let ca_file = Some(server.ca_file());
    Options { password: Some(Postgres::PASSWORD.to_owned()), ca_file, ..Options::new(url) }
}

/// Books in a new database.
async fn fresh(server: &Postgres, name: &str) -> Options {
    let options = options(server, &server.make_database(name));
    postgres::migrate(&options).await.unwrap();
    options
}

async fn open(options: &Options) -> Arc<dyn Books> {
    Arc::new(postgres::Books::open(options.clone()).await.unwrap())
}

fn key(collection: &str, id: &str) -> DocumentKey {
    DocumentKey { tenant: None, collection: collection.into(), id: id.into() }
}

fn put(collection: &str, id: &str, expect: Expect, body: &str) -> Put {
    Put { key: key(collection, id), expect, body: Some(body.into()), tags: Vec::new(), audited: true }
}

fn commit(puts: Vec<Put>) -> Commit {
    Commit { who: "tester".into(), action: "test".into(), log_time: Instant::from_nanos(7), puts }
}

/// On one server, since each takes seconds to come up; each part in a database of its own.
#[tokio::test(flavor = "multi_thread")]
async fn books_in_a_real_server() {
    let server = Postgres::start();
    passes_the_suite(&server).await;
    two_pools_race_and_a_reader_misses_nothing(&server).await;
    a_lease_ends_by_the_servers_clock_and_fences_its_holder(&server).await;
    a_revoked_key_is_refused_elsewhere(&server).await;
    a_schema_that_does_not_fit_is_refused(&server).await;
    tls_is_what_the_url_says(&server).await;
    waiting_ends(&server).await;
}

async fn passes_the_suite(server: &Postgres) {
    let options = fresh(server, "suite").await;
    storage::conformance::books::suite(async || open(&options).await).await;
    let open = async |name: &str| postgres::Books::open(fresh(server, name).await).await.unwrap();
    storage::conformance::books::copies(&open("copied").await, &open("copy").await).await;
    for change in ["DELETE FROM audit", "UPDATE audit SET who = 'x'", "TRUNCATE audit"] {
        let attempt = format!("DO $$ BEGIN {change}; EXCEPTION WHEN raise_exception THEN RETURN; END $$; {change}");
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.sql("suite", &attempt)));
        assert!(refused.is_err(), "{change}: the audit log is append-only");
    }
    // Numbers run without gaps, whatever was refused in between.
    let gaps = server.sql("suite", "SELECT count(*) = max(number) AND min(number) = 1 FROM audit");
    assert_eq!(gaps, "t");
}

/// Two processes raise one counter; a reader that follows revisions sees each of its values' effects at once.
async fn two_pools_race_and_a_reader_misses_nothing(server: &Postgres) {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let options = fresh(server, "race").await;
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let books = open(&options).await;
        tasks.push(tokio::spawn(async move {
            let mut conflicts = 0;
            for number in 0..EACH {
                // In no common order, which would be a deadlock where commits overlapped.
                let own = put("own", &format!("{writer}-{number}"), Expect::Absent, "{}");
                let count = async || {
                    let now = books.get(&key("counter", "c")).await.unwrap();
                    let expect = now.as_ref().map_or(Expect::Absent, |now| Expect::Revision(now.revision));
                    let next = now.map_or(1, |now| now.body.parse::<usize>().unwrap() + 1);
                    let mut puts = vec![own.clone(), put("counter", "c", expect, &next.to_string())];
                    if writer % 2 == 0 {
                        puts.reverse();
                    }
                    books.commit(commit(puts)).await
                };
                while let Err(error) = count().await {
                    assert!(matches!(error, BooksError::Conflict { .. }), "{error}");
                    conflicts += 1;
                }
            }
            conflicts
        }));
    }
    let reader = open(&options).await;
    let all = ListQuery { collection: "own".into(), count_max: 1000, ..ListQuery::default() };
    let done = WRITERS * EACH;
    loop {
        let revision = usize::try_from(reader.revision().await.unwrap()).unwrap();
        let seen = reader.list(&all).await.unwrap().len();
        assert!(seen >= revision, "at revision {revision} only {seen} commits are seen");
        if revision == done {
            break;
        }
    }
    let mut conflicts = 0;
    for task in tasks {
        conflicts += task.await.unwrap();
    }
    assert!(conflicts > 0, "nobody raced");
    assert_eq!(reader.get(&key("counter", "c")).await.unwrap().unwrap().body, done.to_string());
    assert_eq!(reader.revision().await.unwrap(), u64::try_from(done).unwrap());
}

async fn a_lease_ends_by_the_servers_clock_and_fences_its_holder(server: &Postgres) {
    let options = fresh(server, "leases").await;
    let (first, second) = (open(&options).await, open(&options).await);
    // Clocks that disagree by days: only the span counts.
    let (early, late) = (Instant::from_nanos(0), Instant::from_nanos(0).plus(Span::from_days(20_000)));
    let span = Span::from_seconds(2);
    let since = std::time::Instant::now();
    assert!(first.lease("clock", "first", early, early.plus(span)).await.unwrap());
    assert!(!second.lease("clock", "second", late, late.plus(span)).await.unwrap());
    first.commit(commit(vec![put("doc", "a", Expect::Absent, "1")])).await.unwrap();
    while !second.lease("clock", "second", late, late.plus(span)).await.unwrap() {}
    assert!(since.elapsed() >= Duration::from_secs(2), "taken over after {:?}", since.elapsed());
    // The first has not noticed: what it expects still holds, and yet it writes nothing more.
    let refused = first.commit(commit(vec![put("doc", "a", Expect::Revision(1), "stale")])).await.unwrap_err();
    assert!(refused.to_string().contains("lease 'clock'"), "{refused}");
    assert_eq!(second.get(&key("doc", "a")).await.unwrap().unwrap().body, "1");
    second.commit(commit(vec![put("doc", "a", Expect::Revision(1), "2")])).await.unwrap();
    assert!(!first.lease("clock", "first", early, early.plus(span)).await.unwrap());
    assert!(second.lease("clock", "second", late, late).await.unwrap(), "given back");
    assert!(first.lease("clock", "first", early, early.plus(span)).await.unwrap());
    first.commit(commit(vec![put("doc", "a", Expect::Revision(2), "3")])).await.unwrap();
    // Whoever never took a lease is not fenced.
    open(&options).await.commit(commit(vec![put("doc", "b", Expect::Absent, "1")])).await.unwrap();
}

async fn a_revoked_key_is_refused_elsewhere(server: &Postgres) {
    let options = fresh(server, "keys").await;
    let (here, there) = (open(&options).await, open(&options).await);
    let (here, there) = (Keyring::open(here).await.unwrap(), Keyring::open(there).await.unwrap());
    let created = here.create(TenantId::new("acme").ok(), Scope::Ingest, "tester").await.unwrap();
    let within = |wanted: bool| {
        let (there, key) = (&there, &created.key);
        async move {
            let known = async {
                while there.authenticate(key).is_some() != wanted {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), known).await.expect("known within 10 s");
        }
    };
    within(true).await;
    here.revoke(&created.id, "tester").await.unwrap();
    assert_eq!(here.authenticate(&created.key), None);
    within(false).await;
}

async fn a_schema_that_does_not_fit_is_refused(server: &Postgres) {
    let empty = options(server, &server.make_database("schema"));
    let older = postgres::Books::open(empty.clone()).await.unwrap_err();
    assert!(matches!(older, Error::Refused { .. }) && older.to_string().contains("farthing migrate"), "{older}");
    // Two at once, as two pods would.
    let (one, other) = tokio::join!(postgres::migrate(&empty), postgres::migrate(&empty));
    one.and(other).unwrap();
    postgres::migrate(&empty).await.unwrap();
    postgres::Books::open(empty.clone()).await.unwrap();
    server.sql(
        "schema",
        "INSERT INTO farthing_schema SELECT version + 1, 'later', applied_on, checksum FROM farthing_schema \
         ORDER BY version DESC LIMIT 1",
    );
    for newer in [postgres::Books::open(empty.clone()).await.err(), postgres::migrate(&empty).await.err()] {
        let newer = newer.unwrap().to_string();
        assert!(newer.contains("older than the schema"), "{newer}");
    }
    server.sql("schema", "ALTER DATABASE schema SET synchronous_commit = off");
    server.sql("schema", "DELETE FROM farthing_schema WHERE name = 'later'");
    let lossy = postgres::Books::open(empty).await.unwrap_err().to_string();
    assert!(lossy.contains("synchronous_commit = on"), "{lossy}");
}

async fn tls_is_what_the_url_says(server: &Postgres) {
    let trusted = fresh(server, "tls").await;
    let with = |mode: &str, ca: bool| {
        let mut options = Options { url: format!("{}?sslmode={mode}", trusted.url), ..trusted.clone() };
        options.ca_file = options.ca_file.filter(|_| ca);
        postgres::Books::open(options)
    };
    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        with(mode, true).await.unwrap_or_else(|error| panic!("{mode}: {error}"));
    }
    let both = with("disable", true).await.unwrap_err().to_string();
    assert!(both.contains("a ca_file goes with TLS"), "{both}");
    with("disable", false).await.unwrap();
    for mode in ["prefer", "require", "verify-full"] {
        let untrusted = with(mode, false).await.unwrap_err().to_string();
        assert!(untrusted.contains("ca_file"), "{mode}: {untrusted}");
    }
    // The certificate is for the name, not for the address.
    let address = trusted.url.replace("localhost", "127.0.0.1");
    let misnamed = Options { url: format!("{address}?sslmode=require"), ..trusted.clone() };
    let misnamed = postgres::Books::open(misnamed).await.unwrap_err().to_string();
    assert!(misnamed.contains("certificate"), "{misnamed}");
    let wrong = Options { password: Some("wrong".into()), ..trusted.clone() };
    let wrong = postgres::Books::open(wrong).await.unwrap_err().to_string();
    assert!(wrong.contains("password authentication failed"), "{wrong}");
    assert!(!format!("{trusted:?}").contains(Postgres::PASSWORD));
}

/// Every wait has an end: for a connection, for a statement, for a server that takes connections and says nothing.
async fn waiting_ends(server: &Postgres) {
    let options = fresh(server, "waits").await;
    let brief = Duration::from_millis(300);
    let short = Options { connections_max: 1, wait_timeout: brief, statement_timeout: brief, ..options.clone() };
    let books = open(&short).await;
    let hold = "BEGIN; SELECT * FROM commits FOR UPDATE; SELECT pg_sleep(3600)";
    let (blocker, connection) = {
        let mut config: tokio_postgres::Config = format!("{}?sslmode=disable", options.url).parse().unwrap();
        config.password(Postgres::PASSWORD).connect(tokio_postgres::NoTls).await.unwrap()
    };
    let connection = tokio::spawn(connection);
    let held = tokio::spawn(async move { blocker.batch_execute(hold).await });
    while server.sql("waits", "SELECT count(*) FROM pg_locks WHERE relation = 'commits'::regclass") == "0" {}
    let (late, waited) = tokio::join!(
        books.commit(commit(vec![put("doc", "a", Expect::Any, "1")])),
        books.commit(commit(vec![put("doc", "a", Expect::Any, "1")])),
    );
    let reasons = format!("{} {}", late.unwrap_err(), waited.unwrap_err());
    assert!(reasons.contains("statement timeout"), "{reasons}");
    held.abort();
    connection.abort();
    server.sql("waits", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600)'");
    let again = async {
        while books.commit(commit(vec![put("doc", "a", Expect::Any, "1")])).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("commits go on");
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://farthing@127.0.0.1:{}/farthing", mute.local_addr().unwrap().port());
    let mute = Options { connect_timeout: brief, ..options_without_tls(&url) };
    let unreachable = postgres::Books::open(mute).await.unwrap_err();
    assert!(matches!(unreachable, Error::Unreachable { .. }), "{unreachable}");
}

fn options_without_tls(url: &str) -> Options {
    Options::new(&format!("{url}?sslmode=disable"))
}

/// Writers on several pools commit pairs until the server is killed in the middle; after each restart every acknowledged
/// pair is there once, and no half of any.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill_and_nothing_is_half() {
    const ROUNDS: usize = 3;
    let mut server = Postgres::start();
    let options = fresh(&server, "crash").await;
    let mut acknowledged: BTreeMap<String, bool> = BTreeMap::new();
    let mut unknown = 0;
    let survivor = open(&options).await;
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, mut progress) = tokio::sync::mpsc::unbounded_channel();
        let mut writers = Vec::new();
        for writer in 0..6 {
            let (books, stop, told) = (open(&options).await, Arc::clone(&stop), told.clone());
            writers.push(tokio::spawn(async move {
                let mut answers = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let id = format!("{round}-{writer}-{number:06}");
                    let pair = vec![put("left", &id, Expect::Absent, "1"), put("right", &id, Expect::Absent, "1")];
                    match books.commit(commit(pair)).await {
                        Ok(()) => answers.push((id, true)),
                        Err(BooksError::Unavailable { .. }) => {
                            answers.push((id, false));
                            break;
                        }
                        Err(error) => panic!("{error}"),
                    }
                    let _ = told.send(());
                }
                answers
            }));
        }
        for _ in 0..150 {
            progress.recv().await.unwrap();
        }
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            for (id, is_acknowledged) in writer.await.unwrap() {
                unknown += usize::from(!is_acknowledged);
                acknowledged.insert(id, is_acknowledged);
            }
        }
        server.restart();
        check_pairs(&*survivor, &acknowledged).await;
    }
    assert!(unknown > 0, "no commit was under way when the server was killed");
}

async fn check_pairs(books: &dyn Books, answers: &BTreeMap<String, bool>) {
    let all =
        |collection: &str| ListQuery { collection: collection.into(), count_max: 1 << 20, ..ListQuery::default() };
    let ids = async |collection: &str| {
        let found = books.list(&all(collection)).await.unwrap();
        assert!(found.iter().all(|document| document.revision == 1));
        found.into_iter().map(|document| document.key.id).collect::<Vec<_>>()
    };
    let (left, right) = (ids("left").await, ids("right").await);
    assert_eq!(left, right, "half of a commit");
    for (id, is_acknowledged) in answers {
        assert!(!is_acknowledged || left.binary_search(id).is_ok(), "{id} was acknowledged and is lost");
    }
    assert!(left.iter().all(|id| answers.contains_key(id)), "a document that nobody wrote");
    let entries = books.audit(&AuditQuery::all(None, 0, 1 << 20)).await.unwrap();
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.number).collect();
    let expected: Vec<u64> = (1..=u64::try_from(left.len() * 2).unwrap()).collect();
    assert_eq!(numbers, expected, "each change stands in the audit log once");
    assert_eq!(books.revision().await.unwrap(), u64::try_from(left.len()).unwrap());
}
