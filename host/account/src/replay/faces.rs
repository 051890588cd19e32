//! Matches the faces of two judgements of a frame.

use everyframe_types::judgement::Subject;

/// Boxes with a lower intersection over union are different faces.
const MIN_OVERLAP: f32 = 0.3;

/// Pairs the faces of two judgements by overlap. A face without a partner has none in its place.
pub(super) fn match_faces<'a>(
    before: &'a [Subject],
    after: &'a [Subject],
) -> Vec<(Option<&'a Subject>, Option<&'a Subject>)> {
    let mut left: Vec<&Subject> = after.iter().collect();
    let mut pairs = Vec::with_capacity(before.len().max(after.len()));
    for subject in before {
        let bounds = subject.face.detection.bounds;
        let overlap = |other: &Subject| bounds.iou(&other.face.detection.bounds);
        let best = (0..left.len()).max_by(|a, b| overlap(left[*a]).total_cmp(&overlap(left[*b])));
        let like = best.filter(|place| overlap(left[*place]) >= MIN_OVERLAP).map(|place| left.remove(place));
        pairs.push((Some(subject), like));
    }
    pairs.extend(left.into_iter().map(|subject| (None, Some(subject))));
    pairs
}
