//! Every code that any service answers with, in one table. `docs/errors.md` has an entry for each; a test holds them
//! together.

use crate::kind::Kind;
use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal $kind:ident,)*) => {
        /// Why an event or a call was refused. The text never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Code {
            /// All of them, in the order of the page.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable text, such as `VALUE_NOT_DECIMAL`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What sort of problem it always is, with no time to wait yet. Of one event: always [`Kind::Invalid`].
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$name => kinds::$kind,)*
                }
            }

            /// What happened, in one sentence.
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)*
                }
            }
        }
    };
}

/// The kinds by short names, for the table.
mod kinds {
    use super::Kind;
    use std::time::Duration;

    pub(super) const INVALID: Kind = Kind::Invalid;
    pub(super) const TOO_LARGE: Kind = Kind::TooLarge;
    pub(super) const UNAUTHENTICATED: Kind = Kind::Unauthenticated;
    pub(super) const DENIED: Kind = Kind::Denied;
    pub(super) const NOT_FOUND: Kind = Kind::NotFound;
    pub(super) const METHOD: Kind = Kind::Method;
    pub(super) const CONFLICT: Kind = Kind::Conflict;
    pub(super) const EXHAUSTED: Kind = Kind::Exhausted { retry_after: Duration::ZERO };
    pub(super) const UNAVAILABLE: Kind = Kind::Unavailable { retry_after: Duration::ZERO };
    pub(super) const INTERNAL: Kind = Kind::Internal;
}

