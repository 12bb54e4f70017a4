//! The OpenAPI file: made of the contract, so that it cannot say anything else.

use super::calls::{Call, Calls};
use super::schema::{Schemas, comment, field_comment};
use crate::failure::{Failure, Result};
use prost_reflect::{FieldDescriptor, MessageDescriptor, ServiceDescriptor};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// What is true of every call.
const ABOUT: &str = "Usage billing: events in, invoices out.

Every call names a key: `Authorization: Bearer KEY`. A tenant's key acts for its tenant; the installation's admin key names \
the tenant in the header `farthing-tenant`.

Amounts and quantities are exact decimal text, 64-bit integers are text, times are RFC 3339. Unknown fields are refused. Ids \
are the caller's, so making a thing twice is harmless. Lists take `page_size` and `page_token`, and give `next_page_token`, \
which is empty on the last page. Ids of bills hold slashes: in a path they may stand as they are, or as `%2F`.

An answer that says no has a body of one form, `Error`; docs/errors.md lists the codes. Only 429 and 503 may be sent again \
as they are, after the time in `Retry-After`.";

/// What is none of the contract's: the path of events, which come as CloudEvents.
const EVENTS: &str = include_str!("events.json");

#[derive(serde::Deserialize)]
struct Events {
    paths: Map<String, Json>,
    schemas: Map<String, Json>,
}

/// The whole file.
///
/// # Errors
/// The contract's options cannot be served.
pub(crate) fn document() -> Result<String> {
    let calls = Calls::read()?;
    let mut schemas = Schemas::new(&calls);
    let Events { mut paths, schemas: mut named } = serde_json::from_str(EVENTS).map_err(Failure::refused)?;
    let mut services: Vec<ServiceDescriptor> = Vec::new();
    for call in &calls.all {
        let path = paths.entry(call.template.to_openapi()).or_insert_with(|| json!({}));
        path[call.method.as_str().to_lowercase()] = operation(&mut schemas, call);
        let service = call.rpc.parent_service();
        if !services.contains(service) {
            services.push(service.clone());
        }
    }
    let mut tags = vec![json!({ "name": "Events", "description": "Reports of use, as CloudEvents." })];
    tags.extend(services.iter().map(
        |service| json!({ "name": tag(service), "description": comment(&service.parent_file(), service.path()) }),
    ));
    if let Some(rejection) = calls.pool.get_message_by_name("farthing.v1.Rejection") {
        schemas.reference(&rejection);
    }
    named.extend(schemas.named);
    named.insert("Error".to_owned(), error());
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Farthing",
            "version": "v1",
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The server that gave this file." }],
        "security": [{ "key": [] }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer", "description": "`farthing keys create` makes one." } },
            "parameters": { "tenant": tenant() },
            "responses": { "Refused": refused() },
            "schemas": named,
        },
    });
    let text = serde_json::to_string_pretty(&document).map_err(Failure::refused)?;
    Ok(text + "\n")
}

fn operation(schemas: &mut Schemas<'_>, call: &Call) -> Json {
    let about = comment(&call.rpc.parent_service().parent_file(), call.rpc.path());
    let mut parameters = vec![json!({ "$ref": "#/components/parameters/tenant" })];
    for (name, takes_slashes) in call.template.fields() {
        if let Some(field) = call.rpc.input().get_field_by_name(name) {
            parameters.push(path_parameter(schemas, &field, takes_slashes));
        }
    }
    let open = call.open_fields();
    let mut operation = json!({
        "operationId": format!("{}_{}", tag(call.rpc.parent_service()), call.rpc.name()),
        "summary": summary(&about),
        "description": about,
        "tags": [tag(call.rpc.parent_service())],
        "responses": {
            "200": answer(schemas, call),
            "4XX": { "$ref": "#/components/responses/Refused" },
            "5XX": { "$ref": "#/components/responses/Refused" },
        },
    });
    if let Some(field) = &call.body {
        let schema = json!({ "type": "object", "additionalProperties": true, "description": field_comment(field) });
        operation["requestBody"] = body(&schema, true);
    } else if call.has_body() && !open.is_empty() {
        let schema = schemas.object(open.into_iter(), false);
        operation["requestBody"] = body(&schema, false);
    } else {
        parameters.extend(open.iter().map(|field| query_parameter(schemas, field)));
    }
    operation["parameters"] = parameters.into();
    operation
}

