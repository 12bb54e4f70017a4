//! An event's way in: checked against limits, clock and catalog, given its shard, and staged for the log. A bad event
//! becomes a rejection and harms no other.

use crate::catalogs::Compiled;
use crate::options::Limits;
use crate::wire::Property;
use pricing::id::{CustomerId, TenantId};
use pricing::meter::{self, Meter};
use pricing::number;
use pricing::time::Instant;
use proto::code::Code;
use proto::v1::Rejection;
use std::ops::Range;
use storage::record::{EventRef, payload_hash};
use storage::shard::{Shard, ShardCount};

/// An event as any of the ways in reads it, without its properties.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) id: &'a str,
    pub(crate) source: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) customer: &'a str,
    pub(crate) time: SentTime,
}

/// The time that the sender gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SentTime {
    /// None: the time of receipt stands in.
    Absent,
    /// A time.
    At(Instant),
    /// None that can be kept.
    OutOfRange,
}

/// Checks one request's events.
pub(crate) struct Intake<'a> {
    tenant: &'a TenantId,
    catalog: &'a Compiled,
    limits: &'a Limits,
    /// The time of receipt.
    now: Instant,
    shards: ShardCount,
    /// The meters of the last event's type: events of one type often come together.
    last_type: (&'a str, &'a [Meter]),
    staged: Staged<'a>,
    rejected: Vec<Rejection>,
    count: usize,
}

/// Events that are good, in chains, one for each shard, in the order in which they came.
pub(crate) struct Staged<'a> {
    tenant: &'a TenantId,
    events: Vec<Link<'a>>,
    properties: Vec<Property<'a>>,
    /// First and last event of each shard.
    chains: Vec<Option<(usize, usize)>>,
}

struct Link<'a> {
    draft: Draft<'a>,
    time: Instant,
    payload: u64,
    properties: Range<usize>,
    next: Option<usize>,
}

/// Why an event is refused.
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) field: String,
    pub(crate) message: String,
}

// === impl Intake ===

impl<'a> Intake<'a> {
    pub(crate) fn new(
        tenant: &'a TenantId,
        catalog: &'a Compiled,
        limits: &'a Limits,
        now: Instant,
        shards: ShardCount,
    ) -> Self {
        let chains = vec![None; usize::from(shards.get())];
        let staged = Staged { tenant, events: Vec::with_capacity(512), properties: Vec::with_capacity(2048), chains };
        let (last_type, rejected) = (("", catalog.readers("")), Vec::new());
        Self { tenant, catalog, limits, now, shards, last_type, staged, rejected, count: 0 }
    }

