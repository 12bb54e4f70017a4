//! What a configuration file may say, and what is refused with which words.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::{Config, Pod, Stage};
use crate::failure::Failure;
use storage::shard::ShardCount;

const GOOD: &str = r#"
listen = "127.0.0.1:9700"
connections_max = 100
connection_age = "1m"
test_clock = "2026-01-01T00:00:00Z"
[log]
embedded = {dir = "/data/log", shards = 8}
[charges]
embedded = {dir = "/data"}
[books]
embedded = {dir = "/data"}
[ingest]
request_events_max = 10
[rater]
data = "/data/rater"
pod = "1/3"
unsent_bytes_max = 1_000
waiting_bytes_max = 2_000
snapshot_every = "30s"
[telemetry]
otlp = "http://127.0.0.1:4317"
log = "json"
"#;

fn refusal(text: &str, stage: Stage) -> String {
    match Config::parse(text, stage, None) {
        Err(Failure::Refused(message)) => message,
        Err(_) => panic!("refused in the wrong way: {text}"),
        Ok(_) => panic!("should have been refused: {text}"),
    }
}

#[test]
fn one_file_serves_every_stage() {
    for stage in [Stage::All, Stage::Ingest, Stage::Rater, Stage::Invoicer] {
        let (config, telemetry) = Config::parse(GOOD, stage, None).unwrap();
        assert_eq!(config.port.listen.port(), 9700);
        assert_eq!(config.port.connection_age, Some(std::time::Duration::from_mins(1)));
        assert_eq!(config.ingest.limits.request_events_max, 10);
        assert_eq!(config.rater.options.unsent_bytes_max, 1000);
        assert_eq!(config.rater.options.fold.waiting_bytes_max, 2000);
        assert_eq!(telemetry.otlp.as_deref(), Some("http://127.0.0.1:4317"));
        let shards: Vec<u16> = config.rater.pod.shards(ShardCount::new(8).unwrap()).map(|shard| shard.0).collect();
        assert_eq!(shards, [1, 4, 7]);
    }
    // What is said at the start counts more than what the file says.
    let (config, _) = Config::parse(GOOD, Stage::Rater, Some("farthing-rater-2/3".parse().unwrap())).unwrap();
    assert_eq!(config.rater.pod, "2/3".parse::<Pod>().unwrap());
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    // What is replaced in the good file, by what, and what the refusal says.
    let cases: &[(&str, &str, &[&str])] = &[
        ("connections_max", "conections_max", &["line 3", "conections_max", "connections_max"]),
        ("unsent_bytes_max", "unsent_bytes", &["line 17", "unsent_bytes", "unsent_bytes_max"]),
        ("[telemetry]", "[telemtry]", &["telemtry", "telemetry"]),
        ("request_events_max = 10", "request_events_max = \"ten\"", &["line 13", "string"]),
        ("request_events_max = 10", "request_events_max = -1", &["line 13", "-1"]),
        ("connections_max = 100", "connections_max = 0", &["connections_max", "at least 1"]),
        ("shards = 8", "shards = 0", &["[log] shards", "1 to 1024"]),
        ("{dir = \"/data/log\", shards = 8}", "{dir = \"/data/log\"}", &["shards"]),
        ("[log]\nembedded", "[log]\nembeded", &["embeded", "embedded"]),
        ("pod = \"1/3\"", "pod = \"3/3\"", &["[rater] pod", "'3/3'", "0/3"]),
        ("pod = \"1/3\"", "pod = \"1\"", &["[rater] pod", "'1'"]),
        ("pod = \"1/3\"", "pod = \"1/0\"", &["[rater] pod", "'1/0'"]),
        ("\"30s\"", "\"soon\"", &["line 19", "soon"]),
        ("\"2026-01-01T00:00:00Z\"", "\"yesterday\"", &["line 5", "yesterday"]),
        ("127.0.0.1:9700", "0.0.0.0:9700", &["can be reached from other machines", "allow_plaintext = true"]),
        ("127.0.0.1:9700", "nowhere", &["line 2", "invalid socket address"]),
        ("log = \"json\"", "log = \"xml\"", &["xml", "json"]),
        ("[rater]\ndata", "[health]\nlisten = 9601\n[rater]\ndata", &["line 15", "9601"]),
        ("[telemetry]", "[tls]\ncert_file = \"/c\"\n[telemetry]", &["key_file"]),
    ];
    for (good, bad, words) in cases {
        assert!(GOOD.contains(good), "{good} is not in the good file");
        let message = refusal(&GOOD.replace(good, bad), Stage::Rater);
        for word in *words {
            assert!(message.contains(word), "{bad}: '{word}' is not in:\n{message}");
        }
    }
}

#[test]
fn a_stage_needs_what_it_works_with() {
    for (section, word, stages) in [
        ("[log]\nembedded = {dir = \"/data/log\", shards = 8}", "[log]", &[Stage::Ingest, Stage::Rater][..]),
        ("[charges]\nembedded = {dir = \"/data\"}", "[charges]", &[Stage::Rater, Stage::Invoicer, Stage::All]),
        ("[books]\nembedded = {dir = \"/data\"}", "[books]", &[Stage::Ingest, Stage::Invoicer, Stage::All]),
        ("data = \"/data/rater\"", "[rater] data", &[Stage::Rater, Stage::All]),
    ] {
        let text = GOOD.replace(section, "");
        assert_ne!(text, GOOD, "{section} is not in the good file");
        for stage in [Stage::All, Stage::Ingest, Stage::Rater, Stage::Invoicer] {
            let needs = stages.contains(&stage) || word == "[log]";
            match Config::parse(&text, stage, None) {
                Ok(_) => assert!(!needs, "{} starts without {word}", stage.word()),
                Err(Failure::Refused(message)) => {
                    assert!(needs && message.contains(word) && message.contains(stage.word()), "{message}");
                }
                Err(_) => panic!("refused in the wrong way"),
            }
        }
    }
}

