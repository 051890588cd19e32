//! What an agent tells of its camera, besides the frames: that it is away, frozen or black, or that pictures were not sent.

use crate::judgement::{Alert, Severity};
use crate::sequence_gap::HOST;

/// What is wrong with a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// No picture comes from it.
    Away,
    /// The connection ended, and was there again before anybody was to be told.
    Interrupted,
    /// It shows the same picture all the time.
    Frozen,
    /// Its picture is black.
    Black,
    /// Pictures were damaged.
    Damaged,
    /// Pictures were left out, because the agent was too slow.
    Dropped,
}

impl NoticeKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Away, Self::Interrupted, Self::Frozen, Self::Black, Self::Damaged, Self::Dropped];

    /// Its name in headers, metrics and alerts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Interrupted => "interrupted",
            Self::Frozen => "frozen",
            Self::Black => "black",
            Self::Damaged => "damaged",
            Self::Dropped => "dropped",
        }
    }

    /// Parses the name; none for an unknown kind.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// True for a state that lasts, and ends; false for a count of pictures.
    pub fn is_state(self) -> bool {
        matches!(self, Self::Away | Self::Frozen | Self::Black)
    }
}

/// A notice about a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraNotice {
    /// What is wrong.
    pub kind: NoticeKind,
    /// Since when, Unix milliseconds.
    pub from: i64,
    /// Until when, Unix milliseconds; none while it goes on.
    pub to: Option<i64>,
    /// Of damaged and dropped pictures: how many.
    pub frames: u64,
    /// Why, for people; empty if there is nothing more to say.
    pub reason: String,
}

impl CameraNotice {
    /// The alert that the host raises when a state begins or ends; none for other notices.
    pub fn alert(&self, camera: &str) -> Option<Alert> {
        if !self.kind.is_state() {
            return None;
        }
        let after = self.to.map(|to| format_milliseconds(to.saturating_sub(self.from)));
        let (kind, text) = match (self.kind, after) {
            (NoticeKind::Away, None) if self.reason.is_empty() => {
                ("camera-away", format!("camera {camera} sends nothing"))
            }
            (NoticeKind::Away, None) => {
                ("camera-away", format!("camera {camera} sends nothing: {}", self.reason))
            }
            (NoticeKind::Away, Some(after)) => {
                ("camera-back", format!("camera {camera} is back after {after}"))
            }
            (NoticeKind::Frozen, None) => {
                ("camera-frozen", format!("camera {camera} shows the same picture all the time"))
            }
            (NoticeKind::Frozen, Some(after)) => {
                ("camera-moves", format!("the picture of camera {camera} changes again, after {after}"))
            }
            (_, None) => ("camera-black", format!("the picture of camera {camera} is black")),
            (_, Some(after)) => {
                ("camera-visible", format!("camera {camera} shows something again, after {after}"))
            }
        };
        Some(Alert {
            rule: HOST.into(),
            severity: if self.to.is_some() { Severity::Info } else { Severity::Warning },
            kind: kind.into(),
            subject: camera.to_owned(),
            dedup_key: format!("{camera}/{}/{}", self.kind.as_str(), self.from),
            text,
            face: None,
        })
    }
}

/// A time in milliseconds, as people say it: `45 s`, `4 min`, `3 h 5 min`.
pub fn format_milliseconds(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1000;
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_told_when_it_begins_and_ends() {
        let reason = "the connection was refused".to_owned();
        let began = CameraNotice { kind: NoticeKind::Away, from: 0, to: None, frames: 0, reason };
        let alert = began.alert("gate-1").unwrap();
        assert_eq!(alert.text, "camera gate-1 sends nothing: the connection was refused");
        let ended = CameraNotice { to: Some(250_000), ..began };
        assert_eq!(ended.alert("gate-1").unwrap().text, "camera gate-1 is back after 4 min");
    }

    #[test]
    fn counts_of_pictures_raise_no_alert() {
        for kind in [NoticeKind::Damaged, NoticeKind::Dropped, NoticeKind::Interrupted] {
            let notice = CameraNotice { kind, from: 0, to: Some(9), frames: 7, reason: String::new() };
            assert_eq!(notice.alert("gate-1"), None);
        }
    }

    #[test]
    fn times_are_spoken() {
        let texts = [-1, 59_999, 60_000, 3_900_000].map(format_milliseconds);
        assert_eq!(texts, ["0 s", "59 s", "1 min", "1 h 5 min"]);
    }
}
