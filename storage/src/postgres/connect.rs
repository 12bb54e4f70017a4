//! From options to a bounded pool of connections.

use super::{Error, Options};
use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection that says nothing for so long is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A pool, which connects when it is used.
pub(super) fn pool(options: &Options) -> Result<Pool, Error> {
    let config = config(options)?;
    let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match config.get_ssl_mode() {
        SslMode::Disable => Manager::from_config(config, NoTls, manager_config),
        mode => Manager::from_config(config, tls(options, mode)?, manager_config),
    };
    let session = session(options.statement_timeout);
    let set_session = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let session = session.clone();
        Box::pin(async move { client.batch_execute(&session).await.map_err(HookError::Backend) })
    });
    let pool = Pool::builder(manager)
        .max_size(options.connections_max.max(1))
        .wait_timeout(Some(options.wait_timeout))
        .create_timeout(Some(options.connect_timeout))
        .recycle_timeout(Some(options.connect_timeout))
        .runtime(Runtime::Tokio1)
        .post_create(set_session)
        .build();
    pool.map_err(|error| unusable(&error.to_string()))
}

fn config(options: &Options) -> Result<Config, Error> {
    // The certificate is always checked in full, so these two ask for no more than `require`.
    let url =
        options.url.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
    let parsed = Config::from_str(&url);
    let mut config = parsed.map_err(|error| {
        unusable(&format!("{}; expected postgres://USER@HOST:PORT/DATABASE?sslmode=MODE", explain(&error)))
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(unusable("the URL names no host; expected postgres://USER@HOST:PORT/DATABASE"));
    }
    if let Some(password) = &options.password {
        config.password(password);
    }
    config.application_name("farthing").connect_timeout(options.connect_timeout);
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    config.keepalives_idle(KEEPALIVE).tcp_user_timeout(options.statement_timeout);
    Ok(config)
}

/// What a session must hold to, whatever the database's own defaults are.
fn session(statement_timeout: Duration) -> String {
    let millis = statement_timeout.as_millis().max(1);
    format!(
        "SET default_transaction_isolation = 'read committed'; SET statement_timeout = {millis}; \
         SET idle_in_transaction_session_timeout = {millis}"
    )
}

fn tls(options: &Options, mode: SslMode) -> Result<MakeRustlsConnect, Error> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let roots = match &options.ca_file {
        Some(path) => roots(path)?,
        None => {
            // It takes the process's provider; the first one that was set stays.
            let _ = provider.clone().install_default();
            match MakeRustlsConnect::with_native_certs() {
                Ok((connect, _)) => return Ok(connect),
                // A server without TLS needs none, and one with it will be refused.
                Err(_) if mode == SslMode::Prefer => RootCertStore::empty(),
                Err(_) => {
                    return Err(unusable(
                        "the system has no certificates of its own: install ca-certificates, or name a ca_file",
                    ));
                }
            }
        }
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
    let config = config.map_err(|error| unusable(&error.to_string()))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
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

/// What went wrong, with the reasons behind it.
pub(super) fn explain(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        let reason_text = reason.to_string();
        if !text.contains(&reason_text) {
            text = format!("{text}: {reason_text}");
        }
        source = reason.source();
    }
    if text.contains("certificate") {
        text += "; name a ca_file that vouches for the server, or say sslmode=disable in the URL";
    }
    text
}

pub(super) fn explain_pool(error: &PoolError) -> String {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => "no connection became free in time".to_owned(),
        PoolError::Timeout(_) => "no connection came about in time".to_owned(),
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => explain(error),
        other => other.to_string(),
    }
}
