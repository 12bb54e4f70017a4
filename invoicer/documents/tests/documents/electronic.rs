//! UBL and CII: what the rules say, what is refused, and with which words.

use crate::cases::{self, Case};
use crate::judge::{Verdict, judge};
use documents::{Customization, cii, ubl};

const ALL: [(Customization, &str); 3] =
    [(Customization::En16931, "en16931"), (Customization::Peppol, "peppol"), (Customization::Xrechnung, "xrechnung")];

/// Every case in every form.
fn every_form(cases: &[Case]) -> Vec<(String, Vec<u8>)> {
    let mut documents = Vec::new();
    for case in cases {
        for (customization, name) in ALL {
            let bytes =
                ubl(&case.json, customization).unwrap_or_else(|error| panic!("{} as {name}: {error}", case.name));
            documents.push((format!("{}.{name}.ubl.xml", case.name), bytes));
            if customization != Customization::Peppol {
                let bytes = cii(&case.json, customization).unwrap();
                documents.push((format!("{}.{name}.cii.xml", case.name), bytes));
            }
        }
    }
    documents
}

/// Documents with one mistake each, and who must find it by which rule.
fn broken(case: &Case) -> Vec<(String, Vec<u8>, &'static str, &'static str)> {
    let replaced = |bytes: Vec<u8>, from: &str, to: &str| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        text.replacen(from, to, 1).into_bytes()
    };
    let without = |bytes: Vec<u8>, element: &str| {
        let text = String::from_utf8(bytes).unwrap();
        let (start, close) = (text.find(&format!("<{element}>")).unwrap(), format!("</{element}>"));
        let end = text.find(&close).unwrap() + close.len();
        format!("{}{}", &text[..start], &text[end..]).into_bytes()
    };
    let as_ubl = |customization| ubl(&case.json, customization).unwrap();
    let as_cii = |customization| cii(&case.json, customization).unwrap();
    let (en, peppol, xrechnung) = (Customization::En16931, Customization::Peppol, Customization::Xrechnung);
    let due = ["<cbc:PayableAmount currencyID=\"EUR\">", "<ram:DuePayableAmount>"];
    let one_more = |bytes, tag: &str| replaced(bytes, tag, &format!("{tag}1"));
    vec![
        ("sum.ubl.xml".to_owned(), one_more(as_ubl(en), due[0]), "EN 16931 (UBL)", "BR-CO-16"),
        ("sum.cii.xml".to_owned(), one_more(as_cii(en), due[1]), "EN 16931 (CII)", "BR-CO-16"),
        ("day.xml".to_owned(), without(as_ubl(en), "cbc:IssueDate"), "UBL 2.1 schema", "line"),
        ("peppol.xml".to_owned(), without(as_ubl(peppol), "cbc:BuyerReference"), "Peppol (UBL)", "PEPPOL-EN16931-R003"),
        ("peppol_sum.xml".to_owned(), one_more(as_ubl(peppol), due[0]), "Peppol: EN 16931 (UBL)", "BR-CO-16"),
        ("contact.ubl.xml".to_owned(), without(as_ubl(xrechnung), "cac:Contact"), "XRechnung (UBL)", "BR-DE-2"),
        (
            "contact.cii.xml".to_owned(),
            without(as_cii(xrechnung), "ram:DefinedTradeContact"),
            "XRechnung (CII)",
            "BR-DE-2",
        ),
    ]
}

