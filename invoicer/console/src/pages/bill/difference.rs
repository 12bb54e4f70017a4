//! What a bill has more or less than the customer's last one, line by line.

use super::read::{Bill, read};
use crate::document::{Document, Line};
use crate::html;
use crate::visit::{Fault, Visit};
use crate::words;
use maud::{Markup, html};
use pricing::number::{Amount, grouped};
use proto::v1;
use proto::v1::invoice_service_server::InvoiceService;
use tonic::Request;

/// Bills of a customer that are looked through for the last one.
const EARLIER_MAX: u32 = 1_000;

struct Row {
    text: String,
    before: String,
    after: String,
    change: String,
}

/// The customer's bill before this one in the same currency.
async fn last(visit: &Visit, bill: &Bill) -> Result<Option<Document>, Fault> {
    let summary = &bill.summary;
    let asked =
        v1::ListInvoicesRequest { customer: summary.customer.clone(), page_size: EARLIER_MAX, ..Default::default() };
    let bills = InvoiceService::list(&visit.reading(), Request::new(asked)).await?.into_inner().invoices;
    let end = |bill: &v1::InvoiceSummary| words::instant(bill.end.as_ref());
    let earlier = bills.into_iter().filter(|other| {
        let is_credit_note = other.total.starts_with('-');
        other.currency == summary.currency && !other.number.is_empty() && !is_credit_note && end(other) < end(summary)
    });
    match earlier.max_by_key(end) {
        Some(last) => Ok(Some(read(visit, &last.id).await?.document)),
        None => Ok(None),
    }
}

/// Line by line, what this bill has more or less than the last.
pub(super) async fn shown(visit: &Visit, bill: &Bill) -> Result<Markup, Fault> {
    let now = &bill.document;
    let Some(last) = last(visit, bill).await? else {
        return Ok(html! { p.says { "This is the customer's first bill in " (now.currency) "." } });
    };
    let rows = rows(now, &last);
    let content = html! {
        thead { tr { th scope="col" { "Line" } th.n scope="col" { "Last" } th.n scope="col" { "Now" } th.n scope="col" { "Change" } } }
        tbody {
            @for row in &rows { tr { td { (row.text) } td.n { (row.before) } td.n { (row.after) } td.n.change { (row.change) } } }
        }
        tfoot {
            tr.sum { th scope="row" { "Net" } td.n { (grouped(&last.net)) } td.n { (grouped(&now.net)) } td.n.change { (change(&last.net, &now.net)) } }
        }
    };
    let number = last.number.clone().unwrap_or_else(|| last.id.clone());
    Ok(html! {
        section aria-labelledby="title-difference" {
            h2 #title-difference { "Against the last bill" }
            p.says {
                a href=(html::bill_link(&last.id)) { (number) } ", " (last.zone().stretch(last.period))
            }
            (html::table("Against the last bill", &content))
        }
    })
}

fn rows(now: &Document, last: &Document) -> Vec<Row> {
    let mut before: Vec<&Line> = last.lines.iter().collect();
    let mut rows = Vec::new();
    for line in &now.lines {
        let identity = line.identity();
        let found = before.iter().position(|other| other.identity() == identity).map(|at| before.remove(at));
        let was = found.map_or("0", |found| found.amount.as_str());
        rows.push(Row {
            text: line.description.clone(),
            before: found.map(|found| grouped(&found.amount)).unwrap_or_default(),
            after: grouped(&line.amount),
            change: change(was, &line.amount),
        });
    }
    rows.extend(before.into_iter().map(|line| Row {
        text: line.description.clone(),
        before: grouped(&line.amount),
        after: String::new(),
        change: change(&line.amount, "0"),
    }));
    rows
}

/// `+1.50`, `−0.20`; empty where nothing changed.
fn change(before: &str, after: &str) -> String {
    let (Ok(was), Ok(is)) = (before.parse::<Amount>(), after.parse::<Amount>()) else { return String::new() };
    let Ok(change) = is.sub(was) else { return String::new() };
    // Printed sums differ by a printed sum: as many decimals as they have.
    let decimals = |text: &str| text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let (exact, wanted) = (change.to_string(), decimals(before).max(decimals(after)));
    let missing = wanted.saturating_sub(decimals(&exact));
    let point = if wanted > 0 && !exact.contains('.') { "." } else { "" };
    let text = grouped(&format!("{exact}{point}{}", "0".repeat(missing)));
    match (change.is_zero(), text.strip_prefix('-')) {
        (true, _) => String::new(),
        (false, Some(less)) => format!("−{less}"),
        (false, None) => format!("+{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::change;

    #[test]
    fn a_change_has_a_sign_and_the_currency_s_decimals() {
        for (before, after, said) in [
            ("1.00", "2.50", "+1.50"),
            ("1.00", "0.80", "−0.20"),
            ("5.00", "5.00", ""),
            ("0", "1200", "+1,200"),
            ("0", "12.00", "+12.00"),
            ("1.234", "0", "−1.234"),
        ] {
            assert_eq!(change(before, after), said, "{before} to {after}");
        }
    }
}
