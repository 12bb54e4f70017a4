//! Periods: half-open stretches of time cut in the customer's own time zone, stable across daylight-saving changes.
//!
//! Full periods are cut at midnights of the zone (hours at its full hours). What the clock does around such a midnight:
//!
//! | the zone's clock | the period is cut |
//! |---|---|
//! | skips midnight (a gap) | at the first moment after the gap |
//! | shows midnight twice (a fold) | at the first of the two |
//! | skips a whole day (the date line) | once: the day that never was has no period |
//! | changes inside an hour by full hours | hours stay 3,600 seconds; a repeated hour is a period of its own |
//! | changes by part of an hour (Lord Howe) | the hour is cut at the change, too |

use crate::number::grouped;
use crate::time::{Error, Instant};
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

/// The half-open time `[start, end)` of one bill's usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Period {
    /// The first moment inside.
    pub start: Instant,
    /// The first moment after.
    pub end: Instant,
}

/// How long a full period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the calendar's own words
pub enum Every {
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// Where in the calendar periods are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// At the calendar's own bounds: midnight, Monday, the 1st, 1 January.
    #[default]
    Calendar,
    /// On this day of the week, 1 = Monday.
    Weekday(u8),
    /// On this day of the month; where a month is shorter, on its last day (31 always means the last).
    Day(u8),
    /// On this month and day of the year (quarters count from it).
    MonthDay(u8, u8),
}

/// An IANA time zone out of the bundled database, never the system's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// Where full periods are cut.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Grid {
    /// How long.
    pub every: Every,
    /// From where.
    #[serde(default)]
    pub anchor: Anchor,
    /// In which zone.
    pub zone: Zone,
}

/// Elapsed time against the full anchored period, in nanoseconds: what fees, `included`, `cap`, `minimum` and commitment
/// of a short period scale by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Elapsed.
    pub elapsed: i64,
    /// The full period, above zero.
    pub full: i64,
}

/// The text is no time zone of the bundled database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is not an IANA time zone, such as Europe/Berlin or UTC")]
pub struct UnknownZone {
    /// The text.
    pub found: String,
}

impl Zone {
    /// Looks a name up.
    ///
    /// # Errors
    /// [`UnknownZone`].
    pub fn new(name: &str) -> Result<Self, UnknownZone> {
        TimeZone::get(name).map(Self).map_err(|_| UnknownZone { found: name.to_owned() })
    }

    /// Coordinated universal time, the default.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl Period {
    /// True for the moments from its start up to, and without, its end.
    pub fn contains(&self, time: Instant) -> bool {
        self.start <= time && time < self.end
    }

    /// The part of it inside `[from, until)`; none where they do not meet.
    pub fn clip(&self, from: Instant, until: Option<Instant>) -> Option<Self> {
        let end = until.map_or(self.end, |until| self.end.min(until));
        let clipped = Self { start: self.start.max(from), end };
        (clipped.start < clipped.end).then_some(clipped)
    }
}

impl Share {
    /// All of a full period.
    pub const FULL: Self = Self { elapsed: 1, full: 1 };

    /// What `part` is of the full period `full`.
    pub fn of(part: Period, full: Period) -> Self {
        Self { elapsed: part.end.since(part.start).nanos(), full: full.end.since(full.start).nanos().max(1) }
    }

    /// True where nothing is missing.
    pub const fn is_full(self) -> bool {
        self.elapsed == self.full
    }
}

/// `17 of 31 days`: in the largest unit in which both are whole, so that a reader can calculate with it.
impl std::fmt::Display for Share {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = HOUR_NANOS / 3_600;
        let units = [(24 * HOUR_NANOS, "days"), (HOUR_NANOS, "hours"), (60 * seconds, "minutes"), (seconds, "seconds")];
        let whole = |(unit, _): &(i64, &str)| self.elapsed % unit == 0 && self.full % unit == 0;
        let (unit, word) = units.into_iter().find(whole).unwrap_or((1, "nanoseconds"));
        let number = |nanos: i64| grouped(&(nanos / unit).to_string());
        write!(out, "{} of {} {word}", number(self.elapsed), number(self.full))
    }
}

impl Every {
    /// All of them, the shortest first.
    pub const ALL: [Self; 6] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// Its word in catalog files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// How many full periods of `self` make one of `longer`: 1 for itself, 7 days a week, 3 months a quarter, 12 a year, 4
    /// quarters a year. None for any other pair, whose bounds never meet or not always.
    pub const fn per(self, longer: Self) -> Option<u32> {
        match (self, longer) {
            (Self::Day, Self::Week) => Some(7),
            (Self::Month, Self::Quarter) => Some(3),
            (Self::Month, Self::Year) => Some(12),
            (Self::Quarter, Self::Year) => Some(4),
            (shorter, longer) if shorter as u8 == longer as u8 => Some(1),
            _ => None,
        }
    }
}

