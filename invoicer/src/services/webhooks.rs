//! `WebhookService`: webhooks, and what was delivered to them.

use super::access::Granted;
use super::{Services, page, problem, words};
use crate::ledger::{Draft, Filter, Stored};
use crate::webhooks::{Attempt, Delivery, Endpoint, EventKind, Lane, LaneId, Outside, Pending, Secrets, State};
use pricing::id::{TenantId, WebhookId};
use proto::code::Code;
use proto::status::Problem;
use proto::v1;
use proto::v1::webhook_service_server::WebhookService;
use std::collections::BTreeSet;
use std::sync::Arc;
use storage::books::AuditQuery;
use storage::keyring::Scope;
use tonic::{Request, Response, Status, async_trait};

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    services: Services,
    outside: Arc<dyn Outside>,
}

/// Webhooks that one tenant may have.
const WEBHOOKS_MAX: usize = 20;
/// How often a change is decided again after the lane moved on.
const CONFLICTS_MAX: usize = 5;

#[async_trait]
impl WebhookService for Webhooks {
    async fn put(&self, request: Request<v1::PutWebhookRequest>) -> Result<Response<v1::WebhookSecret>, Status> {
        let granted = self.services.access.granted(request.metadata(), Scope::Admin).await?;
        let asked = request.into_inner();
        let id: WebhookId = words::required("id", &asked.id)?;
        let events = events(&asked.events)?;
        self.outside.check(&asked.url).map_err(|reason| {
            Problem::invalid(Code::UrlRefused, format!("'{}' cannot be told: {reason}", asked.url))
                .with_violation("url", reason)
        })?;
        let (tenant, known) = (Some(&granted.tenant), self.endpoint(&granted.tenant, &id).await?);
        let mut draft = self.draft(&granted, "webhook");
        let Some(known) = known else {
            let secrets = self.make(&granted, &id, asked.url.clone(), events.clone(), draft).await?;
            let endpoint = Endpoint { url: asked.url, events, disabled: None };
            return Ok(Response::new(shown(&id, &endpoint, secrets)));
        };
        let endpoint = Endpoint { url: asked.url, events, disabled: known.value.disabled.clone() };
        if endpoint != known.value {
            put(&mut draft, tenant, id.as_str(), Some(known.revision), &endpoint)?;
            self.commit(draft).await?;
        }
        let secrets = self.secrets(&granted.tenant, &id).await?;
        Ok(Response::new(shown(&id, &endpoint, secrets.value)))
    }

    async fn list(
        &self,
        request: Request<v1::ListWebhooksRequest>,
    ) -> Result<Response<v1::ListWebhooksResponse>, Status> {
        let Granted { tenant, .. } = self.services.access.granted(request.metadata(), Scope::Read).await?;
        let asked = request.into_inner();
        let size = page::size(asked.page_size)?;
        let filter = Filter { after: page::after(&asked.page_token)?, ..Filter::default() };
        let found = self.services.ledger.list::<Endpoint>(Some(&tenant), &filter, size + 1).await;
        let mut found = found.map_err(|error| problem::ledger(&error))?;
        let next_page_token = page::cut(&mut found, size, |webhook| webhook.id.clone());
        let webhooks = found.iter().map(|webhook| summary(&webhook.id, &webhook.value)).collect();
        Ok(Response::new(v1::ListWebhooksResponse { webhooks, next_page_token }))
    }

    async fn rotate(&self, request: Request<v1::WebhookRequest>) -> Result<Response<v1::WebhookSecret>, Status> {
        let granted = self.services.access.granted(request.metadata(), Scope::Admin).await?;
        let id: WebhookId = words::required("id", &request.get_ref().id)?;
        let endpoint = self.known(&granted.tenant, &id).await?;
        let secrets = self.secrets(&granted.tenant, &id).await?;
        let rotated = secrets.value.rotated(self.random()?, self.services.publisher.wall());
        let mut draft = self.draft(&granted, "webhook_secret");
        put(&mut draft, Some(&granted.tenant), id.as_str(), Some(secrets.revision), &rotated)?;
        // No secret stands in the audit log; who changed it, and when, stands there with the webhook as it is.
        put(&mut draft, Some(&granted.tenant), id.as_str(), Some(endpoint.revision), &endpoint.value)?;
        self.commit(draft).await?;
        Ok(Response::new(shown(&id, &endpoint.value, rotated)))
    }

