//! What EN 16931 makes of a document: every term that it asks for is there, or the document is refused with all that it lacks.
//!
//! | line of the bill | becomes |
//! |---|---|
//! | a discount or credit below zero | an allowance on the document (BG-20), with its description as reason |
//! | quantity × price, which come to the amount | a line (BG-25); below zero the quantity is, never the price (BR-27) |
//! | anything else | a line of 1 × its amount, with the arithmetic in its name |

mod party;

use crate::Error;
use crate::invoice::{self, Invoice, Kind};
use crate::language::Language;
use jiff::civil::Date;
use pricing::bill;
use pricing::currency::Currency;
use pricing::number::{Amount, Minor, Quantity, Rate};

pub(crate) use party::{Party, parties};

/// Which rules the document follows beside EN 16931 itself (BT-24).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Customization {
    /// None.
    #[default]
    En16931,
    /// Peppol BIS Billing 3.0.
    Peppol,
    /// XRechnung 3.0, for German authorities.
    Xrechnung,
}

/// A term that is asked for and not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// In words.
    pub what: String,
    /// Its number in EN 16931, or the rule that asks for it.
    pub term: &'static str,
    /// What gives it.
    pub remedy: String,
}

/// An invoice or credit note as EN 16931 has it.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) kind: Kind,
    pub(crate) customization: Customization,
    pub(crate) number: &'a str,
    pub(crate) issue_date: Date,
    pub(crate) due_date: Option<Date>,
    /// BT-22: one at most, which is Peppol's rule.
    pub(crate) note: Option<String>,
    pub(crate) corrects: Option<&'a (String, Date)>,
    pub(crate) language: Language,
    pub(crate) currency: Currency,
    pub(crate) days: Option<(Date, Date)>,
    pub(crate) seller: Party<'a>,
    pub(crate) buyer: Party<'a>,
    pub(crate) reference: Option<&'a str>,
    /// IBAN and BIC.
    pub(crate) account: Option<(&'a str, Option<&'a str>)>,
    pub(crate) items: Vec<Item<'a>>,
    pub(crate) allowances: Vec<Allowance<'a>>,
    pub(crate) taxes: Vec<Tax<'a>>,
    /// Currency and sum.
    pub(crate) tax_currency: Option<(Currency, Minor)>,
    pub(crate) items_total: Minor,
    pub(crate) allowances_total: Minor,
    pub(crate) net: Minor,
    pub(crate) tax: Minor,
    pub(crate) total: Minor,
    pub(crate) prepaid: Minor,
    pub(crate) due: Minor,
}

/// A line (BG-25).
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) name: String,
    pub(crate) quantity: Quantity,
    pub(crate) unit: &'a str,
    /// Never below zero.
    pub(crate) each: Amount,
    pub(crate) per: Option<Quantity>,
    pub(crate) amount: Minor,
    pub(crate) tax: Category<'a>,
    /// Inside of the document's days (Peppol R110).
    pub(crate) days: Option<(Date, Date)>,
}

/// Something off the document (BG-20).
#[derive(Debug)]
pub(crate) struct Allowance<'a> {
    pub(crate) reason: &'a str,
    /// In UNCL 5189.
    pub(crate) code: &'static str,
    /// Above zero.
    pub(crate) amount: Minor,
    pub(crate) tax: Category<'a>,
}

/// A category with its rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Category<'a> {
    pub(crate) code: &'a str,
    rate: Rate,
}

/// The tax of one category (BG-23).
#[derive(Debug)]
pub(crate) struct Tax<'a> {
    pub(crate) category: Category<'a>,
    pub(crate) net: Minor,
    pub(crate) amount: Minor,
    /// In words, and its code where there is one.
    pub(crate) reason: Option<(&'a str, Option<&'static str>)>,
}

/// How much a line may differ from quantity × price: Peppol's R120.
const SLACK: &str = "0.02";

// === impl Document ===

