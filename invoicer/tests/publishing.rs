//! The one writer of Ticks and control records, the outbox, what the test clock does when things go wrong, and who may do
//! what.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that cannot go on fails.

mod support;

use async_trait::async_trait;
use bytes::Bytes;
use invoicer::Invoicer;
use invoicer::close::Closer;
use invoicer::ledger::{Draft, Filter, Ledger, LogIdentity, Outbox, Tenant};
use invoicer::publisher::{self, Announcement, Target};
use proto::v1;
use proto::v1::admin_service_server::AdminService as _;
use proto::v1::catalog_service_server::CatalogService as _;
use proto::v1::invoice_service_server::InvoiceService;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::books::{Commit, DocumentKey, Expect, Put};
use storage::log::{Entry, Error, Log};
use storage::record::{Control, Record, decode};
use storage::shard::{Offset, Shard, ShardCount};
use storage::sim::World;
use storage::sim::faults::Chances;
use support::{CATALOG, Halts, System, acme, apply, at, call, options, parts};
use tonic::Code;

const MORE: &str = r"
apiVersion: farthing/v1
tenant: acme
subscriptions:
  - {id: s-2, customer: c-2, plan: payg, from: 2026-01-01, until: 2026-03-01}
";

/// A log of which some shards take nothing.
struct Gate {
    log: Arc<dyn Log>,
    shut: Mutex<BTreeSet<Shard>>,
}

impl Gate {
    fn new(world: &World) -> Arc<Self> {
        Arc::new(Self { log: world.log.clone(), shut: Mutex::default() })
    }

    /// From now on just these take nothing.
    fn shut(&self, shards: impl IntoIterator<Item = Shard>) {
        *self.shut.lock().unwrap() = shards.into_iter().collect();
    }
}

#[async_trait]
impl Log for Gate {
    fn shards(&self) -> ShardCount {
        self.log.shards()
    }

    async fn append(&self, shard: Shard, records: Vec<Bytes>) -> Result<Offset, Error> {
        if self.shut.lock().unwrap().contains(&shard) {
            return Err(Error::Unavailable { reason: "shut by the test".to_owned() });
        }
        self.log.append(shard, records).await
    }

    async fn read(&self, shard: Shard, from: Offset, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        self.log.read(shard, from, bytes_max).await
    }

    async fn bounds(&self, shard: Shard) -> Result<Range<Offset>, Error> {
        self.log.bounds(shard).await
    }
}

/// The control records of a shard.
async fn controls_of(world: &World, shard: Shard) -> Vec<Control> {
    let end = world.log.bounds(shard).await.unwrap().end;
    let entries = world.log.read(shard, Offset(0), 1 << 30).await.unwrap();
    let records = entries.iter().filter(|entry| entry.offset < end).map(|entry| match decode(&entry.record).unwrap() {
        Record::Control(control) => *control,
        Record::Events(_) => panic!("nobody sends events here"),
    });
    records.collect()
}

