//! The independent sum: a bill's charges are added up from the store and compared with the fold's own totals. On any
//! difference nothing is issued.

use super::Error;
use crate::close::desk::Desk;
use pricing::bill::{self, Usage};
use pricing::curve::Curve;
use pricing::group::Group;
use pricing::id::{PriceId, TenantId};
use pricing::number;
use pricing::plan::PlanVersion;
use pricing::subscription::{Subscription, Term};
use std::collections::BTreeMap;
use storage::charges::{self, Charge, Charges, ExplainQuery, PeriodKey};
use storage::output::{ChargeRow, Manifest, Sum};
use storage::shard::Offset;
use storage::wide::{Wide, merge_rows};

/// Charges that are opened at once.
const PAGE: usize = 10_000;

/// The curves of a period: the subscription's own ones, then its plan's.
#[derive(Clone, Copy)]
pub(crate) struct Curves<'a> {
    plan: Option<&'a PlanVersion>,
    term: Option<&'a Term>,
}

/// The key of a manifest's period.
pub(crate) fn key(manifest: &Manifest) -> PeriodKey {
    PeriodKey {
        customer: manifest.customer.clone(),
        subscription: manifest.subscription.clone(),
        start: manifest.period.start,
    }
}

/// A manifest's totals as settling takes them.
pub(crate) fn usage(entries: &[Sum]) -> Usage {
    let sum = |entry: &Sum| bill::Sum {
        price: entry.price.clone(),
        group: entry.group.clone(),
        row: entry.row,
        count: entry.count,
        quantity: entry.quantity,
        amount: entry.amount,
    };
    Usage(entries.iter().map(sum).collect())
}

/// Compares a manifest with the store's sum of the same period; says what differs. The store may hold charges that came
/// after the manifest (late ones, whose manifest follows within the hour): when the sums differ, the rows up to the
/// manifest's own position are added up one by one, and that decides.
pub(crate) async fn difference(
    charges: &dyn Charges,
    desk: &Desk,
    subscriptions: &[Subscription],
    manifest: &Manifest,
    sums: &[Sum],
) -> Result<Option<String>, Error> {
    let key = key(manifest);
    let plan = desk.plans.get(&manifest.plan).map(AsRef::as_ref);
    let curves = Curves::of(plan, subscriptions, &key);
    // Totals that cannot be kept are no reason to stop: the rows decide.
    if merged(curves, sums.to_vec()).is_ok_and(|sums| manifest.entries == sums) {
        return Ok(None);
    }
    match recount(charges, &manifest.tenant, &key, curves, manifest.position.offset).await {
        Ok(recounted) => Ok(first_difference(manifest, &recounted)),
        Err(Error::Charges(charges::Error::Overflow { reason })) => Ok(Some(format!(
            "subscription '{}' in its period from {}: its charges add up to more than can be kept: {reason}",
            key.subscription, key.start
        ))),
        Err(Error::Charges(error @ charges::Error::Damaged { .. })) => Ok(Some(unreadable(&key, &error.to_string()))),
        Err(error) => Err(error),
    }
}

/// That a period's charges are not what was written.
pub(super) fn unreadable(period: &PeriodKey, reason: &str) -> String {
    let PeriodKey { subscription, start, .. } = period;
    format!("subscription '{subscription}' in its period from {start}: {reason}")
}

/// A store's sums as a manifest has them: by table row only for prices that have a table.
pub(crate) fn merged(curves: Curves<'_>, sums: Vec<Sum>) -> Result<Vec<Sum>, Error> {
    merge_rows(sums, |price| curves.has_rows(price)).map_err(overflow)
}

#[allow(clippy::needless_pass_by_value)] // It is passed to `map_err`.
fn overflow(error: number::Error) -> Error {
    Error::Charges(charges::Error::Overflow { reason: error.to_string() })
}

/// Adds up, row by row, the charges of a period that stood in the store at `until` (that record included).
pub(crate) async fn recount(
    charges: &dyn Charges,
    tenant: &TenantId,
    period: &PeriodKey,
    curves: Curves<'_>,
    until: Offset,
) -> Result<Vec<Sum>, Error> {
    let mut sums: BTreeMap<(PriceId, Group, u32), Wide> = BTreeMap::new();
    let mut query = ExplainQuery::all(tenant.clone(), period.clone(), PAGE);
    query.records.end = until.next();
    loop {
        let page = charges.explain(&query).await?;
        query.after = page.last().map(|charge| (charge.time, charge.position));
        let full = page.len() >= PAGE;
        page.iter().for_each(|charge| add(&mut sums, curves, charge));
        if !full {
            let narrowed = sums.into_iter().map(|((price, group, row), wide)| {
                let (quantity, amount) = wide.narrow()?;
                Ok(Sum { price, group, row, count: wide.count, quantity, amount, hash: wide.hash })
            });
            return narrowed.collect::<Result<_, _>>().map_err(overflow);
        }
    }
}

fn add(sums: &mut BTreeMap<(PriceId, Group, u32), Wide>, curves: Curves<'_>, charge: &Charge) {
    let row = ChargeRow {
        series: 0,
        offset: charge.position.offset,
        index: charge.position.index,
        event: charge.event,
        id_end: 0,
        source: 0,
        time: charge.time,
        quantity: charge.quantity,
        amount: charge.amount,
        tier: charge.tier,
        level: charge.level,
    };
    let table_row = if curves.has_rows(&charge.price) { charge.tier } else { 0 };
    sums.entry((charge.price.clone(), charge.group.clone(), table_row)).or_default().add_row(&row, &charge.id);
}

/// Names the first total that differs.
pub(crate) fn first_difference(manifest: &Manifest, found: &[Sum]) -> Option<String> {
    if manifest.entries == found {
        return None;
    }
    let place = format!(
        "subscription '{}' in its period from {}, manifest revision {} at {}",
        manifest.subscription, manifest.period.start, manifest.revision, manifest.position
    );
    let differs = |entry: &Sum| !found.contains(entry);
    let key = |sum: &Sum| (sum.price.clone(), sum.group.clone(), sum.row);
    if let Some(entry) = manifest.entries.iter().find(|entry| differs(entry)) {
        let stored = found.iter().find(|sum| key(sum) == key(entry));
        let stored = stored.map_or_else(|| "nothing".to_owned(), total);
        return Some(format!(
            "price '{}' of {place}: the fold put out {}, the charges store adds up to {stored}",
            entry.price,
            total(entry)
        ));
    }
    let extra = found.iter().find(|sum| !manifest.entries.contains(sum));
    extra.map(|sum| {
        format!(
            "price '{}' of {place}: the fold put out nothing, the charges store adds up to {}",
            sum.price,
            total(sum)
        )
    })
}

fn total(sum: &Sum) -> String {
    format!("{} rows, quantity {}, amount {}, hash {:016x}", sum.count, sum.quantity, sum.amount, sum.hash)
}

// === impl Curves ===

impl<'a> Curves<'a> {
    pub(crate) fn of(plan: Option<&'a PlanVersion>, subscriptions: &'a [Subscription], period: &PeriodKey) -> Self {
        let subscription = subscriptions.iter().find(|one| one.id == period.subscription);
        Self { plan, term: subscription.and_then(|one| one.term_at(period.start)) }
    }

    /// Whether the charges of a price stand apart by the rows of its table.
    fn has_rows(self, price: &PriceId) -> bool {
        let own = self.term.and_then(|term| term.overrides.get(price));
        let plans = || Some(&self.plan?.prices.iter().find(|one| one.id == *price)?.curve);
        matches!(own.or_else(plans), Some(Curve::Dimensional { .. }))
    }
}
