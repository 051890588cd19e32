//! Bounds what is remembered of cameras.

use std::collections::HashMap;
use std::sync::Arc;

/// Keys come from outside: a producer that invents a camera for each frame must not fill the memory.
const MAX_CAMERAS: usize = 1000;

/// If there are too many cameras, removes those seen least recently, about half, and returns them.
pub fn forget_cameras<T>(cameras: &mut HashMap<Arc<str>, T>, last_seen: impl Fn(&T) -> i64) -> Vec<Arc<str>> {
    if cameras.len() <= MAX_CAMERAS {
        return Vec::new();
    }
    let mut times: Vec<i64> = cameras.values().map(&last_seen).collect();
    let middle = *times.select_nth_unstable(MAX_CAMERAS / 2).1;
    cameras.extract_if(|_, camera| last_seen(camera) <= middle).map(|(camera, _)| camera).collect()
}
