//! `AdminService`: keys, people, the test clock, halted shards.

use super::access::{self, Key};
use super::{Services, problem, words};
use crate::ledger::{self, Draft, Filter, Skip, Tenant};
use crate::publisher::{self, Announcement, Target};
use pricing::id::TenantId;
use pricing::time::Instant;
use proto::code::Code;
use proto::status::{self, Problem};
use proto::v1;
use proto::v1::admin_service_server::AdminService;
use storage::charges::Boundary;
use storage::keyring::{Caller, Scope};
use storage::log;
use storage::record::{self, Control};
use storage::shard::{Offset, Shard};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, async_trait};

#[async_trait]
impl AdminService for Services {
    async fn create_key(
        &self,
        request: Request<v1::CreateKeyRequest>,
    ) -> Result<Response<v1::CreateKeyResponse>, Status> {
        let caller = self.access.caller(request.metadata(), Scope::Admin).await?;
        let scope = access::scope(&request.get_ref().scope)?;
        let named = Some(request.get_ref().tenant.as_str()).filter(|named| !named.is_empty());
        let named = named.or_else(|| status::tenant(request.metadata()));
        let tenant = self.access.tenant(&caller, named).await?;
        self.known_tenant(&tenant).await?;
        let created = self.access.keys.create(Some(&tenant), scope, &caller.key).await;
        let (id, key) = created.map_err(|error| problem::unavailable(&error.to_string()))?;
        Ok(Response::new(v1::CreateKeyResponse { id, key }))
    }

    async fn list_keys(&self, request: Request<v1::ListKeysRequest>) -> Result<Response<v1::ListKeysResponse>, Status> {
        let caller = self.access.caller(request.metadata(), Scope::Admin).await?;
        let tenant = whose(&caller, request.metadata())?;
        let keys = self.access.keys.list(tenant.as_ref()).await;
        let keys = keys.map_err(|error| problem::unavailable(&error.to_string()))?;
        Ok(Response::new(v1::ListKeysResponse { keys: keys.into_iter().map(summary).collect() }))
    }

    async fn revoke_key(
        &self,
        request: Request<v1::RevokeKeyRequest>,
    ) -> Result<Response<v1::RevokeKeyResponse>, Status> {
        let caller = self.access.caller(request.metadata(), Scope::Admin).await?;
        let tenant = whose(&caller, request.metadata())?;
        let id = request.into_inner().id;
        let revoked = self.access.keys.revoke(tenant.as_ref(), &id, &caller.key).await;
        if revoked.map_err(|error| problem::unavailable(&error.to_string()))? {
            return Ok(Response::new(v1::RevokeKeyResponse {}));
        }
        Err(Problem::not_found(Code::KeyNotFound, format!("there is no key '{id}'; see `farthing keys list`")).into())
    }

    async fn put_user(&self, request: Request<v1::PutUserRequest>) -> Result<Response<v1::PutUserResponse>, Status> {
        let granted = self.access.granted(request.metadata(), Scope::Admin).await?;
        Services::put_user(self, &granted, request.into_inner()).await?;
        Ok(Response::new(v1::PutUserResponse {}))
    }

    async fn list_users(
        &self,
        request: Request<v1::ListUsersRequest>,
    ) -> Result<Response<v1::ListUsersResponse>, Status> {
        let granted = self.access.granted(request.metadata(), Scope::Admin).await?;
        Ok(Response::new(v1::ListUsersResponse { users: self.users(&granted).await? }))
    }

    async fn disable_user(
        &self,
        request: Request<v1::DisableUserRequest>,
    ) -> Result<Response<v1::DisableUserResponse>, Status> {
        let granted = self.access.granted(request.metadata(), Scope::Admin).await?;
        Services::disable_user(self, &granted, &request.into_inner().name).await?;
        Ok(Response::new(v1::DisableUserResponse {}))
    }

    async fn advance_clock(
        &self,
        request: Request<v1::AdvanceClockRequest>,
    ) -> Result<Response<v1::AdvanceClockResponse>, Status> {
        self.installation(request.metadata(), Scope::Admin, "the clock").await?;
        let to = words::instant("to", request.get_ref().to.as_ref())?;
        let to =
            to.ok_or_else(|| Problem::invalid(Code::TimeInvalid, "`to` is missing: the moment to move log time to"))?;
        // A caller that goes away does not stop it half way.
        let advance = std::sync::Arc::clone(&self.advance);
        let moved = tokio::spawn(async move { advance.to(to).await }).await;
        let moved = moved.map_err(|error| Problem::internal(Code::Internal, error.to_string()))?;
        let log_time = moved.map_err(|error| problem::advance(&error))?;
        Ok(Response::new(v1::AdvanceClockResponse { log_time: Some(words::timestamp(log_time)) }))
    }