/// All control records of a world but Ticks, by shard.
async fn controls(world: &World) -> Vec<Control> {
    let mut found = Vec::new();
    for shard in world.log.shards().all() {
        let records = controls_of(world, shard).await.into_iter();
        found.extend(records.filter(|control| !matches!(control, Control::Tick { .. })));
    }
    found
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_left_in_the_outbox_is_published_first() {
    let world = World::new(ShardCount::new(2).unwrap());
    let gate = Gate::new(&world);
    let shards = Arc::new(Halts::default());
    let start = || async {
        let parts = invoicer::Parts { log: gate.clone(), ..parts(&world, &shards) };
        Invoicer::start(parts, options("2026-01-01T00:00:00Z")).await.unwrap()
    };
    let invoicer = start().await;
    gate.shut(world.log.shards().all());
    let generation = invoicer.publisher().generation();
    let waits = apply(&invoicer, CATALOG).await.unwrap_err();
    assert_eq!(waits.code(), Code::Unavailable, "apply says done only once the log has it: {waits}");
    assert!(invoicer.publisher().generation() > generation, "but it is in force, and caches must know");
    let ledger = invoicer::ledger::Ledger::new(world.books.clone());
    assert!(!ledger.all::<Outbox>(None, &Filter::default()).await.unwrap().is_empty());
    drop(invoicer);

    gate.shut([]);
    let invoicer = start().await;
    assert!(ledger.all::<Outbox>(None, &Filter::default()).await.unwrap().is_empty());
    let found = controls(&world).await;
    let catalogs = found.iter().filter(|control| matches!(control, Control::Catalog(_))).count();
    let customers =
        found.iter().filter(|control| matches!(control, Control::Customer(one) if one.version == 1)).count();
    assert_eq!((catalogs, customers), (2, 2), "a catalog on each shard, each customer on its own: {found:?}");
    let again = apply(&invoicer, CATALOG).await.unwrap();
    assert_eq!(again.changes, Vec::new(), "the same file again changes nothing");
    assert_eq!(controls(&world).await.len(), found.len());
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_takes_nothing_holds_up_no_other() {
    let world = World::new(ShardCount::new(2).unwrap());
    let gate = Gate::new(&world);
    let wall = at("2026-01-01T00:00:00Z");
    let clock = publisher::Options::new("test", Arc::new(move || wall), [7; 16]);
    let parts = invoicer::Parts { log: gate.clone(), ..parts(&world, &Arc::new(Halts::default())) };
    let invoicer = Invoicer::start(parts, clock).await.unwrap();
    let running = tokio::spawn({
        let invoicer = invoicer.clone();
        async move { invoicer.publisher().run().await }
    });
    gate.shut([Shard(0)]);
    let before = tokio::time::Instant::now();
    let waits = apply(&invoicer, CATALOG).await.unwrap_err();
    assert_eq!((waits.code(), before.elapsed().as_secs()), (Code::Unavailable, 30), "{waits}");
    assert!(waits.message().contains("shard 0") && waits.message().contains("shut by the test"), "{waits}");
    let retry = tonic_types::StatusExt::get_details_retry_info(&waits);
    assert!(retry.is_some_and(|info| info.retry_delay.is_some()), "callers are told when to ask again");
    let last = |controls: Vec<Control>| match controls.last() {
        Some(Control::Tick { time }) => *time,
        other => panic!("{other:?}"),
    };
    let time = last(controls_of(&world, Shard(1)).await);
    assert!(time >= at("2026-01-01T00:00:29Z"), "the other shard's log time goes on: {time}");
    let refused = apply(&invoicer, &CATALOG.replace("0.01", "0.02")).await.unwrap_err();
    assert!(refused.message().contains("nothing was changed"), "what stands is not added to: {refused}");
    apply(&invoicer, MORE).await.unwrap();
    assert_eq!(before.elapsed().as_secs(), 30, "nobody waits for it, and what concerns the other shard goes on");
    assert!(matches!(controls_of(&world, Shard(0)).await[..], [Control::Open { .. }, Control::Tick { .. }, ..]));

    gate.shut([]);
    let done = apply(&invoicer, MORE).await.unwrap();
    assert_eq!(done.changes, Vec::new(), "it was in force already; now the log has it, too");
    running.abort();
    let mut log_time = pricing::time::Instant::MIN;
    let mut versions = Vec::new();
    for control in controls_of(&world, Shard(0)).await {
        match control {
            Control::Tick { time } => {
                assert!(time >= log_time, "log time never goes back");
                log_time = time;
            }
            Control::Catalog(record) => versions.push(("catalog".to_owned(), record.version)),
            Control::Customer(record) => {
                assert_eq!(record.at, log_time, "a record stands at the log time that it names");
                versions.push((record.customer.to_string(), record.version));
            }
            _ => {}
        }
    }
    assert_eq!(versions.first(), Some(&("catalog".to_owned(), 1)), "the catalog stands before who builds on it");
    assert!(versions.iter().all(|(_, version)| *version == 1), "{versions:?}");
}

#[tokio::test(start_paused = true)]
async fn what_no_log_takes_is_not_committed() {
    let system = System::running().await;
    let ledger = system.ledger();
    let found = controls(&system.world).await.len();
    let publisher = system.invoicer.publisher();
    let mut turn = publisher.turn().await.unwrap();
    let mut draft = Draft::new("test", "apply", turn.log_time());
    draft.put(None, "late", None, &Tenant::default()).unwrap();
    let record = Control::Skip { offset: Offset(9), reason: "x".repeat(17 << 20) };
    let refused = turn.publish(draft, &[Announcement { shards: Target::All, record }]).await.err().unwrap();
    assert!(matches!(refused, publisher::Error::TooLarge { .. }), "{refused}");
    drop(turn);
    assert!(ledger.get::<Tenant>(None, "late").await.unwrap().is_none());
    // Large ones are cut apart: each entry, and each append, stays small.
    let record = |number: u64| Control::Skip { offset: Offset(number), reason: "x".repeat(700 << 10) };
    let large: Vec<_> = (0..8).map(|number| Announcement { shards: Target::All, record: record(number) }).collect();
    let mut turn = publisher.turn().await.unwrap();
    let draft = Draft::new("test", "apply", turn.log_time());
    let receipt = turn.publish(draft, &large).await.unwrap();
    assert_eq!(ledger.all::<Outbox>(None, &Filter::default()).await.unwrap().len(), 8);
    drop(turn);
    receipt.durable().await.unwrap();
    assert_eq!(controls(&system.world).await.len(), found + 16, "all of them, on both shards");
}

#[tokio::test(start_paused = true)]
async fn a_waiver_on_its_way_holds_up_no_bill() {
    let world = World::new(ShardCount::new(2).unwrap());
    let gate = Gate::new(&world);
    let parts = invoicer::Parts { log: gate.clone(), ..parts(&world, &Arc::default()) };
    let invoicer = Invoicer::start(parts, options("2026-01-01T00:00:00Z")).await.unwrap();
    let mut system = System::around(world.clone(), invoicer);
    system.apply(CATALOG).await.unwrap();
    system.send_as("mystery", "c-1", "2026-01-12T00:00:00Z", "1").await;
    system.advance("2026-02-01T05:00:00Z").await.unwrap();
    gate.shut(world.log.shards().all());
    let asked = tokio::time::Instant::now();
    let passed = async {
        // The waiver waits for the log by now.
        let ledger = system.ledger();
        while ledger.all::<Outbox>(None, &Filter::default()).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        system.invoicer.closer().pass().await.unwrap();
        asked.elapsed()
    };
    let (waived, passed) = tokio::join!(system.waive("c-1/USD/2026-02-01T00:00:00Z"), passed);
    assert_eq!(waived.unwrap_err().code(), Code::Unavailable);
    assert!(passed < Duration::from_secs(1), "{passed:?}");
    gate.shut([]);
    system.advance("2026-02-05T00:00:00Z").await.unwrap();
    assert!(system.summary().await.contains(&"c-1/USD/2026-02-01T00:00:00Z skipped 0.00".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn lost_answers_and_refusals_change_nothing_in_the_end() {
    let (mut refused, mut answer_lost) = (0, 0);
    for seed in 0..20 {
        let world = World::with_faults(ShardCount::new(2).unwrap(), seed, Chances::default());
        let mut system = System::over(world, "2026-01-01T00:00:00Z").await;
        system.apply(CATALOG).await.unwrap();
        for day in 1..=5 {
            system.send("c-1", &format!("2026-01-{day:02}T00:00:00Z"), "250").await;
            system.send("c-2", &format!("2026-02-{day:02}T00:00:00Z"), "100").await;
        }
        let chances = Chances { refused: 60, answer_lost: 60, ..Chances::default() };
        system.world.faults.set(chances);
        let mut calls = 0;
        while system.apply(MORE).await.is_err() || system.advance("2026-03-05T00:00:00Z").await.is_err() {
            calls += 1;
            assert!(calls < 500, "seed {seed} never comes to an end");
        }
        system.world.faults.heal();
        system.advance("2026-03-05T00:00:01Z").await.unwrap();
        let seen = system.world.faults.seen();
        (refused, answer_lost) = (refused + seen.refused, answer_lost + seen.answer_lost);
        let expected = [
            "c-1/USD/2026-02-01T00:00:00Z issued 12.50",
            "c-1/USD/2026-03-01T00:00:00Z skipped 0.00",
            "c-2/USD/2026-02-01T00:00:00Z skipped 0.00",
            "c-2/USD/2026-03-01T00:00:00Z issued 5.00",
        ];
        assert_eq!(system.summary().await, expected, "seed {seed}");
        assert_eq!(system.check().await.findings, Vec::<String>::new(), "seed {seed}");
    }
    assert!(refused > 20 && answer_lost > 20, "{refused} refused, {answer_lost} answers lost");
}

#[tokio::test(start_paused = true)]
async fn two_closers_at_once_leave_no_gap() {
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    let customers: Vec<String> = (1..=30).map(|number| format!("{{id: k-{number}}}")).collect();
    let subscriptions: Vec<String> = (1..=30)
        .map(|number| format!("  - {{id: u-{number}, customer: k-{number}, plan: payg, from: 2026-01-01}}"))
        .collect();
    let head = CATALOG.split("customers:").next().unwrap();
    let file = format!("{head}customers: [{}]\nsubscriptions:\n{}\n", customers.join(", "), subscriptions.join("\n"));
    system.apply(&file).await.unwrap();
    for number in 1..=30 {
        system.send(&format!("k-{number}"), "2026-01-10T00:00:00Z", "100").await;
    }
    system.advance("2026-02-01T02:00:00Z").await.unwrap();
    let publisher = system.invoicer.publisher();
    let other = Closer::new(system.ledger(), system.world.charges.clone(), Arc::clone(publisher));
    other.pass().await.unwrap();
    let receipt = publisher.turn().await.unwrap().tick(at("2026-02-03T00:00:00Z")).await.unwrap();
    receipt.durable().await.unwrap();
    system.caught_up(at("2026-02-03T00:00:00Z")).await;
    let (one, two) = tokio::join!(system.invoicer.closer().pass(), other.pass());
    one.unwrap();
    two.unwrap();
    let numbers: Vec<u64> = system.invoices().await.iter().map(|invoice| invoice.value.sequence).collect();
    assert_eq!(numbers, (1..=30).collect::<Vec<u64>>());
    assert_eq!(system.check().await.findings, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_halted_shard_stops_the_clock_with_its_reason() {
    let system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(CATALOG).await.unwrap();
    *system.shards.0.lock().unwrap() = Some("offset 7 is damaged".to_owned());
    let refused = system.advance("2026-02-03T00:00:00Z").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("shard 0 halted: offset 7 is damaged"), "{refused}");
    *system.shards.0.lock().unwrap() = None;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    let back = system.advance("2026-02-02T00:00:00Z").await.unwrap_err();
    assert!(back.message().contains("never goes back"), "{back}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_wants_a_persons_word() {
    let world = World::new(ShardCount::new(1).unwrap());
    let shards = Arc::new(Halts::default());
    let real = |now: &str, allow_jump| {
        let now = at(now);
        let mut options = publisher::Options::new("test", Arc::new(move || now), [7; 16]);
        options.allow_jump = allow_jump;
        Invoicer::start(parts(&world, &shards), options)
    };
    let first = real("2026-01-01T00:00:00Z", false).await.unwrap();
    assert_eq!(first.publisher().log_time(), at("2026-01-01T00:00:00Z"));
    let jumped = real("2026-01-09T00:00:00Z", false).await.unwrap_err();
    assert!(matches!(jumped, publisher::Error::Jump { .. }), "{jumped}");
    let allowed = real("2026-01-09T00:00:00Z", true).await.unwrap();
    assert_eq!(allowed.publisher().log_time(), at("2026-01-09T00:00:00Z"));
    let behind = real("2026-01-08T00:00:00Z", false).await.unwrap();
    assert_eq!(behind.publisher().log_time(), at("2026-01-09T00:00:00Z"), "log time never goes back");
    let test = Invoicer::start(parts(&world, &shards), options("2026-01-01T00:00:00Z")).await.unwrap_err();
    assert!(matches!(test, publisher::Error::IsReal), "{test}");
}

#[tokio::test(start_paused = true)]
async fn books_go_with_their_own_log_only() {
    let (world, other) = (World::new(ShardCount::new(2).unwrap()), World::new(ShardCount::new(2).unwrap()));
    let shards = Arc::new(Halts::default());
    let start = |world: &World, books: &World, key: u8| {
        let parts = invoicer::Parts { books: books.books.clone(), ..parts(world, &shards) };
        Invoicer::start(parts, publisher::Options { log_key: [key; 16], ..options("2026-01-01T00:00:00Z") })
    };
    drop(start(&world, &world, 7).await.unwrap());
    drop(start(&other, &other, 8).await.unwrap());
    let refused = start(&other, &world, 7).await.unwrap_err();
    assert!(matches!(refused, publisher::Error::OtherLog { shard: Shard(0) }), "{refused}");
    drop(start(&world, &world, 9).await.unwrap());
    // Books that were lost do not begin anew: numbers would be given out twice, and log time would go back.
    let empty = World::new(ShardCount::new(2).unwrap());
    let refused = start(&world, &empty, 7).await.unwrap_err();
    assert!(matches!(refused, publisher::Error::BooksLost { .. }), "{refused}");
}

/// Makes it so that another build began the log.
async fn begun_with(ledger: &Ledger, record_version: u8) {
    let begun = ledger.get::<LogIdentity>(None, LogIdentity::ID).await.unwrap().unwrap();
    let mut draft = Draft::new("test", "begin", at("2026-01-01T00:00:00Z"));
    draft.put(None, LogIdentity::ID, Some(begun.revision), &LogIdentity { record_version, ..begun.value }).unwrap();
    ledger.commit(draft).await.unwrap();
}

/// Of all shards the Barriers, and what was seen by who waived.
async fn waivers(world: &World) -> (usize, Vec<Option<Offset>>) {
    let (mut barriers, mut seen) = (0, Vec::new());
    for shard in world.log.shards().all() {
        for entry in world.log.read(shard, Offset(0), 1 << 30).await.unwrap() {
            let Record::Control(control) = decode(&entry.record).unwrap() else { continue };
            match *control {
                Control::Barrier { version: 2 } => barriers += 1,
                Control::Waive { seen: what, .. } => seen.push(what),
                _ => {}
            }
        }
    }
    (barriers, seen)
}

#[tokio::test(start_paused = true)]
async fn newer_records_wait_for_the_word_that_every_rater_knows_them() {
    let mut system = System::running().await;
    let (ledger, log, bill) = (system.ledger(), system.world.log.clone(), "c-1/USD/2026-02-01T00:00:00Z");
    assert_eq!(publisher::record_version(&ledger).await.unwrap(), Some(2), "a new log begins with the newest");
    begun_with(&ledger, 1).await;
    system.send_as("mystery", "c-1", "2026-01-12T00:00:00Z", "1").await;
    system.advance("2026-02-01T05:00:00Z").await.unwrap();
    system.waive(bill).await.unwrap();
    assert_eq!(waivers(&system.world).await, (0, vec![None]));
    let waive = |seen| {
        let (customer, from, until) = ("c-1".parse().unwrap(), at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"));
        let record = Control::Waive { tenant: acme(), customer, from, until, reason: "x".to_owned(), seen };
        [Announcement { shards: Target::All, record }]
    };
    let publisher = system.invoicer.publisher();
    let draft = || Draft::new("test", "waive", at("2026-02-01T05:00:00Z"));
    let refused = publisher.turn().await.unwrap().publish(draft(), &waive(Some(Offset(1)))).await.err().unwrap();
    assert!(matches!(refused, publisher::Error::NotAllowed { needed: 2, allowed: 1 }), "{refused}");

    for _ in 0..2 {
        publisher::allow_records(&ledger, &*log, 2).await.unwrap();
    }
    let unknown = publisher::allow_records(&ledger, &*log, 3).await.unwrap_err();
    assert!(matches!(unknown, publisher::Error::RecordVersion { needed: 3, newest: 2 }), "{unknown}");
    system.send_as("mystery", "c-1", "2026-01-13T00:00:00Z", "1").await;
    system.advance("2026-02-01T07:00:00Z").await.unwrap();
    system.waive(bill).await.unwrap();
    let (barriers, seen) = waivers(&system.world).await;
    assert!(matches!((barriers, &seen[..]), (2, [None, Some(_)])), "{seen:?}");
    begun_with(&ledger, 3).await;
    let older = Invoicer::start(parts(&system.world, &Arc::default()), options("2026-01-01T00:00:00Z")).await;
    assert!(matches!(older.unwrap_err(), publisher::Error::RecordVersion { needed: 3, newest: 2 }));
}

#[tokio::test(start_paused = true)]
async fn who_rates_all_shards_itself_needs_no_word() {
    let world = World::new(ShardCount::new(2).unwrap());
    let start = |rates_all| {
        let options = publisher::Options { rates_all, ..options("2026-01-01T00:00:00Z") };
        Invoicer::start(parts(&world, &Arc::default()), options)
    };
    drop(start(true).await.unwrap());
    let ledger = Ledger::new(world.books.clone());
    begun_with(&ledger, 1).await;
    drop(start(false).await.unwrap());
    assert_eq!((publisher::record_version(&ledger).await.unwrap(), waivers(&world).await.0), (Some(1), 0));
    drop(start(true).await.unwrap());
    assert_eq!((publisher::record_version(&ledger).await.unwrap(), waivers(&world).await.0), (Some(2), 2));
}

#[tokio::test(start_paused = true)]
async fn log_time_follows_the_monotonic_clock() {
    let world = World::new(ShardCount::new(2).unwrap());
    let wall = at("2026-01-01T00:00:00Z");
    let options = publisher::Options::new("test", Arc::new(move || wall), [7; 16]);
    let invoicer = Invoicer::start(parts(&world, &Arc::new(Halts::default())), options).await.unwrap();
    let running = tokio::spawn({
        let invoicer = invoicer.clone();
        async move { invoicer.run().await }
    });
    let mut log_time = invoicer.publisher().watch();
    let later = at("2026-01-01T00:00:10Z");
    tokio::time::timeout(Duration::from_secs(60), log_time.wait_for(|time| *time >= later)).await.unwrap().unwrap();
    running.abort();
    let _ = running.await;
}

#[tokio::test(start_paused = true)]
async fn keys_do_what_their_scope_and_tenant_allow() {
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(CATALOG).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-01T02:00:00Z").await.unwrap();
    let services = system.invoicer.services();
    let bill = || v1::GetInvoiceRequest { id: "c-1/USD/2026-02-01T00:00:00Z".to_owned() };
    let issue = v1::IssueRequest { id: bill().id, ..Default::default() };
    assert_eq!(services.issue(call("acme-read", issue)).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(InvoiceService::get(services, call("nobody", bill())).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(InvoiceService::get(services, call("other-admin", bill())).await.unwrap_err().code(), Code::NotFound);
    let foreign = v1::ApplyRequest { file: CATALOG.to_owned(), ..Default::default() };
    assert_eq!(services.apply(call("other-admin", foreign)).await.unwrap_err().code(), Code::PermissionDenied);
    let status = |key: &'static str| services.status(call(key, v1::StatusRequest {}));
    let foreign = status("other-admin").await.unwrap_err();
    assert_eq!(foreign.code(), Code::PermissionDenied, "what all tenants share is the installation's: {foreign}");
    assert_eq!(status("root").await.unwrap().into_inner().shards.len(), 2);
    let check = |key: &'static str| services.check(call(key, v1::CheckRequest { id: String::new() }));
    assert_eq!(check("acme-read").await.unwrap().into_inner().records, 0, "nor is the log a tenant's");
    assert!(check("root").await.unwrap().into_inner().records > 4);
    let second = "apiVersion: farthing/v1\ntenant: other\ncustomers: [{id: c-1}]\n";
    system.apply(second).await.unwrap();
    let unnamed = InvoiceService::get(services, call("root", bill())).await.unwrap_err();
    assert_eq!(unnamed.code(), Code::InvalidArgument, "two tenants, none named: {unnamed}");
    let mut named = call("root", bill());
    named.metadata_mut().insert("farthing-tenant", "acme".parse().unwrap());
    assert_eq!(InvoiceService::get(services, named).await.unwrap().into_inner().summary.unwrap().total, "2.50");
}

#[tokio::test(start_paused = true)]
async fn check_names_what_is_damaged() {
    let mut system = System::new("2026-01-01T00:00:00Z").await;
    system.apply(CATALOG).await.unwrap();
    system.send("c-1", "2026-01-10T00:00:00Z", "250").await;
    system.advance("2026-02-03T00:00:00Z").await.unwrap();
    let invoice = system.invoices().await.remove(0);
    let key = DocumentKey { tenant: Some(acme()), collection: "invoice".to_owned(), id: invoice.id.clone() };
    let mut forged = invoice.value.clone();
    forged.canonical = forged.canonical.replace("2.50", "1.50");
    let body = Some(serde_json::to_string(&forged).unwrap());
    let put = Put { key, expect: Expect::Any, body, tags: Vec::new(), audited: true };
    storage::books::Books::commit(system.world.books.as_ref(), Commit { puts: vec![put], ..Commit::default() })
        .await
        .unwrap();
    system.world.log.damage(Shard(1), Offset(2));
    let findings = system.check().await.findings;
    let has = |text: &str| findings.iter().any(|finding| finding.contains(text));
    assert!(has("shard 1 offset 2"), "{findings:?}");
    assert!(has("its bytes are not those that were issued"), "{findings:?}");
    assert!(has("it is another document"), "{findings:?}");
}
