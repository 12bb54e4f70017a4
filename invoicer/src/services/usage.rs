//! `UsageService`: what was used, and the charges behind it.

use super::access::Granted;
use super::{Services, page, problem, words};
use crate::close::{Desk, Running, is_to_come, open_periods, running};
use crate::ledger;
use pricing::catalog::entity::Customer;
use pricing::catalog::{Entity, Kind};
use pricing::id::{CustomerId, TenantId};
use pricing::number::{Amount, Quantity};
use pricing::period::Zone;
use pricing::time::Instant;
use proto::code::Code;
use proto::status::Problem;
use proto::v1;
use proto::v1::usage_service_server::UsageService;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use storage::books::{DocumentKey, ListQuery};
use storage::charges::{Charge, ExplainQuery, OutcomeQuery, PeriodKey, Resolution, Usage, UsageQuery};
use storage::keyring::Scope;
use storage::output::OutcomeKind;
use storage::shard::{Offset, Position};
use tonic::{Request, Response, Status, async_trait};

/// Rows of one answer: it is whole or refused, and fits what clients take by default, 4 MiB. The store is never asked for
/// fewer than make an answer of so many, so it refuses nothing that could be answered.
const ROWS_MAX: usize = 10_000;
/// The hours of a day, as clocks are set back.
const DAY_HOURS_MAX: usize = 25;
/// Names that are searched for one that comes near.
const NAMES_MAX: usize = 1_000;

#[async_trait]
impl UsageService for Services {
    async fn usage(&self, request: Request<v1::UsageRequest>) -> Result<Response<v1::UsageResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let asked = request.into_inner();
        let by = match asked.by() {
            v1::usage_request::By::Unspecified => Resolution::Period,
            v1::usage_request::By::Day => Resolution::Day,
            v1::usage_request::By::Hour => Resolution::Hour,
        };
        let query = UsageQuery {
            customer: words::optional("customer", &asked.customer)?,
            meter: words::optional("meter", &asked.meter)?,
            from: words::instant("from", asked.from.as_ref())?,
            until: words::instant("until", asked.until.as_ref())?,
            tenant,
            by,
            rows_max: ROWS_MAX,
        };
        let zone = match &query.customer {
            Some(customer) => self.customer(&query.tenant, customer).await?.time_zone,
            None => Zone::utc(),
        };
        if let Some(meter) = &query.meter {
            self.must_know(&query.tenant, Kind::Meter, meter.as_str()).await?;
        }
        let (rows, zone) = self.rows(query, zone).await?;
        let time_zone = zone.name().to_owned();
        Ok(Response::new(v1::UsageResponse { rows: rows.iter().map(usage_row).collect(), time_zone }))
    }

    async fn preview(&self, request: Request<v1::PreviewRequest>) -> Result<Response<v1::PreviewResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let customer: CustomerId = words::required("customer", &request.into_inner().customer)?;
        self.must_know(&tenant, Kind::Customer, customer.as_str()).await?;
        let invoices = self.closer.preview(&tenant, &customer).await.map_err(|error| problem::close(&error))?;
        Ok(Response::new(v1::PreviewResponse { invoices, test: self.publisher.is_test_clock() }))
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Result<Response<v1::ExplainResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let asked = request.into_inner();
        let size = page::size(asked.page_size)?;
        let start = words::instant("period", asked.period.as_ref())?.ok_or_else(|| {
            Problem::invalid(Code::PeriodMissing, "period is missing: the start of the period that the line belongs to")
                .with_violation("period", "missing")
        })?;
        let until = Some(asked.until_offset).filter(|until| *until > 0).unwrap_or(u64::MAX);
        let query = ExplainQuery {
            tenant,
            period: PeriodKey {
                customer: words::required("customer", &asked.customer)?,
                subscription: words::required("subscription", &asked.subscription)?,
                start,
            },
            price: words::optional("price", &asked.price)?,
            group: words::any_group(&asked.group),
            records: Offset(asked.from_offset)..Offset(until),
            after: page::after::<(Instant, Position)>(&asked.page_token)?,
            count_max: size + 1,
        };
        self.must_know(&query.tenant, Kind::Customer, query.period.customer.as_str()).await?;
        self.must_know(&query.tenant, Kind::Subscription, query.period.subscription.as_str()).await?;
        let read = |error: storage::charges::Error| problem::charges(&error);
        let now = self.publisher.log_time();
        // What a bill was made from has all of its levels: only the whole period may lack some.
        let is_whole = query.records == (Offset(0)..Offset(u64::MAX));
        let desk = if is_whole { Some(self.desk_of(&query.tenant, &query.period.customer).await?) } else { None };
        let running = match &desk {
            Some(desk) => self.running(&query.tenant, desk, [query.period.clone()], now).await?,
            None => Vec::new(),
        };
        let mut charges = self.charges.explain(&query).await.map_err(read)?;
        if charges.is_empty() && asked.page_token.is_empty() {
            self.must_be_priced(&query.tenant, &asked).await?;
        }
        let next_page_token = page::cut(&mut charges, size, |charge| (charge.time, charge.position));
        for period in running.iter().filter(|_| next_page_token.is_empty()) {
            let last = charges.last().map(|charge| (charge.time, charge.position)).or(query.after);
            let settled = period.settled(self.charges.as_ref(), &query.tenant, now).await.map_err(read)?;
            charges.extend(settled.into_iter().filter(|charge| {
                // What a close settled since is behind all that was there.
                (is_to_come(charge) || last.is_none_or(|last| last < (charge.time, charge.position)))
                    && query.price.as_ref().is_none_or(|price| *price == charge.price)
                    && query.group.as_ref().is_none_or(|group| *group == charge.group)
            }));
        }
        Ok(Response::new(v1::ExplainResponse {
            charges: charges.into_iter().map(charge_row).collect(),
            next_page_token,
        }))
    }

    async fn outcomes(&self, request: Request<v1::OutcomesRequest>) -> Result<Response<v1::OutcomesResponse>, Status> {
        let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Read).await?;
        let asked = request.into_inner();
        let size = page::size(asked.page_size)?;
        let query = OutcomeQuery {
            tenant,
            customer: (!asked.customer.is_empty()).then_some(asked.customer),
            kinds: asked.kinds.iter().map(|kind| outcome_kind(kind)).collect::<Result<_, _>>()?,
            after: page::after(&asked.page_token)?,
            count_max: size + 1,
        };
        let mut outcomes = self.charges.outcomes(&query).await.map_err(|error| problem::charges(&error))?;
        let next_page_token = page::cut(&mut outcomes, size, |outcome| outcome.position);
        let outcomes = outcomes.iter().map(serde_json::to_string).collect::<Result<_, _>>();
        let outcomes = outcomes.map_err(|error| Problem::internal(Code::Internal, error.to_string()))?;
        Ok(Response::new(v1::OutcomesResponse { outcomes, next_page_token }))
    }
}