impl std::fmt::Display for Every {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.pad(self.word())
    }
}

impl Grid {
    /// The full period that `time` lies in.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where the period reaches beyond the years 1678 to 2261.
    pub fn containing(&self, time: Instant) -> Result<Period, Error> {
        if self.every == Every::Hour {
            return self.zone.hour(time);
        }
        let today = self.zone.0.to_datetime(time.to_jiff()).date();
        let mut cut = self.cut_at_or_before(today)?;
        // The clock may show a date again after the next one began (a fold across midnight), and the other way round.
        while self.zone.midnight(self.date_of(cut)?)? > time {
            cut -= 1;
        }
        loop {
            let end = self.zone.midnight(self.date_of(cut + 1)?)?;
            if end > time {
                return Ok(Period { start: self.zone.midnight(self.date_of(cut)?)?, end });
            }
            cut += 1;
        }
    }

    /// The full period that begins where `period`, a full one, ends.
    ///
    /// # Errors
    /// See [`Grid::containing`].
    pub fn next(&self, period: Period) -> Result<Period, Error> {
        self.containing(period.end)
    }

    /// The full period that ends where `period`, a full one, begins.
    ///
    /// # Errors
    /// See [`Grid::containing`].
    pub fn previous(&self, period: Period) -> Result<Period, Error> {
        let before = period.start.nanos().checked_sub(1).ok_or(Error::OutOfRange)?;
        self.containing(Instant::from_nanos(before))
    }

    /// The number of the last cut on or before a date. Cuts are numbered without gaps: days since 1970, weeks since then,
    /// or months of the common era in steps of one, three or twelve.
    fn cut_at_or_before(&self, today: Date) -> Result<i64, Error> {
        match self.every {
            Every::Hour | Every::Day => Ok(day_number(today)),
            Every::Week => Ok((day_number(today) - self.week_phase()).div_euclid(7)),
            Every::Month | Every::Quarter | Every::Year => {
                let month = i64::from(today.year()) * 12 + i64::from(today.month()) - 1;
                let cut = (month - self.month_phase()).div_euclid(self.months());
                Ok(if self.date_of(cut)? > today { cut - 1 } else { cut })
            }
        }
    }

    /// The date of a numbered cut.
    fn date_of(&self, cut: i64) -> Result<Date, Error> {
        match self.every {
            Every::Hour | Every::Day => date_of_day(cut),
            Every::Week => date_of_day(cut * 7 + self.week_phase()),
            Every::Month | Every::Quarter | Every::Year => {
                let month = cut * self.months() + self.month_phase();
                let year = i16::try_from(month.div_euclid(12)).map_err(|_| Error::OutOfRange)?;
                let month = i8::try_from(month.rem_euclid(12) + 1).map_err(|_| Error::OutOfRange)?;
                let first = Date::new(year, month, 1).map_err(|_| Error::OutOfRange)?;
                let day = self.day().min(first.days_in_month());
                Date::new(year, month, day).map_err(|_| Error::OutOfRange)
            }
        }
    }

    /// Months from cut to cut.
    const fn months(&self) -> i64 {
        match self.every {
            Every::Year => 12,
            Every::Quarter => 3,
            _ => 1,
        }
    }

    /// The month, from 0, that some cut falls in.
    fn month_phase(&self) -> i64 {
        match self.anchor {
            Anchor::MonthDay(month, _) => i64::from(month) - 1,
            _ => 0,
        }
    }

    /// The day of the month that is cut at, where the month has it.
    fn day(&self) -> i8 {
        let day = match self.anchor {
            Anchor::Day(day) | Anchor::MonthDay(_, day) => day,
            Anchor::Calendar | Anchor::Weekday(_) => 1,
        };
        i8::try_from(day.clamp(1, 31)).unwrap_or(1)
    }

    /// The day number of the first cut on or after Monday, 1970-01-05.
    fn week_phase(&self) -> i64 {
        match self.anchor {
            Anchor::Weekday(weekday) => 4 + i64::from(weekday) - 1,
            _ => 4,
        }
    }
}

/// Days since 1970-01-01.
fn day_number(day: Date) -> i64 {
    i64::from((day - date(1970, 1, 1)).get_days())
}

/// The date so many days after 1970-01-01.
fn date_of_day(number: i64) -> Result<Date, Error> {
    let days = i32::try_from(number).map_err(|_| Error::OutOfRange)?;
    let span = jiff::Span::new().try_days(days).map_err(|_| Error::OutOfRange)?;
    date(1970, 1, 1).checked_add(span).map_err(|_| Error::OutOfRange)
}

