//! `/metrics` in Prometheus' text format, from the plain counters that the stages keep.

use super::state::State;
use crate::local::wall;
use pricing::id::TenantId;
use pricing::time::{Instant, Span};
use rater::driver::{ShardStatus, Status, Tally};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

/// Of the answer.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page of metrics, family by family.
#[derive(Default)]
pub(super) struct Page(String);

/// What a family counts.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// All metrics as they are now.
pub(super) fn page(state: &State, connections: usize) -> String {
    let mut page = Page::default();
    page.family("farthing_info", Kind::Gauge, "The program's version and what runs in this process; always 1.");
    page.sample("farthing_info", &[("version", env!("CARGO_PKG_VERSION")), ("stage", state.stage.word())], 1);
    page.one("farthing_ready", Kind::Gauge, "1 while /readyz says so.", u8::from(state.ready().is_ok()));
    page.one("farthing_connections", Kind::Gauge, "Open connections to the port.", connections);
    page.events(state);
    if let Some(ingest) = state.ingest.get() {
        page.ingest(&ingest.stats());
    }
    if let Some(rater) = &state.rater {
        page.rater(state, &rater.shards());
    }
    if state.stage.invoices() {
        let is_leader = state.invoicer.get().is_some() && state.services.get().is_some();
        let help = "1 in the process that ticks and bills, 0 where one stands by.";
        page.one("farthing_invoicer_leader", Kind::Gauge, help, u8::from(is_leader));
    }
    if let Some(invoicer) = state.invoicer.get() {
        let help = "Wall clock minus log time, as the ticker knows it.";
        let skew = seconds(wall(), invoicer.publisher().log_time());
        page.one("farthing_invoicer_log_time_skew_seconds", Kind::Gauge, help, skew);
        let help = "Bills that are held: somebody has to look at them.";
        page.one("farthing_bills_held", Kind::Gauge, help, invoicer.closer().held());
    }
    page.0
}

// === impl Page ===

impl Page {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// Of each tenant: ingest tells what was accepted and refused, the rater what became of it.
    fn events(&mut self, state: &State) {
        let mut counts: BTreeMap<(TenantId, &str), u64> = BTreeMap::new();
        if let Some(ingest) = state.ingest.get() {
            for (tenant, counted) in ingest.stats().tenants().iter() {
                counts.insert((tenant.clone(), "accepted"), counted.accepted.load(Ordering::Relaxed));
                counts.insert((tenant.clone(), "rejected"), counted.rejected.total());
            }
        }
        for (tenant, Tally { duplicate, unpriced, rejected }) in state.rater.iter().flat_map(Status::tenants) {
            for (outcome, count) in [("duplicate", duplicate), ("unpriced", unpriced), ("rejected", rejected)] {
                *counts.entry((tenant.clone(), outcome)).or_default() += count;
            }
        }
        let name = "farthing_events_total";
        self.family(name, Kind::Counter, "Events by what became of them, at the way in and in the fold.");
        for ((tenant, outcome), count) in &counts {
            self.sample(name, &[("tenant", tenant.as_str()), ("outcome", outcome)], count);
        }
    }

    fn ingest(&mut self, stats: &ingest::stats::Stats) {
        let name = "farthing_events_rejected_total";
        self.family(name, Kind::Counter, "Events refused at the way in, by code; docs/errors.md explains them.");
        for (tenant, counted) in stats.tenants().iter() {
            for (code, count) in counted.rejected.counts() {
                self.sample(name, &[("tenant", tenant.as_str()), ("code", code.as_str())], count);
            }
        }
        let counters = [
            ("farthing_requests_refused_total", "Requests refused as a whole.", &stats.refused_requests),
            ("farthing_log_records_total", "Records appended to the log.", &stats.records),
            ("farthing_log_record_bytes_total", "Bytes of those records.", &stats.record_bytes),
            ("farthing_log_appends_failed_total", "Appends that failed.", &stats.failed_appends),
        ];
        for (name, help, counter) in counters {
            self.one(name, Kind::Counter, help, counter.load(Ordering::Relaxed));
        }
    }

