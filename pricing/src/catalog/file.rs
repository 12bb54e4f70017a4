//! A catalog file, read and checked as far as it can be alone.

use super::entity::{Credit, Customer, Kind, Seller, Subscribe, Tax};
use super::error::Errors;
use super::node::{self, Node};
use super::read_meter::{self, SomeSettings};
use super::reader::{self, Fields, Notes, Places, Value};
use super::{read_party, read_plan};
use crate::id::TenantId;
use crate::meter::Meter;
use crate::plan::PlanVersion;
use std::collections::BTreeMap;

/// What a file declares, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// For whom; whoever applies it may know, where the file does not say.
    pub tenant: Option<TenantId>,
    /// The settings that it names.
    pub(super) settings: SomeSettings,
    /// Meters.
    pub meters: Vec<Declared<Meter>>,
    /// Plans: version 0, their meters not frozen yet.
    pub plans: Vec<Declared<PlanVersion>>,
    /// Sellers.
    pub sellers: Vec<Declared<Seller>>,
    /// Taxes.
    pub taxes: Vec<Declared<Tax>>,
    /// Customers.
    pub customers: Vec<Declared<Customer>>,
    /// Subscriptions.
    pub subscriptions: Vec<Declared<Subscribe>>,
    /// Credits.
    pub credits: Vec<Declared<Credit>>,
    /// True for a file; false for a single entry, which no file answers for.
    pub(super) whole: bool,
}

/// An entity of a file, which knows its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared<T> {
    /// The entity.
    pub is: T,
    pub(super) places: Places,
}

const KEYS: [&str; 11] = [
    "apiVersion",
    "tenant",
    "limits",
    "billing",
    "meters",
    "plans",
    "sellers",
    "taxes",
    "customers",
    "subscriptions",
    "credits",
];

impl File {
    /// Reads a file, YAML or JSON.
    ///
    /// # Errors
    /// All its mistakes, up to a bound; of text that is no YAML the first.
    pub fn parse(text: &str) -> Result<Self, Errors> {
        let root = node::parse(text)?;
        let notes = Notes::default();
        let file = read(&root, &notes);
        notes.done()?;
        file.ok_or_else(|| Errors::one(1, 1, "this is no catalog file"))
    }

    /// Reads one entry of a file's list, such as a customer, alone.
    ///
    /// # Errors
    /// All its mistakes; a kind that has no list.
    pub fn parse_entry(kind: Kind, text: &str) -> Result<Self, Errors> {
        let root = node::parse(text)?;
        let notes = Notes::default();
        let value = Value { notes: &notes, path: String::new(), node: &root };
        let mut file = Self::default();
        match kind {
            Kind::Settings => value.refuse("settings are declared by files only"),
            Kind::Meter => file.meters = one(&value, read_meter::meter),
            Kind::Plan => file.plans = one(&value, read_plan::plan),
            Kind::Seller => file.sellers = one(&value, read_party::seller),
            Kind::Tax => file.taxes = one(&value, read_party::tax),
            Kind::Customer => file.customers = one(&value, read_party::customer),
            Kind::Subscription => file.subscriptions = one(&value, read_party::subscription),
            Kind::Credit => file.credits = one(&value, read_party::credit),
        }
        notes.done().map(|()| file)
    }
}

fn read(root: &Node, notes: &Notes) -> Option<File> {
    let root = Value { notes, path: String::new(), node: root };
    let fields = Fields::open(&root, &KEYS)?;
    read_party::api_version(&fields);
    Some(File {
        tenant: fields.parse("tenant"),
        settings: read_meter::settings(&fields),
        meters: all(&fields, "meters", read_meter::meter),
        plans: all(&fields, "plans", read_plan::plan),
        sellers: all(&fields, "sellers", read_party::seller),
        taxes: all(&fields, "taxes", read_party::tax),
        customers: all(&fields, "customers", read_party::customer),
        subscriptions: all(&fields, "subscriptions", read_party::subscription),
        credits: all(&fields, "credits", read_party::credit),
        whole: true,
    })
}

fn one<T>(value: &Value<'_>, read: impl Fn(&Value<'_>) -> Option<T>) -> Vec<Declared<T>> {
    read(value).map(|is| Declared { is, places: Places::of(value.node) }).into_iter().collect()
}

fn all<T>(fields: &Fields<'_>, key: &str, read: impl Fn(&Value<'_>) -> Option<T>) -> Vec<Declared<T>> {
    let mut known = BTreeMap::new();
    let mut items = Vec::new();
    for value in fields.list(key) {
        if let Some(id) = reader::id(value.node)
            && let Some(first) = known.insert(id, value.node.line)
        {
            value.refuse(format!("id '{id}' is taken by line {first}; ids differ"));
        }
        items.extend(one(&value, &read));
    }
    items
}
