//! API keys in the books: made once, kept as hashes, looked up in memory.

use super::folder::Folder;
use crate::failure::{Context, Failure, Result};
use async_trait::async_trait;
use invoicer::services::{Key, Unavailable};
use pricing::id::TenantId;
use pricing::time::Instant;
use sha2::Digest;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use storage::books::{Books, Commit, DocumentKey, Expect, ListQuery, Put};
use storage::keyring::{Caller, Scope};

/// All keys. Clones share them.
#[derive(Clone)]
pub(super) struct Keys {
    books: Arc<dyn Books>,
    known: Arc<RwLock<BTreeMap<String, Kept>>>,
}

/// A key as the books keep it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    scope: Scope,
    /// SHA-256 of the whole key, hexadecimal: keys hold 256 random bits, so that nothing slower is needed.
    hash: String,
    revoked: bool,
}

const COLLECTION: &str = "key";

/// Keys read at once.
const PAGE: usize = 1000;

/// 16 random bytes.
///
/// # Errors
/// The system has no randomness to give.
pub(super) fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system gives no random bytes")?;
    Ok(bytes)
}

impl Keys {
    /// Reads all keys; makes the first admin key where its file is not there.
    ///
    /// # Errors
    /// The books cannot be read, or the file not written.
    pub(super) async fn open(folder: &Folder) -> Result<Self> {
        let keys = Self { books: folder.books.clone(), known: Arc::default() };
        keys.load().await.context("the keys cannot be read")?;
        let file = folder.key_file();
        if !file.exists() {
            let made = invoicer::services::Keys::create(&keys, None, Scope::Admin, "serve").await;
            let (_, key) = made.map_err(Failure::refused)?;
            write_private(&file, &key).context(format_args!("cannot write {}", file.display()))?;
        }
        Ok(keys)
    }

    async fn load(&self) -> std::result::Result<(), storage::books::Error> {
        let mut query = ListQuery { collection: COLLECTION.to_owned(), count_max: PAGE, ..ListQuery::default() };
        loop {
            let page = self.books.list(&query).await?;
            let is_last = page.len() < PAGE;
            query.after = page.last().map(|document| document.key.id.clone());
            for document in page {
                let kept = serde_json::from_str(&document.body);
                let kept: Kept =
                    kept.map_err(|error| storage::books::Error::Unavailable { reason: error.to_string() })?;
                self.keep(document.key.id, kept);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn keep(&self, id: String, kept: Kept) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(id, kept);
    }

    /// Whose key it is; none for one that is unknown or revoked.
    pub(super) fn caller(&self, key: &str) -> Option<Caller> {
        let (id, _) = key.strip_prefix("fk_")?.split_once('_')?;
        let kept = self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()?;
        let is_it = is_same(hash(key).as_bytes(), kept.hash.as_bytes());
        (is_it && !kept.revoked).then(|| Caller { key: id.to_owned(), tenant: kept.tenant, scope: kept.scope })
    }

    async fn write(
        &self,
        id: &str,
        kept: &Kept,
        expect: Expect,
        who: &str,
        action: &str,
    ) -> std::result::Result<(), Unavailable> {
        let body = serde_json::to_string(kept).map_err(unavailable)?;
        let key = DocumentKey { tenant: None, collection: COLLECTION.to_owned(), id: id.to_owned() };
        let put = Put { key, expect, body: Some(body), tags: Vec::new(), audited: true };
        // Keys come and go by the wall clock; nothing that is billed depends on when.
        let log_time = super::wall();
        let commit = Commit { who: who.to_owned(), action: action.to_owned(), log_time, puts: vec![put] };
        self.books.commit(commit).await.map_err(unavailable)?;
        self.keep(id.to_owned(), kept.clone());
        Ok(())
    }
}

#[async_trait]
impl invoicer::services::Keys for Keys {
    async fn authenticate(&self, key: &str) -> std::result::Result<Option<Caller>, Unavailable> {
        Ok(self.caller(key))
    }

    async fn create(
        &self,
        tenant: Option<&TenantId>,
        scope: Scope,
        who: &str,
    ) -> std::result::Result<(String, String), Unavailable> {
        let mut bytes = [0u8; 36];
        getrandom::fill(&mut bytes).map_err(unavailable)?;
        let (name, secret) = bytes.split_at(4);
        let id = hexadecimal(name);
        let key = format!("fk_{id}_{}", hexadecimal(secret));
        let kept = Kept { tenant: tenant.cloned(), scope, hash: hash(&key), revoked: false };
        self.write(&id, &kept, Expect::Absent, who, "create key").await?;
        Ok((id, key))
    }

    async fn list(&self, tenant: Option<&TenantId>) -> std::result::Result<Vec<Key>, Unavailable> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = known.iter().filter(|(_, kept)| tenant.is_none() || kept.tenant.as_ref() == tenant);
        Ok(of_tenant
            .map(|(id, kept)| Key {
                id: id.clone(),
                tenant: kept.tenant.clone(),
                scope: kept.scope,
                revoked: kept.revoked,
            })
            .collect())
    }

    async fn revoke(&self, tenant: Option<&TenantId>, id: &str, who: &str) -> std::result::Result<bool, Unavailable> {
        let found = self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let Some(kept) = found.filter(|kept| tenant.is_none() || kept.tenant.as_ref() == tenant) else {
            return Ok(false);
        };
        self.write(id, &Kept { revoked: true, ..kept }, Expect::Any, who, "revoke key").await?;
        Ok(true)
    }
}

fn unavailable(error: impl std::fmt::Display) -> Unavailable {
    Unavailable { reason: error.to_string() }
}

fn hash(key: &str) -> String {
    hexadecimal(&sha2::Sha256::digest(key.as_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares in a time that does not tell where the first difference is.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |seen, (left, right)| seen | (left ^ right)) == 0
}

/// Whole or not at all, and readable by its owner only.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("key.new");
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(new, path)
}
