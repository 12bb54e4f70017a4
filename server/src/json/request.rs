//! A request's way in: path, query and body become the bytes of one message.
//!
//! Messages that stand one after another are one message, so path and body are read apart and put together.

use super::calls::Call;
use super::path::Captures;
use axum::body::Body;
use axum::extract::Query;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::Uri;
use http::header::CONTENT_TYPE;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};
use proto::code::Code;
use proto::status::Problem;
use serde_json::Value as Json;
use std::time::Duration;
use tokio_stream::StreamExt;

/// The longest body that is one file or entry: as long as a record of the log can be.
const BODY_BYTES_MAX: usize = 16 << 20;
/// The longest of other calls: its values take a multiple of it in memory.
const FIELDS_BYTES_MAX: usize = 1 << 20;
/// A body has to come within so long.
const BODY_WAIT_MAX: Duration = Duration::from_secs(60);

/// The bytes of the message that a request is.
pub(super) async fn message(
    call: &Call,
    captures: Captures,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Bytes, Problem> {
    let mut fields = serde_json::Map::new();
    let asked = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let Query(asked) = asked.map_err(|error| malformed(format!("the query cannot be read: {error}")))?;
    for (name, value) in asked {
        if call.has_body() || captures.iter().any(|(taken, _)| *taken == name) {
            return Err(unknown(&name, "the query"));
        }
        put(call, &mut fields, &name, value)?;
    }
    for (name, value) in captures {
        put(call, &mut fields, &name, value)?;
    }
    let outside = DynamicMessage::deserialize(call.rpc.input(), Json::Object(fields));
    let outside = outside.map_err(|error| malformed(format!("path or query are not what this call takes: {error}")))?;
    let bytes_max = if call.body.is_some() { BODY_BYTES_MAX } else { FIELDS_BYTES_MAX };
    let body = tokio::time::timeout(BODY_WAIT_MAX, whole(body, bytes_max)).await;
    let body =
        body.map_err(|_| malformed(format!("the body did not come to its end within {} s", BODY_WAIT_MAX.as_secs())))??;
    if body.is_empty() {
        return Ok(outside.encode_to_vec().into());
    }
    let mut both = read_body(call, headers, &body)?;
    both.extend(outside.encode_to_vec());
    Ok(both.into())
}

fn read_body(call: &Call, headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Problem> {
    if !call.has_body() {
        return Err(malformed(format!("{} takes no body; its fields stand in the query", call.method)));
    }
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let message = format!("the content type is '{media_type}'; send application/json");
        return Err(Problem::invalid(Code::ContentTypeUnsupported, message));
    }
    let input = call.rpc.input();
    let refused = |error: serde_json::Error| malformed(format!("the body is not what this call takes: {error}"));
    if let Some(field) = &call.body {
        // Only whether it is JSON is asked here; its numbers stay as they are written.
        let text = std::str::from_utf8(body).map_err(|error| malformed(format!("the body is no text: {error}")))?;
        let _: serde::de::IgnoredAny = serde_json::from_str(text).map_err(refused)?;
        let mut message = DynamicMessage::new(input);
        message.set_field(field, Value::String(text.trim().to_owned()));
        return Ok(message.encode_to_vec());
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let message = DynamicMessage::deserialize(input.clone(), &mut reader).map_err(refused)?;
    reader.end().map_err(refused)?;
    for (name, _) in call.template.fields() {
        if input.get_field_by_name(name).is_some_and(|field| message.has_field(&field)) {
            return Err(unknown(name, "the body: it stands in the path"));
        }
    }
    Ok(message.encode_to_vec())
}

/// Puts one value of path or query where its field is: `name=value`, again for each value of a list, `name[key]=value` for a
/// map.
fn put(call: &Call, fields: &mut serde_json::Map<String, Json>, name: &str, value: String) -> Result<(), Problem> {
    let (name, key) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((name, key)) => (name, Some(key)),
        None => (name, None),
    };
    let field = call.rpc.input().get_field_by_name(name).ok_or_else(|| unknown(name, "the query"))?;
    let json = if field.is_map() { Json::String(value) } else { scalar(&field, value) };
    let stands = fields.get_mut(name);
    match (key, stands) {
        (Some(key), stands) if field.is_map() => match stands {
            Some(Json::Object(map)) => drop(map.insert(key.to_owned(), json)),
            _ => drop(fields.insert(name.to_owned(), serde_json::json!({ key: json }))),
        },
        (Some(_), _) => return Err(unknown(name, "the query in this form: it is no map")),
        (None, Some(Json::Array(list))) if field.is_list() => list.push(json),
        (None, None) if field.is_list() => drop(fields.insert(name.to_owned(), Json::Array(vec![json]))),
        (None, None) if !field.is_map() => drop(fields.insert(name.to_owned(), json)),
        (None, None) => return Err(unknown(name, &format!("the query in this form: send {name}[KEY]=VALUE"))),
        (None, Some(_)) => {
            return Err(malformed(format!("`{name}` is there twice")).with_violation(name, "at most once"));
        }
    }
    Ok(())
}

/// Numbers may be text in JSON, truth may not.
fn scalar(field: &FieldDescriptor, value: String) -> Json {
    match (field.kind(), value.as_str()) {
        (Kind::Bool, "true") => Json::Bool(true),
        (Kind::Bool, "false") => Json::Bool(false),
        _ => Json::String(value),
    }
}

/// The whole body, if it is short enough.
async fn whole(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let (mut whole, mut pieces) = (BytesMut::new(), body.into_data_stream());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| malformed(format!("the body could not be read to its end: {error}")))?;
        if whole.len() + piece.len() > bytes_max {
            let message = format!("the body is longer than {bytes_max} bytes; send less at once");
            return Err(Problem::too_large(Code::RequestTooLarge, message));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn unknown(name: &str, place: &str) -> Problem {
    malformed(format!("`{name}` is no field that can stand in {place}")).with_violation(name, "not allowed here")
}

fn malformed(message: String) -> Problem {
    Problem::invalid(Code::RequestMalformed, message)
}
