//! The stored record of one stranger.

use crate::settings::Settings;
use crate::views::Views;
use everyframe_rule::{Event, RecentStranger, Timestamp};

/// The first byte of a stored record: its layout. A record with another layout is dropped.
const LAYOUT: u8 = 3;
/// The header's length: layout, five times of 8 bytes, visits, one byte with the loitering bit and the doubts above it,
/// number of views.
const HEADER: usize = 1 + 5 * 8 + 4 + 1 + 1;

/// How far the time may jump within a track, in ms. A host ends a track after seconds, so a gap is longer only if the face
/// stayed undecided.
const MAX_JUMP_MS: u64 = 60_000;
/// After this many frames in a row with a time that does not fit, the new time is accepted: the clock was set.
const MAX_DOUBTS: u8 = 5;
/// The longest visit, in ms: a hundred years. The host refuses a longer one as an invalid answer.
const MAX_DWELL_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// The `changed_at` of a stranger whom nobody has changed by hand.
pub const NEVER: Timestamp = Timestamp::MIN;

/// A stranger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// When first seen.
    pub first_seen_at: Timestamp,
    /// When last seen, as of the last write: see `is_due`.
    pub last_seen_at: Timestamp,
    /// When the current visit began at this camera.
    pub visit_started_at: Timestamp,
    /// When this camera last shared a view of the stranger.
    pub shared_at: Timestamp,
    /// When somebody had changed the stranger by hand before this record began; [`NEVER`] if nobody had.
    pub changed_at: Timestamp,
    /// Number of visits, including the current one.
    pub visits: u32,
    /// Whether the current visit was reported as loitering.
    pub loitered: bool,
    /// Frames in a row whose time does not fit the stored times; at most [`MAX_DOUBTS`].
    pub doubts: u8,
    /// The remembered views of the face.
    pub views: Views,
}

impl Stranger {
    /// Creates a stranger whose first visit begins.
    pub fn new(first_seen_at: Timestamp, now: Timestamp, views: Views) -> Self {
        Stranger {
            first_seen_at,
            last_seen_at: now,
            visit_started_at: first_seen_at,
            shared_at: Timestamp::MIN,
            changed_at: NEVER,
            visits: 1,
            loitered: false,
            doubts: 0,
            views,
        }
    }

    /// Creates a stranger whom another camera has seen. The visit at this camera begins with the track.
    pub fn from_elsewhere(recent: &RecentStranger, track_started_at: Timestamp, views: Views) -> Self {
        Stranger {
            first_seen_at: recent.first_seen_at,
            last_seen_at: recent.last_seen_at,
            visit_started_at: track_started_at,
            shared_at: Timestamp::MIN,
            changed_at: NEVER,
            visits: recent.visits.max(1),
            loitered: false,
            doubts: 0,
            views,
        }
    }

    /// Adds what other cameras know about the stranger, who is seen here on a track that began at `track_started_at`. If the
    /// stranger was at other cameras in between, the visit goes on, but the time here is counted from the track's start.
    pub fn update_from_shared(
        &mut self,
        recent: &RecentStranger,
        settings: &Settings,
        track_started_at: Timestamp,
        now: Timestamp,
    ) {
        if elapsed(self.last_seen_at, track_started_at) > settings.return_after_ms {
            self.visit_started_at = track_started_at;
            self.loitered = false;
        }
        self.first_seen_at = self.first_seen_at.min(recent.first_seen_at);
        self.visits = self.visits.max(recent.visits);
        // The clocks of two cameras differ a little. A time far ahead is wrong.
        if elapsed(now, recent.last_seen_at) <= MAX_JUMP_MS {
            self.last_seen_at = self.last_seen_at.max(recent.last_seen_at);
        }
    }

    /// Adds what this camera knows of another stranger that proved to be the same person.
    pub fn absorb(&mut self, other: Stranger) {
        self.first_seen_at = self.first_seen_at.min(other.first_seen_at);
        self.last_seen_at = self.last_seen_at.max(other.last_seen_at);
        self.visit_started_at = self.visit_started_at.min(other.visit_started_at);
        self.visits = self.visits.max(other.visits);
        self.loitered |= other.loitered;
        self.views.absorb(other.views);
    }

    /// Whether to share the stranger again: often at the beginning of a visit, when two cameras may have met at the same moment
    /// and do not know of each other yet.
    pub fn wants_sharing(&self, settings: &Settings, now: Timestamp) -> bool {
        let pause =
            (elapsed(self.visit_started_at, now) / 2).clamp(1000, settings.share_every_ms().max(1000));
        // In both directions, so that a stranger shared with a wrong time is shared again.
        now.abs_diff(self.shared_at) >= pause
    }

    /// Records that the stranger is seen on a track that began at `track_started_at`, and returns the event, if any. A time
    /// that does not fit changes nothing, until [`MAX_DOUBTS`] in a row do not fit.
    pub fn is_seen(
        &mut self,
        settings: &Settings,
        track_started_at: Timestamp,
        now: Timestamp,
    ) -> Option<Event> {
        // On the same track as before, the stranger was here all the time, even while the face was undecided.
        let stays = track_started_at <= self.last_seen_at;
        if stays && now.abs_diff(self.last_seen_at) > MAX_JUMP_MS {
            if self.doubts < MAX_DOUBTS {
                self.doubts += 1;
                return None;
            }
            self.set_clock(now);
        }
        self.doubts = 0;
        let was_away = !stays && elapsed(self.last_seen_at, track_started_at) > settings.return_after_ms;
        self.last_seen_at = self.last_seen_at.max(now);
        if was_away {
            self.visits = self.visits.saturating_add(1);
            self.visit_started_at = track_started_at;
            self.loitered = false;
            return Some(Event::Returned);
        }
        if !self.loitered && self.dwell() >= settings.loiter_after_ms {
            self.loitered = true;
            return Some(Event::Loitering);
        }
        None
    }

