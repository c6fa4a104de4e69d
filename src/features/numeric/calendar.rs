//! What a date or a timestamp says beside how late it is: the day of the week, the month, the hour.
//!
//! Each has an input of its own, as the levels of a category have. All of it is counted from the
//! number that stands for the value, days or seconds since 1970 in UTC, so that neither the session's
//! time zone nor its language decides anything.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encode::NumericEncoder;
use super::fitted::{Numeric, TREATMENT};
use crate::features::column::{Column, Kind, Origin};
use crate::features::error::Error;
use crate::features::treatment::{Encodes, Learnt, NoIntake, Strip, TreatmentType};

const DAY: i64 = 86_400;
/// Beyond so many days from 1970 there are no dates: PostgreSQL's end some million years on.
const MOST_DAYS: f64 = 1e10;

/// What comes round again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cycle {
    /// The days of the week, from Monday on.
    Week,
    /// The months of the year.
    Year,
    /// The hours of the day.
    Day,
}

impl Cycle {
    /// All, the order of their inputs.
    pub(in crate::features) const ALL: [Cycle; 3] = [Cycle::Week, Cycle::Year, Cycle::Day];

    pub(super) fn name(self) -> &'static str {
        match self {
            Cycle::Week => "week",
            Cycle::Year => "year",
            Cycle::Day => "day",
        }
    }

    /// Its inputs.
    fn width(self) -> usize {
        match self {
            Cycle::Week => 7,
            Cycle::Year => 12,
            Cycle::Day => 24,
        }
    }

    /// Which of its inputs a moment is, given its day since 1970 and its second of that day.
    fn place(self, day: i64, second: i64) -> usize {
        (match self {
            // 1970 began on a Thursday.
            Cycle::Week => (day + 3).rem_euclid(7),
            Cycle::Year => month(day),
            Cycle::Day => second / 3600,
        }) as usize
    }
}

/// The month of a day since 1970, from 0, in the Gregorian calendar before its beginning, too. After
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn month(day: i64) -> i64 {
    let of_era = (day + 719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Years of this count begin in March.
    ((5 * of_year + 2) / 153 + 2) % 12
}

/// A date or a timestamp: its inputs as a [`Numeric`], then one for each day of the week, month and
/// hour, as far as asked for: 1 for the value's own and else 0; all 0 of a missing and of an infinite
/// value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calendar {
    /// How late it is.
    pub number: Numeric,
    /// Whether the numbers are seconds; else they are days.
    pub seconds: bool,
    /// What comes round again, in this order.
    pub cycles: Vec<Cycle>,
}

/// Encodes dates or timestamps.
#[derive(Clone, Debug)]
pub(in crate::features) struct CalendarEncoder {
    number: NumericEncoder,
    seconds: bool,
    cycles: Box<[Cycle]>,
}

impl CalendarEncoder {
    /// Writes the inputs behind those of the number.
    fn cycles(&self, value: f64, mut inputs: &mut [f32]) {
        let days = if self.seconds {
            value / DAY as f64
        } else {
            value
        };
        let moment = (days.abs() <= MOST_DAYS).then(|| match self.seconds {
            true => {
                let seconds = value.floor() as i64;
                (seconds.div_euclid(DAY), seconds.rem_euclid(DAY))
            }
            false => (value.floor() as i64, 0),
        });
        for cycle in &self.cycles {
            let Some((own, rest)) = inputs.split_at_mut_checked(cycle.width()) else {
                return;
            };
            own.fill(0.0);
            if let Some((day, second)) = moment
                && let Some(place) = own.get_mut(cycle.place(day, second))
            {
                *place = 1.0;
            }
            inputs = rest;
        }
    }
}

impl Encodes for CalendarEncoder {
    #[inline]
    fn number(&self, value: f64, row: &mut [f32], offset: usize) {
        self.number.number(value, row, offset);
        if let Some(inputs) = row.get_mut(offset + self.number.width()..) {
            self.cycles(value, inputs);
        }
    }

    fn strip(&self, strip: Strip<'_>) -> Result<(), Error> {
        let values = &strip.block.numbers(strip.column)?[strip.rows];
        for (row, value) in strip.out.chunks_exact_mut(strip.width).zip(values) {
            self.number(*value, row, strip.inputs.start);
        }
        Ok(())
    }

    fn size_bytes(&self) -> usize {
        size_of_val::<[Cycle]>(&self.cycles)
    }
}

impl Learnt for Calendar {
    type Encoder = CalendarEncoder;
    type Intake = NoIntake;

    fn encoder(&self, column: &Column) -> CalendarEncoder {
        CalendarEncoder {
            number: self.number.encoder(column),
            seconds: self.seconds,
            cycles: self.cycles.as_slice().into(),
        }
    }

    fn intake(&self, _memory: usize) -> NoIntake {
        NoIntake
    }

    fn treatment(&self) -> &'static TreatmentType {
        &TREATMENT
    }

    fn check(&self) -> Result<(), &'static str> {
        self.number.check()?;
        let in_order = Cycle::ALL
            .into_iter()
            .filter(|cycle| self.cycles.contains(cycle));
        let is_sound = !self.cycles.is_empty() && in_order.eq(self.cycles.iter().copied());
        match is_sound && (self.seconds || !self.cycles.contains(&Cycle::Day)) {
            true => Ok(()),
            false => Err("has a calendar that there is not"),
        }
    }

    fn kind(&self, origin: Origin) -> Kind {
        self.number.kind(origin)
    }

    fn width(&self) -> usize {
        let cycles = self.cycles.iter().map(|cycle| cycle.width());
        self.number.width() + cycles.sum::<usize>()
    }

    fn step_fault(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    fn words(&self) -> String {
        let parts = self.cycles.iter().map(|cycle| match cycle {
            Cycle::Week => ", day of the week",
            Cycle::Year => ", month",
            Cycle::Day => ", hour",
        });
        format!("{}{}", self.number.words(), parts.collect::<String>())
    }

    fn describe(&self) -> Value {
        let mut described = self.number.describe();
        let names: Vec<&str> = self.cycles.iter().map(|cycle| cycle.name()).collect();
        described["calendar"] = json!(names);
        described
    }
}

#[cfg(test)]
mod tests {
    use super::month;

    #[test]
    fn months_begin_when_they_do() {
        // The first day of each month from 1900 on, counted by the lengths of the months.
        let mut day = -25_567;
        for year in 1900..2420 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if leap { 29 } else { 28 };
            let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (number, length) in (0..).zip(lengths) {
                assert_eq!(month(day), number, "{year}");
                assert_eq!(month(day + length - 1), number, "{year}");
                // The calendar comes round in 400 years, those before Christ included.
                assert_eq!(month(day - 20 * 146_097), number, "{year}");
                day += length;
            }
        }
    }
}