// === impl Services ===

impl Services {
    /// An entry of the catalog as the books keep it; the answer to a name that it has not got says what comes near.
    pub(super) async fn must_know(&self, tenant: &TenantId, kind: Kind, id: &str) -> Result<String, Problem> {
        let collection = kind.word().to_owned();
        let key = DocumentKey { tenant: Some(tenant.clone()), collection: collection.clone(), id: id.to_owned() };
        let books = self.ledger.books();
        if let Some(document) = books.get(&key).await.map_err(|error| problem::ledger(&error.into()))? {
            return Ok(document.body);
        }
        let query = ListQuery { tenant: Some(tenant.clone()), collection, count_max: NAMES_MAX, ..Default::default() };
        let known = books.list(&query).await.map_err(|error| problem::ledger(&error.into()))?;
        Err(words::unknown(kind.word(), id, known.iter().map(|document| document.key.id.as_str())))
    }

    /// Where nothing was found: no version of a plan has this price, or keeps groups by these names.
    async fn must_be_priced(&self, tenant: &TenantId, asked: &v1::ExplainRequest) -> Result<(), Problem> {
        let desk = self.desk(tenant).await?;
        let prices = desk.plans.values().flat_map(|plan| plan.prices.iter().map(|price| price.id.as_str()));
        words::known("price", Some(asked.price.as_str()).filter(|price| !price.is_empty()), prices)?;
        let meters = desk.plans.values().flat_map(|plan| plan.meters.values());
        let names = meters.flat_map(|meter| meter.group_by.iter().map(AsRef::as_ref));
        words::known("group", asked.group.keys().map(String::as_str), names)
    }

    async fn desk(&self, tenant: &TenantId) -> Result<Desk, Problem> {
        ledger::desk(&self.ledger, tenant).await.map_err(|error| problem::ledger(&error))
    }

