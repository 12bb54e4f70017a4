//! Nodes to values: every key is known, every mistake is noted, and reading goes on.

use super::date::Moment;
use super::error::{Error, Errors, near};
use super::node::{Is, Key, Node};
use crate::number::Rate;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

/// Collects mistakes.
#[derive(Debug, Default)]
pub(super) struct Notes(RefCell<Vec<Error>>);

/// The keys and values of one map, whose allowed keys are known.
pub(super) struct Fields<'a> {
    notes: &'a Notes,
    path: String,
    line: usize,
    column: usize,
    entries: &'a [(Key, Node)],
}

/// A value, where it stands, and what its key is.
pub(super) struct Value<'a> {
    pub(super) notes: &'a Notes,
    pub(super) path: String,
    pub(super) node: &'a Node,
}

/// On which line each key of an entity stands; paths begin inside the entity, such as `prices.out.meter`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(BTreeMap<String, (usize, usize)>);

// === impl Notes ===

impl Notes {
    pub(super) fn add(&self, line: usize, column: usize, key: &str, message: impl Into<String>) {
        // More than are ever shown, and no more than fit memory.
        let mut notes = self.0.borrow_mut();
        if notes.len() < 10_000 {
            notes.push(Error { line, column, key: key.to_owned(), message: message.into() });
        }
    }

    pub(super) fn done(self) -> Result<(), Errors> {
        let errors = self.0.into_inner();
        if errors.is_empty() { Ok(()) } else { Err(Errors::new(errors)) }
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// The keys of a map, those not allowed noted.
    pub(super) fn open(value: &Value<'a>, allowed: &[&str]) -> Option<Self> {
        let Is::Map(entries) = &value.node.is else {
            value.refuse(format!(
                "found {}; allowed are keys and values: {}",
                value.node.is.words(),
                allowed.join(", ")
            ));
            return None;
        };
        for (key, _) in entries.iter().filter(|(key, _)| !allowed.contains(&key.text.as_str())) {
            let near = match near(&key.text, allowed.iter().copied()) {
                near if near.is_empty() => format!("; allowed are {}", allowed.join(", ")),
                near => near,
            };
            let found: String = key.text.chars().take(64).collect();
            value.notes.add(key.line, key.column, &value.path, format!("unknown key '{found}'{near}"));
        }
        let Node { line, column, .. } = *value.node;
        Some(Self { notes: value.notes, path: value.path.clone(), line, column, entries })
    }

    /// Goes by this name from here on, as entities of lists go by their id.
    pub(super) fn rename(&mut self, path: String) {
        self.path = path;
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// A key's value, unless it is absent or nothing.
    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        let (_, node) = self.entries.iter().find(|(known, _)| known.text == key)?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        (node.is != Is::Null).then_some(Value { notes: self.notes, path, node })
    }

    /// The same for a key that must be there.
    pub(super) fn need(&self, key: &str, allowed: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.refuse(format!("'{key}' is missing; write {allowed}"));
        }
        value
    }

    pub(super) fn text(&self, key: &str) -> Option<Arc<str>> {
        self.get(key)?.name()
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse()
    }

    /// A number: the same, with underscores between its digits.
    pub(super) fn number<T: FromStr<Err: Display>>(&self, key: &str) -> Option<T> {
        self.get(key)?.number()
    }

    /// A whole number, not below zero.
    pub(super) fn whole<T: FromStr>(&self, key: &str) -> Option<T> {
        let value = self.get(key)?;
        let text = value.text()?;
        let whole = plain_digits(text).parse().ok();
        if whole.is_none() {
            let found: String = text.chars().take(64).collect();
            value.refuse(format!("found '{found}'; write a whole number from 0 on, such as 14"));
        }
        whole
    }

    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        self.get(key)?.word(words)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.word(key, &[("true", true), ("false", false)]).unwrap_or(false)
    }

    pub(super) fn moment(&self, key: &str) -> Option<Moment> {
        self.parse(key)
    }

    /// The items of a list, none where the key is absent.
    pub(super) fn list(&self, key: &str) -> Vec<Value<'a>> {
        self.get(key).map(|value| value.list()).unwrap_or_default()
    }

    /// True where the key is there at all.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().filter(|(_, node)| node.is != Is::Null).map(|(key, _)| key.text.as_str())
    }

    /// Notes a mistake of the map itself.
    pub(super) fn refuse(&self, message: impl Into<String>) {
        self.notes.add(self.line, self.column, &self.path, message);
    }
}

