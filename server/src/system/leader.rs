//! Who leads, and how a process that stands by passes on what it is asked.
//!
//! The one that leads writes into the books where it is reached. One that stands by reads that whenever it asks for the
//! lease, and passes whole requests on as they are; so every invoicer answers every call, whichever a caller reaches. A
//! request is passed on once: where two processes each take the other for the leader, callers are told to come again.

use super::certificates::Stamp;
use crate::config::{Invoicer, Port};
use crate::failure::{Failure, Result, read_text};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Version, header};
use axum::response::{IntoResponse, Response};
use invoicer::ledger::{Draft, Kind, Ledger};
use pricing::time::Instant;
use proto::status::Problem;
use std::net::Ipv6Addr;
use std::time::Duration;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Where the process that leads is reached.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Leader {
    address: String,
}

/// The way to the process that leads.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Where it leads to.
    pub(super) address: String,
    /// Of the certificates that this process shows there.
    stamp: Option<Stamp>,
    channel: Channel,
}

/// How long the other one may take to accept a connection, and to show that it is still there.
const WAIT: Duration = Duration::from_secs(5);
/// When callers may come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// What a request has that was passed on.
const PASSED_ON: HeaderName = HeaderName::from_static("farthing-passed-on");

/// How the process was called that passed it on.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Where that stands in the books. It is about processes: no copy of the books takes it along.
pub(crate) const COLLECTION: &str = "leader";

impl Kind for Leader {
    const COLLECTION: &'static str = COLLECTION;
    const AUDITED: bool = false;
}

impl Leader {
    const ID: &'static str = "invoicer";
}

/// This process's address, as others reach it.
pub(super) fn address(own: &Invoicer, port: &Port, bound: u16) -> String {
    let scheme = if port.tls.is_some() { "https" } else { "http" };
    let listen = port.listen.ip();
    let host = match &own.address {
        Some(address) => address.clone(),
        None if listen.is_unspecified() => super::stages::machine(),
        None => listen.to_string(),
    };
    let is_bare = host.parse::<Ipv6Addr>().is_ok();
    if is_bare { format!("{scheme}://[{host}]:{bound}") } else { format!("{scheme}://{host}:{bound}") }
}

/// Writes down where the one that leads is reached: this process.
///
/// # Errors
/// The books cannot be reached, or another process leads by now.
pub(super) async fn announce(ledger: &Ledger, address: &str, log_time: Instant) -> Result {
    let known = ledger.get::<Leader>(None, Leader::ID).await.map_err(Failure::refused)?;
    let leader = Leader { address: address.to_owned() };
    if known.as_ref().is_some_and(|known| known.value == leader) {
        return Ok(());
    }
    let mut draft = Draft::new("invoicer", "lead", log_time);
    draft.put(None, Leader::ID, known.map(|known| known.revision), &leader).map_err(Failure::refused)?;
    ledger.commit(draft).await.map_err(Failure::refused)
}

/// The way to the process that leads, where it has said; `known` as long as it is the same.
///
/// # Errors
/// The books cannot be reached, or the way cannot be: a certificate that cannot be read.
pub(super) async fn way(ledger: &Ledger, own: &Invoicer, port: &Port, known: Option<Way>) -> Result<Option<Way>> {
    let leader = ledger.get::<Leader>(None, Leader::ID).await.map_err(Failure::refused)?;
    let Some(Leader { address }) = leader.map(|leader| leader.value) else { return Ok(None) };
    let stamp = port.tls.as_ref().map(Stamp::of);
    if let Some(known) = known.filter(|known| known.address == address && known.stamp == stamp) {
        return Ok(Some(known));
    }
    let channel = channel(&address, own, port);
    let channel = channel.map_err(|failure| failure.within(format_args!("the way to the invoicer at {address}")))?;
    Ok(Some(Way { address, stamp, channel }))
}

fn channel(address: &str, own: &Invoicer, port: &Port) -> Result<Channel> {
    let mut endpoint = Endpoint::from_shared(address.to_owned()).map_err(Failure::refused)?;
    if address.starts_with("https://") {
        let mut tls = match &own.ca_file {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read_text(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some(name) = &own.server_name {
            tls = tls.domain_name(name);
        }
        if let Some(files) = port.tls.as_ref().filter(|files| files.client_ca_file.is_some()) {
            tls = tls.identity(Identity::from_pem(read_text(&files.cert_file)?, read_text(&files.key_file)?));
        }
        endpoint = endpoint.tls_config(tls).map_err(Failure::refused)?;
    }
    let endpoint = endpoint.connect_timeout(WAIT).tcp_nodelay(true);
    Ok(endpoint.http2_keep_alive_interval(WAIT).keep_alive_timeout(WAIT).connect_lazy())
}

// === impl Way ===

impl Way {
    /// Passes a request on.
    ///
    /// # Errors
    /// What callers are told where that cannot be: it was passed on before, or the other one does not answer.
    pub(super) async fn pass_on(&self, request: Request) -> std::result::Result<Response, Problem> {
        if request.headers().contains_key(PASSED_ON) {
            return Err(problem("this process stands by, and so does the one that passed the call on"));
        }
        let (mut head, body) = request.into_parts();
        if head.version < Version::HTTP_2 {
            // What concerns a single connection, and means nothing on the next one.
            let single = ["keep-alive", "proxy-connection"].map(HeaderName::from_static);
            for name in
                single.iter().chain(&[header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE])
            {
                head.headers.remove(name);
            }
        }
        let host = head.headers.remove(header::HOST);
        let authority = || HeaderValue::from_str(head.uri.authority()?.as_str()).ok();
        if let Some(host) = host.or_else(authority) {
            // The console compares it with where a form says that it comes from.
            head.headers.entry(FORWARDED_HOST).or_insert(host);
        }
        head.headers.insert(PASSED_ON, HeaderValue::from_static("1"));
        head.version = Version::HTTP_2;
        let mut channel = self.channel.clone();
        let sent = async {
            std::future::poll_fn(|context| channel.poll_ready(context)).await?;
            channel.call(axum::http::Request::from_parts(head, Body::new(body))).await
        };
        match sent.await {
            Ok(response) => Ok(response.into_response()),
            Err(error) => Err(problem(&format!(
                "the invoicer that leads, at {}, does not answer ({}); where it is gone another takes over within seconds",
                self.address,
                crate::failure::root(&error)
            ))),
        }
    }
}

fn problem(message: &str) -> Problem {
    Problem::unavailable(proto::code::Code::NotReady, RETRY_AFTER, message.to_owned())
}
