//! API keys: who may do what.
//!
//! A key is `fk_ID_SECRET`: 8 random bytes that name it and 32 random bytes, both hexadecimal. The books hold its
//! HMAC-SHA-256 under the installation's own secret, so neither the books nor a list of likely keys gives one away. Keys
//! are looked up in memory; a key that was made or revoked elsewhere is known here within [`REFRESH`], or at once by
//! [`Keyring::refresh`].

// Reading order: what a key is, then the ring.
mod secret;
#[cfg(test)]
mod tests;

use crate::books::{Books, Commit, DocumentKey, Error as BooksError, Expect, ListQuery, Put};
use arc_swap::ArcSwap;
use pricing::id::TenantId;
use pricing::time::Instant;
use secret::{Digest, Installation};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What a key may do; `admin` may do everything, `finance` may also read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Send events.
    Ingest,
    /// Read usage, charges, bills.
    Read,
    /// Approve, issue, void, credit.
    Finance,
    /// Catalog, keys, clock.
    Admin,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key's id, for the audit log.
    pub key: String,
    /// Whose key it is; none: the installation's own admin key, which acts for the tenant that the call names.
    pub tenant: Option<TenantId>,
    /// What it may do.
    pub scope: Scope,
}

/// A key that was just made. The text is shown once and kept nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// `fk_ID_SECRET`.
    pub key: String,
}

/// A key as it can be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// What it may do.
    pub scope: Scope,
}

/// All keys of the installation. Dropping it ends its refreshing.
pub struct Keyring {
    books: Arc<dyn Books>,
    log_time: ArcSwap<LogTime>,
    shared: Arc<Shared>,
    refresher: tokio::task::AbortHandle,
}

/// Why keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The books say no.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// There is no such key.
    #[error("there is no key '{id}'; list the keys to see their ids")]
    NotFound {
        /// As asked for.
        id: String,
    },
    /// A document of the books is no key, or the system gives no random bytes.
    #[error("keys cannot be used: {reason}")]
    Unusable {
        /// What does not fit.
        reason: String,
    },
}

/// How often the books are asked whether anything changed.
pub const REFRESH: Duration = Duration::from_secs(2);

/// Says when a key is made or revoked, for the audit log.
type LogTime = Box<dyn Fn() -> Instant + Send + Sync>;

const COLLECTION: &str = "key";
const INSTALLATION: &str = "installation";

#[derive(Debug, Default)]
struct Shared {
    keys: ArcSwap<Keys>,
    /// Refreshes do not overtake each other.
    refreshing: tokio::sync::Mutex<()>,
}

/// The keys as of one revision of the books.
#[derive(Debug, Default)]
struct Keys {
    revision: Option<u64>,
    installation: Option<Installation>,
    by_id: HashMap<String, Key>,
}

/// What of a tenant's key stands among its own documents, so that its own audit log has it.
#[derive(Debug, serde::Serialize)]
struct Shown {
    scope: Scope,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Key {
    tenant: Option<TenantId>,
    scope: Scope,
    digest: Digest,
}

// === impl Caller ===

impl Caller {
    /// True when the key's scope covers `wanted`.
    pub fn may(&self, wanted: Scope) -> bool {
        match self.scope {
            Scope::Admin => true,
            Scope::Finance => matches!(wanted, Scope::Finance | Scope::Read),
            scope => scope == wanted,
        }
    }
}

// === impl Keyring ===

impl Keyring {
    /// Reads the keys, and keeps them fresh from now on. Makes the installation's secret where there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(books: Arc<dyn Books>) -> Result<Self, Error> {
        make_installation(&*books).await?;
        let shared = Arc::new(Shared::default());
        shared.refresh(&*books).await?;
        let task = tokio::spawn(keep_fresh(Arc::clone(&shared), Arc::clone(&books)));
        let log_time: LogTime = Box::new(Instant::default);
        Ok(Self { books, log_time: ArcSwap::from_pointee(log_time), shared, refresher: task.abort_handle() })
    }

    /// Tells the audit log times of this clock from now on.
    pub fn set_log_time(&self, log_time: impl Fn() -> Instant + Send + Sync + 'static) {
        let log_time: LogTime = Box::new(log_time);
        self.log_time.store(Arc::new(log_time));
    }

