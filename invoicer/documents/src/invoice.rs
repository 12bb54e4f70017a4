//! What a document says, read from its canonical JSON, with its sums compared.
//!
//! A credit note says what is given back in amounts above zero, on the page as in its electronic form: its canonical sums
//! are below zero, and every amount and quantity changes its sign here, once.

use crate::Error;
use crate::canonical::{self, Shape};
use crate::language::Language;
use jiff::civil::Date;
use pricing::currency::{Currency, Rounding};
use pricing::number::{Amount, Minor, Quantity, Rate};
use pricing::period::{Period, Zone};

pub use crate::canonical::{Buyer, Seller};
pub use pricing::bill::{CreditUse, DocumentKind as Kind};

/// A document.
#[derive(Clone, Debug)]
pub struct Invoice {
    /// What it is.
    pub kind: Kind,
    /// The bill's id.
    pub id: String,
    /// In the seller's series, once issued.
    pub number: Option<String>,
    /// The day of issue.
    pub issue_date: Option<Date>,
    /// Until when it is to be paid.
    pub due_date: Option<Date>,
    /// It comes from a test system.
    pub test: bool,
    /// The document that it puts right, with its day of issue.
    pub corrects: Option<(String, Date)>,
    /// Why, where a person said so.
    pub reason: Option<String>,
    /// Who sells.
    pub seller: Option<Seller>,
    /// The pseudonym of who buys.
    pub customer: String,
    /// Who buys.
    pub buyer: Buyer,
    /// What it is written in.
    pub language: Language,
    /// What its sums are in.
    pub currency: Currency,
    /// First and last day; none for a bill that settles no period.
    pub days: Option<(Date, Date)>,
    /// The day on which its period ends.
    pub end: Date,
    /// In their order.
    pub lines: Vec<Line>,
    /// Σ of the lines.
    pub net: Minor,
    /// Once for each category and rate.
    pub taxes: Vec<Tax>,
    /// With tax.
    pub total: Minor,
    /// Prepaid money taken off.
    pub prepaid: Minor,
    /// What is to be paid.
    pub due: Minor,
    /// All tax in the seller's own currency.
    pub tax_currency: Option<TaxCurrency>,
    /// What of the customer's credits went into it.
    pub credits: Vec<CreditUse>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is.
    pub kind: pricing::bill::Kind,
    /// Whose.
    pub subscription: Option<String>,
    /// What a reader is told.
    pub description: String,
    /// How many.
    pub quantity: Option<Quantity>,
    /// At what price.
    pub each: Option<Amount>,
    /// For how many units.
    pub per: Option<Quantity>,
    /// The unit's code.
    pub measure: Option<String>,
    /// As printed.
    pub amount: Minor,
    /// Category and rate.
    pub tax: Option<(String, Rate)>,
    /// First and last day, where they are not the document's.
    pub days: Option<(Date, Date)>,
}

/// The tax of one category and rate.
#[derive(Clone, Debug)]
pub struct Tax {
    /// The category's code.
    pub category: String,
    /// 0.19 is 19 %.
    pub rate: Rate,
    /// Σ of its lines.
    pub net: Minor,
    /// The tax on it.
    pub amount: Minor,
    /// Why there is none, as the catalog says it.
    pub reason: Option<String>,
}

/// All tax in another currency.
#[derive(Clone, Debug)]
pub struct TaxCurrency {
    /// Which.
    pub currency: Currency,
    /// What one unit of the document's currency is worth in it.
    pub rate: Option<Rate>,
    /// The tax.
    pub tax: Option<Minor>,
}

// === impl Invoice ===

impl Invoice {
    /// Reads the canonical JSON.
    ///
    /// # Errors
    /// [`Error::Unreadable`], [`Error::Sums`].
    pub fn read(canonical: &str) -> Result<Self, Error> {
        let shape = Shape::read(canonical)?;
        let zone = shape.time_zone.as_deref().map_or_else(|| Ok(Zone::utc()), Zone::new);
        let zone = zone.map_err(|error| Error::Unreadable(error.to_string()))?;
        let money = Money { currency: shape.currency, sign: if shape.kind == Kind::CreditNote { -1 } else { 1 } };
        let date = |text: Option<String>| text.map(|text| date(&text)).transpose();
        let reason = shape.corrects.as_ref().map(|earlier| earlier.reason.clone()).filter(|reason| !reason.is_empty());
        let corrects = shape.corrects.map(|earlier| Ok((earlier.number, self::date(&earlier.issue_date)?)));
        let tax_currency = shape.tax_currency.map(|tax| money.tax_currency(tax));
        let lines = shape.lines.into_iter().map(|line| money.line(line, &zone)).collect::<Result<_, _>>()?;
        let invoice = Self {
            kind: shape.kind,
            id: shape.id,
            number: shape.number,
            issue_date: date(shape.issue_date)?.filter(|_| shape.status != "draft"),
            due_date: date(shape.due_date)?,
            test: shape.test,
            corrects: corrects.transpose()?,
            reason,
            seller: shape.seller,
            customer: shape.customer,
            buyer: shape.buyer,
            language: Language::of(shape.language.as_deref()),
            currency: shape.currency,
            days: days(shape.period, &zone),
            end: zone.date(shape.period.end),
            lines,
            net: money.read(&shape.net)?,
            taxes: shape.taxes.into_iter().map(|tax| money.tax(tax)).collect::<Result<_, _>>()?,
            total: money.read(&shape.total)?,
            prepaid: money.read(&shape.prepaid)?,
            due: money.read(&shape.due)?,
            tax_currency: tax_currency.transpose()?,
            credits: shape.credits,
        };
        invoice.adds_up()?;
        Ok(invoice)
    }

