//! Schedules: hours of the week.

use everyframe_types::event::CALENDAR;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

const MINUTES_A_DAY: u16 = 24 * 60;

/// A span of hours on some days of the week.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// The days on which it begins. Empty: every day.
    pub days: Vec<Day>,
    /// The start: "18:00".
    pub from: TimeOfDay,
    /// The end, not included: "07:00". If it is earlier than `from`, it is on the next day.
    pub to: TimeOfDay,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the days of the week")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
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
        parsed.ok_or_else(|| format!("`{text}` is not a time of day; write it as \"18:00\", up to \"24:00\""))
    }
}

impl Default for Window {
    fn default() -> Self {
        Window { days: Vec::new(), from: TimeOfDay(0), to: TimeOfDay(MINUTES_A_DAY) }
    }
}

impl Window {
    /// The problem of a window that is empty, or the whole day by mistake, if there is one.
    pub fn find_problem(&self) -> Option<&'static str> {
        if self.from == self.to {
            Some("`from` and `to` are the same; leave both out for the whole day")
        } else if self.from == TimeOfDay(MINUTES_A_DAY) {
            Some("`from` is the end of a day; write \"00:00\" of the next day")
        } else {
            None
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
            // After midnight, the window still belongs to the day on which it began.
            (self.begins_on(today) && self.from <= now) || (self.begins_on(yesterday) && now < self.to)
        }
    }
}

/// True if a time (Unix milliseconds) is in one of the windows, whose hours are in the given time zone. Without windows, always
/// true.
pub fn is_open(windows: &[Window], at: i64, zone: &TimeZone) -> bool {
    if windows.is_empty() {
        return true;
    }
    // A camera without a clock may claim any time.
    let within = at.clamp(*CALENDAR.start(), *CALENDAR.end());
    let local = zone.to_datetime(Timestamp::from_millisecond(within).unwrap_or_default());
    let today = usize::from(local.weekday().to_monday_zero_offset().unsigned_abs());
    let now =
        TimeOfDay(u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs()));
    windows.iter().any(|window| window.contains(today, now))
}

/// Finds a time zone by its name in the IANA database.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
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
        assert!(is_open(&[], MONDAY, &TimeZone::UTC));
    }

    #[test]
    fn a_window_includes_its_start_and_excludes_its_end() {
        let office = [window(&[], "09:00", "17:00")];
        assert!(!is_open(&office, MONDAY + 9 * HOUR - 1, &TimeZone::UTC));
        assert!(is_open(&office, MONDAY + 9 * HOUR, &TimeZone::UTC));
        assert!(is_open(&office, MONDAY + 17 * HOUR - 1, &TimeZone::UTC));
        assert!(!is_open(&office, MONDAY + 17 * HOUR, &TimeZone::UTC));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_began() {
        let night = [window(&[Day::Mon], "18:00", "07:00")];
        assert!(!is_open(&night, MONDAY + 6 * HOUR, &TimeZone::UTC), "that night began on Sunday");
        assert!(is_open(&night, MONDAY + 18 * HOUR, &TimeZone::UTC));
        assert!(is_open(&night, MONDAY + 30 * HOUR, &TimeZone::UTC), "Tuesday at six");
        assert!(!is_open(&night, MONDAY + 31 * HOUR, &TimeZone::UTC), "Tuesday at seven");
        assert!(!is_open(&night, MONDAY + 42 * HOUR, &TimeZone::UTC), "Tuesday at eighteen");
    }

    #[test]
    fn the_night_of_sunday_reaches_into_monday() {
        assert!(is_open(&[window(&[Day::Sun], "22:00", "06:00")], MONDAY + HOUR, &TimeZone::UTC));
    }

    #[test]
    fn midnight_can_be_written_in_two_ways() {
        for to in ["24:00", "00:00"] {
            let evening = [window(&[Day::Mon], "18:00", to)];
            assert!(is_open(&evening, MONDAY + 24 * HOUR - 1, &TimeZone::UTC), "{to}");
            assert!(!is_open(&evening, MONDAY + 24 * HOUR, &TimeZone::UTC), "{to}");
        }
    }

    #[test]
    fn a_window_without_hours_is_the_whole_day() {
        let monday = [Window { days: vec![Day::Mon], ..Window::default() }];
        assert!(is_open(&monday, MONDAY, &TimeZone::UTC));
        assert!(is_open(&monday, MONDAY + 24 * HOUR - 1, &TimeZone::UTC));
        assert!(!is_open(&monday, MONDAY - 1, &TimeZone::UTC));
    }

    #[test]
    fn hours_are_local_also_in_summer() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let nine = [window(&[], "09:00", "10:00")];
        assert!(is_open(&nine, MONDAY + 8 * HOUR, &berlin));
        assert!(!is_open(&nine, MONDAY + 9 * HOUR, &berlin));
        // 23 June 2026: daylight saving time.
        let summer = MONDAY - 153 * 24 * HOUR;
        assert!(is_open(&nine, summer + 7 * HOUR, &berlin));
        let monday_in_new_york = [window(&[Day::Mon], "00:00", "24:00")];
        let new_york = TimeZone::get("America/New_York").unwrap();
        assert!(!is_open(&monday_in_new_york, MONDAY, &new_york), "it is still Sunday there");
    }

    #[test]
    fn one_of_several_windows_is_enough() {
        let two = [window(&[Day::Sat], "00:00", "24:00"), window(&[Day::Mon], "12:00", "13:00")];
        assert!(is_open(&two, MONDAY + 12 * HOUR, &TimeZone::UTC));
        assert!(!is_open(&two, MONDAY + 13 * HOUR, &TimeZone::UTC));
    }

    #[test]
    fn any_time_of_a_camera_is_accepted() {
        let always = [window(&[], "00:00", "24:00")];
        for at in [0, -1, i64::MIN, i64::MAX] {
            assert!(is_open(&always, at, &TimeZone::fixed(jiff::tz::offset(14))), "{at}");
        }
        assert!(is_open(&[window(&[Day::Wed], "23:00", "24:00")], -1, &TimeZone::UTC), "31 December 1969");
    }

    #[test]
    fn invalid_times_of_day_are_refused() {
        for text in ["", "18", "18:0", "18:60", "24:01", "25:00", "-1:00", "+1:00", "018:00", "6pm"] {
            assert!(TimeOfDay::try_from(text.to_string()).is_err(), "{text}");
        }
        assert_eq!(TimeOfDay::try_from("7:05".to_string()), Ok(TimeOfDay(7 * 60 + 5)));
    }
}