    /// Where the next event's properties go, before [`Intake::event`].
    pub(crate) fn properties(&mut self) -> &mut Vec<Property<'a>> {
        &mut self.staged.properties
    }

    /// Takes or refuses an event with the properties that were added since the last one.
    pub(crate) fn event(&mut self, draft: Draft<'a>) {
        let start = self.staged.events.last().map_or(0, |last| last.properties.end);
        sort(&mut self.staged.properties, start);
        let checked = self.check(&draft, start);
        match checked {
            Ok(time) => self.stage(draft, time, start),
            Err(refusal) => self.refuse(*refusal),
        }
    }

    /// Refuses an event that could not even be read.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        let start = self.staged.events.last().map_or(0, |last| last.properties.end);
        self.staged.properties.truncate(start);
        let Refusal { code, field, message } = refusal;
        let index = u32::try_from(self.count).unwrap_or(u32::MAX);
        self.rejected.push(Rejection { index, code: code.as_str().to_owned(), field, message });
        self.count += 1;
    }

    /// How many events it was given.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The good ones and the others.
    pub(crate) fn finish(self) -> (Staged<'a>, Vec<Rejection>) {
        (self.staged, self.rejected)
    }

    fn stage(&mut self, draft: Draft<'a>, time: Instant, start: usize) {
        let staged = &mut self.staged;
        let properties = staged.properties.get(start..).unwrap_or_default();
        let sent = match draft.time {
            SentTime::At(time) => Some(time),
            SentTime::Absent | SentTime::OutOfRange => None,
        };
        let payload = payload_hash(draft.event_type, sent, properties);
        let shard = self.shards.of(self.tenant, draft.customer.as_bytes());
        let at = staged.events.len();
        let properties = start..staged.properties.len();
        staged.events.push(Link { draft, time, payload, properties, next: None });
        if let Some(chain) = staged.chains.get_mut(usize::from(shard.0)) {
            let first = match *chain {
                Some((first, last)) => {
                    if let Some(last) = staged.events.get_mut(last) {
                        last.next = Some(at);
                    }
                    first
                }
                None => at,
            };
            *chain = Some((first, at));
        }
        self.count += 1;
    }

    /// The time under which the event is kept.
    fn check(&mut self, draft: &Draft<'a>, start: usize) -> Result<Instant, Box<Refusal>> {
        let limits = self.limits;
        check_text("id", draft.id, limits.id_bytes_max, Code::IdMissing, Code::IdTooLong)?;
        check_text("source", draft.source, limits.source_bytes_max, Code::SourceMissing, Code::SourceTooLong)?;
        check_text("type", draft.event_type, limits.type_bytes_max, Code::TypeMissing, Code::TypeTooLong)?;
        check_customer(draft.customer)?;
        let time = self.check_time(draft.time)?;
        let readers = if self.last_type.0 == draft.event_type {
            self.last_type.1
        } else {
            self.catalog.readers(draft.event_type)
        };
        self.last_type = (draft.event_type, readers);
        let properties = self.staged.properties.get(start..).unwrap_or_default();
        check_properties(properties, limits)?;
        check_readers(readers, properties)?;
        Ok(time)
    }

    fn check_time(&self, sent: SentTime) -> Result<Instant, Box<Refusal>> {
        let (now, past, future) = (self.now, self.catalog.past, self.catalog.future);
        let time = match sent {
            SentTime::Absent => return Ok(now),
            SentTime::At(time) => time,
            SentTime::OutOfRange => {
                let message = "the time is no time between the years 1678 and 2261, with 0 to 999,999,999 nanoseconds";
                return Err(Refusal::boxed(Code::TimeInvalid, "time", format!("{message}; send a valid one")));
            }
        };
        if time < now.minus(past) {
            let message = format!(
                "the time {time} is more than {past} before now ({now}); send events sooner, or raise the limit 'past'"
            );
            return Err(Refusal::boxed(Code::TimeTooOld, "time", message));
        }
        if time > now.plus(future) {
            let message = format!(
                "the time {time} is more than {future} after now ({now}); correct the sender's clock, or raise the limit \
                 'future'; a test system's clock moves by `farthing clock advance`"
            );
            return Err(Refusal::boxed(Code::TimeInFuture, "time", message));
        }
        Ok(time)
    }
}

/// Sorts the properties from `start` on by name; of equal names the last one stays.
fn sort(properties: &mut Vec<Property<'_>>, start: usize) {
    let Some(own) = properties.get_mut(start..) else { return };
    if own.is_sorted_by(|a, b| a.0 < b.0) {
        return;
    }
    own.sort_by(|a, b| a.0.cmp(b.0));
    let mut kept = start;
    for at in start..properties.len() {
        let Some(&property) = properties.get(at) else { break };
        let follows = properties.get(at + 1).is_some_and(|next| next.0 == property.0);
        if !follows {
            if let Some(place) = properties.get_mut(kept) {
                *place = property;
            }
            kept += 1;
        }
    }
    properties.truncate(kept);
}

#[inline]
fn check_text(field: &str, text: &str, bytes_max: usize, missing: Code, long: Code) -> Result<(), Box<Refusal>> {
    if text.is_empty() {
        let message = format!("the event has no {field}; send 1 to {bytes_max} bytes");
        return Err(Refusal::boxed(missing, field, message));
    }
    if text.len() > bytes_max {
        let message = format!("the {field} has {} bytes; at most {bytes_max} are allowed; shorten it", text.len());
        return Err(Refusal::boxed(long, field, message));
    }
    check_nul(text, || field.to_owned())
}

/// NUL is no text that every store and tool could keep.
#[inline]
fn check_nul(text: &str, field: impl FnOnce() -> String) -> Result<(), Box<Refusal>> {
    if text.as_bytes().contains(&0) {
        let message = "the text holds a NUL character (U+0000), which is not allowed; send it without".to_owned();
        return Err(Refusal::boxed(Code::TextHasNul, &field(), message));
    }
    Ok(())
}

