//! `farthing.v1.IngestService`, on the wire the same as generated code, with requests left as the bytes they came in.

use crate::access::Credentials;
use crate::metered::{Held, Metered};
use crate::room::Room;
use crate::service::{Active, Core, Entered};
use bytes::Bytes;
use pricing::id::TenantId;
use proto::raw::Reading;
use proto::status::Problem;
use proto::v1::IngestResponse;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::codegen::{Body, BoxFuture, Service, StdError};
use tonic::{Code, Request, Response, Status, Streaming};

/// The service, to be added to a tonic server. Clones serve the same ingest.
#[derive(Clone)]
pub struct Server {
    core: Arc<Core>,
}

struct Unary {
    core: Arc<Core>,
    tenant: TenantId,
    held: Arc<Held>,
}

struct Stream {
    core: Arc<Core>,
    // A stream is opened once.
    pump: Option<(TenantId, Credentials, Active)>,
    held: Arc<Held>,
}

/// One stream's loop: reads requests, answers them as they become durable.
struct Pump {
    core: Arc<Core>,
    credentials: Credentials,
    tenant: TenantId,
    held: Arc<Held>,
    requests: Streaming<Bytes>,
    answers: mpsc::Sender<Result<IngestResponse, Status>>,
    failure: Arc<FirstFailure>,
    /// When its key was looked up last.
    checked: Instant,
}

/// The problem that ends a stream.
#[derive(Default)]
struct FirstFailure {
    problem: Mutex<Option<Problem>>,
    set: Notify,
}

// === impl Server ===

impl Server {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    fn grpc(&self) -> tonic::server::Grpc<Reading<IngestResponse>> {
        tonic::server::Grpc::new(Reading::default())
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(self.core.options.limits.request_bytes_max)
    }
}

impl tonic::server::NamedService for Server {
    const NAME: &'static str = proto::v1::ingest_service_server::SERVICE_NAME;
}

impl<B> Service<http::Request<B>> for Server
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let (core, mut grpc) = (self.core.clone(), self.grpc());
        let is_stream = match request.uri().path() {
            "/farthing.v1.IngestService/Ingest" => false,
            "/farthing.v1.IngestService/IngestStream" => true,
            _ => return Box::pin(async { Ok(Status::unimplemented("there is no such method").into_http()) }),
        };
        Box::pin(async move {
            // Whoever may not send hears so before a byte of the body is read.
            let entered = match core.enter(request.headers()).await {
                Ok(entered) => entered,
                Err(problem) => return Ok(problem.to_status().into_http()),
            };
            let Entered { tenant, credentials, call, active } = entered;
            let held = Arc::new(Held::new(call));
            // A stream may send nothing for as long as it likes.
            let wait = (!is_stream).then_some(core.options.body_wait);
            let request = request.map(|body| Metered::new(core.clone(), body, held.clone(), wait));
            if is_stream {
                let pump = Some((tenant, credentials, active));
                return Ok(grpc.streaming(Stream { core, pump, held }, request).await);
            }
            let response = grpc.unary(Unary { core: core.clone(), tenant, held }, request).await;
            drop(active);
            let too_large = Status::from_header_map(response.headers()).is_some_and(|found| is_too_large(&found));
            Ok(if too_large { core.too_large().to_status().into_http() } else { response })
        })
    }
}

/// The transport's own answer to a message over the limit, which knows nothing of reasons.
fn is_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange || status.message().starts_with("Error decompressing: size limit")
}

/// The room of a message that was just read.
async fn room(core: &Core, held: &Held, message: &Bytes) -> Result<Room, Problem> {
    match held.take(message.len()) {
        Some(room) => Ok(room),
        None => core.room(held.call(), 0, message.len()).await,
    }
}

// === impl Unary, Stream ===

impl tonic::server::UnaryService<Bytes> for Unary {
    type Response = IngestResponse;
    type Future = BoxFuture<Response<IngestResponse>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (core, tenant, held) = (self.core.clone(), self.tenant.clone(), self.held.clone());
        Box::pin(async move {
            let room = room(&core, &held, request.get_ref()).await?;
            Ok(Response::new(core.wire(&tenant, request.get_ref(), room).await?))
        })
    }
}