    /// Printed money.
    pub fn text(&self, amount: Minor) -> String {
        self.currency.text(amount)
    }

    fn adds_up(&self) -> Result<(), Error> {
        let sum = |parts: &mut dyn Iterator<Item = Minor>| parts.map(|part| i128::from(part.0)).sum::<i128>();
        let is = |name: &str, parts: i128, total: Minor| {
            let differs = || Error::Sums(format!("the parts of '{name}' come to {parts} minor units, not {}", total.0));
            if parts == i128::from(total.0) { Ok(()) } else { Err(differs()) }
        };
        let tax = sum(&mut self.taxes.iter().map(|tax| tax.amount));
        is("net", sum(&mut self.lines.iter().map(|line| line.amount)), self.net)?;
        is("total", i128::from(self.net.0) + tax, self.total)?;
        is("due", i128::from(self.total.0) - i128::from(self.prepaid.0), self.due)?;
        for total in &self.taxes {
            let ours = |line: &&Line| line.tax.as_ref() == Some(&(total.category.clone(), total.rate));
            is("taxes", sum(&mut self.lines.iter().filter(ours).map(|line| line.amount)), total.net)?;
        }
        Ok(())
    }
}

/// Reads sums, turning their sign in credit notes.
struct Money {
    currency: Currency,
    sign: i64,
}

impl Money {
    fn read(&self, text: &str) -> Result<Minor, Error> {
        let amount = minor(self.currency, text)?;
        Ok(Minor(amount.0.saturating_mul(self.sign)))
    }

    fn line(&self, line: canonical::Line, zone: &Zone) -> Result<Line, Error> {
        let quantity = line.quantity.map(|quantity| if self.sign < 0 { quantity.neg() } else { quantity });
        Ok(Line {
            kind: line.kind,
            subscription: line.subscription,
            description: line.description,
            quantity,
            each: line.each,
            per: line.per,
            measure: line.measure,
            amount: self.read(&line.amount)?,
            tax: line.tax.map(|tax| (tax.category, tax.rate)),
            days: line.period.and_then(|period| days(period, zone)),
        })
    }

    fn tax(&self, tax: canonical::Tax) -> Result<Tax, Error> {
        let (net, amount) = (self.read(&tax.net)?, self.read(&tax.tax)?);
        Ok(Tax { category: tax.category, rate: tax.rate, net, amount, reason: tax.reason })
    }

    fn tax_currency(&self, tax: canonical::TaxCurrency) -> Result<TaxCurrency, Error> {
        let own = Self { currency: tax.currency, sign: self.sign };
        let amount = tax.tax.map(|tax| own.read(&tax)).transpose()?;
        Ok(TaxCurrency { currency: tax.currency, rate: tax.rate, tax: amount })
    }
}

/// Printed money, which has no more decimals than its currency.
fn minor(currency: Currency, text: &str) -> Result<Minor, Error> {
    let refused = |why: String| Error::Unreadable(format!("'{text}' is no printed money: {why}"));
    let exact: Amount = text.parse().map_err(|error: pricing::number::Error| refused(error.to_string()))?;
    let minor = currency.round(exact, Rounding::Down).map_err(|error| refused(error.to_string()))?;
    if currency.exact(minor) == Ok(exact) {
        Ok(minor)
    } else {
        Err(refused(format!("too many decimals for {currency}")))
    }
}

fn date(text: &str) -> Result<Date, Error> {
    text.parse().map_err(|_| Error::Unreadable(format!("'{text}' is no date; it should be like 2026-01-31")))
}

/// First and last day of a period; none where it has no length.
fn days(period: Period, zone: &Zone) -> Option<(Date, Date)> {
    let last = zone.date(period.end);
    let cut_at_midnight = zone.midnight(last) == Ok(period.end);
    let last = if cut_at_midnight { last.yesterday().ok()? } else { last };
    let first = zone.date(period.start);
    (period.start < period.end && first <= last).then_some((first, last))
}
