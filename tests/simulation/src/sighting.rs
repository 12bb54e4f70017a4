//! What a run did see of the paths that it claims to test.

use std::collections::BTreeMap;

/// A path that must occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each is its own word
pub enum Sighting {
    Refused,
    AnswerLost,
    TornWrite,
    Repeated,
    Delayed,
    RecordsLost,
    IngestCrash,
    RaterCrash,
    InvoicerCrash,
    MachineCrash,
    CrashDuringAdvance,
    TwoRaters,
    SnapshotLoaded,
    SnapshotDamaged,
    ClientRetry,
    Duplicate,
    Conflict,
    RefusedAtOnce,
    Unreadable,
    TooOld,
    NotBackfilled,
    Unpriced,
    Unmetered,
    Parked,
    Explained,
    Expired,
    Waited,
    OverQuota,
    Paused,
    LateCustomer,
    Migrated,
    Trial,
    LateAdjustment,
    FinalBill,
    RoundingLine,
    CreditNote,
    SkippedZero,
    HeldForParked,
    Waived,
    IssuedEarly,
    PriceDiscount,
    WholeDiscount,
    Minimum,
    TrueUp,
    TwoTaxes,
    TaxIncluded,
    OwnCurve,
    MovedAtOnce,
    UnusedFee,
    Approved,
    HeldByPerson,
    Voided,
    MadeAgain,
    Credited,
    Paid,
    PaymentReversed,
}

/// How often each was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sightings(pub BTreeMap<Sighting, u64>);

impl Sighting {
    /// All of them.
    pub const ALL: [Self; 56] = [
        Self::Refused,
        Self::AnswerLost,
        Self::TornWrite,
        Self::Repeated,
        Self::Delayed,
        Self::RecordsLost,
        Self::IngestCrash,
        Self::RaterCrash,
        Self::InvoicerCrash,
        Self::MachineCrash,
        Self::CrashDuringAdvance,
        Self::TwoRaters,
        Self::SnapshotLoaded,
        Self::SnapshotDamaged,
        Self::ClientRetry,
        Self::Duplicate,
        Self::Conflict,
        Self::RefusedAtOnce,
        Self::Unreadable,
        Self::TooOld,
        Self::NotBackfilled,
        Self::Unpriced,
        Self::Unmetered,
        Self::Parked,
        Self::Explained,
        Self::Expired,
        Self::Waited,
        Self::OverQuota,
        Self::Paused,
        Self::LateCustomer,
        Self::Migrated,
        Self::Trial,
        Self::LateAdjustment,
        Self::FinalBill,
        Self::RoundingLine,
        Self::CreditNote,
        Self::SkippedZero,
        Self::HeldForParked,
        Self::Waived,
        Self::IssuedEarly,
        Self::PriceDiscount,
        Self::WholeDiscount,
        Self::Minimum,
        Self::TrueUp,
        Self::TwoTaxes,
        Self::TaxIncluded,
        Self::OwnCurve,
        Self::MovedAtOnce,
        Self::UnusedFee,
        Self::Approved,
        Self::HeldByPerson,
        Self::Voided,
        Self::MadeAgain,
        Self::Credited,
        Self::Paid,
        Self::PaymentReversed,
    ];
}

impl Sightings {
    /// Seen once more.
    pub fn see(&mut self, what: Sighting) {
        self.add(what, 1);
    }

    /// Seen so many times more.
    pub fn add(&mut self, what: Sighting, count: u64) {
        if count > 0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// Adds what another run saw.
    pub fn merge(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.add(*what, *count);
        }
    }

    /// What was never seen.
    pub fn missing(&self) -> Vec<Sighting> {
        Sighting::ALL.into_iter().filter(|what| !self.0.contains_key(what)).collect()
    }
}
