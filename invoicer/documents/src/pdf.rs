//! The page: PDF/A-3, with the electronic invoice inside where the document has all that it needs (Factur-X, ZUGFeRD).
//!
//! Coordinates are points from the page's upper left corner. They are floats, the only ones in the path of a document: they
//! say where something stands and never what it says.

#![allow(clippy::float_arithmetic, reason = "places on a page, never money")]

// Reading order: the parts of the page (head, table, totals), what they are set in, how they become bytes.
mod foot;
mod head;
mod picture;
mod sheet;
mod table;
mod text;
mod totals;
mod xmp;

mod file;
#[cfg(test)]
mod tests;

use crate::canonical::Shape;
use crate::einvoice::{Customization, Document};
use crate::invoice::{Invoice, Kind};
use crate::{Error, cii};
use picture::Picture;
use sheet::Sheets;

/// The PDF/A-3 of a document, issued or not, with the picture that [`logo`] names.
///
/// # Errors
/// See [`Error`].
pub fn pdf(canonical: &str, logo: Option<Vec<u8>>) -> Result<Vec<u8>, Error> {
    let invoice = Invoice::read(canonical)?;
    let inside = match Document::new(&invoice, Customization::En16931) {
        Ok(document) => Some(cii::write(&document)),
        // A page may lack what an electronic invoice may not; whoever asks for UBL hears what.
        Err(Error::Lacking(_) | Error::Refused(_) | Error::NotIssued(_)) => None,
        Err(error) => return Err(error),
    };
    let logo = logo.map(Picture::read).transpose()?;
    file::write(&invoice, sheets(&invoice, logo.as_ref()), inside)
}

/// The file that a document's seller has its logo in, where it has one.
///
/// # Errors
/// [`Error::Unreadable`].
pub fn logo(canonical: &str) -> Result<Option<String>, Error> {
    Ok(Shape::read(canonical)?.seller.and_then(|seller| seller.logo))
}

fn sheets(invoice: &Invoice, logo: Option<&Picture>) -> Sheets {
    let mut sheets = Sheets::new(mark(invoice));
    head::draw(invoice, logo, &mut sheets);
    table::draw(invoice, &mut sheets);
    totals::draw(invoice, &mut sheets);
    foot::draw(invoice, &mut sheets);
    sheets
}

/// What the page says of itself across all of it.
fn mark(invoice: &Invoice) -> Option<String> {
    let words = invoice.language.words();
    let draft = invoice.issue_date.is_none().then_some(words.draft);
    let test = invoice.test.then_some(words.test);
    let marks: Vec<String> = draft.into_iter().chain(test).map(str::to_uppercase).collect();
    (!marks.is_empty()).then(|| marks.join(" · "))
}

/// `Invoice`, `Credit note`.
fn title(invoice: &Invoice) -> String {
    let words = invoice.language.words();
    let kind = if invoice.kind == Kind::Invoice { words.invoice } else { words.credit_note };
    match &invoice.number {
        Some(number) => format!("{kind} {number}"),
        None => kind.to_owned(),
    }
}