codes! {
    // Of one event; its neighbours are not harmed.

    /// The event has no id.
    IdMissing = "ID_MISSING" INVALID,
    /// The event's id is longer than allowed.
    IdTooLong = "ID_TOO_LONG" INVALID,
    /// The event has no source.
    SourceMissing = "SOURCE_MISSING" INVALID,
    /// The event's source is longer than allowed.
    SourceTooLong = "SOURCE_TOO_LONG" INVALID,
    /// The event has no type.
    TypeMissing = "TYPE_MISSING" INVALID,
    /// The event's type is longer than allowed.
    TypeTooLong = "TYPE_TOO_LONG" INVALID,
    /// The event names no customer.
    CustomerMissing = "CUSTOMER_MISSING" INVALID,
    /// The event's customer can be no customer's id.
    CustomerInvalid = "CUSTOMER_INVALID" INVALID,
    /// The event's time is no time, or lies outside the years 1678 to 2261.
    TimeInvalid = "TIME_INVALID" INVALID,
    /// The event is older than the tenant's limit.
    TimeTooOld = "TIME_TOO_OLD" INVALID,
    /// The event lies further in the future than the tenant's limit.
    TimeInFuture = "TIME_IN_FUTURE" INVALID,
    /// The event has more properties than allowed.
    TooManyProperties = "TOO_MANY_PROPERTIES" INVALID,
    /// A property has an empty name.
    PropertyNameMissing = "PROPERTY_NAME_MISSING" INVALID,
    /// A property's name is longer than allowed.
    PropertyNameTooLong = "PROPERTY_NAME_TOO_LONG" INVALID,
    /// A property's value is longer than allowed.
    PropertyValueTooLong = "PROPERTY_VALUE_TOO_LONG" INVALID,
    /// A text of the event holds a NUL character.
    TextHasNul = "TEXT_HAS_NUL" INVALID,
    /// A meter reads a property that the event has not got.
    ValueMissing = "VALUE_MISSING" INVALID,
    /// A meter reads a number from a property that holds no plain decimal number.
    ValueNotDecimal = "VALUE_NOT_DECIMAL" INVALID,
    /// A meter reads a number that has more than nine decimals.
    ValueTooPrecise = "VALUE_TOO_PRECISE" INVALID,
    /// A meter reads a number that is too large to be kept exactly.
    ValueTooLarge = "VALUE_TOO_LARGE" INVALID,

    // Of one CloudEvent, over HTTP or from a file.

    /// The text is no JSON object that could be a CloudEvent.
    EventMalformed = "EVENT_MALFORMED" INVALID,
    /// The CloudEvent's specversion is not 1.0.
    SpecversionUnsupported = "SPECVERSION_UNSUPPORTED" INVALID,
    /// An attribute of the CloudEvent is not text.
    AttributeNotText = "ATTRIBUTE_NOT_TEXT" INVALID,
    /// The CloudEvent's data is not a JSON object.
    DataNotObject = "DATA_NOT_OBJECT" INVALID,
    /// The CloudEvent's data holds an array.
    DataHasArray = "DATA_HAS_ARRAY" INVALID,
    /// The CloudEvent's data is nested too deep.
    DataTooDeep = "DATA_TOO_DEEP" INVALID,

    // Of a whole call, to any service.

    /// The request's bytes are not what its type says.
    RequestMalformed = "REQUEST_MALFORMED" INVALID,
    /// The call carries no key.
    KeyMissing = "KEY_MISSING" UNAUTHENTICATED,
    /// The key is unknown, or was revoked.
    KeyUnknown = "KEY_UNKNOWN" UNAUTHENTICATED,
    /// The key's scope does not allow it.
    ScopeDenied = "SCOPE_DENIED" DENIED,
    /// The key belongs to one tenant, and the call is about another, or about what all tenants share.
    TenantDenied = "TENANT_DENIED" DENIED,
    /// The installation's key acts for a tenant, and the call names none.
    TenantMissing = "TENANT_MISSING" INVALID,
    /// The call names something that can be no tenant's id.
    TenantInvalid = "TENANT_INVALID" INVALID,
    /// Nobody declared the tenant.
    TenantUnknown = "TENANT_UNKNOWN" NOT_FOUND,
    /// Nothing is at the path of the HTTP request.
    PathUnknown = "PATH_UNKNOWN" NOT_FOUND,
    /// The path of the HTTP request takes other methods.
    MethodNotAllowed = "METHOD_NOT_ALLOWED" METHOD,
    /// The service is not ready: the process starts, stops, or waits for another one to give way.
    NotReady = "NOT_READY" UNAVAILABLE,

    // Of a whole call that sends events.

    /// The request has more bytes than allowed.
    RequestTooLarge = "REQUEST_TOO_LARGE" TOO_LARGE,
    /// The request has more events than allowed.
    TooManyEvents = "TOO_MANY_EVENTS" TOO_LARGE,
    /// The HTTP request's content type is none that is understood.
    ContentTypeUnsupported = "CONTENT_TYPE_UNSUPPORTED" INVALID,
    /// The tenant sends more events a second than its limit.
    RateExceeded = "RATE_EXCEEDED" EXHAUSTED,
    /// Too many bytes are on their way to the log already.
    QueueFull = "QUEUE_FULL" EXHAUSTED,
    /// The request's bytes did not come to their end in time.
    RequestTooSlow = "REQUEST_TOO_SLOW" EXHAUSTED,
    /// Too many calls are under way already.
    TooManyCalls = "TOO_MANY_CALLS" EXHAUSTED,
    /// The log takes no records now; nothing was written.
    LogUnavailable = "LOG_UNAVAILABLE" UNAVAILABLE,
    /// It is not known whether the log took the events.
    LogUncertain = "LOG_UNCERTAIN" UNAVAILABLE,
    /// Log time stands still, so that events could only wait for it; nothing was written.
    LogTimeStands = "LOG_TIME_STANDS" UNAVAILABLE,
    /// The server is shutting down.
    ShuttingDown = "SHUTTING_DOWN" UNAVAILABLE,

    // Of a whole call to one of the other services.

    /// A field holds what can be no id.
    IdInvalid = "ID_INVALID" INVALID,
    /// The page size is larger than allowed.
    PageSizeInvalid = "PAGE_SIZE_INVALID" INVALID,
    /// The page token is none that this call gave.
    PageTokenInvalid = "PAGE_TOKEN_INVALID" INVALID,
    /// The call names no period.
    PeriodMissing = "PERIOD_MISSING" INVALID,
    /// The call gives no reason for something that needs one.
    ReasonMissing = "REASON_MISSING" INVALID,
    /// A field names no kind of outcome.
    KindUnknown = "KIND_UNKNOWN" INVALID,
    /// A field names no status of a bill.
    StatusUnknown = "STATUS_UNKNOWN" INVALID,
    /// A field names no format that can be exported.
    FormatUnknown = "FORMAT_UNKNOWN" INVALID,
    /// Webhooks are not told such a thing.
    EventUnknown = "EVENT_UNKNOWN" INVALID,
    /// The address is none that a webhook may have.
    UrlRefused = "URL_REFUSED" INVALID,
    /// A field names no scope of keys.
    ScopeUnknown = "SCOPE_UNKNOWN" INVALID,
    /// A field holds what can be no amount of its currency.
    AmountInvalid = "AMOUNT_INVALID" INVALID,
    /// A field holds no date.
    DateInvalid = "DATE_INVALID" INVALID,
    /// The invoice has no such line.
    LineInvalid = "LINE_INVALID" INVALID,
    /// A person's name, role or password cannot be.
    UserInvalid = "USER_INVALID" INVALID,
    /// The log has no such shard.
    ShardUnknown = "SHARD_UNKNOWN" INVALID,
    /// The catalog file has mistakes; each is listed with its place.
    CatalogInvalid = "CATALOG_INVALID" INVALID,
    /// What was declared is longer than a record of the log can be.
    RecordTooLarge = "RECORD_TOO_LARGE" INVALID,
    /// The file is one tenant's, and the call is for another.
    TenantMismatch = "TENANT_MISMATCH" INVALID,
    /// The clock was to be moved back.
    ClockBack = "CLOCK_BACK" INVALID,
    /// There is no such bill or invoice.
    InvoiceNotFound = "INVOICE_NOT_FOUND" NOT_FOUND,
    /// Nothing has the name.
    NameUnknown = "NAME_UNKNOWN" NOT_FOUND,
    /// The invoice has no such payment or write-off.
    EntryNotFound = "ENTRY_NOT_FOUND" NOT_FOUND,
    /// There is no such key.
    KeyNotFound = "KEY_NOT_FOUND" NOT_FOUND,
    /// There is no such webhook.
    WebhookNotFound = "WEBHOOK_NOT_FOUND" NOT_FOUND,
    /// There is no such delivery, or it is too old to be kept.
    DeliveryNotFound = "DELIVERY_NOT_FOUND" NOT_FOUND,
    /// There is no such user.
    UserNotFound = "USER_NOT_FOUND" NOT_FOUND,
    /// No tenant was declared yet.
    NoTenant = "NO_TENANT" CONFLICT,
    /// Another tenant's user has the name.
    UserTaken = "USER_TAKEN" CONFLICT,
    /// The bill's state does not allow it.
    BillState = "BILL_STATE" CONFLICT,
    /// The draft is not what the caller saw.
    DraftChanged = "DRAFT_CHANGED" CONFLICT,
    /// It is more than what is left.
    MoreThanLeft = "MORE_THAN_LEFT" CONFLICT,
    /// Something else was written down under that name.
    NameTaken = "NAME_TAKEN" CONFLICT,
    /// A credit is lessened or changed of which bills have taken more already.
    CreditUsed = "CREDIT_USED" CONFLICT,
    /// The bill has no document yet.
    NoDocument = "NO_DOCUMENT" CONFLICT,
    /// The bill is not issued yet.
    NotIssued = "NOT_ISSUED" CONFLICT,
    /// The document lacks what its electronic form needs, or has no such form.
    DocumentLacking = "DOCUMENT_LACKING" CONFLICT,
    /// The tenant has as many webhooks as it may have.
    TooManyWebhooks = "TOO_MANY_WEBHOOKS" CONFLICT,
    /// The system's clock is no test clock.
    NotTestClock = "NOT_TEST_CLOCK" CONFLICT,
    /// The clock cannot be moved now, or is another process' to move.
    ClockRefused = "CLOCK_REFUSED" CONFLICT,
    /// The clock was moved as far as it goes: something due does not get done.
    ClockStuck = "CLOCK_STUCK" CONFLICT,
    /// A shard of the log stands, and with it what waits for it.
    ShardHalted = "SHARD_HALTED" CONFLICT,
    /// The shard does not stand at the record that is to be stepped over, or nothing is known to be wrong with it.
    SkipRefused = "SKIP_REFUSED" CONFLICT,
    /// Somebody else changed the same at the same moment.
    Conflict = "CONFLICT" UNAVAILABLE,
    /// Books, charges or log cannot be reached now.
    StorageUnavailable = "STORAGE_UNAVAILABLE" UNAVAILABLE,
    /// The answer has too many rows (usage: 10,000), or numbers larger than can be kept exactly.
    AnswerTooLarge = "ANSWER_TOO_LARGE" CONFLICT,
    /// The books hold what cannot be read.
    BooksDamaged = "BOOKS_DAMAGED" INTERNAL,
    /// The charges hold what cannot be read.
    ChargesDamaged = "CHARGES_DAMAGED" INTERNAL,
    /// The log holds what cannot be read.
    LogDamaged = "LOG_DAMAGED" INTERNAL,
    /// A fault of Farthing's own.
    Internal = "INTERNAL" INTERNAL,
}

