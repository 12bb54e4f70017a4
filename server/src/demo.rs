//! What `farthing demo` sells and bills: a catalog, and a month of its customers' use.

use crate::client::timestamp;
use pricing::time::{Instant, Span};
use proto::v1;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The catalog file.
pub(crate) const CATALOG: &str = include_str!("../demo/catalog.yaml");

/// When the story begins: the catalog is applied and the month of use reported in one go, near the month's end.
pub(crate) const NOW: &str = "2026-01-31T20:30:00Z";

/// When the month is billed: after its end, grace and review.
pub(crate) const LATER: &str = "2026-02-03T00:00:00Z";

/// One customer's habits.
struct Customer {
    id: &'static str,
    first_day: u32,
    completions_per_day: u32,
    images_per_day: u32,
    orders_per_day: u32,
    seats: u32,
    gigabytes: u32,
}

const CUSTOMERS: [Customer; 3] = [
    Customer {
        id: "nordwind",
        first_day: 1,
        completions_per_day: 160,
        images_per_day: 9,
        orders_per_day: 2,
        seats: 12,
        gigabytes: 340,
    },
    Customer {
        id: "aurora",
        first_day: 1,
        completions_per_day: 60,
        images_per_day: 20,
        orders_per_day: 0,
        seats: 5,
        gigabytes: 80,
    },
    Customer {
        id: "kestrel",
        first_day: 13,
        completions_per_day: 90,
        images_per_day: 0,
        orders_per_day: 6,
        seats: 3,
        gigabytes: 25,
    },
];

const REGIONS: [&str; 3] = ["eu", "us", "ap"];

/// A month of use, the same every time.
pub(crate) fn events() -> Vec<v1::Event> {
    let mut random = StdRng::seed_from_u64(20_260_101);
    let mut events = Vec::new();
    for customer in &CUSTOMERS {
        for day in customer.first_day..=31 {
            a_day(customer, day, &mut random, &mut events);
        }
    }
    events
}

fn a_day(customer: &Customer, day: u32, random: &mut StdRng, events: &mut Vec<v1::Event>) {
    let mut report = |kind: &str, time: Instant, properties: &[(&str, String)]| {
        events.push(v1::Event {
            id: format!("{}-{}-{}", customer.id, kind.replace('.', "-"), events.len() + 1),
            source: "demo".to_owned(),
            r#type: kind.to_owned(),
            customer: customer.id.to_owned(),
            time: Some(timestamp(time)),
            properties: properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        });
    };
    for _ in 0..customer.completions_per_day {
        let region = REGIONS.get(random.random_range(0..REGIONS.len())).copied().unwrap_or("eu");
        let properties = [
            ("input_tokens", random.random_range(50..4_000).to_string()),
            ("output_tokens", random.random_range(10..900).to_string()),
            ("region", region.to_owned()),
        ];
        report("llm.completion", moment(day, random), &properties);
    }
    for _ in 0..customer.images_per_day {
        let size = if random.random_range(0..4) == 0 { "large" } else { "small" };
        let properties = [("count", random.random_range(1..5).to_string()), ("size", size.to_owned())];
        report("image.generated", moment(day, random), &properties);
    }
    for _ in 0..customer.orders_per_day {
        let cents: u32 = random.random_range(990..29_900);
        report("order.paid", moment(day, random), &[("amount", format!("{}.{:02}", cents / 100, cents % 100))]);
    }
    if (day - customer.first_day).is_multiple_of(10) {
        let seats = customer.seats + day / 10;
        report("seats.changed", moment(day, random), &[("seats", seats.to_string())]);
        let gigabytes = customer.gigabytes + 7 * day;
        report("storage.changed", moment(day, random), &[("gigabytes", format!("{gigabytes}.5"))]);
    }
}

/// Some moment of a day in January 2026, before 20:00 UTC, so that it lies in the past at [`NOW`].
fn moment(day: u32, random: &mut StdRng) -> Instant {
    let begin = Instant::from_nanos(1_767_225_600_000_000_000);
    let millis: i64 = random.random_range(0..20 * 3_600_000);
    let days = Span::from_days(day.saturating_sub(1));
    begin.plus(days).plus(Span::from_nanos(millis.saturating_mul(1_000_000)))
}
