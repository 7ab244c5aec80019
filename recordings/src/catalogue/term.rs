//! Terms of the academic year, in words and in the catalogue's code.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};

/// The part of the year, in calendar order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Season {
    Winter,
    Spring,
    Summer,
    Fall,
}

impl Season {
    const ALL: [Self; 4] = [Self::Winter, Self::Spring, Self::Summer, Self::Fall];

    fn name(self) -> &'static str {
        match self {
            Self::Winter => "Winter",
            Self::Spring => "Spring",
            Self::Summer => "Summer",
            Self::Fall => "Fall",
        }
    }

    /// Last digit of the catalogue's code.
    fn digit(self) -> i32 {
        match self {
            Self::Fall => 1,
            Self::Spring => 2,
            Self::Winter => 3,
            Self::Summer => 4,
        }
    }
}

/// A term such as `Fall 2026`. Ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// The calendar year.
    year: i32,
    season: Season,
}

impl Term {
    /// The term of this season in this calendar year.
    #[must_use]
    pub fn new(season: Season, year: i32) -> Self {
        Self { year, season }
    }

    /// The catalogue's code: the academic year, which is named after the calendar year in which it ends, and a
    /// digit. `Fall 2018` is 20191, `Spring 2018` is 20182.
    #[must_use]
    pub fn code(self) -> i32 {
        let academic = if self.season == Season::Fall { self.year + 1 } else { self.year };
        academic * 10 + self.season.digit()
    }

    /// The regular term of this date and the one after it. Only Fall and Spring are regular: Winter and
    /// Summer have few lectures, and with them as "current" the courses of the two large terms would look deleted. Between the
    /// end of Spring and the start of Fall, Spring counts: its recordings are still watched.
    #[must_use]
    pub fn around(date: NaiveDate) -> [Self; 2] {
        let year = date.year();
        if date.month() < 8 {
            [Self::new(Season::Spring, year), Self::new(Season::Fall, year)]
        } else {
            [Self::new(Season::Fall, year), Self::new(Season::Spring, year + 1)]
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.season.name(), self.year)
    }
}

/// A text that is not a term.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a term; write it like \"Fall 2026\" or 20271")]
pub struct BadTerm(String);

impl FromStr for Term {
    type Err = BadTerm;

    /// Reads `Fall 2026` in any letter case, `20271` and the form's `D-20271`.
    fn from_str(text: &str) -> Result<Self, BadTerm> {
        let bad = || BadTerm(text.chars().take(40).collect());
        let trimmed = text.trim();
        let term = match trimmed.split_once(char::is_whitespace) {
            Some((season, year)) => from_words(season, year.trim_start()),
            None => from_code(trimmed.strip_prefix("D-").unwrap_or(trimmed)),
        };
        term.filter(|term| (1900..2200).contains(&term.year)).ok_or_else(bad)
    }
}

fn from_words(season: &str, year: &str) -> Option<Term> {
    let season = Season::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(season))?;
    (year.len() == 4).then(|| year.parse().ok())?.map(|year| Term::new(season, year))
}

fn from_code(code: &str) -> Option<Term> {
    let code: i32 = (code.len() == 5).then(|| code.parse().ok())??;
    let season = Season::ALL.into_iter().find(|known| known.digit() == code % 10)?;
    let year = if season == Season::Fall { code / 10 - 1 } else { code / 10 };
    Some(Term::new(season, year))
}
