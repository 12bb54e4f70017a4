//! `farthing webhooks`: addresses that are told what happened, and what was delivered to them.

use crate::client::{Client, Connection, answer, instant_text, pages};
use crate::failure::Result;
use crate::output::{self, Format, Grid};
use clap::{Args, Subcommand};
use proto::v1;
use serde_json::{Value as Json, json};

const AFTER: &str = "\
Examples:
  farthing webhooks put crm --url https://crm.example.com/farthing --event invoice.issued --event invoice.paid
  farthing webhooks deliveries --webhook crm
  farthing webhooks retry msg_000000000000042.crm";

/// The page that is asked for at once.
const PAGE: u32 = 200;

/// Tells other systems what happened to invoices, as Standard Webhooks describes it.
#[derive(Debug, Args)]
#[command(after_help = AFTER, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

/// What every action takes.
#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a webhook, or gives it another address or other events, and shows its secret.
    Put {
        /// Its name.
        id: String,
        /// Where to.
        #[arg(long)]
        url: String,
        /// What it is told, such as invoice.issued; may be repeated; none: all.
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Lists webhooks.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Gives a webhook a new secret; the old one is used beside it for a day.
    Rotate {
        /// Which.
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Tells a webhook nothing more, until it is enabled.
    Disable {
        /// Which.
        id: String,
        /// Who decided it, and why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        common: Common,
    },
    /// Goes on with a webhook where it stopped.
    Enable {
        /// Which.
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Forgets a webhook, and what was still to be delivered.
    Delete {
        /// Which.
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Shows what was sent and what came of it, the newest first.
    Deliveries {
        /// Only to this webhook.
        #[arg(long, value_name = "ID")]
        webhook: Option<String>,
        /// Only those that are pending, delivered or failed.
        #[arg(long)]
        status: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50, value_name = "COUNT")]
        limit: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Sends a message again.
    Retry {
        /// Which delivery.
        id: String,
        #[command(flatten)]
        common: Common,
    },
}

pub(crate) async fn run(arguments: Arguments) -> Result {
    match arguments.action {
        Action::Put { id, url, events, common } => {
            let made = client(&common).await?.put(v1::PutWebhookRequest { id, url, events }).await;
            secret(&answer(made)?, common.format)
        }
        Action::List { common } => list(&all(&mut client(&common).await?).await?, common.format),
        Action::Rotate { id, common } => {
            let rotated = client(&common).await?.rotate(v1::WebhookRequest { id }).await;
            secret(&answer(rotated)?, common.format)
        }
        Action::Disable { id, reason, common } => {
            let disabled = client(&common).await?.disable(v1::DisableWebhookRequest { id, reason }).await;
            list(&[answer(disabled)?], common.format)
        }
        Action::Enable { id, common } => {
            let enabled = client(&common).await?.enable(v1::WebhookRequest { id }).await;
            list(&[answer(enabled)?], common.format)
        }
        Action::Delete { id, common } => delete(id, &common).await,
        Action::Deliveries { webhook, status, limit, common } => {
            let request = v1::ListDeliveriesRequest {
                webhook: webhook.unwrap_or_default(),
                status: status.unwrap_or_default(),
                page_size: PAGE,
                page_token: String::new(),
            };
            deliveries(&some(&mut client(&common).await?, request, limit).await?, common.format)
        }
        Action::Retry { id, common } => {
            let again = client(&common).await?.retry(v1::RetryDeliveryRequest { id }).await;
            deliveries(&[answer(again)?], common.format)
        }
    }
}

async fn client(common: &Common) -> Result<Service> {
    Ok(Client::connect(&common.connection).await?.webhooks())
}

async fn delete(id: String, common: &Common) -> Result {
    answer(client(common).await?.delete(v1::WebhookRequest { id: id.clone() }).await)?;
    if common.format.json {
        return output::json(&json!({"id": id, "deleted": true}));
    }
    output::line(format_args!("Webhook {id} is gone."))
}

type Service = v1::webhook_service_client::WebhookServiceClient<crate::client::Service>;

async fn all(client: &mut Service) -> Result<Vec<v1::Webhook>> {
    let (webhooks, _) = pages(usize::MAX, async |page_token| {
        let page = client.list(v1::ListWebhooksRequest { page_size: PAGE, page_token }).await;
        answer(page).map(|page| (page.webhooks, page.next_page_token))
    })
    .await?;
    Ok(webhooks)
}

async fn some(client: &mut Service, request: v1::ListDeliveriesRequest, limit: usize) -> Result<Vec<v1::Delivery>> {
    let (deliveries, _) = pages(limit, async |page_token| {
        let page = client.list_deliveries(v1::ListDeliveriesRequest { page_token, ..request.clone() }).await;
        answer(page).map(|page| (page.deliveries, page.next_page_token))
    })
    .await?;
    Ok(deliveries)
}

fn secret(made: &v1::WebhookSecret, format: Format) -> Result {
    let webhook = made.webhook.clone().unwrap_or_default();
    if format.json {
        let mut shown = to_json(&webhook);
        shown["secret"] = made.secret.as_str().into();
        return output::json(&shown);
    }
    output::line(&made.secret)?;
    output::note(format_args!("Webhook {} tells {} of {}.", webhook.id, webhook.url, webhook.events.join(", ")));
    Ok(())
}

fn list(webhooks: &[v1::Webhook], format: Format) -> Result {
    if format.json {
        let webhooks: Vec<Json> = webhooks.iter().map(to_json).collect();
        return output::json(&json!({ "webhooks": webhooks }));
    }
    let mut grid = Grid::new(&["ID", "URL", "EVENTS", "STATE"]);
    for webhook in webhooks {
        let state = match webhook.disabled.as_str() {
            "" => "enabled".to_owned(),
            reason => format!("disabled: {reason}"),
        };
        grid.row([&webhook.id, &webhook.url, &webhook.events.join(", "), &state]);
    }
    grid.print("No webhooks.")
}

fn to_json(webhook: &v1::Webhook) -> Json {
    json!({"id": webhook.id, "url": webhook.url, "events": webhook.events, "disabled": webhook.disabled})
}

fn deliveries(deliveries: &[v1::Delivery], format: Format) -> Result {
    if format.json {
        let deliveries: Vec<Json> = deliveries.iter().map(delivery_json).collect();
        return output::json(&json!({ "deliveries": deliveries }));
    }
    let mut grid = Grid::new(&["ID", "EVENT", "STATUS", ">TRIES", "MADE", "LAST ANSWER"]);
    for delivery in deliveries {
        let last = delivery.attempts.last().map(last_answer).unwrap_or_default();
        let (tries, made) = (delivery.attempts.len().to_string(), instant_text(delivery.made.as_ref()));
        grid.row([&delivery.id, &delivery.event, &delivery.status, &tries, &made, &last]);
    }
    grid.print("No deliveries.")
}

fn last_answer(attempt: &v1::DeliveryAttempt) -> String {
    if attempt.error.is_empty() { attempt.status.to_string() } else { attempt.error.clone() }
}

fn delivery_json(delivery: &v1::Delivery) -> Json {
    let attempts = delivery.attempts.iter().map(|attempt| {
        json!({"time": instant_text(attempt.time.as_ref()), "status": attempt.status, "error": attempt.error})
    });
    json!({
        "id": delivery.id, "webhook": delivery.webhook, "message": delivery.message, "event": delivery.event,
        "status": delivery.status, "made": instant_text(delivery.made.as_ref()), "attempts": attempts.collect::<Vec<_>>(),
        "body": serde_json::from_str::<Json>(&delivery.body).unwrap_or_default(),
    })
}
