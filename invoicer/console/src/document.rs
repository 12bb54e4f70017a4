//! A bill's document, read from its JSON.

use crate::visit::Fault;
use crate::words;
use axum::http::StatusCode;
use pricing::period::{Period, Zone};
use std::collections::BTreeMap;

/// A document, in the shape of `farthing invoices show`.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Document {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) number: Option<String>,
    #[serde(default)]
    pub(crate) corrects: Option<Corrects>,
    #[serde(default)]
    pub(crate) issue_date: Option<String>,
    #[serde(default)]
    pub(crate) due_date: Option<String>,
    #[serde(default)]
    pub(crate) seller: Option<Party>,
    pub(crate) customer: String,
    #[serde(default)]
    pub(crate) buyer: Option<Party>,
    #[serde(default)]
    pub(crate) time_zone: Option<String>,
    pub(crate) currency: String,
    pub(crate) period: Period,
    pub(crate) lines: Vec<Line>,
    pub(crate) net_exact: String,
    pub(crate) net: String,
    pub(crate) rounding_residue: String,
    pub(crate) taxes: Vec<Tax>,
    pub(crate) total: String,
    pub(crate) prepaid: String,
    pub(crate) due: String,
}

/// The document that this one takes back or puts right.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Corrects {
    pub(crate) number: String,
    #[serde(default)]
    pub(crate) reason: String,
}

/// Who sells, or who is billed.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Party {
    pub(crate) name: Option<String>,
    pub(crate) address: Address,
    pub(crate) vat_id: Option<String>,
    pub(crate) iban: Option<String>,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Address {
    pub(crate) street: Option<String>,
    pub(crate) city: Option<String>,
    pub(crate) postcode: Option<String>,
    pub(crate) country: Option<String>,
}

/// One line.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Line {
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) subscription: Option<String>,
    #[serde(default)]
    pub(crate) price: Option<String>,
    #[serde(default)]
    pub(crate) meter: Option<String>,
    #[serde(default)]
    pub(crate) group: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) tier: Option<u32>,
    #[serde(default)]
    pub(crate) period: Option<Period>,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) quantity: Option<String>,
    #[serde(default)]
    pub(crate) each: Option<String>,
    #[serde(default)]
    pub(crate) per: Option<String>,
    pub(crate) amount_exact: String,
    pub(crate) amount: String,
}

/// Which line it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    kind: String,
    subscription: Option<String>,
    price: Option<String>,
    group: String,
    tier: Option<u32>,
    part: String,
}

/// The tax of one category and rate.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Tax {
    pub(crate) category: String,
    pub(crate) rate: String,
    pub(crate) net: String,
    pub(crate) tax: String,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

// === impl Document ===

impl Document {
    pub(crate) fn read(text: &str) -> Result<Self, Fault> {
        serde_json::from_str(text).map_err(|error| {
            let message = format!("The document cannot be read: {error}");
            Fault::new(StatusCode::INTERNAL_SERVER_ERROR, message)
        })
    }

    /// In whose dates it is read.
    pub(crate) fn zone(&self) -> Zone {
        words::zone(self.time_zone.as_deref().unwrap_or("UTC"))
    }

    /// The buyer's name, or else the customer's id.
    pub(crate) fn buyer_name(&self) -> &str {
        self.buyer.as_ref().and_then(|buyer| buyer.name.as_deref()).unwrap_or(&self.customer)
    }

    /// What it is called.
    pub(crate) fn title(&self) -> String {
        match &self.number {
            Some(number) if self.corrects.is_some() || self.total.starts_with('-') => format!("Credit note {number}"),
            Some(number) => format!("Invoice {number}"),
            None => format!("Draft for {}", self.buyer_name()),
        }
    }
}

// === impl Line ===

impl Line {
    /// What tells it from the other lines of a bill, and is the same on the next one.
    pub(crate) fn identity(&self) -> Identity {
        let part = match self.kind.as_str() {
            // Counts and bounds in the text are this bill's.
            "usage" => {
                ["included", "flat"].into_iter().find(|word| self.description.contains(word)).unwrap_or_default()
            }
            // And so are the dates of a fee.
            _ => self.description.split(", ").next().unwrap_or_default(),
        };
        Identity {
            kind: self.kind.clone(),
            subscription: self.subscription.clone(),
            price: self.price.clone(),
            group: words::group(&self.group),
            tier: self.tier,
            part: part.to_owned(),
        }
    }

    /// Whether events stand behind it.
    pub(crate) fn opens(&self) -> bool {
        self.subscription.is_some() && ((self.kind == "usage" && self.price.is_some()) || self.kind == "adjustment")
    }
}

// === impl Tax ===

impl Tax {
    /// What the category's code of EN 16931 means.
    pub(crate) fn name(&self) -> String {
        let words = match self.category.as_str() {
            "AE" => "Reverse charge, no VAT",
            "E" => "Exempt from VAT",
            "G" => "Export, no VAT",
            "O" => "Outside the scope of VAT",
            _ => {
                let rate = self.rate.parse::<pricing::number::Rate>();
                return format!("VAT {}", rate.map_or_else(|_| self.rate.clone(), pricing::number::Rate::percent));
            }
        };
        words.to_owned()
    }
}

// === impl Address ===

impl Address {
    /// Its lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let town = format!("{} {}", text(&self.postcode), text(&self.city));
        let parts = [text(&self.street), town.trim().to_owned(), text(&self.country)];
        parts.into_iter().filter(|part| !part.is_empty()).collect()
    }
}
