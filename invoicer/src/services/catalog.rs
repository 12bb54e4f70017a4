//! `CatalogService`, `CustomerService`, `SubscriptionService`: what is metered and sold, and to whom.

use super::access::Granted;
use super::{Services, access, page, problem, words};
use crate::ledger::{Draft, Loaded};
use crate::publisher::{self, Receipt, Turn};
use pricing::catalog::entity::Plan;
use pricing::catalog::{Action, Change, EntityChange, Entry, Errors, File, Kind, Options, Version};
use pricing::id::{PlanId, TenantId};
use pricing::plan::PlanRef;
use proto::code::Code;
use proto::status::{self, Problem};
use proto::v1;
use proto::v1::catalog_service_server::CatalogService;
use proto::v1::customer_service_server::CustomerService;
use proto::v1::subscription_service_server::SubscriptionService;
use std::collections::BTreeMap;
use storage::books::ListQuery;
use storage::keyring::Scope;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, async_trait};

/// How often a change is decided again after somebody else changed the books.
const CONFLICTS_MAX: usize = 5;

#[async_trait]
impl CatalogService for Services {
    async fn diff(&self, request: Request<v1::ApplyRequest>) -> Result<Response<v1::ApplyResponse>, Status> {
        self.access.caller(request.metadata(), Scope::Admin).await?;
        let (file, options) = read(request.get_ref())?;
        let Granted { tenant, .. } = self.for_file(request.metadata(), &file).await?;
        let loaded = self.ledger.catalog(&tenant).await.map_err(|error| problem::ledger(&error))?;
        let change =
            loaded.catalog.apply(&file, &options, self.publisher.log_time()).map_err(|errors| refused(&errors))?;
        self.keeps_credits(&tenant, &change).await?;
        Ok(Response::new(answer(&change)))
    }

    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Result<Response<v1::ApplyResponse>, Status> {
        self.access.caller(request.metadata(), Scope::Admin).await?;
        let (file, options) = read(request.get_ref())?;
        let granted = self.for_file(request.metadata(), &file).await?;
        Ok(Response::new(self.put_in_force(&granted, &file, &options, "apply").await?))
    }

    async fn get(&self, request: Request<v1::GetCatalogRequest>) -> Result<Response<v1::GetCatalogResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let loaded = self.ledger.catalog(&tenant).await.map_err(|error| problem::ledger(&error))?;
        Ok(Response::new(v1::GetCatalogResponse { file: loaded.catalog.to_yaml() }))
    }

    async fn versions(&self, request: Request<v1::VersionsRequest>) -> Result<Response<v1::VersionsResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let wanted = request.into_inner().plan;
        let (catalog, billed) = self.ledger.plans(&tenant).await.map_err(|error| problem::ledger(&error))?;
        words::known(
            "plan",
            Some(wanted.as_str()).filter(|plan| !plan.is_empty()),
            catalog.plans().keys().map(PlanId::as_str),
        )?;
        let plans = catalog.plans().iter().filter(|(id, _)| wanted.is_empty() || id.as_str() == wanted);
        let versions = plans
            .flat_map(|(id, plan)| plan.history().into_iter().map(|version| version_of(id, plan, version, &billed)));
        Ok(Response::new(v1::VersionsResponse { versions: versions.collect() }))
    }
}

#[async_trait]
impl CustomerService for Services {
    async fn put(&self, request: Request<v1::PutRequest>) -> Result<Response<v1::ApplyResponse>, Status> {
        self.put_entry(request, Kind::Customer).await
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let asked = request.into_inner();
        let query = ListQuery { prefix: None, ..list_query(tenant, Kind::Customer, &asked)? };
        // One customer by its name is a list of one.
        let only = (!asked.customer.is_empty()).then_some(asked.customer);
        self.list_entries(ListQuery { tags: Vec::new(), ..query }, only).await
    }
}

#[async_trait]
impl SubscriptionService for Services {
    async fn put(&self, request: Request<v1::PutRequest>) -> Result<Response<v1::ApplyResponse>, Status> {
        self.put_entry(request, Kind::Subscription).await
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let asked = request.into_inner();
        self.list_entries(list_query(tenant, Kind::Subscription, &asked)?, None).await
    }
}

// === impl Services ===

impl Services {
    /// Who calls, and the tenant that the file is for: the installation's key takes it from the file.
    async fn for_file(&self, metadata: &MetadataMap, file: &File) -> Result<Granted, Problem> {
        let caller = self.access.caller(metadata, Scope::Admin).await?;
        let asked = status::tenant(metadata).filter(|asked| !asked.is_empty());
        let tenant = match (&file.tenant, &caller.tenant) {
            (Some(named), Some(own)) if named != own => return Err(access::foreign(&caller, own, named)),
            (Some(named), None) if asked.is_some_and(|asked| asked != named.as_str()) => {
                let asked = asked.unwrap_or_default();
                let message = format!(
                    "the file is tenant '{named}'s, but the call is for '{asked}'; leave the one out that is wrong"
                );
                return Err(Problem::invalid(Code::TenantMismatch, message));
            }
            (Some(named), _) => named.clone(),
            (None, _) => self.access.tenant(&caller, status::tenant(metadata)).await?,
        };
        Ok(Granted { caller, tenant })
    }