#[test]
fn the_judges_find_nothing_in_any_case_and_every_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases::all();
    let mut documents = every_form(&cases);
    let broken = broken(&cases[0]);
    documents.extend(broken.iter().map(|(name, bytes, ..)| (name.clone(), bytes.clone())));
    let verdicts = judge(folder.path(), &documents);
    let (mistakes, verdicts): (Vec<_>, Vec<_>) =
        verdicts.iter().partition(|verdict| broken.iter().any(|(name, ..)| *name == verdict.file));
    for (name, _, judge, rule) in &broken {
        let found = |verdict: &&&Verdict| verdict.file == *name && verdict.judge == *judge;
        let verdict = mistakes.iter().find(found).unwrap_or_else(|| panic!("{judge} did not see {name}"));
        assert!(verdict.failed.iter().any(|failed| failed.contains(rule)), "{judge} let {name} pass: {verdict:?}");
    }
    // Of each case: UBL's schema and EN 16931 three times, Peppol with its own EN 16931, XRechnung, and CII as two of them.
    assert_eq!(verdicts.len(), cases.len() * (3 + 3 + 2 + 1 + 2 + 1));
    for verdict in &verdicts {
        assert!(verdict.checked > 10, "{} looked at {} rules of {}", verdict.judge, verdict.checked, verdict.file);
    }
    let failed: Vec<_> = verdicts.iter().filter(|verdict| !verdict.failed.is_empty()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

fn refused(json: &str, customization: Customization) -> String {
    let error = ubl(json, customization).unwrap_err();
    assert!(cii(json, customization).is_err());
    error.to_string()
}

const PLAIN: &str = "currency: EUR, fees: [{id: base, amount: 20, when: arrears}]";
const END: &str = "2026-02-01T00:00:00Z";

/// The document of the first month.
fn billed(world: &mut crate::world::World) -> String {
    world.bill(END);
    cases::issue(world, None)
}

#[test]
fn what_is_missing_is_listed_with_the_key_that_gives_it() {
    let mut world = cases::selling("sellers: []", "name: B", "vat19", PLAIN);
    let json = billed(&mut world);
    let said = refused(&json, Customization::En16931);
    for part in
        ["the seller's name (BT-27): write `name` of the seller in the catalog's sellers", "BT-31", "BT-40", "BT-55"]
    {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    let said = refused(&json, Customization::Xrechnung);
    for part in ["`reference` of the buyer in the catalog's customers", "`contact: {phone}`", "BT-84", "`endpoint`"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    let seller = cases::SELLER.replace("USD: 0.9234, ", "");
    let mut world = cases::selling(&seller, "name: B, address: {country: US}", "vat19", &PLAIN.replace("EUR", "USD"));
    let said = refused(&billed(&mut world), Customization::En16931);
    assert!(said.contains("the tax in EUR") && said.contains("exchange_rates: {USD:"), "{said}");
    let bill = cases::world("name: B, address: {country: US}", "vat19", PLAIN).bill(END).clone();
    let draft = pricing::bill::document(&bill, None, pricing::bill::Status::Draft, false);
    assert!(refused(&draft, Customization::En16931).contains("is not issued"));
}

#[test]
fn three_decimals_mixed_scopes_and_sums_that_differ_are_refused() {
    let buyer = "name: B, address: {country: US}";
    let mut world = cases::world(buyer, "vat19", &PLAIN.replace("EUR", "KWD"));
    let said = refused(&billed(&mut world), Customization::En16931);
    assert!(said.contains("KWD has 3"), "{said}");
    let mixed = "currency: EUR, fees: [{id: base, amount: 20, when: arrears}], prices: [{id: in, meter: calls, tax: outside, per_unit: {each: 1}}]";
    let mut world = cases::world(buyer, "vat19", mixed);
    world.used("2026-01-10", "in", "3");
    let json = billed(&mut world);
    assert!(refused(&json, Customization::En16931).contains("BR-O-11"), "{json}");
    let forged = json.replacen("\"due\":\"", "\"due\":\"1", 1);
    assert!(refused(&forged, Customization::En16931).contains("'due'"));
}

#[test]
fn a_credit_note_says_why() {
    let case = cases::all().into_iter().find(|case| case.name == "amount_given_back").unwrap();
    for (bytes, element) in [
        (ubl(&case.json, Customization::Peppol).unwrap(), "<cbc:Note>outage of 3 January</cbc:Note>"),
        (cii(&case.json, Customization::Xrechnung).unwrap(), "<ram:Content>outage of 3 January</ram:Content>"),
    ] {
        let xml = String::from_utf8(bytes).unwrap();
        assert!(xml.contains(element), "{element} is not in {xml}");
    }
}
