//! The independent sum: a bill's charges are added up from the store and compared with the fold's own totals. On any
//! difference nothing is issued.

use super::Error;
use crate::close::desk::Desk;
use pricing::bill::{self, Usage};
use pricing::curve::Curve;
use pricing::group::Group;
use pricing::id::{PriceId, TenantId};
use pricing::plan::PlanVersion;
use std::collections::BTreeMap;
use storage::charges::{Charge, Charges, ExplainQuery, PeriodKey};
use storage::output::{ChargeRow, Manifest, Sum, merge_rows, row_hash};
use storage::shard::Offset;

/// Charges that are opened at once.
const PAGE: usize = 10_000;

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
    manifest: &Manifest,
    sums: &[Sum],
) -> Result<Option<String>, Error> {
    let plan = desk.plans.get(&manifest.plan).map(AsRef::as_ref);
    if manifest.entries == merged(plan, sums.to_vec())? {
        return Ok(None);
    }
    let recounted = recount(charges, &manifest.tenant, &key(manifest), plan, manifest.position.offset).await?;
    Ok(first_difference(manifest, &recounted))
}

/// A store's sums as a manifest has them: by table row only for prices that have a table.
pub(crate) fn merged(plan: Option<&PlanVersion>, sums: Vec<Sum>) -> Result<Vec<Sum>, Error> {
    merge_rows(sums, |price| has_rows(plan, price)).map_err(Error::damaged)
}

fn has_rows(plan: Option<&PlanVersion>, price: &PriceId) -> bool {
    let price = plan.and_then(|plan| plan.prices.iter().find(|one| one.id == *price));
    price.is_some_and(|price| matches!(price.curve, Curve::Dimensional { .. }))
}

/// Adds up, row by row, the charges of a period that stood in the store at `until` (that record included).
pub(crate) async fn recount(
    charges: &dyn Charges,
    tenant: &TenantId,
    period: &PeriodKey,
    plan: Option<&PlanVersion>,
    until: Offset,
) -> Result<Vec<Sum>, Error> {
    let mut sums: BTreeMap<(PriceId, Group, u32), Sum> = BTreeMap::new();
    let mut query = ExplainQuery {
        tenant: tenant.clone(),
        period: period.clone(),
        price: None,
        group: None,
        after: None,
        count_max: PAGE,
    };
    loop {
        let page = charges.explain(&query).await?;
        query.after = page.last().map(|charge| (charge.time, charge.position));
        let full = page.len() >= PAGE;
        for charge in page.into_iter().filter(|charge| charge.position.offset <= until) {
            add(&mut sums, plan, &charge)?;
        }
        if !full {
            return Ok(sums.into_values().collect());
        }
    }
}

fn add(
    sums: &mut BTreeMap<(PriceId, Group, u32), Sum>,
    plan: Option<&PlanVersion>,
    charge: &Charge,
) -> Result<(), Error> {
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
    };
    let hash = row_hash(&row, &charge.id);
    let table_row = if has_rows(plan, &charge.price) { charge.tier } else { 0 };
    let sum = sums.entry((charge.price.clone(), charge.group.clone(), table_row)).or_insert_with(|| Sum {
        price: charge.price.clone(),
        group: charge.group.clone(),
        row: table_row,
        count: 0,
        quantity: Default::default(),
        amount: Default::default(),
        hash: 0,
    });
    sum.count += 1;
    sum.quantity = sum.quantity.add(charge.quantity).map_err(Error::damaged)?;
    sum.amount = sum.amount.add(charge.amount).map_err(Error::damaged)?;
    sum.hash = sum.hash.wrapping_add(hash);
    Ok(())
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