impl<'a> Document<'a> {
    /// # Errors
    /// [`Error::NotIssued`], [`Error::Refused`], [`Error::Lacking`].
    pub(crate) fn new(invoice: &'a Invoice, customization: Customization) -> Result<Self, Error> {
        let (Some(number), Some(issue_date)) = (&invoice.number, invoice.issue_date) else {
            return Err(Error::NotIssued(invoice.id.clone()));
        };
        refuse(invoice)?;
        let mut lacks = Vec::new();
        let (seller, buyer) = parties(invoice, customization, &mut lacks);
        let tax_currency = tax_currency(invoice, &mut lacks);
        let taxes = invoice.taxes.iter().map(|tax| Tax::new(tax, invoice.language, &mut lacks)).collect();
        let (items, allowances) = lines(invoice, &mut lacks);
        if !lacks.is_empty() {
            return Err(Error::Lacking(lacks));
        }
        let sum = |amounts: &mut dyn Iterator<Item = Minor>| Minor(amounts.map(|amount| amount.0).sum());
        let account = invoice.seller.as_ref().and_then(|seller| Some((seller.iban.as_deref()?, seller.bic.as_deref())));
        Ok(Self {
            kind: invoice.kind,
            customization,
            number,
            issue_date,
            due_date: invoice.due_date,
            note: note(invoice),
            corrects: invoice.corrects.as_ref(),
            language: invoice.language,
            currency: invoice.currency,
            days: invoice.days,
            seller,
            buyer,
            reference: invoice.buyer.reference.as_deref(),
            account,
            items_total: sum(&mut items.iter().map(|item| item.amount)),
            allowances_total: sum(&mut allowances.iter().map(|allowance| allowance.amount)),
            items,
            allowances,
            taxes,
            tax_currency,
            net: invoice.net,
            tax: sum(&mut invoice.taxes.iter().map(|tax| tax.amount)),
            total: invoice.total,
            prepaid: invoice.prepaid,
            due: invoice.due,
        })
    }

    /// Printed money.
    pub(crate) fn money(&self, amount: Minor) -> String {
        self.currency.text(amount)
    }

    /// The account's number without spaces.
    pub(crate) fn iban(&self) -> Option<String> {
        self.account.map(|(iban, _)| iban.split_whitespace().collect())
    }

    /// The rate of a category's total, which XRechnung wants of every one (BR-DE-14).
    pub(crate) fn total_percent(&self, category: &Category<'_>) -> Option<String> {
        let zero = (self.customization == Customization::Xrechnung).then(|| "0".to_owned());
        category.percent().or(zero)
    }

    /// How it is paid, in UNCL 4461: a SEPA transfer, a transfer, or, for what is given back, as agreed.
    pub(crate) fn payment_means(&self) -> &'static str {
        match (self.kind, self.currency.code()) {
            (Kind::CreditNote, _) => "97",
            (Kind::Invoice, "EUR") => "58",
            (Kind::Invoice, _) => "30",
        }
    }

    /// When it is paid, in words.
    pub(crate) fn terms(&self) -> String {
        self.language.terms(self.kind, self.due_date)
    }
}

impl Customization {
    /// BT-24.
    pub(crate) const fn identifier(self) -> &'static str {
        match self {
            Self::En16931 => "urn:cen.eu:en16931:2017",
            Self::Peppol => "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0",
            Self::Xrechnung => "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0",
        }
    }

    /// BT-23: billing, where the rules want a process named.
    pub(crate) const fn process(self) -> Option<&'static str> {
        match self {
            Self::En16931 => None,
            Self::Peppol | Self::Xrechnung => Some("urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"),
        }
    }
}

/// That it is a test, and why something is put right.
fn note(invoice: &Invoice) -> Option<String> {
    let test = invoice.test.then_some(invoice.language.words().test_note);
    let notes: Vec<&str> = test.into_iter().chain(invoice.reason.as_deref()).collect();
    (!notes.is_empty()).then(|| notes.join(" "))
}

/// What EN 16931 has no document for.
fn refuse(invoice: &Invoice) -> Result<(), Error> {
    let currency = invoice.currency;
    if currency.decimals() > 2 {
        return Err(Error::Refused(format!(
            "EN 16931 amounts have two decimals at most (BR-DEC): {currency} has {}, so this document has no UBL; export it \
             as PDF, JSON or CSV",
            currency.decimals()
        )));
    }
    let (outside, inside): (Vec<_>, Vec<_>) = invoice.taxes.iter().partition(|tax| tax.category == "O");
    if !outside.is_empty() && !inside.is_empty() {
        return Err(Error::Refused(
            "EN 16931 allows no other category beside O (BR-O-11), and this document has both; name what is outside the \
             scope of VAT E, with its reason"
                .to_owned(),
        ));
    }
    Ok(())
}

/// BT-6 and BT-111.
fn tax_currency(invoice: &Invoice, lacks: &mut Vec<Lack>) -> Option<(Currency, Minor)> {
    let own = invoice.tax_currency.as_ref()?;
    if own.tax.is_none() || own.currency.decimals() > 2 {
        lacks.push(Lack {
            what: format!("the tax in {}, the seller's own currency", own.currency),
            term: "BT-111",
            remedy: format!(
                "state the rate in the catalog: sellers: [{{currency: {}, exchange_rates: {{{}: 0.92}}}}], which is what one \
                 {} is worth",
                own.currency, invoice.currency, invoice.currency
            ),
        });
    }
    own.tax.map(|tax| (own.currency, tax))
}

