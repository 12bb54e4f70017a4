//! What is shown: markup as text, and the way from a sign-in to an event.

use crate::browser::{Browser, wait_for};
use crate::world::{DRAFT, HELD, MARKUP, PASSWORD, World};
use console::{Access, routes};
use tests::wait_until;

#[test]
fn from_a_sign_in_to_an_event() {
    let world = World::new();
    let mut anna = Browser::signed_in(&world.server, "all@acme", PASSWORD);
    let home = wait_for(&mut anna, "/console", "Drafts");
    assert!(home.text().contains("Held 1") && home.text().contains("1 parked"), "{}", home.text());
    assert!(home.text().contains("1 unpriced"), "{}", home.text());

    // The list, filtered; then the draft with its arithmetic.
    let list = anna.get("/console/bills?status=draft&customer=c-1&month=2026-01");
    let draft = list.link("/console/bill?id=");
    assert!(!anna.get("/console/bills?status=draft&month=2025-12").text().contains("Draft c-1"));
    let page = anna.get(&draft);
    assert!(page.text().contains("Draft for Nordwind") && page.text().contains("first bill"), "{}", page.text());
    assert_eq!(anna.get("/console/search?q=c-1").leads_to(), "/console/customer");

    // Held and let go; approved as she saw it, which issues it.
    let id = ("id", DRAFT);
    assert_eq!(anna.post("/console/bill/hold", &[id, ("reason", "a question")]).status, 303);
    assert!(anna.get(&draft).text().contains("a question"), "{}", anna.get(&draft).text());
    assert_eq!(anna.post("/console/bill/hold", &[id, ("release", "yes")]).status, 303);
    let stale = anna.post("/console/bill/approve", &[id, ("digest", "0000")]);
    assert!(stale.status == 409, "{}", stale.text());
    let stale = anna.post("/console/bill/issue", &[id, ("digest", "0000")]);
    assert!(stale.status == 409 && stale.text().contains("not what it was"), "{}", stale.text());
    let seen = anna.get(&draft).field("digest");
    let issued = anna.post("/console/bill/issue", &[id, ("digest", &seen)]);
    assert_eq!((issued.status, issued.leads_to()), (303, "/console/bill"));
    // Only what was done says that it was.
    let words = "Its bytes never change";
    assert!(anna.get(issued.header("location").unwrap()).text().contains(words));
    let claimed = anna.get(&format!("/console/bill?id={DRAFT}&done=issued&by={}", "0".repeat(64)));
    assert!(claimed.status == 200 && !claimed.text().contains(words), "{}", claimed.text());
    let invoice = anna.get(&format!("/console/bill?id={DRAFT}"));
    // 7,260 calls: 10 included, 1,000 at 0.015, 6,250 at 0.01; 20 fee; 19 % on 97.50.
    for words in ["Invoice acme-", "Open", "97.50 USD", "116.03 USD"] {
        assert!(invoice.text().contains(words), "no '{words}' in {}", invoice.text());
    }
    let number = invoice.text().split("Invoice ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(anna.get(&format!("/console/search?q={number}")).leads_to(), "/console/bill");
    let again = anna.post("/console/bill/issue", &[("id", DRAFT)]);
    assert!(again.status == 409 && again.text().contains("issued"), "{}", again.text());

    // A line, its tiers, its events, the total that comes out again.
    let line = anna.get(&invoice.link("/console/bill/line"));
    for words in ["1,000", "0.015", "6,250", "77.5 USD", "e-1", "All 120 charges, added up again", "to the last digit"]
    {
        assert!(line.text().contains(words), "no '{words}' in {}", line.text());
    }
    let next = line.links().into_iter().find(|link| link.contains("page=")).unwrap();
    assert!(anna.get(&next).text().contains("e-120"), "the second page has the rest");
    assert!(anna.get(&invoice.link("/console/bill/check")).text().contains("to the last digit"));

    // A file as it is issued, for who reads, too.
    let mut audit = Browser::signed_in(&world.server, "audit@acme", PASSWORD);
    let csv = audit.get(&format!("/console/bill/export?id={DRAFT}&format=csv"));
    assert!(csv.header("content-disposition").unwrap_or_default().starts_with("attachment"), "{csv:?}");
    assert!(csv.body.starts_with("invoice,number") && csv.body.contains(&number), "{}", csv.body);
    let lacking = audit.get(&invoice.link(&format!("/console/bill/export?id={number}&format=ubl&rules=xrechnung")));
    assert!(lacking.status == 409 && lacking.text().contains("write `vat_id` of the seller"), "{}", lacking.text());
    assert_eq!(lacking.link("/console/bill?"), format!("/console/bill?id={number}"), "the way back");
    let costs = audit.get("/console/export?file=focus&customer=c-1");
    assert!(costs.header("content-disposition").unwrap_or_default().contains("focus-c-1.csv"), "{costs:?}");
    assert!(costs.body.starts_with("BilledCost,") && costs.body.contains(&number), "{}", costs.body);
    paid_credited_and_written_off(&mut anna, &number);
    let log = audit.get("/console/audit?collection=bill").text();
    assert!(log.contains("user:all@acme close bill") && log.contains("→ issued"), "{log}");
    the_held_one(&mut anna);
    the_customer_and_the_catalog(&mut anna);
}

/// A payment is taken back, a part credited, another part paid, the rest written off.
fn paid_credited_and_written_off(anna: &mut Browser, number: &str) {
    let (id, invoice) = (("id", number), format!("/console/bill?id={number}"));
    let payment = [id, ("amount", "100.00"), ("date", "2026-02-01"), ("reference", "SEPA 1"), ("once", "console-1")];
    assert_eq!(anna.post("/console/bill/pay", &payment).status, 303);
    assert_eq!(anna.post("/console/bill/pay", &payment).status, 303, "sent twice it counts once");
    let page = anna.get(&invoice);
    assert!(page.text().contains("Partly paid") && page.text().contains("Left 16.03 USD"), "{}", page.text());
    assert!(page.text().contains("user:all@acme"), "{}", page.text());
    let too_much =
        anna.post("/console/bill/pay", &[id, ("amount", "500.00"), ("date", "2026-02-01"), ("once", "console-2")]);
    assert!(too_much.status == 409 && too_much.text().contains("16.03"), "{}", too_much.text());
    assert_eq!(anna.post("/console/bill/reverse", &[id, ("entry", "console-1"), ("reason", "bounced")]).status, 303);
    assert!(anna.get(&invoice).text().contains("Left 116.03 USD"), "{}", anna.get(&invoice).text());
    assert_eq!(anna.post("/console/bill/write-off", &[id, ("reason", "insolvent")]).status, 303);
    assert!(anna.get(&invoice).text().contains("Written off"), "{}", anna.get(&invoice).text());
    assert!(anna.get("/console/bills?status=written_off").text().contains(number));
}

/// A bill that a parked event holds, until a person waives it.
fn the_held_one(anna: &mut Browser) {
    let held = anna.get(&format!("/console/bill?id={HELD}"));
    assert!(held.text().contains("Why it is held"), "{}", held.text());
    let nothing = anna.post("/console/bill/waive", &[("id", HELD), ("reason", " ")]);
    assert!(nothing.status == 400 && nothing.text().contains("reason"), "{}", nothing.text());
    assert_eq!(anna.post("/console/bill/waive", &[("id", HELD), ("reason", "a test")]).status, 303);
    wait_until("the waiver to lift the hold", || {
        !anna.get(&format!("/console/bill?id={HELD}")).text().contains("Why it is held")
    });
    // Approved from the list, as it stands there.
    let list = "/console/bills?status=draft";
    let chosen = anna.get(list).field("bill");
    assert!(chosen.ends_with(HELD), "{chosen}");
    let stale = anna.post("/console/bills/approve", &[("bill", &format!("0000 {HELD}"))]);
    assert!(stale.status == 200 && stale.text().contains("not what it was"), "{}", stale.text());
    let approved = anna.post("/console/bills/approve", &[("bill", &chosen)]);
    assert!(approved.text().contains("acme-"), "{}", approved.text());
    assert!(!anna.get(list).body.contains("name=\"bill\""), "nothing is left to be approved");
}

fn the_customer_and_the_catalog(anna: &mut Browser) {
    let customer = anna.get("/console/customer?id=c-1&month=2026-01");
    for words in ["2026-01-15", "7,260", "payg v1", "116.03 USD"] {
        assert!(customer.text().contains(words), "no '{words}' in {}", customer.text());
    }
    let file = "apiVersion: farthing/v1\ntenant: acme\nplans:\n  - {id: payg, currency: USD, every: month, prices: \
                [{id: out, meter: calls, per_unit: {each: 0.02}}]}\n";
    let shown = anna.post("/console/catalog/diff", &[("file", file)]);
    assert!(
        shown.text().contains("Changed: plan payg") && shown.text().contains("Put it in force"),
        "{}",
        shown.text()
    );
    assert!(!anna.get("/console/catalog").text().contains("Version 2"), "showing changes nothing");
    assert_eq!(anna.post("/console/catalog/apply", &[("file", file)]).status, 303);
    let catalog = anna.get("/console/catalog").text();
    assert!(catalog.contains("Version 2") && catalog.contains("Version 1"), "{catalog}");
    let log = anna.get("/console/audit?collection=plan").text();
    assert!(log.contains("user:all@acme apply plan payg"), "{log}");
    let wrong = anna.post("/console/catalog/diff", &[("file", "plan: [")]);
    assert!(wrong.status == 200 && wrong.text().contains("is not YAML"), "{}", wrong.text());
}

#[test]
fn stored_markup_is_text_everywhere() {
    let world = World::new();
    let mut anna = Browser::signed_in(&world.server, "all@acme", PASSWORD);
    wait_for(&mut anna, "/console", "Drafts");
    let encoded = "%3Cscript%3Ealert(1)%3C/script%3E%22%3E%3Cimg%20src=x%20onerror=alert(2)%3E";
    let mut pages: Vec<String> = routes()
        .into_iter()
        .filter(|route| route.method == "GET" && route.access != Access::Anyone && !route.path.ends_with("/file"))
        .map(|route| route.path.to_owned())
        .collect();
    pages.extend([format!("/console/bill?id={DRAFT}"), format!("/console/bill?id={HELD}")]);
    for index in 0..4 {
        pages.extend([DRAFT, HELD].map(|id| format!("/console/bill/line?id={id}&line={index}")));
    }
    for kind in ["parked", "unpriced", "rejected", "conflict"] {
        pages.push(format!("/console/leaks?kind={kind}"));
    }
    pages.push("/console/customer?id=c-2&month=2026-01".to_owned());
    // What is asked for comes back on some pages, too.
    let echoes =
        ["bills?customer=", "bills?status=", "bills?month=", "bill?id=", "customer?id=", "search?q=", "leaks?kind="];
    pages.extend(echoes.map(|echo| format!("/console/{echo}{encoded}")));
    pages.extend([format!("/console/sign-in?to={encoded}"), format!("/console?done={encoded}")]);
    let mut seen = 0;
    for path in &pages {
        let page = anna.get(path);
        let html = page.body.to_lowercase();
        assert!(page.header("content-type").unwrap_or_default().starts_with("text/html"), "{path}: {page:?}");
        assert!(!html.contains("<script>") && !html.contains("<img"), "{path}: {html}");
        seen += usize::from(html.contains("&lt;script&gt;alert(1)"));
    }
    assert!(seen >= 10, "the markup was seen on {seen} pages only");
    let title = anna.get("/console/customer?id=c-2").body;
    let escaped = MARKUP.replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    assert!(title.contains(&format!("<title>{escaped}")), "{title}");
    // A download is a file, never a page.
    anna.post("/console/bill/issue", &[("id", DRAFT)]);
    for format in ["csv", "json"] {
        let file = anna.get(&format!("/console/bill/export?id={DRAFT}&format={format}"));
        assert!(!file.header("content-type").unwrap_or_default().contains("html"), "{file:?}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        assert!(file.header("content-disposition").unwrap_or_default().starts_with("attachment;"), "{file:?}");
    }
}
