//! Calls to a running server.

use crate::failure::{Failure, Result, read_text, root};
use clap::Args;
use pricing::time::Instant;
use proto::v1;
use std::path::{Path, PathBuf};
use tonic::codegen::InterceptedService;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use tonic_types::StatusExt;

/// The key that a server on this machine wrote, next to where people usually start it.
pub(crate) const LOCAL_KEY: &str = "farthing-data/admin.key";

/// Rows asked for at a time.
pub(crate) const PAGE: u32 = 1000;

/// Documents and exports may be large.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How a client finds and convinces the server.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Connection {
    /// Where the server is.
    #[arg(long, env = "FARTHING_SERVER", default_value = "http://127.0.0.1:9600", value_name = "URL")]
    pub(crate) server: String,
    /// The API key. Without one, and with a server on this machine, ./farthing-data/admin.key is read if it is there.
    #[arg(long, env = "FARTHING_KEY", value_name = "KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// Which tenant the installation's admin key acts for; needed once there is more than one.
    #[arg(long, env = "FARTHING_TENANT", value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// With https://: trust the authorities in this PEM file instead of the machine's.
    #[arg(long, env = "FARTHING_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// With https://: show this certificate (PEM), where the server asks for one.
    #[arg(long, env = "FARTHING_CERT_FILE", value_name = "FILE", requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, env = "FARTHING_KEY_FILE", value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
}

/// A channel that shows its key with every call.
pub(crate) type Service = InterceptedService<Channel, Credentials>;

/// A connection to one server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    service: Service,
}

/// What a call shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    authorization: Option<MetadataValue<Ascii>>,
    tenant: Option<MetadataValue<Ascii>>,
}

impl Connection {
    /// To a server of this process.
    pub(crate) fn here(server: String, key: Option<String>, tenant: Option<&str>) -> Self {
        Self { server, key, tenant: tenant.map(str::to_owned), ca_file: None, client_cert: None, client_key: None }
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        if let Some(value) = &self.tenant {
            request.metadata_mut().insert("farthing-tenant", value.clone());
        }
        Ok(request)
    }
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $module:ident::$client:ident)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name(&self) -> v1::$module::$client<Service> {
            v1::$module::$client::new(self.service.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
        }
    )*};
}

impl Client {
    /// Reaches the server.
    ///
    /// # Errors
    /// Wrong usage for a server or key that cannot be; refused where nobody answers.
    pub(crate) async fn connect(connection: &Connection) -> Result<Self> {
        let channel = endpoint(connection)?.connect().await.map_err(|error| unreachable_server(connection, &error))?;
        Ok(Self { service: InterceptedService::new(channel, credentials(connection)?) })
    }

    /// The channel itself.
    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    /// Every bill of a customer, or of all; of a status, or of any.
    ///
    /// # Errors
    /// What the server refuses.
    pub(crate) async fn every_invoice(&self, customer: &str, status: &str) -> Result<Vec<v1::InvoiceSummary>> {
        let (customer, status) = (customer.to_owned(), status.to_owned());
        let request = v1::ListInvoicesRequest { customer, status, page_size: PAGE, ..Default::default() };
        let (invoices, _) = pages(usize::MAX, async |page_token| {
            let page = self.invoices().list(v1::ListInvoicesRequest { page_token, ..request.clone() }).await;
            answer(page).map(|page| (page.invoices, page.next_page_token))
        })
        .await?;
        Ok(invoices)
    }

    services! {
        /// Events.
        ingest: ingest_service_client::IngestServiceClient
        /// Catalog.
        catalog: catalog_service_client::CatalogServiceClient
        /// Usage and charges.
        usage: usage_service_client::UsageServiceClient
        /// Bills.
        invoices: invoice_service_client::InvoiceServiceClient
        /// Keys, clock, shards.
        admin: admin_service_client::AdminServiceClient
        /// The audit log.
        audit: audit_service_client::AuditServiceClient
        /// Bookkeeping.
        exports: export_service_client::ExportServiceClient
        /// Webhooks.
        webhooks: webhook_service_client::WebhookServiceClient
    }
}

/// The server's address, checked.
fn endpoint(connection: &Connection) -> Result<Endpoint> {
    let server = &connection.server;
    let example = "write a URL such as http://127.0.0.1:9600";
    if !server.starts_with("http://") && !server.starts_with("https://") {
        return Err(Failure::usage(format_args!("--server '{server}' is no address; {example}")));
    }
    let endpoint = Endpoint::from_shared(server.to_owned())
        .map_err(|_| Failure::usage(format_args!("--server '{server}' is no address; {example}")))?;
    let wait = std::time::Duration::from_secs(5);
    let endpoint = match tls(connection)? {
        Some(tls) => endpoint.tls_config(tls).map_err(|error| Failure::refused(root(&error)))?,
        None => endpoint,
    };
    // Large windows: a client that sends files must not wait for the other side's acknowledgement of bytes.
    let endpoint = endpoint.connect_timeout(wait).tcp_nodelay(true).http2_keep_alive_interval(wait * 4);
    Ok(endpoint.initial_stream_window_size(4 << 20).initial_connection_window_size(16 << 20))
}

