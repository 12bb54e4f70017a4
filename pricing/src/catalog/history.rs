//! What became of an entity: a plan's versions as files would declare them, and what each of them changed.

use super::entity::{Entity, Plan};
use super::{describe, tree};

/// One version of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counts from 1.
    pub number: u32,
    /// The entry of a catalog file that declares it.
    pub file: String,
    /// What differs from the version before, one line each; none for the first.
    pub changes: Vec<String>,
}

impl Plan {
    /// Its versions, newest first.
    pub fn history(&self) -> Vec<Version> {
        let trees: Vec<_> =
            self.versions.iter().map(|version| (version.plan.version, describe::plan(version))).collect();
        let of = |at: usize| -> Option<Version> {
            let (number, tree) = trees.get(at)?;
            let before = at.checked_sub(1).and_then(|before| trees.get(before));
            let mut file = String::new();
            tree::Tree::List(vec![tree.clone()]).block(0, &mut file);
            let changes = before.map(|(_, before)| tree::differences(before, tree)).unwrap_or_default();
            Some(Version { number: *number, file: file.trim_start_matches('\n').to_owned(), changes })
        };
        (0..trees.len()).rev().filter_map(of).collect()
    }
}

/// What differs between two states of an entity, one line each.
pub fn differences(before: &Entity, after: &Entity) -> Vec<String> {
    tree::differences(&describe::entity(before), &describe::entity(after))
}
