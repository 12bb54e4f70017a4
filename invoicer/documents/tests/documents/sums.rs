//! Every form of a document says the same: its JSON, CSV, UBL, CII, journal and FOCUS, to the cent, and before any rounding to
//! the last digit. UBL and CII are read by a script that knows nothing of Farthing (`tests/documents/sums.py`).

use crate::cases::{self, BERLIN};
use crate::judge::said;
use documents::journal::{self, Booked};
use documents::{Customization, Error, cii, csv, focus, ubl};
use pricing::bill::Ask;
use pricing::number::{Amount, Minor};
use serde_json::Value;

/// What a form says, in the order of the page.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
struct Sums {
    lines: Amount,
    net: Amount,
    tax: Amount,
    total: Amount,
    prepaid: Amount,
    due: Amount,
}

/// The sums of an electronic form.
#[derive(Debug, serde::Deserialize)]
struct Said {
    file: String,
    #[serde(flatten)]
    sums: Sums,
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap_or_else(|error| panic!("'{text}': {error}"))
}

fn sum<'a>(texts: impl IntoIterator<Item = &'a str>) -> Amount {
    Amount::sum(texts.into_iter().map(amount)).unwrap()
}

/// Of the JSON: printed, and the lines before any rounding.
fn of_json(json: &Value) -> (Sums, Amount) {
    let field = |name: &str| amount(json[name].as_str().unwrap());
    let all =
        |list: &str, name: &str| sum(json[list].as_array().unwrap().iter().map(|one| one[name].as_str().unwrap()));
    let sums = Sums {
        lines: all("lines", "amount"),
        net: field("net"),
        tax: all("taxes", "tax"),
        total: field("total"),
        prepaid: field("prepaid"),
        due: field("due"),
    };
    assert_eq!(all("lines", "amount_exact"), field("net_exact"));
    (sums, field("net_exact"))
}

/// The sum of a column over the rows that hold this in another one.
fn column(csv: &str, name: &str, which: impl Fn(&str) -> bool, by: &str) -> Amount {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let place = |name: &str| headers.iter().position(|column| column == name).unwrap();
    let (at, by) = (place(name), place(by));
    let rows: Vec<_> = reader.records().map(Result::unwrap).filter(|row| which(&row[by])).collect();
    sum(rows.iter().map(|row| &row[at]))
}

/// The forms that every document has say what its JSON says.
fn agree(name: &str, canonical: &str) -> Sums {
    let json: Value = serde_json::from_str(canonical).unwrap();
    let (sums, exact) = of_json(&json);
    let minus = |one: Amount, other: Amount| one.sub(other).unwrap();
    assert_eq!((sums.lines, minus(sums.total, sums.tax)), (sums.net, sums.net), "{name}");
    assert_eq!(minus(sums.total, sums.prepaid), sums.due, "{name}");

    let lines = csv(canonical).unwrap();
    assert_eq!(column(&lines, "amount", |_| true, "kind"), sums.net, "CSV of {name}");
    assert_eq!(column(&lines, "amount_exact", |_| true, "kind"), exact, "CSV of {name}");

    let rows = focus::header() + &focus::rows(canonical, "acme").unwrap().1;
    let cost = |column_name: &str, which: fn(&str) -> bool| column(&rows, column_name, which, "x_LineKind");
    let is_line = |kind: &str| !["tax", "prepaid"].contains(&kind);
    assert_eq!(cost("BilledCost", is_line), sums.net, "FOCUS of {name}");
    assert_eq!(cost("x_ExactCost", is_line), exact, "FOCUS of {name}");
    assert_eq!(cost("BilledCost", |kind| kind == "tax"), sums.tax, "FOCUS of {name}");
    assert_eq!(cost("BilledCost", |_| true), sums.due, "FOCUS of {name}");
    assert_eq!(cost("EffectiveCost", |_| true), sums.due, "FOCUS of {name}");

    let transactions = journal::transactions(&Booked { canonical: canonical.to_owned(), entries: Vec::new() }).unwrap();
    let booked = |account: &str| {
        let postings =
            transactions.iter().flat_map(|one| one.postings.iter().map(move |posting| (one.currency, posting)));
        let ours = postings.filter(|(_, (name, _))| name.starts_with(account));
        Amount::sum(ours.map(|(currency, (_, amount))| currency.exact(*amount).unwrap())).unwrap()
    };
    assert_eq!(booked("revenue:").neg(), sums.net, "journal of {name}");
    assert_eq!(booked("liabilities:tax:").neg(), sums.tax, "journal of {name}");
    assert_eq!(booked("liabilities:prepaid:"), sums.prepaid, "journal of {name}");
    assert_eq!(booked("assets:receivable:"), sums.due, "journal of {name}");
    assert_eq!(booked(""), Amount::ZERO, "journal of {name}");
    sums
}

/// Numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        let count = u64::try_from(list.len()).unwrap();
        list[usize::try_from(self.roll(count)).unwrap()]
    }
}

/// A bill by dice, and what was given back of it.
fn generated(seed: u64) -> Vec<(String, String)> {
    let mut dice = Dice(seed);
    let currency = dice.pick(&["EUR", "USD", "JPY", "KWD"]);
    let (each, flat, per) = (dice.roll(100_000), dice.roll(90), 1 + dice.roll(1_500));
    let curve = [
        format!("per_unit: {{each: 0.0{each}, per: {per}}}"),
        format!("graduated: [{{up_to: 50.5, each: 0.{each}}}, {{each: 0.0{each}, flat: {flat}}}]"),
        format!("volume: [{{up_to: 100, each: 0.{each}}}, {{each: 0.00{each}, flat: {flat}}}]"),
        format!("package: {{size: 7, amount: {flat}}}"),
        format!("percentage: {{rate: 2.9%, fixed: 0.{each}}}"),
    ];
    let curve = dice.pick(&curve.each_ref().map(String::as_str));
    let (fee, percent, tax) = (dice.roll(100), dice.roll(40), dice.pick(&["vat19", "vat7", "zero"]));
    let included = if dice.roll(4) == 0 { "tax_included: true, " } else { "" };
    let plan = format!(
        "currency: {currency}, {included}fees: [{{id: base, amount: {fee}, when: advance}}, {{id: care, amount: 3, when: arrears}}], \
         discounts: [{{id: launch, percent: {percent}%}}], prices: [{{id: shop, meter: sales, {curve}}}, \
         {{id: book, meter: calls, tax: {tax}, minimum: {flat}, per_unit: {{each: 0.0{each}}}}}]"
    );
    let mut world = cases::world(BERLIN, "vat19", &plan);
    let kind = dice.pick(&["promotional", "prepaid"]);
    let credit = format!(
        "credits: [{{id: gift, customer: c, kind: {kind}, amount: {}, currency: {currency}}}]",
        1 + dice.roll(30)
    );
    world.apply(&credit, "2025-12-01");
    for day in 10..12 + dice.roll(5) {
        let quantity = format!("{}.{}", dice.roll(3_000), dice.roll(1_000));
        world.used(&format!("2026-01-{day}"), "shop", &quantity);
        world.used(&format!("2026-01-{day}"), "book", "1");
    }
    world.bill("2026-02-01T00:00:00Z");
    let bill = world.bills.last().unwrap();
    let (total, mut out) = (bill.total, vec![(format!("bill-{seed}"), cases::issue(&world, None))]);
    if total.0 > 1 {
        let ask = if dice.roll(2) == 0 { Ask::Rest } else { Ask::Amount(Minor(1 + total.0 / 3)) };
        out.push((format!("note-{seed}"), cases::credit(&mut world, &ask)));
    }
    out
}

#[test]
fn every_form_of_every_bill_says_the_same() {
    let mut documents: Vec<_> = cases::all().into_iter().map(|case| (case.name.to_owned(), case.json)).collect();
    documents.extend((1..=60).flat_map(generated));
    let (mut files, mut expected) = (Vec::new(), Vec::new());
    for (name, canonical) in &documents {
        let sums = agree(name, canonical);
        for (form, bytes) in
            [("ubl", ubl(canonical, Customization::En16931)), ("cii", cii(canonical, Customization::En16931))]
        {
            let bytes = match bytes {
                Ok(bytes) => bytes,
                // Three decimals: EN 16931 has two.
                Err(Error::Refused(why)) if canonical.contains("\"currency\":\"KWD\"") => {
                    assert!(why.contains("KWD"), "{why}");
                    continue;
                }
                Err(error) => panic!("{form} of {name}: {error}"),
            };
            files.push((format!("{name}.{form}.xml"), bytes));
            expected.push(sums.clone());
        }
    }
    let yen = documents.iter().filter(|(_, canonical)| canonical.contains("\"currency\":\"JPY\"")).count();
    let notes = documents.iter().filter(|(_, canonical)| canonical.contains("\"kind\":\"credit_note\"")).count();
    assert!(documents.len() > 100 && yen > 10 && notes > 20 && files.len() > 120, "{yen} {notes} {}", files.len());
    let folder = tempfile::tempdir().unwrap();
    let read: Vec<Said> = said(folder.path(), &files, "documents", "documents/sums.py", &[]);
    assert_eq!(read.len(), files.len());
    for ((said, (file, _)), expected) in read.iter().zip(&files).zip(&expected) {
        assert_eq!(&said.file, file);
        assert_eq!(&said.sums, expected, "{file}");
    }
}
