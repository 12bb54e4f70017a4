//! Bills of every kind that documents must hold.

use crate::world::World;
use pricing::bill::{Ask, Correction, Corrects, DocumentKind, Issue, Issued, Status, document, issued};
use pricing::number::Minor;

/// One document.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Its canonical JSON.
    pub(crate) json: String,
}

/// Who sells in most of them.
pub(crate) const SELLER: &str = "sellers: [{id: main, name: Acme GmbH, address: {street: Hauptstr. 1, city: Berlin, postcode: \"10115\", \
     country: DE}, vat_id: DE123456789, registration: HRB 12345 B, contact: {name: Rechnungsstelle, phone: +49 30 1234567, \
     email: billing@acme.example}, iban: DE02 1203 0000 0000 2020 51, bic: BYLADEM1001, currency: EUR, \
     exchange_rates: {USD: 0.9234, JPY: 0.0061, KWD: 3.05}, terms_days: 14}]";

const TAXES: &str = "taxes: [{id: vat19, category: S, rate: 19%}, {id: vat7, category: S, rate: 7%}, {id: zero, category: Z}, \
     {id: exempt, category: E, reason: Exempt under § 4 Nr. 21 UStG}, {id: reverse, category: AE, reason: Reverse charge}, \
     {id: export, category: G}, {id: outside, category: O}]";

const METERS: &str = "meters:\n  - {id: tokens, event: e, aggregate: sum, value: v, group_by: [region]}\n  \
     - {id: calls, event: f, aggregate: count}\n  - {id: sales, event: g, aggregate: sum, value: v}";

pub(crate) const BERLIN: &str = "name: Nordwind AG, address: {street: Deich 5, city: Hamburg, postcode: \"20095\", country: DE}, \
     vat_id: DE987654321, reference: 04011000-12345-34, email: ap@nordwind.example, language: de, time_zone: Europe/Berlin";

const HELSINKI: &str = "name: Aurora Oy, address: {street: Katu 1, city: Helsinki, postcode: \"00100\", country: FI}, \
     vat_id: FI12345678, reference: PO-7, email: ap@aurora.example, endpoint: \"0216:003712345678\", time_zone: Europe/Helsinki";

const LYON: &str = "name: Crécelle & Fils SAS, address: {street: 3 rue de l’Été, city: Lyon, postcode: \"69001\", country: FR}, \
     vat_id: FR12345678901, reference: BC-12, email: compta@crecelle.example, language: fr, time_zone: Europe/Paris";

const ZURICH: &str = "name: Gipfel AG, address: {street: Weg 9, city: Zürich, postcode: \"8001\", country: CH}, reference: X-1, \
     email: ap@gipfel.example, endpoint: \"9927:CHE123456789\", language: de";

/// A tenant with one customer, one plan, and the subscription `s` from 2026 on.
pub(crate) fn world(customer: &str, tax: &str, plan: &str) -> World {
    selling(SELLER, customer, tax, plan)
}

pub(crate) fn selling(seller: &str, customer: &str, tax: &str, plan: &str) -> World {
    World::new(&format!(
        "{seller}\n{TAXES}\n{METERS}\ncustomers: [{{id: c, {customer}, tax: {tax}}}]\nplans:\n  - {{id: pro, every: month, {plan}}}\n\
         subscriptions: [{{id: s, customer: c, plan: pro, from: 2026-01-01}}]\n"
    ))
}

/// Issues the world's last bill.
pub(crate) fn issue(world: &World, corrects: Option<&Corrects>) -> String {
    let (bill, seller) = (world.bills.last().unwrap(), world.seller());
    let kind = DocumentKind::of(bill);
    let number = if kind == DocumentKind::CreditNote { "ACME-CN-3" } else { "ACME-17" };
    let due_date = (bill.due.0 > 0).then_some("2026-02-16");
    let (seller, issue_date) = (seller.as_ref(), "2026-02-02");
    issued(bill, &Issue { kind, number, seller, issue_date, due_date, test: false, corrects })
}

fn case(name: &'static str, mut world: World, until: &str) -> Case {
    world.bill(until);
    Case { name, json: issue(&world, None) }
}

const RICH: &str = "currency: EUR, fees: [{id: base, amount: 49.00, when: advance}], discounts: [{id: launch, percent: 10%}], prices: [\
     {id: out, meter: tokens, per_group: true, included: 1_000, measure: C62, graduated: [{up_to: 1_000_000, each: 0.000015}, {each: 0.00001, flat: 0.5}]}, \
     {id: in, meter: tokens, minimum: 2.00, per_unit: {each: 0.15, per: 1_000_000}}, \
     {id: call, meter: calls, tax: vat7, package: {size: 1_000, amount: 0.25}}, \
     {id: book, meter: calls, tax: zero, per_unit: {each: 0.01}}, \
     {id: shop, meter: sales, percentage: {rate: 2.9%, fixed: 0.30}}]";

