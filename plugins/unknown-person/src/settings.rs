//! The settings of the unknown-person rule, each with the reason for its default.

use everyframe_rule::{Problems, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the unknown-person rule. Times are milliseconds of frame time.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Cosine similarity to the nearest remembered view at or above which a face is the same stranger, 0 to 1.
    /// Measured with SFace on the ORL faces: at 0.40 one stranger in 1,200 is confused with another, and one face in
    /// 500 turns its person into a second stranger (none once three pictures are seen). At OpenCV's 0.363 one in 360 is
    /// confused with another.
    #[serde(serialize_with = "everyframe_rule::settings::short")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub same_person: f32,
    /// Only faces of at least this quality, 0 to 1, are compared, remembered or become a new stranger, because poor
    /// faces resemble each other. Other faces are recognised by their track only.
    #[serde(serialize_with = "everyframe_rule::settings::short")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_quality: f32,
    /// How old a track must be before it becomes a new stranger, so that a false detection does not.
    pub confirm_after_ms: u64,
    /// After an absence longer than this, a stranger has returned: a new visit.
    #[schemars(range(min = 1000))]
    pub return_after_ms: u64,
    /// A visit longer than this is loitering, reported once for each visit.
    pub loiter_after_ms: u64,
    /// A stranger who is not seen for this long is forgotten.
    #[schemars(range(min = 1000))]
    pub forget_after_ms: u64,
    /// How many strangers are remembered for each camera. When there are more, the longest absent is forgotten.
    #[schemars(range(min = 1, max = 2000))]
    pub max_strangers: u32,
    /// Whether all cameras share their strangers. If not, a person at two cameras is two strangers.
    pub across_cameras: bool,
    /// Cosine similarity to a view of another camera at or above which a face is the same stranger, 0 to 1. It is higher than
    /// `same_person`, because a face is compared with the strangers of all cameras. No two people of the ORL faces reach 0.50.
    #[serde(serialize_with = "everyframe_rule::settings::short")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub same_person_elsewhere: f32,
    /// A shared view of a face is forgotten by all cameras when it was not renewed for this long. The strangers topic keeps
    /// records for 8 hours, unless its `retention.ms` is changed.
    #[schemars(range(min = 1000, max = 31_622_400_000_u64))]
    pub expire_after_ms: u64,
}

/// The longest time for which the host shares a view, ms: 366 days.
const MAX_EXPIRE_MS: u64 = 366 * 24 * 60 * 60 * 1000;

impl Settings {
    /// How long a shared view is kept, ms: never longer than a camera remembers a stranger.
    pub fn share_for_ms(&self) -> u64 {
        self.expire_after_ms.min(self.forget_after_ms)
    }

    /// How long after the last time a stranger who stays is shared again, ms. The other cameras know to this precision when the
    /// stranger was last seen.
    pub fn share_every_ms(&self) -> u64 {
        (self.return_after_ms / 3).min(10_000).min(self.expire_after_ms / 2)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            same_person: 0.40,
            min_quality: 0.3,
            confirm_after_ms: 300,
            return_after_ms: 30_000,
            loiter_after_ms: 20_000,
            forget_after_ms: 24 * 60 * 60 * 1000,
            max_strangers: 200,
            across_cameras: true,
            same_person_elsewhere: 0.50,
            expire_after_ms: 8 * 60 * 60 * 1000,
        }
    }
}

impl Rule for Settings {
    const ABOUT: &str = "Gives strangers a stable id, and says when one is new, returns or loiters.";

    fn check(&self, problems: &mut Problems) {
        problems.check_range("same_person", self.same_person, 0.0..=1.0);
        problems.check_range("min_quality", self.min_quality, 0.0..=1.0);
        problems.check_range("same_person_elsewhere", self.same_person_elsewhere, 0.0..=1.0);
        for (key, value) in
            [("return_after_ms", self.return_after_ms), ("forget_after_ms", self.forget_after_ms)]
        {
            if value < 1000 {
                let message = format!("{value} is shorter than the pause between frames: give 1000 or more");
                problems.error(key, message);
            }
        }
        // A new face causes a read of every remembered stranger, and each takes half a kilobyte of state.
        if !(1..=2000).contains(&self.max_strangers) {
            let message = format!("{} is out of range: give a number from 1 to 2000", self.max_strangers);
            problems.error("max_strangers", message);
        }
        if !(1000..=MAX_EXPIRE_MS).contains(&self.expire_after_ms) {
            let message = format!("{} is out of range: give 1000 to {MAX_EXPIRE_MS}", self.expire_after_ms);
            problems.error("expire_after_ms", message);
        }
        if self.forget_after_ms <= self.return_after_ms && !problems.has_errors() {
            problems.warning(
                "forget_after_ms",
                "strangers are forgotten before they can return: make it longer than `return_after_ms`",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(json: &str) -> Vec<String> {
        let (_, problems) = everyframe_rule::settings::read::<Settings>(json);
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn the_defaults_are_without_problems() {
        assert_eq!(keys("{}"), [""; 0]);
    }

    #[test]
    fn every_setting_out_of_range_is_reported() {
        assert_eq!(
            keys(
                r#"{"same_person": 1.1, "min_quality": -1, "return_after_ms": 0, "forget_after_ms": 999,
                     "max_strangers": 0, "same_person_elsewhere": 2, "expire_after_ms": 999}"#
            ),
            [
                "same_person",
                "min_quality",
                "same_person_elsewhere",
                "return_after_ms",
                "forget_after_ms",
                "max_strangers",
                "expire_after_ms"
            ]
        );
    }

    #[test]
    fn a_return_time_above_the_memory_is_reported() {
        assert_eq!(keys(r#"{"forget_after_ms": 20000}"#), ["forget_after_ms"]);
    }
}
