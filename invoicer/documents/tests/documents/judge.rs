//! The judges from outside: `tests/documents/judge.py` with what `tests/run` installs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What one judge said of one file.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Verdict {
    pub(crate) file: String,
    pub(crate) judge: String,
    /// How much was looked at.
    pub(crate) checked: u64,
    pub(crate) failed: Vec<String>,
}

/// Writes documents into a folder and has all of them judged.
pub(crate) fn judge(folder: &Path, documents: &[(String, Vec<u8>)]) -> Vec<Verdict> {
    let tools = servers::tools().join("documents-1");
    said(folder, documents, "documents", "documents/judge.py", &[tools.as_os_str()])
}

/// The same of FOCUS datasets.
pub(crate) fn judge_focus(folder: &Path, datasets: &[(String, Vec<u8>)]) -> Vec<Verdict> {
    said(folder, datasets, "focus", "focus/judge.py", &[])
}

/// What a script of the tests says of documents, in lines of JSON; it runs with what `tests/run WHAT` installs.
pub(crate) fn said<T: serde::de::DeserializeOwned>(
    folder: &Path,
    documents: &[(String, Vec<u8>)],
    what: &str,
    script: &str,
    arguments: &[&OsStr],
) -> Vec<T> {
    let mut files: Vec<PathBuf> = Vec::new();
    for (name, bytes) in documents {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        files.push(path);
    }
    let tools = servers::tools().join(format!("{what}-1"));
    assert!(tools.join("complete").exists(), "the judges are not there: run `tests/run {what}`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(script);
    let python = tools.join("venv/bin/python");
    let said = Command::new(python).arg(script).args(arguments).args(&files).output().unwrap();
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "the judge stopped: {errors}");
    let text = String::from_utf8(said.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{errors}")))
        .collect()
}