    async fn skip(&self, request: Request<v1::SkipRequest>) -> Result<Response<v1::SkipResponse>, Status> {
        let caller = self.installation(request.metadata(), Scope::Admin, "halted shards").await?;
        let asked = request.into_inner();
        let shard = u16::try_from(asked.shard).ok().map(Shard).filter(|shard| shard.0 < self.publisher.shards().get());
        let shard = shard.ok_or_else(|| {
            let shards = self.publisher.shards().get();
            Problem::invalid(
                Code::ShardUnknown,
                format!("there is no shard {}; there are 0 to {}", asked.shard, shards - 1),
            )
        })?;
        if asked.reason.trim().is_empty() {
            return Err(Problem::invalid(
                Code::ReasonMissing,
                "skipping a record needs a reason: who decided it, and why",
            )
            .into());
        }
        let offset = Offset(asked.offset);
        self.stands(shard, offset).await?;
        self.is_in_the_way(shard, offset, asked.force).await?;
        let mut turn = self.publisher.turn().await.map_err(|error| problem::publisher(&error))?;
        let mut draft = Draft::new(&caller.key, "skip", turn.log_time());
        let (id, order) = (format!("{shard}/{offset}"), Skip { shard, offset, reason: asked.reason.clone() });
        let known = self.ledger.get::<Skip>(None, &id).await.map_err(|error| problem::ledger(&error))?;
        let written = draft.put(None, &id, known.map(|known| known.revision), &order);
        written.map_err(|error| problem::ledger(&error))?;
        let restated = self.restated(shard, turn.log_time()).await.map_err(|error| problem::ledger(&error))?;
        let restated = publisher::pieces(restated).into_iter().map(|records| Control::Restate { offset, records });
        let skip = Control::Skip { offset, reason: asked.reason };
        let announcements = restated.chain([skip]).map(|record| Announcement { shards: Target::One(shard), record });
        let announcements: Vec<Announcement> = announcements.collect();
        let receipt = turn.publish(draft, &announcements).await.map_err(|error| problem::publisher(&error))?;
        drop(turn);
        receipt.durable().await.map_err(|error| problem::publisher(&error))?;
        Ok(Response::new(v1::SkipResponse {}))
    }

    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        self.installation(request.metadata(), Scope::Admin, "the shards").await?;
        let mut shards = Vec::new();
        for shard in self.publisher.shards().all() {
            let bounds = self.publisher.log().bounds(shard).await.map_err(|error| problem::log(&error))?;
            let boundary = self.charges.boundary(shard).await.map_err(|error| problem::charges(&error))?;
            shards.push(shard_status(shard, bounds.end, boundary, self.shards.halted(shard)));
        }
        Ok(Response::new(v1::StatusResponse {
            log_time: Some(words::timestamp(self.publisher.log_time())),
            test_clock: self.publisher.is_test_clock(),
            shards,
        }))
    }
}

// === impl Services ===

impl Services {
    /// A key or a person for a tenant that nobody declared would be of no use, or a typing error.
    pub(super) async fn known_tenant(&self, tenant: &TenantId) -> Result<(), Problem> {
        let read = |error: crate::ledger::Error| problem::ledger(&error);
        if self.ledger.get::<Tenant>(None, tenant.as_str()).await.map_err(read)?.is_some() {
            return Ok(());
        }
        let known = self.ledger.all::<Tenant>(None, &Filter::default()).await.map_err(read)?;
        let near = pricing::catalog::near(tenant.as_str(), known.iter().map(|known| known.id.as_str()));
        let message =
            format!("there is no tenant '{tenant}'{near}; `farthing apply` of a catalog file makes a new one");
        Err(Problem::not_found(Code::TenantUnknown, message))
    }

