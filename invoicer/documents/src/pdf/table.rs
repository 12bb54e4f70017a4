//! The lines, over as many pages as they need, with the sum so far carried from page to page.

use super::sheet::{BODY, BODY_BOLD, BOTTOM, INK, LABEL, LEFT, MUTED, RIGHT, RULE, Sheets};
use super::text::{Run, Weight, wrap};
use crate::invoice::{Invoice, Line};
use crate::language::Language;
use pricing::number::{Amount, Minor, Quantity};
use std::collections::BTreeSet;

/// Right edges of the columns of numbers.
const AMOUNT: f32 = RIGHT;
const VAT: f32 = RIGHT - 76.0;
const EACH: f32 = RIGHT - 114.0;
const QUANTITY: f32 = RIGHT - 206.0;
const DESCRIPTION_WIDTH: f32 = QUANTITY - QUANTITY_WIDTH - 10.0 - LEFT;
const EACH_WIDTH: f32 = 84.0;
const QUANTITY_WIDTH: f32 = 86.0;
const LEADING: f32 = 11.5;
const PADDING: f32 = 5.0;
/// What a carried sum takes at the foot of a page.
const CARRIED: f32 = 22.0;
/// More decimals than a price can have: such a number was divided, and is printed with [`DECIMALS`] of them. A document's
/// JSON has all.
const DECIMALS_MAX: usize = 15;
const DECIMALS: usize = 6;
/// How far numbers shrink before they lose decimals.
const SHRINK_MAX: f32 = 0.75;

/// One line, broken and measured.
struct Row {
    description: Vec<Run>,
    quantity: Option<Run>,
    each: Vec<Run>,
    rate: Option<Run>,
    amount: Run,
}

pub(super) fn draw(invoice: &Invoice, sheets: &mut Sheets) {
    header(invoice, sheets);
    let subscriptions: BTreeSet<_> = invoice.lines.iter().filter_map(|line| line.subscription.as_deref()).collect();
    let mut heading = None;
    let mut sum = Minor(0);
    for line in &invoice.lines {
        let row = Row::new(invoice, line);
        let own = line.subscription.as_deref();
        let heads = subscriptions.len() > 1 && own.is_some() && own != heading;
        let needed = row.height() + if heads { 22.0 } else { 0.0 };
        if !sheets.has_room(needed + CARRIED) {
            turn(invoice, sum, sheets);
        }
        if let Some(own) = own.filter(|_| heads) {
            sheets.y += 6.0;
            let text = format!("{} {own}", invoice.language.words().subscription);
            sheets.run(LEFT, sheets.y + 10.0, Run::fitted(&text, Weight::SemiBold, 9.0, RIGHT - LEFT), MUTED);
            sheets.y += 16.0;
            heading = Some(own);
        }
        row.draw(sheets);
        sum = Minor(sum.0.saturating_add(line.amount.0));
    }
}

/// Carries a sum over to a new page.
pub(super) fn turn(invoice: &Invoice, sum: Minor, sheets: &mut Sheets) {
    let words = invoice.language.words();
    let amount = invoice.language.number(&invoice.text(sum));
    sheets.text(LEFT, BOTTOM - 6.0, words.carried, BODY_BOLD);
    sheets.text_to(AMOUNT, BOTTOM - 6.0, &amount, BODY_BOLD);
    sheets.turn();
    header(invoice, sheets);
    sheets.text(LEFT, sheets.y + PADDING + 8.0, words.brought, BODY_BOLD);
    sheets.text_to(AMOUNT, sheets.y + PADDING + 8.0, &amount, BODY_BOLD);
    sheets.y += LEADING + 2.0 * PADDING;
    sheets.rule(LEFT, sheets.y, RIGHT - LEFT, (0.5, RULE));
}

