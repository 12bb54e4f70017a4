//! What bookkeeping takes over: every file says the same as the invoices, and hledger finds the journal in order.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use std::path::Path;
use std::process::Command;
use tests::{Said, Server, run};

const CATALOG: &str = r#"
apiVersion: farthing/v1
tenant: acme
meters: [{id: tokens, event: call, aggregate: sum, value: tokens}]
plans:
  - id: p
    currency: EUR
    every: month
    seller: main
    fees: [{id: base, amount: 31.00, when: arrears}, {id: care, amount: 29.00, when: advance}]
    prices: [{id: t, meter: tokens, per_unit: {each: 0.001}}]
sellers: [{id: main, name: Acme GmbH, prefix: A-, terms_days: 14}]
taxes: [{id: vat19, category: S, rate: 19%}]
customers:
  - {id: c-1, tax: vat19}
  - {id: 'c:2', tax: vat19}
  - {id: c_2, tax: vat19}
  - {id: 'c%3A2', tax: vat19}
  - {id: '(c;date:2020-01-01)="2"|*@', tax: vat19}
subscriptions:
  - {id: s-1, customer: c-1, plan: p, from: 2024-01-01}
  - {id: s-2, customer: 'c:2', plan: p, from: 2024-01-15}
  - {id: s-3, customer: c_2, plan: p, from: 2024-01-15}
  - {id: s-4, customer: 'c%3A2', plan: p, from: 2024-01-15}
  - {id: s-5, customer: '(c;date:2020-01-01)="2"|*@', plan: p, from: 2024-01-15}
"#;

/// Who is billed, and each one's part of an account, as hledger's pattern.
const CUSTOMERS: [(&str, &str); 5] = [
    ("(c;date:2020-01-01)=\"2\"|*@", "\\(c%3Bdate%3A2020-01-01\\)=\"2\"\\|\\*@"),
    ("c%3A2", "c%253A2"),
    ("c-1", "c-1"),
    ("c:2", "c%3A2"),
    ("c_2", "c_2"),
];

fn hledger(folder: &Path, journal: &str, arguments: &[&str]) -> Said {
    let file = folder.join("a.journal");
    std::fs::write(&file, journal).unwrap();
    run(Command::new("hledger").arg("-f").arg(file).args(arguments))
}

/// The sum of an account and all below it until a day, in cents.
fn balance(folder: &Path, journal: &str, account: &str, before: &str) -> i64 {
    let said = hledger(folder, journal, &["balance", account, "--end", before, "-O", "csv", "--layout", "bare"]).ok();
    let total = said.lines().last().and_then(|line| line.rsplit(',').next()).unwrap_or_default().trim_matches('"');
    cents(if total == "0" { "0.00" } else { total })
}

fn cents(text: &str) -> i64 {
    assert!(text.rsplit_once('.').is_some_and(|(_, cents)| cents.len() == 2), "no euros and cents: {text}");
    text.replace('.', "").parse().unwrap()
}

fn column(csv: &str, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let at = reader.headers().unwrap().iter().position(|column| column == name).unwrap();
    reader.records().map(|row| row.unwrap()[at].to_owned()).collect()
}

#[test]
fn the_journal_balances_and_says_what_the_invoices_say() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, &["--test-clock", "2024-01-20T00:00:00Z"]);
    server.apply(CATALOG);
    server.advance("2024-03-03T00:00:00Z");
    let export = |arguments: &[&str]| server.farthing(&[&["export"], arguments].concat()).ok();
    let numbers = column(&export(&["invoices"]), "number");
    assert!(numbers.len() >= 4, "{numbers:?}");
    let due = column(&export(&["invoices"]), "due");
    server.farthing(&["invoices", "pay", &numbers[0], "--amount", &due[0], "--date", "2024-03-02"]).ok();

    let journal = export(&["journal"]);
    hledger(folder, &journal, &["check", "--strict"]).ok();
    // A broken one is refused.
    let broken = journal.replacen("liabilities:tax:S:0.19  -", "liabilities:tax:S:0.19  -1", 1);
    assert_ne!(broken, journal);
    hledger(folder, &broken, &["check", "--strict"]).refused();

    // Σ lines = Σ net, Σ due = what is to be paid: in the files and in the accounts, to the cent.
    let sum = |csv: &str, name: &str| column(csv, name).iter().map(|text| cents(text)).sum::<i64>();
    let (invoices, lines) = (export(&["invoices"]), export(&["lines"]));
    let end = "2030-01-01";
    assert_eq!(sum(&lines, "amount"), sum(&invoices, "net"));
    assert_eq!(balance(folder, &journal, "revenue", end), -sum(&invoices, "net"));
    assert_eq!(balance(folder, &journal, "liabilities:tax", end), -sum(&invoices, "tax"));
    assert_eq!(balance(folder, &journal, "assets:receivable", end), sum(&invoices, "left"));
    assert_eq!(balance(folder, &journal, "assets:bank", end), cents(&due[0]));
    assert_eq!(sum(&invoices, "due") - sum(&invoices, "left"), cents(&due[0]));
    assert_eq!(balance(folder, &journal, "assets:accrued", end), 0, "all that was earned is invoiced");
    // Each customer has accounts of its own, whatever its name.
    let (customers, left) = (column(&invoices, "customer"), column(&invoices, "left"));
    for (customer, account) in CUSTOMERS {
        let ours = customers.iter().zip(&left).filter(|(of, _)| *of == customer);
        let owed = ours.map(|(_, left)| cents(left)).sum::<i64>();
        assert_ne!(owed, 0, "{customer} owes something");
        let name = format!("^assets:receivable:{account}$");
        assert_eq!(balance(folder, &journal, &name, end), owed, "{customer}");
    }
    // What one of them loads as its costs.
    let costs = export(&["focus", "--customer", "c:2"]);
    let issued = export(&["invoices", "--customer", "c:2"]);
    assert!(column(&costs, "BillingAccountId").iter().all(|of| of == "c:2"), "{costs}");
    assert_eq!(sum(&costs, "BilledCost"), sum(&issued, "due"));
    assert_ne!(sum(&issued, "due"), 0);
    // At a month's end: February is earned and not invoiced; what was invoiced ahead is not earned.
    let accrual = export(&["accrual", "--day", "2024-02-29"]);
    assert_eq!(sum(&accrual, "accrued"), balance(folder, &journal, "assets:accrued", "2024-03-01"));
    assert_eq!(sum(&accrual, "deferred"), -balance(folder, &journal, "liabilities:deferred", "2024-03-01"));
    assert!(sum(&accrual, "accrued") >= 2 * 3100, "{accrual}");
    assert_eq!(column(&accrual, "customer"), CUSTOMERS.map(|(customer, _)| customer), "by their own names");
    // A month alone is in order, too, and has what the whole has of it.
    let february = export(&["journal", "--from", "2024-02-01", "--until", "2024-02-29"]);
    hledger(folder, &february, &["check", "--strict"]).ok();
    let until = |end: &str| balance(folder, &journal, "revenue", end);
    assert_eq!(balance(folder, &february, "revenue", end), until("2024-03-01") - until("2024-02-01"));
}