    /// Switches to another clock: times later than `now` came from a wrong one.
    fn set_clock(&mut self, now: Timestamp) {
        let visit = self.dwell();
        if self.visit_started_at > now {
            self.visit_started_at = now.saturating_sub_unsigned(visit);
        }
        self.first_seen_at = self.first_seen_at.min(self.visit_started_at);
        self.last_seen_at = self.last_seen_at.min(now);
        self.shared_at = self.shared_at.min(now);
    }

    /// Length of the current visit up to the last sight, ms.
    pub fn dwell(&self) -> u64 {
        elapsed(self.visit_started_at, self.last_seen_at).min(MAX_DWELL_MS)
    }

    /// Time to live of a record that is written now, ms: until `forget_after_ms` after the last sight.
    pub fn time_to_live(&self, settings: &Settings, now: Timestamp) -> u64 {
        settings.forget_after_ms.saturating_add(elapsed(now, self.last_seen_at))
    }

    /// Whether to write the stranger although only `last_seen_at` changed. This happens once a second, so that a stranger
    /// costs the state topic two records a second instead of two a frame. The length of an absence is then precise to a
    /// second, or to a tenth of `return_after_ms` if that is less.
    pub fn is_due(&self, settings: &Settings, now: Timestamp) -> bool {
        elapsed(self.last_seen_at, now) >= 1000.min(settings.return_after_ms / 10)
    }

    /// Whether the stranger was last seen in the future, because of a wrong clock.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        elapsed(now, self.last_seen_at) > MAX_JUMP_MS
    }

    /// Whether to forget the stranger. The host's time to live also expires, but it was computed from the settings of that
    /// time.
    pub fn is_forgotten(&self, settings: &Settings, now: Timestamp) -> bool {
        elapsed(self.last_seen_at, now) > settings.forget_after_ms
    }

    /// Encodes the record: 47 bytes, and 128 for each view.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![LAYOUT];
        let times =
            [self.first_seen_at, self.last_seen_at, self.visit_started_at, self.shared_at, self.changed_at];
        times.iter().for_each(|time| bytes.extend(time.to_le_bytes()));
        bytes.extend(self.visits.to_le_bytes());
        bytes.push(u8::from(self.loitered) | self.doubts << 1);
        bytes.push(self.views.count() as u8);
        bytes.extend(self.views.bytes());
        bytes
    }

    /// Decodes a stored record. `None` if it has another layout.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (header, views) = bytes.split_at_checked(HEADER)?;
        let time = |at: usize| Some(Timestamp::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
        if header[0] != LAYOUT {
            return None;
        }
        Some(Stranger {
            first_seen_at: time(1)?,
            last_seen_at: time(9)?,
            visit_started_at: time(17)?,
            shared_at: time(25)?,
            changed_at: time(33)?,
            visits: u32::from_le_bytes(header.get(41..45)?.try_into().ok()?),
            loitered: header[45] & 1 != 0,
            doubts: header[45] >> 1,
            views: Views::from_bytes(usize::from(header[46]), views)?,
        })
    }
}

/// Milliseconds from one time to another; 0 if the clock was set back in between.
pub fn elapsed(from: Timestamp, to: Timestamp) -> u64 {
    if to > from { to.abs_diff(from) } else { 0 }
}

/// A stranger's id: a function of the first sight, so that a replay gives the same id.
///
/// FNV-1a over camera, track and time, then the finaliser of MurmurHash3 to mix the last bytes. It has 40 bits: among a
/// million strangers of one camera, a collision has the probability 0.4.
pub fn id(camera: &str, track: u64, first_seen_at: Timestamp) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let numbers = track.to_le_bytes().into_iter().chain(first_seen_at.to_le_bytes());
    for byte in numbers.chain(camera.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    format!("stranger-{:010x}", hash >> 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger() -> Stranger {
        let mut stranger = Stranger::new(-5, 700, Views::of(&[0.5; 128]).unwrap());
        (stranger.visits, stranger.loitered, stranger.doubts) = (7, true, 3);
        (stranger.shared_at, stranger.changed_at) = (650, 600);
        stranger
    }

    #[test]
    fn a_stranger_is_decoded_as_it_was_encoded() {
        assert_eq!(Stranger::from_bytes(&stranger().to_bytes()), Some(stranger()));
        assert_eq!(stranger().to_bytes().len(), HEADER + 128);
    }

    #[test]
    fn a_record_with_another_layout_is_refused() {
        let bytes = stranger().to_bytes();
        assert_eq!(Stranger::from_bytes(&[]), None);
        assert_eq!(Stranger::from_bytes(&bytes[..HEADER - 1]), None);
        assert_eq!(Stranger::from_bytes(&bytes[..HEADER]), None);
        assert_eq!(Stranger::from_bytes(&[&[1], &bytes[1..]].concat()), None);
    }

    #[test]
    fn an_id_is_a_function_of_camera_track_and_time() {
        let one = id("gate-2", 7, 1_000);
        assert_eq!(one, id("gate-2", 7, 1_000));
        assert_eq!(one.len(), "stranger-".len() + 10);
        for other in [id("gate-1", 7, 1_000), id("gate-2", 8, 1_000), id("gate-2", 7, 1_001)] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_clock_set_back_gives_no_negative_times() {
        assert_eq!(elapsed(10, 5), 0);
        assert_eq!(elapsed(i64::MIN, i64::MAX), u64::MAX);
        let stranger = Stranger { last_seen_at: -1000, ..stranger() };
        assert_eq!(stranger.dwell(), 0);
    }
}
