//! What the ways in share: who may enter, and the path from bytes to an answer.

use crate::access::{Authenticator, Credentials};
use crate::batcher::{Batcher, Failure, Ticket};
use crate::catalogs::{Catalogs, Compiled};
use crate::cloudevents;
use crate::health::Health;
use crate::intake::{Draft, Intake, Refusal, SentTime};
use crate::options::Options;
use crate::rate::Buckets;
use crate::room::{Call, Full, Room, Rooms};
use crate::stats::Stats;
use crate::wire::{Malformed, Request};
use pricing::id::TenantId;
use pricing::time::{Instant, Span};
use proto::code::Code;
use proto::status::Problem;
use proto::v1::IngestResponse;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::again::Again;
use storage::log::Log;
use storage::shard::ShardCount;
use tokio::sync::watch;

/// What ingest needs from others.
#[derive(Clone)]
pub struct Parts {
    /// Where events go.
    pub log: Arc<dyn Log>,
    /// Who may send them.
    pub keys: Arc<dyn Authenticator>,
    /// What is known of the tenants' catalogs.
    pub catalogs: Arc<Catalogs>,
    /// Brings both up to date, before anybody is refused as unknown.
    pub again: Arc<Again>,
    /// The time of receipt.
    pub clock: Arc<dyn Clock>,
}

/// Tells the time of receipt: the wall clock, or a test clock's log time.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Instant;

    /// How far log time is known to have come; none where nothing is known, or where this clock is log time.
    fn log_time(&self) -> Option<Instant> {
        None
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

/// So far may log time be behind with every tenant, be its `future` shorter: Ticks and news of them take seconds.
const BEHIND_MAX: Span = Span::from_seconds(60);

pub(crate) struct Core {
    pub(crate) options: Options,
    parts: Parts,
    shards: ShardCount,
    rooms: Rooms,
    pub(crate) batcher: Batcher,
    buckets: Buckets,
    pub(crate) stats: Arc<Stats>,
    pub(crate) health: Arc<Health>,
    pub(crate) closing: watch::Sender<bool>,
    pub(crate) active: Arc<watch::Sender<usize>>,
}

/// Somebody is being served; the end waits for them.
pub(crate) struct Active(Arc<watch::Sender<usize>>);

/// A caller that was let in.
pub(crate) struct Entered {
    pub(crate) tenant: TenantId,
    pub(crate) credentials: Credentials,
    pub(crate) call: Call,
    pub(crate) active: Active,
}

/// Events on their way to the log.
struct Submitted {
    ticket: Option<Arc<Ticket>>,
    response: IngestResponse,
}

// === impl Clock ===

impl<F: Fn() -> Instant + Send + Sync + 'static> Clock for F {
    fn now(&self) -> Instant {
        self()
    }
}

impl Clock for WallClock {
    #[allow(clippy::disallowed_types, reason = "the receipt stamp: log time decides what is billed, not this")]
    fn now(&self) -> Instant {
        let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).map_or(Instant::MAX, Instant::from_nanos)
    }
}

// === impl Core ===

impl Core {
    /// Starts a task for each shard of the log.
    pub(crate) fn start(options: Options, parts: Parts) -> Self {
        let stats = Arc::new(Stats::default());
        let health = Arc::new(Health::default());
        let batcher = Batcher::start(&parts.log, &stats, &health, &options);
        let (shards, rooms) = (parts.log.shards(), Rooms::new(&options));
        let (closing, active) = (watch::Sender::new(false), Arc::new(watch::Sender::new(0)));
        let buckets = Buckets::default();
        Self { options, parts, shards, rooms, batcher, buckets, stats, health, closing, active }
    }

    /// Lets a caller in, known by its headers alone; refuses newcomers once it is closing, or past the limit of calls.
    /// Who is unknown takes none of the calls while it waits for the books.
    pub(crate) async fn enter(&self, headers: &http::HeaderMap) -> Result<Entered, Problem> {
        let credentials = Credentials::of(headers);
        let tenant = self.admit(&credentials).await?;
        self.active.send_modify(|active| *active += 1);
        let active = Active(self.active.clone());
        if *self.closing.borrow() {
            return Err(self.shutting_down());
        }
        let call = self.rooms.call(&tenant).map_err(|full| {
            let message = match full {
                Full::All => format!("{} calls, the most allowed, are under way", self.options.calls_max),
                Full::Tenant => format!(
                    "{} calls of tenant {tenant}, the most allowed of one, are under way",
                    Rooms::calls_of_tenant(&self.options)
                ),
            };
            self.exhausted(Code::TooManyCalls, &message)
        })?;
        Ok(Entered { tenant, credentials, call, active })
    }

