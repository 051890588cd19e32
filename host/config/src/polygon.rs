//! Polygons in the picture.

use everyframe_types::face::Rect;
use schemars::JsonSchema;
use serde::Deserialize;

/// The corners in order, each `[x, y]` as a share of the picture's width and height, 0 to 1, from its upper left corner. The
/// polygon covers the same part of the picture at any resolution.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct Polygon(Vec<(f32, f32)>);

impl Polygon {
    /// The polygon of a box, in pixels of a picture of this size.
    pub fn of_box(bounds: &Rect, (width, height): (u32, u32)) -> Self {
        let share = |pixels: f32, size: u32| (pixels / size.max(1) as f32).clamp(0.0, 1.0);
        let (left, right) = (share(bounds.x, width), share(bounds.x + bounds.width, width));
        let (top, bottom) = (share(bounds.y, height), share(bounds.y + bounds.height, height));
        Self(vec![(left, top), (right, top), (right, bottom), (left, bottom)])
    }

    /// The problem of its corners, if there is one.
    pub fn find_problem(&self) -> Option<String> {
        if self.0.len() < 3 {
            return Some(format!("has {} corners; give three or more", self.0.len()));
        }
        let outside = self.0.iter().find(|(x, y)| !(0.0..=1.0).contains(x) || !(0.0..=1.0).contains(y));
        if let Some((x, y)) = outside {
            return Some(format!(
                "[{x}, {y}] is outside the picture; corners are shares of its width and height, 0 to 1"
            ));
        }
        self.is_flat().then(|| "has no area: its corners are all on one line".to_owned())
    }

    /// True if all corners are on one line, within a millionth of the picture.
    fn is_flat(&self) -> bool {
        const SMALLEST: f32 = 1e-6;
        let Some((x, y)) = self.0.first() else { return true };
        let distance = |at: &(f32, f32)| (at.0 - x).abs().max((at.1 - y).abs());
        let Some(farthest) = self.0.iter().max_by(|a, b| distance(a).total_cmp(&distance(b))) else {
            return true;
        };
        // Twice the area of the triangle of the first, the farthest and each other corner.
        let area = |at: &(f32, f32)| ((farthest.0 - x) * (at.1 - y) - (farthest.1 - y) * (at.0 - x)).abs();
        self.0.iter().all(|at| area(at) < SMALLEST)
    }

    /// True if the centre of a box is inside. The box and the picture's size are in pixels.
    pub fn contains(&self, bounds: &Rect, (width, height): (u32, u32)) -> bool {
        let x = (bounds.x + bounds.width / 2.0) / width as f32;
        let y = (bounds.y + bounds.height / 2.0) / height as f32;
        // A point is inside if a ray to the right crosses an odd number of sides.
        let sides = self.0.iter().zip(self.0.iter().cycle().skip(1));
        let crossed = sides.filter(|((ax, ay), (bx, by))| {
            (*ay > y) != (*by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax
        });
        crossed.count() % 2 == 1
    }

    /// Its corners in a picture of this size, rounded to pixels.
    pub fn corners(&self, (width, height): (i32, i32)) -> impl Iterator<Item = (i32, i32)> {
        let pixel = move |part: f32, size: i32| (part * size as f32).round() as i32;
        self.0.iter().map(move |(x, y)| (pixel(*x, width), pixel(*y, height)))
    }
}

impl From<Vec<(f32, f32)>> for Polygon {
    fn from(corners: Vec<(f32, f32)>) -> Self {
        Self(corners)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32, y: f32) -> Rect {
        Rect { x: x - 1.0, y: y - 1.0, width: 2.0, height: 2.0 }
    }

    #[test]
    fn a_polygon_without_an_area_is_a_problem() {
        for flat in [
            vec![(0.0, 0.0); 3],
            vec![(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)],
            vec![(0.0, 0.5), (1.0, 0.5), (0.3, 0.5), (0.7, 0.5)],
        ] {
            let problem = Polygon(flat.clone()).find_problem();
            assert!(problem.is_some_and(|problem| problem.starts_with("has no area")), "{flat:?}");
        }
        for wide in [
            vec![(0.0, 0.0), (0.01, 0.0), (0.0, 0.01)],
            // Its sides cross, so that the parts of its area would cancel each other.
            vec![(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)],
        ] {
            assert_eq!(Polygon(wide).find_problem(), None);
        }
    }

    #[test]
    fn a_polygon_may_have_a_dent() {
        let zone = Polygon(vec![(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.25, 0.2), (0.0, 1.0)]);
        let is_in = |x, y| zone.contains(&at(x, y), (200, 100));
        assert!(is_in(10.0, 50.0) && is_in(90.0, 50.0));
        assert!(!is_in(50.0, 50.0), "in the dent");
        assert!(!is_in(110.0, 50.0) && !is_in(-10.0, 50.0));
    }

    #[test]
    fn invalid_corners_are_reported() {
        let problem = |corners: &[(f32, f32)]| Polygon(corners.to_vec()).find_problem();
        assert!(problem(&[(0.0, 0.0), (1.0, 1.0)]).unwrap().contains("2 corners"));
        assert!(problem(&[(0.0, 0.0), (640.0, 0.0), (0.0, 1.0)]).unwrap().contains("[640, 0]"));
        assert!(problem(&[(0.0, 0.0), (f32::NAN, 0.0), (0.0, 1.0)]).is_some());
        assert_eq!(problem(&[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]), None);
    }
}
