//! Decides which time of a frame is believed. A pure state machine: no Kafka, threads or clock.
//!
//! A frame claims when it was taken. The claim is compared with the timestamp that its Kafka record got, and with the
//! earlier frames of its session, so that a camera whose clock is wrong, for one frame or for good, neither makes rules
//! forget what they know nor silences them. The reasons are in `docs/decisions/0016-frame-time.md`.

use super::forget::forget_cameras;
use super::session_clock::SessionClock;
use super::time_claim::{Believed, Claim, SANE, is_sane};
use everyframe_types::frame::Frame;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many sessions of a camera are remembered: two agents may send as the same camera.
const SESSIONS: usize = 4;

/// What is wrong with the time that a frame claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockFault {
    /// Later than the time that is believed.
    Ahead,
    /// Earlier than the time that is believed.
    Behind,
    /// Before 2000 or after 2099: often microseconds or seconds instead of milliseconds.
    Absurd,
}

impl ClockFault {
    /// The metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Behind => "behind",
            Self::Absurd => "absurd",
        }
    }
}

/// The host believes another time than the frame claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correction {
    /// What is wrong.
    pub fault: ClockFault,
    /// True if a correction begins with this frame, false if it continues.
    pub is_new: bool,
}

/// The times of all cameras of one partition. Frames come in the order of their offsets.
#[derive(Debug, Default)]
pub struct FrameClock {
    cameras: HashMap<Arc<str>, CameraClock>,
}

#[derive(Debug, Default)]
struct CameraClock {
    /// In the order of their last use.
    sessions: VecDeque<(Arc<str>, SessionClock)>,
    /// The time believed of the last frame, Unix milliseconds.
    believed: Option<i64>,
    last_offset: i64,
}

impl FrameClock {
    /// Puts the believed time into `captured_at`. Returns a correction if that is not the claimed time.
    pub fn set_time(&mut self, frame: &mut Frame) -> Option<Correction> {
        let recorded = Some(frame.recorded_at).filter(|time| is_sane(*time));
        let claim = Claim { claimed: frame.claimed_at, recorded, source: frame.source };
        let believed = if frame.is_frame() && !frame.is_replayed() {
            self.believe(frame, claim)
        } else {
            // A dead letter carries the time that was believed when it was parked; a refusal has no time of its own. Neither
            // changes the session.
            let last = || self.cameras.get(&frame.camera).and_then(|camera| camera.believed);
            let claimed = Some(claim.claimed).filter(|time| is_sane(*time));
            let at = claimed.or(recorded).or_else(last).unwrap_or_else(|| clamped(claim.claimed));
            Believed { at, is_new: true }
        };
        frame.captured_at = believed.at;
        let fault = match claim.claimed {
            claimed if claimed == believed.at => return None,
            claimed if !is_sane(claimed) => ClockFault::Absurd,
            claimed if claimed > believed.at => ClockFault::Ahead,
            _ => ClockFault::Behind,
        };
        Some(Correction { fault, is_new: believed.is_new })
    }

    fn believe(&mut self, frame: &Frame, claim: Claim) -> Believed {
        let camera = self.cameras.entry(frame.camera.clone()).or_default();
        camera.last_offset = frame.position.offset;
        let place = camera.sessions.iter().position(|(session, _)| *session == frame.session);
        let (session, believed) = match place.and_then(|place| camera.sessions.remove(place)) {
            Some((_, mut session)) => {
                let believed = session.believe(claim);
                (session, believed)
            }
            None => {
                let otherwise = camera.believed.unwrap_or_else(|| clamped(claim.claimed));
                SessionClock::start(claim, otherwise)
            }
        };
        if camera.sessions.len() >= SESSIONS {
            camera.sessions.pop_front();
        }
        camera.sessions.push_back((frame.session.clone(), session));
        camera.believed = Some(believed.at);
        forget_cameras(&mut self.cameras, |camera| camera.last_offset);
        believed
    }
}

/// The believed time of a claim that nothing can be compared with.
fn clamped(claimed: i64) -> i64 {
    claimed.clamp(0, SANE.end)
}

#[cfg(test)]
#[path = "frame_clock_tests.rs"]
mod tests;
