//! Turns events into lines for people. A line tells what is new; frames without news are summed up.

use everyframe_pipeline::observe::{
    CameraData, CameraPresence, RetentionData, RetentionState, RuleData, RuleStatus,
};
use everyframe_types::event::{AlertData, CloudEvent, ResultData, rfc3339};
use everyframe_types::id::printable;
use everyframe_types::judgement::{Decision, Severity, StrangerEvent};
use everyframe_types::machine::unix_ms;
use std::collections::HashMap;

/// How long somebody must be out of sight to be announced again, milliseconds of frame time.
const AWAY: u64 = 3000;
/// A day, milliseconds.
const DAY: u64 = 86_400_000;

/// Turns events into lines, and remembers whom it has announced.
#[derive(Debug, Default)]
pub struct EventText {
    /// When a person was last seen by a camera, Unix milliseconds of frame time; the key is camera and person.
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

impl EventText {
    /// `colour` for a terminal that has it.
    pub fn new(colour: bool) -> Self {
        Self { colour, ..Self::default() }
    }

    /// The lines for a result: people and strangers who are new or back.
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
                    // Either way round: times go back where an archive is sent again.
                    if last.is_none_or(|last| result.captured_at.abs_diff(last) > AWAY) {
                        let similarity = face
                            .candidates
                            .iter()
                            .find(|c| c.person == *person)
                            .map_or(0.0, |c| c.similarity);
                        let text = format!(
                            "{person} recognised, {:.0} % sure (similarity {similarity:.2})",
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
                        Some(StrangerEvent::Merged) => format!("is also {}", stranger.merged.join(", ")),
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
            .or_else(|_| serde_json::from_slice(json).map(|event| self.camera(&event)))
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
        let colour = if event.data.state == RuleStatus::Answering { "36" } else { "1;33" };
        self.of_the_host(&event.time, colour, "RULE", &event.data.text)
    }

    fn camera(&mut self, event: &CloudEvent<CameraData>) -> String {
        self.since_summary.alerts += 1;
        let colour = if event.data.state == CameraPresence::Back { "36" } else { "1;33" };
        self.of_the_host(&event.time, colour, "CAMERA", &event.data.text)
    }

    fn of_the_host(&self, time: &str, colour: &str, what: &str, text: &str) -> String {
        let time = time.split_once('T').and_then(|(_, time)| time.get(..10)).unwrap_or_default();
        self.paint(colour, &format!("{}  {:<12} {what}: {}", printable(time), "", printable(text)))
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
        let text = format!("ALERT {severity}: {} [{}]", printable(&alert.text), printable(&alert.rule));
        self.paint(
            colour,
            &format!(
                "{}  {:<12} {text}",
                clock(event.data.captured_at, unix_ms()),
                printable(&event.data.camera)
            ),
        )
    }

    /// The line of a dead letter.
    pub fn parked(&mut self, camera: &str, reason: &str, message: &str) -> String {
        self.since_summary.parked += 1;
        let text = format!("parked: a frame of {camera}: {reason}: {message}");
        self.paint("31", &printable(&text))
    }

    /// A summary of everything since the last one; none if there was nothing.
    pub fn summary(&mut self) -> Option<String> {
        let Counts { frames, faces, alerts, parked } = std::mem::take(&mut self.since_summary);
        let text =
            format!("            more frames {frames} · faces {faces} · alerts {alerts} · parked {parked}");
        (frames + alerts + parked > 0).then(|| self.paint("2", &text))
    }

    fn line(&self, result: &ResultData, colour: &str, text: &str) -> String {
        let line = format!(
            "{}  {:<12} {}",
            clock(result.captured_at, unix_ms()),
            printable(&result.camera),
            printable(text)
        );
        self.paint(colour, &line)
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The time of day in UTC, to a tenth of a second; with its date if that is not today's or yesterday's. `now` in Unix
/// milliseconds.
fn clock(milliseconds: i64, now: i64) -> String {
    let text = rfc3339(milliseconds);
    let Some((date, time)) = text.trim_end_matches('Z').split_once('T') else { return text };
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let time = format!("{seconds}.{}", fraction.get(..1).unwrap_or("0"));
    if milliseconds.abs_diff(now) <= DAY { time } else { format!("{date} {time}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_764_000_000_000;

    #[test]
    fn a_clock_shows_tenths() {
        assert_eq!(clock(NOW + 123, NOW), "16:00:00.1");
        assert_eq!(clock(NOW, NOW), "16:00:00.0");
        assert_eq!(clock(NOW, NOW + 90_000_000), "2025-11-24 16:00:00.0");
    }

    #[test]
    fn any_number_is_shown_as_a_time() {
        assert_eq!(clock(i64::MIN, NOW), "0001-01-01 00:00:00.0");
        assert_eq!(clock(i64::MAX, NOW), "9999-01-01 00:00:00.0");
        let mut text = EventText::new(false);
        for (captured_at, lines) in
            [(NOW, 1), (i64::MAX, 1), (NOW, 1), (NOW + 100, 0), (i64::MIN, 1), (NOW, 1)]
        {
            assert_eq!(text.result(&seen_at(captured_at)).len(), lines, "{captured_at}");
        }
    }

    fn seen_at(captured_at: i64) -> CloudEvent<ResultData> {
        let face = serde_json::json!({
            "index": 0, "bounds": { "x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0 }, "score": 1.0, "quality": 1.0,
            "track": "1", "trackStartedAt": captured_at, "decision": "known", "person": "ann", "confidence": 1.0,
            "candidates": [],
        });
        let data = serde_json::json!({
            "camera": "gate", "session": "s", "sequence": 0, "capturedAt": captured_at,
            "position": { "topic": "frames", "partition": 0, "offset": 0 }, "width": 1, "height": 1, "faces": [face],
            "alerts": [], "timings": { "decodeMs": 0.0, "detectMs": 0.0, "embedMs": 0.0, "rulesMs": 0.0 },
            "judgedBy": { "models": [], "rules": [] },
        });
        let event = serde_json::json!({
            "specversion": "1.0", "id": "frames/0/0", "source": "everyframe", "type": "everyframe.result.v1",
            "subject": "gate", "time": "", "datacontenttype": "application/json", "data": data,
        });
        serde_json::from_value(event).unwrap()
    }
}