    /// Becomes true when the end begins.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// The tenant that a caller may send events for. Nobody is refused as unknown before the books were looked at again.
    pub(crate) async fn admit(&self, credentials: &Credentials) -> Result<TenantId, Problem> {
        let admit = || credentials.admit(&*self.parts.keys, &self.parts.catalogs);
        let mut admitted = admit();
        if admitted.as_ref().is_err_and(|problem| Credentials::may_be_known(problem, &self.parts.catalogs)) {
            self.parts.again.look().await;
            admitted = admit();
        }
        admitted.inspect_err(|_| self.refused())
    }

    /// An `IngestRequest` as it came, with the room that it has.
    pub(crate) async fn wire(&self, tenant: &TenantId, message: &[u8], room: Room) -> Result<IngestResponse, Problem> {
        let submitted = self.submit_wire(tenant, message, room);
        self.answer(tenant, submitted).await
    }

    /// Events that came in another way, read or refused one by one, and the request's room.
    pub(crate) async fn events(
        &self,
        tenant: &TenantId,
        events: &[Result<cloudevents::Event, cloudevents::Error>],
        room: Room,
    ) -> Result<IngestResponse, Problem> {
        let submitted = self.submit_events(tenant, events, room);
        self.answer(tenant, submitted).await
    }

    fn submit_wire(&self, tenant: &TenantId, message: &[u8], room: Room) -> Result<Submitted, Problem> {
        let catalog = self.parts.catalogs.of(tenant);
        let limits = &self.options.limits;
        let mut intake = Intake::new(tenant, &catalog, limits, self.parts.clock.now(), self.shards);
        let mut request = Request::new(message);
        while let Some(event) = request.next_event(intake.properties()).map_err(malformed)? {
            self.check_count(intake.count() + 1)?;
            let time = match event.time {
                None => SentTime::Absent,
                Some((seconds, nanos)) => {
                    Instant::from_parts(seconds, nanos).map_or(SentTime::OutOfRange, SentTime::At)
                }
            };
            let (id, source, customer) = (event.id, event.source, event.customer);
            intake.event(Draft { id, source, event_type: event.event_type, customer, time });
        }
        self.submit(tenant, intake, room, request.sequence(), &catalog)
    }

    fn submit_events(
        &self,
        tenant: &TenantId,
        events: &[Result<cloudevents::Event, cloudevents::Error>],
        room: Room,
    ) -> Result<Submitted, Problem> {
        self.check_count(events.len())?;
        let catalog = self.parts.catalogs.of(tenant);
        let limits = &self.options.limits;
        let mut intake = Intake::new(tenant, &catalog, limits, self.parts.clock.now(), self.shards);
        for event in events {
            match event {
                Ok(event) => {
                    let properties = event.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                    intake.properties().extend(properties);
                    intake.event(Draft {
                        id: &event.id,
                        source: &event.source,
                        event_type: &event.event_type,
                        customer: &event.customer,
                        time: event.time.map_or(SentTime::Absent, SentTime::At),
                    });
                }
                Err(cloudevents::Error { code, field, message }) => {
                    intake.refuse(Refusal { code: *code, field: field.clone(), message: message.clone() });
                }
            }
        }
        self.submit(tenant, intake, room, 0, &catalog)
    }

    fn submit(
        &self,
        tenant: &TenantId,
        intake: Intake<'_>,
        room: Room,
        sequence: u64,
        catalog: &Compiled,
    ) -> Result<Submitted, Problem> {
        self.expect_log_time(catalog.future)?;
        let per_second = catalog.events_per_second;
        let now = tokio::time::Instant::now();
        self.buckets.take(tenant, intake.count(), per_second, now).map_err(|retry_after| {
            let message = format!(
                "tenant {tenant} sends more than {per_second} events a second; send these again in {retry_after:?}, or \
                 raise the limit 'events_per_second'"
            );
            Problem::exhausted(Code::RateExceeded, retry_after, message)
        })?;
        let (staged, rejected) = intake.finish();
        let accepted = u32::try_from(staged.count()).unwrap_or(u32::MAX);
        let ticket = (accepted > 0).then(|| self.batcher.submit(tenant, &staged, room));
        Ok(Submitted { ticket, response: IngestResponse { accepted, rejected, sequence } })
    }

