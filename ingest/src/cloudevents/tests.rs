//! The CloudEvents mapping: what arrives as written, and what is refused.

use super::*;

fn event(data: &str) -> Result<Event, Error> {
    let head = r#""specversion":"1.0","id":"e-1","source":"/api","type":"llm.completion","subject":"c-1""#;
    let text = format!(r#"{{{head},"time":"2026-01-15T12:00:00+01:00","data":{data}}}"#);
    structured_within(text.as_bytes(), &Limits::default())
}

fn properties(data: &str) -> Vec<(String, String)> {
    event(data).unwrap().properties
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    wanted.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn attributes_and_data_become_an_event() {
    let read = event(r#"{"model":"large","tokens":12}"#).unwrap();
    let wanted = Event {
        id: "e-1".to_owned(),
        source: "/api".to_owned(),
        event_type: "llm.completion".to_owned(),
        customer: "c-1".to_owned(),
        time: Some("2026-01-15T11:00:00Z".parse().unwrap()),
        properties: pairs(&[("model", "large"), ("tokens", "12")]),
    };
    assert_eq!(read, wanted);
    let sent = read.to_proto();
    assert_eq!((sent.time.unwrap().seconds, sent.properties["tokens"].as_str()), (1_768_474_800, "12"));
}

#[test]
fn numbers_arrive_as_written() {
    let read =
        properties(r#"{"a":0.1,"b":9007199254740993,"c":1.000,"d":-0.0,"e":1E3,"f":123456789012345678901234567890.5}"#);
    let wanted = [("a", "0.1"), ("b", "9007199254740993"), ("c", "1.000"), ("d", "-0.0"), ("e", "1E3")];
    assert_eq!(read[..5], pairs(&wanted));
    assert_eq!(read[5].1, "123456789012345678901234567890.5");
}

#[test]
fn data_is_flattened() {
    let read = properties(r#" {"a": {"b": {"c": "x\n\u00e9"}}, "yes": true, "no": false, "none": null, "e": {}} "#);
    assert_eq!(read, pairs(&[("a.b.c", "x\né"), ("yes", "true"), ("no", "false")]));
    assert_eq!(properties("null"), []);
    assert_eq!(structured(br#"{"specversion":"1.0","id":"e"}"#).unwrap().properties, []);
    // The last of two counts, also where it takes the name away.
    assert_eq!(
        properties(r#"{"a":1,"a":2,"b":1,"b":null,"c":{"x":1},"c":{"y":2}}"#),
        pairs(&[("a", "2"), ("c.y", "2")])
    );
}

#[test]
fn every_refusal_has_its_code_and_field() {
    let deep = format!("{}1{}", r#"{"a":"#.repeat(17), "}".repeat(17));
    let cases = [
        (event("[1]"), Code::DataHasArray, "data"),
        (event(r#"{"a":{"b":[]}}"#), Code::DataHasArray, "data.a.b"),
        (event("\"text\""), Code::DataNotObject, "data"),
        (event("12"), Code::DataNotObject, "data"),
        (event(&deep), Code::DataTooDeep, "data.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"),
        (structured(b"{"), Code::EventMalformed, ""),
        (structured(b"[]"), Code::EventMalformed, ""),
        (structured(b"\xff"), Code::EventMalformed, ""),
        (structured(b"{}"), Code::SpecversionUnsupported, "specversion"),
        (structured(br#"{"specversion":"0.3"}"#), Code::SpecversionUnsupported, "specversion"),
        (structured(br#"{"specversion":1.0}"#), Code::AttributeNotText, "specversion"),
        (structured(br#"{"specversion":"1.0","id":7}"#), Code::AttributeNotText, "id"),
        (structured(br#"{"specversion":"1.0","time":"yesterday"}"#), Code::TimeInvalid, "time"),
        (structured(br#"{"specversion":"1.0","data_base64":"AA=="}"#), Code::DataNotObject, "data"),
    ];
    for (found, code, field) in cases {
        let error = found.unwrap_err();
        assert_eq!((error.code, error.field.as_str()), (code, field), "{error}");
    }
}

#[test]
fn batches_and_lines_keep_good_neighbours() {
    let good = r#"{"specversion":"1.0","id":"e-1"}"#;
    let read = batch(format!("[{good}, 5, {good}]").as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert!(batch(b"{}", &Limits::default()).is_err());
    let text = format!("{good}\r\n\n  \nnot json\n{good}");
    let read: Vec<_> = lines(text.as_bytes(), &Limits::default()).map(|line| line.is_ok()).collect();
    assert_eq!(read, [true, false, true]);
}

#[test]
fn of_too_many_events_one_more_than_allowed_is_read() {
    let limits = Limits { request_events_max: 3, ..Limits::default() };
    assert_eq!(batch(b"[1,1,1,1,1,1]", &limits).unwrap().len(), 4);
    assert_eq!(batch(b"[1,1,1]", &limits).unwrap().len(), 3);
    assert_eq!(lines(&b"1\n\n".repeat(6), &limits).count(), 4);
    assert_eq!(lines(&b"1\n\n".repeat(3), &limits).count(), 3);
}

#[test]
fn names_and_numbers_of_properties_are_bounded_while_they_are_read() {
    let limit = Limits::default();
    let members = |count: usize| (0..count).map(|n| format!(r#""p{n}":1"#)).collect::<Vec<_>>().join(",");
    let refused = |data: &str| event(data).map(|_| ()).map_err(|error| (error.code, error.field)).unwrap_err();
    let too_long = (Code::PropertyNameTooLong, "properties".to_owned());
    // Joined, all the names would have 100 GB.
    let long = "x".repeat(2 * 1024 * 1024);
    assert_eq!(refused(&format!(r#"{{"{long}":{{{}}}}}"#, members(50_000))), too_long);
    let half = "x".repeat(limit.name_bytes_max - 2);
    assert_eq!(properties(&format!(r#"{{"{half}":{{"y":1,"none":null}}}}"#)), pairs(&[(&format!("{half}.y"), "1")]));
    assert_eq!(refused(&format!(r#"{{"{half}":{{"yy":1}}}}"#)), too_long);
    assert_eq!(properties(&format!("{{{}}}", members(limit.properties_max))).len(), limit.properties_max);
    let too_many = (Code::TooManyProperties, "properties".to_owned());
    assert_eq!(refused(&format!(r#"{{"a":{{{}}}}}"#, members(limit.properties_max + 1))), too_many);
    let text = format!(r#"{{"specversion":"1.0","data":{{{}}}}}"#, members(limit.properties_max + 1));
    assert_eq!(structured(text.as_bytes()).unwrap().properties.len(), limit.properties_max + 1);
}

#[test]
fn binary_mode_reads_headers() {
    let binary = |headers: &HeaderMap, body: &[u8]| binary(headers, body, &Limits::default());
    let mut headers = HeaderMap::new();
    let set = [("ce-specversion", "1.0"), ("ce-id", "e%201%E2%82%AC%"), ("ce-source", "/api"), ("ce-type", "t")];
    for (name, value) in set.into_iter().chain([("ce-subject", "c-1"), ("ce-time", "2026-01-15T12:00:00Z")]) {
        headers.insert(name, value.parse().unwrap());
    }
    let read = binary(&headers, br#"{"n": 0.10}"#).unwrap();
    assert_eq!((read.id.as_str(), read.customer.as_str(), read.source.as_str()), ("e 1€%", "c-1", "/api"));
    assert_eq!(read.properties, pairs(&[("n", "0.10")]));
    assert_eq!(binary(&headers, b"").unwrap().properties, []);
    assert_eq!(binary(&headers, b"{").unwrap_err().code, Code::EventMalformed);
    headers.insert("ce-id", "%ff".parse().unwrap());
    assert_eq!(binary(&headers, b"").unwrap_err().code, Code::AttributeNotText);
    headers.remove("ce-specversion");
    assert_eq!(binary(&headers, b"").unwrap_err().code, Code::SpecversionUnsupported);
}
