//! Sessions: who is signed in, by a token that only the browser has.
//!
//! The books keep a session under its token's hash, so nobody can take one over who reads them. A token is made at
//! sign-in and never before: one that was planted in a browser is nobody's session.

use crate::Options;
use axum::http::{HeaderMap, HeaderValue, header};
use invoicer::ledger::{Draft, Error, Filter, Kind};
use invoicer::people::Person;
use invoicer::services::Services;
use pricing::time::{Instant, Span};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use subtle::ConstantTimeEq;

/// A session as the books keep it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Session {
    user: String,
    /// The login's revision as it began: any change of the person ends it.
    login: u64,
    began: Instant,
    seen: Instant,
}

/// What a browser shows, 64 hexadecimal digits. Before a sign-in it vouches for forms and for nobody's session.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

/// All sessions.
#[derive(Clone)]
pub(crate) struct Sessions {
    services: Services,
    options: Options,
}

/// How often the books are told that a session is used.
const SEEN_EVERY: Span = Span::from_seconds(60);

// === impl Sessions ===

impl Sessions {
    pub(crate) fn new(services: Services, options: Options) -> Self {
        Self { services, options }
    }

    /// Begins a session, and forgets those of the same person that are over.
    pub(crate) async fn begin(&self, person: &Person) -> Result<Token, Error> {
        let (ledger, token, now) = (self.services.ledger(), Token::new(), (self.options.clock)());
        let of_person = Filter { tags: vec![("user".to_owned(), person.name.clone())], ..Filter::default() };
        let mut draft = self.draft("sign in");
        for old in ledger.all::<Session>(None, &of_person).await? {
            if self.is_over(&old.value, now) || old.value.login != person.login {
                draft.discard::<Session>(None, &old.id);
            }
        }
        let session = Session { user: person.name.clone(), login: person.login, began: now, seen: now };
        draft.put(None, &token.key(), None, &session)?;
        ledger.commit(draft).await?;
        Ok(token)
    }

    /// Whose session it is, as long as it lasts.
    pub(crate) async fn find(&self, token: &Token) -> Result<Option<Person>, Error> {
        let (ledger, key, now) = (self.services.ledger(), token.key(), (self.options.clock)());
        let Some(found) = ledger.get::<Session>(None, &key).await? else { return Ok(None) };
        if self.is_over(&found.value, now) {
            return Ok(None);
        }
        let session = found.value;
        let person = self.services.people().person(&session.user, session.login).await?;
        if person.is_some() && now.since(session.seen) > SEEN_EVERY {
            let mut draft = self.draft("session");
            draft.put(None, &key, Some(found.revision), &Session { seen: now, ..session })?;
            // Another request may have said so at the same moment.
            if let Err(error) = ledger.commit(draft).await {
                tracing::debug!(%error, "a session was not marked as used");
            }
        }
        Ok(person)
    }

    /// Ends a session.
    pub(crate) async fn end(&self, token: &Token) -> Result<(), Error> {
        let mut draft = self.draft("sign out");
        draft.discard::<Session>(None, &token.key());
        self.services.ledger().commit(draft).await
    }

    fn is_over(&self, session: &Session, now: Instant) -> bool {
        now.since(session.seen) > self.options.idle || now.since(session.began) > self.options.age_max
    }

    fn draft(&self, action: &str) -> Draft {
        Draft::new("console", action, self.services.log_time())
    }
}

impl Kind for Session {
    const COLLECTION: &'static str = "session";
    const AUDITED: bool = false;

    fn tags(&self) -> Vec<(String, String)> {
        vec![("user".to_owned(), self.user.clone())]
    }
}

// === impl Token ===

impl Token {
    /// A new one. Where the system has no randomness, one that no browser can show.
    pub(crate) fn new() -> Self {
        let mut bytes = [0; 32];
        match getrandom::fill(&mut bytes) {
            Ok(()) => Self(hex(&bytes)),
            Err(error) => {
                tracing::error!(%error, "the system gives no random bytes: nobody can sign in");
                Self(String::new())
            }
        }
    }

    /// The one that came with a request.
    pub(crate) fn of(headers: &HeaderMap, is_secure: bool) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut named = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = named.find(|(name, _)| *name == cookie_name(is_secure))?;
        let is_ours = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_ours.then(|| Self(value.to_owned()))
    }

    /// Gives it to the browser.
    pub(crate) fn set(&self, is_secure: bool) -> HeaderValue {
        let secure = if is_secure { "; Secure" } else { "" };
        let text = format!("{}={}; Path=/; HttpOnly; SameSite=Lax{secure}", cookie_name(is_secure), self.0);
        // Hexadecimal digits and our own words: this cannot fail.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// What forms show, so that only pages of ours can send one.
    pub(crate) fn form(&self) -> String {
        self.mark("form")
    }

    /// Whether a form that shows this came from a page of ours.
    pub(crate) fn vouches_for(&self, shown: &str) -> bool {
        self.form().as_bytes().ct_eq(shown.as_bytes()).into()
    }

    /// What a link shows that leads to what was done.
    pub(crate) fn done(&self, what: &str, id: &str) -> String {
        self.mark(&format!("done {what} {id}"))
    }

    /// Whether a link that shows this was made when that was done.
    pub(crate) fn says(&self, what: &str, id: &str, shown: &str) -> bool {
        self.done(what, id).as_bytes().ct_eq(shown.as_bytes()).into()
    }

    /// Under which the books keep its session.
    fn key(&self) -> String {
        self.mark("session")
    }

    /// What only who has the token can know, for one purpose.
    fn mark(&self, purpose: &str) -> String {
        hex(&Sha256::digest(format!("{purpose} {}", self.0)))
    }
}

fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-farthing" } else { "farthing" }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
