//! PDF: what veraPDF and Mustang say of every kind of bill, and that the same document is the same bytes.

use crate::cases::{self, Case};
use crate::judge::{Verdict, judge};
use documents::{Error, pdf};
use std::path::Path;

const LOGO: &[u8] = include_bytes!("logo.png");
const SHAPES: &str = include_str!("logo.svg");

/// Every case in a name, its pages, and whether an electronic invoice is inside.
fn every_page() -> Vec<(String, Vec<u8>, bool)> {
    let electronic = cases::all().into_iter().map(|case| (case, true));
    let others = cases::pages().into_iter();
    let mut pages = Vec::new();
    for (Case { name, json }, inside) in electronic.chain(others) {
        let logo = documents::logo(&json).unwrap().map(|name| match name.as_str() {
            "acme.svg" => SHAPES.as_bytes().to_vec(),
            _ => LOGO.to_vec(),
        });
        let bytes = pdf(&json, logo.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(bytes, pdf(&json, logo).unwrap(), "{name} is the same bytes each time");
        pages.push((format!("{name}.pdf"), bytes, inside));
    }
    pages
}

/// A file with one mistake of the same length, so that all else of it stays right.
fn broken(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("{from} is not in the file"));
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

#[test]
fn every_page_is_archival_and_holds_its_invoice() {
    // They stay there, for people who want to look.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&folder).unwrap();
    let pages = every_page();
    let mut files: Vec<_> = pages.iter().map(|(name, bytes, _)| (name.clone(), bytes.clone())).collect();
    let first = &pages[0].1;
    // A number of no country, which only the rules about the invoice inside know.
    let nowhere = cases::all()[0].json.replace("DE123456789", "ZZ123456789");
    let mistakes = [
        ("claim.pdf", "veraPDF 3b", broken(first, "<pdfaid:part>3", "<pdfaid:part>1")),
        ("level.pdf", "Mustang", broken(first, "ConformanceLevel>EN 16931", "ConformanceLevel>EN 16932")),
        ("inside.pdf", "Mustang", pdf(&nowhere, None).unwrap()),
    ];
    files.extend(mistakes.iter().map(|(name, _, bytes)| ((*name).to_owned(), bytes.clone())));
    let verdicts = judge(&folder, &files);
    let verdict = |file: &str, judge: &str| -> &Verdict {
        let found = verdicts.iter().find(|verdict| verdict.file == file && verdict.judge == judge);
        found.unwrap_or_else(|| panic!("{judge} said nothing of {file}"))
    };
    for (name, judge, _) in &mistakes {
        assert!(!verdict(name, judge).failed.is_empty(), "{judge} let {name} pass");
    }
    let mut failed = Vec::new();
    for (name, _, inside) in &pages {
        let archival = verdict(name, "veraPDF 3b");
        assert!(archival.checked > 100, "veraPDF looked at {} of {name}", archival.checked);
        let electronic = verdict(name, "Mustang");
        // Without an invoice inside there is nothing for Mustang to judge.
        assert_eq!(electronic.checked > 10, *inside, "Mustang looked at {} of {name}", electronic.checked);
        failed.extend([Some(archival), Some(electronic).filter(|_| *inside)].into_iter().flatten());
    }
    failed.retain(|verdict| !verdict.failed.is_empty());
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_logo_that_is_no_picture_is_refused() {
    let json = &cases::all()[0].json;
    let refused = |bytes: &[u8]| match pdf(json, Some(bytes.to_vec())) {
        Err(Error::Logo(why)) => why,
        other => panic!("{:?} made {other:?}", String::from_utf8_lossy(bytes)),
    };
    assert!(refused(b"GIF89a").contains("PNG, JPEG or SVG"));
    assert!(pdf(json, Some(LOGO[..200].to_vec())).is_err(), "half of a picture");
    assert!(refused(b"<svg/>").contains("no SVG"));
    assert!(refused(&SHAPES.as_bytes()[..300]).contains("cannot be read"));
    // Nothing that an SVG could bring along.
    for (inside, why) in [
        ("<text>Acme</text>", "'text'"),
        ("<image href=\"file:///etc/passwd\"/>", "'image'"),
        ("<use href=\"other.svg#a\"/>", "'use'"),
        ("<script>1</script>", "'script'"),
        ("<foreignObject/>", "'foreignObject'"),
        ("<linearGradient xmlns:x=\"http://www.w3.org/1999/xlink\" x:href=\"http://a.example/b#c\"/>", "refers to"),
        ("<rect width=\"9\" height=\"9\" fill=\"url(http://a.example/b#c)\"/>", "refers to"),
        ("<style>@import 'http://a.example/b.css';</style>", "elsewhere"),
        ("<rect width=\"9\" height=\"9\" style=\"filter: blur(2px)\"/>", "filter"),
        (&"<g>".repeat(100), "cannot be read"),
        (&format!("{}{}", "<g>".repeat(5_000), "</g>".repeat(5_000)), "deep"),
        (&"<path/>".repeat(20_000), "cannot be read"),
    ] {
        let svg = SHAPES.replace("</svg>", &format!("{inside}</svg>"));
        let said = refused(svg.as_bytes());
        assert!(said.contains(why), "{}: {said}", inside.chars().take(80).collect::<String>());
    }
    let entity = "<!DOCTYPE svg [<!ENTITY a 'b'>]><svg xmlns=\"http://www.w3.org/2000/svg\"><title>&a;</title></svg>";
    assert!(refused(entity.as_bytes()).contains("cannot be read"), "entities");
}