fn lines<'a>(invoice: &'a Invoice, lacks: &mut Vec<Lack>) -> (Vec<Item<'a>>, Vec<Allowance<'a>>) {
    let (mut items, mut allowances) = (Vec::new(), Vec::new());
    let off =
        |line: &invoice::Line| matches!(line.kind, bill::Kind::Discount | bill::Kind::Credit) && line.amount.0 < 0;
    // A document has one line at least (BR-16).
    let all_off = invoice.lines.iter().all(off);
    for line in &invoice.lines {
        let Some((code, rate)) = &line.tax else {
            lacks.push(Lack {
                what: format!("the tax of '{}'", line.description),
                term: "BT-151",
                remedy: "name a tax: `tax` of the customer, of the price or of the fee".to_owned(),
            });
            continue;
        };
        let tax = Category { code, rate: *rate };
        if off(line) && !all_off {
            let code = if line.kind == bill::Kind::Discount { "95" } else { "100" };
            allowances.push(Allowance { reason: &line.description, code, amount: Minor(-line.amount.0), tax });
        } else {
            items.push(Item::new(invoice, line, tax));
        }
    }
    (items, allowances)
}

// === impl Item ===

impl<'a> Item<'a> {
    fn new(invoice: &'a Invoice, line: &'a invoice::Line, tax: Category<'a>) -> Self {
        let inside = |days: &(Date, Date)| invoice.days.is_some_and(|all| all.0 <= days.0 && days.1 <= all.1);
        let days = line.days.filter(inside);
        let printed = invoice.currency.exact(line.amount).unwrap_or_default();
        let (name, amount) = (line.description.clone(), line.amount);
        if let (Some(quantity), Some(each)) = (line.quantity, line.each)
            && comes_to(quantity, each, line.per, printed)
        {
            let turned = each.is_negative();
            let (quantity, each) = if turned { (quantity.neg(), each.neg()) } else { (quantity, each) };
            let unit = line.measure.as_deref().unwrap_or("C62");
            return Self { name, quantity, unit, each, per: line.per, amount, tax, days };
        }
        let (quantity, each) =
            if printed.is_negative() { (Quantity::ONE.neg(), printed.neg()) } else { (Quantity::ONE, printed) };
        let name = match (line.quantity, line.each) {
            (Some(count), Some(each)) if count != Quantity::ONE => {
                let per = line.per.map(|per| format!(" / {per}")).unwrap_or_default();
                format!("{name} ({count} × {each}{per})")
            }
            _ => name,
        };
        Self { name, quantity, unit: "C62", each, per: None, amount, tax, days }
    }
}

/// Whether quantity × price is the printed amount, but for its rounding.
fn comes_to(quantity: Quantity, each: Amount, per: Option<Quantity>, printed: Amount) -> bool {
    let per = per.unwrap_or(Quantity::ONE);
    let slack = SLACK.parse().unwrap_or(Amount::ZERO);
    let product = match each.unit_price() {
        Some(each) => quantity.times_per(each, per),
        // More decimals than a price holds: the amount itself, once.
        None => each.scale_by(quantity.raw(), per.raw()),
    };
    let difference = product.and_then(|product| product.sub(printed));
    difference.is_ok_and(|difference| difference.max(difference.neg()) <= slack)
}

// === impl Category ===

impl Category<'_> {
    /// In percent; none for what is outside the scope of VAT (BR-O-05).
    pub(crate) fn percent(&self) -> Option<String> {
        (self.code != "O").then(|| self.rate.percent().trim_end_matches('%').to_owned())
    }
}

// === impl Tax ===

impl<'a> Tax<'a> {
    fn new(tax: &'a invoice::Tax, language: Language, lacks: &mut Vec<Lack>) -> Self {
        let words = language.words();
        let reason = tax.reason.as_deref();
        let reason = match tax.category.as_str() {
            "AE" => Some((reason.unwrap_or(words.reverse_charge), Some("VATEX-EU-AE"))),
            "G" => Some((reason.unwrap_or(words.export), Some("VATEX-EU-G"))),
            "O" => Some((reason.unwrap_or(words.outside), Some("VATEX-EU-O"))),
            "E" => {
                if reason.is_none() {
                    lacks.push(Lack {
                        what: "why it is exempt from VAT".to_owned(),
                        term: "BT-120",
                        remedy: "write `reason` of the tax of category E in the catalog's taxes".to_owned(),
                    });
                }
                reason.map(|reason| (reason, None))
            }
            // What is taxed has no reason for being none (BR-S-10, BR-Z-10).
            _ => None,
        };
        let category = Category { code: &tax.category, rate: tax.rate };
        Self { category, net: tax.net, amount: tax.amount, reason }
    }
}
