//! Notices that a camera is away, frozen or black, and that pictures were damaged or left out. Pure: the caller gives the time.

use super::view::View;
use everyframe_types::camera_notice::{CameraNotice, NoticeKind};
use std::time::Duration;

/// Damaged and dropped pictures of so long a time are one notice, milliseconds.
const COUNT_INTERVAL: i64 = 10_000;

/// What the status says of a camera that sends only damaged pictures.
const WITHHELD: &str = "all its pictures are damaged, and are not sent";

/// When a camera counts as away, frozen or black.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchSettings {
    /// No picture for this long: away.
    pub silent_after: Duration,
    /// The same picture for this long: frozen.
    pub frozen_after: Duration,
    /// A black picture for this long: black.
    pub black_after: Duration,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            silent_after: Duration::from_secs(30),
            frozen_after: Duration::from_secs(60),
            black_after: Duration::from_secs(60),
        }
    }
}

/// Watches one camera. All times are Unix milliseconds.
#[derive(Debug)]
pub(super) struct CameraWatch {
    settings: WatchSettings,
    /// The last picture that was sent; before the first, the start.
    last_picture: i64,
    /// Why the connection ended, since the last picture.
    lost: Option<String>,
    /// True if damaged pictures that are not sent came since the last picture, and since the connection ended.
    is_withholding: bool,
    /// True if the topic was told that the camera is away.
    is_away: bool,
    frozen: Episode,
    black: Episode,
    fingerprint: Option<u64>,
    damaged: Count,
    dropped: Count,
}

/// A state of the picture that becomes a notice if it lasts.
#[derive(Debug, Default)]
struct Episode {
    since: Option<i64>,
    is_told: bool,
}

impl Episode {
    /// The notice that is due when the state is as given at this time.
    fn update(&mut self, holds: bool, now: i64, after: Duration, kind: NoticeKind) -> Option<CameraNotice> {
        let notice = |from, to| Some(CameraNotice { kind, from, to, frames: 0, reason: String::new() });
        if !holds {
            let ended = std::mem::take(self);
            return ended.since.filter(|_| ended.is_told).and_then(|from| notice(from, Some(now)));
        }
        let since = *self.since.get_or_insert(now);
        if self.is_told || now - since < milliseconds(after) {
            return None;
        }
        self.is_told = true;
        notice(since, None)
    }
}

/// Pictures that are counted together.
#[derive(Debug, Default)]
struct Count {
    frames: u64,
    from: i64,
    to: i64,
}

impl Count {
    fn add(&mut self, frames: u64, now: i64) {
        if self.frames == 0 {
            self.from = now;
        }
        self.frames += frames;
        self.to = now;
    }

    fn take(&mut self, kind: NoticeKind) -> Option<CameraNotice> {
        let Self { frames, from, to } = std::mem::take(self);
        let (to, reason) = (Some(to.max(from)), String::new());
        (frames > 0).then_some(CameraNotice { kind, from, to, frames, reason })
    }
}

impl CameraWatch {
    /// Starts to watch.
    pub fn new(settings: WatchSettings, now: i64) -> Self {
        Self {
            settings,
            last_picture: now,
            lost: None,
            is_withholding: false,
            is_away: false,
            frozen: Episode::default(),
            black: Episode::default(),
            fingerprint: None,
            damaged: Count::default(),
            dropped: Count::default(),
        }
    }

