//! Between the wire's words and ours.

use pricing::catalog::near;
use pricing::group::Group;
use pricing::id;
use pricing::time::Instant;
use prost_types::Timestamp;
use proto::code::Code;
use proto::status::Problem;
use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

/// A moment on the wire.
pub(super) fn timestamp(time: Instant) -> Timestamp {
    let nanos = time.nanos().rem_euclid(1_000_000_000);
    Timestamp { seconds: time.nanos().div_euclid(1_000_000_000), nanos: i32::try_from(nanos).unwrap_or(0) }
}

/// A moment from the wire.
pub(super) fn instant(field: &str, time: Option<&Timestamp>) -> Result<Option<Instant>, Problem> {
    let Some(time) = time else { return Ok(None) };
    let found = Instant::from_parts(time.seconds, time.nanos);
    found.map(Some).ok_or_else(|| {
        Problem::invalid(Code::TimeInvalid, format!("{field} lies outside the years 1678 to 2261"))
            .with_violation(field, "outside the years 1678 to 2261")
    })
}

/// An id that may be left out.
pub(super) fn optional<T: FromStr<Err = id::Error>>(field: &str, text: &str) -> Result<Option<T>, Problem> {
    if text.is_empty() { Ok(None) } else { required(field, text).map(Some) }
}

/// An id that must be there.
pub(super) fn required<T: FromStr<Err = id::Error>>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: id::Error| {
        Problem::invalid(Code::IdInvalid, format!("{field}: {error}")).with_violation(field, error.to_string())
    })
}

/// The answer to a name that nothing has.
pub(super) fn unknown<'a>(what: &str, found: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
    let message = format!("there is no {what} '{found}'{}", near(found, known));
    Problem::not_found(Code::NameUnknown, message)
}

/// Refuses the first name that is not among those that are known.
pub(super) fn known<'a>(
    what: &str,
    asked: impl IntoIterator<Item = &'a str>,
    known: impl IntoIterator<Item = &'a str>,
) -> Result<(), Problem> {
    let known: BTreeSet<&str> = known.into_iter().collect();
    let missing = asked.into_iter().find(|name| !known.contains(name));
    missing.map_or(Ok(()), |name| Err(unknown(what, name, known.iter().copied())))
}

/// A group on the wire.
pub(super) fn group(group: &Group) -> HashMap<String, String> {
    group.0.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// A group from the wire; empty: none in particular.
pub(super) fn any_group(group: &HashMap<String, String>) -> Option<Group> {
    let mut pairs: Vec<_> = group.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
    pairs.sort();
    (!pairs.is_empty()).then(|| Group(pairs.into()))
}
