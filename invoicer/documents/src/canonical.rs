//! The canonical JSON as it is written: see `pricing::bill::document`.

use crate::Error;
use pricing::bill::{Corrects, CreditUse, DocumentKind, Kind};
use pricing::catalog::entity::{Address, Contact};
use pricing::currency::Currency;
use pricing::group::Group;
use pricing::number::{Amount, Quantity, Rate};
use pricing::period::Period;

#[derive(Debug, serde::Deserialize)]
pub(crate) struct Shape {
    pub(crate) id: String,
    pub(crate) number: Option<String>,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) kind: DocumentKind,
    pub(crate) issue_date: Option<String>,
    pub(crate) due_date: Option<String>,
    #[serde(default)]
    pub(crate) test: bool,
    pub(crate) corrects: Option<Corrects>,
    pub(crate) seller: Option<Seller>,
    pub(crate) customer: String,
    #[serde(default)]
    pub(crate) buyer: Buyer,
    pub(crate) language: Option<String>,
    pub(crate) time_zone: Option<String>,
    pub(crate) currency: Currency,
    pub(crate) period: Period,
    pub(crate) lines: Vec<Line>,
    pub(crate) net: String,
    pub(crate) taxes: Vec<Tax>,
    pub(crate) total: String,
    pub(crate) prepaid: String,
    pub(crate) due: String,
    pub(crate) tax_currency: Option<TaxCurrency>,
    #[serde(default)]
    pub(crate) credits: Vec<CreditUse>,
}

/// Who sells.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Seller {
    /// Its legal name.
    pub name: Option<String>,
    /// Where it is.
    #[serde(default)]
    pub address: Address,
    /// Its VAT identification number.
    pub vat_id: Option<String>,
    /// Its entry in the register of companies.
    pub registration: Option<String>,
    /// Whom to ask.
    #[serde(default)]
    pub contact: Contact,
    /// Where electronic documents come from.
    pub endpoint: Option<String>,
    /// Where to pay.
    pub iban: Option<String>,
    /// The bank of it.
    pub bic: Option<String>,
    /// The file that its logo is in.
    pub logo: Option<String>,
}

/// Who buys.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Buyer {
    /// Its legal name.
    pub name: Option<String>,
    /// Where it is.
    #[serde(default)]
    pub address: Address,
    /// Its VAT identification number.
    pub vat_id: Option<String>,
    /// Where documents go.
    pub email: Option<String>,
    /// What it wants its documents to name.
    pub reference: Option<String>,
    /// Where it takes electronic documents.
    pub endpoint: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct Line {
    pub(crate) kind: Kind,
    pub(crate) subscription: Option<String>,
    pub(crate) price: Option<String>,
    pub(crate) meter: Option<String>,
    pub(crate) group: Option<Group>,
    pub(crate) tier: Option<u32>,
    pub(crate) period: Option<Period>,
    pub(crate) description: String,
    pub(crate) quantity: Option<Quantity>,
    pub(crate) each: Option<Amount>,
    pub(crate) per: Option<Quantity>,
    pub(crate) measure: Option<String>,
    pub(crate) amount_exact: Amount,
    pub(crate) amount: String,
    pub(crate) tax: Option<LineTax>,
}

impl Shape {
    pub(crate) fn read(canonical: &str) -> Result<Self, Error> {
        serde_json::from_str(canonical).map_err(|error| Error::Unreadable(error.to_string()))
    }
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct LineTax {
    pub(crate) category: String,
    pub(crate) rate: Rate,
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct Tax {
    pub(crate) category: String,
    pub(crate) rate: Rate,
    pub(crate) net: String,
    pub(crate) tax: String,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct TaxCurrency {
    pub(crate) currency: Currency,
    pub(crate) rate: Option<Rate>,
    pub(crate) tax: Option<String>,
}
