//! Periods against an oracle that knows no calendar arithmetic: it walks minute by minute (hours) or day by day, asks the
//! clock of the zone what it shows, and begins a period where it shows the right thing for the first time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use jiff::civil::Date;
use pricing::period::{Anchor, Every, Grid, Period, Share, Zone};
use pricing::time::Instant;
use proptest::prelude::*;

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn grid(every: Every, anchor: Anchor, zone: &str) -> Grid {
    Grid { every, anchor, zone: Zone::new(zone).unwrap() }
}

fn clock(zone: &str) -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::get(zone).unwrap()
}

/// True where full periods begin on this date.
fn begins(every: Every, anchor: Anchor, day: Date) -> bool {
    let last = day.last_of_month().day();
    let on = |wanted: u8| day.day() == i8::try_from(wanted).unwrap().min(last);
    let (month, month_day) = match anchor {
        Anchor::Day(wanted) => (1, wanted),
        Anchor::MonthDay(month, wanted) => (month, wanted),
        _ => (1, 1),
    };
    let months = (i32::from(day.month()) - i32::from(month)).rem_euclid(12);
    match every {
        Every::Hour => unreachable!(),
        Every::Day => true,
        Every::Week => {
            let weekday = if let Anchor::Weekday(weekday) = anchor { weekday } else { 1 };
            u8::try_from(day.weekday().to_monday_one_offset()).unwrap() == weekday
        }
        Every::Month => on(month_day),
        Every::Quarter => months % 3 == 0 && on(month_day),
        Every::Year => months == 0 && on(month_day),
    }
}

/// The starts of all days that the zone's clock showed, first to last: walks in quarters of an hour and notes each moment
/// at which a date later than any before is shown.
fn days(zone: &str, from: Date, until: Date) -> Vec<(Date, Instant)> {
    let zone = clock(zone);
    let minute = 60_000_000_000;
    let mut now = from.at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp()
        - jiff::SignedDuration::from_hours(30);
    let end = until.at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp()
        + jiff::SignedDuration::from_hours(30);
    let mut latest = zone.to_datetime(now).date();
    let mut days = Vec::new();
    while now < end {
        now += jiff::SignedDuration::from_nanos(minute);
        let shown = zone.to_datetime(now).date();
        if shown > latest {
            latest = shown;
            days.push((shown, Instant::from_jiff(now).unwrap()));
        }
    }
    days
}

fn check_days(zone: &str, from: Date, until: Date, cases: &[(Every, Anchor)]) {
    let days = days(zone, from, until);
    for &(every, anchor) in cases {
        let grid = grid(every, anchor, zone);
        // A day that the clock skipped hands its beginning to the next one shown.
        let mut starts = Vec::new();
        let mut previous: Option<Date> = None;
        for &(day, start) in &days {
            let mut shown = previous.map_or(day, |previous| previous.tomorrow().unwrap());
            let mut any = false;
            while shown <= day {
                any |= begins(every, anchor, shown);
                shown = shown.tomorrow().unwrap();
            }
            if any {
                starts.push(start);
            }
            previous = Some(day);
        }
        assert!(starts.len() > 1, "{zone} {every:?} {anchor:?}: nothing to compare");
        for pair in starts.windows(2) {
            let expected = Period { start: pair[0], end: pair[1] };
            let length = expected.end.nanos() - expected.start.nanos();
            for offset in [0, 1, length / 2, length - 3_600_000_000_000, length - 1] {
                let time = Instant::from_nanos(expected.start.nanos() + offset.max(0));
                assert_eq!(grid.containing(time).unwrap(), expected, "{zone} {every:?} {anchor:?} at {time}");
            }
        }
    }
}

const ANCHORED: [(Every, Anchor); 14] = [
    (Every::Day, Anchor::Calendar),
    (Every::Week, Anchor::Calendar),
    (Every::Week, Anchor::Weekday(7)),
    (Every::Week, Anchor::Weekday(3)),
    (Every::Month, Anchor::Calendar),
    (Every::Month, Anchor::Day(15)),
    (Every::Month, Anchor::Day(30)),
    (Every::Month, Anchor::Day(31)),
    (Every::Quarter, Anchor::Calendar),
    (Every::Quarter, Anchor::MonthDay(2, 29)),
    (Every::Quarter, Anchor::MonthDay(11, 30)),
    (Every::Year, Anchor::Calendar),
    (Every::Year, Anchor::MonthDay(2, 29)),
    (Every::Year, Anchor::MonthDay(7, 1)),
];

#[test]
fn days_and_longer_are_cut_where_the_clock_first_shows_the_date() {
    let day = |text: &str| text.parse::<Date>().unwrap();
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"] {
        check_days(zone, day("2023-01-15"), day("2026-03-10"), &ANCHORED);
    }
    // The date line: 30 December 2011 never was.
    check_days("Pacific/Apia", day("2010-01-01"), day("2012-12-31"), &ANCHORED);
    // Midnight is skipped (Beirut), shown twice (Havana), and the clock went back across midnight (Newfoundland).
    for (zone, year) in [("Asia/Beirut", 2022), ("America/Havana", 2022), ("America/St_Johns", 2009)] {
        let (from, until) = (jiff::civil::date(year, 1, 1), jiff::civil::date(year, 12, 31));
        check_days(zone, from, until, &ANCHORED[..8]);
    }
}

