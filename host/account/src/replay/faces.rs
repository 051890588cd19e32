//! Which face of one judgement is which of another.

use everyframe_types::judgement::Subject;

/// Boxes that share less are of two faces.
const SAME: f32 = 0.3;

/// The faces of two judgements of one frame, each with its like in the other, if it has one.
pub(super) fn paired<'a>(
    before: &'a [Subject],
    after: &'a [Subject],
) -> Vec<(Option<&'a Subject>, Option<&'a Subject>)> {
    let mut left: Vec<&Subject> = after.iter().collect();
    let mut pairs = Vec::with_capacity(before.len().max(after.len()));
    for subject in before {
        let bounds = subject.face.detection.bounds;
        let overlap = |other: &Subject| bounds.iou(&other.face.detection.bounds);
        let best = (0..left.len()).max_by(|a, b| overlap(left[*a]).total_cmp(&overlap(left[*b])));
        let like = best.filter(|place| overlap(left[*place]) >= SAME).map(|place| left.remove(place));
        pairs.push((Some(subject), like));
    }
    pairs.extend(left.into_iter().map(|subject| (None, Some(subject))));
    pairs
}
