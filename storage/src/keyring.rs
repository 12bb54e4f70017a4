//! API keys: who may do what.

use pricing::id::TenantId;

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