    async fn customer(&self, tenant: &TenantId, id: &CustomerId) -> Result<Customer, Problem> {
        let body = self.must_know(tenant, Kind::Customer, id.as_str()).await?;
        match Entity::from_json(Kind::Customer, &body) {
            Ok(Entity::Customer(entry)) => Ok(entry.is),
            _ => Err(Problem::internal(Code::BooksDamaged, format!("customer '{id}' cannot be read"))),
        }
    }

    /// The same with one customer only.
    async fn desk_of(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Desk, Problem> {
        ledger::desk_of(&self.ledger, tenant, customer).await.map_err(|error| problem::ledger(&error))
    }

    /// Those of a customer's periods whose levels no close has settled yet.
    async fn running<'a>(
        &self,
        tenant: &TenantId,
        desk: &'a Desk,
        keys: impl IntoIterator<Item = PeriodKey>,
        now: Instant,
    ) -> Result<Vec<Running<'a>>, Problem> {
        let Some(customer) = desk.customers.values().next() else { return Ok(Vec::new()) };
        let found = running(self.charges.as_ref(), tenant, (desk, customer), keys, now).await;
        found.map_err(|error| problem::charges(&error))
    }

    /// What the store has; of one customer, levels as a close at log time would settle them.
    async fn usage_so_far(&self, query: &UsageQuery) -> Result<Vec<Usage>, Problem> {
        let Some(customer) = &query.customer else { return self.stored(query).await };
        let now = self.publisher.log_time();
        let desk = self.desk_of(&query.tenant, customer).await?;
        let running = self.levels(&query.tenant, &desk, customer, now).await?;
        let mut rows = self.stored(query).await?;
        for period in &running {
            let key = &period.key;
            let is_own = |row: &&mut Usage| (&row.subscription, row.period) == (&key.subscription, key.start);
            // Here rows only count their events: what they come to is taken from one reading.
            for row in rows.iter_mut().filter(is_own).filter(|row| period.weighs(&row.price)) {
                (row.quantity, row.amount) = (Quantity::ZERO, Amount::ZERO);
            }
            let settled = period.settled(self.charges.as_ref(), &query.tenant, now).await;
            let settled = settled.map_err(|error| problem::charges(&error))?;
            let is_asked = |charge: &Charge| {
                query.meter.as_ref().is_none_or(|meter| *meter == charge.meter)
                    && query.from.is_none_or(|from| from <= charge.time)
                    && query.until.is_none_or(|until| charge.time < until)
            };
            rows.extend(settled.into_iter().filter(is_asked).map(|charge| as_usage(key, charge, query.by)));
        }
        if running.is_empty() { Ok(rows) } else { merged(rows, |row| row.bucket) }
    }

    /// The periods of a customer whose levels no close has settled yet, by the time line: history is not asked for.
    async fn levels<'a>(
        &self,
        tenant: &TenantId,
        desk: &'a Desk,
        customer: &CustomerId,
        now: Instant,
    ) -> Result<Vec<Running<'a>>, Problem> {
        let shard = self.publisher.shards().of(tenant, customer.as_str().as_bytes());
        let boundary = self.charges.boundary(shard).await.map_err(|error| problem::charges(&error))?;
        let (Some(boundary), Some(known)) = (boundary, desk.customers.get(customer)) else { return Ok(Vec::new()) };
        self.running(tenant, desk, open_periods(desk, known, boundary.log_time, now), now).await
    }

    async fn stored(&self, query: &UsageQuery) -> Result<Vec<Usage>, Problem> {
        self.charges.usage(query).await.map_err(|error| match error {
            storage::charges::Error::TooMany { .. } => too_many(),
            error => problem::charges(&error),
        })
    }

    /// The rows of an answer: all of them, or a refusal.
    async fn rows(&self, query: UsageQuery, zone: Zone) -> Result<(Vec<Usage>, Zone), Problem> {
        let found = self.rows_in(query, zone).await?;
        if found.0.len() > ROWS_MAX { Err(too_many()) } else { Ok(found) }
    }

    /// Usage with its days cut in the zone, where its clock lets hours of UTC be added up to them; or else in UTC.
    async fn rows_in(&self, query: UsageQuery, zone: Zone) -> Result<(Vec<Usage>, Zone), Problem> {
        if query.by != Resolution::Day || zone == Zone::utc() {
            return Ok((self.usage_so_far(&query).await?, zone));
        }
        let hours = UsageQuery { by: Resolution::Hour, rows_max: DAY_HOURS_MAX * ROWS_MAX, ..query.clone() };
        let rows = self.usage_so_far(&hours).await?;
        if !rows.iter().filter_map(|row| row.bucket).all(|hour| zone.has_full_hours(hour)) {
            return Ok((self.usage_so_far(&query).await?, Zone::utc()));
        }
        Ok((merged(rows, |row| row.bucket.and_then(|hour| zone.day(hour).ok()))?, zone))
    }
}