// === impl Value ===

impl<'a> Value<'a> {
    pub(super) fn refuse(&self, message: impl Into<String>) {
        self.notes.add(self.node.line, self.node.column, &self.path, message);
    }

    /// The text as written.
    pub(super) fn text(&self) -> Option<&'a str> {
        match &self.node.is {
            Is::Text(text) => Some(text),
            other => {
                self.refuse(format!("found {}; allowed is one value", other.words()));
                None
            }
        }
    }

    /// Text for people or of events, not empty.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        let text = self.text()?;
        if text.trim().is_empty() || text.len() > 1024 {
            self.refuse(format!("found {} bytes; allowed are 1 to 1024, or leave the key out", text.len()));
            return None;
        }
        Some(Arc::from(text))
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.text()?.parse().map_err(|error: T::Err| self.refuse(error.to_string())).ok()
    }

    pub(super) fn number<T: FromStr<Err: Display>>(&self) -> Option<T> {
        plain_digits(self.text()?).parse().map_err(|error: T::Err| self.refuse(error.to_string())).ok()
    }

    /// A fraction of one: `0.19` or `19%`.
    pub(super) fn rate(&self) -> Option<Rate> {
        Rate::parse_share(&plain_digits(self.text()?)).map_err(|error| self.refuse(error.to_string())).ok()
    }

    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let found = self.text()?;
        let known = words.iter().find(|(word, _)| *word == found).map(|(_, meaning)| *meaning);
        if known.is_none() {
            let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let found: String = found.chars().take(64).collect();
            let near = near(&found, allowed.iter().copied());
            self.refuse(format!("found '{found}'; allowed are {}{near}", allowed.join(", ")));
        }
        known
    }

    pub(super) fn list(&self) -> Vec<Value<'a>> {
        let Is::List(items) = &self.node.is else {
            self.refuse(format!("found {}; allowed is a list, such as [...]", self.node.is.words()));
            return Vec::new();
        };
        let item = |(at, node)| Value { notes: self.notes, path: format!("{}[{}]", self.path, at + 1), node };
        items.iter().enumerate().map(item).collect()
    }

    /// Names and values, whatever the names are.
    pub(super) fn map(&self) -> Vec<(&'a Key, Value<'a>)> {
        let Is::Map(entries) = &self.node.is else {
            self.refuse(format!(
                "found {}; allowed are names and values, such as {{name: value}}",
                self.node.is.words()
            ));
            return Vec::new();
        };
        let entry = |(key, node): &'a (Key, Node)| {
            (key, Value { notes: self.notes, path: format!("{}.{}", self.path, key.text), node })
        };
        entries.iter().map(entry).collect()
    }
}

/// Without the underscores that stand between two digits; any other stays, and is refused as no number.
fn plain_digits(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let between = |at: usize| digit(at.checked_sub(1)) && digit(at.checked_add(1));
    text.char_indices().filter(|&(at, c)| c != '_' || !between(at)).map(|(_, c)| c).collect()
}

// === impl Places ===

impl Places {
    pub(super) fn of(node: &Node) -> Self {
        let mut places = Self::default();
        places.walk(node, "");
        places
    }

    fn walk(&mut self, node: &Node, path: &str) {
        self.0.insert(path.to_owned(), (node.line, node.column));
        let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match &node.is {
            Is::Null | Is::Text(_) => {}
            Is::Map(entries) => entries.iter().for_each(|(key, value)| self.walk(value, &join(&key.text))),
            Is::List(items) => items.iter().filter_map(|item| Some((item, id(item)?))).for_each(|(item, id)| {
                self.walk(item, &join(id));
            }),
        }
    }

    /// Where a key stands, or else what it stands in.
    pub(super) fn at(&self, path: &str) -> (usize, usize) {
        let mut path = path;
        loop {
            match (self.0.get(path), path.rsplit_once('.')) {
                (Some(place), _) => return *place,
                (None, Some((outer, _))) => path = outer,
                (None, None) => return self.0.get("").copied().unwrap_or((0, 0)),
            }
        }
    }
}

/// An entity's id, if the node has one.
pub(super) fn id(node: &Node) -> Option<&str> {
    let Is::Map(entries) = &node.is else { return None };
    match &entries.iter().find(|(key, _)| key.text == "id")?.1.is {
        Is::Text(text) => Some(text),
        _ => None,
    }
}
