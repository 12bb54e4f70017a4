//! The installation's keyring, and its first admin key's file.

use crate::failure::{Context, Failure, Result};
use crate::local::wall;
use async_trait::async_trait;
use invoicer::services::{Key, Unavailable};
use pricing::id::TenantId;
use pricing::time::Instant;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use storage::again::{Again, Look};
use storage::books::Books;
use storage::keyring::{Caller, Error, Keyring, Scope};

/// The keyring behind the stages' traits. Clones share it.
#[derive(Clone)]
pub(super) struct Keys {
    ring: Arc<Keyring>,
    again: Arc<Again>,
}

/// The keyring, to be looked at again.
struct Ring(Arc<Keyring>);

/// 16 random bytes.
///
/// # Errors
/// The system has no randomness to give.
pub(crate) fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system gives no random bytes")?;
    Ok(bytes)
}

impl Keys {
    /// Opens the keyring; with a file, the first time makes the first admin key and writes it there.
    ///
    /// # Errors
    /// The books cannot be read, or the file not written.
    pub(super) async fn open(books: &Arc<dyn Books>, file: Option<&Path>) -> Result<Self> {
        let keyring = Keyring::open(books.clone()).await.map_err(Failure::refused)?;
        keyring.set_log_time(wall);
        if let Some(file) = file {
            first_key(&keyring, file).await?;
        }
        let ring = Arc::new(keyring);
        Ok(Self { again: Arc::new(Again::new(Ring(ring.clone()))), ring })
    }

    /// Keys are made and revoked at log time from now on; before, it is the wall clock's.
    pub(super) fn set_log_time(&self, log_time: impl Fn() -> Instant + Send + Sync + 'static) {
        self.ring.set_log_time(log_time);
    }

    /// Whose key it is; none for one that is unknown or revoked.
    pub(super) fn caller(&self, key: &str) -> Option<Caller> {
        self.ring.authenticate(key)
    }
}

#[async_trait]
impl Look for Ring {
    async fn look(&self) -> std::result::Result<(), String> {
        self.0.refresh().await.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Look for Keys {
    /// Looks have their distance, whoever asks for them.
    async fn look(&self) -> std::result::Result<(), String> {
        self.again.look().await;
        Ok(())
    }
}

/// Makes the first admin key where there is none, and writes it to a file; true when it was made.
///
/// # Errors
/// The books cannot be read, or the file not written.
pub(crate) async fn first_key(keyring: &Keyring, file: &Path) -> Result<bool> {
    let begun = file.with_extension("key.new");
    let reason = || format!("cannot write {}", file.display());
    // A file that was begun and not finished is the trace of a crash between the key and its file: that key is known to
    // nobody, so another is made.
    let was_begun = begun.exists();
    write_private(&begun, "").context(reason())?;
    let first = keyring.create_first("serve").await.map_err(Failure::refused)?;
    let made = match first {
        None if was_begun => Some(keyring.create(None, Scope::Admin, "serve").await.map_err(Failure::refused)?),
        first => first,
    };
    match &made {
        Some(made) => write_private(&begun, &made.key).and_then(|()| std::fs::rename(&begun, file)),
        None => std::fs::remove_file(&begun),
    }
    .context(reason())?;
    Ok(made.is_some())
}

#[async_trait]
impl invoicer::services::Keys for Keys {
    async fn authenticate(&self, key: &str) -> std::result::Result<Option<Caller>, Unavailable> {
        let known = self.caller(key);
        if known.is_some() {
            return Ok(known);
        }
        // Another process may have made it since the keys were read.
        self.again.look().await;
        Ok(self.caller(key))
    }

    async fn create(
        &self,
        tenant: Option<&TenantId>,
        scope: Scope,
        who: &str,
    ) -> std::result::Result<(String, String), Unavailable> {
        let made = self.ring.create(tenant.cloned(), scope, who).await.map_err(|error| unavailable(&error))?;
        Ok((made.id, made.key))
    }

    async fn list(&self, tenant: Option<&TenantId>) -> std::result::Result<Vec<Key>, Unavailable> {
        let keys = self.ring.list().into_iter().filter(|key| tenant.is_none() || key.tenant.as_ref() == tenant);
        let listed = keys.map(|key| Key { id: key.id, tenant: key.tenant, scope: key.scope, revoked: false });
        Ok(listed.collect())
    }

    async fn revoke(&self, tenant: Option<&TenantId>, id: &str, who: &str) -> std::result::Result<bool, Unavailable> {
        let is_theirs = |key: &storage::keyring::Listed| tenant.is_none() || key.tenant.as_ref() == tenant;
        if !self.ring.list().iter().any(|key| key.id == id && is_theirs(key)) {
            return Ok(false);
        }
        match self.ring.revoke(id, who).await {
            Ok(()) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

fn unavailable(error: &Error) -> Unavailable {
    Unavailable { reason: error.to_string() }
}

/// Readable by its owner only.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