impl Code {
    /// The code with this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page's own words for a kind: code of gRPC, status of HTTP.
    fn answer(kind: Kind) -> String {
        let debug = format!("{:?}", kind.code());
        let words = debug.chars().enumerate().fold(String::new(), |mut words, (at, letter)| {
            if at > 0 && letter.is_uppercase() {
                words.push('_');
            }
            words.push(letter.to_ascii_uppercase());
            words
        });
        format!("{words}, {}", kind.http().as_u16())
    }

    #[test]
    fn the_page_lists_every_code_as_it_is() {
        let page = include_str!("../../docs/errors.md");
        let (_, page) = page.split_once("<!-- codes").unwrap();
        let (page, _) = page.split_once("<!-- /codes -->").unwrap();
        let mut found = Vec::new();
        for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
            let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
            let code = Code::parse(cells[0].trim_end_matches('`')).unwrap_or_else(|| panic!("no code: {row}"));
            let (happened, to_do) = match cells[..] {
                // Of one event: its neighbours are not harmed, and it is never to be sent again as it is.
                [_, happened, to_do] => {
                    assert_eq!(code.kind(), Kind::Invalid, "{code}");
                    (happened, to_do)
                }
                [_, says, again, happened, to_do] => {
                    assert_eq!(says, answer(code.kind()), "{code}");
                    assert_eq!(again == "yes", code.kind().retry_after().is_some(), "{code}");
                    (happened, to_do)
                }
                _ => panic!("not three or five cells: {row}"),
            };
            assert!(to_do.len() > 12, "{code} does not say what to do");
            found.push((code, happened));
        }
        let wanted: Vec<_> = Code::ALL.iter().map(|code| (*code, code.summary())).collect();
        assert_eq!(found, wanted);
    }
}
