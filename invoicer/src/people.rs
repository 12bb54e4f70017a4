//! People who sign in to the console: whose they are, what they may do, how their passwords are kept.
//!
//! A person is two documents: `user`, the tenant's own, says what the person may do, and the audit log shows its changes;
//! `login`, the installation's, says under which name the person signs in and holds the password's hash (argon2id), and
//! no log repeats it. Whatever changes a person changes the login's revision, and every session names the one that it
//! began with: a new password, other roles or a disabled person end all sessions at once.

use crate::ledger::{Draft, Error, Kind, Ledger};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use pricing::id::TenantId;
use pricing::time::Instant;
use std::collections::BTreeSet;

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Bills and payments.
    Finance,
    /// Plans and customers.
    Catalog,
    /// Reads everything, changes nothing.
    Audit,
}

/// A person, as the tenant's audit log shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct User {
    /// What the person may do.
    pub roles: BTreeSet<Role>,
    /// True where the person cannot sign in any more.
    #[serde(default)]
    pub disabled: bool,
}

/// How a person signs in.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Login {
    /// Whose person it is.
    pub tenant: TenantId,
    /// The password's hash as a PHC string; empty where nothing signs in.
    password: String,
}

/// A person who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// Whose person it is.
    pub tenant: TenantId,
    /// What the person may do.
    pub roles: BTreeSet<Role>,
    /// The login's revision that this was read at.
    pub login: u64,
}

/// People as the books have them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct People {
    ledger: Ledger,
}

/// Why a person was not made.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The name, the roles or the password cannot be.
    #[error("{0}")]
    Invalid(String),
    /// Another tenant's person has the name.
    #[error("the name '{0}' is taken; take another, such as an address for mail")]
    Taken(String),
    /// The books say no.
    #[error(transparent)]
    Ledger(#[from] Error),
}

/// The shortest password, in characters.
pub const PASSWORD_CHARACTERS_MIN: usize = 12;
const PASSWORD_BYTES_MAX: usize = 512;
const NAME_CHARACTERS_MAX: usize = 64;

/// Checked where a name is unknown, so that its answer takes as long as that to a wrong password.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

// === impl Role ===

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Finance, Self::Catalog, Self::Audit];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Finance => "finance",
            Self::Catalog => "catalog",
            Self::Audit => "audit",
        }
    }
}

// === impl People ===

impl People {
    /// The people of these books.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// The person with this name and password.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn signed_in(&self, name: &str, password: String) -> Result<Option<Person>, Error> {
        let login = self.ledger.get::<Login>(None, name).await?;
        let hash = login.as_ref().map(|login| login.value.password.clone()).filter(|hash| !hash.is_empty());
        // Tens of milliseconds and 19 MiB: other calls do not wait for it.
        let verified = move || verifies(&password, hash.as_deref().unwrap_or(NOBODY));
        let verified = tokio::task::spawn_blocking(verified).await.unwrap_or(false);
        match login.filter(|_| verified) {
            Some(login) => self.person(name, login.revision).await,
            None => Ok(None),
        }
    }

    /// The person, as long as nothing about it has changed since its login had this revision.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn person(&self, name: &str, login: u64) -> Result<Option<Person>, Error> {
        let Some(found) = self.ledger.get::<Login>(None, name).await? else { return Ok(None) };
        let tenant = found.value.tenant;
        let user = self.ledger.get::<User>(Some(&tenant), name).await?;
        let user = user.filter(|user| found.revision == login && !user.value.disabled);
        Ok(user.map(|user| Person { name: name.to_owned(), tenant, roles: user.value.roles, login }))
    }

    /// All people of a tenant, by name.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, tenant: &TenantId) -> Result<Vec<(String, User)>, Error> {
        let users = self.ledger.all::<User>(Some(tenant), &crate::ledger::Filter::default()).await?;
        Ok(users.into_iter().map(|user| (user.id, user.value)).collect())
    }

    /// Makes a person, or gives one that is there other roles and a new password.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn put(
        &self,
        tenant: &TenantId,
        name: &str,
        roles: BTreeSet<Role>,
        password: String,
        by: By<'_>,
    ) -> Result<(), Refusal> {
        must_be_name(name)?;
        if roles.is_empty() {
            return Err(Refusal::Invalid("a person has at least one role: finance, catalog or audit".to_owned()));
        }
        if password.chars().count() < PASSWORD_CHARACTERS_MIN || password.len() > PASSWORD_BYTES_MAX {
            let message = format!(
                "a password has at least {PASSWORD_CHARACTERS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes"
            );
            return Err(Refusal::Invalid(message));
        }
        let hashed = tokio::task::spawn_blocking(move || hashed(&password)).await;
        let password = hashed.unwrap_or_else(|error| Err(error.to_string())).map_err(Refusal::Invalid)?;
        self.change(tenant, name, Some(roles), password, by).await
    }

    /// Ends a person: all sessions, and every way to a new one. False where the tenant has none of this name.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn disable(&self, tenant: &TenantId, name: &str, by: By<'_>) -> Result<bool, Refusal> {
        if self.ledger.get::<User>(Some(tenant), name).await?.is_none() {
            return Ok(false);
        }
        self.change(tenant, name, None, String::new(), by).await?;
        Ok(true)
    }

    /// Writes both documents; without roles the person is disabled and keeps those it had.
    async fn change(
        &self,
        tenant: &TenantId,
        name: &str,
        roles: Option<BTreeSet<Role>>,
        password: String,
        by: By<'_>,
    ) -> Result<(), Refusal> {
        let login = self.ledger.get::<Login>(None, name).await?;
        if login.as_ref().is_some_and(|login| login.value.tenant != *tenant) {
            return Err(Refusal::Taken(name.to_owned()));
        }
        let user = self.ledger.get::<User>(Some(tenant), name).await?;
        let disabled = roles.is_none();
        let roles = roles.or_else(|| user.as_ref().map(|user| user.value.roles.clone())).unwrap_or_default();
        let action = if disabled { "disable user" } else { "put user" };
        let mut draft = Draft::new(by.who, action, by.log_time);
        draft.put(Some(tenant), name, user.map(|user| user.revision), &User { roles, disabled })?;
        let changed = Login { tenant: tenant.clone(), password };
        draft.put(None, name, login.map(|login| login.revision), &changed)?;
        Ok(self.ledger.commit(draft).await?)
    }
}

/// Who changes a person, and when.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// For the audit log.
    pub who: &'a str,
    /// Log time.
    pub log_time: Instant,
}

fn must_be_name(name: &str) -> Result<(), Refusal> {
    let allowed = |letter: char| letter.is_alphanumeric() || ".-_@+".contains(letter);
    if !name.is_empty() && name.chars().count() <= NAME_CHARACTERS_MAX && name.chars().all(allowed) {
        return Ok(());
    }
    let message =
        format!("'{name}' cannot be a person's name; take 1 to {NAME_CHARACTERS_MAX} letters, digits, or . - _ @ +");
    Err(Refusal::Invalid(message))
}

fn hashed(password: &str) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

fn verifies(password: &str, hash: &str) -> bool {
    let hash = PasswordHash::new(hash);
    password.len() <= PASSWORD_BYTES_MAX
        && hash.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

impl Kind for User {
    const COLLECTION: &'static str = "user";
}

impl Kind for Login {
    const COLLECTION: &'static str = "login";
    const AUDITED: bool = false;
}

impl std::fmt::Debug for Login {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Login({})", self.tenant)
    }
}
