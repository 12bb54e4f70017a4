//! Who is to blame for a mistake: an entity, by its place in the file where it has one.

use super::reader::{Notes, Places};

/// Where a mistake of an entity is noted.
#[derive(Clone)]
pub(super) struct Blame<'a> {
    path: String,
    places: Option<&'a Places>,
}

impl<'a> Blame<'a> {
    /// For an entity of the file.
    pub(super) fn of(list: &str, id: impl std::fmt::Display, places: &'a Places) -> Self {
        Self { path: format!("{list}.{id}"), places: Some(places) }
    }

    /// For what the file does not name.
    pub(super) fn nothing(path: String) -> Self {
        Self { path, places: None }
    }

    pub(super) fn line(&self) -> usize {
        self.places.map_or(0, |places| places.at("").0)
    }

    pub(super) fn note(&self, notes: &Notes, key: &str, message: impl Into<String>) {
        let (line, column) = self.places.map_or((0, 0), |places| places.at(key));
        let path = if key.is_empty() { self.path.clone() } else { format!("{}.{key}", self.path) };
        notes.add(line, column, &path, message);
    }
}
