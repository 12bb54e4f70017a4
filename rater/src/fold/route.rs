//! Which columns of an event each price reads: worked out once for a plan, event type and set of property names.
//!
//! Nothing here is state: all of it can be thrown away at any time.

use super::catalog::{Plan, Priced};
use pricing::curve::Curve;
use pricing::group::Filter;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of routes beyond which they are worked out anew; of names, too, but only between records.
const BYTES_MAX: usize = 16 << 20;
/// What an entry of a map takes beside its key's text.
const ENTRY_BYTES: usize = 64;

/// What was worked out.
#[derive(Default)]
pub(super) struct Cache {
    types: HashMap<Box<str>, u32>,
    shapes: HashMap<Box<[u8]>, u32>,
    found: HashMap<(u32, u32, u32), u32>,
    routes: Vec<Box<[Routed]>>,
    latest: Option<((u32, u32, u32), u32)>,
    key: Vec<u8>,
    /// About how many bytes types and shapes take.
    names_bytes: usize,
    /// About how many bytes routes take.
    routes_bytes: usize,
}

/// What tells routes of one plan apart, good until the record ends.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    event_type: u32,
    shape: u32,
}

/// A price that reads the type.
pub(super) struct Routed {
    /// Which of the plan's prices.
    pub(super) price: usize,
    /// The column of the value.
    pub(super) value: Option<usize>,
    pub(super) is_weighted: bool,
    /// The columns of the group's properties, in their order.
    pub(super) group_by: Box<[Option<usize>]>,
    filter: Columns,
}

/// A filter over columns.
pub(super) struct Columns(Box<[(Column, Vec<Arc<str>>)]>);

/// A property's place among an event's values; none where the event has not got it.
type Column = Option<usize>;

// === impl Cache ===

impl Cache {
    /// Makes room before a record, so that what it resolves stays good until its end.
    pub(super) fn begin(&mut self) {
        if self.names_bytes > BYTES_MAX {
            *self = Self::default();
        }
    }

    /// About how many bytes it takes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.names_bytes + self.routes_bytes
    }

    /// Resolves a type and a shape.
    pub(super) fn kind(&mut self, event_type: &str, names: &[&str]) -> Kind {
        Kind { event_type: self.event_type(event_type), shape: self.shape(names) }
    }

    fn event_type(&mut self, event_type: &str) -> u32 {
        if let Some(known) = self.types.get(event_type) {
            return *known;
        }
        let number = u32::try_from(self.types.len()).unwrap_or(u32::MAX);
        self.types.insert(Box::from(event_type), number);
        self.names_bytes += event_type.len() + ENTRY_BYTES;
        number
    }

    fn shape(&mut self, names: &[&str]) -> u32 {
        self.key.clear();
        for name in names {
            self.key.extend_from_slice(&name.len().to_le_bytes());
            self.key.extend_from_slice(name.as_bytes());
        }
        if let Some(known) = self.shapes.get(&*self.key) {
            return *known;
        }
        let number = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
        self.shapes.insert(Box::from(&*self.key), number);
        self.names_bytes += self.key.len() + ENTRY_BYTES;
        number
    }

    /// The plan's prices that read events of this kind.
    #[inline]
    pub(super) fn route(&mut self, plan: &Plan, kind: Kind, event_type: &str, names: &[&str]) -> &[Routed] {
        let key = (plan.number, kind.event_type, kind.shape);
        let at = match self.latest {
            Some((latest, at)) if latest == key => at,
            _ => {
                let at = self.find(key, plan, event_type, names);
                self.latest = Some((key, at));
                at
            }
        };
        usize::try_from(at).ok().and_then(|at| self.routes.get(at)).map_or(&[], |route| route)
    }

    fn find(&mut self, key: (u32, u32, u32), plan: &Plan, event_type: &str, names: &[&str]) -> u32 {
        if let Some(at) = self.found.get(&key) {
            return *at;
        }
        if self.routes_bytes > BYTES_MAX {
            // The numbers of types and shapes stay good until the record ends; what they lead to is found again.
            self.found.clear();
            self.routes.clear();
            (self.latest, self.routes_bytes) = (None, 0);
        }
        let reads = plan.prices.iter().enumerate().filter(|(_, priced)| &*priced.meter.event == event_type);
        let route: Box<[Routed]> = reads.map(|(price, priced)| Routed::new(price, priced, names)).collect();
        self.routes_bytes += ENTRY_BYTES + route.iter().map(Routed::bytes).sum::<usize>();
        let at = u32::try_from(self.routes.len()).unwrap_or(u32::MAX);
        self.routes.push(route);
        self.found.insert(key, at);
        at
    }
}

// === impl Routed ===

impl Routed {
    fn new(price: usize, priced: &Priced, names: &[&str]) -> Self {
        let value = priced.meter.value.as_ref().and_then(|value| column(names, value));
        let group_by = priced.meter.group_by.iter().map(|name| column(names, name)).collect();
        let filter = Columns::new(&priced.meter.filter, names);
        Self { price, value, is_weighted: priced.is_weighted, group_by, filter }
    }

    /// About how many bytes it takes; the text of its filter belongs to the plan.
    fn bytes(&self) -> usize {
        let columns = self.filter.0.iter().map(|(_, allowed)| ENTRY_BYTES + size_of_val(allowed.as_slice()));
        size_of::<Self>() + size_of_val(&*self.group_by) + columns.sum::<usize>()
    }

    #[inline]
    pub(super) fn admits(&self, values: &[&str]) -> bool {
        self.filter.admits(values)
    }
}

// === impl Columns ===

impl Columns {
    fn new(filter: &Filter, names: &[&str]) -> Self {
        Self(filter.0.iter().map(|(name, values)| (column(names, name), values.clone())).collect())
    }

    #[inline]
    fn admits(&self, values: &[&str]) -> bool {
        self.0.iter().all(|(column, allowed)| {
            column
                .and_then(|column| values.get(column))
                .is_some_and(|found| allowed.iter().any(|value| **value == **found))
        })
    }
}

fn column(names: &[&str], name: &str) -> Option<usize> {
    names.iter().position(|known| *known == name)
}

// === impl Priced ===

impl Priced {
    /// True where the curve in force is a table, whose rows are summed each for itself.
    #[inline]
    pub(super) fn is_table(&self, replacement: Option<&Curve>) -> bool {
        matches!(replacement.unwrap_or(&self.price.curve), Curve::Dimensional { .. })
    }
}
