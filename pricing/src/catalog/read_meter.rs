//! Meters, filters, limits and billing out of a file.

use super::reader::{Fields, Value};
use super::settings::{Issue, Zero};
use crate::currency::Rounding;
use crate::group::Filter;
use crate::id::MeterId;
use crate::meter::{Aggregate, LevelUnit, Meter};
use crate::number::Rate;
use crate::time::Span;
use std::collections::BTreeMap;
use std::sync::Arc;

const AGGREGATES: [(&str, Aggregate); 6] = [
    ("count", Aggregate::Count),
    ("sum", Aggregate::Sum),
    ("max", Aggregate::Max),
    ("unique", Aggregate::Unique),
    ("latest", Aggregate::Latest),
    ("time_weighted", Aggregate::TimeWeighted(LevelUnit::Day)),
];

pub(super) const LEVEL_UNITS: [(&str, LevelUnit); 4] =
    [("second", LevelUnit::Second), ("hour", LevelUnit::Hour), ("day", LevelUnit::Day), ("period", LevelUnit::Period)];

pub(super) const ROUNDINGS: [(&str, Rounding); 4] = [
    ("half_away", Rounding::HalfAway),
    ("half_even", Rounding::HalfEven),
    ("up", Rounding::Up),
    ("down", Rounding::Down),
];

/// The settings that a file names; what it leaves out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SomeSettings {
    pub(super) past: Option<Span>,
    pub(super) future: Option<Span>,
    pub(super) events_per_second: Option<u64>,
    pub(super) grace: Option<Span>,
    pub(super) review: Option<Span>,
    pub(super) issue: Option<Issue>,
    pub(super) hold_above: Option<Rate>,
    pub(super) rounding: Option<Rounding>,
    pub(super) zero: Option<Zero>,
}

/// The longest limit or wait: what times can still be counted with.
const SPAN_MAX: Span = Span::from_days(3660);

pub(super) fn settings(root: &Fields<'_>) -> SomeSettings {
    let mut some = SomeSettings::default();
    if let Some(limits) = root.get("limits")
        && let Some(fields) = Fields::open(&limits, &["past", "future", "events_per_second"])
    {
        some.past = span(&fields, "past");
        some.future = span(&fields, "future");
        some.events_per_second = fields.whole("events_per_second");
    }
    let keys = ["grace", "review", "issue", "hold_above", "rounding", "zero"];
    if let Some(billing) = root.get("billing")
        && let Some(fields) = Fields::open(&billing, &keys)
    {
        some.grace = span(&fields, "grace");
        some.review = span(&fields, "review");
        some.issue = fields.word("issue", &[("auto", Issue::Auto), ("approve", Issue::Approve)]);
        some.hold_above = fields.get("hold_above").and_then(|value| {
            value.rate().filter(|rate| !rate.is_negative() || refuse(&value, "found less than 0; write 0% or more"))
        });
        some.rounding = fields.word("rounding", &ROUNDINGS);
        some.zero = fields.word("zero", &[("skip", Zero::Skip), ("issue", Zero::Issue)]);
    }
    some
}

fn refuse(value: &Value<'_>, message: &str) -> bool {
    value.refuse(message);
    false
}

fn span(fields: &Fields<'_>, key: &str) -> Option<Span> {
    let value = fields.get(key)?;
    let span: Span = value.parse()?;
    if span > SPAN_MAX {
        value.refuse(format!("found {span}; at most {SPAN_MAX} are allowed"));
    }
    Some(span)
}

pub(super) fn meter(value: &Value<'_>) -> Option<Meter> {
    let mut fields = Fields::open(value, &["id", "event", "aggregate", "value", "where", "group_by", "per"])?;
    let id: MeterId = id(&mut fields, "meters")?;
    let event = fields.need("event", "the event type that it reads").and_then(|event| event.name());
    let words: Vec<&str> = AGGREGATES.iter().map(|(word, _)| *word).collect();
    let aggregate = fields.need("aggregate", &format!("one of {}", words.join(", ")));
    let aggregate = aggregate.and_then(|aggregate| aggregate.word(&AGGREGATES));
    let aggregate = aggregate.and_then(|aggregate| level_unit(&fields, aggregate));
    let (value, filter, group_by) = (fields.text("value"), filter(&fields), group_by(&fields));
    let meter = Meter { id, event: event?, aggregate: aggregate?, value, filter, group_by };
    if let Err(error) = meter.check() {
        fields.refuse(error.to_string());
    }
    Some(meter)
}

fn level_unit(fields: &Fields<'_>, aggregate: Aggregate) -> Option<Aggregate> {
    match (aggregate, fields.get("per")) {
        (Aggregate::TimeWeighted(_), None) => {
            fields.refuse("'per' is missing; a time_weighted meter needs second, hour, day or period");
            None
        }
        (Aggregate::TimeWeighted(_), Some(per)) => per.word(&LEVEL_UNITS).map(Aggregate::TimeWeighted),
        (other, Some(per)) => {
            per.refuse(format!("only time_weighted meters have 'per', this one is {}; leave it out", other.name()));
            Some(other)
        }
        (other, None) => Some(other),
    }
}

fn group_by(fields: &Fields<'_>) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for value in fields.list("group_by") {
        let Some(name) = value.name() else { continue };
        if names.contains(&name) {
            value.refuse(format!("'{name}' is named twice; name each property once"));
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

/// Which events: `{property: value}` or `{property: [value, value]}`.
pub(super) fn filter(fields: &Fields<'_>) -> Filter {
    let mut properties = BTreeMap::new();
    for (key, value) in fields.get("where").map(|value| value.map()).unwrap_or_default() {
        let mut values: Vec<Arc<str>> = match &value.node.is {
            super::node::Is::List(_) => value.list().iter().filter_map(Value::text).map(Arc::from).collect(),
            _ => value.text().map(Arc::from).into_iter().collect(),
        };
        if values.is_empty() {
            value.refuse("no value; write the value that the property must have, or a list of them");
        }
        values.sort();
        values.dedup();
        properties.insert(Arc::from(key.text.as_str()), values);
    }
    Filter(properties)
}

/// An entity's id, by which its mistakes are named from here on.
pub(super) fn id<T: std::str::FromStr<Err: std::fmt::Display> + std::fmt::Display>(
    fields: &mut Fields<'_>,
    list: &str,
) -> Option<T> {
    let id: T = fields.need("id", "a name that stays")?.parse()?;
    let path = if list.is_empty() { id.to_string() } else { format!("{list}.{id}") };
    fields.rename(path);
    Some(id)
}
