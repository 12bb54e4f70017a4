//! Properties that filter events and that split a meter's quantity.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The values of a meter's `group_by` properties for one event, ordered by name; empty for a meter without groups. A
/// property that the event has not got is the empty text. Ordered by bytes; in JSON an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(pub Arc<[(Arc<str>, Arc<str>)]>);

/// Which events count: every named property has one of the named values. Empty admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Filter(pub BTreeMap<Arc<str>, Vec<Arc<str>>>);

impl Group {
    /// The group of an event whose properties are looked up by name; `names` are ordered by bytes.
    pub fn of<'a>(names: &[Arc<str>], property: impl Fn(&str) -> Option<&'a str>) -> Self {
        if names.is_empty() {
            return Self::default();
        }
        Self(names.iter().map(|name| (name.clone(), Arc::from(property(name).unwrap_or_default()))).collect())
    }

    /// True when an event with these properties belongs to this group: [`Group::of`] without making one.
    pub fn holds<'a>(&self, property: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|(name, value)| property(name).unwrap_or_default() == &**value)
    }

    /// How this group is ordered against that of an event with these properties, for a search that makes no [`Group`].
    /// Both must have the same names.
    pub fn cmp_event<'a>(&self, property: impl Fn(&str) -> Option<&'a str>) -> std::cmp::Ordering {
        self.0.iter().map(|(_, value)| &**value).cmp(self.0.iter().map(|(name, _)| property(name).unwrap_or_default()))
    }

    /// True for a meter without groups.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of one of its properties.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| &**known == name).map(|(_, value)| &**value)
    }
}

impl Filter {
    /// True when the properties, looked up by name, pass.
    pub fn admits<'a>(&self, property: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0
            .iter()
            .all(|(name, values)| property(name).is_some_and(|found| values.iter().any(|value| &**value == found)))
    }
}

/// For people: `model=large, region=eu`.
impl fmt::Display for Group {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(out, "{comma}{name}={value}")?;
        }
        Ok(())
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
