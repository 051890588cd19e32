//! Patterns that say which cameras something is for.

use everyframe_types::id::clean_pattern;
use wildmatch::WildMatch;

/// Patterns of cameras as the configuration writes them: `*` for any characters, `?` for one.
pub fn patterns(cameras: &[String]) -> Vec<WildMatch> {
    cameras.iter().map(|camera| pattern(camera)).collect()
}

/// One pattern of cameras, normalised like their ids (see [`everyframe_types::id`]).
pub fn pattern(camera: &str) -> WildMatch {
    WildMatch::new(&clean_pattern(camera))
}

/// True if a camera is one of those meant.
pub fn is_meant(patterns: &[WildMatch], camera: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(camera))
}
