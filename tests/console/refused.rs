//! Who is refused: without a session, with one that is over, with another role, of another tenant, from another site.

use crate::browser::{Browser, Page};
use crate::world::{DRAFT, PASSWORD, World};
use console::{Access, Route, routes};
use invoicer::people::Role;
use tests::wait_until;

/// Asks for a route as somebody who means it: about a bill and a customer of the first tenant.
fn ask(browser: &mut Browser, route: &Route) -> Page {
    let query = match route.path {
        "/console/bill/line" => format!("?id={DRAFT}&line=1"),
        "/console/bill/export" => format!("?id={DRAFT}&format=json"),
        "/console/export" => "?file=focus".to_owned(),
        path if path.starts_with("/console/bill/") || path == "/console/bill" => format!("?id={DRAFT}"),
        "/console/customer" => "?id=c-1".to_owned(),
        "/console/search" => "?q=c-1".to_owned(),
        _ => String::new(),
    };
    let path = route.path.replace("{name}", "none").replace("{*rest}", "none");
    if route.method == "POST" {
        return browser.post(&path, &[("id", DRAFT), ("reason", "why"), ("file", ":")]);
    }
    browser.get(&format!("{path}{query}"))
}

/// Routes that need somebody; signing out comes last, since nothing works after it.
fn guarded() -> Vec<(Route, &'static [Role])> {
    let only = |route: Route| match route.access {
        Access::Only(roles) => Some((route, roles)),
        Access::Anyone => None,
    };
    let mut all: Vec<_> = routes().into_iter().filter_map(only).collect();
    all.sort_by_key(|(route, _)| route.path == "/console/sign-out");
    assert!(all.len() > 12, "{all:?}");
    all
}

#[track_caller]
fn is_sent_to_sign_in(page: &Page, route: &Route) {
    assert_eq!((page.status, page.leads_to()), (303, "/console/sign-in"), "{route:?}: {page:?}");
    assert!(!page.body.contains("Nordwind"), "{route:?} shows something: {page:?}");
}

#[test]
fn every_route_refuses_who_may_not() {
    let world = World::new();
    for (route, _) in guarded() {
        let mut nobody = Browser::new(&world.server);
        is_sent_to_sign_in(&ask(&mut nobody, &route), &route);
        let mut forged = Browser { cookie: "0".repeat(64), ..Browser::new(&world.server) };
        is_sent_to_sign_in(&ask(&mut forged, &route), &route);
    }
    for role in Role::ALL {
        let name = format!("{}@acme", role.word());
        for (route, roles) in guarded() {
            let mut person = Browser::signed_in(&world.server, &name, PASSWORD);
            let page = ask(&mut person, &route);
            let is_refused = page.status == 403;
            assert_eq!(is_refused, !roles.contains(&role), "{name}, {route:?}: {}", page.text());
            assert!(!is_refused || !page.body.contains("Nordwind"), "{name}, {route:?}: {}", page.text());
        }
    }
    // Another tenant has the same ids: everything it sees is its own, and what only the first one has is not there.
    let mut other = Browser::signed_in(&world.server, "all@other", PASSWORD);
    for (route, _) in guarded().into_iter().filter(|(route, _)| route.path != "/console/sign-out") {
        let page = ask(&mut other, &route);
        assert!(!page.body.contains("e-120") && !page.body.contains("acme"), "{route:?}: {}", page.body);
    }
    assert!(other.get("/console/leaks").text().contains("None."), "arrivals of another tenant");
    assert!(!other.get("/console/bills").text().contains("116.03"), "bills of another tenant");
    every_session_ends(world);
}

/// Sessions outlive the process, and end by their age.
fn every_session_ends(world: World) {
    let old = Browser::signed_in(&world.server, "all@acme", PASSWORD);
    let world = world.again("age_max = \"1s\"");
    let again = |browser: &Browser| Browser { cookie: browser.cookie.clone(), ..Browser::new(&world.server) };
    wait_until("the session to be over", || again(&old).get("/console").status == 303);
    for (route, _) in guarded() {
        is_sent_to_sign_in(&ask(&mut again(&old), &route), &route);
    }
}

