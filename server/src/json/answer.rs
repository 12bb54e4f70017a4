//! An answer's way out: a message becomes JSON.
//!
//! As proto3 says: 64-bit integers are text, times RFC 3339, enums names, bytes base64. Fields have the contract's own names,
//! and those that are empty are there, too; only a message that is absent is left out. Where a field's text is JSON, it stands
//! in the answer byte for byte: amounts and hashes of documents are never read as numbers on the way.

use super::calls::Calls;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage, SerializeOptions};
use serde_json::Value as Json;

const OPTIONS: SerializeOptions = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);

/// The JSON of a message.
///
/// # Errors
/// A time that no date can be.
pub(super) fn to_json(calls: &Calls, message: &DynamicMessage) -> Result<String, serde_json::Error> {
    let value = message.serialize_with_options(serde_json::value::Serializer, &OPTIONS)?;
    let mut out = String::new();
    write(calls, &value, &message.descriptor(), &mut out);
    Ok(out)
}

fn write(calls: &Calls, value: &Json, of: &MessageDescriptor, out: &mut String) {
    let Json::Object(object) = value else { return out.push_str(&value.to_string()) };
    out.push('{');
    for (at, (name, value)) in object.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        out.push_str(&Json::from(name.as_str()).to_string());
        out.push(':');
        match of.get_field_by_name(name) {
            Some(field) if calls.is_json(&field) => each(value, out, &|value, out| match value.as_str() {
                None | Some("") => out.push_str("null"),
                Some(text) => out.push_str(text),
            }),
            Some(field) if !field.is_map() => match field.kind() {
                Kind::Message(of) => each(value, out, &|value, out| write(calls, value, &of, out)),
                _ => out.push_str(&value.to_string()),
            },
            _ => out.push_str(&value.to_string()),
        }
    }
    out.push('}');
}

/// Writes one value, or each of a list.
fn each(value: &Json, out: &mut String, write: &dyn Fn(&Json, &mut String)) {
    let Json::Array(list) = value else { return write(value, out) };
    out.push('[');
    for (at, value) in list.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        write(value, out);
    }
    out.push(']');
}
