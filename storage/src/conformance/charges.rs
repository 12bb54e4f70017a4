//! The suite for [`Charges`]: whatever was stored, every answer is that of the simple store in memory.

use crate::charges::{Charges, Error, ExplainQuery, OutcomeQuery, PeriodKey, Resolution, UsageQuery};
use crate::output::{ChargeRow, ChargeRows, Counters, EventPlace, Manifest, Outcome, OutcomeKind, Output, Series};
use crate::shard::{Offset, Position, Shard};
use crate::sim;
use crate::wide::merge_rows;
use pricing::group::Group;
use pricing::id::{CustomerId, MeterId, PlanId, PriceId, SubscriptionId, TenantId};
use pricing::number::{Amount, Quantity};
use pricing::period::Period;
use pricing::plan::PlanRef;
use pricing::time::Instant;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

const RECORDS: u64 = 6;

/// Runs all of it: `open` opens an empty store the first time, and the same one again after that.
pub async fn suite(open: impl AsyncFn() -> Arc<dyn Charges>) {
    let store = open().await;
    let model = sim::charges::Charges::new(sim::faults::Faults::new(0, sim::faults::Chances::default()));
    assert_eq!(store.boundary(Shard(1)).await.unwrap(), None);
    let mut random = StdRng::seed_from_u64(1);
    let mut all = Vec::new();
    for step in 0..8u64 {
        let mut outputs = Vec::new();
        for shard in [Shard(0), Shard(1)] {
            outputs.push(output(&mut random, shard, step * RECORDS));
        }
        model.insert(outputs.clone()).await.unwrap();
        store.insert(outputs.clone()).await.unwrap();
        all.extend(outputs);
    }
    agree(&*store, &model).await;
    only_events_are_counted(&*store, &all).await;
    gaps_are_refused(&*store, &mut random).await;
    // What was stored before, whole or cut into other pieces, changes nothing.
    store.insert(all.clone()).await.unwrap();
    store.insert(vec![joined(&all[12], &all[14])]).await.unwrap();
    agree(&*store, &model).await;
    drop(store);
    let store = open().await;
    agree(&*store, &model).await;
    // A piece that begins before the boundary and ends after it adds what is new.
    let next = output(&mut random, Shard(0), 8 * RECORDS);
    store.insert(vec![joined(&all[14], &next)]).await.unwrap();
    model.insert(vec![next]).await.unwrap();
    agree(&*store, &model).await;
    sums_merge(&*store).await;
    extremes(&*store, &model).await;
}

/// Every question that can be asked gets one answer from both.
pub async fn agree(store: &dyn Charges, model: &dyn Charges) {
    for shard in [Shard(0), Shard(1), Shard(2)] {
        assert_eq!(store.boundary(shard).await.unwrap(), model.boundary(shard).await.unwrap());
    }
    for shards in [&[Shard(1)][..], &[Shard(1), Shard(0), Shard(2)]] {
        let mut after: Vec<_> = shards.iter().map(|shard| (*shard, None)).collect();
        let expected = model.manifests(&after, 1000).await.unwrap();
        let mut manifests = Vec::new();
        loop {
            let page = store.manifests(&after, 5).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 5);
            for Manifest { position, .. } in &page {
                after
                    .iter_mut()
                    .filter(|(shard, _)| *shard == position.shard)
                    .for_each(|(_, at)| *at = Some(*position));
            }
            manifests.extend(page);
        }
        assert!(!expected.is_empty() && expected.is_sorted_by_key(|manifest| manifest.position));
        assert_eq!(manifests, expected);
    }
    for tenant in ["acme", "other", "nobody"] {
        let tenant = TenantId::new(tenant).unwrap();
        let sums = store.sums(&tenant, &periods()).await.unwrap();
        assert_eq!(sums, model.sums(&tenant, &periods()).await.unwrap());
        let newest = sorted(store.newest(&tenant, &periods()).await.unwrap());
        assert_eq!(newest, sorted(model.newest(&tenant, &periods()).await.unwrap()));
        usages_agree(store, model, &tenant).await;
        explanations_agree(store, model, &tenant).await;
        outcomes_agree(store, model, &tenant).await;
    }
}

fn sorted(mut manifests: Vec<Manifest>) -> Vec<Manifest> {
    manifests.sort_by_key(|manifest| manifest.position);
    manifests
}

