//! Issued documents and payments as a journal of double entries, in the format of hledger.
//!
//! | account | holds |
//! |---|---|
//! | `assets:receivable:CUSTOMER` | what is to be paid |
//! | `assets:accrued:CUSTOMER` | earned, and invoiced later |
//! | `liabilities:deferred:CUSTOMER` | invoiced, and earned later |
//! | `liabilities:prepaid:CUSTOMER` | paid before there was an invoice; below zero from here on, since what came in stands elsewhere |
//! | `liabilities:tax:CATEGORY:RATE` | tax |
//! | `revenue:KIND` | what was earned, by the kind of line; rounding and credits, too |
//! | `assets:bank`, `expenses:written_off` | what came in; what is not expected any more |
//!
//! CUSTOMER is the customer's id; what has a meaning of its own in a journal is percent-encoded: `a:b` is `a%3Ab`.
//!
//! Revenue stands in the month of the service, not of the invoice: a line is earned day by day over its dates, and what a
//! month has of it is booked at the month's last day.

use crate::Error;
use crate::invoice::{Invoice, Kind, Line};
use jiff::civil::Date;
use pricing::currency::Currency;
use pricing::number::Minor;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A document with what was paid since.
#[derive(Clone, Debug)]
pub struct Booked {
    /// Its canonical JSON.
    pub canonical: String,
    /// What came since, in any order.
    pub entries: Vec<Entry>,
}

/// Something that lessens what is left to pay, or takes such a thing back.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub date: Date,
    /// What.
    pub what: What,
    /// Always above zero.
    pub amount: Minor,
    /// It takes back what it says.
    pub is_reversal: bool,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Money came, or of a credit note went.
    Payment,
    /// What was left is not expected any more.
    WriteOff,
}

/// Some postings that come to zero together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its day.
    pub date: Date,
    /// The document's number.
    pub number: String,
    /// Who is billed by it.
    pub customer: String,
    /// What happened.
    pub what: String,
    /// In what.
    pub currency: Currency,
    /// Accounts and what is added to each.
    pub postings: Vec<(String, Minor)>,
}

/// The transactions of one document, in no order.
///
/// # Errors
/// See [`Error`].
pub fn transactions(booked: &Booked) -> Result<Vec<Transaction>, Error> {
    let invoice = Invoice::read(&booked.canonical)?;
    let issued = invoice.issue_date.zip(invoice.number.clone());
    let (issued, number) = issued.ok_or_else(|| Error::NotIssued(invoice.id.clone()))?;
    let document =
        Document { sign: if invoice.kind == Kind::CreditNote { -1 } else { 1 }, invoice: &invoice, issued, number };
    let mut transactions = document.earned();
    transactions.push(document.issue());
    transactions.extend(booked.entries.iter().map(|entry| document.entry(entry)));
    // What comes to nothing is not booked.
    transactions.retain_mut(|transaction| {
        transaction.postings.retain(|(_, amount)| amount.0 != 0);
        !transaction.postings.is_empty()
    });
    Ok(transactions)
}

/// The journal of some transactions, by day.
pub fn write(mut transactions: Vec<Transaction>) -> String {
    transactions
        .sort_by(|one, other| (one.date, &one.number, &one.what).cmp(&(other.date, &other.number, &other.what)));
    let mut out = String::new();
    let currencies: BTreeSet<_> = transactions.iter().map(|transaction| transaction.currency).collect();
    for currency in currencies {
        // With the decimals that the currency has, and a mark where it has none.
        let one = currency.text(Minor(1));
        let sample =
            if one.contains('.') { one.replace(['0', '1'], "0").replacen('0', "1000", 1) } else { "1000.".to_owned() };
        let _ = writeln!(out, "commodity {sample} {currency}");
    }
    let postings = transactions.iter().flat_map(|transaction| &transaction.postings);
    let accounts: BTreeSet<_> = postings.map(|(account, _)| account).collect();
    for account in accounts {
        let _ = writeln!(out, "account {account}");
    }
    for Transaction { date, number, what, currency, postings, .. } in &transactions {
        let _ = writeln!(out, "\n{date} * ({number}) {what}");
        for (account, amount) in postings {
            let _ = writeln!(out, "    {account}  {} {currency}", currency.text(*amount));
        }
    }
    out
}

/// What is earned and not invoiced, and what is invoiced and not earned, at the end of a day: by customer and currency, from
/// the transactions of all documents.
pub fn accrual(transactions: &[Transaction], day: Date) -> BTreeMap<(String, Currency), (Minor, Minor)> {
    let mut sums: BTreeMap<(String, Currency), (Minor, Minor)> = BTreeMap::new();
    for transaction in transactions.iter().filter(|transaction| transaction.date <= day) {
        for (account, amount) in &transaction.postings {
            let (is_accrued, is_deferred) = (account.starts_with(ACCRUED), account.starts_with(DEFERRED));
            if !is_accrued && !is_deferred {
                continue;
            }
            let sum = sums.entry((transaction.customer.clone(), transaction.currency)).or_default();
            let part = if is_accrued { &mut sum.0 } else { &mut sum.1 };
            part.0 = part.0.saturating_add(amount.0);
        }
    }
    sums.retain(|_, (accrued, deferred)| accrued.0 != 0 || deferred.0 != 0);
    sums
}