    /// A picture came that is sent, good or damaged; `view` is what it shows, if that is known.
    pub fn record_picture(&mut self, now: i64, view: Option<View>) -> Vec<CameraNotice> {
        let from = std::mem::replace(&mut self.last_picture, now);
        let kind = match (std::mem::take(&mut self.is_away), &self.lost) {
            (true, _) => Some(NoticeKind::Away),
            (false, Some(_)) => Some(NoticeKind::Interrupted),
            (false, None) => None,
        };
        let is_withholding = std::mem::take(&mut self.is_withholding);
        let reason = match (self.lost.take(), is_withholding) {
            (Some(lost), _) => lost,
            (None, true) => WITHHELD.to_owned(),
            (None, false) => String::new(),
        };
        let back = kind.map(|kind| CameraNotice { kind, from, to: Some(now), frames: 0, reason });
        let mut notices: Vec<CameraNotice> = back.into_iter().collect();
        if let Some(view) = view {
            let is_same = self.fingerprint.replace(view.fingerprint) == Some(view.fingerprint);
            let WatchSettings { frozen_after, black_after, .. } = self.settings;
            notices.extend(self.frozen.update(is_same, now, frozen_after, NoticeKind::Frozen));
            notices.extend(self.black.update(view.is_black, now, black_after, NoticeKind::Black));
        }
        notices
    }

    /// The connection ended, or could not be made.
    pub fn record_connection_loss(&mut self, reason: String) {
        self.lost = Some(reason);
        self.is_withholding = false;
    }

    /// A damaged picture came that is not sent.
    pub fn record_withheld(&mut self, now: i64) {
        self.record_damaged(now);
        self.is_withholding = true;
    }

    /// A damaged picture came.
    pub fn record_damaged(&mut self, now: i64) {
        self.damaged.add(1, now);
    }

    /// So many pictures were left out.
    pub fn record_dropped(&mut self, frames: u64, now: i64) {
        if frames > 0 {
            self.dropped.add(frames, now);
        }
    }

    /// The notices that are due because of the time alone.
    pub fn tick(&mut self, now: i64) -> Vec<CameraNotice> {
        let mut notices = Vec::new();
        if !self.is_away && now - self.last_picture >= milliseconds(self.settings.silent_after) {
            self.is_away = true;
            notices.push(CameraNotice {
                kind: NoticeKind::Away,
                from: self.last_picture,
                to: None,
                frames: 0,
                reason: self.trouble().unwrap_or("it is connected, but no picture comes").to_owned(),
            });
        }
        let is_due = |count: &Count| now - count.from >= COUNT_INTERVAL;
        if is_due(&self.damaged) {
            notices.extend(self.damaged.take(NoticeKind::Damaged));
        }
        if is_due(&self.dropped) {
            notices.extend(self.dropped.take(NoticeKind::Dropped));
        }
        notices
    }

    /// The counts that are left when the agent ends. States stay as they are: nobody watches any more.
    pub fn finish(&mut self) -> Vec<CameraNotice> {
        let left = [self.damaged.take(NoticeKind::Damaged), self.dropped.take(NoticeKind::Dropped)];
        left.into_iter().flatten().collect()
    }

    /// The state that the topic was told last.
    pub fn state(&self) -> Option<NoticeKind> {
        match self {
            Self { is_away: true, .. } => Some(NoticeKind::Away),
            Self { black: Episode { is_told: true, .. }, .. } => Some(NoticeKind::Black),
            Self { frozen: Episode { is_told: true, .. }, .. } => Some(NoticeKind::Frozen),
            _ => None,
        }
    }

    /// True if there is a connection, as far as is known.
    pub fn is_connected(&self) -> bool {
        self.lost.is_none() || self.is_withholding
    }