    async fn disable(&self, request: Request<v1::DisableWebhookRequest>) -> Result<Response<v1::Webhook>, Status> {
        let granted = self.services.access.granted(request.metadata(), Scope::Admin).await?;
        let asked = request.into_inner();
        if asked.reason.trim().is_empty() {
            let message = "telling a webhook nothing more needs a reason: who decided it, and why";
            return Err(Problem::invalid(Code::ReasonMissing, message).into());
        }
        self.set_disabled(&granted, &asked.id, Some(asked.reason)).await
    }

    async fn enable(&self, request: Request<v1::WebhookRequest>) -> Result<Response<v1::Webhook>, Status> {
        let granted = self.services.access.granted(request.metadata(), Scope::Admin).await?;
        self.set_disabled(&granted, &request.into_inner().id, None).await
    }

    async fn delete(
        &self,
        request: Request<v1::WebhookRequest>,
    ) -> Result<Response<v1::DeleteWebhookResponse>, Status> {
        let granted = self.services.access.granted(request.metadata(), Scope::Admin).await?;
        let id: WebhookId = words::required("id", &request.get_ref().id)?;
        if let Some(endpoint) = self.endpoint(&granted.tenant, &id).await? {
            let (tenant, mut draft) = (Some(&granted.tenant), self.draft(&granted, "webhook"));
            draft.remove::<Endpoint>(tenant, id.as_str(), endpoint.revision);
            draft.discard::<Secrets>(tenant, id.as_str());
            draft.discard::<Lane>(None, &LaneId { tenant: granted.tenant.clone(), webhook: id }.text());
            self.commit(draft).await?;
        }
        Ok(Response::new(v1::DeleteWebhookResponse {}))
    }

    async fn list_deliveries(
        &self,
        request: Request<v1::ListDeliveriesRequest>,
    ) -> Result<Response<v1::ListDeliveriesResponse>, Status> {
        let Granted { tenant, .. } = self.services.access.granted(request.metadata(), Scope::Read).await?;
        let asked = request.into_inner();
        let size = page::size(asked.page_size)?;
        let mut tags = Vec::new();
        if !asked.webhook.is_empty() {
            tags.push(("webhook".to_owned(), asked.webhook));
        }
        if let Some(state) = state(&asked.status)? {
            tags.push(("state".to_owned(), state.word().to_owned()));
        }
        let filter = Filter { tags, after: page::after(&asked.page_token)?, descending: true, ..Filter::default() };
        let found = self.services.ledger.list::<Delivery>(Some(&tenant), &filter, size + 1).await;
        let mut found = found.map_err(|error| problem::ledger(&error))?;
        let next_page_token = page::cut(&mut found, size, |delivery| delivery.id.clone());
        let deliveries = found.into_iter().map(delivery).collect();
        Ok(Response::new(v1::ListDeliveriesResponse { deliveries, next_page_token }))
    }

    async fn retry(&self, request: Request<v1::RetryDeliveryRequest>) -> Result<Response<v1::Delivery>, Status> {
        let granted = self.services.access.granted(request.metadata(), Scope::Admin).await?;
        let id = request.into_inner().id;
        let mut conflicts = 0;
        loop {
            match self.again(&granted, &id).await {
                Err(problem) if problem.reason == Code::Conflict.as_str() && conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                }
                done => return Ok(Response::new(done?)),
            }
        }
    }
}

// === impl Webhooks ===

impl Webhooks {
    pub(super) fn new(services: Services, outside: Arc<dyn Outside>) -> Self {
        Self { services, outside }
    }

