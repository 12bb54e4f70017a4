//! The lines as CSV, RFC 4180: a row each, below a row of names; what a line has not got is left empty.

use crate::canonical::{Line, Shape};

const COLUMNS: &str = "invoice,number,customer,currency,start,end,kind,subscription,price,meter,group,tier,description,\
                       quantity,each,per,amount_exact,amount,tax_category,tax_rate\r\n";

pub(crate) fn write(shape: &Shape) -> String {
    let mut out = COLUMNS.to_owned();
    for line in &shape.lines {
        out.push_str(&fields(shape, line).each_ref().map(|field| quoted(field)).join(","));
        out.push_str("\r\n");
    }
    out
}

fn fields(shape: &Shape, line: &Line) -> [String; 20] {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let tax = line.tax.as_ref();
    [
        shape.id.clone(),
        text(shape.number.as_ref()),
        shape.customer.clone(),
        shape.currency.to_string(),
        shape.period.start.to_string(),
        shape.period.end.to_string(),
        line.kind.word().to_owned(),
        text(line.subscription.as_ref()),
        text(line.price.as_ref()),
        text(line.meter.as_ref()),
        text(line.group.as_ref()),
        text(line.tier),
        line.description.clone(),
        text(line.quantity),
        text(line.each),
        text(line.per),
        line.amount_exact.to_string(),
        line.amount.clone(),
        text(tax.map(|tax| &tax.category)),
        text(tax.map(|tax| tax.rate)),
    ]
}

/// A field as RFC 4180 wants it. A text that a spreadsheet would run as a formula is led by an apostrophe; numbers stay as
/// they are.
pub(crate) fn quoted(field: &str) -> String {
    let is_number = field.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number {
        return format!("\"'{}\"", field.replace('"', "\"\""));
    }
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