    /// Refuses events of now that could only wait for log time: while it stands, ever more would, and what comes over the
    /// limit of those that wait is rejected, for all that it was acknowledged.
    fn expect_log_time(&self, future: Span) -> Result<(), Problem> {
        let Some(log_time) = self.parts.clock.log_time() else { return Ok(()) };
        let behind = self.parts.clock.now().since(log_time);
        if behind <= future.max(BEHIND_MAX) {
            return Ok(());
        }
        let message = format!(
            "log time stands at {log_time}, {behind} behind the clock: events of now could only wait for it, so none are \
             taken; send these again later, and see whether an invoicer leads and reaches the books"
        );
        Err(Problem::unavailable(Code::LogTimeStands, self.options.retry_after, message))
    }

    async fn answer(
        &self,
        tenant: &TenantId,
        submitted: Result<Submitted, Problem>,
    ) -> Result<IngestResponse, Problem> {
        let Submitted { ticket, response } = submitted.inspect_err(|_| self.refused())?;
        if let Some(ticket) = ticket {
            ticket.wait().await.map_err(|failure| self.failed(failure))?;
        }
        let stats = self.stats.tenant(tenant);
        stats.accepted.fetch_add(u64::from(response.accepted), Ordering::Relaxed);
        for code in response.rejected.iter().filter_map(|rejection| Code::parse(&rejection.code)) {
            stats.rejected.add(code);
        }
        Ok(response)
    }

    /// Room for bytes that are about to be taken, beside those of the same request that have theirs.
    pub(crate) async fn room(&self, call: &Call, held_bytes: usize, more_bytes: usize) -> Result<Room, Problem> {
        self.rooms.more(call, held_bytes, more_bytes).await.map_err(|full| {
            let message = match full {
                Full::All => "as many bytes as are allowed are on their way to the log already",
                Full::Tenant => "as many of the tenant's bytes as are allowed are on their way to the log already",
            };
            self.exhausted(Code::QueueFull, message)
        })
    }

    fn exhausted(&self, code: Code, message: &str) -> Problem {
        self.refused();
        Problem::exhausted(code, self.options.retry_after, format!("{message}; send it again later"))
    }

    fn check_count(&self, found: usize) -> Result<(), Problem> {
        let events_max = self.options.limits.request_events_max;
        if found <= events_max {
            return Ok(());
        }
        let message =
            format!("the request has more than {events_max} events, the most allowed; send them in more requests");
        let problem = Problem::too_large(Code::TooManyEvents, message);
        Err(problem.with_violation("events", format!("at most {events_max}")))
    }

    /// The request has too many bytes.
    pub(crate) fn too_large(&self) -> Problem {
        let bytes_max = self.options.limits.request_bytes_max;
        let message =
            format!("the request has more than {bytes_max} bytes, the most allowed; send fewer events at once");
        Problem::too_large(Code::RequestTooLarge, message)
    }

    /// The rest of a request that holds room does not come.
    pub(crate) fn too_slow(&self) -> Problem {
        self.refused();
        let Options { body_wait, retry_after, .. } = self.options;
        let message = format!(
            "the request did not come to its end within {body_wait:?}; send it again, in smaller parts if the line is slow"
        );
        Problem::exhausted(Code::RequestTooSlow, retry_after, message)
    }

    /// The end has begun.
    pub(crate) fn shutting_down(&self) -> Problem {
        self.refused();
        let message = "the server is shutting down; send it again, to another one or soon";
        Problem::unavailable(Code::ShuttingDown, self.options.retry_after, message)
    }

    fn failed(&self, failure: Failure) -> Problem {
        self.refused();
        let retry_after = self.options.retry_after;
        match failure {
            Failure::Closed => self.shutting_down(),
            Failure::Unavailable(reason) => {
                let message = format!("{reason}; send the request again later");
                Problem::unavailable(Code::LogUnavailable, retry_after, message)
            }
            Failure::Uncertain(reason) => {
                let message = format!("{reason}; send the request again: what is there already is not billed twice");
                Problem::unavailable(Code::LogUncertain, retry_after, message)
            }
        }
    }

    fn refused(&self) {
        self.stats.refused_requests.fetch_add(1, Ordering::Relaxed);
    }
}

fn malformed(bad: Malformed) -> Problem {
    let message = format!("the bytes are no farthing.v1.IngestRequest: {bad}; encode it with generated code");
    Problem::invalid(Code::RequestMalformed, message)
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.send_modify(|active| *active = active.saturating_sub(1));
    }
}
