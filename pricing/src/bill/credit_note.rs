//! Credit notes: what an issued invoice gives back, at its own categories and rates, never more than what is left of it.
//!
//! What is left of a document is itself and all credit notes on it before, added up: they are documents below zero. A line
//! of a credit note says which line of the invoice it gives back; what it gives back of no line in particular (an amount
//! spread over the taxes) lessens what is left of its tax.
//!
//! | asked for | lines | tax |
//! |---|---|---|
//! | lines | each as asked for, before tax | on what is given back under it; the rest of it with the last of its net |
//! | an amount | one for each tax, in proportion to what is left with tax, by largest remainder | its part of the amount |
//! | the rest | every line as it stands, below zero; what earlier credit notes gave back comes off | all that is left |

use super::round::{apportion, share};
use super::{Bill, CreditUse, Issued, Kind, Line, Party, Tax, TaxTotal};
use crate::id::SellerId;
use crate::number::{self, Amount, Minor, Rate};
use std::collections::BTreeMap;

/// What is to be given back.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Lines by their place, from 1: all that is left of each, or an amount before tax with the line's own sign.
    Lines(Vec<(u32, Option<Minor>)>),
    /// An amount with tax, above zero.
    Amount(Minor),
    /// All that is left.
    Rest,
}

/// What a credit note is made from.
#[derive(Clone, Copy, Debug)]
pub struct Correction<'a> {
    /// The invoice.
    pub invoice: &'a Issued,
    /// The credit notes on it so far.
    pub earlier: &'a [Issued],
    /// Who was billed, as the invoice says it.
    pub party: &'a Party,
    /// Who sold.
    pub seller: Option<&'a SellerId>,
    /// What is to be given back.
    pub ask: &'a Ask,
    /// Why.
    pub reason: &'a str,
}

/// Why no credit note is made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The invoice has no such line.
    #[error("invoice {invoice} has no line {line}; its lines count from 1 to {count}")]
    NoLine {
        /// The invoice's number.
        invoice: String,
        /// Asked for.
        line: u32,
        /// How many it has.
        count: usize,
    },
    /// It is more than what is left.
    #[error("{asked} of {what} cannot be given back: {left} is left of it")]
    TooMuch {
        /// Of what.
        what: String,
        /// Asked for, as printed.
        asked: String,
        /// What is left, as printed.
        left: String,
    },
    /// What was asked for gives nothing back.
    #[error("{0}")]
    Nothing(String),
    /// A sum is beyond what is kept exactly.
    #[error(transparent)]
    Number(#[from] number::Error),
}

/// A tax as sums are kept by: none, or category and rate.
type Key = Option<(std::sync::Arc<str>, Rate)>;

/// What is left under one tax, in minor units.
#[derive(Clone, Debug, Default)]
struct Left {
    tax: Option<Tax>,
    net: i128,
    amount: i128,
    /// Exact sum of its lines.
    exact: Amount,
}

/// What is left of the invoice.
struct Rest {
    taxes: BTreeMap<Key, Left>,
    /// By line: printed and exact.
    lines: Vec<(Minor, Amount)>,
}

const TOO_LARGE: number::Error = number::Error::Overflow { what: "amount", limit: "64 bits of minor units" };

