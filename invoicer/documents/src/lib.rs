//! An invoice as others want it: EN 16931 as UBL and CII, PDF/A-3 with the invoice inside, all from its canonical JSON alone.
//!
//! ```text
//! canonical JSON ─▶ Invoice ─┬─▶ einvoice::Document ─▶ ubl, cii       (needs all that EN 16931 asks for)
//!                            └─▶ pdf, with the CII inside where there is one
//! ```
//!
//! Pure functions: the same JSON, the same bytes. Sums are never reckoned again, they are carried over; a document whose
//! parts do not add up is refused.

// Reading order: what comes in, what EN 16931 makes of it, its two syntaxes, the rest.
mod canonical;
mod einvoice;
pub mod focus;
pub mod invoice;
pub mod journal;
pub mod language;
pub mod register;

mod cii;
mod csv;
mod pdf;
mod ubl;
mod xml;

pub use einvoice::{Customization, Lack};
pub use pdf::{logo, pdf};

use invoice::Invoice;
use std::fmt::Write as _;

/// Why a document was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no canonical JSON.
    #[error("this is no document of Farthing: {0}")]
    Unreadable(String),
    /// Its parts are not what its totals say.
    #[error("the document does not add up: {0}")]
    Sums(String),
    /// Only issued documents have a number and a day of issue.
    #[error(
        "bill {0} is not issued: only invoices and credit notes can be sent as UBL; a draft can be exported as PDF"
    )]
    NotIssued(String),
    /// EN 16931 has no such document.
    #[error("{0}")]
    Refused(String),
    /// EN 16931, or a profile of it, asks for more than the document says.
    #[error("{}", lacking(.0))]
    Lacking(Vec<Lack>),
    /// The page could not be drawn.
    #[error("the PDF could not be made: {0}")]
    Pdf(String),
    /// The seller's logo cannot be drawn.
    #[error("the seller's logo cannot be drawn: {0}")]
    Logo(String),
}

/// The UBL 2.1 invoice or credit note of an issued document.
///
/// # Errors
/// See [`Error`].
pub fn ubl(canonical: &str, customization: Customization) -> Result<Vec<u8>, Error> {
    let invoice = Invoice::read(canonical)?;
    Ok(ubl::write(&einvoice::Document::new(&invoice, customization)?))
}

/// The same in the CII syntax.
///
/// # Errors
/// See [`Error`].
pub fn cii(canonical: &str, customization: Customization) -> Result<Vec<u8>, Error> {
    let invoice = Invoice::read(canonical)?;
    Ok(cii::write(&einvoice::Document::new(&invoice, customization)?))
}

/// The lines as CSV, of a draft, too.
///
/// # Errors
/// [`Error::Unreadable`].
pub fn csv(canonical: &str) -> Result<String, Error> {
    Ok(csv::write(&canonical::Shape::read(canonical)?))
}

fn lacking(lacks: &[Lack]) -> String {
    let mut text = "the electronic invoice needs more than this document says:".to_owned();
    for lack in lacks {
        let _ = write!(text, "\n  {} ({}): {}", lack.what, lack.term, lack.remedy);
    }
    text.push_str("\nDocuments issued after the catalog says so have it; one that is issued stays as it is.");
    text
}
