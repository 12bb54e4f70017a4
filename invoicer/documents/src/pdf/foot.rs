//! The foot of every page: who sells, where it stands in the registers, and which page of how many this is. The head of
//! later pages says which document they belong to.

use super::sheet::{HEIGHT, LEFT, MUTED, Mark, RIGHT, RULE, SMALL, Sheets};
use super::text::{Run, Weight, wrap};
use super::title;
use crate::invoice::Invoice;

const TOP: f32 = HEIGHT - 62.0;

pub(super) fn draw(invoice: &Invoice, sheets: &mut Sheets) {
    let words = invoice.language.words();
    let (weight, size, color) = SMALL;
    let (lines, leading) = imprint(invoice);
    let count = sheets.pages.len();
    for (at, page) in sheets.pages.iter_mut().enumerate() {
        page.push(Mark::Rule { x: LEFT, y: TOP, width: RIGHT - LEFT, thickness: 0.5, color: RULE });
        let mut y = TOP + 14.0;
        for run in &lines {
            page.push(Mark::Text { x: LEFT, y, run: run.clone(), color });
            y += leading;
        }
        let run = Run::new(&format!("{} {} {} {count}", words.page, at + 1, words.of), weight, size);
        page.push(Mark::Text { x: RIGHT - run.width, y: TOP + 14.0, run, color });
        if at > 0 {
            let run = Run::new(&title(invoice), Weight::SemiBold, 9.0);
            page.push(Mark::Text { x: LEFT, y: 52.0, run, color: MUTED });
            let name = invoice.seller.as_ref().and_then(|seller| seller.name.as_deref()).unwrap_or_default();
            let run = Run::fitted(name, Weight::Regular, 9.0, 240.0);
            page.push(Mark::Text { x: RIGHT - run.width, y: 52.0, run, color: MUTED });
        }
    }
}

/// The seller in one sentence, as small as three lines of it need; and how far they are apart.
fn imprint(invoice: &Invoice) -> (Vec<Run>, f32) {
    let (text, width) = (sentence(invoice), RIGHT - LEFT - 90.0);
    let mut size = SMALL.1;
    loop {
        let lines = wrap(&text, SMALL.0, size, width);
        if lines.len() <= 3 || size < 3.0 {
            return (lines, size * 1.33);
        }
        size *= 0.92;
    }
}

fn sentence(invoice: &Invoice) -> String {
    let words = invoice.language.words();
    let Some(seller) = &invoice.seller else { return String::new() };
    let address = &seller.address;
    let town = [address.postcode.as_deref(), address.city.as_deref()];
    let town = town.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let named = |label: &str, value: &Option<String>| value.as_ref().map(|value| format!("{label} {value}"));
    let contact = &seller.contact;
    let parts = [
        seller.name.clone(),
        address.street.as_deref().map(str::to_owned),
        Some(town),
        address.country.as_deref().map(str::to_owned),
        named(words.vat_id, &seller.vat_id),
        seller.registration.clone(),
        contact.phone.as_deref().map(|phone| format!("{} {phone}", words.phone)),
        contact.email.as_deref().map(str::to_owned),
    ];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}
