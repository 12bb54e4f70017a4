//! Style is a test: lengths, directions, words. What is forbidden is listed here with the reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;
const LINE_COLUMNS_MAX: usize = 160;

/// A folder may know the folders named beside it, and no others: data flows one way.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("pricing", &[]),
    ("storage", &["proto", "pricing"]),
    ("ingest", &["proto", "pricing", "storage"]),
    ("rater", &["proto", "pricing", "storage"]),
    ("invoicer/documents", &["pricing"]),
    ("invoicer", &["proto", "pricing", "storage", "documents"]),
    ("invoicer/console", &["proto", "pricing", "storage", "invoicer"]),
];

/// Words with which a stage would name a backend.
const BACKENDS: &[&str] = &["embedded", "sqlite", "rusqlite", "kafka", "clickhouse", "postgres"];

/// In tests alone: they wait on conditions.
const SLEEP: &str = concat!("thread::sl", "eep(");

/// What no source file says, and what to say instead.
const BANNED: &[(&str, &str)] = &[
    (concat!("tod", "o!("), "finish it: a stub is never called done"),
    (concat!("unimplemen", "ted!("), "finish it: a stub is never called done"),
    (concat!("FIX", "ME"), "mend it, or write down in ARCHITECTURE.md why it stands"),
    (concat!("XX", "X:"), "mend it, or write down in ARCHITECTURE.md why it stands"),
    (concat!("#[ign", "ore"), "a test that does not run is no test"),
    (SLEEP, "wait on a condition"),
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    rust_files(tests::root(), &mut files);
    let sources: Vec<_> = files
        .into_iter()
        .filter_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            Some((path.strip_prefix(tests::root()).ok()?.to_string_lossy().into_owned(), text))
        })
        .collect();
    assert!(sources.len() > 50, "only {} source files were found: the walk is broken", sources.len());
    sources
}

/// The lines of a file that are neither comments nor blank, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with("//")
    })
}

fn report(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn files_and_lines_are_short() {
    let mut findings = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            findings.push(format!("{path}: {lines} lines; at most {FILE_LINES_MAX}: give each idea its own file"));
        }
        for (at, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            // Tables and texts are not broken: they read worse for it.
            let is_whole = line.contains("//! |") || line.contains("/// |") || line.contains('"');
            if columns > LINE_COLUMNS_MAX && !is_whole {
                findings.push(format!("{path}:{}: {columns} columns; at most {LINE_COLUMNS_MAX}", at + 1));
            }
        }
    }
    report(&findings);
}

/// Lengths of functions, by indentation: rustfmt closes a function at the column where its `fn` line began.
fn functions(text: &str) -> BTreeMap<usize, (String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let is_function = [
            "fn ",
            "pub fn ",
            "async fn ",
            "pub async fn ",
            "pub(crate) fn ",
            "pub(super) fn ",
            "const fn ",
            "pub const fn ",
        ]
        .iter()
        .any(|start| code.starts_with(start));
        if !is_function || code.ends_with(';') {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - code.len()]);
        if let Some(length) = lines[at..].iter().position(|line| *line == close) {
            found.insert(at + 1, (code.to_owned(), length + 1));
        }
    }
    found
}

#[test]
fn functions_are_short() {
    let mut findings = Vec::new();
    let mut seen = 0;
    for (path, text) in sources() {
        for (line, (name, length)) in functions(&text) {
            seen += 1;
            if length > 70 {
                findings.push(format!("{path}:{line}: {length} lines, at most 70: {name}"));
            }
        }
    }
    assert!(seen > 500, "only {seen} functions were found: the search is broken");
    report(&findings);
}

#[test]
fn nothing_banned_is_said() {
    let mut findings = Vec::new();
    for (path, text) in sources() {
        for (at, line) in text.lines().enumerate() {
            for (banned, instead) in BANNED {
                let is_everywhere = *banned != SLEEP || path.contains("tests");
                if line.contains(banned) && is_everywhere {
                    findings.push(format!("{path}:{}: '{banned}': {instead}", at + 1));
                }
            }
        }
    }
    report(&findings);
}

#[test]
fn folders_know_only_what_they_may() {
    let mut findings = Vec::new();
    for (folder, may_know) in MAY_KNOW {
        let manifest = std::fs::read_to_string(tests::root().join(folder).join("Cargo.toml")).unwrap_or_default();
        assert!(manifest.contains("[dependencies]"), "{folder}/Cargo.toml was not read");
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for line in dependencies.lines() {
            let known = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let is_ours = MAY_KNOW.iter().any(|(name, _)| *name == known)
                || ["documents", "server", "simulation", "tests"].contains(&known);
            if is_ours && !may_know.contains(&known) {
                findings.push(format!("{folder}/Cargo.toml: {folder} may not know {known}; only {may_know:?}"));
            }
        }
    }
    report(&findings);
}

#[test]
fn no_stage_names_a_backend() {
    let mut findings = Vec::new();
    for (path, text) in sources() {
        let is_stage =
            ["ingest/src", "rater/src", "invoicer/src", "pricing/src"].iter().any(|stage| path.starts_with(stage));
        if !is_stage {
            continue;
        }
        for (at, line) in code_lines(&text) {
            let line = line.to_lowercase();
            for backend in BACKENDS {
                if line.contains(backend) {
                    findings
                        .push(format!("{path}:{at}: a stage names the backend '{backend}': it may know traits only"));
                }
            }
        }
    }
    report(&findings);
}

#[test]
fn no_float_where_money_passes() {
    let mut findings = Vec::new();
    for (path, text) in sources() {
        let is_money_path = MAY_KNOW.iter().any(|(folder, _)| path.starts_with(&format!("{folder}/src")));
        // Places on a page are no money.
        let is_page = path.starts_with("invoicer/documents/src/pdf");
        for (at, line) in code_lines(&text).filter(|_| is_money_path && !is_page) {
            if line.contains("f32") || line.contains("f64") {
                findings.push(format!("{path}:{at}: a float; use Quantity, UnitPrice, Amount or Rate"));
            }
        }
    }
    report(&findings);
}

#[test]
fn every_module_says_what_it_is() {
    let findings: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| format!("{path}: begins without a //! sentence that says what the file is"))
        .collect();
    report(&findings);
}
