//! Messages as JSON schemas, with the contract's comments.

use super::calls::Calls;
use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Collects the schemas of messages that others refer to.
pub(super) struct Schemas<'a> {
    calls: &'a Calls,
    pub(super) named: BTreeMap<String, Json>,
}

// === impl Schemas ===

impl<'a> Schemas<'a> {
    pub(super) fn new(calls: &'a Calls) -> Self {
        Self { calls, named: BTreeMap::new() }
    }

    /// A reference to a message of answers.
    pub(super) fn reference(&mut self, of: &MessageDescriptor) -> Json {
        let name = of.full_name().trim_start_matches("farthing.v1.").replace('.', "");
        if !self.named.contains_key(&name) {
            // It stands there before its fields are looked at: one of them may lead back to it.
            self.named.insert(name.clone(), Json::Null);
            let mut schema = self.object(of.fields(), true);
            describe(&mut schema, &comment(&of.parent_file(), of.path()));
            self.named.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// An object of these fields. In answers all are there that can be; in requests none has to be, and no other may.
    pub(super) fn object(&mut self, fields: impl Iterator<Item = FieldDescriptor>, is_answer: bool) -> Json {
        let (mut properties, mut required) = (serde_json::Map::new(), Vec::new());
        for field in fields {
            if !field.supports_presence() {
                required.push(field.name().to_owned());
            }
            properties.insert(field.name().to_owned(), self.field(&field));
        }
        let mut schema = json!({ "type": "object", "properties": properties });
        if is_answer && !required.is_empty() {
            schema["required"] = required.into();
        }
        if !is_answer {
            schema["additionalProperties"] = false.into();
        }
        schema
    }

    /// A field with its comment.
    pub(super) fn field(&mut self, field: &FieldDescriptor) -> Json {
        let mut schema = if field.is_map() {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        } else if field.is_list() {
            let item = self.one(field);
            json!({ "type": "array", "items": item })
        } else {
            self.one(field)
        };
        describe(&mut schema, &field_comment(field));
        schema
    }

    fn one(&mut self, field: &FieldDescriptor) -> Json {
        if self.calls.is_json(field) {
            return json!({ "type": ["object", "null"], "additionalProperties": true });
        }
        match field.kind() {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
            // As text: JSON's numbers are floats to many readers.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": "string", "pattern": "^-?[0-9]{1,19}$" }),
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "pattern": "^[0-9]{1,20}$" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Enum(of) => json!({ "type": "string", "enum": words(&of) }),
            Kind::Message(of) if of.full_name() == "google.protobuf.Timestamp" => {
                json!({ "type": "string", "format": "date-time" })
            }
            Kind::Message(of) => self.reference(&of),
            Kind::String | Kind::Float | Kind::Double => json!({ "type": "string" }),
        }
    }
}

fn words(of: &EnumDescriptor) -> Vec<String> {
    of.values().map(|value| value.name().to_owned()).collect()
}

/// What stands above a field.
pub(super) fn field_comment(field: &FieldDescriptor) -> String {
    comment(&field.parent_message().parent_file(), field.path())
}

/// What stands above something in the contract, as one paragraph each.
pub(super) fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let found = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let text = found.and_then(|location| location.leading_comments.as_deref()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join(" ").trim().to_owned()
}

fn describe(schema: &mut Json, comment: &str) {
    if !comment.is_empty() {
        // Beside a reference, too: that is allowed since OpenAPI 3.1.
        schema["description"] = comment.into();
    }
}