impl Correction<'_> {
    /// The credit note's content; all of its sums are below zero.
    ///
    /// # Errors
    /// [`Refused`] says how much is left of what.
    pub fn bill(&self) -> Result<Bill, Refused> {
        let rest = self.rest()?;
        let total: i128 = rest.taxes.values().map(|left| left.net + left.amount).sum();
        if total <= 0 && !(self.earlier.is_empty() && *self.ask == Ask::Rest) {
            return Err(Refused::Nothing(format!("all of invoice {} was given back already", self.invoice.number)));
        }
        let (lines, taxes) = match self.ask {
            Ask::Lines(asked) => self.lines(asked, &rest, total)?,
            Ask::Amount(amount) => self.amount(*amount, &rest, total)?,
            Ask::Rest => self.everything(&rest)?,
        };
        self.content(lines, &taxes)
    }

    /// The invoice and all credit notes on it, added up.
    fn rest(&self) -> Result<Rest, Refused> {
        let mut taxes = BTreeMap::<Key, Left>::new();
        let mut lines: Vec<_> = self.invoice.lines.iter().map(|line| (line.amount, line.amount_exact)).collect();
        for document in [self.invoice].into_iter().chain(self.earlier) {
            for line in &document.lines {
                let left = taxes.entry(key(line.tax.as_ref())).or_default();
                left.tax.clone_from(&line.tax);
                left.net += i128::from(line.amount.0);
                left.exact = left.exact.add(line.amount_exact)?;
                let at = line.corrects_line.and_then(|at| usize::try_from(at).ok()?.checked_sub(1));
                if let Some((printed, exact)) = at.and_then(|at| lines.get_mut(at)) {
                    *printed = minor(i128::from(printed.0) + i128::from(line.amount.0))?;
                    *exact = exact.add(line.amount_exact)?;
                }
            }
            for total in &document.taxes {
                let left = taxes.entry(key(Some(&total.tax))).or_default();
                left.tax = Some(total.tax.clone());
                left.amount += i128::from(total.amount.0);
            }
        }
        Ok(Rest { taxes, lines })
    }

    /// Lines as they are asked for; what comes off each tax with them.
    fn lines(
        &self,
        asked: &[(u32, Option<Minor>)],
        rest: &Rest,
        total_left: i128,
    ) -> Result<(Vec<Line>, BTreeMap<Key, Left>), Refused> {
        let (invoice, currency) = (self.invoice, self.invoice.currency);
        let (mut lines, mut off) = (Vec::with_capacity(asked.len()), BTreeMap::<Key, Left>::new());
        for (index, (place, amount)) in asked.iter().enumerate() {
            let at = usize::try_from(*place).ok().and_then(|place| place.checked_sub(1));
            let of = at.and_then(|at| Some((invoice.lines.get(at)?, rest.lines.get(at)?.0)));
            let (number, count) = (invoice.number.clone(), invoice.lines.len());
            let (line, left) = of.ok_or(Refused::NoLine { invoice: number, line: *place, count })?;
            let amount = amount.unwrap_or(left);
            let what = || format!("line {place} of invoice {}", invoice.number);
            let twice = asked.iter().take(index).any(|(earlier, _)| earlier == place);
            if twice || left.0 == 0 {
                let why = if twice { "is named twice" } else { "has nothing left that could be given back" };
                return Err(Refused::Nothing(format!("{} {why}", what())));
            }
            if amount.0.signum() != left.0.signum() || amount.0.unsigned_abs() > left.0.unsigned_abs() {
                return Err(self.too_much(what(), i128::from(amount.0), i128::from(left.0))?);
            }
            let (given, amount) = (-i128::from(amount.0), amount);
            let exact = currency.exact(amount)?.neg();
            let mut given = Line { amount: minor(given)?, amount_exact: exact, ..line.clone() };
            (given.quantity, given.each, given.per, given.measure) = (None, None, None, None);
            given.corrects_line = Some(*place);
            lines.push(given);
            let entry = off.entry(key(line.tax.as_ref())).or_default();
            entry.tax.clone_from(&line.tax);
            entry.net += i128::from(amount.0);
        }
        for (key, entry) in &mut off {
            let left = rest.taxes.get(key).cloned().unwrap_or_default();
            let (low, high) = (left.net.min(0), left.net.max(0));
            if entry.net < low || entry.net > high {
                let tax = entry
                    .tax
                    .as_ref()
                    .map_or_else(|| "without tax".to_owned(), |tax| format!("at {}", tax.rate.percent()));
                return Err(self.too_much(
                    format!("what invoice {} bills {tax}", invoice.number),
                    entry.net,
                    left.net,
                )?);
            }
            let rate = entry.tax.as_ref().map_or(Rate::ZERO, |tax| tax.rate);
            let on_it = share(entry.net, rate.raw(), Rate::ONE.raw())?;
            entry.amount =
                if entry.net == left.net { left.amount } else { on_it.clamp(left.amount.min(0), left.amount.max(0)) };
        }
        let total: i128 = off.values().map(|entry| entry.net + entry.amount).sum();
        if total <= 0 {
            let what = "these lines together give nothing back: a credit note takes money off the invoice";
            return Err(Refused::Nothing(what.to_owned()));
        }
        if total > total_left {
            return Err(self.too_much(format!("invoice {}", invoice.number), total, total_left)?);
        }
        Ok((lines, off))
    }

    /// An amount with tax, shared out over the taxes.
    fn amount(
        &self,
        amount: Minor,
        rest: &Rest,
        total_left: i128,
    ) -> Result<(Vec<Line>, BTreeMap<Key, Left>), Refused> {
        let currency = self.invoice.currency;
        let positive: Vec<(&Key, &Left)> =
            rest.taxes.iter().filter(|(_, left)| left.net >= 0 && left.net + left.amount > 0).collect();
        let gross = |left: &Left| left.net + left.amount;
        let there = positive.iter().map(|(_, left)| gross(left)).sum::<i128>().min(total_left);
        if amount.0 <= 0 {
            return Err(Refused::Nothing("the amount to be given back must be above zero".to_owned()));
        }
        if i128::from(amount.0) > there {
            return Err(self.too_much(format!("invoice {}", self.invoice.number), i128::from(amount.0), there)?);
        }
        let whole = currency.exact(minor(positive.iter().map(|(_, left)| gross(left)).sum())?)?;
        let asked = currency.exact(amount)?;
        let mut shares = Vec::with_capacity(positive.len());
        for (_, left) in &positive {
            let part = number::mul_div(asked.raw(), currency.exact(minor(gross(left))?)?.raw(), whole.raw())?;
            shares.push(Amount::from_raw(part)?);
        }
        let (mut lines, mut off) = (Vec::new(), BTreeMap::new());
        for ((key, left), part) in positive.into_iter().zip(apportion(currency, &shares, amount)?) {
            let part = i128::from(part.0);
            let rate = left.tax.as_ref().map_or(Rate::ZERO, |tax| tax.rate);
            let within = share(part, rate.raw(), Rate::ONE.add(rate)?.raw())?;
            let tax = within.max(part - left.net).min(left.amount);
            if part == 0 {
                continue;
            }
            let net = minor(part - tax)?;
            let line = Line::plain(Kind::Credit, self.reason.to_owned(), currency.exact(net)?.neg(), left.tax.clone());
            lines.push(Line { amount: Minor(-net.0), ..line });
            let entry = Left { tax: left.tax.clone(), net: part - tax, amount: tax, exact: Amount::ZERO };
            off.insert(key.clone(), entry);
        }
        Ok((lines, off))
    }

    /// All that is left.
    fn everything(&self, rest: &Rest) -> Result<(Vec<Line>, BTreeMap<Key, Left>), Refused> {
        let mut lines = Vec::with_capacity(self.invoice.lines.len());
        let mut shown = BTreeMap::<Key, (i128, Amount)>::new();
        for (place, (line, (left, exact))) in (1u32..).zip(self.invoice.lines.iter().zip(&rest.lines)) {
            let mut given = Line { amount: minor(-i128::from(left.0))?, amount_exact: exact.neg(), ..line.clone() };
            given.corrects_line = Some(place);
            if *left == line.amount && *exact == line.amount_exact {
                given.quantity = line.quantity.map(crate::number::Quantity::neg);
            } else {
                (given.quantity, given.each, given.per, given.measure) = (None, None, None, None);
            }
            let sum = shown.entry(key(line.tax.as_ref())).or_default();
            (sum.0, sum.1) = (sum.0 + i128::from(left.0), sum.1.add(*exact)?);
            lines.push(given);
        }
        let numbers: Vec<&str> = self.earlier.iter().map(|earlier| earlier.number.as_str()).collect();
        for (key, left) in &rest.taxes {
            let (printed, exact) = shown.get(key).copied().unwrap_or_default();
            let (printed, exact) = (printed - left.net, exact.sub(left.exact)?);
            if printed != 0 || !exact.is_zero() {
                let text = format!("given back already by {}", numbers.join(", "));
                lines
                    .push(Line { amount: minor(printed)?, ..Line::plain(Kind::Credit, text, exact, left.tax.clone()) });
            }
        }
        Ok((lines, rest.taxes.clone()))
    }

    /// The document of these lines, with `off` taken off the taxes.
    fn content(&self, lines: Vec<Line>, off: &BTreeMap<Key, Left>) -> Result<Bill, Refused> {
        let invoice = self.invoice;
        let below = |value: i128| minor(-value);
        let mut taxes = Vec::new();
        // In the invoice's order.
        for total in &invoice.taxes {
            if let Some(entry) = off.get(&key(Some(&total.tax))) {
                taxes.push(TaxTotal { tax: total.tax.clone(), net: below(entry.net)?, amount: below(entry.amount)? });
            }
        }
        let net_exact = Amount::sum(lines.iter().map(|line| line.amount_exact))?;
        let net = minor(lines.iter().map(|line| i128::from(line.amount.0)).sum())?;
        let total = minor(taxes.iter().map(|tax| i128::from(tax.amount.0)).sum::<i128>() + i128::from(net.0))?;
        // Prepaid money goes back with all that is left, and never more of it than that.
        let is_rest = *self.ask == Ask::Rest;
        let prepaid = Minor(if is_rest { -invoice.prepaid.0.min(-total.0).max(0) } else { 0 });
        let credits = if is_rest { self.given_back(Minor(-prepaid.0))? } else { Vec::new() };
        Ok(Bill {
            id: invoice.id.clone(),
            party: self.party.clone(),
            seller: self.seller.cloned(),
            currency: invoice.currency,
            period: invoice.period,
            lines,
            net_exact,
            net,
            rounding_residue: net_exact.sub(invoice.currency.exact(net)?)?,
            taxes,
            total,
            prepaid,
            due: minor(i128::from(total.0) - i128::from(prepaid.0))?,
            credits,
            zero: false,
        })
    }

    /// What goes back to each credit: promotional ones all that they gave; prepaid ones this much, the last used first.
    fn given_back(&self, prepaid: Minor) -> Result<Vec<CreditUse>, Refused> {
        let mut left = self.invoice.currency.exact(prepaid)?;
        let mut back = Vec::new();
        for used in self.invoice.credits.iter().rev().filter(|used| !used.used.is_zero()) {
            let part = match used.kind {
                super::CreditKind::Promotional => used.used,
                super::CreditKind::Prepaid => used.used.min(left),
            };
            if used.kind == super::CreditKind::Prepaid {
                left = left.sub(part)?;
            }
            if !part.is_zero() {
                back.push(CreditUse { id: used.id.clone(), kind: used.kind, used: part.neg(), left: None });
            }
        }
        back.reverse();
        Ok(back)
    }

    fn too_much(&self, what: String, asked: i128, left: i128) -> Result<Refused, number::Error> {
        let currency = self.invoice.currency;
        let text = |value: i128| Ok::<_, number::Error>(format!("{} {currency}", currency.text(minor(value)?)));
        Ok(Refused::TooMuch { what, asked: text(asked)?, left: text(left)? })
    }
}

fn key(tax: Option<&Tax>) -> Key {
    tax.map(|tax| (tax.category.clone(), tax.rate))
}

fn minor(value: i128) -> Result<Minor, number::Error> {
    i64::try_from(value).map(Minor).map_err(|_| TOO_LARGE)
}