async fn usages_agree(store: &dyn Charges, model: &dyn Charges, tenant: &TenantId) {
    let (early, late) = (Some(hours(3)), Some(hours(30)));
    let (least, most) = (Some(Instant::MIN), Some(Instant::MAX));
    let stretches =
        [(None, None), (early, late), (late, early), (None, late), (early, None), (least, most), (most, least)];
    for by in [Resolution::Period, Resolution::Day, Resolution::Hour] {
        for (from, until) in stretches {
            for (customer, meter) in [(None, None), (Some("c1"), None), (None, Some("m0")), (Some("c2"), Some("m1"))] {
                let query = UsageQuery {
                    tenant: tenant.clone(),
                    customer: customer.map(|customer| CustomerId::new(customer).unwrap()),
                    meter: meter.map(|meter| MeterId::new(meter).unwrap()),
                    from,
                    until,
                    by,
                    rows_max: usize::MAX,
                };
                let (found, expected) = (store.usage(&query).await.unwrap(), model.usage(&query).await.unwrap());
                assert_eq!(found, expected, "{query:?}");
                let bounded = |rows_max| UsageQuery { rows_max, ..query.clone() };
                assert_eq!(store.usage(&bounded(found.len())).await.unwrap(), found, "{query:?}");
                if let Some(rows_max) = found.len().checked_sub(1) {
                    let refused = store.usage(&bounded(rows_max)).await;
                    assert!(matches!(refused, Err(Error::TooMany { .. })), "{query:?}: {refused:?}");
                }
            }
        }
    }
}

/// What no event caused, such as the rows of a close, counts for nothing in usage.
async fn only_events_are_counted(store: &dyn Charges, all: &[Output]) {
    let rows = all.iter().flat_map(|output| &output.charges.rows);
    let (events, others): (Vec<&ChargeRow>, Vec<&ChargeRow>) = rows.partition(|row| row.event.is_event());
    assert!(!others.is_empty());
    for by in [Resolution::Period, Resolution::Hour] {
        let mut counted = 0;
        for tenant in ["acme", "other"] {
            let (tenant, rows_max) = (TenantId::new(tenant).unwrap(), usize::MAX);
            let query = UsageQuery { tenant, customer: None, meter: None, from: None, until: None, by, rows_max };
            counted += store.usage(&query).await.unwrap().iter().map(|row| row.count).sum::<u64>();
        }
        assert_eq!(counted, u64::try_from(events.len()).unwrap());
    }
}

async fn explanations_agree(store: &dyn Charges, model: &dyn Charges, tenant: &TenantId) {
    for period in periods() {
        for (price, group, records) in [
            (None, None, 0..u64::MAX),
            (Some("p1"), None, 0..20),
            (Some("p0"), Some(group(1)), 7..u64::MAX),
            (None, None, 5..30),
        ] {
            let mut query = ExplainQuery::all(tenant.clone(), period.clone(), 1000);
            query.price = price.map(|price| PriceId::new(price).unwrap());
            (query.group, query.records) = (group, Offset(records.start)..Offset(records.end));
            let expected = model.explain(&query).await.unwrap();
            assert_eq!(store.explain(&query).await.unwrap(), expected);
            query.count_max = 7;
            let mut paged = Vec::new();
            loop {
                let page = store.explain(&query).await.unwrap();
                let Some(last) = page.last() else { break };
                query.after = Some((last.time, last.position));
                paged.extend(page);
            }
            assert_eq!(paged, expected);
        }
    }
}

async fn outcomes_agree(store: &dyn Charges, model: &dyn Charges, tenant: &TenantId) {
    for customer in [None, Some("c1".to_owned())] {
        for kinds in [vec![], vec![OutcomeKind::Parked], vec![OutcomeKind::Unpriced, OutcomeKind::NotBackfilled]] {
            let (tenant, customer) = (tenant.clone(), customer.clone());
            let mut query = OutcomeQuery { tenant, customer, kinds, after: None, count_max: 1000 };
            let expected = model.outcomes(&query).await.unwrap();
            query.count_max = 2;
            let mut paged = Vec::new();
            loop {
                let page = store.outcomes(&query).await.unwrap();
                let Some(last) = page.last() else { break };
                query.after = Some(last.position);
                paged.extend(page);
            }
            assert_eq!(paged, expected);
        }
    }
}