fn too_many() -> Problem {
    problem::charges(&storage::charges::Error::TooMany { rows_max: ROWS_MAX })
}

/// A charge as a row of usage.
fn as_usage(period: &PeriodKey, charge: Charge, by: Resolution) -> Usage {
    Usage {
        customer: period.customer.clone(),
        subscription: period.subscription.clone(),
        period: period.start,
        bucket: by.stretch(charge.time),
        meter: charge.meter,
        price: charge.price,
        group: charge.group,
        count: 0,
        quantity: charge.quantity,
        amount: charge.amount,
    }
}

/// Rows of one customer with those of the same stretch of time added up, in their order.
fn merged(rows: Vec<Usage>, stretch: impl Fn(&Usage) -> Option<Instant>) -> Result<Vec<Usage>, Problem> {
    let overflow = |error: pricing::number::Error| Problem::conflict(Code::AnswerTooLarge, error.to_string());
    let mut merged = BTreeMap::<_, Usage>::new();
    for mut row in rows {
        row.bucket = stretch(&row);
        let (price, meter, group) = (row.price.clone(), row.meter.clone(), row.group.clone());
        let key = (row.customer.clone(), row.subscription.clone(), row.period, price, meter, group, row.bucket);
        match merged.entry(key) {
            Entry::Vacant(free) => drop(free.insert(row)),
            Entry::Occupied(known) => {
                let known = known.into_mut();
                known.count += row.count;
                known.quantity = known.quantity.add(row.quantity).map_err(overflow)?;
                known.amount = known.amount.add(row.amount).map_err(overflow)?;
            }
        }
    }
    Ok(merged.into_values().collect())
}

fn usage_row(row: &Usage) -> v1::UsageRow {
    v1::UsageRow {
        customer: row.customer.to_string(),
        subscription: row.subscription.to_string(),
        period: Some(words::timestamp(row.period)),
        bucket: row.bucket.map(words::timestamp),
        meter: row.meter.to_string(),
        price: row.price.to_string(),
        group: words::group(&row.group),
        count: row.count,
        quantity: row.quantity.to_string(),
        amount: row.amount.to_string(),
    }
}

fn charge_row(charge: Charge) -> v1::ChargeRow {
    let event = Position { shard: charge.position.shard, offset: charge.event.offset, index: charge.event.index };
    let place = |position: Position| if is_to_come(&charge) { String::new() } else { position.to_string() };
    v1::ChargeRow {
        price: charge.price.to_string(),
        meter: charge.meter.to_string(),
        group: words::group(&charge.group),
        position: place(charge.position),
        event_position: place(event),
        source: charge.source,
        id: charge.id,
        time: Some(words::timestamp(charge.time)),
        quantity: charge.quantity.to_string(),
        amount: charge.amount.to_string(),
        tier: charge.tier,
        level: charge.level.map(|level| level.to_string()).unwrap_or_default(),
    }
}

fn outcome_kind(text: &str) -> Result<OutcomeKind, Problem> {
    let known = [
        ("unpriced", OutcomeKind::Unpriced),
        ("parked", OutcomeKind::Parked),
        ("unparked", OutcomeKind::Unparked),
        ("conflict", OutcomeKind::Conflict),
        ("rejected", OutcomeKind::Rejected),
        ("not_backfilled", OutcomeKind::NotBackfilled),
    ];
    known.into_iter().find(|(word, _)| *word == text).map(|(_, kind)| kind).ok_or_else(|| {
        let allowed = "unpriced, parked, unparked, conflict, rejected, not_backfilled";
        Problem::invalid(Code::KindUnknown, format!("'{text}' is no kind of outcome; there are {allowed}"))
            .with_violation("kinds", allowed)
    })
}
