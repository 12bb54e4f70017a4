//! Rows as they travel: the names are the columns'. Instants are in nanoseconds, quantities and amounts raw.

use ::clickhouse::Row;
use serde::{Deserialize, Serialize};

/// A row of `charges`.
#[derive(Row, Serialize)]
pub(super) struct NewCharge<'a> {
    pub(super) tenant: &'a str,
    pub(super) customer: &'a str,
    pub(super) period: i64,
    pub(super) subscription: &'a str,
    pub(super) plan: &'a str,
    pub(super) plan_version: u32,
    pub(super) price: &'a str,
    pub(super) meter: &'a str,
    /// The group as JSON.
    pub(super) grouping: &'a str,
    pub(super) shard: u16,
    pub(super) record: u64,
    pub(super) place: u32,
    pub(super) event_record: u64,
    pub(super) event_place: u32,
    pub(super) source: &'a str,
    pub(super) id: &'a str,
    pub(super) time: i64,
    pub(super) quantity: i128,
    pub(super) amount: i128,
    pub(super) tier: u32,
    pub(super) level: Option<i128>,
}

/// A row of `manifests`.
#[derive(Row, Serialize)]
pub(super) struct NewManifest {
    pub(super) shard: u16,
    pub(super) record: u64,
    pub(super) place: u32,
    pub(super) tenant: String,
    pub(super) customer: String,
    pub(super) period: i64,
    pub(super) subscription: String,
    pub(super) revision: u32,
    pub(super) body: String,
}

/// A row of `outcomes`, in the order in which it is read.
#[derive(Row, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) kind: String,
    pub(super) shard: u16,
    pub(super) record: u64,
    pub(super) place: u32,
    pub(super) event_record: u64,
    pub(super) event_place: u32,
    pub(super) tenant: String,
    pub(super) customer: String,
    pub(super) source: String,
    pub(super) id: String,
    pub(super) r#type: String,
    pub(super) time: i64,
    pub(super) reason: String,
    pub(super) properties: Vec<(String, String)>,
}

/// A row of `boundaries`.
#[derive(Row, Serialize, Deserialize)]
pub(super) struct Boundary {
    pub(super) shard: u16,
    pub(super) next: u64,
    pub(super) log_time: i64,
    pub(super) close_due: bool,
    pub(super) arrivals: u64,
    pub(super) charged: u64,
    pub(super) unpriced: u64,
    pub(super) unmetered: u64,
    pub(super) duplicate: u64,
    pub(super) rejected: u64,
    pub(super) parked: u64,
    pub(super) waiting: u64,
    pub(super) record: u64,
}

/// A manifest's JSON.
#[derive(Row, Deserialize)]
pub(super) struct Body {
    pub(super) body: String,
}

/// Charges of one price, group and tier, added up; quantities and amounts as text.
#[derive(Row, Deserialize)]
pub(super) struct Sum {
    pub(super) customer: String,
    pub(super) subscription: String,
    pub(super) period: i64,
    pub(super) price: String,
    pub(super) grouping: String,
    pub(super) tier: u32,
    pub(super) rows: u64,
    pub(super) quantities: String,
    pub(super) amounts: String,
    pub(super) hash: u64,
}

/// Usage of one price and group in one stretch of time.
#[derive(Row, Deserialize)]
pub(super) struct Usage {
    pub(super) customer: String,
    pub(super) subscription: String,
    pub(super) period: i64,
    pub(super) bucket: i64,
    pub(super) meter: String,
    pub(super) price: String,
    pub(super) grouping: String,
    pub(super) events: u64,
    pub(super) quantities: String,
    pub(super) amounts: String,
}

/// One charge, opened.
#[derive(Row, Deserialize)]
pub(super) struct Charge {
    pub(super) price: String,
    pub(super) meter: String,
    pub(super) grouping: String,
    pub(super) shard: u16,
    pub(super) record: u64,
    pub(super) place: u32,
    pub(super) event_record: u64,
    pub(super) event_place: u32,
    pub(super) source: String,
    pub(super) id: String,
    pub(super) time: i64,
    pub(super) quantity: i128,
    pub(super) amount: i128,
    pub(super) tier: u32,
    pub(super) level: Option<i128>,
}