    /// A new webhook: it is told what happens from now on.
    async fn make(
        &self,
        granted: &Granted,
        id: &WebhookId,
        url: String,
        events: BTreeSet<EventKind>,
        mut draft: Draft,
    ) -> Result<Secrets, Problem> {
        let tenant = Some(&granted.tenant);
        let others = self.services.ledger.list::<Endpoint>(tenant, &Filter::default(), WEBHOOKS_MAX).await;
        if others.map_err(|error| problem::ledger(&error))?.len() >= WEBHOOKS_MAX {
            let message = format!("there are {WEBHOOKS_MAX} webhooks already, and no more are allowed; delete one");
            return Err(Problem::conflict(Code::TooManyWebhooks, message));
        }
        let newest = AuditQuery { tenant: tenant.cloned(), descending: true, count_max: 1, ..AuditQuery::default() };
        let newest =
            self.services.ledger.books().audit(&newest).await.map_err(|error| problem::ledger(&error.into()))?;
        let seen = newest.first().map_or(0, |entry| entry.number);
        let (secrets, lane) = (Secrets::new(self.random()?), Lane { seen, ..Lane::default() });
        put(&mut draft, tenant, id.as_str(), None, &Endpoint { url, events, disabled: None })?;
        put(&mut draft, tenant, id.as_str(), None, &secrets)?;
        // One that was deleted may have left its lane.
        let place = LaneId { tenant: granted.tenant.clone(), webhook: id.clone() }.text();
        draft.discard::<Lane>(None, &place);
        put(&mut draft, None, &place, None, &lane)?;
        self.commit(draft).await?;
        Ok(secrets)
    }

    async fn set_disabled(
        &self,
        granted: &Granted,
        id: &str,
        disabled: Option<String>,
    ) -> Result<Response<v1::Webhook>, Status> {
        let id: WebhookId = words::required("id", id)?;
        let known = self.known(&granted.tenant, &id).await?;
        let endpoint = Endpoint { disabled, ..known.value.clone() };
        if endpoint != known.value {
            let mut draft = self.draft(granted, "webhook");
            put(&mut draft, Some(&granted.tenant), id.as_str(), Some(known.revision), &endpoint)?;
            self.commit(draft).await?;
        }
        Ok(Response::new(summary(id.as_str(), &endpoint)))
    }

    /// Puts a delivery back into its lane, to be sent at once.
    async fn again(&self, granted: &Granted, id: &str) -> Result<v1::Delivery, Problem> {
        let tenant = Some(&granted.tenant);
        let read = |error: crate::ledger::Error| problem::ledger(&error);
        let found = self.services.ledger.get::<Delivery>(tenant, id).await.map_err(read)?;
        let Some(mut found) = found else {
            let message = format!("there is no delivery '{id}'; see `farthing webhooks deliveries`");
            return Err(Problem::not_found(Code::DeliveryNotFound, message));
        };
        self.known(&granted.tenant, &found.value.webhook).await?;
        let place = LaneId { tenant: granted.tenant.clone(), webhook: found.value.webhook.clone() }.text();
        let lane = self.services.ledger.get::<Lane>(None, &place).await.map_err(read)?;
        let lane = lane.ok_or_else(|| Problem::internal(Code::BooksDamaged, format!("the lane {place} is missing")))?;
        let mut next = lane.value;
        next.pending.retain(|pending| pending.delivery != id);
        next.pending.push(Pending { delivery: id.to_owned(), due: self.services.publisher.wall(), attempts: 0 });
        found.value.state = State::Pending;
        let mut draft = self.draft(granted, "retry");
        put(&mut draft, None, &place, Some(lane.revision), &next)?;
        put(&mut draft, tenant, id, Some(found.revision), &found.value)?;
        self.commit(draft).await?;
        Ok(delivery(found))
    }

    async fn endpoint(&self, tenant: &TenantId, id: &WebhookId) -> Result<Option<Stored<Endpoint>>, Problem> {
        self.services.ledger.get(Some(tenant), id.as_str()).await.map_err(|error| problem::ledger(&error))
    }

