//! What the operator says of the place that the cameras watch: zones and masks of their pictures, and hours.
//!
//! [`Site`] turns them into facts: of a frame, which schedules hold; of a face, in which zones it is; and of a
//! camera, what nobody is to look at.

use crate::camera_pattern::{is_meant, patterns};
use crate::polygon::Polygon;
use crate::schedule::{self, Window, time_zone};
use crate::settings::Config;
use crate::site_settings::{MaskSettings, ScheduleSettings, ZoneSettings};
use everyframe_types::face::Rect;
use jiff::tz::TimeZone;
use wildmatch::WildMatch;

/// The zones, masks and schedules of a configuration, ready to be asked.
#[derive(Debug, Default)]
pub struct Site {
    zones: Vec<(String, Vec<WildMatch>, Polygon)>,
    masks: Vec<(Vec<WildMatch>, Polygon)>,
    schedules: Vec<(String, TimeZone, Vec<Window>)>,
}

impl Site {
    /// Of a checked configuration.
    pub fn new(config: &Config) -> Self {
        let zone = |it: &ZoneSettings| (it.name.clone(), patterns(&it.cameras), it.polygon.clone());
        let mask = |it: &MaskSettings| (patterns(&it.cameras), it.polygon.clone());
        // The check refuses zones of time that are not known.
        let schedule = |it: &ScheduleSettings| {
            (it.name.clone(), time_zone(&it.time_zone).unwrap_or(TimeZone::UTC), it.hours.clone())
        };
        Self {
            zones: config.zones.iter().map(zone).collect(),
            masks: config.masks.iter().map(mask).collect(),
            schedules: config.schedules.iter().map(schedule).collect(),
        }
    }

    /// The schedules that hold at a time, Unix milliseconds, by name.
    pub fn schedules_at(&self, at: i64) -> Vec<String> {
        let holds = |(_, zone, hours): &&(String, TimeZone, Vec<Window>)| schedule::is_open(hours, at, zone);
        self.schedules.iter().filter(holds).map(|(name, ..)| name.clone()).collect()
    }

    /// The zones of a camera in which the middle of a box is, by name; the picture's size and the box in pixels.
    pub fn zones_of(&self, camera: &str, size: (u32, u32), bounds: &Rect) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, cameras, polygon) in &self.zones {
            // A zone may have another part in another camera, or two parts in one.
            if is_meant(cameras, camera) && polygon.contains(bounds, size) && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The parts of a camera's picture that nobody is to look at.
    pub fn masks_of(&self, camera: &str) -> Vec<&Polygon> {
        self.masks
            .iter()
            .filter(|(cameras, _)| is_meant(cameras, camera))
            .map(|(_, polygon)| polygon)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str) -> Site {
        Site::new(&toml::from_str(text).unwrap())
    }

    #[test]
    fn a_face_is_in_the_zones_of_its_own_camera() {
        let site = site(
            r#"
            zones = [
                { name = "door", cameras = ["gate*"], polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] },
                { name = "door", cameras = ["yard"], polygon = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]] },
                { name = "all", polygon = [[0, 0], [1, 0], [1, 1], [0, 1]] },
            ]"#,
        );
        let left = Rect { x: 10.0, y: 10.0, width: 20.0, height: 20.0 };
        assert_eq!(site.zones_of("gate-2", (200, 100), &left), ["door", "all"]);
        assert_eq!(site.zones_of("yard", (200, 100), &left), ["all"]);
        assert_eq!(site.zones_of("yard", (30, 100), &left), ["door", "all"], "by parts of the picture");
    }

    #[test]
    fn schedules_hold_by_their_own_clocks() {
        let site = site(
            r#"
            schedules = [
                { name = "night", time_zone = "Europe/Berlin", hours = [{ from = "18:00", to = "07:00" }] },
                { name = "weekend", hours = [{ days = ["sat", "sun"] }] },
            ]"#,
        );
        // Monday 23 November 2026, 17:30 UTC.
        assert_eq!(site.schedules_at(1_795_392_000_000 + 63_000_000), ["night"]);
        assert_eq!(site.schedules_at(1_795_392_000_000 - 3_600_000), ["night", "weekend"]);
    }

    #[test]
    fn masks_are_of_their_cameras() {
        let site = site(r#"masks = [{ cameras = ["gate"], polygon = [[0, 0], [1, 0], [1, 1]] }]"#);
        assert_eq!((site.masks_of("gate").len(), site.masks_of("yard").len()), (1, 0));
    }
}