const HOUR_NANOS: i64 = 3_600_000_000_000;

impl Zone {
    /// The first moment of a date: midnight, the first of two, or the first moment after a gap ("compatible").
    ///
    /// # Errors
    /// [`Error::OutOfRange`] outside the years 1678 to 2261.
    pub fn midnight(&self, day: Date) -> Result<Instant, Error> {
        let midnight = day.at(0, 0, 0, 0);
        let time = self.0.to_ambiguous_timestamp(midnight).compatible().map_err(|_| Error::OutOfRange)?;
        Instant::from_jiff(time)
    }

    /// The date that the zone's calendar shows.
    pub fn date(&self, time: Instant) -> Date {
        self.0.to_datetime(time.to_jiff()).date()
    }

    /// What calendar and clock show: the date alone at its first moment, else with hour and minute, seconds where it has
    /// them, and the offset where the clock shows the same time twice.
    pub fn local(&self, time: Instant) -> String {
        let date = self.date(time);
        if self.midnight(date) == Ok(time) { date.to_string() } else { self.date_and_clock(time) }
    }

    /// A stretch of time as people write it: its first and last day where it is cut at midnights, or else its first moment
    /// and the first after it.
    pub fn stretch(&self, period: Period) -> String {
        if period.start >= period.end {
            return self.local(period.start);
        }
        let (first, after) = (self.date(period.start), self.date(period.end));
        let whole_days = self.midnight(first) == Ok(period.start) && self.midnight(after) == Ok(period.end);
        match after.yesterday() {
            Ok(last) if whole_days && first == last => first.to_string(),
            Ok(last) if whole_days && first < last => format!("{first} to {last}"),
            _ => format!("{} to {}", self.date_and_clock(period.start), self.date_and_clock(period.end)),
        }
    }

    fn date_and_clock(&self, time: Instant) -> String {
        let there = self.0.to_datetime(time.to_jiff());
        let (date, clock) = (there.date(), there.time());
        let mut text = match (clock.second(), clock.subsec_nanosecond()) {
            (0, 0) => format!("{date} {:02}:{:02}", clock.hour(), clock.minute()),
            _ => format!("{date} {clock}"),
        };
        if self.0.to_ambiguous_timestamp(there).is_ambiguous() {
            text.push_str(&format!(" {}", self.0.to_offset(time.to_jiff())));
        }
        text
    }

    /// The first moment of the day that `time` lies in.
    ///
    /// # Errors
    /// See [`Zone::midnight`].
    pub fn day(&self, time: Instant) -> Result<Instant, Error> {
        self.midnight(self.date(time))
    }

    /// True where the zone's clock shows a full hour whenever that of UTC does.
    pub fn has_full_hours(&self, time: Instant) -> bool {
        self.past_hour(time) == 0
    }

    /// The date so many days after the one that the zone's calendar shows.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn date_after(&self, time: Instant, days: u32) -> Result<Date, Error> {
        let span = jiff::Span::new().try_days(days).map_err(|_| Error::OutOfRange)?;
        self.date(time).checked_add(span).map_err(|_| Error::OutOfRange)
    }

    /// How far the zone's clock is past a full hour of UTC, in nanoseconds.
    fn past_hour(&self, time: Instant) -> i64 {
        i64::from(self.0.to_offset(time.to_jiff()).seconds()).saturating_mul(1_000_000_000).rem_euclid(HOUR_NANOS)
    }

    /// The hour of the zone's clock that `time` lies in, cut where the clock changes by part of an hour.
    fn hour(&self, time: Instant) -> Result<Period, Error> {
        let shift = self.past_hour(time);
        let into = (time.nanos().rem_euclid(HOUR_NANOS) + shift).rem_euclid(HOUR_NANOS);
        let start = time.nanos().checked_sub(into).map(Instant::from_nanos).ok_or(Error::OutOfRange)?;
        let end = start.nanos().checked_add(HOUR_NANOS).map(Instant::from_nanos).ok_or(Error::OutOfRange)?;
        let mut hour = Period { start, end };
        let after = |time: Instant| Instant::from_nanos(time.nanos().saturating_add(1)).to_jiff();
        for change in self.0.preceding(after(time)) {
            let at = Instant::from_jiff(change.timestamp())?;
            if at <= hour.start {
                break;
            }
            if self.past_hour(Instant::from_nanos(at.nanos().saturating_sub(1))) != shift {
                hour.start = at;
                break;
            }
        }
        for change in self.0.following(time.to_jiff()) {
            let at = Instant::from_jiff(change.timestamp())?;
            if at >= hour.end {
                break;
            }
            if self.past_hour(at) != shift {
                hour.end = at;
                break;
            }
        }
        Ok(hour)
    }
}

impl serde::Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}
