//! The way outside for webhooks: HTTP to public addresses, and to no others.
//!
//! Who names an address could otherwise have Farthing call what only its own network reaches. So every address is looked at
//! after its name was resolved, and that very address is connected to; redirects are not followed; and without
//! `[webhooks] allow_private` only `https` to public addresses is sent.

use crate::config::Webhooks;
use crate::failure::{Failure, Result};
use async_trait::async_trait;
use axum::body::Body;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use invoicer::webhooks::{Outgoing, Outside};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::codegen::Service;

/// Sends messages.
pub(super) struct Post {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Body>,
    allow_private: bool,
}

/// Resolves names to addresses that may be reached.
#[derive(Clone)]
struct Resolver {
    allow_private: bool,
}

/// How long a whole exchange may take.
const WAIT: Duration = Duration::from_secs(15);
/// The longest address.
const URL_BYTES_MAX: usize = 2_000;

// === impl Post ===

impl Post {
    /// # Errors
    /// The authorities in `ca_file` cannot be read.
    pub(super) fn new(config: &Webhooks) -> Result<Self> {
        let allow_private = config.allow_private;
        let tls = storage::tls::client(config.ca_file.as_deref(), false).map_err(Failure::refused)?;
        let mut connector = HttpConnector::new_with_resolver(Resolver { allow_private });
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(WAIT));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(connector);
        // A connection is used once: an address that was public may be another one's by the next message.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, allow_private })
    }

    fn checked(&self, url: &str) -> std::result::Result<Uri, String> {
        if url.len() > URL_BYTES_MAX {
            return Err(format!("it is longer than {URL_BYTES_MAX} bytes"));
        }
        let uri: Uri = url.parse().map_err(|_| "it is no URL; write https://HOST/PATH".to_owned())?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.allow_private => {}
            _ => return Err("only https:// is allowed".to_owned()),
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("it holds a user or a password; the signature says who sends".to_owned());
        }
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err("it names no host".to_owned());
        }
        // Names are looked at when they are resolved.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) if !self.allow_private && !is_public(address) => Err(format!("it is {NOT_PUBLIC}")),
            _ => Ok(uri),
        }
    }
}

#[async_trait]
impl Outside for Post {
    async fn post(&self, outgoing: Outgoing) -> std::result::Result<u16, String> {
        let mut request = Request::post(self.checked(&outgoing.url)?)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("farthing/", env!("CARGO_PKG_VERSION")));
        for (name, value) in outgoing.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(outgoing.body)).map_err(|error| error.to_string())?;
        // What the answer says beyond its status is not read.
        match tokio::time::timeout(WAIT, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response.status().as_u16()),
            Ok(Err(error)) => Err(crate::failure::root(&error)),
            Err(_) => Err(format!("no answer within {} seconds", WAIT.as_secs())),
        }
    }

    fn check(&self, url: &str) -> std::result::Result<(), String> {
        self.checked(url).map(drop)
    }

    fn random(&self) -> std::result::Result<[u8; 24], String> {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes).map_err(|error| format!("the system gives no random bytes: {error}"))?;
        Ok(bytes)
    }
}

// === impl Resolver ===

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One that is not public is enough: who mixes them means harm.
            if found.iter().all(|address| allow_private || is_public(address.ip())) {
                return Ok(found.into_iter());
            }
            // Which one it is stays untold: names of the own network are nobody's business.
            Err(io::Error::other(format!("the host leads to {NOT_PUBLIC}")))
        })
    }
}

/// What is not allowed without a word in the configuration.
const NOT_PUBLIC: &str =
    "an address that is not public; `[webhooks] allow_private` in the server's configuration allows such";

/// Whether anybody on the Internet could mean the same by it.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = match (first, second, third) {
        // This network, carriers' own, protocol assignments, 6to4 relays, measurements, reserved.
        (0, ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _) | (240.., ..) => true,
        _ => false,
    };
    !(is_special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Those that hold one of version 4: mapped, translated, 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        // Teredo and other assignments of protocols, documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        // Only these are given to anybody.
        [first, ..] => first & 0xe000 == 0x2000 && first != 0x3fff,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    const PRIVATE: [&str; 22] = [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "fc00::1",
        "fe80::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
    ];

    fn post(allow_private: bool) -> Post {
        Post::new(&Webhooks { allow_private, ca_file: None }).unwrap()
    }

    #[tokio::test]
    async fn what_is_not_public_is_refused() {
        for address in PRIVATE {
            assert!(!is_public(address.parse().unwrap()), "{address}");
            let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            let said = post(false).check(&format!("https://{host}/hook")).unwrap_err();
            assert!(said.contains("not public"), "{host}: {said}");
        }
        for address in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for url in ["http://example.com/", "ftp://example.com/", "https://u:p@example.com/", "https:///x", "x", ""] {
            assert!(post(false).check(url).is_err(), "{url}");
        }
        assert_eq!(post(false).check("https://example.com/hook"), Ok(()));
        assert_eq!(post(true).check("http://127.0.0.1:1/hook"), Ok(()));
        // A name that leads home is found out when it is resolved.
        let outgoing = Outgoing { url: "https://localhost:1/".to_owned(), headers: Vec::new(), body: String::new() };
        assert_eq!(post(false).check(&outgoing.url), Ok(()));
        let said = post(false).post(outgoing).await.unwrap_err();
        assert!(said.contains("not public"), "{said}");
    }
}
