//! Patterns of camera ids: `*` stands for any characters, `?` for one.

use everyframe_types::id::clean_pattern;
use wildmatch::WildMatch;

/// The patterns of a list of cameras in the configuration.
pub fn camera_patterns(cameras: &[String]) -> Vec<WildMatch> {
    cameras.iter().map(|camera| camera_pattern(camera)).collect()
}

/// One pattern, normalised like camera ids (see [`everyframe_types::id`]).
pub fn camera_pattern(camera: &str) -> WildMatch {
    WildMatch::new(&clean_pattern(camera))
}

/// True if a camera matches one of the patterns.
pub fn matches_camera(patterns: &[WildMatch], camera: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(camera))
}