    async fn known(&self, tenant: &TenantId, id: &WebhookId) -> Result<Stored<Endpoint>, Problem> {
        self.endpoint(tenant, id).await?.ok_or_else(|| {
            let message = format!("there is no webhook '{id}'; see `farthing webhooks list`");
            Problem::not_found(Code::WebhookNotFound, message)
        })
    }

    async fn secrets(&self, tenant: &TenantId, id: &WebhookId) -> Result<Stored<Secrets>, Problem> {
        let found =
            self.services.ledger.get(Some(tenant), id.as_str()).await.map_err(|error| problem::ledger(&error))?;
        found.ok_or_else(|| Problem::internal(Code::BooksDamaged, format!("the secret of webhook '{id}' is missing")))
    }

    fn random(&self) -> Result<[u8; 24], Problem> {
        self.outside.random().map_err(|reason| Problem::internal(Code::Internal, reason))
    }

    fn draft(&self, granted: &Granted, action: &str) -> Draft {
        Draft::new(&granted.caller.key, action, self.services.publisher.log_time())
    }

    async fn commit(&self, draft: Draft) -> Result<(), Problem> {
        self.services.ledger.commit(draft).await.map_err(|error| problem::ledger(&error))
    }
}

fn put<K: crate::ledger::Kind>(
    draft: &mut Draft,
    tenant: Option<&TenantId>,
    id: &str,
    revision: Option<u64>,
    value: &K,
) -> Result<(), Problem> {
    draft.put(tenant, id, revision, value).map_err(|error| problem::ledger(&error))
}

fn events(words: &[String]) -> Result<BTreeSet<EventKind>, Problem> {
    if words.is_empty() {
        return Ok(EventKind::ALL.into());
    }
    let known = |word: &String| EventKind::ALL.into_iter().find(|event| event.word() == word);
    let event = |word: &String| {
        known(word).ok_or_else(|| {
            let allowed = EventKind::ALL.map(EventKind::word).join(", ");
            Problem::invalid(Code::EventUnknown, format!("'{word}' is nothing that webhooks are told; send {allowed}"))
                .with_violation("events", allowed)
        })
    };
    words.iter().map(event).collect()
}

fn state(word: &str) -> Result<Option<State>, Problem> {
    match State::ALL.into_iter().find(|state| state.word() == word) {
        None if !word.is_empty() => {
            let allowed = "pending, delivered or failed";
            let message = format!("'{word}' is no status of a delivery; send {allowed}");
            Err(Problem::invalid(Code::StatusUnknown, message).with_violation("status", allowed))
        }
        found => Ok(found),
    }
}

fn shown(id: &WebhookId, endpoint: &Endpoint, secrets: Secrets) -> v1::WebhookSecret {
    v1::WebhookSecret { webhook: Some(summary(id.as_str(), endpoint)), secret: secrets.current }
}

fn summary(id: &str, endpoint: &Endpoint) -> v1::Webhook {
    v1::Webhook {
        id: id.to_owned(),
        url: endpoint.url.clone(),
        events: endpoint.events.iter().map(|event| event.word().to_owned()).collect(),
        disabled: endpoint.disabled.clone().unwrap_or_default(),
    }
}

fn delivery(found: Stored<Delivery>) -> v1::Delivery {
    let Delivery { webhook, message, event, body, made, state, attempts } = found.value;
    v1::Delivery {
        id: found.id,
        webhook: webhook.to_string(),
        message,
        event: event.word().to_owned(),
        status: state.word().to_owned(),
        made: Some(words::timestamp(made)),
        attempts: attempts.into_iter().map(attempt).collect(),
        body,
    }
}

fn attempt(attempt: Attempt) -> v1::DeliveryAttempt {
    let (status, error) = match attempt.answer {
        Ok(status) => (u32::from(status), String::new()),
        Err(error) => (0, error),
    };
    v1::DeliveryAttempt { time: Some(words::timestamp(attempt.time)), status, error }
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Webhooks")
    }
}
