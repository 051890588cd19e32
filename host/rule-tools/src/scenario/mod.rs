//! Scenarios: a few frames told in TOML, and what a rule should answer to each.
//!
//! [`Scenario::parse`] reads one for a kind of rule, [`run()`] puts its frames to the rule one after another, and
//! [`updated`] writes the answers back as what is expected from now on. A [`Recording`] writes one of frames that a host
//! judged. The format is described in `docs/rules.md`.

mod expect;
mod file;
mod read;
mod record;
mod run;
mod update;

#[cfg(test)]
mod tests;

pub use expect::{Entry, Value};
pub use record::{Recorded, Recording};
pub use run::{Difference, Ran, ask, run};
pub use update::updated;

use everyframe_config::RuleKind;
use everyframe_rules::FrameFacts;
use everyframe_types::face::{People, Person};
use everyframe_types::judgement::Subject;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The day of a time that is given without one: Monday, 2026-01-05, UTC.
const MONDAY: i64 = 1_767_571_200_000;
const DAY: i64 = 24 * 3_600_000;

/// What the frames of a scenario have for a session.
const SESSION: &str = "scenario";

/// A scenario that fits a kind of rule.
#[derive(Clone)]
pub struct Scenario {
    /// One sentence; may be empty.
    pub about: String,
    /// The kind of rule that it is for.
    pub kind: RuleKind,
    /// The rule's settings.
    pub settings: toml::Table,
    /// Whom the rule may look up.
    pub people: Arc<dyn People>,
    /// In the order of the file.
    pub frames: Vec<ScenarioFrame>,
}

/// One frame of a scenario.
#[derive(Debug, Clone)]
pub struct ScenarioFrame {
    /// The camera's id.
    pub camera: String,
    /// Its number among the camera's frames, from 1.
    pub sequence: u64,
    /// When it was taken, Unix milliseconds.
    pub at: i64,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The schedules that hold, by name.
    pub schedules: Vec<String>,
    /// The faces, each decided upon (for a matching policy, which is to decide, not yet).
    pub subjects: Vec<Subject>,
    /// What the rule should answer; none: anything.
    pub expect: Option<Vec<Entry>>,
    /// Where it stands in the file, from 1.
    pub line: Option<usize>,
}

impl ScenarioFrame {
    /// What a rule is told of it.
    pub fn facts(&self) -> FrameFacts<'_> {
        FrameFacts {
            camera: &self.camera,
            session: SESSION,
            sequence: self.sequence,
            captured_at: self.at,
            width: self.width,
            height: self.height,
            schedules: &self.schedules,
        }
    }
}

/// The people of a scenario's gallery, by id.
struct Enrolled(BTreeMap<String, Person>);

impl People for Enrolled {
    fn find(&self, person: &str) -> Option<Person> {
        self.0.get(person).cloned()
    }
}

/// A time as scenarios write it: of the day on the Monday, else with its date.
pub fn written(at: i64) -> String {
    let Some(of_day) = at.checked_sub(MONDAY).filter(|of_day| (0..DAY).contains(of_day)) else {
        return everyframe_types::event::rfc3339(at);
    };
    let (seconds, milliseconds) = (of_day / 1000, of_day % 1000);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if milliseconds == 0 { clock } else { format!("{clock}.{milliseconds:03}") }
}

/// Reads a time of day on the Monday, or an RFC 3339 time: Unix milliseconds.
fn time(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    let bytes = text.as_bytes();
    let digits = bytes.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    let colons = bytes.get(2) == Some(&b':') && bytes.get(5) == Some(&b':');
    if !digits || !colons {
        return None;
    }
    let time: jiff::civil::Time = text.parse().ok()?;
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Some(MONDAY + seconds * 1000 + i64::from(time.millisecond()))
}
