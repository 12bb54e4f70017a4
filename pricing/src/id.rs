//! Names that people and programs choose for things.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// An id was empty, too long, or had a character that ids may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{found}' cannot be an id; allowed are 1 to 128 bytes of printable text without blanks, '/' or control characters"
)]
pub struct Error {
    /// The text, cut to 64 characters.
    pub found: String,
}

fn check(text: &str) -> Result<Arc<str>, Error> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    if text.is_empty() || text.len() > 128 || text.contains(bad) {
        return Err(Error { found: text.chars().take(64).collect() });
    }
    Ok(Arc::from(text))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and keeps the text.
            ///
            /// # Errors
            /// [`Error`] says what an id may be.
            pub fn new(text: &str) -> Result<Self, Error> {
                check(text).map(Self)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                Self::new(text)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// Who sells.
    TenantId
    /// Who is billed: a pseudonym; names and addresses stay in the books.
    CustomerId
    /// A meter, within a tenant.
    MeterId
    /// A plan, within a tenant.
    PlanId
    /// A price, within a plan.
    PriceId
    /// A fee, within a plan.
    FeeId
    /// A discount, within a plan or a price.
    DiscountId
    /// A subscription, within a tenant.
    SubscriptionId
    /// A seller, within a tenant.
    SellerId
    /// A tax, within a tenant.
    TaxId
    /// A grant of credit, within a tenant.
    CreditId
    /// A webhook, within a tenant.
    WebhookId
}