#[test]
fn a_browser_does_only_what_its_person_asked_for() {
    let world = World::new();
    let server = &world.server;
    let mut anna = Browser::signed_in(server, "all@acme", PASSWORD);
    let mut ben = Browser::signed_in(server, "finance@acme", PASSWORD);

    // Forms: none of ours, another person's, from another site.
    let (hers, his) = (anna.token(), ben.token());
    assert_ne!(hers, his);
    for (route, _) in guarded().into_iter().filter(|(route, _)| route.method == "POST") {
        for fields in [&[][..], &[("form", "")], &[("form", "0000")], &[("form", his.as_str())]] {
            let page = anna.send(route.path, fields);
            assert_eq!(page.status, 403, "{route:?} {fields:?}: {}", page.text());
        }
        for header in
            ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: none"]
        {
            let mut lured = Browser { headers: vec![header.to_owned()], ..anna.clone() };
            let page = lured.send(route.path, &[("form", hers.as_str())]);
            assert_eq!(page.status, 403, "{route:?} {header}: {}", page.text());
        }
    }
    assert_eq!(anna.get("/console").status, 200, "nothing signed her out");

    // What every answer says.
    for path in ["/console", "/console/sign-in", "/console/none", "/console/assets/none", "/"] {
        let page = anna.get(path);
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(page.header(name), Some(value), "{path}");
        }
    }
    let style = anna.get("/console").link("/console/assets/style");
    assert_eq!(anna.get(&style).header("cache-control"), Some("public, max-age=31536000, immutable"));
    sessions_are_nobody_elses(&world, anna);
}

fn sessions_are_nobody_elses(world: &World, mut anna: Browser) {
    let server = &world.server;
    // A planted cookie is nobody's session, also after its browser's person signed in.
    let mut planted = Browser { cookie: "ab".repeat(32), ..Browser::new(server) };
    let page = planted.sign_in("finance@acme", PASSWORD);
    assert_eq!((page.status, page.leads_to()), (303, "/console"));
    let cookie = page.header("set-cookie").unwrap_or_default();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"), "{cookie}");
    assert_ne!(planted.cookie, "ab".repeat(32));
    assert_eq!(planted.get("/console").status, 200);
    let mut thief = Browser { cookie: "ab".repeat(32), ..Browser::new(server) };
    assert_eq!(thief.get("/console").status, 303);
    // Behind TLS the cookie never travels without.
    let mut proxied = Browser { headers: vec!["X-Forwarded-Proto: https".to_owned()], ..Browser::new(server) };
    let page = proxied.get("/console/sign-in");
    let cookie = page.header("set-cookie").unwrap_or_default();
    assert!(cookie.starts_with("__Host-farthing=") && cookie.contains("Secure"), "{cookie}");

    // Signing out ends the session itself; a new password and a disabled person end all of theirs.
    let old = anna.clone();
    assert_eq!(anna.post("/console/sign-out", &[]).leads_to(), "/console/sign-in");
    assert_eq!(old.clone().get("/console").status, 303);
    let made = world.farthing("acme", &["users", "create", "finance@acme", "--role", "finance"]);
    assert_eq!(planted.get("/console").status, 303);
    assert_eq!(Browser::new(server).sign_in("finance@acme", PASSWORD).status, 401);
    let mut renewed = Browser::signed_in(server, "finance@acme", made.trim());
    world.farthing("acme", &["users", "disable", "finance@acme"]);
    assert_eq!(renewed.get("/console").status, 303);
    assert_eq!(Browser::new(server).sign_in("finance@acme", made.trim()).status, 401);
    let listed = world.farthing("acme", &["users", "list", "--json"]);
    assert!(listed.contains("finance@acme") && !listed.contains("@other") && !listed.contains("argon2"), "{listed}");
    let taken =
        world.server.farthing(&world.key, &["users", "create", "all@acme", "--role", "audit", "--tenant", "other"]);
    assert!(taken.refused().contains("taken"));

    // Who guesses has to wait, whatever the name: each wait is twice the one before.
    for name in ["audit@acme", "nobody"] {
        let mut guess = Browser::new(server);
        let tries: Vec<u16> = (0..12).map(|_| guess.sign_in(name, "not the password").status).collect();
        assert!(tries[..5].iter().all(|status| *status == 401), "{name}: {tries:?}");
        assert!(tries.contains(&429), "{name}: {tries:?}");
    }
}
