//! The cluster under faults: `kill -9` of every part in the middle of a run, again and again. Each round of events has ids of
//! its own; afterwards every acknowledged id has exactly one charge, and in the end the bills are those of one process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proto::v1;
use proto::v1::ingest_service_client::IngestServiceClient;
use servers::Kafka;
use std::time::Duration;
use tests::cluster::{catalog, event, is_settled};
use tests::{Cluster, Sender, Stage, curl, migrate, wait_until, without_numbers};
use tonic_types::StatusExt;

/// A shard that has more unsent rows stands still.
const UNSENT_MAX: u64 = 30_000;

/// How many events a rater knows to be charged.
fn charged(rater: &Stage) -> Option<u64> {
    rater.metric("farthing_shard_events_total{", "outcome=\"charged\"")
}

// === The faults ===

fn ingest_killed(cluster: &mut Cluster) {
    let mut sender = cluster.send("ingest", 2000);
    for _ in 0..3 {
        cluster.ingest.wait_ready();
        sender.flows(&cluster.ingest);
        cluster.ingest.kill();
        cluster.ingest.restart();
    }
    assert!(sender.finish() >= 3);
    cluster.settle("ingest killed", 3, "ingest", 2000);
}

/// At any moment; `tests/commit_points.rs` has each of those that matter.
fn raters_killed(cluster: &mut Cluster) {
    for time in 0..6 {
        let mut sender = cluster.send(&format!("rater-{time}"), 300);
        let rater = &mut cluster.raters[time % 2];
        rater.wait_ready();
        let base = charged(rater).unwrap_or(0);
        sender.meanwhile("a rater to fold", || charged(rater).is_some_and(|now| now > base));
        rater.kill();
        rater.restart();
        sender.finish();
    }
    cluster.settle("rater killed", 6, "rater", 6 * 300);
}

fn two_raters_on_one_shard(cluster: &mut Cluster) {
    let mut twin = Stage::start(cluster.folder(), "rater-twin", &cluster.config, &["rater", "--pod", "0/2"]);
    twin.wait_ready();
    let mut sender = cluster.send("twin", 1000);
    let both = [&twin, &cluster.raters[0]].map(|rater| (rater, charged(rater).unwrap_or(0)));
    for (rater, base) in both {
        sender.meanwhile("both raters to fold the same shards", || charged(rater).is_some_and(|now| now > base));
    }
    sender.finish();
    cluster.settle("two raters on the same shards", 1, "twin", 1000);
    assert_eq!(twin.stop(), 0);
}

fn clickhouse_killed(cluster: &mut Cluster) {
    for time in 0..2 {
        let round = format!("clickhouse{time}");
        let mut sender = cluster.send(&round, 1500);
        sender.flows(&cluster.ingest);
        cluster.backends.clickhouse.kill();
        assert_eq!(sender.finish(), 0, "ingest goes on");
        wait_until("a shard to stand still", || {
            let of = |rater: &Stage, name: &str| rater.metric(name, "").unwrap_or(0);
            let is_full = |rater| of(rater, "farthing_shard_unsent_bytes{") > UNSENT_MAX;
            cluster.raters.iter().any(|rater| is_full(rater) && of(rater, "farthing_shard_lag_records{") > 0)
        });
        cluster.backends.clickhouse.restart();
        cluster.settle("ClickHouse killed", 1, &round, 1500);
    }
}

fn postgres_killed(cluster: &mut Cluster) {
    for time in 0..2 {
        let round = format!("postgres{time}");
        let mut sender = cluster.send(&round, 700);
        sender.flows(&cluster.ingest);
        cluster.backends.postgres.kill();
        assert_eq!(sender.finish(), 0, "ingest goes on with the keys and catalogs it has");
        cluster.backends.postgres.restart();
        cluster.invoicer.wait_ready();
        cluster.settle("PostgreSQL killed", 1, &round, 700);
    }
}

/// No acknowledgement: 503, and when to come again.
fn refused_over_http(cluster: &Cluster, round: &str) {
    let (status, said) = curl(&[
        "-i",
        &format!("{}/v1/events", cluster.ingest.url()),
        "-H",
        &format!("authorization: Bearer {}", cluster.key),
        "-H",
        "content-type: application/cloudevents+json",
        "--data-binary",
        event(round, 0).trim(),
    ]);
    assert_eq!(status, 503, "{said}");
    assert!(said.to_lowercase().contains("retry-after: "), "{said}");
}

