//! Turns events into lines for people: what is new, not every frame.

use crate::event::{AlertData, CloudEvent, ResultData, rfc3339};
use crate::judgement::{Decision, Severity, StrangerEvent};
use crate::observe::{RetentionData, RetentionState, RuleData, RuleState};
use std::collections::HashMap;

/// How long somebody must be out of sight to be announced again, milliseconds of frame time.
const AWAY: i64 = 3000;

/// Remembers what was said.
#[derive(Debug, Default)]
pub struct Narrator {
    /// By camera and person: when last seen.
    seen: HashMap<(String, String), i64>,
    since_summary: Counts,
    colour: bool,
}

#[derive(Debug, Default)]
struct Counts {
    frames: u64,
    faces: u64,
    alerts: u64,
    parked: u64,
}

impl Narrator {
    /// `colour` for a terminal that has it.
    pub fn new(colour: bool) -> Self {
        Self { colour, ..Self::default() }
    }

    /// The lines that a result is worth.
    pub fn result(&mut self, event: &CloudEvent<ResultData>) -> Vec<String> {
        let result = &event.data;
        self.since_summary.frames += 1;
        self.since_summary.faces += result.faces.len() as u64;
        let mut lines = Vec::new();
        for face in &result.faces {
            match (&face.decision, &face.stranger) {
                (Decision::Known { person, confidence }, _) => {
                    let key = (result.camera.clone(), person.clone());
                    let last = self.seen.insert(key, result.captured_at);
                    if last.is_none_or(|last| result.captured_at - last > AWAY) {
                        let likeness = face
                            .candidates
                            .iter()
                            .find(|c| c.person == *person)
                            .map_or(0.0, |c| c.similarity);
                        let text = format!(
                            "{person} recognised, {:.0} % sure (similarity {likeness:.2})",
                            confidence * 100.0
                        );
                        lines.push(self.line(result, "32", &text));
                    }
                }
                (Decision::Unknown, Some(stranger)) => {
                    let text = match stranger.event {
                        Some(StrangerEvent::FirstSeen) => "is new here".to_owned(),
                        Some(StrangerEvent::Returned) => format!("is back, visit {}", stranger.visits),
                        Some(StrangerEvent::Loitering) => {
                            format!("has stayed for {} s", stranger.dwell / 1000)
                        }
                        None => continue,
                    };
                    lines.push(self.line(result, "33", &format!("{} {text}", stranger.id)));
                }
                _ => {}
            }
        }
        lines
    }

    /// The line of a record of the alerts topic.
    pub fn raised(&mut self, json: &[u8]) -> Option<String> {
        serde_json::from_slice(json)
            .map(|event| self.alert(&event))
            .or_else(|_| serde_json::from_slice(json).map(|event| self.retention(&event)))
            .or_else(|_| serde_json::from_slice(json).map(|event| self.rule(&event)))
            .ok()
    }

    fn retention(&mut self, event: &CloudEvent<RetentionData>) -> String {
        self.since_summary.alerts += 1;
        let (colour, what) = match event.data.state {
            RetentionState::Danger => ("1;33", "RETENTION warning"),
            RetentionState::Over => ("36", "retention"),
        };
        self.of_the_host(&event.time, colour, what, &event.data.text)
    }

    fn rule(&mut self, event: &CloudEvent<RuleData>) -> String {
        self.since_summary.alerts += 1;
        let colour = if event.data.state == RuleState::Answering { "36" } else { "1;33" };
        self.of_the_host(&event.time, colour, "RULE", &event.data.text)
    }

    fn of_the_host(&self, time: &str, colour: &str, what: &str, text: &str) -> String {
        let time = time.split_once('T').and_then(|(_, time)| time.get(..10)).unwrap_or_default();
        self.paint(colour, &format!("{time}  {:<12} {what}: {}", "", printable(text)))
    }

    /// The line of an alert.
    fn alert(&mut self, event: &CloudEvent<AlertData>) -> String {
        self.since_summary.alerts += 1;
        let alert = &event.data.alert;
        let (colour, severity) = match alert.severity {
            Severity::Info => ("36", "info"),
            Severity::Warning => ("1;33", "warning"),
            Severity::Critical => ("1;31", "CRITICAL"),
        };
        let text = format!("ALERT {severity}: {} [{}]", printable(&alert.text), alert.rule);
        self.paint(
            colour,
            &format!("{}  {:<12} {text}", clock(event.data.captured_at), printable(&event.data.camera)),
        )
    }

    /// The line of a dead letter.
    pub fn parked(&mut self, camera: &str, reason: &str, message: &str) -> String {
        self.since_summary.parked += 1;
        let text = format!("parked: a frame of {camera}: {reason}: {message}");
        self.paint("31", &printable(&text))
    }

    /// What there was since the last summary; none if there was nothing.
    pub fn summary(&mut self) -> Option<String> {
        let Counts { frames, faces, alerts, parked } = std::mem::take(&mut self.since_summary);
        let text =
            format!("            more frames {frames} · faces {faces} · alerts {alerts} · parked {parked}");
        (frames + alerts + parked > 0).then(|| self.paint("2", &text))
    }

    fn line(&self, result: &ResultData, colour: &str, text: &str) -> String {
        let line =
            format!("{}  {:<12} {}", clock(result.captured_at), printable(&result.camera), printable(text));
        self.paint(colour, &line)
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The time of day in UTC, to a tenth of a second.
fn clock(milliseconds: i64) -> String {
    let text = rfc3339(milliseconds - milliseconds.rem_euclid(100) + 1);
    text.split_once('T').and_then(|(_, time)| time.get(..10)).unwrap_or_default().to_owned()
}

/// Text from records may hold anything; a terminal must not obey it.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_tenths() {
        assert_eq!(clock(1_764_000_000_123), "16:00:00.1");
        assert_eq!(clock(1_764_000_000_000), "16:00:00.0");
    }

    #[test]
    fn a_terminal_is_not_made_to_obey() {
        assert_eq!(printable("a\x1b[2Jb"), "a\u{fffd}[2Jb");
    }
}