async fn gaps_are_refused(store: &dyn Charges, random: &mut StdRng) {
    let before = store.boundary(Shard(0)).await.unwrap();
    let fine = output(random, Shard(0), 8 * RECORDS);
    let gap = output(random, Shard(1), 8 * RECORDS + 1);
    match store.insert(vec![fine, gap]).await {
        Err(Error::Gap { shard: Shard(1), next, from }) => {
            assert_eq!((next, from), (Offset(8 * RECORDS), Offset(8 * RECORDS + 1)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.boundary(Shard(0)).await.unwrap(), before, "all of an insert or nothing");
}

async fn sums_merge(store: &dyn Charges) {
    let sums = store.sums(&TenantId::new("acme").unwrap(), &periods()).await.unwrap();
    for of_period in sums {
        let rows: u64 = of_period.iter().map(|sum| sum.count).sum();
        let merged = merge_rows(of_period.clone(), |price| price.as_str() == "p0").unwrap();
        assert_eq!(rows, merged.iter().map(|sum| sum.count).sum::<u64>());
        assert!(merged.iter().all(|sum| (sum.price.as_str() == "p0") == (sum.row > 0)));
        assert!(merged.is_sorted_by(|a, b| (&a.price, &a.group, a.row) < (&b.price, &b.group, b.row)));
    }
}

/// Rows as large as they can be are stored like any other; what they come to is an error only where nothing holds it, and
/// only of the question that asks for it.
async fn extremes(store: &dyn Charges, model: &dyn Charges) {
    let (most, least) = (Quantity::MAX, Quantity::MAX.neg());
    let (rich, poor) = (Amount::MAX, Amount::MAX.neg());
    let balanced = [(most, rich), (most, rich), (most, poor), (least, poor), (least, Amount::ZERO), (least, rich)];
    let beyond = [(most, Amount::ZERO), (most, Amount::ZERO)];
    let mut charges = ChargeRows { sources: vec!["api".into()], ..ChargeRows::default() };
    let tenant = TenantId::new("extreme").unwrap();
    for (number, rows) in [&balanced[..], &beyond[..]].into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        let of_series = series(&mut StdRng::seed_from_u64(1), 0);
        let customer = CustomerId::new(&format!("c{number}")).unwrap();
        charges.series.push(Series { tenant: tenant.clone(), customer, start: hours(0), ..of_series });
        for (quantity, amount) in rows {
            let index = u32::try_from(charges.rows.len()).unwrap();
            let mut row = row(&mut StdRng::seed_from_u64(2), 0, index, &mut charges.ids);
            (row.series, row.quantity, row.amount, row.source) = (number, *quantity, *amount, 0);
            row.tier = 1;
            charges.rows.push(row);
        }
    }
    let (from, to, counters) = (Offset(0), Offset(1), Counters::default());
    let (manifests, outcomes) = (Vec::new(), Vec::new());
    let (shard, log_time, close_due) = (Shard(3), hours(1), false);
    let record = 0;
    let output = Output { shard, from, to, log_time, charges, manifests, outcomes, counters, close_due, record };
    model.insert(vec![output.clone()]).await.unwrap();
    store.insert(vec![output]).await.unwrap();
    assert_eq!(store.boundary(Shard(3)).await.unwrap().unwrap().next, Offset(1));
    let [fits, overflows, ..] = &periods()[..].iter().step_by(2).cloned().collect::<Vec<_>>()[..] else { panic!() };
    let sums = store.sums(&tenant, std::slice::from_ref(fits)).await.unwrap();
    assert_eq!(sums, model.sums(&tenant, std::slice::from_ref(fits)).await.unwrap());
    assert_eq!((sums[0][0].count, sums[0][0].quantity, sums[0][0].amount), (6, Quantity::ZERO, rich));
    let refused = store.sums(&tenant, std::slice::from_ref(overflows)).await;
    assert!(matches!(refused, Err(Error::Overflow { .. })), "{refused:?}");
    let (customer, by) = (Some(fits.customer.clone()), Resolution::Hour);
    let mut query = UsageQuery { tenant, customer, meter: None, from: None, until: None, by, rows_max: 1_000 };
    assert_eq!(store.usage(&query).await.unwrap(), model.usage(&query).await.unwrap());
    query.customer = Some(overflows.customer.clone());
    let refused = store.usage(&query).await;
    assert!(matches!(refused, Err(Error::Overflow { .. })), "{refused:?}");
}

fn hours(count: i64) -> Instant {
    Instant::from_nanos(count * 3_600_000_000_000)
}

fn group(number: u32) -> Group {
    Group(if number == 0 { [].into() } else { [("region".into(), format!("r\"{number}").into())].into() })
}

fn periods() -> Vec<PeriodKey> {
    let key = |customer: u32, start: i64| PeriodKey {
        customer: CustomerId::new(&format!("c{customer}")).unwrap(),
        subscription: SubscriptionId::new("s").unwrap(),
        start: hours(start * 24),
    };
    (0..4).flat_map(|customer| (0..2).map(move |start| key(customer, start))).collect()
}

/// The output of [`RECORDS`] records from `from` on.
pub fn output(random: &mut StdRng, shard: Shard, from: u64) -> Output {
    let mut charges = ChargeRows { sources: vec!["api".into(), "".into()], ..ChargeRows::default() };
    charges.series = (0..12).map(|number| series(random, number)).collect();
    let (mut manifests, mut outcomes) = (Vec::new(), Vec::new());
    for offset in from..from + RECORDS {
        for index in 0..random.random_range(0..12u32) {
            let row = row(random, offset, index, &mut charges.ids);
            charges.rows.push(row);
        }
        let position = Position { shard, offset: Offset(offset), index: 0 };
        manifests.push(manifest(random, position));
        outcomes.push(outcome(random, position));
    }
    let counters = Counters { arrivals: from + 100, ..Counters::default() };
    let (to, log_time) = (Offset(from + RECORDS), hours(i64::try_from(from).unwrap()));
    let (from, close_due, record) = (Offset(from), random.random(), u64::MAX - from);
    Output { shard, from, to, log_time, charges, manifests, outcomes, counters, close_due, record }
}

fn series(random: &mut StdRng, number: u32) -> Series {
    Series {
        tenant: TenantId::new(if number == 11 { "other" } else { "acme" }).unwrap(),
        customer: CustomerId::new(&format!("c{}", random.random_range(0..3u32))).unwrap(),
        subscription: SubscriptionId::new("s").unwrap(),
        start: hours(random.random_range(0..2i64) * 24),
        plan: PlanRef { id: PlanId::new("payg").unwrap(), version: 1 },
        price: PriceId::new(&format!("p{}", number % 2)).unwrap(),
        meter: MeterId::new(&format!("m{}", number % 2)).unwrap(),
        group: group(random.random_range(0..3)),
    }
}

fn row(random: &mut StdRng, offset: u64, index: u32, ids: &mut String) -> ChargeRow {
    ids.push_str(&"é".repeat(random.random_range(0..5)));
    ids.push_str(&offset.to_string());
    let none = random.random_range(0..10) == 0;
    let large = Amount::RAW_MAX / 1_000_000;
    ChargeRow {
        series: random.random_range(0..12),
        offset: Offset(offset),
        index,
        event: EventPlace {
            offset: Offset(random.random_range(0..=offset)),
            index: if none { EventPlace::NO_EVENT } else { random.random_range(0..9) },
        },
        id_end: u32::try_from(ids.len()).unwrap(),
        source: random.random_range(0..2),
        time: Instant::from_nanos(random.random_range(0..172_800_000_000_000i64)),
        quantity: Quantity::from_raw(random.random_range(-5..1_000_000_000_000i128)).unwrap(),
        amount: Amount::from_raw(random.random_range(-large..large)).unwrap(),
        tier: random.random_range(1..4),
        level: random.random_bool(0.3).then(|| Quantity::from_raw(random.random_range(-9..1_000_000_000i128)).unwrap()),
    }
}

fn manifest(random: &mut StdRng, position: Position) -> Manifest {
    let key = periods().swap_remove(random.random_range(0..6));
    Manifest {
        tenant: TenantId::new("acme").unwrap(),
        customer: key.customer,
        subscription: key.subscription,
        period: Period { start: key.start, end: hours(99) },
        plan: PlanRef { id: PlanId::new("payg").unwrap(), version: 1 },
        revision: u32::try_from(position.offset.0).unwrap() * 2 + u32::from(position.shard.0),
        position,
        parked: 0,
        entries: Vec::new(),
    }
}

fn outcome(random: &mut StdRng, position: Position) -> Outcome {
    let kinds = [OutcomeKind::Unpriced, OutcomeKind::Parked, OutcomeKind::Conflict, OutcomeKind::NotBackfilled];
    Outcome {
        kind: kinds[random.random_range(0..4)],
        position,
        event: EventPlace { offset: position.offset, index: 3 },
        tenant: TenantId::new("acme").unwrap(),
        customer: format!("c{}", random.random_range(0..3u32)),
        source: "api".into(),
        id: "e".into(),
        event_type: "call".into(),
        time: hours(1),
        reason: "because".into(),
        properties: vec![("a".into(), "1".into())],
    }
}

/// One output with what both have; the second follows the first.
pub fn joined(first: &Output, second: &Output) -> Output {
    let mut both = first.clone();
    let (series, sources) = (both.charges.series.len(), both.charges.sources.len());
    let ids = u32::try_from(both.charges.ids.len()).unwrap();
    both.charges.series.extend(second.charges.series.iter().cloned());
    both.charges.sources.extend(second.charges.sources.iter().cloned());
    both.charges.ids.push_str(&second.charges.ids);
    both.charges.rows.extend(second.charges.rows.iter().map(|row| ChargeRow {
        series: row.series + u32::try_from(series).unwrap(),
        source: row.source + u32::try_from(sources).unwrap(),
        id_end: row.id_end + ids,
        ..*row
    }));
    both.manifests.extend(second.manifests.iter().cloned());
    both.outcomes.extend(second.outcomes.iter().cloned());
    let Output { to, log_time, counters, close_due, record, .. } = *second;
    Output { to, log_time, counters, close_due, record, ..both }
}
