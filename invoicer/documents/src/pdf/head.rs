//! The top of the first page: who sells, who buys, and the facts of the document.

use super::picture::Picture;
use super::sheet::{ACCENT, ALERT, BODY, BODY_BOLD, INK, LABEL, LEFT, Mark, RIGHT, SMALL, Sheets, WHITE};
use super::text::{Run, Weight, wrap};
use super::title;
use crate::invoice::{Invoice, Seller};
use pricing::catalog::entity::Address;

/// Where the facts begin, and how wide the buyer's address is.
const FACTS: f32 = 346.0;
const ADDRESS_WIDTH: f32 = FACTS - LEFT - 24.0;
const LEADING: f32 = 13.0;

pub(super) fn draw(invoice: &Invoice, logo: Option<&Picture>, sheets: &mut Sheets) {
    letterhead(invoice.seller.as_ref(), logo, sheets);
    let below_buyer = buyer(invoice, 132.0, sheets);
    let below_facts = facts(invoice, 132.0, sheets);
    sheets.y = below_buyer.max(below_facts).max(238.0) + 34.0;
    let tags = tags(invoice);
    let beside: f32 = tags.iter().map(|tag| tag.width + 20.0).sum();
    let title = Run::fitted(&title(invoice), Weight::SemiBold, 19.0, RIGHT - LEFT - beside);
    let mut x = LEFT + title.width + 12.0;
    sheets.run(LEFT, sheets.y, title, INK);
    for tag in tags {
        let width = tag.width + 14.0;
        sheets.put(Mark::Area { x, y: sheets.y - 13.0, width, height: 16.0, color: ALERT });
        sheets.run(x + 7.0, sheets.y - 2.0, tag, WHITE);
        x += width + 6.0;
    }
    sheets.y += 24.0;
}

/// The logo, or the seller's name in its stead.
fn letterhead(seller: Option<&Seller>, logo: Option<&Picture>, sheets: &mut Sheets) {
    if let Some(picture) = logo {
        let (width, height) = picture.size(170.0, 44.0);
        sheets.put(Mark::Picture { x: LEFT, y: 44.0, width, height, picture: picture.clone() });
        return;
    }
    if let Some(name) = seller.and_then(|seller| seller.name.as_deref()) {
        let run = Run::fitted(name, Weight::SemiBold, 15.0, RIGHT - LEFT);
        sheets.run(LEFT, 66.0, run, ACCENT);
    }
}

/// The address window: the seller in small type above the buyer.
fn buyer(invoice: &Invoice, top: f32, sheets: &mut Sheets) -> f32 {
    if let Some(seller) = &invoice.seller {
        let mut parts: Vec<&str> = seller.name.as_deref().into_iter().collect();
        parts.extend(seller.address.street.as_deref());
        let town = town(&seller.address);
        parts.extend(Some(town.as_str()).filter(|town| !town.is_empty()));
        let run = Run::fitted(&parts.join(" · "), Weight::Regular, SMALL.1, ADDRESS_WIDTH);
        // Nobody reads it smaller; the foot says it, too.
        if run.size > 5.0 {
            sheets.run(LEFT, top - 4.0, run, SMALL.2);
        }
    }
    let mut y = top + 16.0;
    let buyer = &invoice.buyer;
    let name = buyer.name.as_deref().unwrap_or(&invoice.customer);
    for run in wrap(name, Weight::SemiBold, 10.0, ADDRESS_WIDTH) {
        sheets.run(LEFT, y, run, INK);
        y += LEADING;
    }
    let (town, country) = (town(&buyer.address), buyer.address.country.as_deref().unwrap_or_default());
    // A country is written where it is another than the seller's.
    let home = invoice.seller.as_ref().and_then(|seller| seller.address.country.as_deref());
    let country = if home == Some(country) { "" } else { country };
    let vat_id = buyer.vat_id.as_ref().map(|id| format!("{} {id}", invoice.language.words().vat_id));
    let vat_id = vat_id.as_deref().unwrap_or_default();
    for text in [buyer.address.street.as_deref().unwrap_or_default(), &town, country, vat_id] {
        for run in wrap(text, Weight::Regular, 10.0, ADDRESS_WIDTH).into_iter().filter(|run| run.width > 0.0) {
            sheets.run(LEFT, y, run, INK);
            y += LEADING;
        }
    }
    y
}

fn town(address: &Address) -> String {
    let parts = [address.postcode.as_deref(), address.city.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Number, dates, names: labels to the left, what they say to the right.
fn facts(invoice: &Invoice, top: f32, sheets: &mut Sheets) -> f32 {
    let (words, language) = (invoice.language.words(), invoice.language);
    let corrects = invoice.corrects.as_ref().map(|(number, day)| format!("{number}, {}", language.date(*day)));
    let rows: [(&str, Option<String>); 7] = [
        (words.number, invoice.number.clone()),
        (words.issue_date, invoice.issue_date.map(|day| language.date(day))),
        (words.period, invoice.days.map(|days| language.days(days))),
        (words.due_date, invoice.due_date.map(|day| language.date(day))),
        (words.corrects, corrects),
        (words.customer, Some(invoice.customer.clone())),
        (words.reference, invoice.buyer.reference.clone()),
    ];
    let values = FACTS + 78.0;
    let mut y = top + 16.0;
    for (label, value) in rows {
        let Some(value) = value else { continue };
        sheets.run(FACTS, y, Run::fitted(label, LABEL.0, LABEL.1, 74.0), LABEL.2);
        let style = if label == words.number || label == words.due_date { BODY_BOLD } else { BODY };
        for run in wrap(&value, style.0, style.1, RIGHT - values) {
            sheets.run(values, y, run, style.2);
            y += LEADING;
        }
    }
    y
}

/// What the document is not: a debt.
fn tags(invoice: &Invoice) -> Vec<Run> {
    let words = invoice.language.words();
    let draft = invoice.issue_date.is_none().then_some(words.draft);
    let tags = draft.into_iter().chain(invoice.test.then_some(words.test));
    tags.map(|tag| Run::new(&tag.to_uppercase(), Weight::SemiBold, 8.5)).collect()
}