/// The columns' names.
fn header(invoice: &Invoice, sheets: &mut Sheets) {
    let words = invoice.language.words();
    let y = sheets.y;
    sheets.text(LEFT, y, words.description, LABEL);
    sheets.text_to(QUANTITY, y, words.quantity, LABEL);
    sheets.text_to(EACH, y, words.each, LABEL);
    sheets.text_to(VAT, y, words.vat, LABEL);
    sheets.text_to(AMOUNT, y, &format!("{} ({})", words.amount, invoice.currency), LABEL);
    sheets.y += 6.0;
    sheets.rule(LEFT, sheets.y, RIGHT - LEFT, (0.8, INK));
}

// === impl Row ===

impl Row {
    fn new(invoice: &Invoice, line: &Line) -> Self {
        let language = invoice.language;
        let (weight, size, _) = BODY;
        // What is given back is a quantity above zero at a price above zero, where both are below.
        let turned = line.each.as_ref().is_some_and(Amount::is_negative);
        let quantity = line.quantity.map(|quantity| if turned { quantity.neg() } else { quantity });
        let each = line.each.map(|each| {
            let each = invoice.currency.exact_text(if turned { each.neg() } else { each }).replace(',', "");
            let each = number(language, &each, EACH_WIDTH);
            let Some(per) = line.per.filter(|per| *per != Quantity::ONE) else { return vec![each] };
            let per = language.number(&per.to_string());
            let run = Run::new(&format!("{} / {per}", each.text), weight, size);
            if run.width <= EACH_WIDTH {
                return vec![run];
            }
            vec![each, Run::fitted(&format!("/ {per}"), weight, size, EACH_WIDTH)]
        });
        let rate = line.tax.as_ref().map(|(category, rate)| match category.as_str() {
            "S" | "Z" => language.percent(&rate.percent()),
            other => other.to_owned(),
        });
        let amount = language.number(&invoice.text(line.amount));
        Self {
            description: wrap(&language.description(&line.description), weight, size, DESCRIPTION_WIDTH),
            quantity: quantity.map(|quantity| number(language, &quantity.to_string(), QUANTITY_WIDTH)),
            each: each.unwrap_or_default(),
            rate: rate.map(|rate| Run::fitted(&rate, weight, size, 34.0)),
            amount: Run::fitted(&amount, weight, size, 68.0),
        }
    }

    fn height(&self) -> f32 {
        let lines = self.description.len().max(self.each.len()).max(1);
        let lines = u16::try_from(lines).unwrap_or(u16::MAX);
        f32::from(lines) * LEADING + 2.0 * PADDING
    }

    fn draw(self, sheets: &mut Sheets) {
        let height = self.height();
        let y = sheets.y + PADDING + 8.0;
        let mut below = y;
        for run in self.description {
            sheets.run(LEFT, below, run, INK);
            below += LEADING;
        }
        let mut below = y;
        for run in self.each {
            sheets.run(EACH - run.width, below, run, INK);
            below += LEADING;
        }
        for (edge, run, color) in
            [(QUANTITY, self.quantity, INK), (VAT, self.rate, MUTED), (AMOUNT, Some(self.amount), INK)]
        {
            if let Some(run) = run {
                sheets.run(edge - run.width, y, run, color);
            }
        }
        sheets.y += height;
        sheets.rule(LEFT, sheets.y, RIGHT - LEFT, (0.5, RULE));
    }
}

/// A number in a column: smaller if need be, and with fewer decimals before it is too small; `…` says that there are more.
fn number(language: Language, plain: &str, width: f32) -> Run {
    let (weight, size, _) = BODY;
    let (whole, decimals) = plain.split_once('.').unwrap_or((plain, ""));
    let mut count = if decimals.len() > DECIMALS_MAX { DECIMALS } else { decimals.len() };
    loop {
        let kept = decimals.get(..count).unwrap_or_default();
        let mut text = language.number(&if kept.is_empty() { whole.to_owned() } else { format!("{whole}.{kept}") });
        if count < decimals.len() {
            text.push('…');
        }
        let run = Run::new(&text, weight, size);
        if run.width <= width / SHRINK_MAX || count == 0 {
            return Run::fitted(&text, weight, size, width);
        }
        count -= 1;
    }
}
