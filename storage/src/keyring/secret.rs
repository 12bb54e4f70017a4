//! Random text and keyed digests.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;

/// The installation's own secret.
#[derive(serde::Deserialize)]
pub(super) struct Installation {
    /// 64 hexadecimal digits.
    secret: String,
}

/// An HMAC-SHA-256, 64 hexadecimal digits.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Digest(String);

/// Random bytes, as hexadecimal text.
pub(super) fn random_hex<const BYTES: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

// === impl Installation ===

impl Installation {
    /// The digest of a key's whole text.
    pub(super) fn digest(&self, key: &str) -> Option<Digest> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.secret.as_bytes()).ok()?;
        mac.update(key.as_bytes());
        Some(Digest(hex(&mac.finalize().into_bytes())))
    }
}

impl fmt::Debug for Installation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Installation(…)")
    }
}

// === impl Digest ===

impl Digest {
    /// Takes the same time wherever they differ.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}
