//! A bill for people, within 100 columns.

use crate::failure::{Failure, Result};
use crate::output::Grid;
use serde_json::Value;
use std::fmt::Write;

/// The width of the page.
const WIDTH: usize = 98;

/// The document as text.
///
/// # Errors
/// Refused when it is no document.
pub(crate) fn text(document: &str) -> Result<String> {
    let document: Value = serde_json::from_str(document).map_err(Failure::refused)?;
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = head(&document, &mut out);
    out.push_str(&lines(&document).text());
    out.push('\n');
    let _ = foot(&document, &mut out);
    Ok(out)
}

/// `2026-01-01` for midnight in UTC, `2026-01-01 23:00` for a whole minute, else the whole instant.
pub(crate) fn short(instant: &str) -> String {
    let minute = || instant.strip_suffix(":00Z").map(|minute| minute.replace('T', " "));
    match instant.strip_suffix("T00:00:00Z") {
        Some(day) => day.to_owned(),
        None => minute().unwrap_or_else(|| instant.to_owned()),
    }
}

/// At most ten decimals; `…` says that there are more, which JSON shows.
fn brief(number: &str) -> String {
    match number.split_once('.') {
        Some((whole, decimals)) if decimals.len() > 10 => {
            format!("{whole}.{}…", decimals.get(..10).unwrap_or_default())
        }
        _ => number.to_owned(),
    }
}

fn head(document: &Value, out: &mut String) -> std::fmt::Result {
    let number = field(document, "number");
    let title = if number.is_empty() { "Draft".to_owned() } else { format!("Invoice {number}") };
    let test = if document.get("test").and_then(Value::as_bool).unwrap_or(false) { "TEST · " } else { "" };
    let status = format!("{test}{}", field(document, "status").to_uppercase());
    let period = document.get("period").unwrap_or(&Value::Null);
    writeln!(out, "{}", "━".repeat(WIDTH))?;
    writeln!(out, " {title}{status:>width$}", width = (WIDTH - 2).saturating_sub(title.chars().count()))?;
    writeln!(out, " {}", field(document, "id"))?;
    let (start, end) = (field(period, "start"), field(period, "end"));
    writeln!(out, " Customer {} · {} – {} (UTC)", field(document, "customer"), short(&start), short(&end))?;
    writeln!(out, "{}", "━".repeat(WIDTH))
}

fn lines(document: &Value) -> Grid {
    let mut grid = Grid::new(&["DESCRIPTION", ">QUANTITY", ">EACH", ">EXACT", ">AMOUNT"]);
    for line in document.get("lines").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
        let description = match field(line, "description") {
            text if text.is_empty() => [field(line, "kind"), field(line, "price")].join(" "),
            text => text,
        };
        let per = field(line, "per");
        let each = match brief(&field(line, "each")) {
            each if per.is_empty() || per == "1" => each,
            each => format!("{each} / {per}"),
        };
        grid.row([
            description,
            brief(&field(line, "quantity")),
            each,
            brief(&field(line, "amount_exact")),
            field(line, "amount"),
        ]);
    }
    grid
}

fn foot(document: &Value, out: &mut String) -> std::fmt::Result {
    let currency = field(document, "currency");
    writeln!(out, "{}", "─".repeat(WIDTH))?;
    let mut row =
        |name: &str, amount: String| writeln!(out, "{name:>width$} {amount:>16} {currency}", width = WIDTH - 22);
    row(&format!("Net (exact {})", brief(&field(document, "net_exact"))), field(document, "net"))?;
    for tax in document.get("taxes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
        let name = format!("Tax {} at {} on {}", field(tax, "category"), field(tax, "rate"), field(tax, "net"));
        row(&name, field(tax, "tax"))?;
    }
    row("Total", field(document, "total"))?;
    if !is_zero(&field(document, "prepaid")) {
        row("Prepaid", field(document, "prepaid"))?;
        row("Due", field(document, "due"))?;
    }
    let residue = field(document, "rounding_residue");
    if !is_zero(&residue) {
        writeln!(
            out,
            "{:>width$}",
            format!("carried on the rounding account: {}", brief(&residue)),
            width = WIDTH - 1
        )?;
    }
    Ok(())
}

fn is_zero(text: &str) -> bool {
    text.chars().all(|digit| matches!(digit, '0' | '.' | '-'))
}

/// A field as text; empty where it is absent.
fn field(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