#[test]
fn a_section_has_one_backend() {
    let both = "[books]\npostgres = {url = \"postgres://farthing@db/farthing\"}";
    let message = refusal(&GOOD.replace("[books]", both), Stage::Rater);
    assert!(message.contains("line 10") && message.contains("exactly 1"), "{message}");
}

#[test]
fn secrets_come_from_files_or_the_environment_and_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "correct horse\n").unwrap();
    let books = |keys: &str| {
        let postgres = format!("postgres = {{url = \"postgres://farthing@db/farthing\", {keys}}}");
        GOOD.replace("[books]\nembedded = {dir = \"/data\"}", &format!("[books]\n{postgres}"))
    };
    let named = format!("password_file = \"{}\"", file.display());
    let (config, _) = Config::parse(&books(&named), Stage::Ingest, None).unwrap();
    assert!(!format!("{config:?}").contains("correct horse"));
    let Some(super::Books::Postgres(database)) = config.books else { panic!("other books") };
    assert_eq!(database.password.unwrap().reveal(), "correct horse");
    for (keys, words) in [
        (format!("{named}, password_env = \"HOME\""), "both set"),
        ("password_file = \"/nowhere/password\"".to_owned(), "cannot read /nowhere/password"),
        ("password_env = \"FARTHING_NO_SUCH_VARIABLE\"".to_owned(), "FARTHING_NO_SUCH_VARIABLE"),
        ("password = \"correct horse\"".to_owned(), "password_file"),
        ("connections_max = \"correct horse\"".to_owned(), "expected usize"),
    ] {
        let message = refusal(&books(&keys), Stage::Ingest);
        assert!(message.contains(words), "{keys}: {message}");
        assert!(!message.contains("horse"), "{keys}: {message}");
    }
    // A URL may hold a password, too.
    let inline = "[books]\npostgres = \"postgres://farthing:horse@db/farthing\"";
    let message = refusal(&GOOD.replace("[books]\nembedded = {dir = \"/data\"}", inline), Stage::Ingest);
    assert!(message.contains("line 11") && !message.contains("horse"), "{message}");
    let inline = "[books]\npostgres = {url = \"postgres://farthing:horse@db/farthing\"}";
    let (config, _) =
        Config::parse(&GOOD.replace("[books]\nembedded = {dir = \"/data\"}", inline), Stage::Ingest, None).unwrap();
    assert!(!format!("{config:?}").contains("horse"));
}

#[test]
fn with_kafka_a_rater_keeps_copies_of_its_snapshots_or_says_that_it_does_not() {
    let kafka = "kafka = {brokers = \"kafka:9092\", topic = \"farthing\"}";
    let text = GOOD.replace("embedded = {dir = \"/data/log\", shards = 8}", kafka);
    assert!(refusal(&text, Stage::Rater).contains("[rater] snapshots is missing"));
    assert!(Config::parse(&text, Stage::Ingest, None).is_ok());
    for key in ["snapshots = \"s3://bucket/prefix\"", "volume_only = true"] {
        assert!(Config::parse(&text.replace("[rater]", &format!("[rater]\n{key}")), Stage::Rater, None).is_ok());
    }
}

#[test]
fn replicated_tables_are_not_promised() {
    let clickhouse = "clickhouse = {url = \"http://ch:8123\", database = \"d\", user = \"u\", quorum = 2}";
    let message = refusal(
        &GOOD.replace("[charges]\nembedded = {dir = \"/data\"}", &format!("[charges]\n{clickhouse}")),
        Stage::Rater,
    );
    assert!(message.contains("line 9") && message.contains("quorum") && message.contains("ca_file"), "{message}");
}

#[test]
fn copies_of_snapshots_are_not_on_the_volume_that_they_are_copies_of() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir_all(folder.join("data/rater")).unwrap();
    std::os::unix::fs::symlink(folder.join("data"), folder.join("elsewhere")).unwrap();
    let with = |copies: &str| {
        let rater = format!("data = \"{}/data\"\nsnapshots = \"{}\"", folder.display(), copies);
        GOOD.replace("data = \"/data/rater\"", &rater)
    };
    for copies in ["data", "data/copies/", "data/rater/../copies", "copies/../data/new/copies", "elsewhere/copies"] {
        let message = refusal(&with(&folder.join(copies).to_string_lossy()), Stage::Rater);
        assert!(message.contains("[rater] snapshots") && message.contains(copies), "{copies}: {message}");
    }
    for copies in ["s3://data/copies", "copies", "data-2", "data/../copies"] {
        let copies =
            if copies.contains("://") { copies.into() } else { folder.join(copies).to_string_lossy().into_owned() };
        assert!(Config::parse(&with(&copies), Stage::Rater, None).is_ok(), "{copies}");
    }
}
