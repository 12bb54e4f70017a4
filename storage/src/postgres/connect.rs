//! From options to a bounded pool of connections.

use super::{Error, Options};
use crate::tls;
use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use std::error::Error as _;
use std::str::FromStr;
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
        mode => {
            let tls = tls::client(options.ca_file.as_deref(), mode != SslMode::Prefer);
            let tls = tls.map_err(|reason| unusable(&reason))?;
            Manager::from_config(config, MakeRustlsConnect::new(tls), manager_config)
        }
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
    if options.ca_file.is_some() {
        if config.get_ssl_mode() == SslMode::Disable {
            return Err(unusable("a ca_file goes with TLS: take it out, or sslmode=disable out of the URL"));
        }
        // Who names the one that vouches for the server never wants it in plain text.
        config.ssl_mode(SslMode::Require);
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
