//! CloudEvents 1.0 in JSON, and how they become events.
//!
//! | CloudEvents | event |
//! |---|---|
//! | `id`, `source`, `type`, `time` | the same |
//! | `subject` | the customer |
//! | `data` | properties: nested names join with dots, booleans become text, null is absent, arrays are refused |
//!
//! Numbers are kept as they are written: 0.1 and 9007199254740993 arrive digit for digit. Of a name that comes twice the
//! last one counts. Attributes that are not listed are ignored.

use crate::options::Limits;
use http::HeaderMap;
use pricing::time::Instant;
use proto::code::Code;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// An event, read from a CloudEvent. Nothing is checked here that ingest checks of every event: texts may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Unique within customer and source.
    pub id: String,
    /// The service that reports.
    pub source: String,
    /// What happened.
    pub event_type: String,
    /// Who is billed.
    pub customer: String,
    /// When it happened.
    pub time: Option<Instant>,
    /// In the order of the text; of a name that comes twice the last one counts.
    pub properties: Vec<(String, String)>,
}

/// Why text is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Stable.
    pub code: Code,
    /// The attribute, or the path inside `data`.
    pub field: String,
    /// What was found, what is allowed, what to do.
    pub message: String,
}

/// A JSON object's members, as written; of a name that comes twice the last one, in its place.
struct Object<'a>(Vec<(String, &'a RawValue)>);

/// As deep as `data` may be nested.
const DEPTH_MAX: usize = 16;

/// Reads one CloudEvent in structured mode, a JSON object, for a reader of its own files: how many properties an
/// event may have is left to the server, where it can be set.
///
/// # Errors
/// See [`Error`].
pub fn structured(json: &[u8]) -> Result<Event, Error> {
    structured_within(json, &Limits { properties_max: usize::MAX, ..Limits::default() })
}

/// Reads one CloudEvent in structured mode: a JSON object.
///
/// # Errors
/// See [`Error`].
pub fn structured_within(json: &[u8], limits: &Limits) -> Result<Event, Error> {
    let text = std::str::from_utf8(json).map_err(|bad| malformed(&bad))?;
    let Object(members) = serde_json::from_str(text).map_err(|bad| malformed(&bad))?;
    let mut event = Event::default();
    let mut specversion = None;
    for (name, value) in members {
        match name.as_str() {
            "specversion" => specversion = attribute("specversion", value)?,
            "id" => event.id = attribute("id", value)?.unwrap_or_default(),
            "source" => event.source = attribute("source", value)?.unwrap_or_default(),
            "type" => event.event_type = attribute("type", value)?.unwrap_or_default(),
            "subject" => event.customer = attribute("subject", value)?.unwrap_or_default(),
            "time" => event.time = attribute("time", value)?.map(|text| time(&text)).transpose()?,
            "data" => event.properties = data(value.get(), limits)?,
            "data_base64" => {
                let message = "the event has data_base64; send data as a JSON object";
                return Err(Error::new(Code::DataNotObject, "data", message));
            }
            _ => {}
        }
    }
    check_specversion(specversion.as_deref())?;
    Ok(event)
}

/// Reads a batch: a JSON array of CloudEvents, read or refused one by one. Of more than a request may hold only one more
/// is read: enough to refuse them all.
///
/// # Errors
/// Where the text is no JSON array.
pub fn batch(json: &[u8], limits: &Limits) -> Result<Vec<Result<Event, Error>>, serde_json::Error> {
    let events: Vec<&RawValue> = serde_json::from_slice(json)?;
    let events = events.into_iter().take(limits.request_events_max.saturating_add(1));
    Ok(events.map(|event| structured_within(event.get().as_bytes(), limits)).collect())
}

/// Reads NDJSON: one CloudEvent a line; blank lines are skipped and not counted. Of more than a request may hold only one
/// more is read: enough to refuse them all.
pub fn lines(text: &[u8], limits: &Limits) -> impl Iterator<Item = Result<Event, Error>> {
    let lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.is_empty()).take(limits.request_events_max.saturating_add(1));
    lines.map(|line| structured_within(line, limits))
}

/// Reads a CloudEvent in binary mode: attributes as `ce-` headers, percent-encoded where needed, and `data` as the body.
///
/// # Errors
/// See [`Error`].
pub fn binary(headers: &HeaderMap, body: &[u8], limits: &Limits) -> Result<Event, Error> {
    let header = |attribute: &'static str| -> Result<Option<String>, Error> {
        let found = headers.get(format!("ce-{attribute}")).map(|value| percent_decoded(value.as_bytes()));
        let not_text = || Error::new(Code::AttributeNotText, attribute, "the header is not UTF-8, percent-encoded");
        found.map(|bytes| String::from_utf8(bytes).map_err(|_| not_text())).transpose()
    };
    check_specversion(header("specversion")?.as_deref())?;
    let body = std::str::from_utf8(body).map_err(|bad| malformed(&bad))?;
    Ok(Event {
        id: header("id")?.unwrap_or_default(),
        source: header("source")?.unwrap_or_default(),
        event_type: header("type")?.unwrap_or_default(),
        customer: header("subject")?.unwrap_or_default(),
        time: header("time")?.map(|text| time(&text)).transpose()?,
        properties: if body.trim_ascii().is_empty() { Vec::new() } else { data(body.trim_ascii(), limits)? },
    })
}

