//! Parts of the picture.

use crate::{Problems, Rect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A polygon: its corners in pixels of the full-size frame, in order. Without corners it is the whole picture.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Zone(pub Vec<(f32, f32)>);

impl Zone {
    /// Reports corners that enclose nothing.
    pub fn check(&self, key: &str, problems: &mut Problems) {
        if matches!(self.0.len(), 1 | 2) {
            problems.error(key, "a zone has three corners or more; none for the whole picture");
        }
    }

    /// Whether the middle of a box is in it: each side that a line from there to the right crosses changes
    /// between inside and outside.
    pub fn contains(&self, bounds: &Rect) -> bool {
        let (x, y) = bounds.center();
        let sides = self.0.iter().zip(self.0.iter().cycle().skip(1));
        let crossed = sides.filter(|((ax, ay), (bx, by))| {
            (*ay > y) != (*by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax
        });
        self.0.is_empty() || crossed.count() % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32, y: f32) -> Rect {
        Rect { x: x - 1.0, y: y - 1.0, width: 2.0, height: 2.0 }
    }

    #[test]
    fn a_zone_may_have_a_dent() {
        let zone = Zone(vec![(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (50.0, 20.0), (0.0, 100.0)]);
        assert!(zone.contains(&at(10.0, 50.0)) && zone.contains(&at(90.0, 50.0)));
        assert!(!zone.contains(&at(50.0, 50.0)), "in the dent");
        assert!(!zone.contains(&at(110.0, 50.0)) && !zone.contains(&at(-10.0, 50.0)));
    }

    #[test]
    fn without_corners_it_is_the_whole_picture() {
        assert!(Zone::default().contains(&at(5000.0, -3.0)));
    }

    #[test]
    fn a_line_is_no_zone() {
        let mut problems = Problems::default();
        Zone(vec![(0.0, 0.0), (1.0, 1.0)]).check("zone", &mut problems);
        assert!(problems.has_errors());
    }
}
