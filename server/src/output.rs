//! What commands print: tables, on a terminal within 100 columns, or JSON.

use crate::failure::{Failure, Result};
use clap::Args;
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use std::io::{IsTerminal, Write};

/// Tables are never wider, also where the terminal is; but for those that are piped on.
const WIDTH_MAX: u16 = 100;

/// A line under the headings and nothing else.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// How data is printed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Format {
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes text and a line end to standard output.
pub(crate) fn line(text: impl std::fmt::Display) -> Result {
    let mut stdout = std::io::stdout().lock();
    done(writeln!(stdout, "{text}"))
}

/// Writes bytes to standard output as they are.
pub(crate) fn bytes(content: &[u8]) -> Result {
    let mut stdout = std::io::stdout().lock();
    done(stdout.write_all(content).and_then(|()| stdout.flush()))
}

/// Writes a value as indented JSON.
pub(crate) fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result {
    line(serde_json::to_string_pretty(value).map_err(Failure::refused)?)
}

/// Writes a note to standard error, away from what is piped on.
pub(crate) fn note(text: impl std::fmt::Display) {
    // Nobody is left to be told when standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// True when people read standard error.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// A table under construction; columns whose heading begins with `>` are aligned to the right.
pub(crate) struct Grid {
    table: Table,
    right: Vec<bool>,
}

impl Grid {
    /// An empty table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        // What is piped on is searched and cut: an id that wraps would be two.
        let piped = !std::io::stdout().is_terminal();
        Self::arranged(headings, if piped { ContentArrangement::Disabled } else { ContentArrangement::Dynamic })
    }

    /// One that always fits the page, where long texts wrap.
    pub(crate) fn page(headings: &[&str]) -> Self {
        Self::arranged(headings, ContentArrangement::Dynamic)
    }

    fn arranged(headings: &[&str], arrangement: ContentArrangement) -> Self {
        let mut table = Table::new();
        table.load_style(STYLE).set_content_arrangement(arrangement).set_width(width());
        let right: Vec<bool> = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let cells = headings.iter().map(|heading| heading.trim_start_matches('>'));
        table.set_header(cells.zip(&right).map(|(text, right)| cell(text, *right)));
        Self { table, right }
    }

    /// Adds a row.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let right = self.right.iter().copied().chain(std::iter::repeat(false));
        self.table.add_row(cells.into_iter().zip(right).map(|(text, right)| cell(text.as_ref(), right)));
    }

    /// Prints it, or `empty` where it has no rows.
    pub(crate) fn print(&self, empty: &str) -> Result {
        if self.table.is_empty() { line(empty) } else { line(self.text()) }
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        self.table.trim_fmt()
    }
}

fn cell(text: &str, right: bool) -> Cell {
    let alignment = if right { CellAlignment::Right } else { CellAlignment::Left };
    Cell::new(text).set_alignment(alignment)
}

fn width() -> u16 {
    let terminal = if std::io::stdout().is_terminal() { Table::new().width() } else { None };
    terminal.unwrap_or(WIDTH_MAX).min(WIDTH_MAX)
}

fn done(result: std::io::Result<()>) -> Result {
    result.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::refused(format_args!("cannot write to standard output: {error}")),
    })
}