    /// Refuses to step over a record at which the shard does not stand: one that was folded has been charged already.
    async fn stands(&self, shard: Shard, offset: Offset) -> Result<(), Problem> {
        let end = self.publisher.log().bounds(shard).await.map_err(|error| problem::log(&error))?.end;
        let boundary = self.charges.boundary(shard).await.map_err(|error| problem::charges(&error))?;
        let next = boundary.map_or(Offset(0), |boundary| boundary.next);
        if next == offset && offset < end {
            return Ok(());
        }
        let stands = if next < end { format!("is stored up to {next}") } else { "has come to its end".to_owned() };
        let message = format!(
            "shard {shard} does not stand at {offset}: it {stands}; only the record at which a shard stands can be \
             stepped over, see `farthing status`"
        );
        Err(Problem::conflict(Code::SkipRefused, message))
    }

    /// Refuses to step over a record that can be read, while nothing says that the shard halted at it: raters in other
    /// processes may fold it any moment. Some that can be read halt a shard none the less, so a person may insist.
    async fn is_in_the_way(&self, shard: Shard, offset: Offset, force: bool) -> Result<(), Problem> {
        if force || self.shards.halted(shard).is_some() {
            return Ok(());
        }
        let is_read = match self.publisher.log().read(shard, offset, 1).await {
            Ok(entries) => entries.first().is_some_and(|entry| record::decode(&entry.record).is_ok()),
            Err(log::Error::Damaged { .. }) => false,
            Err(error) => return Err(problem::log(&error)),
        };
        if !is_read {
            return Ok(());
        }
        let message = format!(
            "the record at {offset} of shard {shard} can be read, and no rater is known to have halted at it; where a \
             rater's log says that it has, order it with `force`"
        );
        Err(Problem::conflict(Code::SkipRefused, message))
    }

    /// All catalogs and the shard's customers as they are by now: the damaged record may have been any of them.
    async fn restated(&self, shard: Shard, log_time: Instant) -> Result<Vec<Control>, ledger::Error> {
        let mut records = Vec::new();
        for tenant in self.ledger.all::<ledger::Tenant>(None, &Filter::default()).await? {
            let Ok(tenant) = TenantId::new(&tenant.id) else { continue };
            let loaded = self.ledger.catalog(&tenant).await?;
            records.extend(loaded.records(shard, self.publisher.shards(), log_time));
        }
        Ok(records)
    }

    /// Only the installation's own key may touch what all tenants share.
    pub(super) async fn installation(
        &self,
        metadata: &MetadataMap,
        scope: Scope,
        what: &str,
    ) -> Result<Caller, Problem> {
        let caller = self.access.caller(metadata, scope).await?;
        match &caller.tenant {
            None => Ok(caller),
            Some(tenant) => {
                let message = format!(
                    "key '{}' belongs to tenant '{tenant}', but all tenants share {what}: call with the installation's key",
                    caller.key
                );
                Err(Problem::denied(Code::TenantDenied, message))
            }
        }
    }
}

/// Whose keys a caller may see: its own tenant's; with the installation's key those of the tenant it names, or all.
fn whose(caller: &Caller, metadata: &MetadataMap) -> Result<Option<TenantId>, Problem> {
    let named = status::tenant(metadata).filter(|named| !named.is_empty()).map(TenantId::new).transpose();
    let named = named.map_err(|error| Problem::invalid(Code::TenantInvalid, error.to_string()))?;
    match (&caller.tenant, named) {
        (Some(own), Some(named)) if *own != named => Err(access::foreign(caller, own, &named)),
        (own, named) => Ok(own.clone().or(named)),
    }
}

fn summary(key: Key) -> v1::KeySummary {
    v1::KeySummary {
        id: key.id,
        tenant: key.tenant.map(|tenant| tenant.to_string()).unwrap_or_default(),
        scope: access::word(key.scope).to_owned(),
        revoked: key.revoked,
    }
}

fn shard_status(shard: Shard, log_next: Offset, boundary: Option<Boundary>, halted: Option<String>) -> v1::ShardStatus {
    let counters = boundary.map(|boundary| boundary.counters).unwrap_or_default();
    v1::ShardStatus {
        shard: u32::from(shard.0),
        log_next: log_next.0,
        stored_next: boundary.map_or(0, |boundary| boundary.next.0),
        halted: halted.unwrap_or_default(),
        arrivals: counters.arrivals,
        charged: counters.charged,
        unpriced: counters.unpriced,
        unmetered: counters.unmetered,
        duplicate: counters.duplicate,
        rejected: counters.rejected,
        parked: counters.parked,
        waiting: counters.waiting,
    }
}
