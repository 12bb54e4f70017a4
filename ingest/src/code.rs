//! Every code that ingest answers with, in one table. `docs/errors.md` has an entry for each; a test holds them together.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)*) => {
        /// Why an event or a request was refused. The text never changes.
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

            /// What happened, in one sentence.
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)*
                }
            }
        }
    };
}

codes! {
    // Of one event; its neighbours are not harmed.

    /// The event has no id.
    IdMissing = "ID_MISSING",
    /// The event's id is longer than allowed.
    IdTooLong = "ID_TOO_LONG",
    /// The event has no source.
    SourceMissing = "SOURCE_MISSING",
    /// The event's source is longer than allowed.
    SourceTooLong = "SOURCE_TOO_LONG",
    /// The event has no type.
    TypeMissing = "TYPE_MISSING",
    /// The event's type is longer than allowed.
    TypeTooLong = "TYPE_TOO_LONG",
    /// The event names no customer.
    CustomerMissing = "CUSTOMER_MISSING",
    /// The event's customer can be no customer's id.
    CustomerInvalid = "CUSTOMER_INVALID",
    /// The event's time is no time, or lies outside the years 1678 to 2261.
    TimeInvalid = "TIME_INVALID",
    /// The event is older than the tenant's limit.
    TimeTooOld = "TIME_TOO_OLD",
    /// The event lies further in the future than the tenant's limit.
    TimeInFuture = "TIME_IN_FUTURE",
    /// The event has more properties than allowed.
    TooManyProperties = "TOO_MANY_PROPERTIES",
    /// A property has an empty name.
    PropertyNameMissing = "PROPERTY_NAME_MISSING",
    /// A property's name is longer than allowed.
    PropertyNameTooLong = "PROPERTY_NAME_TOO_LONG",
    /// A property's value is longer than allowed.
    PropertyValueTooLong = "PROPERTY_VALUE_TOO_LONG",
    /// A text of the event holds a NUL character.
    TextHasNul = "TEXT_HAS_NUL",
    /// A meter reads a property that the event has not got.
    ValueMissing = "VALUE_MISSING",
    /// A meter reads a number from a property that holds no plain decimal number.
    ValueNotDecimal = "VALUE_NOT_DECIMAL",
    /// A meter reads a number that has more than nine decimals.
    ValueTooPrecise = "VALUE_TOO_PRECISE",
    /// A meter reads a number that is too large to be kept exactly.
    ValueTooLarge = "VALUE_TOO_LARGE",

    // Of one CloudEvent, over HTTP or from a file.

    /// The text is no JSON object that could be a CloudEvent.
    EventMalformed = "EVENT_MALFORMED",
    /// The CloudEvent's specversion is not 1.0.
    SpecversionUnsupported = "SPECVERSION_UNSUPPORTED",
    /// An attribute of the CloudEvent is not text.
    AttributeNotText = "ATTRIBUTE_NOT_TEXT",
    /// The CloudEvent's data is not a JSON object.
    DataNotObject = "DATA_NOT_OBJECT",
    /// The CloudEvent's data holds an array.
    DataHasArray = "DATA_HAS_ARRAY",
    /// The CloudEvent's data is nested too deep.
    DataTooDeep = "DATA_TOO_DEEP",

    // Of the whole request.

    /// The request's bytes are not what its type says.
    RequestMalformed = "REQUEST_MALFORMED",
    /// The request has more bytes than allowed.
    RequestTooLarge = "REQUEST_TOO_LARGE",
    /// The request has more events than allowed.
    TooManyEvents = "TOO_MANY_EVENTS",
    /// The HTTP request's content type is none that is understood.
    ContentTypeUnsupported = "CONTENT_TYPE_UNSUPPORTED",
    /// The call carries no key.
    KeyMissing = "KEY_MISSING",
    /// The key is unknown, or was revoked.
    KeyUnknown = "KEY_UNKNOWN",
    /// The key's scope does not allow it.
    ScopeDenied = "SCOPE_DENIED",
    /// The installation's key acts for a tenant, and the call names none.
    TenantMissing = "TENANT_MISSING",
    /// The call names something that can be no tenant's id.
    TenantInvalid = "TENANT_INVALID",
    /// The call names another tenant than the key's own.
    TenantDenied = "TENANT_DENIED",
    /// The tenant sends more events a second than its limit.
    RateExceeded = "RATE_EXCEEDED",
    /// Too many bytes wait for the log already.
    QueueFull = "QUEUE_FULL",
    /// The log takes no records now; nothing was written.
    LogUnavailable = "LOG_UNAVAILABLE",
    /// It is not known whether the log took the events.
    LogUncertain = "LOG_UNCERTAIN",
    /// The server is shutting down.
    ShuttingDown = "SHUTTING_DOWN",
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_every_code_as_it_is() {
        let page = include_str!("../../docs/errors.md");
        let (_, page) = page.split_once("<!-- ingest").unwrap();
        let (page, _) = page.split_once("<!-- /ingest -->").unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| {
            let cells: Vec<&str> = row.split(" | ").collect();
            let [code, happened, to_do] = cells[..] else { panic!("not three cells: {row}") };
            assert!(to_do.len() > 12, "{code} does not say what to do");
            (code.trim_end_matches('`'), happened)
        });
        let wanted: Vec<_> = Code::ALL.iter().map(|code| (code.as_str(), code.summary())).collect();
        assert_eq!(rows.collect::<Vec<_>>(), wanted);
    }
}
