//! Files of events, as people have them.

use super::{Columns, open};
use std::io::Write;
use std::path::PathBuf;

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    path
}

fn columns(zone: Option<&str>) -> Columns {
    Columns {
        event_type: Some("llm.completion".into()),
        customer: Some("account".into()),
        time: Some("TIMESTAMP".into()),
        zone: zone.map(|zone| zone.parse().unwrap()),
        property: vec![("input".into(), "ContextTokens".into())],
        id: None,
        source: "file".into(),
    }
}

fn only(name: &str, text: &str, columns: &Columns) -> Result<super::Located, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, name, text);
    let mut events = open(&path, columns).map_err(|failure| format!("{failure:?}"))?;
    events.next().unwrap().map_err(|broken| broken.to_string())
}

#[test]
fn csv_keeps_every_digit_of_times_and_numbers() {
    let text = "account,TIMESTAMP,ContextTokens\nc-1,2023-11-16 18:17:03.9799600,9007199254740993\n";
    let found = only("a.csv", text, &columns(Some("UTC"))).unwrap();
    let time = found.event.time.unwrap();
    assert_eq!((time.seconds, time.nanos), (1_700_158_623, 979_960_000));
    assert_eq!(found.event.properties["input"], "9007199254740993");
    assert_eq!((found.line, found.event.customer.as_str()), (2, "c-1"));
}

#[test]
fn a_csv_time_without_its_own_offset_is_in_the_named_zone_and_never_guessed() {
    let at = |time: &str, zone: Option<&str>| {
        let found = only("a.csv", &format!("account,TIMESTAMP,ContextTokens\nc,{time},1\n"), &columns(zone))?;
        Ok::<_, String>(found.event.time.unwrap().seconds)
    };
    assert_eq!(at("1970-01-01T01:00:00", Some("Europe/Berlin")).unwrap(), 0);
    assert_eq!(at("1970-01-01 02:30:00", Some("+02:30")).unwrap(), 0);
    assert_eq!(at("1970-01-01 02:30:00+02:30", Some("Europe/Berlin")).unwrap(), 0);
    assert!(at("1970-01-01 02:30:00", None).unwrap_err().contains("--zone"));
    let twice = at("2026-10-25 02:30:00", Some("Europe/Berlin")).unwrap_err();
    assert!(twice.starts_with("line 2: ") && twice.contains("twice"), "{twice}");
    assert!(at("yesterday", Some("UTC")).unwrap_err().contains("'yesterday' is not a time"));
}

#[test]
fn csv_ids_come_from_the_content_and_the_row_wherever_the_file_lies() {
    let text = "account,TIMESTAMP,ContextTokens\nc,1970-01-01T00:00:00Z,1\nc,1970-01-01T00:00:00Z,1\n";
    let folder = tempfile::tempdir().unwrap();
    let ids = |name: &str| -> Vec<String> {
        let path = file(&folder, name, text);
        open(&path, &columns(None)).unwrap().map(|event| event.unwrap().event.id).collect()
    };
    let (here, there) = (ids("a.csv"), ids("b.CSV"));
    assert_eq!(here, there);
    assert!(here[0].ends_with("-1") && here[1].ends_with("-2") && here[0].len() == 18, "{here:?}");
}

#[test]
fn broken_csv_rows_name_their_line_and_spare_their_neighbours() {
    let text = "account,TIMESTAMP,ContextTokens\n\"a\nb\",1970-01-01T00:00:00Z,1\nc,1970-01-01T00:00:00Z\nc,1970-01-01T00:00:00Z,3\n";
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.csv", text);
    let events: Vec<_> = open(&path, &columns(None)).unwrap().collect();
    assert_eq!(events[0].as_ref().unwrap().line, 2);
    assert_eq!(events[1].as_ref().unwrap_err().to_string(), "line 4: has 2 fields, the heading has 3");
    assert_eq!(events[2].as_ref().unwrap().line, 5);
}

#[test]
fn lines_are_counted_alike_whichever_way_they_end() {
    let text =
        "account,TIMESTAMP,ContextTokens\nc,1970-01-01T00:00:00Z,1\nc,1970-01-01T00:00:00Z\nc,1970-01-01T00:00:00Z,3\n";
    let folder = tempfile::tempdir().unwrap();
    let lines = |text: &str| -> Vec<u64> {
        let path = file(&folder, "a.csv", text);
        open(&path, &columns(None))
            .unwrap()
            .map(|event| event.map_or_else(|broken| broken.line, |event| event.line))
            .collect()
    };
    assert_eq!(lines(text), [2, 3, 4]);
    assert_eq!(lines(&text.replace('\n', "\r\n")), [2, 3, 4]);
}

#[test]
fn what_the_command_line_leaves_out_or_misnames_is_said() {
    let text = "account,TIMESTAMP\n";
    let missing = only("a.csv", text, &columns(None)).unwrap_err();
    assert!(missing.contains("no column 'ContextTokens'") && missing.contains("account, TIMESTAMP"), "{missing}");
    let without = only("a.csv", text, &Columns { customer: None, property: Vec::new(), ..columns(None) }).unwrap_err();
    assert!(without.contains("Usage") && without.contains("--customer"), "{without}");
    let ndjson = only("a.ndjson", "", &columns(None)).unwrap_err();
    assert!(ndjson.contains("NDJSON"), "{ndjson}");
}