fn rich(customer: &str, tax: &str) -> World {
    let mut world = world(customer, tax, RICH);
    let mut used = |time: &str, price: &str, with: &[(&str, &str)], quantity: &str| {
        world.used_with("s", time, price, with, quantity.parse().unwrap());
    };
    used("2026-01-10", "out", &[("region", "us")], "1500000.123456789");
    used("2026-01-11", "out", &[("region", "eu")], "900");
    used("2026-01-12", "in", &[("region", "eu")], "7777777");
    used("2026-01-12", "call", &[], "2001");
    used("2026-01-12", "book", &[], "2001");
    used("2026-01-13", "shop", &[], "120.50");
    used("2026-01-14", "shop", &[], "80");
    world
}

/// A plan of one price and one fee, with usage.
fn plain(customer: &str, tax: &str, plan: &str) -> World {
    let prices =
        "fees: [{id: base, amount: 20, when: arrears}], prices: [{id: in, meter: tokens, per_unit: {each: 0.0123}}]";
    let mut world = world(customer, tax, &format!("{plan}, {prices}"));
    world.used("2026-01-10", "in", "12345.678");
    world
}

/// A fee in advance, of which the greater part is given back.
fn credit_note() -> Case {
    let mut world = world(
        BERLIN,
        "vat19",
        "currency: EUR, fees: [{id: base, amount: 310.00, when: advance}], prices: [{id: in, meter: tokens, per_unit: {each: 0.5}}]",
    );
    world.bill("2026-01-01T00:00:00Z");
    world.used("2026-01-02", "in", "3");
    world.apply("subscriptions: [{id: s, customer: c, plan: pro, from: 2026-01-01, until: 2026-01-05}]", "2026-01-03");
    let corrects =
        Corrects { number: "ACME-16".to_owned(), issue_date: "2026-01-02".to_owned(), reason: "outage".to_owned() };
    world.bill("2026-01-10");
    Case { name: "credit_note", json: issue(&world, Some(&corrects)) }
}

/// Usage that came late, at a price by volume: less is due than was billed.
fn adjustment() -> Case {
    let plan = "currency: EUR, fees: [{id: base, amount: 90, when: arrears}], prices: [{id: in, meter: tokens, volume: [{up_to: 100, each: 0.20}, {each: 0.10}]}]";
    let mut world = world(BERLIN, "vat19", plan);
    world.used("2026-01-10", "in", "100");
    world.bill("2026-02-01T00:00:00Z");
    world.used("2026-01-11", "in", "1");
    world.used("2026-02-11", "in", "7");
    case("adjustment", world, "2026-03-01T00:00:00Z")
}

fn rounding() -> Case {
    let plan = "currency: EUR, fees: [{id: base, amount: 20.004, when: arrears}], prices: [{id: in, meter: tokens, per_unit: {each: 0.5}}]";
    case("rounding", world(BERLIN, "vat19", plan), "2026-04-01T00:00:00Z")
}

fn credits(kind: &str, name: &'static str) -> Case {
    let mut world = plain(BERLIN, "vat19", "currency: EUR");
    world.apply(
        &format!("credits: [{{id: welcome, customer: c, kind: {kind}, amount: 30.00, currency: EUR}}]"),
        "2025-12-01",
    );
    case(name, world, "2026-02-01T00:00:00Z")
}

/// What a person gives back of an invoice of two rates with prepaid money on it.
fn given_back(name: &'static str, ask: &Ask) -> Case {
    let mut world = rich(BERLIN, "vat19");
    let money = "credits: [{id: money, customer: c, kind: prepaid, amount: 7.00, currency: EUR}]";
    world.apply(money, "2025-12-01");
    world.bill("2026-02-01T00:00:00Z");
    Case { name, json: credit(&mut world, ask) }
}

/// A credit note on the world's last bill, which is the last one then.
pub(crate) fn credit(world: &mut World, ask: &Ask) -> String {
    let invoice = Issued::read(&issue(world, None)).unwrap();
    let (bill, seller) = (world.bills.last().unwrap(), world.seller());
    let seller = seller.as_ref().map(|seller| &seller.id);
    let correction =
        Correction { invoice: &invoice, earlier: &[], party: &bill.party, seller, ask, reason: "outage of 3 January" };
    let note = correction.bill().unwrap();
    let (number, issue_date) = (invoice.number.clone(), invoice.issue_date.clone());
    world.bills.push(note);
    let corrects = Corrects { number, issue_date, reason: "outage of 3 January".to_owned() };
    issue(world, Some(&corrects))
}

