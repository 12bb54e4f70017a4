//! The log on real Kafka brokers: the conformance suite, topics that are refused, brokers that are killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use servers::Kafka;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use storage::conformance::log::{read_all, record, suite};
use storage::kafka::{Log, OpenError, Options, RETENTION, check, migrate};
use storage::log::{Error, Log as _};
use storage::shard::{Offset, Shard, ShardCount};

const SHARD: Shard = Shard(0);

/// A topic that nobody else uses.
fn options(kafka: &Kafka, shards: u16, replication: u16) -> Options {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let topic = format!("farthing-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    Options { replication, ..Options::new(kafka.bootstrap(), topic, ShardCount::new(shards).unwrap()) }
}

async fn made(options: Options) -> Log {
    migrate(&options, RETENTION).await.unwrap();
    Log::open(options).await.unwrap()
}

/// Numbered records, appended by several at once without a pause until told to stop.
struct Writers {
    tasks: Vec<tokio::task::JoinHandle<Vec<(Offset, u32)>>>,
    acknowledged: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Writers {
    fn start(log: &Arc<Log>, count: u32) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (acknowledged, failed) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let numbers = Arc::<AtomicU32>::default();
        let write = |_| {
            let (log, stopped, numbers) = (Arc::clone(log), stopped.clone(), Arc::clone(&numbers));
            let (acknowledged, failed) = (Arc::clone(&acknowledged), Arc::clone(&failed));
            tokio::spawn(async move {
                let mut stand = Vec::new();
                while !*stopped.borrow() {
                    let first = numbers.fetch_add(2, Ordering::Relaxed);
                    match log.append(SHARD, vec![record(first, 200), record(first + 1, 3000)]).await {
                        Ok(offset) => {
                            stand.extend([(offset, first), (offset.next(), first + 1)]);
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(Error::Unavailable { .. } | Error::Unknown { .. }) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            tokio::task::yield_now().await;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                stand
            })
        };
        let tasks = (0..count).map(write).collect();
        Self { tasks, acknowledged, failed, stop }
    }

    /// Waits for so many more acknowledgements.
    async fn progress(&self, more: u64) {
        let until = self.acknowledged.load(Ordering::Relaxed) + more;
        wait_for("acknowledgements", || self.acknowledged.load(Ordering::Relaxed) >= until).await;
    }

    /// Stops, and checks that everything acknowledged stands where it was said to, with no gap. Gives the records read.
    async fn check(self, log: &Log) -> usize {
        self.stop.send(true).unwrap();
        let entries = read_all(log, SHARD).await;
        let mut count = 0;
        for task in self.tasks {
            for (offset, number) in task.await.unwrap() {
                let at = usize::try_from(offset.0).unwrap();
                // What was acknowledged since has to be read as well.
                let found = match entries.get(at) {
                    Some(entry) => entry.clone(),
                    None => log.read(SHARD, offset, 1).await.unwrap().remove(0),
                };
                assert_eq!(found.offset, offset, "offsets are consecutive");
                assert_eq!(found.record, record(number, if number.is_multiple_of(2) { 200 } else { 3000 }));
                count += 1;
            }
        }
        assert!(entries.iter().zip(0..).all(|(entry, offset)| entry.offset == Offset(offset)));
        count
    }
}

async fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// Reads from the first record on to `end` or a little further, whatever happens to the broker.
fn follow(log: &Arc<Log>, end: Offset) -> tokio::task::JoinHandle<()> {
    let log = Arc::clone(log);
    tokio::spawn(async move {
        let mut from = Offset(0);
        while from < end {
            match log.read(SHARD, from, 100_000).await {
                Ok(entries) => {
                    for entry in entries {
                        assert_eq!(entry.offset, from, "a reader's offsets go up by one");
                        from = from.next();
                    }
                }
                Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broker() {
    let mut kafka = Kafka::start(1);
    conformance(&kafka).await;
    wrong_topics_are_refused(&kafka).await;
    readers_do_not_disturb_each_other(&kafka).await;
    throughput(&kafka).await;
    a_killed_broker_loses_nothing(&mut kafka).await;
    damage_is_found_and_passed(&mut kafka).await;
    without_a_broker_nothing_is_acknowledged(&mut kafka).await;
}

async fn conformance(kafka: &Kafka) {
    let current = std::cell::RefCell::new(options(kafka, 2, 1));
    let fresh = async || {
        let options = options(kafka, 2, 1);
        current.replace(options.clone());
        Arc::new(made(options).await) as Arc<dyn storage::log::Log>
    };
    let reopen = async |log: Arc<dyn storage::log::Log>| {
        drop(log);
        let options = current.borrow().clone();
        Arc::new(Log::open(options).await.unwrap()) as Arc<dyn storage::log::Log>
    };
    suite(fresh, reopen).await;
}

async fn wrong_topics_are_refused(kafka: &Kafka) {
    let right = options(kafka, 3, 1);
    let missing = Log::open(right.clone()).await.unwrap_err();
    assert!(matches!(missing, OpenError::Missing { .. }), "{missing}");
    migrate(&right, RETENTION).await.unwrap();
    migrate(&right, RETENTION).await.unwrap();
    let shards = check(&Options { shards: ShardCount::new(4).unwrap(), ..right.clone() }).await.unwrap_err();
    assert!(matches!(shards, OpenError::Shards { found: 3, wanted: 4, .. }), "{shards}");
    let replicas = check(&Options { replication: 3, ..right.clone() }).await.unwrap_err();
    assert!(matches!(replicas, OpenError::Replication { found: 1, wanted: 3, .. }), "{replicas}");
    let too_many = migrate(&options(kafka, 1, 3), RETENTION).await.unwrap_err();
    assert!(matches!(too_many, OpenError::NotMade { .. }), "{too_many}");
    let longer = check(&Options { retention_min: RETENTION * 2, ..right.clone() }).await.unwrap_err();
    assert!(longer.to_string().contains("--add-config retention.ms="), "{longer}");

    let client: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create().unwrap();
    let good =
        [("flush.messages", "1"), ("max.message.bytes", "20000000"), ("message.timestamp.type", "LogAppendTime")];
    let wrong = [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact,delete"),
        ("message.timestamp.type", "CreateTime"),
        ("max.message.bytes", "1048588"),
        ("retention.ms", "86400000"),
        ("retention.bytes", "1000000000"),
        ("flush.messages", "2"),
    ];
    for (name, value) in wrong {
        let mut alter = AlterConfig::new(ResourceSpecifier::Topic(&right.topic));
        for (other, good) in good.into_iter().filter(|(other, _)| *other != name) {
            alter = alter.set(other, good);
        }
        client.alter_configs([&alter.set(name, value)], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
        let refused = Log::open(right.clone()).await.unwrap_err();
        let said = refused.to_string();
        let found = matches!(&refused, OpenError::Setting { name: found, .. } if *found == name);
        assert!(found && said.contains(&format!("{name}={value}")) && said.contains("kafka-configs.sh"), "{said}");
        let given_up = check(&Options { durability_given_up: true, ..right.clone() }).await;
        assert_eq!(given_up.is_ok(), name == "flush.messages", "{name}");
    }
}

/// Two at one shard and one at another, each from its own place, get all there is, each in its order.
async fn readers_do_not_disturb_each_other(kafka: &Kafka) {
    let log = Arc::new(made(options(kafka, 2, 1)).await);
    let records: Vec<Bytes> = (0..400).map(|number| record(number, 500)).collect();
    log.append(SHARD, records[..200].to_vec()).await.unwrap();
    log.append(Shard(1), records.clone()).await.unwrap();
    let read = |shard: Shard, from: u64, to: u64, bytes: usize| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut from = Offset(from);
            while from < Offset(to) {
                for entry in log.read(shard, from, bytes).await.unwrap() {
                    assert_eq!((entry.offset, &entry.record[..4]), (from, &from.0.to_le_bytes()[..4]));
                    from = from.next();
                }
            }
        })
    };
    // The first waits at the end of the shard; the second begins meanwhile, at its start.
    let readers = [read(SHARD, 200, 400, 5000), read(SHARD, 0, 200, 50_000), read(Shard(1), 0, 400, 3000)];
    let [waiting, first, other] = readers;
    first.await.unwrap();
    other.await.unwrap();
    log.append(SHARD, records[200..].to_vec()).await.unwrap();
    waiting.await.unwrap();
}

/// Not held to a figure here: machines differ. It is printed for whoever wants to know.
async fn throughput(kafka: &Kafka) {
    const RECORDS: usize = 4000;
    for (shards, durability_given_up) in [(1, false), (8, false), (8, true)] {
        let log = Arc::new(made(Options { durability_given_up, ..options(kafka, shards, 1) }).await);
        let started = Instant::now();
        let mut appends = tokio::task::JoinSet::new();
        let mut slowest = Duration::ZERO;
        for number in 0..RECORDS {
            if appends.len() >= 256 {
                slowest = slowest.max(appends.join_next().await.unwrap().unwrap());
            }
            let log = Arc::clone(&log);
            let shard = Shard(u16::try_from(number).unwrap() % shards);
            appends.spawn(async move {
                let asked = Instant::now();
                let text = format!("{number:08}").repeat(2048);
                log.append(shard, vec![Bytes::from(text)]).await.unwrap();
                asked.elapsed()
            });
        }
        while let Some(took) = appends.join_next().await {
            slowest = slowest.max(took.unwrap());
        }
        let wrote = started.elapsed();
        let started = Instant::now();
        for shard in log.shards().all() {
            read_all(&*log, shard).await;
        }
        eprintln!(
            "{shards} shards, flush given up {durability_given_up}: {RECORDS} records of 16 KiB appended in {wrote:?} \
             (slowest {slowest:?}), read in {:?}",
            started.elapsed()
        );
    }
}

async fn a_killed_broker_loses_nothing(kafka: &mut Kafka) {
    let log = Arc::new(made(options(kafka, 1, 1)).await);
    let writers = Writers::start(&log, 8);
    let reader = follow(&log, Offset(3000));
    for _ in 0..2 {
        writers.progress(300).await;
        kafka.kill(1);
        kafka.restart(1);
    }
    writers.progress(1000).await;
    reader.await.unwrap();
    assert!(writers.check(&log).await >= 3200);
}

async fn damage_is_found_and_passed(kafka: &mut Kafka) {
    let options = options(kafka, 1, 1);
    let log = made(options.clone()).await;
    // Each its own batch: one is answered before the next is sent.
    for number in 0..3 {
        log.append(SHARD, vec![record(number, 1000)]).await.unwrap();
    }
    kafka.stop(1);
    let segment = kafka.data(1).join(format!("{}-0", options.topic)).join("00000000000000000000.log");
    let bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(100).position(|window| window == [1; 100]).unwrap();
    let file = std::fs::File::options().write(true).open(segment).unwrap();
    file.write_all_at(&[2], u64::try_from(at).unwrap()).unwrap();
    kafka.restart(1);
    // Both a reader that was there before and a new one.
    for log in [log, Log::open(options).await.unwrap()] {
        assert_eq!(log.read(SHARD, Offset(0), 1_000_000).await.unwrap().len(), 1);
        for _ in 0..2 {
            let damaged = log.read(SHARD, Offset(1), 100).await.unwrap_err();
            assert!(matches!(damaged, Error::Damaged { shard: SHARD, offset: Offset(1), .. }), "{damaged}");
        }
        assert_eq!(log.read(SHARD, Offset(2), 100).await.unwrap()[0].record, record(2, 1000));
    }
}

async fn without_a_broker_nothing_is_acknowledged(kafka: &mut Kafka) {
    let short = Duration::from_secs(3);
    let options = Options { delivery: short, request: short, queued_bytes_max: 100_000, ..options(kafka, 1, 1) };
    let log = Arc::new(made(options.clone()).await);
    log.append(SHARD, vec![record(0, 100)]).await.unwrap();
    kafka.kill(1);
    let started = Instant::now();
    let lost = log.append(SHARD, vec![record(1, 100)]).await.unwrap_err();
    assert!(matches!(lost, Error::Unknown { .. }), "{lost}");
    // From now on it is known that nobody is there, but for one append that finds out.
    let probe = log.append(SHARD, vec![record(2, 100)]);
    let refused = async {
        loop {
            match log.append(SHARD, vec![record(3, 100)]).await {
                Err(Error::Unavailable { reason }) => break reason,
                Err(Error::Unknown { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let (probe, refused) = tokio::join!(probe, refused);
    assert!(matches!(probe, Err(Error::Unknown { .. })) && refused.contains("no Kafka broker"), "{probe:?} {refused}");
    assert!(matches!(log.bounds(SHARD).await, Err(Error::Unavailable { .. })));
    let unreachable = Log::open(options).await.unwrap_err();
    assert!(matches!(unreachable, OpenError::Unreachable { .. }), "{unreachable}");
    assert!(started.elapsed() < 10 * short, "{:?}", started.elapsed());

    kafka.restart(1);
    let writers = Writers::start(&log, 4);
    writers.progress(100).await;
    // A queue that is full refuses, and what was taken stands.
    let large = Writers::start(&log, 60);
    wait_for("refusals", || large.failed.load(Ordering::Relaxed) > 0).await;
    large.stop.send(true).unwrap();
    assert!(writers.check(&log).await >= 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_brokers_is_killed() {
    let mut kafka = Kafka::start(3);
    let options = options(&kafka, 1, 3);
    let log = Arc::new(made(options.clone()).await);
    let writers = Writers::start(&log, 8);
    let reader = follow(&log, Offset(3000));
    for node in 1..=3 {
        writers.progress(200).await;
        kafka.kill(node);
        // The others go on without it.
        writers.progress(200).await;
        kafka.restart(node);
        in_sync(&options, 3).await;
    }
    writers.progress(500).await;
    reader.await.unwrap();
    assert!(writers.check(&log).await >= 3400);
    assert_eq!(
        read_all(&Log::open(options).await.unwrap(), SHARD).await.len(),
        usize::try_from(log.bounds(SHARD).await.unwrap().end.0).unwrap()
    );
}

/// Until every replica has caught up: Kafka promises nothing when a second one goes before.
async fn in_sync(options: &Options, replicas: usize) {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &options.brokers).create().unwrap();
    wait_for("replicas in sync", || {
        let metadata = client.fetch_metadata(Some(&options.topic), Duration::from_secs(10)).unwrap();
        metadata.topics()[0].partitions().iter().all(|partition| partition.isr().len() == replicas)
    })
    .await;
}
