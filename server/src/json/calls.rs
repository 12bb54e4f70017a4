//! The calls of the contract, as their options say.

use super::path::{Captures, Template};
use crate::failure::{Failure, Result};
use http::Method;
use http::uri::PathAndQuery;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MethodDescriptor,
};

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) template: Template,
    pub(super) rpc: MethodDescriptor,
    /// Where gRPC has it.
    pub(super) grpc: PathAndQuery,
    /// The field that the whole body is.
    pub(super) body: Option<FieldDescriptor>,
    /// The answer is a file.
    pub(super) is_file: bool,
}

/// All calls that have a form in JSON.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) all: Vec<Call>,
    pub(super) pool: DescriptorPool,
    /// The option of fields whose text is JSON.
    pub(super) json: ExtensionDescriptor,
}

/// What a path leads to.
pub(super) enum Found<'a> {
    /// This call, with what the path says.
    Call(&'a Call, Captures),
    /// Other methods than the one that was asked with.
    Methods(Vec<Method>),
    /// Nothing.
    Nothing,
}

// === impl Calls ===

impl Calls {
    /// Reads them from the compiled contract.
    ///
    /// # Errors
    /// An option that says nothing that can be served.
    pub(super) fn read() -> Result<Self> {
        let pool = DescriptorPool::decode(proto::DESCRIPTORS).map_err(Failure::refused)?;
        let option = |name: &str| {
            let found = pool.get_extension_by_name(name);
            found.ok_or_else(|| Failure::refused(format_args!("the contract lacks its option {name}")))
        };
        let (http, json) = (option("farthing.v1.http")?, option("farthing.v1.json")?);
        let mut all = Vec::new();
        for rpc in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            if rpc.options().has_extension(&http) {
                let call = Call::read(&rpc, &http);
                all.push(call.ok_or_else(|| {
                    Failure::refused(format_args!("the option `http` of {} cannot be served", rpc.full_name()))
                })?);
            }
        }
        Ok(Self { all, pool, json })
    }

    /// What answers a path. A call with a verb goes before one without, whose last field would take the verb in.
    pub(super) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let fitting = self.all.iter().filter_map(|call| Some((call, call.template.captures(path)?)));
        let mut fitting: Vec<_> = fitting.collect();
        if fitting.iter().any(|(call, _)| call.template.has_verb()) {
            fitting.retain(|(call, _)| call.template.has_verb());
        }
        if fitting.is_empty() {
            return Found::Nothing;
        }
        // What HEAD asks for is cut off below.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let methods = fitting.iter().map(|(call, _)| call.method.clone()).collect();
        let found = fitting.into_iter().find(|(call, _)| call.method == method);
        found.map_or(Found::Methods(methods), |(call, captures)| Found::Call(call, captures))
    }

    /// Whether a field's text is JSON.
    pub(super) fn is_json(&self, field: &FieldDescriptor) -> bool {
        field.options().get_extension(&self.json).as_bool() == Some(true)
    }
}

// === impl Call ===

impl Call {
    /// None where the option is no such thing.
    fn read(rpc: &MethodDescriptor, http: &ExtensionDescriptor) -> Option<Self> {
        let options = rpc.options();
        let option = options.get_extension(http);
        let option = option.as_message()?;
        let call = text(option, "call")?;
        let (method, path) = call.split_once(' ')?;
        let input = rpc.input();
        let body = match text(option, "body")?.as_str() {
            "" => None,
            name => Some(input.get_field_by_name(name).filter(|field| matches!(field.kind(), Kind::String))?),
        };
        let template = Template::parse(path)?;
        let is_one = |name: &str| input.get_field_by_name(name).is_some_and(|field| is_scalar(&field));
        let fits = template.fields().all(|(name, _)| is_one(name));
        let is_unary = !rpc.is_client_streaming() && !rpc.is_server_streaming();
        (fits && is_unary).then_some(Self {
            method: method.parse().ok()?,
            template,
            rpc: rpc.clone(),
            grpc: format!("/{}/{}", rpc.parent_service().full_name(), rpc.name()).parse().ok()?,
            body,
            is_file: option.get_field_by_name("file")?.as_bool()?,
        })
    }

    /// Whether its fields come in a body, not in the query.
    pub(super) fn has_body(&self) -> bool {
        self.method != Method::GET && self.method != Method::DELETE
    }

    /// The fields of the request that its path has not.
    pub(super) fn open_fields(&self) -> Vec<FieldDescriptor> {
        let is_open = |field: &FieldDescriptor| self.template.fields().all(|(name, _)| name != field.name());
        self.rpc.input().fields().filter(is_open).collect()
    }
}

fn text(option: &DynamicMessage, field: &str) -> Option<String> {
    Some(option.get_field_by_name(field)?.as_str()?.to_owned())
}

fn is_scalar(field: &FieldDescriptor) -> bool {
    field.cardinality() != Cardinality::Repeated && !matches!(field.kind(), Kind::Message(_))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_call_has_a_place_of_its_own() {
        let calls = Calls::read().unwrap();
        let served: BTreeSet<_> = calls.all.iter().map(|call| call.rpc.full_name().to_owned()).collect();
        let wanted = calls.pool.services().filter(|service| service.package_name() == "farthing.v1");
        // Events have a form of their own, CloudEvents.
        let wanted = wanted.filter(|service| service.name() != "IngestService");
        let wanted = wanted.flat_map(|service| service.methods().collect::<Vec<_>>());
        let missing: Vec<_> =
            wanted.map(|rpc| rpc.full_name().to_owned()).filter(|rpc| !served.contains(rpc)).collect();
        assert!(missing.is_empty(), "without the option `http`: {missing:?}");
        let places: BTreeSet<_> =
            calls.all.iter().map(|call| format!("{} {}", call.method, call.template.to_openapi())).collect();
        assert_eq!(places.len(), calls.all.len(), "two calls share a place: {places:?}");
    }

    #[test]
    fn a_verb_goes_before_an_id_that_could_hold_it() {
        let calls = Calls::read().unwrap();
        let found = |method: Method, path: &str| match calls.find(&method, path) {
            Found::Call(call, captures) => (call.rpc.name().to_owned(), captures),
            Found::Methods(methods) => (format!("{methods:?}"), Captures::new()),
            Found::Nothing => (String::new(), Captures::new()),
        };
        let id = vec![("id".to_owned(), "c/USD/2024-02-01T00:00:00Z".to_owned())];
        assert_eq!(found(Method::GET, "/v1/invoices/c/USD/2024-02-01T00:00:00Z"), ("Get".to_owned(), id.clone()));
        assert_eq!(found(Method::POST, "/v1/invoices/c/USD/2024-02-01T00:00:00Z:issue"), ("Issue".to_owned(), id));
        assert_eq!(found(Method::GET, "/v1/invoices/x:issue").0, "[POST]");
        assert_eq!(found(Method::PUT, "/v1/keys").0, "[POST, GET]");
        assert_eq!(found(Method::GET, "/v1/nothing").0, "");
    }
}
