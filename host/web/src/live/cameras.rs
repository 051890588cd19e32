//! The cameras and their last frames. Pure.

use everyframe_types::event::ResultData;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most cameras; beyond it, the one that has been silent longest is forgotten.
const MAX_CAMERAS: usize = 10_000;
/// A camera is silent when its last frame came longer ago than this, milliseconds, and than [`INTERVALS`] of its usual intervals.
const SILENT_AFTER_MS: i64 = 10_000;
const INTERVALS: f64 = 5.0;
/// The interval's mean follows this many frames.
const SMOOTHING: f64 = 20.0;

/// What is known of a camera.
#[derive(Debug, Default)]
pub struct Camera {
    /// The last processed frame.
    pub last: Option<Arc<ResultData>>,
    /// When its last frame was taken, Unix milliseconds.
    pub last_seen_at: i64,
    /// When its last frame was read here, Unix milliseconds.
    pub arrived_at: i64,
    /// Mean time between two frames, milliseconds; 0 before the second frame.
    interval_ms: f64,
    /// Processed frames.
    pub frames: u64,
    /// Faces on them.
    pub faces: u64,
    /// Frames that never arrived.
    pub gaps: u64,
    /// Parked frames.
    pub parked: u64,
    /// What was last said about it.
    said_silent: bool,
}

impl Camera {
    /// True if no frame has come for much longer than usual.
    pub fn is_silent(&self, now: i64) -> bool {
        let usual = (self.interval_ms * INTERVALS) as i64;
        now.saturating_sub(self.arrived_at) > SILENT_AFTER_MS.max(usual)
    }

    /// Frames per second; 0 while it is silent.
    pub fn frames_per_second(&self, now: i64) -> f64 {
        if self.is_silent(now) || self.interval_ms <= 0.0 { 0.0 } else { 1e3 / self.interval_ms }
    }

    fn frame_came(&mut self, captured_at: i64, now: i64) {
        let interval = captured_at.saturating_sub(self.last_seen_at) as f64;
        if self.last_seen_at != 0 && interval > 0.0 {
            // After a pause, the usual interval is learnt anew.
            self.interval_ms = match self.interval_ms {
                usual if usual <= 0.0 || interval > usual * INTERVALS * 10.0 => interval,
                usual => usual + (interval - usual) / SMOOTHING,
            };
        }
        self.last_seen_at = self.last_seen_at.max(captured_at);
        self.arrived_at = self.arrived_at.max(now);
    }

    /// The latest frame is shown, in whatever order frames come: history after the present, or a replay.
    fn show(&mut self, result: &Arc<ResultData>) {
        if self.last.as_ref().is_none_or(|last| last.captured_at <= result.captured_at) {
            self.last = Some(result.clone());
        }
    }
}

/// All cameras, by id.
#[derive(Debug, Default)]
pub struct Cameras(BTreeMap<String, Camera>);

impl Cameras {
    /// Adds a processed frame that was read at `now`.
    pub fn add_result(&mut self, result: &Arc<ResultData>, now: i64) {
        let camera = self.get_mut(&result.camera);
        camera.frame_came(result.captured_at, now);
        camera.frames += 1;
        camera.faces += result.faces.len() as u64;
        camera.show(result);
    }

    /// Shows a frame as the last one of its camera, without counting it: it is counted when the history has come to it.
    pub fn preview(&mut self, result: &Arc<ResultData>, now: i64) {
        let camera = self.get_mut(&result.camera);
        camera.frame_came(result.captured_at, now);
        camera.show(result);
    }

    /// Adds a parked frame.
    pub fn add_parked(&mut self, camera: &str) {
        self.get_mut(camera).parked += 1;
    }

    /// Adds frames that never arrived.
    pub fn add_gap(&mut self, camera: &str, count: u64) {
        self.get_mut(camera).gaps += count;
    }

    /// The cameras, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Camera)> {
        self.0.iter().map(|(id, camera)| (id.as_str(), camera))
    }

    /// The cameras that have fallen silent, or come back, since the last call.
    pub fn take_changes(&mut self, now: i64) -> Vec<String> {
        let mut changed = Vec::new();
        for (id, camera) in &mut self.0 {
            let is_silent = camera.is_silent(now);
            if std::mem::replace(&mut camera.said_silent, is_silent) != is_silent {
                changed.push(id.clone());
            }
        }
        changed
    }

    fn get_mut(&mut self, id: &str) -> &mut Camera {
        if !self.0.contains_key(id) && self.0.len() >= MAX_CAMERAS {
            let oldest = self.0.iter().min_by_key(|(_, camera)| camera.arrived_at).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        self.0.entry(id.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_silent_after_much_longer_than_usual() {
        let mut camera = Camera::default();
        for at in 0..50 {
            camera.frame_came(1000 + at * 100, 1000 + at * 100);
        }
        let last = camera.arrived_at;
        assert!(!camera.is_silent(last + 9000) && camera.is_silent(last + 10_001));
        assert!((camera.frames_per_second(last) - 10.0).abs() < 0.1);
        assert_eq!(camera.frames_per_second(last + 20_000), 0.0);
    }

    #[test]
    fn a_slow_camera_is_not_silent_between_frames() {
        let mut camera = Camera::default();
        for at in 0..5 {
            camera.frame_came(1 + at * 60_000, 1 + at * 60_000);
        }
        assert!(!camera.is_silent(camera.arrived_at + 120_000));
    }

    #[test]
    fn each_change_is_said_once() {
        let mut cameras = Cameras::default();
        cameras.add_parked("gate");
        cameras.get_mut("gate").frame_came(1000, 1000);
        assert!(cameras.take_changes(1000).is_empty());
        assert_eq!(cameras.take_changes(60_000), ["gate"]);
        assert!(cameras.take_changes(61_000).is_empty());
        cameras.get_mut("gate").frame_came(61_000, 61_000);
        assert_eq!(cameras.take_changes(61_000), ["gate"]);
    }

    #[test]
    fn the_number_of_cameras_is_bounded() {
        let mut cameras = Cameras::default();
        (0..MAX_CAMERAS + 10).for_each(|number| cameras.add_parked(&number.to_string()));
        assert_eq!(cameras.iter().count(), MAX_CAMERAS);
    }
}
