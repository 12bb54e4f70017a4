//! Where periods are cut, as files say it.

use crate::period::{Anchor, Every};
use std::fmt;

/// An anchor as written: what it means depends on the plan's period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorText {
    /// A day of the month, or (1 = Monday) of the week.
    Number(u8),
    /// A day of the week by name.
    Weekday(u8),
    /// Month and day.
    MonthDay(u8, u8),
}

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl AnchorText {
    /// Reads a number, a weekday's name, or MM-DD.
    pub fn read(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse::<u8>() {
            return (1..=31).contains(&number).then_some(Self::Number(number));
        }
        let lower = text.to_ascii_lowercase();
        let named = |name: &&str| **name == lower || (lower.len() == 3 && name.starts_with(&lower));
        if let Some(at) = WEEKDAYS.iter().position(named) {
            return u8::try_from(at + 1).ok().map(Self::Weekday);
        }
        let (month, day) = text.split_once('-').filter(|(month, day)| month.len() == 2 && day.len() == 2)?;
        let (month, day) = (month.parse::<u8>().ok()?, day.parse::<u8>().ok()?);
        let longest = match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=longest).contains(&day).then_some(Self::MonthDay(month, day))
    }

    /// What it means for periods of a length; the error says what would be allowed.
    ///
    /// # Errors
    /// What an anchor of such periods looks like.
    pub fn resolve(self, every: Every) -> Result<Anchor, &'static str> {
        match (every, self) {
            (Every::Week, Self::Number(day @ 1..=7) | Self::Weekday(day)) => Ok(Anchor::Weekday(day)),
            (Every::Month, Self::Number(day)) => Ok(Anchor::Day(day)),
            (Every::Quarter | Every::Year, Self::MonthDay(month, day)) => Ok(Anchor::MonthDay(month, day)),
            (Every::Week, _) => Err("a weekday, such as monday or 1"),
            (Every::Month, _) => Err("a day of the month from 1 to 31 (31: the last)"),
            (Every::Quarter | Every::Year, _) => Err("a month and a day, such as 04-01"),
            (Every::Hour | Every::Day, _) => Err("none: hours and days are cut by the clock"),
        }
    }
}

impl fmt::Display for AnchorText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Weekday(day) => {
                out.write_str(WEEKDAYS.get(usize::from(day.saturating_sub(1))).copied().unwrap_or("monday"))
            }
            Self::MonthDay(month, day) => write!(out, "{month:02}-{day:02}"),
        }
    }
}
