//! What a bill is made of.

use super::{Account, Bill, Usage};
use crate::catalog::entity;
use crate::currency::{Currency, Rounding};
use crate::id::{CreditId, CustomerId, PlanId, PriceId, SellerId, SubscriptionId, TaxId};
use crate::number::{self, Amount, Quantity, Rate};
use crate::period::Zone;
use crate::plan::{PlanRef, PlanVersion};
use crate::price;
use crate::subscription::Subscription;
use crate::time::{self, Instant};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every plan version that the subscriptions' terms name.
pub type Plans = BTreeMap<PlanRef, Arc<PlanVersion>>;

/// Everything that one bill is a function of.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// When the bill ends; later than [`Account::end`].
    pub end: Instant,
    /// What it is in: the subscriptions' periods under plans of other currencies stand on other bills.
    pub currency: Currency,
    /// Who is billed.
    pub party: &'a Party,
    /// All of the customer's subscriptions, in any order, ended ones included.
    pub subscriptions: &'a [Subscription],
    /// The plan versions that they name.
    pub plans: &'a Plans,
    /// The tenant's taxes by name: those that the customer, the prices and the fees name must be there.
    pub taxes: &'a BTreeMap<TaxId, Tax>,
    /// The customer's credits, in any order.
    pub credits: &'a [Credit],
    /// How the exact sum becomes minor units.
    pub rounding: Rounding,
    /// The newest totals by subscription and start of period: every period that [`super::parts`] names must be there;
    /// periods settled before are settled again where they are there, and left alone where they are not.
    pub usage: &'a BTreeMap<(SubscriptionId, Instant), Usage>,
    /// Where the bill before left off; the default for a customer's first bill in the currency.
    pub account: &'a Account,
}

/// A bill, and the account that the next one starts from once this one is issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The document's content.
    pub bill: Bill,
    /// The account after it.
    pub account: Account,
}

/// Who is billed: what the sums depend on, and what the document says of the buyer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Party {
    /// The pseudonym.
    pub id: CustomerId,
    /// The tax of whatever names none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxId>,
    /// Who bills, where the plan does not say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller: Option<SellerId>,
    /// Legal name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "entity::Address::is_empty")]
    pub address: entity::Address,
    /// Its VAT identification number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<Arc<str>>,
    /// The language of its documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Arc<str>>,
    /// Where documents go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Arc<str>>,
    /// What it wants them to name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Arc<str>>,
    /// Where it takes electronic documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Arc<str>>,
    /// Whose dates it reads.
    #[serde(default = "Zone::utc")]
    pub time_zone: Zone,
}

/// A tax, as the catalog has it when the bill is made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Tax {
    /// The category's code in EN 16931: S, Z, E, AE, …
    pub category: Arc<str>,
    /// 0.19 is 19 %.
    pub rate: Rate,
    /// Why there is none, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
}

/// Money that the customer has with the seller.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Credit {
    /// Its name.
    pub id: CreditId,
    /// Where it counts.
    pub kind: CreditKind,
    /// How much it was at first.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// It counts on bills that end then or before; for ever without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Instant>,
}

/// Where a credit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreditKind {
    /// Off the sum, before tax.
    Promotional,
    /// Paid before: off the total, after tax.
    Prepaid,
}