    /// Makes a key. Any number may be valid at once, so that one can be replaced without a gap.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create(&self, tenant: Option<TenantId>, scope: Scope, who: &str) -> Result<Created, Error> {
        let (created, puts) = self.make(tenant, scope)?;
        self.commit(who, "create key", puts).await?;
        Ok(created)
    }

    /// Makes the installation's first admin key, which has no tenant; none when it was made before.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_first(&self, who: &str) -> Result<Option<Created>, Error> {
        let (created, mut puts) = self.make(None, Scope::Admin)?;
        let mark = installation_put("first-key", format!("{{\"id\":\"{}\"}}", created.id));
        puts.insert(0, mark);
        match self.commit(who, "create first key", puts).await {
            Ok(()) => Ok(Some(created)),
            Err(Error::Books(BooksError::Conflict { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a key back: at once here, within [`REFRESH`] elsewhere. The audit log keeps that it was there.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn revoke(&self, id: &str, who: &str) -> Result<(), Error> {
        let not_found = || Error::NotFound { id: id.to_owned() };
        let key = document_key(COLLECTION, id);
        let found = self.books.get(&key).await?.ok_or_else(not_found)?;
        let Key { tenant, .. } = serde_json::from_str(&found.body).map_err(unusable)?;
        let mut puts = vec![key_put(key, Expect::Revision(found.revision), None, tenant.is_none())];
        puts.extend(tenant.map(|tenant| shown_put(tenant, id, Expect::Any, None)));
        self.commit(who, "revoke key", puts).await
    }

    /// Reads the keys again if the books changed.
    ///
    /// # Errors
    /// See [`Error`]; the keys known before stay valid.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.shared.refresh(&*self.books).await
    }

    /// All keys, by id.
    pub fn list(&self) -> Vec<Listed> {
        let keys = self.shared.keys.load();
        let listed =
            |(id, key): (&String, &Key)| Listed { id: id.clone(), tenant: key.tenant.clone(), scope: key.scope };
        let mut list: Vec<Listed> = keys.by_id.iter().map(listed).collect();
        list.sort_by(|a, b| a.id.cmp(&b.id));
        list
    }

    /// Who calls with this key; none when it is not valid. Never waits.
    pub fn authenticate(&self, text: &str) -> Option<Caller> {
        let (id, _) = text.strip_prefix("fk_")?.split_once('_')?;
        let keys = self.shared.keys.load();
        let key = keys.by_id.get(id)?;
        let digest = keys.installation.as_ref()?.digest(text)?;
        digest.equals(&key.digest).then(|| Caller { key: id.to_owned(), tenant: key.tenant.clone(), scope: key.scope })
    }

    fn make(&self, tenant: Option<TenantId>, scope: Scope) -> Result<(Created, Vec<Put>), Error> {
        let id = secret::random_hex::<8>().map_err(unusable)?;
        let key = format!("fk_{id}_{}", secret::random_hex::<32>().map_err(unusable)?);
        let keys = self.shared.keys.load();
        let digest = keys.installation.as_ref().and_then(|installation| installation.digest(&key));
        let digest = digest.ok_or_else(|| unusable("the installation has no secret"))?;
        let shown = serde_json::to_string(&Shown { scope }).map_err(|error| unusable(&error))?;
        let shown = tenant.clone().map(|tenant| shown_put(tenant, &id, Expect::Absent, Some(shown)));
        let body = serde_json::to_string(&Key { tenant, scope, digest }).map_err(|error| unusable(&error))?;
        let put = key_put(document_key(COLLECTION, &id), Expect::Absent, Some(body), shown.is_none());
        Ok((Created { id, key }, [put].into_iter().chain(shown).collect()))
    }

    async fn commit(&self, who: &str, action: &str, puts: Vec<Put>) -> Result<(), Error> {
        let log_time = (self.log_time.load())();
        self.books.commit(Commit { who: who.to_owned(), action: action.to_owned(), log_time, puts }).await?;
        self.refresh().await
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        self.refresher.abort();
    }
}

async fn keep_fresh(shared: Arc<Shared>, books: Arc<dyn Books>) {
    loop {
        tokio::time::sleep(REFRESH).await;
        if let Err(error) = shared.refresh(&*books).await {
            tracing::warn!(%error, "keys could not be read again; those known before stay valid");
        }
    }
}

async fn make_installation(books: &dyn Books) -> Result<(), Error> {
    let secret = secret::random_hex::<32>().map_err(unusable)?;
    let put = installation_put("key-secret", format!("{{\"secret\":\"{secret}\"}}"));
    let (who, action) = ("keyring".to_owned(), "create installation secret".to_owned());
    match books.commit(Commit { who, action, log_time: Instant::default(), puts: vec![put] }).await {
        Ok(()) | Err(BooksError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What only the installation reads: the audit log does not repeat it.
fn installation_put(id: &str, body: String) -> Put {
    let (key, expect) = (document_key(INSTALLATION, id), Expect::Absent);
    Put { key, expect, body: Some(body), tags: Vec::new(), audited: false }
}

fn key_put(key: DocumentKey, expect: Expect, body: Option<String>, audited: bool) -> Put {
    Put { key, expect, body, tags: Vec::new(), audited }
}

fn shown_put(tenant: TenantId, id: &str, expect: Expect, body: Option<String>) -> Put {
    key_put(DocumentKey { tenant: Some(tenant), ..document_key(COLLECTION, id) }, expect, body, true)
}

fn document_key(collection: &str, id: &str) -> DocumentKey {
    DocumentKey { tenant: None, collection: collection.to_owned(), id: id.to_owned() }
}

#[allow(clippy::needless_pass_by_value)] // fits map_err
fn unusable(reason: impl ToString) -> Error {
    Error::Unusable { reason: reason.to_string() }
}

// === impl Shared ===

impl Shared {
    /// Reads the keys again when the books have changed since.
    async fn refresh(&self, books: &dyn Books) -> Result<(), Error> {
        let _one = self.refreshing.lock().await;
        let revision = books.revision().await?;
        if self.keys.load().revision == Some(revision) {
            return Ok(());
        }
        let installation = match books.get(&document_key(INSTALLATION, "key-secret")).await? {
            Some(document) => Some(serde_json::from_str(&document.body).map_err(unusable)?),
            None => None,
        };
        let by_id = read_keys(books).await?;
        // Read before the keys: what changes in between is read again with the next revision.
        self.keys.store(Arc::new(Keys { revision: Some(revision), installation, by_id }));
        Ok(())
    }
}

async fn read_keys(books: &dyn Books) -> Result<HashMap<String, Key>, Error> {
    let mut query = ListQuery { collection: COLLECTION.to_owned(), count_max: 1000, ..ListQuery::default() };
    let mut by_id = HashMap::new();
    loop {
        let page = books.list(&query).await?;
        let Some(last) = page.last() else { return Ok(by_id) };
        query.after = Some(last.key.id.clone());
        for document in page {
            let key = serde_json::from_str(&document.body);
            let id = document.key.id;
            by_id.insert(id.clone(), key.map_err(|error| unusable(format!("the document of key '{id}': {error}")))?);
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Keyring").field("keys", &self.list()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Created {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Created").field("id", &self.id).finish_non_exhaustive()
    }
}
