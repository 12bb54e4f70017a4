//! Books in memory.

use super::faults::Faults;
use super::lock;
use crate::books::{AuditEntry, AuditQuery, Commit, Document, DocumentKey, Error, Expect, ListQuery, Put};
use async_trait::async_trait;
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
    documents: BTreeMap<DocumentKey, Kept>,
    audit: Vec<AuditEntry>,
    revision: u64,
    leases: BTreeMap<String, (String, Instant)>,
}

/// A document and its tags. One that was removed stays without a body, so that its revisions go on from there.
#[derive(Clone, Debug, Default)]
struct Kept {
    revision: u64,
    body: Option<String>,
    tags: Vec<(String, String)>,
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

fn of_collection<'a>(
    documents: &'a BTreeMap<DocumentKey, Kept>,
    first: &'a DocumentKey,
) -> impl Iterator<Item = (&'a DocumentKey, &'a Kept)> {
    let same = |key: &DocumentKey| key.tenant == first.tenant && key.collection == first.collection;
    documents.range(first..).take_while(move |(key, _)| same(key))
}

fn unavailable(reason: &str) -> Error {
    Error::Unavailable { reason: reason.to_owned() }
}

#[async_trait]
impl crate::books::Books for Books {
    async fn get(&self, key: &DocumentKey) -> Result<Option<Document>, Error> {
        self.readable().await?;
        Ok(lock(&self.state).documents.get(key).and_then(|kept| kept.document(key)))
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Document>, Error> {
        self.readable().await?;
        let state = lock(&self.state);
        let fits = |(key, kept): &(&DocumentKey, &Kept)| {
            let after = query.after.as_ref();
            key.tenant == query.tenant
                && key.collection == query.collection
                && query.tags.iter().all(|tag| kept.tags.contains(tag))
                && query.prefix.as_ref().is_none_or(|prefix| key.id.starts_with(prefix))
                && after.is_none_or(|after| if query.descending { key.id < *after } else { key.id > *after })
        };
        let first =
            DocumentKey { tenant: query.tenant.clone(), collection: query.collection.clone(), id: String::new() };
        let of_collection = self::of_collection(&state.documents, &first);
        let documents = of_collection.filter(fits).filter_map(|(key, kept)| kept.document(key));
        let mut found: Vec<Document> = documents.collect();
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

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, Error> {
        self.readable().await?;
        let state = lock(&self.state);
        let (first, last) = query.numbers();
        let fits = |entry: &&AuditEntry| {
            (first..=last).contains(&entry.number)
                && entry.key.tenant == query.tenant
                && query.collection.as_ref().is_none_or(|collection| *collection == entry.key.collection)
                && query.id.as_ref().is_none_or(|id| *id == entry.key.id)
                && query.from.is_none_or(|from| entry.log_time >= from)
                && query.until.is_none_or(|until| entry.log_time < until)
        };
        let fitting = state.audit.iter().filter(fits).cloned();
        Ok(match query.descending {
            false => fitting.take(query.count_max).collect(),
            true => fitting.rev().take(query.count_max).collect(),
        })
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

// === impl Kept ===

impl Kept {
    fn document(&self, key: &DocumentKey) -> Option<Document> {
        Some(Document { key: key.clone(), revision: self.revision, body: self.body.clone()? })
    }

    fn fits(&self, expect: Expect) -> bool {
        match expect {
            Expect::Any => true,
            Expect::Absent => self.body.is_none(),
            Expect::Revision(revision) => self.body.is_some() && self.revision == revision,
        }
    }
}

// === impl State ===

impl State {
    /// Applies puts in order, each on what the one before left; a failure leaves nothing of any.
    fn commit(&mut self, commit: Commit) -> Result<(), Error> {
        let audited = self.audit.len();
        let mut before: Vec<(DocumentKey, Option<Kept>)> = Vec::new();
        for put in commit.puts {
            let kept = self.documents.get(&put.key).cloned();
            before.push((put.key.clone(), kept.clone()));
            let kept = kept.unwrap_or_default();
            if !kept.fits(put.expect) {
                for (key, kept) in before.into_iter().rev() {
                    match kept {
                        Some(kept) => drop(self.documents.insert(key, kept)),
                        None => drop(self.documents.remove(&key)),
                    }
                }
                self.audit.truncate(audited);
                return Err(Error::Conflict { key: Box::new(put.key) });
            }
            if put.audited {
                self.audit.push(AuditEntry {
                    number: u64::try_from(self.audit.len()).unwrap_or(u64::MAX) + 1,
                    who: commit.who.clone(),
                    action: commit.action.clone(),
                    log_time: commit.log_time,
                    key: put.key.clone(),
                    before: kept.body.clone(),
                    after: put.body.clone(),
                });
            }
            self.apply(put, kept.revision);
        }
        self.revision += 1;
        Ok(())
    }

    fn apply(&mut self, put: Put, last: u64) {
        if put.body.is_none() && last == 0 {
            return;
        }
        let revision = if put.body.is_some() { last + 1 } else { last };
        self.documents.insert(put.key, Kept { revision, body: put.body, tags: put.tags });
    }
}