impl tonic::server::StreamingService<Bytes> for Stream {
    type Response = IngestResponse;
    type ResponseStream = ReceiverStream<Result<IngestResponse, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (core, held, pump) = (self.core.clone(), self.held.clone(), self.pump.take());
        Box::pin(async move {
            let Some((tenant, credentials, active)) = pump else {
                return Err(Status::internal("the stream was opened twice"));
            };
            let (answers, receiver) = mpsc::channel(core.options.stream_requests_max.max(1));
            let (requests, failure) = (request.into_inner(), Arc::default());
            let checked = Instant::now();
            let pump = Pump { core, credentials, tenant, held, requests, answers, failure, checked };
            tokio::spawn(async move {
                pump.run().await;
                drop(active);
            });
            Ok(Response::new(ReceiverStream::new(receiver)))
        })
    }
}

// === impl Pump ===

impl Pump {
    /// Reads until the client ends, something fails or the server ends; then answers what was read, and says what failed.
    async fn run(mut self) {
        let mut tasks = JoinSet::new();
        let in_flight = Arc::new(Semaphore::new(self.core.options.stream_requests_max.max(1)));
        while let Some((message, room, permit)) = self.next(&in_flight).await {
            let (core, tenant) = (self.core.clone(), self.tenant.clone());
            let (answers, failure) = (self.answers.clone(), self.failure.clone());
            tasks.spawn(async move {
                let answer = core.wire(&tenant, &message, room).await;
                // It has no room any more.
                drop(message);
                match answer {
                    // A client that went away hears nothing.
                    Ok(answer) => drop(answers.send(Ok(answer)).await),
                    Err(problem) => failure.set(problem),
                }
                drop(permit);
            });
            while tasks.try_join_next().is_some() {}
        }
        self.finish(tasks).await;
    }

    /// Gives back what reading took, and waits for the answers to what was read. A client that takes none of them in time
    /// hears no more: it would keep the stream's place.
    async fn finish(self, mut tasks: JoinSet<()>) {
        let Self { core, held, requests, answers, failure, .. } = self;
        drop(requests);
        drop(held.take(0));
        let wait = core.options.body_wait;
        loop {
            match timeout(wait, tasks.join_next()).await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                // The log may need longer.
                Err(_) if answers.capacity() > 0 => {}
                Err(_) => return,
            }
        }
        if let Some(problem) = failure.take() {
            drop(timeout(wait, answers.send(Err(problem.to_status()))).await);
        }
    }

    /// The next request, once there is room for one more in flight; none when no more are to be read.
    async fn next(&mut self, in_flight: &Arc<Semaphore>) -> Option<(Bytes, Room, OwnedSemaphorePermit)> {
        let mut closing = self.core.closing();
        let read = async {
            let permit = in_flight.clone().acquire_owned().await.ok()?;
            let message = match self.requests.message().await {
                Ok(None) => return None,
                Ok(Some(message)) => message,
                Err(status) if is_too_large(&status) => return Some(Err(self.core.too_large())),
                Err(status) => return Some(Err(Problem::from_status(&status))),
            };
            if self.checked.elapsed() >= self.core.options.key_check {
                self.checked = Instant::now();
                match self.core.admit(&self.credentials).await {
                    Ok(tenant) => self.tenant = tenant,
                    Err(problem) => return Some(Err(problem)),
                }
            }
            let room = room(&self.core, &self.held, &message).await;
            Some(room.map(|room| (message, room, permit)))
        };
        tokio::select! {
            biased;
            () = self.failure.set.notified() => None,
            _ = closing.wait_for(|closing| *closing) => {
                self.failure.set(self.core.shutting_down());
                None
            }
            () = self.answers.closed() => None,
            read = read => read?.map_err(|problem| self.failure.set(problem)).ok(),
        }
    }
}

// === impl FirstFailure ===

impl FirstFailure {
    fn set(&self, problem: Problem) {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
        self.set.notify_one();
    }

    fn take(&self) -> Option<Problem> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