#[inline]
fn check_customer(customer: &str) -> Result<(), Box<Refusal>> {
    if customer.is_empty() {
        let message = "the event names no customer; send the id of the one who is billed (CloudEvents: 'subject')";
        return Err(Refusal::boxed(Code::CustomerMissing, "customer", message.to_owned()));
    }
    // Plain ASCII, which is what ids are made of, needs no closer look.
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    if customer.len() <= 128 && customer.bytes().all(plain) {
        return Ok(());
    }
    let checked = CustomerId::new(customer).map(|_| ());
    checked.map_err(|bad| Refusal::boxed(Code::CustomerInvalid, "customer", bad.to_string()))
}

#[inline]
fn check_properties(properties: &[Property<'_>], limits: &Limits) -> Result<(), Box<Refusal>> {
    let Limits { properties_max, name_bytes_max, value_bytes_max, .. } = *limits;
    if properties.len() > properties_max {
        let message =
            format!("the event has {} properties; at most {properties_max} are allowed; send fewer", properties.len());
        return Err(Refusal::boxed(Code::TooManyProperties, "properties", message));
    }
    for (name, value) in properties {
        if name.is_empty() {
            let message = "a property has an empty name; name it, or leave it out".to_owned();
            return Err(Refusal::boxed(Code::PropertyNameMissing, "properties", message));
        }
        if name.len() > name_bytes_max {
            let found = name.len();
            let message =
                format!("a property's name has {found} bytes; at most {name_bytes_max} are allowed; shorten it");
            return Err(Refusal::boxed(Code::PropertyNameTooLong, "properties", message));
        }
        check_nul(name, || "properties".to_owned())?;
        if value.len() > value_bytes_max {
            let found = value.len();
            let message = format!("the value has {found} bytes; at most {value_bytes_max} are allowed; shorten it");
            return Err(Refusal::boxed(Code::PropertyValueTooLong, &format!("properties.{name}"), message));
        }
        check_nul(value, || format!("properties.{name}"))?;
    }
    Ok(())
}

fn check_readers(readers: &[Meter], properties: &[Property<'_>]) -> Result<(), Box<Refusal>> {
    for meter in readers {
        let property = |name: &str| properties.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
        if meter.filter.admits(property) {
            meter.read(property).map_err(|error| Box::new(Refusal::unreadable(&error)))?;
        }
    }
    Ok(())
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn boxed(code: Code, field: &str, message: String) -> Box<Self> {
        Box::new(Self { code, field: field.to_owned(), message })
    }

    fn unreadable(error: &meter::Error) -> Self {
        let (code, property) = match error {
            meter::Error::Unreadable { property, reason, .. } => {
                let code = match reason {
                    number::Error::NotDecimal { .. } | number::Error::DivisionByZero => Code::ValueNotDecimal,
                    number::Error::TooManyDecimals { .. } => Code::ValueTooPrecise,
                    number::Error::TooLarge { .. } | number::Error::Overflow { .. } => Code::ValueTooLarge,
                };
                (code, Some(property))
            }
            meter::Error::Overflow { .. } => (Code::ValueTooLarge, None),
            meter::Error::Missing { property, .. } => (Code::ValueMissing, Some(property)),
            meter::Error::NoValue { .. } | meter::Error::NeedlessValue { .. } => (Code::ValueMissing, None),
        };
        let field = property.map_or_else(|| "properties".to_owned(), |name| format!("properties.{name}"));
        Self { code, field, message: error.to_string() }
    }
}

// === impl Staged ===

impl Staged<'_> {
    /// How many events.
    pub(crate) fn count(&self) -> usize {
        self.events.len()
    }

    /// A shard's events, in the order in which they came.
    pub(crate) fn of_shard(&self, shard: Shard) -> impl Iterator<Item = EventRef<'_>> {
        let mut at = self.chains.get(usize::from(shard.0)).copied().flatten().map(|(first, _)| first);
        std::iter::from_fn(move || {
            let link = self.events.get(at?)?;
            at = link.next;
            Some(EventRef {
                tenant: self.tenant,
                customer: link.draft.customer,
                event_type: link.draft.event_type,
                source: link.draft.source,
                id: link.draft.id,
                time: link.time,
                payload: link.payload,
                properties: self.properties.get(link.properties.clone()).unwrap_or_default(),
            })
        })
    }
}

#[cfg(test)]
mod tests;
