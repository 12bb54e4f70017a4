//! `farthing credits`: what customers have with the seller.

use crate::client::{Client, Connection, PAGE, answer, instant_text, pages};
use crate::failure::Result;
use crate::local::grouped;
use crate::output::{self, Format, Grid};
use clap::{Args, Subcommand};
use proto::v1;

const AFTER: &str = "\
Credits are declared in the catalog file, under `credits`: promotional ones come off a bill before tax, prepaid ones off its
total. Those that expire first are used first. What a voided invoice used goes back to them.

Examples:
  farthing credits list
  farthing credits list --customer c-1 --json";

/// Lists customers' credits: how much of each is used, and left.
#[derive(Debug, Args)]
#[command(after_help = AFTER, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists credits.
    List {
        /// Only this customer's.
        #[arg(long)]
        customer: Option<String>,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
}

/// A credit as JSON.
#[derive(serde::Serialize)]
struct Credit<'a> {
    id: &'a str,
    customer: &'a str,
    kind: &'a str,
    currency: &'a str,
    amount: &'a str,
    used: &'a str,
    left: &'a str,
    expires: Option<String>,
    status: &'a str,
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    let Action::List { customer, format, connection } = arguments.action;
    let credits = all(&Client::connect(&connection).await?, customer.unwrap_or_default()).await?;
    let expires = |credit: &v1::CreditSummary| credit.expires.as_ref().map(|expires| instant_text(Some(expires)));
    if format.json {
        let credits = credits.iter().map(|credit| Credit {
            id: &credit.id,
            customer: &credit.customer,
            kind: &credit.kind,
            currency: &credit.currency,
            amount: &credit.amount,
            used: &credit.used,
            left: &credit.left,
            expires: expires(credit),
            status: &credit.status,
        });
        return output::json(&serde_json::json!({"credits": credits.collect::<Vec<_>>()}));
    }
    let mut grid = Grid::new(&["CREDIT", "CUSTOMER", "KIND", ">AMOUNT", ">USED", ">LEFT", "EXPIRES", "STATUS"]);
    for credit in &credits {
        let amount = format!("{} {}", grouped(&credit.amount), credit.currency);
        let (used, left) = (grouped(&credit.used), grouped(&credit.left));
        let expires = expires(credit).unwrap_or_else(|| "never".to_owned());
        grid.row([&credit.id, &credit.customer, &credit.kind, &amount, &used, &left, &expires, &credit.status]);
    }
    grid.print("No credits.")
}

async fn all(client: &Client, customer: String) -> Result<Vec<v1::CreditSummary>> {
    let (credits, _) = pages(usize::MAX, async |page_token| {
        let request = v1::ListCreditsRequest { customer: customer.clone(), page_size: PAGE, page_token };
        answer(client.invoices().list_credits(request).await).map(|page| (page.credits, page.next_page_token))
    })
    .await?;
    Ok(credits)
}
