//! The site: zones and masks of the cameras' pictures, and schedules.
//!
//! [`Site`] answers which schedules are active for a frame, in which zones a face is, and which parts of a camera's picture are
//! masked.

use crate::camera_pattern::{camera_patterns, matches_camera};
use crate::polygon::Polygon;
use crate::privacy_settings::Purposes;
use crate::schedule::{self, Window, time_zone};
use crate::settings::Config;
use crate::site_settings::{MaskSettings, ScheduleSettings, ZoneSettings};
use everyframe_types::face::Rect;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;
use wildmatch::WildMatch;

/// The zones, masks and schedules of a configuration, prepared for queries.
#[derive(Debug, Default)]
pub struct Site {
    zones: Vec<Zone>,
    masks: Vec<(Vec<WildMatch>, Polygon)>,
    schedules: Vec<(String, TimeZone, Vec<Window>)>,
    purposes: Purposes,
}

/// One polygon of a zone.
#[derive(Debug)]
struct Zone {
    name: String,
    cameras: Vec<WildMatch>,
    /// The ids of the cameras that name the zone in `[[cameras]]`.
    named_by: BTreeSet<String>,
    polygon: Polygon,
}

impl Zone {
    fn new(settings: &ZoneSettings, config: &Config) -> Self {
        let named_by = config.cameras.iter().filter(|camera| camera.zones.contains(&settings.name));
        Self {
            name: settings.name.clone(),
            cameras: camera_patterns(&settings.cameras),
            named_by: named_by.map(|camera| camera.id.clone()).collect(),
            polygon: settings.polygon.clone(),
        }
    }

    fn is_of(&self, camera: &str) -> bool {
        matches_camera(&self.cameras, camera) || self.named_by.contains(camera)
    }
}

impl Site {
    /// The site of a checked configuration.
    pub fn new(config: &Config) -> Self {
        let mask = |it: &MaskSettings| (camera_patterns(&it.cameras), it.polygon.clone());
        // A checked configuration has only known time zones.
        let schedule = |it: &ScheduleSettings| {
            (it.name.clone(), time_zone(&it.time_zone).unwrap_or(TimeZone::UTC), it.hours.clone())
        };
        Self {
            zones: config.zones.iter().map(|zone| Zone::new(zone, config)).collect(),
            masks: config.masks.iter().map(mask).collect(),
            schedules: config.schedules.iter().map(schedule).collect(),
            purposes: Purposes::new(&config.privacy),
        }
    }

    /// The cameras of each purpose that people are enrolled for.
    pub fn purposes(&self) -> &Purposes {
        &self.purposes
    }

    /// The names of the schedules that are active at a time, Unix milliseconds.
    pub fn schedules_at(&self, at: i64) -> Vec<String> {
        let is_active =
            |(_, zone, hours): &&(String, TimeZone, Vec<Window>)| schedule::is_open(hours, at, zone);
        self.schedules.iter().filter(is_active).map(|(name, ..)| name.clone()).collect()
    }

    /// The names of a camera's zones that contain the centre of a box. The picture's size and the box are in pixels.
    pub fn zones_of(&self, camera: &str, size: (u32, u32), bounds: &Rect) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for zone in &self.zones {
            // A zone may have different polygons in different cameras, or several in one.
            if zone.is_of(camera) && zone.polygon.contains(bounds, size) && !names.contains(&zone.name) {
                names.push(zone.name.clone());
            }
        }
        names
    }

    /// The masked parts of a camera's picture.
    pub fn masks_of(&self, camera: &str) -> Vec<&Polygon> {
        self.masks
            .iter()
            .filter(|(cameras, _)| matches_camera(cameras, camera))
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
    fn a_camera_has_the_zones_that_its_entry_names() {
        let site = site(
            r#"
            cameras = [{ id = "gate", source = "a", zones = ["door"] }, { id = "yard", source = "b" }]
            zones = [
                { name = "door", cameras = [], polygon = [[0, 0], [1, 0], [1, 1], [0, 1]] },
                { name = "all", polygon = [[0, 0], [1, 0], [1, 1], [0, 1]] },
            ]"#,
        );
        let middle = Rect { x: 90.0, y: 40.0, width: 20.0, height: 20.0 };
        assert_eq!(site.zones_of("gate", (200, 100), &middle), ["door", "all"]);
        assert_eq!(site.zones_of("yard", (200, 100), &middle), ["all"]);
    }

    #[test]
    fn schedules_use_their_own_time_zones() {
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
    fn masks_apply_to_their_cameras() {
        let site = site(r#"masks = [{ cameras = ["gate"], polygon = [[0, 0], [1, 0], [1, 1]] }]"#);
        assert_eq!((site.masks_of("gate").len(), site.masks_of("yard").len()), (1, 0));
    }
}
