//! What a curve may be. Whoever takes a curve in (the catalog) checks it; whoever computes with it relies on that.

use super::{Bounded, Curve, Each, Row, count_from_one};
use crate::number::{Amount, Quantity};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a curve makes no sense. Tiers and rows count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No tier at all.
    #[error("there are no tiers; write at least one, without up_to")]
    NoTiers,
    /// A tier that does not end above the one before it.
    #[error("tier {tier} ends at {found}; up_to must rise from tier to tier: write more than {above}")]
    NotRising {
        /// Which.
        tier: u32,
        /// Where it ends.
        found: Quantity,
        /// Where the one before ends; zero before the first.
        above: Quantity,
    },
    /// A tier before the last is open.
    #[error("tier {tier} of {tiers} has no up_to; only the last tier may be open")]
    Open {
        /// Which.
        tier: u32,
        /// How many there are.
        tiers: u32,
    },
    /// The last tier ends.
    #[error("the last tier ends at {found}; leave its up_to out, or add a tier for what comes after")]
    Closed {
        /// Where.
        found: Quantity,
    },
    /// A package of nothing.
    #[error("a package of size {found} holds nothing; write a size above 0")]
    Size {
        /// The size.
        found: Quantity,
    },
    /// A price for each nothing.
    #[error("{place} has per: {found}; write a number of units above 0")]
    Per {
        /// Where it stands, such as `tier 2`.
        place: Place,
        /// What was found.
        found: Quantity,
    },
    /// The least is more than the most.
    #[error("min is {min}, above max, which is {max}; lower min or raise max")]
    MinAboveMax {
        /// The least.
        min: Amount,
        /// The most.
        max: Amount,
    },
    /// A table without properties to look up.
    #[error("by is empty; name at least one property that the rows tell apart")]
    NoProperties,
    /// A property is named twice.
    #[error("by names {name} twice; name each property once")]
    PropertyTwice {
        /// Which.
        name: Arc<str>,
    },
    /// A table without rows or default.
    #[error("there is neither a row nor a default, so that every event would be refused; write one")]
    NoRows,
    /// A row has too few or too many values.
    #[error("row {row} has {found} values; by names {wanted} properties: write one value for each")]
    RowValues {
        /// Which.
        row: u32,
        /// Its values.
        found: usize,
        /// The properties.
        wanted: usize,
    },
    /// Two rows take the same events.
    #[error("row {row} has the same values as row {first}; take one of them out")]
    RowTwice {
        /// The later one.
        row: u32,
        /// The earlier one.
        first: u32,
    },
}

/// Where in a curve an `each` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In `per_unit`.
    Unit,
    /// In this tier.
    Tier(u32),
    /// In this row.
    Row(u32),
    /// In the table's default.
    Default,
}

impl Curve {
    /// Refuses what makes no sense, naming the first thing found.
    ///
    /// # Errors
    /// [`Error`].
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::PerUnit(each) => check_per(*each, Place::Unit),
            Self::Graduated(tiers) | Self::Volume(tiers) => {
                check_bounds(tiers)?;
                let mut places = tiers.iter().enumerate();
                places.try_for_each(|(index, tier)| check_per(tier.each, Place::Tier(count_from_one(index))))
            }
            Self::Package { size, .. } if !size.is_positive() => Err(Error::Size { found: *size }),
            Self::Package { .. } => Ok(()),
            Self::Stairstep(steps) => check_bounds(steps),
            Self::Percentage { min: Some(min), max: Some(max), .. } if min > max => {
                Err(Error::MinAboveMax { min: *min, max: *max })
            }
            Self::Percentage { .. } => Ok(()),
            Self::Dimensional { by, rows, default } => check_table(by, rows, *default),
        }
    }
}

fn check_bounds<T: Bounded>(tiers: &[T]) -> Result<(), Error> {
    let (last, before) = tiers.split_last().ok_or(Error::NoTiers)?;
    let mut above = Quantity::ZERO;
    for (index, tier) in before.iter().enumerate() {
        let number = count_from_one(index);
        let found = tier.up_to().ok_or(Error::Open { tier: number, tiers: count_from_one(before.len()) })?;
        if found <= above {
            return Err(Error::NotRising { tier: number, found, above });
        }
        above = found;
    }
    last.up_to().map_or(Ok(()), |found| Err(Error::Closed { found }))
}

fn check_table(by: &[Arc<str>], rows: &[Row], default: Option<Each>) -> Result<(), Error> {
    if by.is_empty() {
        return Err(Error::NoProperties);
    }
    if let Some((_, name)) = by.iter().enumerate().find(|(at, name)| by.iter().take(*at).any(|early| early == *name)) {
        return Err(Error::PropertyTwice { name: name.clone() });
    }
    if rows.is_empty() && default.is_none() {
        return Err(Error::NoRows);
    }
    let mut known = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let number = count_from_one(index);
        if row.is.len() != by.len() {
            return Err(Error::RowValues { row: number, found: row.is.len(), wanted: by.len() });
        }
        if let Some(first) = known.insert(&row.is, number) {
            return Err(Error::RowTwice { row: number, first });
        }
        check_per(row.each, Place::Row(number))?;
    }
    default.map_or(Ok(()), |each| check_per(each, Place::Default))
}

fn check_per(each: Each, place: Place) -> Result<(), Error> {
    if each.per.is_positive() { Ok(()) } else { Err(Error::Per { place, found: each.per }) }
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unit => out.write_str("per_unit"),
            Self::Tier(tier) => write!(out, "tier {tier}"),
            Self::Row(row) => write!(out, "row {row}"),
            Self::Default => out.write_str("default"),
        }
    }
}