/// No acknowledgement, neither of a call nor on a stream: UNAVAILABLE, and when to come again.
#[tokio::main(flavor = "current_thread")]
async fn refused_over_grpc(cluster: &Cluster, round: &str) {
    let request = || {
        let event = v1::Event {
            id: format!("{round}-0"),
            source: "t".to_owned(),
            r#type: "call".to_owned(),
            customer: "c-0".to_owned(),
            time: Some("2026-01-10T00:00:00Z".parse().unwrap()),
            properties: [("tokens", "1.25"), ("region", "eu")].map(|(name, value)| (name.into(), value.into())).into(),
        };
        v1::IngestRequest { events: vec![event], sequence: 1 }
    };
    let key = |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("authorization", format!("Bearer {}", cluster.key).parse().unwrap());
        Ok(request)
    };
    let channel = tonic::transport::Endpoint::from_shared(cluster.ingest.url()).unwrap().connect().await.unwrap();
    let mut client = IngestServiceClient::with_interceptor(channel, key);
    let called = client.ingest(request()).await.unwrap_err();
    let streamed = match client.ingest_stream(tokio_stream::once(request())).await {
        Ok(mut answers) => answers.get_mut().message().await.unwrap_err(),
        Err(status) => status,
    };
    for status in [called, streamed] {
        assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
        let retry = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
        assert!(retry.is_some_and(|delay| delay > Duration::ZERO), "{status:?}");
    }
}

fn broker_killed(cluster: &mut Cluster) {
    for time in 0..2 {
        let (round, probe) = (format!("broker{time}"), format!("probe{time}"));
        let mut sender = cluster.send(&round, 1500);
        sender.flows(&cluster.ingest);
        cluster.backends.kafka.kill(1);
        refused_over_http(cluster, &probe);
        refused_over_grpc(cluster, &probe);
        cluster.backends.kafka.restart(1);
        sender.finish();
        // What was refused may be in the log all the same: its copy is dropped.
        cluster.send(&probe, 1).finish();
        cluster.settle("the only broker killed", 1, &round, 1500);
        cluster.settle("refused, then sent again", 1, &probe, 1);
    }
}

fn rater_volume_lost(cluster: &mut Cluster) {
    let folder = cluster.folder().to_owned();
    let rater = &mut cluster.raters[0];
    let volume = folder.join(format!("rater-{}", rater.url().rsplit(':').next().unwrap()));
    rater.kill();
    std::fs::remove_dir_all(&volume).unwrap();
    rater.restart();
    rater.wait_ready();
    wait_until("the copy to serve", || rater.said().contains("a snapshot was fetched back onto the volume"));
    let sender = cluster.send("volume", 500);
    sender.finish();
    cluster.settle("a rater's volume lost", 1, "volume", 500);
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_whatever_is_killed() {
    let mut cluster = Cluster::start(&format!("unsent_bytes_max = {UNSENT_MAX}\nsnapshot_every = \"1s\"\n"));
    ingest_killed(&mut cluster);
    raters_killed(&mut cluster);
    two_raters_on_one_shard(&mut cluster);
    clickhouse_killed(&mut cluster);
    postgres_killed(&mut cluster);
    broker_killed(&mut cluster);
    rater_volume_lost(&mut cluster);
    assert_eq!(without_numbers(cluster.bills()), without_numbers(cluster.expected()));
}

#[test]
fn one_broker_of_three_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut kafka = Kafka::start(3);
    let config = format!(
        "listen = \"127.0.0.1:{{port}}\"\ntest_clock = \"2026-01-28T00:00:00Z\"\n\
         [log]\nkafka = {{brokers = \"{}\", topic = \"farthing\", shards = 4, replication = 3}}\n\
         [charges]\nembedded = {{dir = \"{1}\"}}\n[books]\nembedded = {{dir = \"{1}\"}}\n\
         [rater]\ndata = \"{1}\"\nvolume_only = true\n",
        kafka.bootstrap(),
        dir.display()
    );
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    std::fs::write(dir.join("catalog.yaml"), catalog()).unwrap();
    let key = migrate(dir, &config);
    let mut all = Stage::start(dir, "all", &config, &["all"]);
    all.wait_ready();
    all.farthing(&key, &["apply", "-f", &file("catalog.yaml")]).ok();
    // Each broker once: whichever leads, it goes in the middle, and everything is acknowledged while it is away.
    for broker in 1..=3 {
        let mut sender = Sender::start(dir, &all, &key, &format!("broker{broker}"), 700);
        sender.flows(&all);
        kafka.kill(broker);
        assert_eq!(sender.finish(), 0, "nobody was sent away");
        kafka.restart(broker);
    }
    wait_until("the lag to be zero", || is_settled(&all, &key, 4));
    let usage = all.farthing(&key, &["usage", "--json"]).json();
    let found: u64 = usage["usage"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap()).sum();
    eprintln!("one broker of three killed: 3 times, 2100 acknowledged, {found} charged");
    assert_eq!(found, 2100);
}
