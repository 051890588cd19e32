//! The settings of the matching policy, each with the reason for its default.

use everyframe_rule::{Problems, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the matching policy.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Cosine similarity at or above which a face is that person, 0 to 1. The default suits SFace: on the ORL
    /// faces one impostor in a thousand passes at about 0.40 to 0.45. Another model needs its own.
    #[serde(serialize_with = "everyframe_rule::settings::short")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: f32,
    /// The face is undecided if the next best person is less than this below the best one, in cosine similarity: two
    /// people look alike.
    #[serde(serialize_with = "everyframe_rule::settings::short")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub margin: f32,
    /// Up to this far below the threshold a face is undecided rather than unknown, in cosine similarity; 0 for never.
    #[serde(serialize_with = "everyframe_rule::settings::short")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub undecided_band: f32,
    /// Faces of a lower quality than this, 0 to 1, are always undecided.
    #[serde(serialize_with = "everyframe_rule::settings::short")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_quality: f32,
}

impl Default for Settings {
    fn default() -> Self {
        // With SFace on the ORL faces, at a threshold of 0.40 to 0.45 one pair of different people in a thousand counts as
        // one person. Two people of the footage's group picture reach 0.44; the man of the clips stays above 0.9.
        Settings { threshold: 0.45, margin: 0.05, undecided_band: 0.06, min_quality: 0.25 }
    }
}

impl Rule for Settings {
    const ABOUT: &str = "Says who a face is by similarity, margin and quality, and when it can't be said.";

    fn check(&self, problems: &mut Problems) {
        problems.check_range("threshold", self.threshold, 0.0..=1.0);
        problems.check_range("margin", self.margin, 0.0..=1.0);
        problems.check_range("undecided_band", self.undecided_band, 0.0..=1.0);
        problems.check_range("min_quality", self.min_quality, 0.0..=1.0);
        if self.undecided_band >= self.threshold && !problems.has_errors() {
            problems.warning(
                "undecided_band",
                "it reaches down to similarity 0, where people who have nothing in common are: \
                 hardly any stranger will be unknown; make it smaller than `threshold`",
            );
        }
    }
}
