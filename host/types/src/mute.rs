//! Alerts that nobody wants to be told of for a while. The acknowledgements topic keeps them, under the key `mute/ID`.

use serde::{Deserialize, Serialize};

/// The beginning of a mute's record key.
const KEY: &str = "mute/";

/// Which alerts are muted, and for how long. An alert is muted if it fits every part that is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// The camera.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub camera: Option<String>,
    /// The rule; `everyframe` is the host itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<String>,
    /// The kind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<String>,
    /// Who or what the alert is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
    /// From when on, Unix milliseconds.
    pub from: i64,
    /// Until when, Unix milliseconds.
    pub until: i64,
    /// Who muted them: the name of the token, or `local`.
    pub by: String,
}

/// An alert, as far as a mute looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Mutable<'a> {
    /// The camera.
    pub camera: &'a str,
    /// The rule that raised it.
    pub rule: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// Who or what it is about.
    pub subject: &'a str,
    /// When the frame was taken, Unix milliseconds.
    pub at: i64,
}

impl Mute {
    /// Whether it mutes this alert.
    pub fn mutes(&self, alert: Mutable<'_>) -> bool {
        let fits = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|it| it == value);
        (self.from..self.until).contains(&alert.at)
            && fits(&self.camera, alert.camera)
            && fits(&self.rule, alert.rule)
            && fits(&self.kind, alert.kind)
            && fits(&self.subject, alert.subject)
    }

    /// The record key of the mute with this id.
    pub fn key(id: &str) -> String {
        format!("{KEY}{id}")
    }

    /// The id in a record key; none if it is not the key of a mute.
    pub fn id(key: &str) -> Option<&str> {
        key.strip_prefix(KEY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_muted_if_it_fits_every_given_part() {
        let mute = Mute {
            camera: Some("gate".into()),
            rule: None,
            kind: Some("loitering".into()),
            subject: None,
            from: 100,
            until: 200,
            by: "local".into(),
        };
        let alert = Mutable { camera: "gate", rule: "alerts", kind: "loitering", subject: "s-1", at: 100 };
        assert!(mute.mutes(alert));
        let others = [
            Mutable { camera: "yard", ..alert },
            Mutable { kind: "first-seen", ..alert },
            Mutable { at: 99, ..alert },
            Mutable { at: 200, ..alert },
        ];
        others.into_iter().for_each(|other| assert!(!mute.mutes(other), "{other:?}"));
        assert_eq!(Mute::id(&Mute::key("7")), Some("7"));
        assert_eq!(Mute::id("frames/0/7/alerts"), None);
    }
}
