//! Bills: what a customer owes in one currency at one moment, from the exact settling of each subscription to the printed
//! document.
//!
//! A customer's bills in one currency are a chain, and the chain is a pure fold: an [`Account`] and a [`Request`] make the
//! next [`Bill`] and the next account. Whoever folds the same requests gets the same bytes, so a draft is simply computed
//! again, and `farthing rate` is the same function over a file.

// Reading order: what goes in (request, account), which bills there are (schedule), the fold (prepare), its steps (settle,
// adjust, credit, round), what comes out (line, document), what takes some of it back (issued, credit_note).
mod account;
mod adjust;
mod credit;
mod credit_note;
mod document;
mod issued;
mod line;
mod prepare;
mod request;
mod round;
mod schedule;
mod settle;

pub use account::Account;
pub use credit_note::{Ask, Correction, Refused};
pub use document::{Corrects, DocumentKind, Issue, Status, document, issued};
pub use issued::{Issued, Unreadable, printed};
pub use line::{Bill, CreditUse, Kind, Line, TaxTotal};
pub use prepare::prepare;
pub use request::{Credit, CreditKind, Error, Party, Plans, Prepared, Request, Tax};
pub use schedule::{Due, Part, last_end, late_opening, parts, schedule};
pub use settle::{Sum, Usage};