    /// Why no picture is sent, if that is known.
    pub fn trouble(&self) -> Option<&str> {
        if self.is_withholding { Some(WITHHELD) } else { self.lost.as_deref() }
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> CameraWatch {
        CameraWatch::new(WatchSettings::default(), 0)
    }

    fn texts(notices: Vec<CameraNotice>) -> Vec<String> {
        let text = |notice: CameraNotice| {
            let CameraNotice { kind, from, to, frames, reason } = notice;
            let to = to.map_or("…".to_owned(), |to| to.to_string());
            format!("{} {from}-{to} {frames} {reason}", kind.as_str()).trim().to_owned()
        };
        notices.into_iter().map(text).collect()
    }

    #[test]
    fn a_silent_camera_is_told_once_and_so_is_its_return() {
        let mut watch = watch();
        assert!(texts(watch.record_picture(1000, None)).is_empty());
        watch.record_connection_loss("refused".into());
        assert!(texts(watch.tick(30_999)).is_empty());
        assert_eq!(texts(watch.tick(31_000)), ["away 1000-… 0 refused"]);
        assert!(texts(watch.tick(90_000)).is_empty());
        assert_eq!(watch.state(), Some(NoticeKind::Away));
        assert_eq!(texts(watch.record_picture(95_000, None)), ["away 1000-95000 0 refused"]);
        assert!(texts(watch.record_picture(95_100, None)).is_empty());
        assert_eq!(watch.state(), None);
    }

    #[test]
    fn a_short_interruption_is_recorded_when_it_is_over() {
        let mut watch = watch();
        watch.record_picture(1000, None);
        watch.record_connection_loss("closed".into());
        assert!(watch.tick(2000).is_empty());
        assert_eq!(texts(watch.record_picture(3000, None)), ["interrupted 1000-3000 0 closed"]);
    }

    #[test]
    fn a_camera_that_never_sent_anything_is_away_from_the_start() {
        let mut watch = watch();
        assert_eq!(texts(watch.tick(30_000)), ["away 0-… 0 it is connected, but no picture comes"]);
    }

    #[test]
    fn a_camera_of_which_only_damaged_pictures_come_is_away() {
        let mut watch = watch();
        watch.record_picture(1000, None);
        let mut told = Vec::new();
        for second in 2..40 {
            watch.record_withheld(second * 1000);
            told.extend(texts(watch.tick(second * 1000)));
        }
        assert!(told.contains(&format!("away 1000-… 0 {WITHHELD}")), "{told:?}");
        assert_eq!((watch.trouble(), watch.is_connected()), (Some(WITHHELD), true));
        assert_eq!(texts(watch.record_picture(40_000, None)), [format!("away 1000-40000 0 {WITHHELD}")]);
        assert_eq!(watch.trouble(), None);
        watch.record_withheld(41_000);
        assert!(watch.record_picture(42_000, None).is_empty(), "a few damaged pictures are no interruption");
    }

    #[test]
    fn the_trouble_is_what_happened_last() {
        let mut watch = watch();
        watch.record_connection_loss("refused".into());
        watch.record_withheld(1000);
        assert_eq!((watch.trouble(), watch.is_connected()), (Some(WITHHELD), true));
        watch.record_connection_loss("closed".into());
        assert_eq!((watch.trouble(), watch.is_connected()), (Some("closed"), false));
        assert_eq!(texts(watch.record_picture(3000, None)), ["interrupted 0-3000 0 closed"]);
    }

    #[test]
    fn a_frozen_and_black_picture_is_told_when_it_lasts() {
        let mut watch = watch();
        let view = |fingerprint, is_black| Some(View { fingerprint, is_black });
        let mut told = Vec::new();
        for second in 0..70 {
            told.extend(texts(watch.record_picture(second * 1000, view(7, true))));
        }
        assert_eq!(told, ["black 0-… 0", "frozen 1000-… 0"]);
        assert_eq!(
            texts(watch.record_picture(70_000, view(8, false))),
            ["frozen 1000-70000 0", "black 0-70000 0"]
        );
        for second in 71..200u32 {
            let changing = watch.record_picture(i64::from(second) * 1000, view(u64::from(second), false));
            assert!(changing.is_empty(), "{changing:?}");
        }
    }

    #[test]
    fn damaged_pictures_of_some_seconds_are_one_notice() {
        let mut watch = watch();
        for second in 1..=20 {
            watch.record_picture(second * 1000, None);
        }
        watch.record_damaged(21_000);
        watch.record_damaged(22_000);
        assert!(watch.tick(30_999).is_empty());
        assert_eq!(texts(watch.tick(31_000)), ["damaged 21000-22000 2"]);
        watch.record_dropped(0, 32_000);
        watch.record_dropped(5, 33_000);
        assert_eq!(texts(watch.finish()), ["dropped 33000-33000 5"]);
        assert!(watch.finish().is_empty());
    }
}
