//! Files of everything that was issued in some days, for bookkeeping and for customers.

use crate::answer::Answer;
use crate::visit::{Fault, Visit};
use axum::http::StatusCode;
use maud::{Markup, html};
use proto::v1;
use proto::v1::export_service_server::ExportService;
use storage::keyring::Scope;
use tonic::Request;

/// What there is: its name in the address, for people, and what its file ends with.
const FILES: [(&str, &str, &str); 4] = [
    ("invoices", "Invoices", "csv"),
    ("lines", "Lines", "csv"),
    ("journal", "Journal", "journal"),
    ("focus", "Costs (FOCUS 1.2)", "csv"),
];

/// Asks what is wanted.
pub(crate) fn form(customer: &str) -> Markup {
    html! {
        details.export {
            summary { "Export what was issued" }
            form.filter action="/console/export" {
                label { "File"
                    select name="file" { @for (file, name, _) in FILES { option value=(file) { (name) } } }
                }
                label { "From" input name="from" type="date"; }
                label { "Until" input name="until" type="date"; }
                label { "Customer" input name="customer" value=(customer) autocomplete="off"; }
                button { "Download" }
            }
        }
    }
}

/// The file itself.
pub(crate) async fn file(visit: Visit) -> Result<Answer, Fault> {
    let known = FILES.into_iter().find(|(file, ..)| *file == visit.query("file"));
    let (file, _, ending) =
        known.ok_or_else(|| Fault::new(StatusCode::BAD_REQUEST, "Which file? The link names none."))?;
    let [from, until, customer] = ["from", "until", "customer"].map(|name| visit.query(name).to_owned());
    let name =
        [file, &from, &until, &customer].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let asked = Request::new(v1::ExportDaysRequest { from, until, customer });
    // Exports are of this scope, and change nothing: who sees all bills may have them.
    let services = visit.acting(Scope::Finance);
    let answer = match file {
        "invoices" => ExportService::invoices(&services, asked).await,
        "lines" => ExportService::lines(&services, asked).await,
        "journal" => ExportService::journal(&services, asked).await,
        _ => ExportService::focus(&services, asked).await,
    };
    let answer = answer?.into_inner();
    Ok(Answer::File { name: format!("{name}.{ending}"), media_type: answer.media_type, content: answer.content })
}
