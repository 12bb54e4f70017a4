//! Properties that filter events and that split a meter's quantity.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The values of a meter's `group_by` properties for one event, ordered by name; empty for a meter without groups. A
/// property that the event has not got is the empty text. Ordered by bytes; in JSON an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(pub Arc<[(Arc<str>, Arc<str>)]>);

/// Which events count: every named property has one of the named values. Empty admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Filter(pub BTreeMap<Arc<str>, Vec<Arc<str>>>);

impl Filter {
    /// True when the properties, looked up by name, pass.
    pub fn admits<'a>(&self, property: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|(name, values)| property(name).is_some_and(|found| values.iter().any(|value| &**value == found)))
    }
}

impl serde::Serialize for Group {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (&**name, &**value)))
    }
}

impl<'de> serde::Deserialize<'de> for Group {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<Arc<str>, Arc<str>>::deserialize(deserializer)?;
        Ok(Self(map.into_iter().collect()))
    }
}