/// Why no bill was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A period that the bill settles has no totals yet.
    #[error(
        "the usage of subscription '{subscription}' in its period from {start} is not there yet; wait for its manifest"
    )]
    NoUsage {
        /// Whose.
        subscription: SubscriptionId,
        /// The period's start.
        start: Instant,
    },
    /// The account has counted this end already.
    #[error("the bill of {end} cannot be made: this customer has been billed up to {billed}; bills are made in order")]
    OutOfOrder {
        /// Asked for.
        end: Instant,
        /// The last bill's.
        billed: Instant,
    },
    /// The charges do not add up to what the price says of their quantity.
    #[error(
        "price '{price}' of subscription '{subscription}' in its period from {start}: its charges add up to {charged}, but \
         {quantity} units cost {priced}; the bill is not made until the two agree"
    )]
    Mismatch {
        /// Whose.
        subscription: SubscriptionId,
        /// The period's start.
        start: Instant,
        /// Which price.
        price: PriceId,
        /// The quantity in the totals.
        quantity: Quantity,
        /// Σ of the charges.
        charged: Amount,
        /// F of the quantity.
        priced: Amount,
    },
    /// A price cannot be applied to what was charged.
    #[error("price '{price}' of subscription '{subscription}' in its period from {start}: {source}")]
    Price {
        /// Whose.
        subscription: SubscriptionId,
        /// The period's start.
        start: Instant,
        /// Which price.
        price: PriceId,
        /// Why.
        source: price::Error,
    },
    /// The usage names a price that the plan version has not got.
    #[error(
        "plan '{plan}' version {version} has no price '{price}', but subscription '{subscription}' was charged by it"
    )]
    UnknownPrice {
        /// Whose.
        subscription: SubscriptionId,
        /// The plan.
        plan: PlanId,
        /// Its version.
        version: u32,
        /// The price.
        price: PriceId,
    },
    /// A subscription names a plan version that was not given.
    #[error("plan '{plan}' has no version {version}, which subscription '{subscription}' names")]
    UnknownPlan {
        /// Whose.
        subscription: SubscriptionId,
        /// The plan.
        plan: PlanId,
        /// Its version.
        version: u32,
    },
    /// A customer, price or fee names a tax that was not given.
    #[error("there is no tax '{tax}', which {used_by} names; add it to the catalog's taxes")]
    UnknownTax {
        /// The tax.
        tax: TaxId,
        /// Who names it.
        used_by: String,
    },
    /// What two sell cannot stand on one bill.
    #[error(
        "it would carry what '{one}' sells and what '{other}' sells; a bill has one seller: give the plans, or the customer, \
         the same one"
    )]
    TwoSellers {
        /// Who sells some of it.
        one: SellerId,
        /// Who sells some more.
        other: SellerId,
    },
    /// A sum is beyond what is kept exactly.
    #[error(transparent)]
    Number(#[from] number::Error),
    /// A period reaches beyond the years that are kept.
    #[error(transparent)]
    Time(#[from] time::Error),
}

impl Party {
    /// Of a customer nothing is known of but its id.
    pub fn unknown(id: CustomerId) -> Self {
        Self {
            id,
            tax: None,
            seller: None,
            name: None,
            address: entity::Address::default(),
            vat_id: None,
            language: None,
            email: None,
            reference: None,
            endpoint: None,
            time_zone: Zone::utc(),
        }
    }
}

impl From<&entity::Customer> for Party {
    fn from(customer: &entity::Customer) -> Self {
        Self {
            id: customer.id.clone(),
            tax: customer.tax.clone(),
            seller: customer.seller.clone(),
            name: customer.name.clone(),
            address: customer.address.clone(),
            vat_id: customer.vat_id.clone(),
            language: customer.language.clone(),
            email: customer.email.clone(),
            reference: customer.reference.clone(),
            endpoint: customer.endpoint.clone(),
            time_zone: customer.time_zone.clone(),
        }
    }
}

impl From<&entity::Tax> for Tax {
    fn from(tax: &entity::Tax) -> Self {
        Self { category: Arc::from(tax.category.code()), rate: tax.rate, reason: tax.reason.clone() }
    }
}

impl From<&entity::Credit> for Credit {
    fn from(credit: &entity::Credit) -> Self {
        let kind = match credit.kind {
            entity::CreditKind::Promotional => CreditKind::Promotional,
            entity::CreditKind::Prepaid => CreditKind::Prepaid,
        };
        let (amount, currency, expires) = (credit.amount, credit.currency, credit.expires_at);
        Self { id: credit.id.clone(), kind, amount, currency, expires }
    }
}
