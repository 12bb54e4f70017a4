//! The list of customers.

use crate::answer::Answer;
use crate::html::{self, Page, Section};
use crate::visit::{Fault, Visit};
use maud::html;
use pricing::catalog::entity::Customer;
use pricing::catalog::{Entity, Entry, Kind};
use proto::v1;
use proto::v1::customer_service_server::CustomerService;
use std::collections::BTreeMap;
use tonic::Request;

const PATH: &str = "/console/customers";
/// Customers on a page.
const PAGE: u32 = 100;

/// Customers by id.
pub(crate) type Known = BTreeMap<String, Entry<Customer>>;

/// Customers as the catalog has them.
pub(crate) fn read(entries: &[String]) -> Vec<Entry<Customer>> {
    let customer = |entry: &String| match Entity::from_json(Kind::Customer, entry) {
        Ok(Entity::Customer(customer)) => Some(customer),
        _ => None,
    };
    entries.iter().filter_map(customer).collect()
}

/// The customers of these bills, by id: their names, and the zones in whose days their periods are cut.
pub(crate) async fn of(visit: &Visit, bills: &[v1::InvoiceSummary]) -> Result<Known, Fault> {
    let mut known = Known::new();
    for bill in bills {
        if known.contains_key(&bill.customer) {
            continue;
        }
        let asked = v1::ListRequest { customer: bill.customer.clone(), page_size: 1, ..Default::default() };
        let found = CustomerService::list(&visit.reading(), Request::new(asked)).await?.into_inner();
        known.extend(read(&found.entries).pop().map(|customer| (bill.customer.clone(), customer)));
    }
    Ok(known)
}

pub(crate) async fn page(visit: Visit) -> Result<Answer, Fault> {
    let asked = v1::ListRequest { page_size: PAGE, page_token: visit.query("page").to_owned(), ..Default::default() };
    let found = CustomerService::list(&visit.reading(), Request::new(asked)).await?.into_inner();
    let customers = read(&found.entries);
    let content = html! {
        thead { tr { th scope="col" { "Customer" } th scope="col" { "Name" } th scope="col" { "Place" } th scope="col" { "Tax" } } }
        tbody {
            @for customer in &customers {
                tr {
                    td { a data-row href=(html::customer_link(customer.id.as_str())) { (customer.id) } @if customer.ended { " " span.badge { "Ended" } } }
                    td { (customer.name.as_deref().unwrap_or_default()) }
                    td { (customer.address.city.as_deref().unwrap_or_default()) " " (customer.address.country.as_deref().unwrap_or_default()) }
                    td { @if let Some(tax) = &customer.tax { (tax) } }
                }
            }
        }
    };
    let body = html! {
        h1 { "Customers" }
        @if customers.is_empty() { p.calm { "No customers are declared yet." } } @else { (html::table("Customers", &content)) }
        (html::next(PATH, &[], &found.next_page_token))
    };
    Ok(Page::new("Customers", Section::Customers, body).into())
}
