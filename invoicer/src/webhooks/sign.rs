//! Signatures, as Standard Webhooks describes them: HMAC-SHA256 over `ID.TIMESTAMP.BODY`.

use super::kinds::Secrets;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use pricing::time::{Instant, Span};
use sha2::Sha256;

/// What secrets begin with.
const PREFIX: &str = "whsec_";

/// How long messages are signed with the secret before, too.
const OVERLAP: Span = Span::from_days(1);

impl Secrets {
    /// The first secret.
    pub(crate) fn new(random: [u8; 24]) -> Self {
        Self { current: format!("{PREFIX}{}", STANDARD.encode(random)), previous: None }
    }

    /// A new secret in place of this one.
    pub(crate) fn rotated(&self, random: [u8; 24], now: Instant) -> Self {
        Self { previous: Some((self.current.clone(), now.plus(OVERLAP))), ..Self::new(random) }
    }

    /// The headers of a message.
    pub(super) fn headers(&self, message: &str, now: Instant, body: &str) -> Vec<(&'static str, String)> {
        let timestamp = now.nanos().div_euclid(1_000_000_000).to_string();
        let signed = format!("{message}.{timestamp}.{body}");
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
        let signatures =
            [Some(&self.current), previous].into_iter().flatten().filter_map(|secret| sign(secret, &signed));
        vec![
            ("webhook-id", message.to_owned()),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signatures.collect::<Vec<_>>().join(" ")),
        ]
    }
}

/// None for a secret that is none.
fn sign(secret: &str, signed: &str) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).ok()?;
    mac.update(signed.as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_known_signature() {
        let secrets = Secrets { current: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), previous: None };
        let now = Instant::from_nanos(1_614_265_330_000_000_000);
        let headers = secrets.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", now, r#"{"test": 2432232314}"#);
        let wanted = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(
            headers[1..],
            [("webhook-timestamp", "1614265330".to_owned()), ("webhook-signature", wanted.to_owned())]
        );
        let rotated = secrets.rotated([7; 24], now);
        let both = rotated.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", now, r#"{"test": 2432232314}"#);
        assert!(both[2].1.ends_with(wanted) && both[2].1.split(' ').count() == 2, "{both:?}");
        let later = rotated.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", now.plus(OVERLAP), "{}");
        assert_eq!(later[2].1.split(' ').count(), 1);
    }
}