    /// Puts one entry in force.
    async fn put_entry(
        &self,
        request: Request<v1::PutRequest>,
        kind: Kind,
    ) -> Result<Response<v1::ApplyResponse>, Status> {
        let granted = self.access.granted(request.metadata(), Scope::Admin).await?;
        let file = File::parse_entry(kind, &request.get_ref().entry).map_err(|errors| refused(&errors))?;
        Ok(Response::new(self.put_in_force(&granted, &file, &Options::default(), "put").await?))
    }

    /// Puts a file in force. Answers when the change stands in the log of every shard it concerns.
    async fn put_in_force(
        &self,
        granted: &Granted,
        file: &File,
        options: &Options,
        action: &str,
    ) -> Result<v1::ApplyResponse, Problem> {
        let mut turn = self.publisher.turn().await.map_err(|error| problem::publisher(&error))?;
        let mut conflicts = 0;
        loop {
            let loaded = self.ledger.catalog(&granted.tenant).await.map_err(|error| problem::ledger(&error))?;
            let change = loaded.catalog.apply(file, options, turn.log_time()).map_err(|errors| refused(&errors))?;
            self.keeps_credits(&granted.tenant, &change).await?;
            match self.publish(&mut turn, granted, &loaded, &change, action).await {
                Ok(receipt) => {
                    drop(turn);
                    receipt.durable().await.map_err(|error| problem::publisher(&error))?;
                    return Ok(answer(&change));
                }
                Err(publisher::Error::Ledger(error)) if error.is_conflict() && conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                }
                Err(error) => return Err(problem::publisher(&error)),
            }
        }
    }

    async fn publish<'a>(
        &self,
        turn: &mut Turn<'a>,
        granted: &Granted,
        loaded: &Loaded,
        change: &Change,
        action: &str,
    ) -> Result<Receipt<'a>, publisher::Error> {
        if change.is_empty() && !loaded.is_new() {
            // Who asks again for what is committed already is answered when that is in the log.
            return Ok(turn.pending());
        }
        let log_time = turn.log_time();
        let mut draft = Draft::new(&granted.caller.key, action, log_time);
        let records = loaded.put(change, self.publisher.shards(), log_time, &mut draft)?;
        turn.publish(draft, &records).await
    }

    async fn list_entries(
        &self,
        mut query: ListQuery,
        only: Option<String>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let size = query.count_max;
        query.count_max = size + 1;
        if let Some(only) = &only {
            query.prefix = Some(only.clone());
        }
        let listed = self.ledger.books().list(&query).await;
        let mut documents = listed.map_err(|error| problem::ledger(&error.into()))?;
        if let Some(only) = &only {
            documents.retain(|document| document.key.id == *only);
        }
        let next_page_token = page::cut(&mut documents, size, |document| document.key.id.clone());
        let entries = documents.into_iter().map(|document| document.body).collect();
        Ok(Response::new(v1::ListResponse { entries, next_page_token }))
    }
}

fn version_of(id: &PlanId, plan: &Entry<Plan>, version: Version, billed: &BTreeMap<PlanRef, u32>) -> v1::PlanVersion {
    let is_newest = plan.newest().is_some_and(|newest| newest.plan.version == version.number);
    let this = PlanRef { id: id.clone(), version: version.number };
    v1::PlanVersion {
        plan: id.to_string(),
        version: version.number,
        entry: version.file,
        changes: version.changes,
        subscriptions: billed.get(&this).copied().unwrap_or_default(),
        ended: plan.ended || !is_newest,
    }
}

fn list_query(tenant: TenantId, kind: Kind, asked: &v1::ListRequest) -> Result<ListQuery, Problem> {
    let customer = (!asked.customer.is_empty()).then(|| ("customer".to_owned(), asked.customer.clone()));
    Ok(ListQuery {
        tenant: Some(tenant),
        collection: kind.word().to_owned(),
        tags: customer.into_iter().collect(),
        after: page::after(&asked.page_token)?,
        count_max: page::size(asked.page_size)?,
        ..ListQuery::default()
    })
}

/// The file and how it is to be put in force.
fn read(asked: &v1::ApplyRequest) -> Result<(File, Options), Problem> {
    let file = File::parse(&asked.file).map_err(|errors| refused(&errors))?;
    let migrate = asked.migrate.iter().map(|plan| PlanId::new(plan)).collect::<Result<_, _>>();
    let migrate = migrate.map_err(|error| {
        Problem::invalid(Code::IdInvalid, format!("migrate: {error}")).with_violation("migrate", error.to_string())
    })?;
    Ok((file, Options { prune: asked.prune, migrate }))
}

/// All mistakes of a file, each with its place.
fn refused(errors: &Errors) -> Problem {
    let problem = Problem::invalid(Code::CatalogInvalid, errors.to_string());
    errors.errors.iter().fold(problem, |problem, error| {
        let place = if error.key.is_empty() { format!("line {}", error.line) } else { error.key.clone() };
        problem.with_violation(place, error.to_string())
    })
}

fn answer(change: &Change) -> v1::ApplyResponse {
    v1::ApplyResponse { changes: change.entities.iter().map(one).collect() }
}

fn one(change: &EntityChange) -> v1::Change {
    let kind = match change.action {
        Action::Created => v1::change::Kind::Created,
        Action::Changed => v1::change::Kind::Changed,
        Action::Ended => v1::change::Kind::Ended,
    };
    v1::Change { kind: kind.into(), what: change.what(), details: change.details.clone() }
}