/// `Invoice` of `InvoiceService`.
fn tag(service: &ServiceDescriptor) -> &str {
    service.name().trim_end_matches("Service")
}

/// The first sentence, without its full stop.
fn summary(about: &str) -> &str {
    let end = [". ", ": ", "; "].iter().filter_map(|end| about.find(end)).min().unwrap_or(about.len());
    about[..end].trim_end_matches('.')
}

fn body(schema: &Json, is_required: bool) -> Json {
    json!({ "required": is_required, "content": { "application/json": { "schema": schema } } })
}

fn answer(schemas: &mut Schemas<'_>, call: &Call) -> Json {
    let output: MessageDescriptor = call.rpc.output();
    if call.is_file {
        let content = json!({ "*/*": { "schema": {} } });
        return json!({ "description": "The file, as the type that its format has.", "content": content });
    }
    let content = json!({ "application/json": { "schema": schemas.reference(&output) } });
    json!({ "description": "Done.", "content": content })
}

fn path_parameter(schemas: &mut Schemas<'_>, field: &FieldDescriptor, takes_slashes: bool) -> Json {
    let mut about = field_comment(field);
    if takes_slashes {
        about = format!("{about} Slashes may stand as they are, or as `%2F`.").trim().to_owned();
    }
    let mut schema = schemas.field(field);
    if schema["type"] == "string" {
        schema["minLength"] = 1.into();
    }
    parameter(field, "path", true, about, schema)
}

fn query_parameter(schemas: &mut Schemas<'_>, field: &FieldDescriptor) -> Json {
    let mut parameter = parameter(field, "query", false, field_comment(field), schemas.field(field));
    if field.is_map() {
        parameter["style"] = "deepObject".into();
        parameter["explode"] = true.into();
    }
    parameter
}

fn parameter(field: &FieldDescriptor, place: &str, is_required: bool, about: String, mut schema: Json) -> Json {
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("description");
    }
    let mut parameter = json!({ "name": field.name(), "in": place, "required": is_required, "schema": schema });
    if !about.is_empty() {
        parameter["description"] = about.into();
    }
    parameter
}

fn tenant() -> Json {
    json!({
        "name": proto::status::TENANT_KEY,
        "in": "header",
        "required": false,
        "description": "For which tenant the installation's admin key acts.",
        "schema": { "type": "string" },
    })
}

fn refused() -> Json {
    let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } });
    json!({ "description": "Refused; nothing was changed unless the code says that this is not known.", "content": content })
}

fn error() -> Json {
    let codes: BTreeSet<&str> = proto::code::Code::ALL.iter().map(|code| code.as_str()).collect();
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "description": "Why a call was refused.",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": { "type": "string", "description": "Stable, and listed in docs/errors.md.", "examples": codes },
                "message": { "type": "string", "description": "What was found, what is allowed, what to do." },
                "fields": {
                    "type": "array",
                    "description": "The fields that are wrong, where any are named.",
                    "items": { "type": "object", "required": ["field", "message"], "properties": { "field": text, "message": text } },
                },
                "retry_after_ms": { "type": "integer", "minimum": 0, "description": "When the same request may be sent again." },
            },
        } },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    /// Written anew where the variable is set.
    #[test]
    fn the_file_in_docs_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let made = super::document().unwrap();
        if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
            std::fs::write(path, &made).unwrap();
        }
        let stands = std::fs::read_to_string(path).unwrap_or_default();
        assert!(stands == made, "docs/openapi.json is old: `farthing openapi > docs/openapi.json` makes it anew");
    }
}
