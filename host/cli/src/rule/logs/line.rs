//! A line of a host's log that is a rule's, out of text or JSON.

use everyframe_types::id::printable;
use serde_json::{Value, json};

/// How grave a line is; the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is odd.
    Warn,
    /// Something happened.
    Info,
    /// For authors.
    Debug,
}

impl Level {
    fn read(text: &str) -> Option<Self> {
        [Self::Error, Self::Warn, Self::Info, Self::Debug].into_iter().find(|level| level.name() == text)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }
}

/// What a rule logged about a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When the host wrote it, RFC 3339.
    pub time: String,
    /// How grave it is.
    pub level: Level,
    /// The rule's name.
    pub rule: String,
    /// The camera's id.
    pub camera: String,
    /// The agent's session.
    pub session: String,
    /// The frame's number in it.
    pub sequence: u64,
    /// What it says.
    pub message: String,
}

impl Line {
    /// None for a line that is no rule's.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.starts_with('{') { Self::of_json(text) } else { Self::of_text(text) }
    }

    fn of_json(text: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(text).ok()?;
        let fields = record.get("fields")?;
        let field = |name: &str| Some(fields.get(name)?.as_str()?.to_owned());
        Some(Self {
            time: record.get("timestamp")?.as_str()?.to_owned(),
            level: Level::read(record.get("level")?.as_str()?)?,
            rule: field("rule")?,
            camera: field("camera")?,
            session: field("session").unwrap_or_default(),
            sequence: fields.get("sequence")?.as_u64()?,
            message: field("message")?,
        })
    }

    /// `TIME LEVEL message rule=… camera=… session=… sequence=7`: a rule's words come before the host's fields, which are
    /// therefore read from the end.
    fn of_text(text: &str) -> Option<Self> {
        let (time, rest) = text.split_once(' ')?;
        time.parse::<jiff::Timestamp>().ok()?;
        let (level, rest) = rest.trim_start().split_once(' ')?;
        let (rest, sequence) = rest.rsplit_once(" sequence=")?;
        let (rest, session) = rest.rsplit_once(" session=").unwrap_or((rest, ""));
        let (rest, camera) = rest.rsplit_once(" camera=")?;
        let (message, rule) = match rest.strip_prefix("rule=") {
            Some(rule) if !rule.contains(' ') => ("", rule),
            _ => rest.rsplit_once(" rule=")?,
        };
        // The call's own span, which is told where debug lines are.
        let span = format!("call{{rule={rule} camera={camera:?} sequence={sequence}}}: ");
        let message = message.strip_prefix(&span).unwrap_or(message);
        Some(Self {
            time: time.to_owned(),
            level: Level::read(level)?,
            rule: rule.to_owned(),
            camera: camera.to_owned(),
            session: session.to_owned(),
            sequence: sequence.parse().ok()?,
            message: message.to_owned(),
        })
    }

    /// Whose it is, and when and what.
    pub fn render(&self) -> (String, String) {
        let Self { time, level, rule, camera, sequence, message, .. } = self;
        let whose = format!("{time}  {:<5}  {rule}  {camera}", level.name());
        (printable(&whose), printable(&format!("{sequence:>6}  {message}")))
    }

    /// All of it.
    pub fn json(&self) -> Value {
        let Self { time, level, rule, camera, session, sequence, message } = self;
        json!({
            "time": time, "level": level.name().to_lowercase(), "rule": rule, "camera": camera, "session": session,
            "sequence": sequence, "message": message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "2026-11-24T18:35:24.123456Z  WARN nobody is here rule=mine camera=gate 1 session=s sequence=7\n";

    #[test]
    fn text_and_json_say_the_same() {
        let json = r#"{"timestamp":"2026-11-24T18:35:24.123456Z","level":"WARN","fields":{"message":"nobody is here","rule":"mine","camera":"gate 1","session":"s","sequence":7}}"#;
        let line = Line::read(TEXT).unwrap();
        assert_eq!(Line::read(json), Some(line.clone()));
        assert_eq!((line.rule.as_str(), line.camera.as_str(), line.sequence), ("mine", "gate 1", 7));
        assert_eq!((line.level, line.message.as_str()), (Level::Warn, "nobody is here"));
    }

    #[test]
    fn lines_of_the_host_about_a_call_are_left_out() {
        let span = TEXT.replace("nobody", "call{rule=mine camera=\"gate 1\" sequence=7}: nobody");
        assert_eq!(Line::read(&span), Line::read(TEXT));
    }

    #[test]
    fn a_rule_cannot_speak_for_another() {
        let forged = TEXT.replace("nobody", "rule=other camera=x session=y sequence=1 nobody");
        assert_eq!(Line::read(&forged).unwrap().rule, "mine");
    }

    #[test]
    fn the_hosts_own_lines_are_none_of_a_rule() {
        for text in [
            "2026-11-24T18:35:24Z  INFO gallery read people=3",
            "2026-11-24T18:35:24Z  WARN a frame is missing camera=gate session=s sequence=7",
            "no log rule=mine camera=gate session=s sequence=7",
            r#"{"timestamp":"2026-11-24T18:35:24Z","level":"INFO","fields":{"message":"gallery read","people":3}}"#,
            "{",
            "",
        ] {
            assert_eq!(Line::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_terminal_is_not_made_to_obey() {
        let (whose, rest) = Line::read(&TEXT.replace("is", "\x1b[2J")).unwrap().render();
        assert!(!format!("{whose}{rest}").contains('\x1b'));
    }
}
