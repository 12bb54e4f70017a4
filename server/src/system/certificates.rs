//! The port's certificates, read again when their files change: they end sooner than processes do.

use crate::config::Tls;
use crate::failure::{Context, Failure, Result};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// What new connections are greeted with.
pub(super) struct Current {
    files: Tls,
    read: Mutex<(TlsAcceptor, Stamp)>,
}

/// Which files there are and when each was written: as long as it is the same, so are they.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(u64, i64, i64)>>);

/// How often it is looked whether files changed.
const LOOK: Duration = Duration::from_mins(1);

// === impl Current ===

impl Current {
    /// Reads them.
    ///
    /// # Errors
    /// One cannot be used.
    pub(super) fn read(files: &Tls) -> Result<Self> {
        // Looked at before it is read: what changes meanwhile is read again.
        let stamp = Stamp::of(files);
        Ok(Self { files: files.clone(), read: Mutex::new((acceptor(files)?, stamp)) })
    }

    /// For a new connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Reads them again whenever they changed; runs until it is dropped.
    pub(super) async fn follow(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look();
        }
    }

    /// Reads them again where they changed. What cannot be used changes nothing, and is tried again.
    fn look(&self) {
        let stamp = Stamp::of(&self.files);
        if self.read.lock().unwrap_or_else(PoisonError::into_inner).1 == stamp {
            return;
        }
        match acceptor(&self.files) {
            Ok(acceptor) => {
                *self.read.lock().unwrap_or_else(PoisonError::into_inner) = (acceptor, stamp);
                tracing::info!("the certificates changed; new connections get the new ones");
            }
            Err(failure) => tracing::error!(?failure, "the certificates changed and cannot be used; the old ones stay"),
        }
    }
}

// === impl Stamp ===

impl Stamp {
    pub(super) fn of(files: &Tls) -> Self {
        let Tls { cert_file, key_file, client_ca_file } = files;
        let written = |path: &Path| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.ino(), file.mtime(), file.mtime_nsec()))
        };
        let all = [Some(cert_file), Some(key_file), client_ca_file.as_ref()];
        Self(all.map(|path| path.and_then(|path| written(path))).into())
    }
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor> {
    let certificates = certificates(&tls.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key_file)
        .context(format_args!("[tls] key_file: {} holds no private key in PEM", tls.key_file.display()))?;
    let builder = ServerConfig::builder();
    let builder = match &tls.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in self::certificates(path)? {
                roots.add(certificate).context(format_args!("[tls] client_ca_file: {}", path.display()))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.context("[tls] client_ca_file")?)
        }
    };
    let mut config = builder.with_single_cert(certificates, key).context(format_args!(
        "[tls] {} and {}",
        tls.cert_file.display(),
        tls.key_file.display()
    ))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let reason = || format!("[tls] {} holds no certificates in PEM", path.display());
    let read: std::result::Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).context(reason())?.collect();
    let certificates = read.context(reason())?;
    if certificates.is_empty() { Err(Failure::refused(reason())) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;
    use std::process::Command;

    fn certificate(folder: &Path, name: &str) {
        let to = |kind: &str| folder.join(format!("{name}.{kind}")).to_string_lossy().into_owned();
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", &format!("/CN={name}"), "-keyout", &to("key"), "-out", &to("pem")])
            .output();
        assert!(made.is_ok_and(|made| made.status.success()), "openssl req failed");
    }

    #[test]
    fn new_certificates_are_taken_and_broken_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["old", "new"] {
            certificate(folder.path(), name);
        }
        let at = |name: &str| folder.path().join(name);
        let install = |name: &str| {
            for kind in ["pem", "key"] {
                std::fs::copy(at(&format!("{name}.{kind}")), at(&format!("live.{kind}"))).unwrap();
            }
        };
        install("old");
        let files = Tls { cert_file: at("live.pem"), key_file: at("live.key"), client_ca_file: None };
        let current = Current::read(&files).unwrap();
        let config = |current: &Current| Arc::as_ptr(current.acceptor().config());
        let old = config(&current);
        current.look();
        assert_eq!(config(&current), old, "nothing changed");
        std::fs::write(at("live.pem"), "half a certi").unwrap();
        current.look();
        assert_eq!(config(&current), old, "what cannot be used is not taken");
        install("new");
        current.look();
        assert_ne!(config(&current), old, "the new ones are taken");
    }
}
