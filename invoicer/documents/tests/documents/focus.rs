//! FOCUS: what FinOps' validator and its rule book say of every kind of bill, and of mistakes.

use crate::cases;
use crate::judge::{Verdict, judge_focus};
use documents::focus;

/// One dataset of every kind of bill.
fn dataset() -> String {
    let mut cases = cases::all();
    cases.push(cases::dinar());
    let rows = cases.iter().map(|case| focus::rows(&case.json, "acme").unwrap().1);
    std::iter::once(focus::header()).chain(rows).collect()
}

fn read(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn write(rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().for_each(|row| writer.write_record(row).unwrap());
    writer.into_inner().unwrap()
}

/// In a row of this category something else, and who must find it by which rule.
const MISTAKES: [(&str, &str, &str, &str, &str); 8] = [
    ("Usage", "ChargeFrequency", "Often", "values", "ChargeFrequency"),
    ("Adjustment", "ChargeClass", "Repair", "values", "ChargeClass"),
    ("Credit", "ServiceSubcategory", "Other (Compute)", "values", "ServiceSubcategory"),
    ("Purchase", "ListUnitPrice", "49.00000000000000000001", "values", "ListUnitPrice"),
    ("Tax", "SkuId", "base", "focus-validator", "SkuId-C-004-C"),
    ("Tax", "BillingCurrency", "EUX", "focus-validator", "BillingCurrency-C-006-M"),
    ("Usage", "ConsumedUnit", "", "focus-validator", "ConsumedUnit-C-006-C"),
    ("Credit", "ChargePeriodStart", "", "focus-validator", "ChargePeriodStart-C-003-M"),
];

#[test]
fn the_judges_find_nothing_in_any_bill_and_every_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let good = dataset();
    let rows = read(&good);
    let place = |name: &str| rows[0].iter().position(|column| column == name).unwrap();
    let category = place("ChargeCategory");
    for kind in ["Usage", "Purchase", "Tax", "Credit", "Adjustment"] {
        assert!(rows.iter().any(|row| row[category] == kind), "no {kind} to be judged");
    }
    let mut mistaken = rows.clone();
    for (of, column, value, ..) in MISTAKES {
        let is_priced = |row: &&mut Vec<String>| column != "ListUnitPrice" || row[place(column)] == "49";
        let row = mistaken.iter_mut().filter(|row| row[category] == of).find(is_priced).unwrap();
        row[place(column)] = value.to_owned();
    }
    let mut short = rows.clone();
    short.iter_mut().for_each(|row| drop(row.remove(place("BilledCost"))));
    let datasets = [("good", good.into_bytes()), ("mistaken", write(&mistaken)), ("short", write(&short))];
    let verdicts = judge_focus(folder.path(), &datasets.map(|(name, bytes)| (format!("{name}.csv"), bytes)));
    let failed = |file: &str, judge: &str| {
        let one = |verdict: &&Verdict| verdict.file == format!("{file}.csv") && verdict.judge == judge;
        let verdict = verdicts.iter().find(one).unwrap();
        assert!(verdict.checked > 100, "{judge} looked at {} of {file}", verdict.checked);
        &verdict.failed
    };
    for judge in ["values", "focus-validator"] {
        assert!(failed("good", judge).is_empty(), "{judge}: {:#?}", failed("good", judge));
    }
    for (of, column, value, judge, rule) in MISTAKES {
        let found = failed("mistaken", judge);
        assert!(found.iter().any(|why| why.contains(rule)), "{judge} let {column} '{value}' of {of} pass: {found:#?}");
    }
    let found = failed("short", "focus-validator");
    assert!(found.iter().any(|why| why.contains("CostAndUsage-D-006-M")), "a column was not missed: {found:#?}");
}
