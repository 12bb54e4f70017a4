//! TLS as a client of other servers has it: who may vouch for them.

use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// Trusts those whose certificates (PEM) stand in `ca_file`; without it those that the system trusts. A system that
/// trusts nobody is refused where TLS `is_certain`; where it is not, servers with TLS will be.
///
/// # Errors
/// One line that says what to do.
pub fn client(ca_file: Option<&Path>, is_certain: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    let config = match ca_file {
        Some(path) => config.with_root_certificates(roots(path)?),
        None => match config.clone().with_native_roots() {
            Ok(config) => config,
            Err(_) if is_certain => {
                let reason = "the system has no certificates of its own: install ca-certificates, or name a ca_file";
                return Err(reason.to_owned());
            }
            Err(_) => config.with_root_certificates(RootCertStore::empty()),
        },
    };
    Ok(config.with_no_client_auth())
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let unreadable = |reason: String| format!("the ca_file {}: {reason}", path.display());
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
