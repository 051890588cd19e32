//! Association: which detection continues which track. Pure arithmetic on boxes.

use super::face_motion::{centre, side};
use everyframe_types::face::Rect;

/// A face continues a track although their boxes hardly overlap, if the distance of their centres is at most this many
/// face sides: the predicted place is wrong by less, even when a walker stops.
const MAX_DISTANCE: f32 = 1.0;
/// A face's side changes by at most this factor from one frame to the next.
const MAX_GROWTH: f32 = 1.6;
/// A match is ambiguous if the centres of another pair are less than this farther apart, face sides.
const AMBIGUOUS: f32 = 0.5;

/// The track that a detection continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    /// The track's index.
    pub track: usize,
    /// True if the track has another detection nearly as near, or the detection another track.
    pub is_ambiguous: bool,
}

/// How near two boxes are, for a pass of the association: the larger the nearer; none if they cannot be one face.
pub(super) type Nearness = fn(predicted: &Rect, detected: &Rect, overlap: f32) -> Option<f32>;

/// For each detected box, the track that it continues, of those whose boxes are `predicted`. The nearest pairs are matched first.
/// Of equally near ones, the track and the detection that come first are matched, so that a replay gives the same tracks.
pub(super) fn associate(
    predicted: &[Rect],
    detected: &[Rect],
    overlap: f32,
    nearness: Nearness,
) -> Vec<Option<Match>> {
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    for (track, predicted) in predicted.iter().enumerate() {
        for (index, detected) in detected.iter().enumerate() {
            pairs.extend(nearness(predicted, detected, overlap).map(|nearness| (nearness, track, index)));
        }
    }
    // The sort is stable: equal pairs stay in the order of tracks and detections.
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut taken: Vec<Option<usize>> = vec![None; predicted.len()];
    let mut continued: Vec<Option<Match>> = vec![None; detected.len()];
    for (_, track, index) in &pairs {
        if taken[*track].is_none() && continued[*index].is_none() {
            taken[*track] = Some(*index);
            continued[*index] = Some(Match { track: *track, is_ambiguous: false });
        }
    }
    for (_, track, index) in &pairs {
        let here = distance(&predicted[*track], &detected[*index]);
        for matched in [taken[*track], Some(*index)].into_iter().flatten() {
            if let Some(found) = &mut continued[matched] {
                let is_other = (found.track, matched) != (*track, *index);
                let best = distance(&predicted[found.track], &detected[matched]);
                found.is_ambiguous |= is_other && here < best + AMBIGUOUS;
            }
        }
    }
    continued
}

/// The overlap of two boxes (intersection over union, above 0) if it is large enough, else the negative distance of their centres
/// in face sides; none if they are too far apart, or too different in size.
pub(super) fn by_place(predicted: &Rect, detected: &Rect, overlap: f32) -> Option<f32> {
    by_overlap(predicted, detected, overlap).or_else(|| {
        let (before, now) = (side(predicted), side(detected));
        let distance = distance(predicted, detected);
        let alike = before <= now * MAX_GROWTH && now <= before * MAX_GROWTH;
        (alike && distance <= MAX_DISTANCE).then_some(-distance)
    })
}

/// The distance of two boxes' centres, in face sides.
fn distance(a: &Rect, b: &Rect) -> f32 {
    let ((x, y), (other_x, other_y)) = (centre(a), centre(b));
    (x - other_x).hypot(y - other_y) / ((side(a) + side(b)) / 2.0)
}

/// The overlap of two boxes (intersection over union, above 0); none if it is less than `overlap`.
pub(super) fn by_overlap(predicted: &Rect, detected: &Rect, overlap: f32) -> Option<f32> {
    let shared = predicted.iou(detected);
    (shared >= overlap && shared > 0.0).then_some(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f32, side: f32) -> Rect {
        Rect { x, y: 0.0, width: side, height: side }
    }

    fn tracks(predicted: &[f32], detected: &[f32]) -> Vec<Option<(usize, bool)>> {
        let boxes = |places: &[f32]| places.iter().map(|x| square(*x, 100.0)).collect::<Vec<_>>();
        let found = associate(&boxes(predicted), &boxes(detected), 0.3, by_place);
        found.into_iter().map(|found| found.map(|found| (found.track, found.is_ambiguous))).collect()
    }

    #[test]
    fn the_nearest_pairs_are_matched_first() {
        assert_eq!(tracks(&[0.0, 300.0], &[310.0, 5.0]), [Some((1, false)), Some((0, false))]);
        assert_eq!(tracks(&[0.0], &[90.0]), [Some((0, false))], "by the distance of centres");
        assert_eq!(tracks(&[0.0], &[101.0]), [None]);
        assert_eq!(tracks(&[], &[0.0]), [None]);
    }

    #[test]
    fn faces_near_each_other_are_ambiguous() {
        // The boxes do not overlap, and each lies where it is predicted.
        assert_eq!(tracks(&[0.0, 110.0], &[0.0, 110.0]), [Some((0, false)), Some((1, false))]);
        // Each is predicted between both.
        assert_eq!(tracks(&[40.0, 70.0], &[0.0, 110.0]), [Some((0, true)), Some((1, true))]);
        // One is hidden behind the other.
        assert_eq!(tracks(&[0.0, 30.0], &[10.0]), [Some((0, true))]);
        // Somebody appears beside a face that moved.
        assert_eq!(tracks(&[0.0], &[30.0, -40.0]), [Some((0, true)), None]);
    }

    #[test]
    fn equally_near_tracks_and_detections_keep_their_order() {
        assert_eq!(tracks(&[0.0, 0.0], &[0.0]), [Some((0, true))]);
        assert_eq!(tracks(&[0.0], &[50.0, -50.0]), [Some((0, true)), None]);
    }

    #[test]
    fn boxes_of_different_sizes_match_only_by_overlap() {
        assert_eq!(by_place(&square(0.0, 100.0), &square(-150.0, 400.0), 0.3), None);
        assert_eq!(by_overlap(&square(0.0, 100.0), &square(90.0, 100.0), 0.3), None);
        assert_eq!(by_overlap(&square(0.0, 100.0), &square(90.0, 100.0), 0.0), Some(1000.0 / 19000.0));
        assert_eq!(by_overlap(&square(0.0, 100.0), &square(100.0, 100.0), 0.0), None);
    }
}
