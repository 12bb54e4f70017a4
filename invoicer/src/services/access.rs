//! Who calls, for which tenant, and whether the key allows it.

use super::problem;
use crate::ledger::{self, Filter, Ledger, Tenant};
use async_trait::async_trait;
use pricing::id::TenantId;
use proto::code::Code;
use proto::status::{self, Problem};
use std::sync::Arc;
use storage::keyring::{Caller, Scope};
use tonic::metadata::MetadataMap;

/// Knows the API keys. The server passes the keyring.
#[async_trait]
pub trait Keys: Send + Sync + 'static {
    /// Who holds this key; none for an unknown or revoked one.
    async fn authenticate(&self, key: &str) -> Result<Option<Caller>, Unavailable>;

    /// Makes a key: its id and the key itself, which is shown this once. `who` made it.
    async fn create(&self, tenant: Option<&TenantId>, scope: Scope, who: &str)
    -> Result<(String, String), Unavailable>;

    /// The keys of a tenant; none: all keys.
    async fn list(&self, tenant: Option<&TenantId>) -> Result<Vec<Key>, Unavailable>;

    /// Revokes a key of a tenant (none: any key); false where there is none of this id.
    async fn revoke(&self, tenant: Option<&TenantId>, id: &str, who: &str) -> Result<bool, Unavailable>;
}

/// A key as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Whose; none: the installation's.
    pub tenant: Option<TenantId>,
    /// What it may do.
    pub scope: Scope,
    /// True once it was revoked.
    pub revoked: bool,
}

/// The keys cannot be read now.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the keys cannot be read: {reason}")]
pub struct Unavailable {
    /// What the system said.
    pub reason: String,
}

/// Checks calls.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) keys: Arc<dyn Keys>,
    ledger: Ledger,
    /// Who calls, where that is known without a key.
    acting: Option<Caller>,
}

/// A call that was let in.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    /// The key that called.
    pub(super) caller: Caller,
    /// For whom.
    pub(super) tenant: TenantId,
}

// === impl Access ===

impl Access {
    pub(super) fn new(keys: Arc<dyn Keys>, ledger: Ledger) -> Self {
        Self { keys, ledger, acting: None }
    }

    pub(super) fn acting_as(&self, caller: Caller) -> Self {
        Self { acting: Some(caller), ..self.clone() }
    }

    /// Who calls, if that one may do what `scope` names.
    pub(super) async fn caller(&self, metadata: &MetadataMap, scope: Scope) -> Result<Caller, Problem> {
        let caller = match &self.acting {
            Some(caller) => caller.clone(),
            None => self.holder(status::bearer(metadata)).await?,
        };
        if !allows(caller.scope, scope) {
            let message =
                format!("key '{}' has scope {}; this call needs {}", caller.key, word(caller.scope), word(scope));
            return Err(Problem::denied(Code::ScopeDenied, message));
        }
        Ok(caller)
    }

    /// Who holds the key that came with the call.
    pub(super) async fn holder(&self, key: Option<&str>) -> Result<Caller, Problem> {
        let key = key.ok_or_else(|| {
            Problem::unauthenticated(
                Code::KeyMissing,
                "no key came with the call; send metadata `authorization: Bearer KEY`",
            )
        })?;
        let caller = self.keys.authenticate(key).await.map_err(|error| problem::unavailable(&error.to_string()))?;
        caller.ok_or_else(|| {
            Problem::unauthenticated(
                Code::KeyUnknown,
                "the key is unknown or revoked; make one with `farthing keys create`",
            )
        })
    }

    /// Who calls and for which tenant.
    pub(super) async fn granted(&self, metadata: &MetadataMap, scope: Scope) -> Result<Granted, Problem> {
        let caller = self.caller(metadata, scope).await?;
        let tenant = self.tenant(&caller, status::tenant(metadata)).await?;
        Ok(Granted { caller, tenant })
    }

    /// For whom the caller acts: a tenant's key for its tenant only, the installation's for the one it names.
    pub(super) async fn tenant(&self, caller: &Caller, named: Option<&str>) -> Result<TenantId, Problem> {
        let named = named.filter(|named| !named.is_empty()).map(TenantId::new).transpose();
        let named = named.map_err(|error| Problem::invalid(Code::TenantInvalid, error.to_string()))?;
        match (&caller.tenant, named) {
            (Some(own), Some(named)) if *own != named => Err(foreign(caller, own, &named)),
            (Some(own), _) => Ok(own.clone()),
            (None, Some(named)) => Ok(named),
            (None, None) => self.only_tenant().await,
        }
    }

    async fn only_tenant(&self) -> Result<TenantId, Problem> {
        let tenants =
            self.ledger.list::<Tenant>(None, &Filter::default(), 2).await.map_err(|error| problem::ledger(&error))?;
        match &tenants[..] {
            [only] => TenantId::new(&only.id).map_err(|error| Problem::internal(Code::BooksDamaged, error.to_string())),
            [] => Err(Problem::conflict(
                Code::NoTenant,
                "there is no tenant yet; declare one with `farthing apply -f FILE`",
            )),
            _ => Err(Problem::invalid(
                Code::TenantMissing,
                "there are several tenants; name one with metadata `farthing-tenant: TENANT` or call with a key of its own",
            )),
        }
    }
}

/// The answer to a tenant's key that names another tenant.
pub(super) fn foreign(caller: &Caller, own: &TenantId, named: &TenantId) -> Problem {
    Problem::denied(
        Code::TenantDenied,
        format!("key '{}' belongs to tenant '{own}' and cannot act for '{named}'", caller.key),
    )
}

/// Whether a key of scope `held` may do what `needed` names.
fn allows(held: Scope, needed: Scope) -> bool {
    held == needed || held == Scope::Admin || (held == Scope::Finance && needed == Scope::Read)
}

/// A scope's word.
pub(super) const fn word(scope: Scope) -> &'static str {
    match scope {
        Scope::Ingest => "ingest",
        Scope::Read => "read",
        Scope::Finance => "finance",
        Scope::Admin => "admin",
    }
}

/// A scope by its word.
pub(super) fn scope(text: &str) -> Result<Scope, Problem> {
    let known = [Scope::Ingest, Scope::Read, Scope::Finance, Scope::Admin];
    known.into_iter().find(|scope| word(*scope) == text).ok_or_else(|| {
        Problem::invalid(Code::ScopeUnknown, format!("'{text}' is no scope; there are ingest, read, finance and admin"))
            .with_violation("scope", "one of ingest, read, finance, admin")
    })
}

impl From<ledger::Error> for Unavailable {
    fn from(error: ledger::Error) -> Self {
        Self { reason: error.to_string() }
    }
}
