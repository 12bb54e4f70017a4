//! What a tenant declares. Each entity can be kept as one JSON document.

mod anchor;

use super::date::Moment;
use super::settings::Settings;
use crate::currency::Currency;
use crate::curve::Curve;
use crate::group::Filter;
use crate::id::{CreditId, CustomerId, PlanId, PriceId, SellerId, SubscriptionId, TaxId};
use crate::meter::Meter;
use crate::number::{Amount, Rate};
use crate::period::Zone;
use crate::plan::PlanVersion;
use crate::subscription::{self, When};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

pub use anchor::AnchorText;

/// An entity as it stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Entry<T> {
    /// The entity.
    #[serde(flatten)]
    pub is: T,
    /// True where a file declared it, so that a file without it may end it (`--prune`).
    #[serde(default)]
    pub by_file: bool,
    /// True once ended: it stays for what is billed already, and nothing new may name it.
    #[serde(default)]
    pub ended: bool,
}

/// Which collection an entity belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the entities' own names
pub enum Kind {
    Settings,
    Meter,
    Plan,
    Seller,
    Tax,
    Customer,
    Subscription,
    Credit,
}

/// Any entity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the kinds
pub enum Entity {
    Settings(Settings),
    Meter(Entry<Meter>),
    Plan(Entry<Plan>),
    Seller(Entry<Seller>),
    Tax(Entry<Tax>),
    Customer(Entry<Customer>),
    Subscription(Entry<Subscription>),
    Credit(Entry<Credit>),
}

/// A plan with all its versions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// Its name.
    pub id: PlanId,
    /// Oldest first; version n stands at n − 1. Never empty.
    pub versions: Vec<PlanVersion>,
}

/// Who sells, as documents show it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Seller {
    /// Its name within the catalog.
    pub id: SellerId,
    /// Its legal name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Address::is_empty")]
    pub address: Address,
    /// Its VAT identification number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<Arc<str>>,
    /// Before the number of an invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Arc<str>>,
    /// Before the number of a credit note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit_prefix: Option<Arc<str>>,
    /// Days from issue to due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_days: Option<u32>,
    /// Where to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iban: Option<Arc<str>>,
    /// The bank of [`Seller::iban`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bic: Option<Arc<str>>,
    /// What it keeps its accounts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// What one unit of another currency is worth in [`Seller::currency`], as finance states it: for the tax on documents.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exchange_rates: BTreeMap<Currency, Rate>,
    /// Its entry in the register of companies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Arc<str>>,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "Contact::is_empty")]
    pub contact: Contact,
    /// Where electronic documents come from: `SCHEME:ADDRESS`, the scheme a code of the EAS list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Arc<str>>,
    /// The file, among the logos that the invoicer is given, that heads its pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<Arc<str>>,
}

/// Whom to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Contact {
    /// A person or a department.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// A number to call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Arc<str>>,
    /// An address to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Arc<str>>,
}

/// A postal address.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Address {
    /// Street and number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub street: Option<Arc<str>>,
    /// City.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<Arc<str>>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postcode: Option<Arc<str>>,
    /// ISO 3166-1, two letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Arc<str>>,
}

/// A tax.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tax {
    /// Its name within the catalog.
    pub id: TaxId,
    /// Its category.
    pub category: Category,
    /// Its rate; zero but in category S.
    #[serde(default)]
    pub rate: Rate,
    /// Why nothing is charged, as documents must say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
}

/// A tax category, by its code in UNCL 5305 as EN 16931 uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Category {
    /// Standard (and reduced) rate.
    S,
    /// Zero rated.
    Z,
    /// Exempt.
    E,
    /// Reverse charge.
    AE,
    /// Export outside the EU.
    G,
    /// Not subject to tax.
    O,
}

/// Who is billed, as documents show it. Only the id leaves the books.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Customer {
    /// A pseudonym.
    pub id: CustomerId,
    /// Legal name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Address::is_empty")]
    pub address: Address,
    /// Where its periods are cut.
    pub time_zone: Zone,
    /// Its tax, where a price names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxId>,
    /// Who sells to it, where a plan names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<SellerId>,
    /// Of its documents, such as `de`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Arc<str>>,
    /// Where documents go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Arc<str>>,
    /// Its VAT identification number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<Arc<str>>,
    /// What it wants its documents to name: its order, cost centre or Leitweg-ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Arc<str>>,
    /// Where it takes electronic documents: `SCHEME:ADDRESS`, the scheme a code of the EAS list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Arc<str>>,
}

/// A subscription: as declared last, and the timeline that came of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Subscription {
    /// As declared last.
    #[serde(flatten)]
    pub declared: Subscribe,
    /// What became of it.
    pub timeline: subscription::Subscription,
}