/// Whom an encrypted connection trusts, and what it shows.
fn tls(connection: &Connection) -> Result<Option<ClientTlsConfig>> {
    let Connection { server, ca_file, client_cert, client_key, .. } = connection;
    if !server.starts_with("https://") {
        return if ca_file.is_some() || client_cert.is_some() {
            Err(Failure::usage(format_args!("'{server}' is not encrypted: certificates are for https://")))
        } else {
            Ok(None)
        };
    }
    let mut tls = match ca_file {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read_text(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((certificate, key)) = client_cert.as_ref().zip(client_key.as_ref()) {
        tls = tls.identity(Identity::from_pem(read_text(certificate)?, read_text(key)?));
    }
    Ok(Some(tls))
}

/// What the calls of this connection show.
fn credentials(connection: &Connection) -> Result<Credentials> {
    let key = match &connection.key {
        Some(key) => Some(key.clone()),
        None if is_local(&connection.server) => local_key(Path::new(LOCAL_KEY)),
        None => None,
    };
    let value = |what: &str, text: &str| {
        MetadataValue::try_from(text)
            .map_err(|_| Failure::usage(format_args!("the {what} has characters that cannot be sent")))
    };
    Ok(Credentials {
        authorization: key.map(|key| value("key", &format!("Bearer {}", key.trim()))).transpose()?,
        tenant: connection.tenant.as_deref().map(|tenant| value("tenant", tenant)).transpose()?,
    })
}

/// A key is only ever sent by itself to a server on this machine.
fn is_local(server: &str) -> bool {
    let uri: Option<http::Uri> = server.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The first admin key, where it can be read.
pub(crate) fn local_key(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn unreachable_server(connection: &Connection, error: &tonic::transport::Error) -> Failure {
    let server = &connection.server;
    let cause = root(error);
    Failure::refused(format_args!(
        "cannot reach {server}: {cause}; is `farthing serve` running there? (--server or FARTHING_SERVER says where)"
    ))
}

/// What a server's refusal says to people: one message.
pub(crate) fn refusal(status: &Status) -> Failure {
    let mut message = match status.message() {
        "" => format!("the server answered {:?}", status.code()),
        message => message.to_owned(),
    };
    let details = status.get_error_details();
    for violation in details.bad_request().map(|request| request.field_violations.as_slice()).unwrap_or_default() {
        if !message.contains(&violation.description) {
            message.push_str(&format!("; {}: {}", violation.field, violation.description));
        }
    }
    if status.code() == tonic::Code::Unauthenticated {
        message.push_str(&format!(
            "; give --key or FARTHING_KEY (`serve` writes the first admin key to DATA/admin.key, here ./{LOCAL_KEY})"
        ));
    }
    Failure::Refused(message)
}

/// Short for `map_err(refusal)` with the answer taken out.
pub(crate) fn answer<T>(result: std::result::Result<tonic::Response<T>, Status>) -> Result<T> {
    result.map(tonic::Response::into_inner).map_err(|status| refusal(&status))
}

/// Reads a list page by page: `page` asks for the page that a token names, and gives its rows with the next page's token.
/// Gives up to `limit` rows, and whether there are more.
pub(crate) async fn pages<T>(
    limit: usize,
    mut page: impl AsyncFnMut(String) -> Result<(Vec<T>, String)>,
) -> Result<(Vec<T>, bool)> {
    let (mut rows, mut token) = (Vec::new(), String::new());
    loop {
        let (more, next) = page(token).await?;
        rows.extend(more);
        token = next;
        if token.is_empty() || rows.len() >= limit {
            let is_cut = rows.len() > limit || !token.is_empty();
            rows.truncate(limit);
            return Ok((rows, is_cut));
        }
    }
}

/// An instant on the wire.
pub(crate) fn timestamp(time: Instant) -> prost_types::Timestamp {
    let nanos = time.nanos();
    // The remainder lies in 0..1_000_000_000, so it fits.
    prost_types::Timestamp {
        seconds: nanos.div_euclid(1_000_000_000),
        nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default(),
    }
}

/// An instant off the wire as text; empty where it is absent.
pub(crate) fn instant_text(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(|time| Instant::from_parts(time.seconds, time.nanos)).map(|time| time.to_string()).unwrap_or_default()
}
