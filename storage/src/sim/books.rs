//! Books in memory.

use super::faults::Faults;
use super::lock;
use crate::books::{AuditEntry, Commit, Document, DocumentKey, Error, Expect, ListQuery, Put};
use async_trait::async_trait;
use pricing::id::TenantId;
use pricing::time::Instant;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The books.
#[derive(Debug)]
pub struct Books {
    state: Mutex<State>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<DocumentKey, (Document, Vec<(String, String)>)>,
    /// Revisions of documents that were removed go on from where they were.
    removed: BTreeMap<DocumentKey, u64>,
    audit: Vec<AuditEntry>,
    revision: u64,
    leases: BTreeMap<String, (String, Instant)>,
}

// === impl Books ===

impl Books {
    /// Empty books.
    pub fn new(faults: Faults) -> Self {
        Self { state: Mutex::default(), faults }
    }

    async fn readable(&self) -> Result<(), Error> {
        let fate = self.faults.read();
        fate.wait().await;
        if fate.refused { Err(unavailable("refused by the simulation")) } else { Ok(()) }
    }
}

fn unavailable(reason: &str) -> Error {
    Error::Unavailable { reason: reason.to_owned() }
}

#[async_trait]
impl crate::books::Books for Books {
    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>, Error> {
        self.readable().await?;
        Ok(lock(&self.state).documents.get(key).map(|(document, _)| document.clone()))
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Document>, Error> {
        self.readable().await?;
        let state = lock(&self.state);
        let fits = |document: &&(Document, Vec<(String, String)>)| {
            let (key, tags) = (&document.0.key, &document.1);
            let after = query.after.as_ref();
            key.tenant == query.tenant
                && key.collection == query.collection
                && query.tags.iter().all(|tag| tags.contains(tag))
                && query.prefix.as_ref().is_none_or(|prefix| key.id.starts_with(prefix))
                && after.is_none_or(|after| if query.descending { key.id < *after } else { key.id > *after })
        };
        let mut found: Vec<Document> =
            state.documents.values().filter(fits).map(|(document, _)| document.clone()).collect();
        if query.descending {
            found.reverse();
        }
        found.truncate(query.count_max);
        Ok(found)
    }

    async fn commit(&self, commit: Commit) -> Result<(), Error> {
        let fate = self.faults.write();
        fate.wait().await;
        if fate.refused || fate.partial.is_some() {
            return Err(unavailable("refused by the simulation"));
        }
        lock(&self.state).commit(commit)?;
        if fate.answer_lost {
            return Err(unavailable("the simulation lost the answer"));
        }
        Ok(())
    }

    async fn audit(&self, tenant: Option<&TenantId>, after: u64, count_max: usize) -> Result<Vec<AuditEntry>, Error> {
        self.readable().await?;
        let state = lock(&self.state);
        let fits = |entry: &&AuditEntry| entry.number > after && entry.key.tenant.as_ref() == tenant;
        Ok(state.audit.iter().filter(fits).take(count_max).cloned().collect())
    }

    async fn revision(&self) -> Result<u64, Error> {
        self.readable().await?;
        Ok(lock(&self.state).revision)
    }

    async fn lease(&self, name: &str, holder: &str, now: Instant, until: Instant) -> Result<bool, Error> {
        self.readable().await?;
        let mut state = lock(&self.state);
        let taken = state.leases.get(name).is_some_and(|(other, end)| other != holder && *end > now);
        if !taken {
            state.leases.insert(name.to_owned(), (holder.to_owned(), until));
        }
        Ok(!taken)
    }
}

// === impl State ===

impl State {
    fn commit(&mut self, commit: Commit) -> Result<(), Error> {
        // In order, each on what the one before left; a failure leaves nothing of any.
        let mut after = self.documents.clone();
        let mut removed = self.removed.clone();
        let mut entries = Vec::new();
        for put in commit.puts {
            let before = after.get(&put.key).map(|(document, _)| document.clone());
            if !holds(put.expect, before.as_ref()) {
                return Err(Error::Conflict { key: Box::new(put.key) });
            }
            if put.audited {
                entries.push(AuditEntry {
                    number: u64::try_from(self.audit.len() + entries.len()).unwrap_or(u64::MAX) + 1,
                    who: commit.who.clone(),
                    action: commit.action.clone(),
                    log_time: commit.log_time,
                    key: put.key.clone(),
                    before: before.as_ref().map(|document| document.body.clone()),
                    after: put.body.clone(),
                });
            }
            apply(&mut after, &mut removed, put, before);
        }
        self.documents = after;
        self.removed = removed;
        self.audit.extend(entries);
        self.revision += 1;
        Ok(())
    }
}

fn holds(expect: Expect, before: Option<&Document>) -> bool {
    match expect {
        Expect::Any => true,
        Expect::Absent => before.is_none(),
        Expect::Revision(revision) => before.is_some_and(|document| document.revision == revision),
    }
}

fn apply(
    documents: &mut BTreeMap<DocumentKey, (Document, Vec<(String, String)>)>,
    removed: &mut BTreeMap<DocumentKey, u64>,
    put: Put,
    before: Option<Document>,
) {
    let last = before.map(|document| document.revision).or_else(|| removed.remove(&put.key)).unwrap_or(0);
    match put.body {
        Some(body) => {
            let document = Document { key: put.key.clone(), revision: last + 1, body };
            documents.insert(put.key, (document, put.tags));
        }
        None => {
            documents.remove(&put.key);
            if last > 0 {
                removed.insert(put.key, last);
            }
        }
    }
}