    fn rater(&mut self, state: &State, shards: &[ShardStatus]) {
        let (now, ends) = (wall(), state.ends());
        let end = |one: &ShardStatus| ends.get(&one.shard).copied().unwrap_or(one.end).max(one.next);
        let lag = |one: &ShardStatus| end(one).0 - one.next.0;
        let is_behind = |one: &ShardStatus| lag(one) > 0 && one.log_time > Instant::MIN;
        self.shards("lag_records", "Records that are not folded yet.", shards, lag);
        self.shards("lag_seconds", "How long ago the next record's time was; 0 when caught up.", shards, |one| {
            if is_behind(one) { seconds(now, one.log_time) } else { "0".to_owned() }
        });
        let help = "How long ago the newest good snapshot was made, at most since this process began.";
        self.shards("snapshot_age_seconds", help, shards, |one| state.snapshot_age(one.shard).as_secs());
        self.shards("unsent_bytes", "Rows that the charges store has not taken yet.", shards, |one| one.unsent_bytes);
        self.shards("parked_events", "Kept, not yet priceable.", shards, |one| one.counters.parked);
        self.shards("waiting_events", "Ahead of log time.", shards, |one| one.counters.waiting);
        self.shards("ids", "Ids that are known, so that copies count once.", shards, |one| one.ids);
        self.shards("ids_bytes", "Memory of the index of ids.", shards, |one| one.ids_bytes);
        self.shards("ids_disk_bytes", "Known ids on disk.", shards, |one| one.ids_disk_bytes);
        let name = "farthing_log_time_skew_seconds";
        self.family(name, Kind::Gauge, "Wall clock minus log time, where the fold stands.");
        for one in shards.iter().filter(|one| one.log_time > Instant::MIN) {
            self.sample(name, &[("shard", &one.shard.to_string())], seconds(now, one.log_time));
        }
        let name = "farthing_shard_halted";
        self.family(name, Kind::Gauge, "1 where a shard waits for a person, with the reason.");
        for one in shards {
            let reason = one.halted.as_deref().unwrap_or_default();
            let labels = [("shard", one.shard.to_string()), ("reason", reason.to_owned())];
            let labels = labels.each_ref().map(|(name, text)| (*name, text.as_str()));
            self.sample(name, &labels, u8::from(one.halted.is_some()));
        }
        self.arrivals(shards);
    }

    fn arrivals(&mut self, shards: &[ShardStatus]) {
        let name = "farthing_shard_events_total";
        self.family(name, Kind::Counter, "Arrivals by what became of them in the fold.");
        for one in shards {
            let counters = &one.counters;
            let outcomes = [
                ("charged", counters.charged),
                ("unpriced", counters.unpriced),
                ("unmetered", counters.unmetered),
                ("duplicate", counters.duplicate),
                ("rejected", counters.rejected),
            ];
            for (outcome, count) in outcomes {
                self.sample(name, &[("shard", &one.shard.to_string()), ("outcome", outcome)], count);
            }
        }
    }

    fn shards<T: Display>(&mut self, what: &str, help: &str, shards: &[ShardStatus], of: impl Fn(&ShardStatus) -> T) {
        let name = format!("farthing_shard_{what}");
        self.family(&name, Kind::Gauge, help);
        for one in shards {
            self.sample(&name, &[("shard", &one.shard.to_string())], of(one));
        }
    }
}

/// `later` − `earlier` in seconds, to the millisecond; negative when it is the other way round.
fn seconds(later: Instant, earlier: Instant) -> String {
    let (sign, span) = if later >= earlier { ("", later.since(earlier)) } else { ("-", earlier.since(later)) };
    let millis = Span::nanos(span) / 1_000_000;
    format!("{sign}{}.{:03}", millis / 1000, millis % 1000)
}
