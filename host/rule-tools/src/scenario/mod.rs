//! Scenarios: a few frames described in TOML, and the output that a rule should have for each.
//!
//! [`Scenario::parse`] reads a scenario for a kind of rule. [`run_scenario`] evaluates the rule on its frames in order.
//! [`update_expectations`] writes the rule's output into the scenario. A [`Recording`] is a scenario made from frames that a host
//! judged. `docs/rules.md` describes the format.

mod expect;
mod file;
mod read;
mod record;
mod run;
mod update;

#[cfg(test)]
mod tests;

pub use expect::{Entry, Value};
pub use record::{RecordedFrame, Recording};
pub use run::{Difference, FrameResult, evaluate_frame, run_scenario};
pub use update::update_expectations;

use everyframe_config::RuleKind;
use everyframe_rules::FrameFacts;
use everyframe_types::face::{People, Person};
use everyframe_types::judgement::Subject;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The date of times that have none: Monday, 2026-01-05, 00:00 UTC, Unix milliseconds.
const MONDAY: i64 = 1_767_571_200_000;
/// Milliseconds in a day.
const DAY: i64 = 24 * 3_600_000;

/// The session id of every scenario's frames.
const SESSION: &str = "scenario";

/// A scenario for one kind of rule.
#[derive(Clone)]
pub struct Scenario {
    /// What the scenario is about, one sentence; may be empty.
    pub about: String,
    /// The kind of rule.
    pub kind: RuleKind,
    /// The rule's settings.
    pub settings: toml::Table,
    /// The people whom the rule may look up.
    pub people: Arc<dyn People>,
    /// In the order of the file.
    pub frames: Vec<ScenarioFrame>,
}

/// One frame of a scenario.
#[derive(Debug, Clone)]
pub struct ScenarioFrame {
    /// The camera's id.
    pub camera: String,
    /// The frame's number among the camera's frames, from 1.
    pub sequence: u64,
    /// When the frame was captured, Unix milliseconds.
    pub at: i64,
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Names of the active schedules.
    pub schedules: Vec<String>,
    /// The faces with their decisions. For a matching policy, which makes the decisions, all are undecided.
    pub subjects: Vec<Subject>,
    /// The expected output; none: any output is accepted.
    pub expect: Option<Vec<Entry>>,
    /// The frame's line in the file, from 1.
    pub line: Option<usize>,
}

impl ScenarioFrame {
    /// The frame's metadata, as the rule gets it.
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

/// Formats Unix milliseconds as scenarios write them: a time of day if it is on the Monday, else RFC 3339.
pub fn format_time(at: i64) -> String {
    let Some(of_day) = at.checked_sub(MONDAY).filter(|of_day| (0..DAY).contains(of_day)) else {
        return everyframe_types::event::rfc3339(at);
    };
    let (seconds, milliseconds) = (of_day / 1000, of_day % 1000);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if milliseconds == 0 { clock } else { format!("{clock}.{milliseconds:03}") }
}

/// Parses a time of day on the Monday, or an RFC 3339 time, to Unix milliseconds.
fn parse_time(text: &str) -> Option<i64> {
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