#[test]
fn hours_are_cut_where_the_clock_shows_a_full_hour_or_changes_by_part_of_one() {
    let cases = [
        ("Europe/Berlin", "2024-03-30T00:00:00Z"),
        ("Europe/Berlin", "2024-10-26T00:00:00Z"),
        ("America/New_York", "2024-11-02T00:00:00Z"),
        ("Asia/Kathmandu", "2024-05-01T00:00:00Z"),
        ("Asia/Kathmandu", "1985-12-31T00:00:00Z"),
        ("Australia/Lord_Howe", "2024-04-06T00:00:00Z"),
        ("Australia/Lord_Howe", "2024-10-05T00:00:00Z"),
        ("Pacific/Apia", "2011-12-29T00:00:00Z"),
    ];
    for (zone, from) in cases {
        let (grid, clock) = (grid(Every::Hour, Anchor::Calendar, zone), clock(zone));
        let minute = 60_000_000_000;
        let past_hour = |time: Instant| clock.to_offset(time.to_jiff()).seconds().rem_euclid(3600);
        let mut starts = Vec::new();
        for count in 0..3 * 24 * 60 {
            let time = Instant::from_nanos(at(from).nanos() + count * minute);
            let changed = past_hour(Instant::from_nanos(time.nanos() - 1)) != past_hour(time);
            if clock.to_datetime(time.to_jiff()).minute() == 0 || changed {
                starts.push(time);
            }
        }
        for pair in starts.windows(2) {
            let expected = Period { start: pair[0], end: pair[1] };
            for time in [expected.start.nanos(), expected.start.nanos() + minute, expected.end.nanos() - 1] {
                assert_eq!(grid.containing(Instant::from_nanos(time)).unwrap(), expected, "{zone} {}", pair[0]);
            }
        }
    }
}

#[test]
fn a_month_from_the_31st_ends_on_the_last_day_and_comes_back() {
    let grid = grid(Every::Month, Anchor::Day(31), "Europe/Berlin");
    let mut period = grid.containing(at("2026-01-31T00:00:00+01:00")).unwrap();
    let mut starts = Vec::new();
    for _ in 0..6 {
        starts.push(period.start.to_string());
        period = grid.next(period).unwrap();
    }
    let expected = [
        "2026-01-30T23:00:00Z",
        "2026-02-27T23:00:00Z",
        "2026-03-30T22:00:00Z",
        "2026-04-29T22:00:00Z",
        "2026-05-30T22:00:00Z",
        "2026-06-29T22:00:00Z",
    ];
    assert_eq!(starts, expected);
}

#[test]
fn the_day_that_never_was_has_no_period() {
    let grid = grid(Every::Day, Anchor::Calendar, "Pacific/Apia");
    let before = grid.containing(at("2011-12-30T09:00:00Z")).unwrap();
    let after = grid.next(before).unwrap();
    assert_eq!(
        (before.start.to_string(), before.end.to_string()),
        ("2011-12-29T10:00:00Z".into(), "2011-12-30T10:00:00Z".into())
    );
    assert_eq!(after.end.to_string(), "2011-12-31T10:00:00Z");
}

#[test]
fn a_share_is_elapsed_time_of_the_full_period() {
    let grid = grid(Every::Month, Anchor::Calendar, "Europe/Berlin");
    let full = grid.containing(at("2026-03-10T00:00:00Z")).unwrap();
    let part = full.clip(at("2026-03-16T00:00:00+01:00"), None).unwrap();
    let hour = 3_600_000_000_000;
    // March 2026 is an hour short of 31 days in Berlin.
    assert_eq!(Share::of(part, full), Share { elapsed: (16 * 24 - 1) * hour, full: (31 * 24 - 1) * hour });
    assert!(full.clip(full.end, None).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Every moment lies in exactly one period, and periods follow each other without gaps, in any zone, at any time.
    #[test]
    fn periods_tile_time(
        seconds in -3_000_000_000i64..5_000_000_000,
        zone in prop::sample::select(vec![
            "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia",
            "America/St_Johns", "America/Havana", "Africa/Monrovia", "America/Sao_Paulo", "Pacific/Kwajalein", "Asia/Tehran",
        ]),
        every in prop::sample::select(Every::ALL.to_vec()),
        day in 1u8..=31,
        month in 1u8..=12,
    ) {
        let anchor = match every {
            Every::Hour | Every::Day => Anchor::Calendar,
            Every::Week => Anchor::Weekday((day - 1) % 7 + 1),
            Every::Month => Anchor::Day(day),
            Every::Quarter | Every::Year => Anchor::MonthDay(month, day.min(29)),
        };
        let grid = grid(every, anchor, zone);
        let time = Instant::from_nanos(seconds * 1_000_000_000);
        let period = grid.containing(time).unwrap();
        prop_assert!(period.contains(time));
        let (next, previous) = (grid.next(period).unwrap(), grid.previous(period).unwrap());
        prop_assert_eq!(next.start, period.end);
        prop_assert_eq!(previous.end, period.start);
        prop_assert_eq!(grid.previous(next).unwrap(), period);
        prop_assert_eq!(grid.containing(Instant::from_nanos(period.end.nanos() - 1)).unwrap(), period);
    }
}

#[test]
fn times_at_the_edge_of_what_is_counted_are_refused() {
    let year = grid(Every::Year, Anchor::Calendar, "UTC");
    assert!(year.containing(Instant::MAX).is_err());
    assert!(year.containing(Instant::MIN).is_err());
    assert!(grid(Every::Hour, Anchor::Calendar, "UTC").containing(Instant::MAX).is_err());
}