/// A subscription as a file declares it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Subscribe {
    /// Its name.
    pub id: SubscriptionId,
    /// Who is billed.
    pub customer: CustomerId,
    /// What is sold.
    pub plan: PlanId,
    /// Its first moment.
    pub from: Moment,
    /// The first moment after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// The end of its trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_until: Option<Moment>,
    /// Where periods are cut; by the calendar if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<AnchorText>,
    /// When another plan takes over.
    #[serde(default)]
    pub change: When,
    /// Bills the periods that were over when it came.
    #[serde(default)]
    pub backfill: bool,
    /// Which events are its own.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// Curves that replace those of the plan.
    #[serde(default)]
    pub overrides: BTreeMap<PriceId, Curve>,
}

/// A grant of credit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Credit {
    /// Its name.
    pub id: CreditId,
    /// Whose.
    pub customer: CustomerId,
    /// What it is.
    pub kind: CreditKind,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// As declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
    /// The first moment at which it is worth nothing: `expires` in the customer's zone, or when it was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
}

/// What a credit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreditKind {
    /// A gift: lowers the net, before tax.
    Promotional,
    /// Money that was paid: comes off the total, after tax.
    Prepaid,
}

impl<T> Deref for Entry<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.is
    }
}

impl Plan {
    /// The version that new subscriptions get.
    pub fn newest(&self) -> Option<&PlanVersion> {
        self.versions.last()
    }

    /// One version, counted from 1.
    pub fn version(&self, version: u32) -> Option<&PlanVersion> {
        self.versions.get(usize::try_from(version.checked_sub(1)?).ok()?)
    }
}

impl Address {
    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Contact {
    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Deref for Subscription {
    type Target = Subscribe;
    fn deref(&self) -> &Subscribe {
        &self.declared
    }
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::S, Self::Z, Self::E, Self::AE, Self::G, Self::O];

    /// Its code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::Z => "Z",
            Self::E => "E",
            Self::AE => "AE",
            Self::G => "G",
            Self::O => "O",
        }
    }
}

impl Kind {
    /// All of them, in the order in which they name each other: what comes later may name what came before.
    pub const ALL: [Self; 8] = [
        Self::Settings,
        Self::Meter,
        Self::Seller,
        Self::Tax,
        Self::Plan,
        Self::Customer,
        Self::Subscription,
        Self::Credit,
    ];

    /// The word for one of them, which also names the books' collection.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Meter => "meter",
            Self::Plan => "plan",
            Self::Seller => "seller",
            Self::Tax => "tax",
            Self::Customer => "customer",
            Self::Subscription => "subscription",
            Self::Credit => "credit",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.word())
    }
}

impl Entity {
    /// Which collection it belongs to.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Settings(_) => Kind::Settings,
            Self::Meter(_) => Kind::Meter,
            Self::Plan(_) => Kind::Plan,
            Self::Seller(_) => Kind::Seller,
            Self::Tax(_) => Kind::Tax,
            Self::Customer(_) => Kind::Customer,
            Self::Subscription(_) => Kind::Subscription,
            Self::Credit(_) => Kind::Credit,
        }
    }

    /// Its id within the collection; of the settings `settings`.
    pub fn id(&self) -> &str {
        match self {
            Self::Settings(_) => "settings",
            Self::Meter(entry) => entry.id.as_str(),
            Self::Plan(entry) => entry.id.as_str(),
            Self::Seller(entry) => entry.id.as_str(),
            Self::Tax(entry) => entry.id.as_str(),
            Self::Customer(entry) => entry.id.as_str(),
            Self::Subscription(entry) => entry.id.as_str(),
            Self::Credit(entry) => entry.id.as_str(),
        }
    }

    /// As the books keep it.
    ///
    /// # Errors
    /// None that data can cause.
    pub fn to_json(&self) -> serde_json::Result<String> {
        match self {
            Self::Settings(settings) => serde_json::to_string(settings),
            Self::Meter(entry) => serde_json::to_string(entry),
            Self::Plan(entry) => serde_json::to_string(entry),
            Self::Seller(entry) => serde_json::to_string(entry),
            Self::Tax(entry) => serde_json::to_string(entry),
            Self::Customer(entry) => serde_json::to_string(entry),
            Self::Subscription(entry) => serde_json::to_string(entry),
            Self::Credit(entry) => serde_json::to_string(entry),
        }
    }

    /// As [`Entity::to_json`] wrote it.
    ///
    /// # Errors
    /// Text that is no such entity.
    pub fn from_json(kind: Kind, text: &str) -> serde_json::Result<Self> {
        match kind {
            Kind::Settings => serde_json::from_str(text).map(Self::Settings),
            Kind::Meter => serde_json::from_str(text).map(Self::Meter),
            Kind::Plan => serde_json::from_str(text).map(Self::Plan),
            Kind::Seller => serde_json::from_str(text).map(Self::Seller),
            Kind::Tax => serde_json::from_str(text).map(Self::Tax),
            Kind::Customer => serde_json::from_str(text).map(Self::Customer),
            Kind::Subscription => serde_json::from_str(text).map(Self::Subscription),
            Kind::Credit => serde_json::from_str(text).map(Self::Credit),
        }
    }
}