const ACCRUED: &str = "assets:accrued:";
const DEFERRED: &str = "liabilities:deferred:";

/// A document as it is booked. Its own amounts are those of its page; of a credit note the other way round.
struct Document<'a> {
    invoice: &'a Invoice,
    issued: Date,
    number: String,
    sign: i64,
}

// === impl Document ===

impl Document<'_> {
    /// What is to be paid, against tax and what was or will be earned.
    fn issue(&self) -> Transaction {
        let (invoice, customer) = (self.invoice, account(&self.invoice.customer));
        let mut postings = vec![
            (format!("assets:receivable:{customer}"), self.signed(invoice.due)),
            (format!("liabilities:prepaid:{customer}"), self.signed(invoice.prepaid)),
        ];
        for tax in &invoice.taxes {
            postings
                .push((format!("liabilities:tax:{}:{}", tax.category, tax.rate), negative(self.signed(tax.amount))));
        }
        let (mut accrued, mut deferred) = (0_i64, 0_i64);
        for (day, amount) in invoice.lines.iter().flat_map(|line| self.parts(line)) {
            let sum = if day <= self.issued { &mut accrued } else { &mut deferred };
            *sum = sum.saturating_sub(amount.0);
        }
        postings.push((format!("{ACCRUED}{customer}"), Minor(accrued)));
        postings.push((format!("{DEFERRED}{customer}"), Minor(deferred)));
        let what = if self.sign < 0 { "Credit note" } else { "Invoice" };
        self.transaction(self.issued, format!("{what} to {customer}"), postings)
    }

    /// What was earned, one transaction for each day on which something is booked.
    fn earned(&self) -> Vec<Transaction> {
        let mut days: BTreeMap<Date, BTreeMap<String, i64>> = BTreeMap::new();
        for line in &self.invoice.lines {
            for (day, amount) in self.parts(line) {
                let sum = days.entry(day).or_default().entry(format!("revenue:{}", line.kind.word())).or_default();
                *sum = sum.saturating_sub(amount.0);
            }
        }
        let customer = account(&self.invoice.customer);
        let transaction = |(day, revenue): (Date, BTreeMap<String, i64>)| {
            let open = if day <= self.issued { ACCRUED } else { DEFERRED };
            let earned = revenue.values().fold(0_i64, |sum, amount| sum.saturating_sub(*amount));
            let mut postings = vec![(format!("{open}{customer}"), Minor(earned))];
            postings.extend(revenue.into_iter().map(|(account, amount)| (account, Minor(amount))));
            self.transaction(day, format!("Earned from {customer}"), postings)
        };
        days.into_iter().map(transaction).collect()
    }

    fn entry(&self, entry: &Entry) -> Transaction {
        let (from, what) = match entry.what {
            What::Payment => ("assets:bank", "Payment"),
            What::WriteOff => ("expenses:written_off", "Written off"),
        };
        let amount = self.signed(if entry.is_reversal { negative(entry.amount) } else { entry.amount });
        let receivable = format!("assets:receivable:{}", account(&self.invoice.customer));
        let what = if entry.is_reversal { format!("{what}, taken back") } else { what.to_owned() };
        self.transaction(entry.date, what, vec![(from.to_owned(), amount), (receivable, negative(amount))])
    }

    /// A line, month by month: the last day that the month has of it, and what was earned in it.
    fn parts(&self, line: &Line) -> Vec<(Date, Minor)> {
        let amount = self.signed(line.amount);
        let Some((first, last)) = line.days.or(self.invoice.days) else { return vec![(self.issued, amount)] };
        let count = |until: Date| i128::from((until - first).get_days()) + 1;
        let (all, mut parts, mut booked, mut day) = (count(last), Vec::new(), 0_i64, first);
        loop {
            day = day.last_of_month().min(last);
            // Of the whole until then, so that the parts come to the line.
            let until_then = i128::from(amount.0) * count(day) / all;
            let until_then = i64::try_from(until_then).unwrap_or(amount.0);
            parts.push((day, Minor(until_then.saturating_sub(booked))));
            booked = until_then;
            match day.tomorrow() {
                Ok(next) if day < last => day = next,
                _ => return parts,
            }
        }
    }

    fn signed(&self, amount: Minor) -> Minor {
        Minor(amount.0.saturating_mul(self.sign))
    }

    fn transaction(&self, date: Date, what: String, postings: Vec<(String, Minor)>) -> Transaction {
        let (number, customer) = (self.number.clone(), self.invoice.customer.clone());
        Transaction { date, number, customer, what, currency: self.invoice.currency, postings }
    }
}

fn negative(amount: Minor) -> Minor {
    Minor(amount.0.saturating_neg())
}

/// A name as a part of an account, another one for each: a colon would begin another part, `;` a comment.
fn account(name: &str) -> String {
    name.replace('%', "%25").replace(':', "%3A").replace(';', "%3B")
}
