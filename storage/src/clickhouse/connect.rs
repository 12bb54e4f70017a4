//! From options to a client.

use super::{Error, Options};
use ::clickhouse::Client;
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Shorter than the server keeps an idle connection (3 s in old versions), so that none is used as it closes.
const IDLE: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A client, which connects when it is used.
pub(super) fn client(options: &Options) -> Result<Client, Error> {
    Ok(without_database(options)?.with_database(&options.database))
}

/// The same, for making the database.
pub(super) fn without_database(options: &Options) -> Result<Client, Error> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if options.database.is_empty() || !options.database.chars().all(is_name) {
        return Err(unusable(&format!(
            "'{}' cannot be the database's name; allowed are letters, digits and '_'",
            options.database
        )));
    }
    let is_tls = options.url.starts_with("https://");
    if !is_tls && !options.url.starts_with("http://") {
        return Err(unusable("the URL is that of the HTTP interface: http://HOST:8123 or https://HOST:8443"));
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_connect_timeout(Some(options.connect_timeout));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(options, is_tls)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let http = HttpClient::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
    let mut client = Client::with_http_client(http)
        .with_url(&options.url)
        .with_user(&options.user)
        .with_product_info("farthing", env!("CARGO_PKG_VERSION"))
        // An insert is done when it is answered, whatever the user's profile says.
        .with_setting("async_insert", "0")
        // Late usage may touch many months at once.
        .with_setting("max_partitions_per_insert_block", "0")
        // Rows with equal keys stand in one partition.
        .with_setting("do_not_merge_across_partitions_select_final", "1");
    if let Some(password) = &options.password {
        client = client.with_password(password);
    }
    if let Some(quorum) = options.quorum {
        client = client
            .with_setting("insert_quorum", quorum.to_string())
            .with_setting("insert_quorum_parallel", "0")
            .with_setting("select_sequential_consistency", "1");
    }
    Ok(client)
}

fn tls(options: &Options, is_used: bool) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| unusable(&error.to_string()))?;
    let config = match &options.ca_file {
        Some(path) => config.with_root_certificates(roots(path)?),
        None if is_used => config.with_native_roots().map_err(|_| {
            unusable("the system has no certificates of its own: install ca-certificates, or name a ca_file")
        })?,
        None => config.with_root_certificates(RootCertStore::empty()),
    };
    Ok(config.with_no_client_auth())
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let unreadable = |reason: String| unusable(&format!("the ca_file {}: {reason}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unreadable("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

fn unusable(reason: &str) -> Error {
    Error::Options { reason: reason.to_owned() }
}
