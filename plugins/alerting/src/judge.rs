//! Decides which faces of a frame raise an alert.

use crate::settings::{self, Settings};
use everyframe_rule::{
    Alert, AlertRule, Decision, Event, Frame, Host, Severity, Stranger, Subject, Timestamp, sum_up,
};
use std::collections::BTreeSet;

/// How many people of a crowd an alert's text names.
const NAMED: usize = 3;

impl AlertRule for Settings {
    fn judge(&self, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
        judge(self, frame, subjects, host)
    }
}

fn judge(settings: &Settings, frame: &Frame, subjects: &[Subject], host: &mut dyn Host) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut raised = BTreeSet::new();
    for subject in subjects {
        let Some(possible) = PossibleAlert::of(settings, frame, subject, host) else { continue };
        let alert = possible.alert(frame, subject.face.index);
        // Two faces recognised as one person raise one alert, also without a cool-down.
        if !raised.insert(alert.dedup_key.clone()) {
            continue;
        }
        if settings.cooldown_ms > 0 {
            let key = state_key(&alert);
            let last: Option<Timestamp> = host.get(&key);
            // In both directions: if a camera's clock is set back, its alerts must not stop until it has caught up.
            if last.is_some_and(|last| last.abs_diff(frame.captured_at) < settings.cooldown_ms) {
                continue;
            }
            // Raise the alert even if the state is full: an alert that comes twice is better than none.
            host.set(&key, &frame.captured_at, settings.cooldown_ms);
        }
        alerts.push(alert);
    }
    sum_up(frame, alerts, |alerts| summary_text(frame, alerts, host))
}

/// The text of one alert that summarises more alerts of a kind than the host accepts: "153 strangers at once seen for
/// the first time at gate".
fn summary_text(frame: &Frame, alerts: &[Alert], host: &dyn Host) -> String {
    let (count, camera) = (alerts.len(), &frame.camera);
    let kind = alerts.first().map_or("", |alert| &alert.kind);
    let names = || {
        let names: Vec<String> =
            alerts.iter().take(NAMED).map(|alert| host.name_of(&alert.subject)).collect();
        format!("{} and {} more", names.join(", "), count.saturating_sub(NAMED))
    };
    match kind {
        "first-seen" => format!("{count} strangers at once seen for the first time at {camera}"),
        "returned" => format!("{count} strangers at once are back at {camera}"),
        "loitering" => format!("{count} strangers at once have stayed too long at {camera}"),
        "merged" => format!("{count} strangers at once proved to be others, too, at {camera}"),
        "denied-person" => {
            format!("{count} people at once who are on the deny list, seen at {camera}: {}", names())
        }
        _ => format!("{count} people at once seen at {camera}: {}", names()),
    }
}

/// A possible alert. It is raised unless its cool-down still runs.
struct PossibleAlert<'a> {
    kind: &'static str,
    severity: Severity,
    subject: &'a str,
    text: String,
}

/// `stranger-2f` is "Stranger 2f" to people.
fn name_of_stranger(id: &str) -> String {
    format!("Stranger {}", id.strip_prefix("stranger-").unwrap_or(id))
}

impl<'a> PossibleAlert<'a> {
    fn of(settings: &Settings, frame: &Frame, subject: &'a Subject, host: &dyn Host) -> Option<Self> {
        let camera = &frame.camera;
        match (&subject.decision, &subject.stranger) {
            (Decision::Known(identity), _) => {
                let person = &identity.person;
                let name = || host.name_of(person);
                let listed = listed(settings, person)?;
                if listed == Listed::Deny {
                    return Some(PossibleAlert::denied(person, &name(), camera));
                }
                let severity = settings.about_person(person)?.into();
                let text = format!("{} seen at {camera}", name());
                Some(PossibleAlert { kind: "known-person", severity, subject: person, text })
            }
            (Decision::Unknown, Some(stranger)) => {
                let id = &stranger.id;
                let is_denied = |id: &String| settings.deny.contains(id);
                if listed(settings, id)? == Listed::Deny || stranger.merged.iter().any(is_denied) {
                    return Some(PossibleAlert::denied(id, &name_of_stranger(id), camera));
                }
                let event = stranger.event?;
                let severity = settings.about_event(event)?;
                Some(PossibleAlert::event(event, severity, stranger, camera))
            }
            // No alert for an undecided face: one of the next frames may decide.
            (Decision::Unknown, None) | (Decision::Undecided(_), _) => None,
        }
    }

    fn denied(subject: &'a str, name: &str, camera: &str) -> Self {
        let text = format!("{name}, who is on the deny list, seen at {camera}");
        PossibleAlert { kind: "denied-person", severity: Severity::Critical, subject, text }
    }

    fn event(event: Event, severity: settings::Severity, stranger: &'a Stranger, camera: &str) -> Self {
        let id = &stranger.id;
        let name = name_of_stranger(id);
        let (kind, text) = match event {
            Event::FirstSeen => ("first-seen", format!("{name} seen for the first time at {camera}")),
            Event::Returned => ("returned", format!("{name} is back at {camera}, visit {}", stranger.visits)),
            Event::Loitering => {
                ("loitering", format!("{name} has stayed {} at {camera}", span(stranger.dwell)))
            }
            Event::Merged => {
                let others: Vec<String> = stranger.merged.iter().map(|id| name_of_stranger(id)).collect();
                ("merged", format!("{name} is also {}", others.join(", ")))
            }
        };
        PossibleAlert { kind, severity: severity.into(), subject: id, text }
    }

    fn alert(self, frame: &Frame, face: u32) -> Alert {
        Alert {
            severity: self.severity,
            kind: self.kind.into(),
            subject: self.subject.into(),
            dedup_key: format!("{}/{}/{}", self.kind, frame.camera, self.subject),
            text: self.text,
            face: Some(face),
        }
    }
}

#[derive(PartialEq)]
enum Listed {
    Deny,
    Nowhere,
}

/// `None` for people and strangers of the allow list, who never raise an alert.
fn listed(settings: &Settings, subject: &str) -> Option<Listed> {
    let names = |list: &[String]| list.iter().any(|listed| listed == subject);
    if names(&settings.allow) {
        None
    } else if names(&settings.deny) {
        Some(Listed::Deny)
    } else {
        Some(Listed::Nowhere)
    }
}

/// The state key of an alert's cool-down. It does not contain the camera, because state is separate for each camera.
fn state_key(alert: &Alert) -> String {
    let key = format!("alert/{}/{}", alert.kind, alert.subject);
    // The host refuses longer keys, so a long id is replaced by its hash (FNV-1a, 64 bits).
    if key.len() <= 256 {
        return key;
    }
    let hash = alert
        .subject
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("alert/{}/#{hash:016x}", alert.kind)
}

/// Formats a duration for people: in seconds up to two minutes, then in minutes, then in hours.
fn span(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
