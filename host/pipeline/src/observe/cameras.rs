//! Counters by camera, of rare events. Camera ids come from outside, so the number of counters is limited.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// How many cameras have counters of their own.
const NAMED: usize = 1000;
/// The label of all other cameras.
const OTHER: &str = "other";

type PerCamera = Family<[(&'static str, String); 1], Counter>;
type PerCameraAndKind = Family<[(&'static str, String); 2], Counter>;

/// The ledger's counters.
#[derive(Debug, Default)]
pub struct Cameras {
    named: Mutex<HashSet<String>>,
    missing: PerCamera,
    late: PerCamera,
    repeated: PerCamera,
    refused: PerCamera,
    corrected: PerCameraAndKind,
}

/// A counter of the ledger.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Numbers in a gap that no agent refused.
    Missing,
    /// Frames that came after a higher number.
    Late,
    /// Frames whose number came before.
    Repeated,
    /// Numbers that the agent refused.
    Refused,
}

impl Cameras {
    pub fn register(&self, registry: &mut Registry) {
        for (name, help, family) in [
            ("missing", "Numbers jumped over, without those that the agent refused", &self.missing),
            ("late", "Frames that came after a higher number of their session", &self.late),
            ("repeated", "Frames whose number was there before", &self.repeated),
            ("refused", "Frames that the agent said it had to refuse", &self.refused),
        ] {
            registry.register(format!("everyframe_ledger_{name}_frames"), help, family.clone());
        }
        registry.register(
            "everyframe_frame_times_corrected",
            "Frames whose claimed time was not believed: ahead, behind, or absurd",
            self.corrected.clone(),
        );
    }

    pub fn count(&self, column: Column, camera: &str, frames: u64) {
        let family = match column {
            Column::Missing => &self.missing,
            Column::Late => &self.late,
            Column::Repeated => &self.repeated,
            Column::Refused => &self.refused,
        };
        let counter = family.get_or_create(&[("camera", self.label(camera))]);
        // The numbers come from outside, and may be as great as there are.
        counter.inc_by(frames.min(u64::MAX - counter.get()));
    }

    /// Counts a frame whose claimed time was not believed; `kind` is `ahead`, `behind` or `absurd`.
    pub fn count_corrected(&self, camera: &str, kind: &'static str) {
        self.corrected.get_or_create(&[("camera", self.label(camera)), ("kind", kind.to_owned())]).inc();
    }

    fn label(&self, camera: &str) -> String {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let has_name = named.contains(camera) || named.len() < NAMED && named.insert(camera.to_owned());
        if has_name { camera.to_owned() } else { OTHER.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_stops_at_the_greatest_number() {
        let cameras = Cameras::default();
        for frames in [u64::MAX - 1, u64::MAX, 5] {
            cameras.count(Column::Missing, "gate", frames);
        }
        assert_eq!(cameras.missing.get(&[("camera", "gate".to_owned())]).map(|it| it.get()), Some(u64::MAX));
    }

    #[test]
    fn cameras_beyond_the_bound_are_counted_together() {
        let cameras = Cameras::default();
        for number in 0..NAMED + 5 {
            cameras.count(Column::Late, &number.to_string(), 2);
        }
        cameras.count(Column::Late, "7", 1);
        let of =
            |camera: &str| cameras.late.get(&[("camera", camera.to_owned())]).map(|counter| counter.get());
        assert_eq!((of("7"), of("999"), of("1000"), of(OTHER)), (Some(3), Some(2), None, Some(10)));
    }
}
