//! Hours of the week.

use crate::settings::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MINUTES_A_DAY: u16 = 24 * 60;

/// A span of hours on some days of the week.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// The days on which it begins; none for every day.
    pub days: Vec<Day>,
    /// When it begins: "18:00".
    pub from: TimeOfDay,
    /// When it ends, not included: "07:00". Earlier than `from` is on the next day.
    pub to: TimeOfDay,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "they are the days of the week")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

const WEEK: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

/// Minutes since midnight; "24:00" is the midnight at the end of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(#[schemars(with = "String", regex(pattern = "^([01]?[0-9]|2[0-4]):[0-5][0-9]$"))] u16);

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parsed = text.split_once(':').and_then(|(hour, minute)| {
            let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            if !digits(hour) || !digits(minute) || minute.len() != 2 || hour.len() > 2 {
                return None;
            }
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            let total = hour * 60 + minute;
            (minute < 60 && total <= MINUTES_A_DAY).then_some(TimeOfDay(total))
        });
        parsed.ok_or_else(|| format!("`{text}` is no time of day: write it as \"18:00\", up to \"24:00\""))
    }
}

impl From<TimeOfDay> for String {
    fn from(TimeOfDay(minutes): TimeOfDay) -> Self {
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl Default for Window {
    fn default() -> Self {
        Window { days: Vec::new(), from: TimeOfDay(0), to: TimeOfDay(MINUTES_A_DAY) }
    }
}

impl Window {
    /// Reports a window in which there would be no time, or all of it by mistake.
    pub fn check(&self, key: &str, problems: &mut Problems) {
        if self.from == self.to {
            problems.error(key, "`from` and `to` are the same: leave both out for the whole day");
        } else if self.from == TimeOfDay(MINUTES_A_DAY) {
            problems
                .error(format!("{key}.from"), "24:00 is the end of a day: write \"00:00\" and the next day");
        }
    }

    fn begins_on(&self, day: Day) -> bool {
        self.days.is_empty() || self.days.contains(&day)
    }

    fn contains(&self, today: usize, now: TimeOfDay) -> bool {
        let yesterday = WEEK[(today + 6) % 7];
        let today = WEEK[today];
        if self.from < self.to {
            self.begins_on(today) && self.from <= now && now < self.to
        } else {
            // Past midnight it is still the window of the day on which it began.
            (self.begins_on(today) && self.from <= now) || (self.begins_on(yesterday) && now < self.to)
        }
    }
}

/// Whether `at` (Unix milliseconds) is in one of the windows. Without windows it always is.
pub fn is_open(windows: &[Window], at: i64, utc_offset_minutes: i32) -> bool {
    if windows.is_empty() {
        return true;
    }
    let minutes = at.div_euclid(60_000) + i64::from(utc_offset_minutes);
    let day = i64::from(MINUTES_A_DAY);
    // 1 January 1970 was a Thursday: three days into a week that begins on Monday.
    let today = (minutes.div_euclid(day) + 3).rem_euclid(7) as usize;
    let now = TimeOfDay(minutes.rem_euclid(day) as u16);
    windows.iter().any(|window| window.contains(today, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    /// Monday 23 November 2026, 00:00 UTC.
    const MONDAY: i64 = 1_795_392_000_000;

    fn window(days: &[Day], from: &str, to: &str) -> Window {
        let time = |text: &str| TimeOfDay::try_from(text.to_string()).unwrap();
        Window { days: days.to_vec(), from: time(from), to: time(to) }
    }

    #[test]
    fn without_a_schedule_it_is_always_open() {
        assert!(is_open(&[], MONDAY, 0));
    }

    #[test]
    fn a_window_includes_its_first_minute_and_not_its_last() {
        let office = [window(&[], "09:00", "17:00")];
        assert!(!is_open(&office, MONDAY + 9 * HOUR - 1, 0));
        assert!(is_open(&office, MONDAY + 9 * HOUR, 0));
        assert!(is_open(&office, MONDAY + 17 * HOUR - 1, 0));
        assert!(!is_open(&office, MONDAY + 17 * HOUR, 0));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_began() {
        let night = [window(&[Day::Mon], "18:00", "07:00")];
        assert!(!is_open(&night, MONDAY + 6 * HOUR, 0), "that night began on Sunday");
        assert!(is_open(&night, MONDAY + 18 * HOUR, 0));
        assert!(is_open(&night, MONDAY + 30 * HOUR, 0), "Tuesday at six");
        assert!(!is_open(&night, MONDAY + 31 * HOUR, 0), "Tuesday at seven");
        assert!(!is_open(&night, MONDAY + 42 * HOUR, 0), "Tuesday at eighteen");
    }

    #[test]
    fn the_night_of_sunday_reaches_into_monday() {
        assert!(is_open(&[window(&[Day::Sun], "22:00", "06:00")], MONDAY + HOUR, 0));
    }

    #[test]
    fn until_midnight_may_be_written_both_ways() {
        for to in ["24:00", "00:00"] {
            let evening = [window(&[Day::Mon], "18:00", to)];
            assert!(is_open(&evening, MONDAY + 24 * HOUR - 1, 0), "{to}");
            assert!(!is_open(&evening, MONDAY + 24 * HOUR, 0), "{to}");
        }
    }

    #[test]
    fn a_window_without_hours_is_the_whole_day() {
        let monday = [Window { days: vec![Day::Mon], ..Window::default() }];
        assert!(is_open(&monday, MONDAY, 0));
        assert!(is_open(&monday, MONDAY + 24 * HOUR - 1, 0));
        assert!(!is_open(&monday, MONDAY - 1, 0));
    }

    #[test]
    fn hours_are_local_by_the_offset() {
        let nine_in_berlin = [window(&[Day::Mon], "09:00", "10:00")];
        assert!(is_open(&nine_in_berlin, MONDAY + 8 * HOUR, 60));
        assert!(!is_open(&nine_in_berlin, MONDAY + 9 * HOUR, 60));
        let monday_in_new_york = [window(&[Day::Mon], "00:00", "24:00")];
        assert!(!is_open(&monday_in_new_york, MONDAY, -300), "it is still Sunday there");
    }

    #[test]
    fn any_of_several_windows_will_do() {
        let two = [window(&[Day::Sat], "00:00", "24:00"), window(&[Day::Mon], "12:00", "13:00")];
        assert!(is_open(&two, MONDAY + 12 * HOUR, 0));
        assert!(!is_open(&two, MONDAY + 13 * HOUR, 0));
    }

    #[test]
    fn a_camera_without_a_clock_is_no_disaster() {
        let always = [window(&[], "00:00", "24:00")];
        for at in [0, -1, i64::MIN, i64::MAX] {
            assert!(is_open(&always, at, 840), "{at}");
        }
        assert!(is_open(&[window(&[Day::Wed], "23:00", "24:00")], -1, 0), "31 December 1969");
    }

    #[test]
    fn what_is_no_time_of_day_is_refused() {
        for text in ["", "18", "18:0", "18:60", "24:01", "25:00", "-1:00", "+1:00", "018:00", "6pm"] {
            assert!(TimeOfDay::try_from(text.to_string()).is_err(), "{text}");
        }
        assert_eq!(String::from(TimeOfDay::try_from("7:05".to_string()).unwrap()), "07:05");
    }
}
