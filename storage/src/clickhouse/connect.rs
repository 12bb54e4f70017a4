//! From options to a client.

use super::{Error, Options};
use crate::tls;
use ::clickhouse::Client;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
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
    let tls = tls::client(options.ca_file.as_deref(), is_tls).map_err(|reason| unusable(&reason))?;
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_connect_timeout(Some(options.connect_timeout));
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(connector);
    let http = HttpClient::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
    let mut client = Client::with_http_client(http)
        .with_url(&options.url)
        .with_user(&options.user)
        .with_product_info("farthing", env!("CARGO_PKG_VERSION"))
        // An insert is done when it is answered, whatever the user's profile says.
        .with_setting("async_insert", "0")
        // Where servers share their storage, a read sees what another one stored.
        .with_setting("select_sequential_consistency", "1")
        // Late usage may touch many months at once.
        .with_setting("max_partitions_per_insert_block", "0")
        // Rows with equal keys stand in one partition.
        .with_setting("do_not_merge_across_partitions_select_final", "1");
    if let Some(password) = &options.password {
        client = client.with_password(password);
    }
    Ok(client)
}

fn unusable(reason: &str) -> Error {
    Error::Options { reason: reason.to_owned() }
}