fn malformed(bad: &dyn fmt::Display) -> Error {
    Error::new(Code::EventMalformed, "", format!("the text is no JSON object: {bad}; send a CloudEvent as JSON"))
}

fn attribute(name: &str, value: &RawValue) -> Result<Option<String>, Error> {
    let text: Result<Option<String>, _> = serde_json::from_str(value.get());
    text.map_err(|_| {
        let message = format!("the attribute {name} is {}; send text", cut(value.get()));
        Error::new(Code::AttributeNotText, name, message)
    })
}

fn check_specversion(found: Option<&str>) -> Result<(), Error> {
    let message = match found {
        Some("1.0") => return Ok(()),
        Some(found) => format!("the specversion is '{}'; only 1.0 is understood", cut(found)),
        None => "the event has no specversion; send 1.0".to_owned(),
    };
    Err(Error::new(Code::SpecversionUnsupported, "specversion", message))
}

fn time(text: &str) -> Result<Instant, Error> {
    text.parse().map_err(|bad: pricing::time::Error| Error::new(Code::TimeInvalid, "time", bad.to_string()))
}

fn data(json: &str, limits: &Limits) -> Result<Vec<(String, String)>, Error> {
    let mut properties = Vec::new();
    match json.as_bytes().first() {
        Some(b'{') => flatten("", json, 1, limits, &mut properties)?,
        Some(b'n') if json == "null" => {}
        Some(b'[') => {
            return Err(Error::new(Code::DataHasArray, "data", "data is an array; send a JSON object of properties"));
        }
        _ => {
            let message = format!("data is {}; send a JSON object of properties", cut(json));
            return Err(Error::new(Code::DataNotObject, "data", message));
        }
    }
    Ok(properties)
}

fn flatten(
    prefix: &str,
    json: &str,
    depth: usize,
    limits: &Limits,
    properties: &mut Vec<(String, String)>,
) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        let message = format!("data is nested more than {DEPTH_MAX} deep, the most allowed; send it flatter");
        return Err(Error::new(Code::DataTooDeep, format!("data.{prefix}"), message));
    }
    let Object(members) = serde_json::from_str(json).map_err(|bad| malformed(&bad))?;
    for (name, value) in members {
        let text = value.get();
        if text == "null" {
            continue;
        }
        let name = join(prefix, name, limits)?;
        match text.as_bytes().first() {
            Some(b'{') => flatten(&name, text, depth + 1, limits, properties)?,
            Some(b'[') => {
                let message = format!("{name} is an array; send its parts as properties of their own, or leave it out");
                return Err(Error::new(Code::DataHasArray, format!("data.{name}"), message));
            }
            _ if properties.len() >= limits.properties_max => {
                let most = limits.properties_max;
                let message = format!("the event has more than {most} properties, the most allowed; send fewer");
                return Err(Error::new(Code::TooManyProperties, "properties", message));
            }
            Some(b'"') => properties.push((name, serde_json::from_str(text).map_err(|bad| malformed(&bad))?)),
            // Numbers and booleans, as written.
            _ => properties.push((name, text.to_owned())),
        }
    }
    Ok(())
}

/// The name of a member inside `prefix`. Its length is checked before it is built: a long prefix would be copied for each
/// member.
fn join(prefix: &str, name: String, limits: &Limits) -> Result<String, Error> {
    let most = limits.name_bytes_max;
    let found = if prefix.is_empty() { name.len() } else { prefix.len() + 1 + name.len() };
    if found > most {
        let message = format!("a property's name has {found} bytes; at most {most} are allowed; shorten it");
        return Err(Error::new(Code::PropertyNameTooLong, "properties", message));
    }
    Ok(if prefix.is_empty() { name } else { format!("{prefix}.{name}") })
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit =
        |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (digit(tail.first()), digit(tail.get(1))) {
            (Some(high), Some(low)) if *first == b'%' => {
                decoded.push(high * 16 + low);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => decoded.push(*first),
        }
    }
    decoded
}

// === impl Event ===

impl Event {
    /// The same for the wire.
    pub fn to_proto(&self) -> proto::v1::Event {
        let time = self.time.map(|time| {
            let (seconds, nanos) = (time.nanos().div_euclid(1_000_000_000), time.nanos().rem_euclid(1_000_000_000));
            prost_types::Timestamp { seconds, nanos: i32::try_from(nanos).unwrap_or_default() }
        });
        proto::v1::Event {
            id: self.id.clone(),
            source: self.source.clone(),
            r#type: self.event_type.clone(),
            customer: self.customer.clone(),
            time,
            properties: self.properties.iter().cloned().collect(),
        }
    }
}

// === impl Error ===

impl Error {
    fn new(code: Code, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, field: field.into(), message: message.into() }
    }
}

// === impl Object ===

impl<'de: 'a, 'a> serde::Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                let mut places = std::collections::HashMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if let Some(before) = places.insert(name.clone(), members.len()) {
                        // Emptied here, dropped below: removing at once would move the others.
                        if let Some(member) = members.get_mut(before) {
                            member.1 = RawValue::NULL;
                        }
                    }
                    members.push((name, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Self)
    }
}

#[cfg(test)]
mod tests;
