//! Which alerts a channel sends. Pure.

use everyframe_config::{ChannelSettings, Config, Site, camera_patterns, matches_camera};
use everyframe_types::judgement::Severity;
use everyframe_types::raised_alert::RaisedAlert;
use std::sync::Arc;
use wildmatch::WildMatch;

/// The conditions of a channel. All of them must be met.
pub struct Conditions {
    rules: Vec<String>,
    kinds: Vec<WildMatch>,
    severities: Vec<Severity>,
    cameras: Vec<WildMatch>,
    people: Vec<WildMatch>,
    schedule: Option<String>,
    site: Arc<Site>,
}

impl Conditions {
    /// The conditions of a channel of a checked configuration.
    pub fn new(channel: &ChannelSettings, config: &Config) -> Self {
        let patterns = |texts: &[String]| texts.iter().map(|text| WildMatch::new(text)).collect();
        Self {
            rules: channel.rules.clone(),
            kinds: patterns(&channel.kinds),
            severities: channel.severities.clone(),
            cameras: camera_patterns(&channel.cameras),
            people: camera_patterns(&channel.people),
            schedule: channel.schedule.clone(),
            site: Arc::new(Site::new(config)),
        }
    }

    /// True if the channel sends this alert, which was raised at `at` (Unix milliseconds).
    pub fn are_met(&self, alert: &RaisedAlert, at: i64) -> bool {
        let is_any = |patterns: &[WildMatch], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
        };
        (self.rules.is_empty() || self.rules.contains(&alert.rule))
            && is_any(&self.kinds, &alert.kind)
            && (self.severities.is_empty() || self.severities.contains(&alert.severity))
            && matches_camera(&self.cameras, &alert.camera)
            && is_any(&self.people, &alert.subject)
            && self.schedule.as_ref().is_none_or(|name| self.site.schedules_at(at).contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample_alert;

    fn conditions(lines: &str) -> Conditions {
        let text = format!(
            "[[schedules]]\nname = \"night\"\nhours = [{{ from = \"18:00\", to = \"07:00\" }}]\n\
             [[channels]]\nname = \"a\"\nstdout = {{}}\n{lines}\n"
        );
        let config: Config = toml::from_str(&text).unwrap();
        Conditions::new(&config.channels[0], &config)
    }

    /// Monday 23 November 2026, 12:00 UTC.
    const NOON: i64 = 1_795_392_000_000 + 12 * 3_600_000;

    #[test]
    fn a_channel_without_conditions_sends_everything() {
        assert!(conditions("").are_met(&sample_alert(), NOON));
    }

    #[test]
    fn every_condition_must_be_met() {
        let alert = RaisedAlert {
            rule: "alerts".into(),
            kind: "known-person".into(),
            severity: Severity::Warning,
            camera: "gate-2".into(),
            subject: "anna".into(),
            ..sample_alert()
        };
        for (lines, is_met) in [
            ("rules = [\"alerts\"]", true),
            ("rules = [\"everyframe\"]", false),
            ("kinds = [\"known-*\", \"loitering\"]", true),
            ("kinds = [\"loitering\"]", false),
            ("severities = [\"warning\", \"critical\"]", true),
            ("severities = [\"critical\"]", false),
            ("cameras = [\"gate-*\"]", true),
            ("cameras = [\"yard\"]", false),
            ("people = [\"anna\"]", true),
            ("people = [\"an\"]", false),
            ("kinds = [\"known-*\"]\npeople = [\"otto\"]", false),
            ("schedule = \"night\"", false),
        ] {
            assert_eq!(conditions(lines).are_met(&alert, NOON), is_met, "{lines}");
        }
        assert!(conditions("schedule = \"night\"").are_met(&alert, NOON + 7 * 3_600_000));
    }
}
