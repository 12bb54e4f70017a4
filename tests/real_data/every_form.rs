//! Every form of every document of the real data says the same: JSON, the files for bookkeeping, UBL, CII, FOCUS and the
//! journal, to the cent, and before any rounding to the last digit.

use pricing::number::Amount;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tests::{Server, python, root, run};

/// By a document's number.
type Sums = BTreeMap<String, Amount>;

/// Who can be sent an electronic invoice.
const ELECTRONIC: [&str; 3] = ["c-1", "c-2", "c-5"];

fn amount(text: &str) -> Amount {
    text.parse().unwrap_or_else(|error| panic!("'{text}': {error}"))
}

fn add(sums: &mut Sums, number: &str, one: Amount) {
    let sum = sums.entry(number.to_owned()).or_default();
    *sum = sum.add(one).unwrap();
}

/// Σ of a column for each document, over the rows that count.
fn column(csv: &str, number: &str, name: &str, counts: impl Fn(&csv::StringRecord) -> bool) -> Sums {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let place = |name: &str| headers.iter().position(|column| column == name).unwrap();
    let mut sums = Sums::new();
    for row in reader.records().map(Result::unwrap) {
        let one = if counts(&row) { amount(&row[place(name)]) } else { Amount::ZERO };
        add(&mut sums, &row[place(number)], one);
    }
    sums
}

/// Σ of what is booked below an account for each document.
fn booked(journal: &str, account: &str) -> Sums {
    let (mut sums, mut number) = (Sums::new(), String::new());
    for line in journal.lines() {
        if let Some((_, rest)) = line.split_once(" * (") {
            number = rest.split(')').next().unwrap().to_owned();
            add(&mut sums, &number, Amount::ZERO);
        } else if let Some((_, posted)) = line.trim_start().strip_prefix(account).and_then(|rest| rest.split_once("  "))
        {
            add(&mut sums, &number, amount(posted.split(' ').next().unwrap()));
        }
    }
    sums
}

fn negative(sums: &Sums) -> Sums {
    sums.iter().map(|(number, sum)| (number.clone(), sum.neg())).collect()
}

/// What UBL and CII say, read by a script that knows nothing of Farthing; the number of their documents.
fn electronic(server: &Server, folder: &Path, documents: &BTreeMap<String, serde_json::Value>) -> usize {
    let mut files = Vec::new();
    for (number, document) in documents {
        if !ELECTRONIC.contains(&document["customer"].as_str().unwrap()) {
            continue;
        }
        for form in ["ubl", "cii"] {
            let file = folder.join(format!("{number}.{form}"));
            let path = file.to_string_lossy().into_owned();
            server.farthing(&["invoices", "export", number, "--format", form, "--output", &path]).ok();
            files.push((file, document));
        }
    }
    let mut script = Command::new(python());
    let said = run(script.arg(root().join("tests/documents/sums.py")).args(files.iter().map(|(file, _)| file))).ok();
    assert_eq!(said.lines().count(), files.len());
    for (line, (file, document)) in said.lines().zip(&files) {
        let found: serde_json::Value = serde_json::from_str(line).unwrap();
        for (name, field) in
            [("lines", "net"), ("net", "net"), ("total", "total"), ("prepaid", "prepaid"), ("due", "due")]
        {
            let (found, expected) = (found[name].as_str().unwrap(), document[field].as_str().unwrap());
            assert_eq!(amount(found), amount(expected), "{name} of {}", file.display());
        }
    }
    files.len()
}

/// Voids one invoice, gives a part of another one back, and compares what all files say of each document.
pub(crate) fn agrees(server: &Server, folder: &Path, invoices: &[serde_json::Value]) {
    let of = |customer: &str| {
        let mut ours = invoices.iter().filter(|invoice| invoice["customer"] == customer);
        ours.next_back().unwrap()["number"].as_str().unwrap()
    };
    server.farthing(&["invoices", "void", of("c-1"), "--reason", "wrong address"]).ok();
    server.farthing(&["invoices", "void", of("c-yen"), "--reason", "wrong name"]).ok();
    server.farthing(&["invoices", "credit", of("c-2"), "--amount", "1.19", "--reason", "outage"]).ok();

    let export = |what: &str| server.farthing(&["export", what]).ok();
    let (rows, lines, journal, focus) = (export("invoices"), export("lines"), export("journal"), export("focus"));
    let net = column(&rows, "number", "net", |_| true);
    assert_eq!(net.len(), invoices.len() + 3, "all invoices and three credit notes");
    let document = |number: &String| {
        let json = server.farthing(&["invoices", "export", number, "--format", "json"]).json();
        (number.clone(), json)
    };
    let documents: BTreeMap<_, _> = net.keys().map(document).collect();
    let said = |name: &str| -> Sums {
        documents.iter().map(|(number, json)| (number.clone(), amount(json[name].as_str().unwrap()))).collect()
    };
    let currencies: Vec<_> =
        ["USD", "JPY", "KWD"].map(|code| documents.values().filter(|json| json["currency"] == code).count()).into();
    assert!(currencies.iter().all(|count| *count > 0), "{currencies:?}");

    let is_line = |row: &csv::StringRecord| !row.iter().any(|field| field == "tax" || field == "prepaid");
    let all = |_: &csv::StringRecord| true;
    assert_eq!(net, said("net"), "invoices");
    assert_eq!(column(&rows, "number", "due", all), said("due"), "invoices");
    assert_eq!(column(&lines, "number", "amount", all), said("net"), "lines");
    assert_eq!(column(&lines, "number", "amount_exact", all), said("net_exact"), "lines, exact");
    assert_eq!(column(&focus, "InvoiceId", "BilledCost", is_line), said("net"), "FOCUS");
    assert_eq!(column(&focus, "InvoiceId", "x_ExactCost", is_line), said("net_exact"), "FOCUS, exact");
    assert_eq!(column(&focus, "InvoiceId", "BilledCost", all), said("due"), "FOCUS");
    assert_eq!(negative(&booked(&journal, "revenue:")), said("net"), "journal");
    assert_eq!(booked(&journal, "assets:receivable:"), said("due"), "journal");
    // The invoices of three customers, and the credit notes of two of them.
    assert_eq!(electronic(server, folder, &documents), 2 * (6 + 2));
}
