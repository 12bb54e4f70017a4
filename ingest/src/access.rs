//! Who calls, and for which tenant.

use crate::catalogs::Catalogs;
use pricing::id::TenantId;
use proto::code::Code;
use proto::status::{self, Problem, TENANT_KEY};
use storage::keyring::{Caller, Scope};

/// Knows keys.
pub trait Authenticator: Send + Sync + 'static {
    /// Whose key it is; none for one that is unknown or revoked. Compares in constant time.
    fn authenticate(&self, key: &str) -> Option<Caller>;
}

impl<F: Fn(&str) -> Option<Caller> + Send + Sync + 'static> Authenticator for F {
    fn authenticate(&self, key: &str) -> Option<Caller> {
        self(key)
    }
}

/// What a call says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The bearer key.
    pub(crate) key: Option<String>,
    /// The tenant it names.
    pub(crate) tenant: Option<String>,
}

impl Credentials {
    /// As the headers have them, which are those of gRPC and of HTTP alike.
    pub(crate) fn of(headers: &http::HeaderMap) -> Self {
        let (key, tenant) = (status::bearer_http(headers), status::tenant_http(headers));
        Self { key: key.map(str::to_owned), tenant: tenant.map(str::to_owned) }
    }

    /// The tenant for which the caller may send events.
    pub(crate) fn admit(&self, keys: &dyn Authenticator, catalogs: &Catalogs) -> Result<TenantId, Problem> {
        let missing = "the call carries no key; send it as 'authorization: Bearer KEY'";
        let key = self.key.as_deref().ok_or_else(|| Problem::unauthenticated(Code::KeyMissing, missing))?;
        let unknown = "the key is unknown or was revoked; make one with 'farthing keys create --scope ingest'";
        let caller = keys.authenticate(key).ok_or_else(|| Problem::unauthenticated(Code::KeyUnknown, unknown))?;
        if !matches!(caller.scope, Scope::Ingest | Scope::Admin) {
            let found = format!("key {} may not send events; use one of scope ingest or admin", caller.key);
            return Err(Problem::denied(Code::ScopeDenied, found));
        }
        let named = self.named()?;
        match (caller.tenant, named) {
            (Some(own), Some(named)) if own != named => {
                let found = format!("key {} belongs to tenant {own}, the call names {named}; leave it out", caller.key);
                Err(Problem::denied(Code::TenantDenied, found))
            }
            (Some(own), _) => Ok(own),
            // A slip of the pen would send events where nobody looks for them.
            (None, Some(named)) if !catalogs.knows(&named) => {
                let found = format!("there is no tenant '{named}'; `farthing apply` of a catalog file declares one");
                Err(Problem::not_found(Code::TenantUnknown, found))
            }
            (None, Some(named)) => Ok(named),
            (None, None) => catalogs.only().ok_or_else(|| {
                let found = format!("key {} acts for any tenant; name it as '{TENANT_KEY}: TENANT'", caller.key);
                Problem::invalid(Code::TenantMissing, found)
            }),
        }
    }

    /// Whether the books may know what a refusal calls unknown. A tenant that is not named is not unknown where there are some.
    pub(crate) fn may_be_known(problem: &Problem, catalogs: &Catalogs) -> bool {
        let is = |code: Code| problem.reason == code.as_str();
        is(Code::KeyUnknown) || is(Code::TenantUnknown) || (is(Code::TenantMissing) && catalogs.is_empty())
    }

    fn named(&self) -> Result<Option<TenantId>, Problem> {
        let named = self.tenant.as_deref().map(TenantId::new).transpose();
        named.map_err(|bad| Problem::invalid(Code::TenantInvalid, format!("{TENANT_KEY}: {bad}")))
    }
}