/// Every case that electronic invoices cover.
pub(crate) fn all() -> Vec<Case> {
    let end = "2026-02-01T00:00:00Z";
    vec![
        case("several_rates", rich(BERLIN, "vat19"), end),
        case("opening", rich(BERLIN, "vat19"), "2026-01-01T00:00:00Z"),
        case("exempt", plain(BERLIN, "exempt", "currency: EUR"), end),
        case("zero_rated", plain(BERLIN, "zero", "currency: EUR"), end),
        case("reverse_charge", plain(HELSINKI, "reverse", "currency: EUR"), end),
        case("french", rich(LYON, "vat19"), end),
        case("export", plain(ZURICH, "export", "currency: EUR"), end),
        case("outside", plain(ZURICH, "outside", "currency: EUR"), end),
        case("inclusive", plain(BERLIN, "vat19", "currency: EUR, tax_included: true"), end),
        case("dollars", plain(BERLIN, "vat19", "currency: USD"), end),
        case("yen", plain(BERLIN, "vat19", "currency: JPY"), end),
        credits("promotional", "promotional"),
        credits("prepaid", "prepaid"),
        credit_note(),
        adjustment(),
        rounding(),
        given_back("void", &Ask::Rest),
        given_back("amount_given_back", &Ask::Amount(Minor(1_190))),
    ]
}

/// More decimals than electronic invoices know.
pub(crate) fn dinar() -> Case {
    case("dinar", plain("name: B, address: {country: US}", "vat19", "currency: KWD"), "2026-02-01T00:00:00Z")
}

/// Documents for people's eyes, and whether an electronic invoice is inside.
pub(crate) fn pages() -> Vec<(Case, bool)> {
    let end = "2026-02-01T00:00:00Z";
    let with = |logo: &str| SELLER.replace("terms_days: 14", &format!("terms_days: 14, logo: {logo}"));
    let logo = with("acme.png");
    let draft =
        |world: &World, test| document(world.bills.last().unwrap(), world.seller().as_ref(), Status::Draft, test);
    let mut bare = selling(
        "sellers: []",
        "time_zone: UTC",
        "vat19",
        "currency: EUR, prices: [{id: in, meter: calls, per_unit: {each: 1}}]",
    );
    bare.used("2026-01-10", "in", "3");
    bare.bill(end);
    let mut review = plain(BERLIN, "vat19", "currency: EUR");
    review.bill(end);
    vec![
        (dinar(), false),
        (Case { name: "bare", json: draft(&bare, false) }, false),
        (Case { name: "draft", json: draft(&review, true) }, false),
        (case("long", long(&logo, LYON, 130), end), true),
        (case("narrow", narrow(), end), true),
        (case("logo", long(&logo, BERLIN, 4), end), true),
        (case("shapes", long(&with("acme.svg"), BERLIN, 4), end), true),
    ]
}

/// A price inside each of many groups.
fn long(seller: &str, customer: &str, groups: u32) -> World {
    let plan = "currency: EUR, fees: [{id: platform, amount: 499.00, when: arrears}], discounts: [{id: partner, percent: 12.5%}], prices: [\
         {id: output_tokens, meter: tokens, per_group: true, included: 1_000, graduated: [{up_to: 1_000_000, each: 0.0000151}, {each: 0.0000109}]}, \
         {id: api_calls, meter: calls, tax: vat7, package: {size: 1_000, amount: 0.25}}]";
    let mut world = selling(seller, customer, "vat19", plan);
    for group in 0..groups {
        let region = format!("zone-{}", group + 1);
        let quantity = format!("{}.5", 2_345_678 + u64::from(group) * 7_919);
        world.used_with("s", "2026-01-10", "output_tokens", &[("region", &region)], quantity.parse().unwrap());
    }
    world.used("2026-01-12", "api_calls", "2001");
    world
}

/// Names and numbers that are longer than their places.
fn narrow() -> World {
    let seller = SELLER.replace(
        "name: Acme GmbH",
        "name: Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft mit beschränkter Haftung",
    );
    let buyer = "name: \"The Honourable and Ancient Company of Distributed Computation, Measurement and Settlement (Northern Branch) plc\", \
         address: {street: Building 4711-B second staircase c/o Accounts Payable Shared Service Centre Europe Middle East and Africa, \
         city: Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch, postcode: LL61 5UJ, country: GB}, vat_id: GB123456789, \
         reference: PO-0123456789-0123456789-0123456789-0123456789-0123456789, email: ap@example.com";
    let plan = "currency: EUR, prices: [{id: a_price_with_an_unusually_long_name_that_says_nearly_everything_about_what_it_prices_and_more, \
         meter: tokens, per_group: true, graduated: [{up_to: 1_000_000, each: 0.000000000000001}, {each: 0.000123456789012, per: 1_000_000}]}, \
         {id: big, meter: sales, per_unit: {each: 7654321.123456789}}]";
    let mut world = selling(&seller, buyer, "vat19", plan);
    let id = "a_price_with_an_unusually_long_name_that_says_nearly_everything_about_what_it_prices_and_more";
    let region = "0123456789abcdef".repeat(8);
    world.used_with("s", "2026-01-10", id, &[("region", &region)], "123456789012345.123456789".parse().unwrap());
    world.used("2026-01-12", "big", "98765.123456789");
    world
}
