//! Searches a decoded picture for faces: as a whole, or only where it differs from an earlier picture of its camera.
//! Positions are pixels of the searched picture.

use super::anchor::Anchor;
use super::detections::ShadowCheck;
use super::detector::{Boxes, Detector, Search};
use super::error::PictureError;
use super::motion::{ChangedBlocks, LumaGrid};
use super::network::StageTimes;
use super::search_plan::{FaceSizes, Part, SearchPlan, is_unchanged, longer, plan_search};
use everyframe_types::face::Detection;
use everyframe_types::search::SearchKind;
use opencv::core::{Mat, MatTraitConst, MatTraitConstManual};

/// Boxes of two searches of one picture show the same face if they overlap by at least this (intersection over union).
pub(super) const SAME_FACE: f32 = 0.3;

/// What a search has found.
pub(super) struct Found {
    pub boxes: FoundBoxes,
    pub kind: SearchKind,
    pub shadow: Option<ShadowCheck>,
    /// The brightness of the picture, for later pictures.
    pub grid: LumaGrid,
    pub took: StageTimes,
}

/// The boxes that a search has found, best score first.
#[derive(Default)]
pub(super) struct FoundBoxes {
    pub faces: Vec<FoundFace>,
    /// Boxes of lower scores, see [`Boxes::weak`].
    pub weak: Vec<FoundFace>,
}

/// A face, and whether its landmarks come from a search at a reduced scale.
pub(super) struct FoundFace {
    pub detection: Detection,
    pub is_rough: bool,
}

/// How to search a frame.
pub(super) struct FrameSearch<'a> {
    detector: &'a mut Detector,
    whole: Search,
    sizes: FaceSizes,
    overlap: f32,
    took: StageTimes,
}

impl<'a> FrameSearch<'a> {
    /// Of two boxes that overlap by more than `overlap`, only the better one is kept.
    pub fn new(detector: &'a mut Detector, sizes: FaceSizes, overlap: f32) -> Self {
        Self { detector, whole: Search::Usual, sizes, overlap, took: StageTimes::default() }
    }

    /// The same, and always for large faces, too.
    pub fn of_all_sizes(self) -> Self {
        Self { whole: Search::AllSizes, ..self }
    }

    /// Searches a picture; only what changed since the `anchor`, if there is one that can be compared. `with_shadow` asks for the
    /// shadow check.
    ///
    /// # Errors
    ///
    /// See [`Detector::detect`].
    pub fn search(
        mut self,
        picture: &Mat,
        anchor: Option<&Anchor>,
        with_shadow: bool,
    ) -> Result<Found, PictureError> {
        let grid = luma_grid(picture)?;
        let compared = anchor.and_then(|anchor| Some((anchor, grid.changed_since(&anchor.grid)?)));
        let (boxes, kind) = match compared {
            Some((anchor, changed)) if changed.is_empty() => {
                (fine(anchor.detections.clone(), anchor.weak.clone()), SearchKind::Reused)
            }
            Some((anchor, changed)) => self.search_changed(picture, anchor, &changed)?,
            None => (self.search_whole(picture)?, SearchKind::Full),
        };
        let shadow = match kind {
            SearchKind::Full => None,
            _ if with_shadow => Some(self.check(picture, &boxes.faces)?),
            _ => None,
        };
        Ok(Found { boxes, kind, shadow, grid, took: self.took })
    }

    fn search_whole(&mut self, picture: &Mat) -> Result<FoundBoxes, PictureError> {
        let (found, took) = self.detector.detect(picture, self.whole)?;
        self.took += took;
        Ok(fine(found.faces, found.weak))
    }

    fn search_changed(
        &mut self,
        picture: &Mat,
        anchor: &Anchor,
        changed: &ChangedBlocks,
    ) -> Result<(FoundBoxes, SearchKind), PictureError> {
        let size = (picture.cols() as f32, picture.rows() as f32);
        let SearchPlan::Parts(parts) = plan_search(size, changed, &anchor.detections, self.sizes) else {
            return Ok((self.search_whole(picture)?, SearchKind::Full));
        };
        let mut boxes = FoundBoxes::default();
        // Where two parts overlap, the face of the finer search counts.
        let is_reduced = |part: &&Part| part.scale < 1.0;
        for part in parts.iter().filter(|part| !is_reduced(part)).chain(parts.iter().filter(is_reduced)) {
            let (found, took) = self.detector.detect_part(picture, part)?;
            self.took += took;
            self.add(&mut boxes, found, part.scale < 1.0);
        }
        let unchanged = |faces: &[Detection]| {
            faces.iter().filter(|face| is_unchanged(&face.bounds, changed)).cloned().collect()
        };
        let kept = Boxes { faces: unchanged(&anchor.detections), weak: unchanged(&anchor.weak) };
        self.add(&mut boxes, kept, false);
        let FoundBoxes { faces, weak } = &mut boxes;
        weak.retain(|weak| !faces.iter().any(|face| self.is_same(&face.detection, &weak.detection)));
        for found in [faces, weak] {
            found.sort_by(|a, b| b.detection.score.total_cmp(&a.detection.score));
        }
        let kind =
            if parts.iter().any(|part| part.scale < 1.0) { SearchKind::Coarse } else { SearchKind::Partial };
        Ok((boxes, kind))
    }

    /// Adds those of the `found` boxes that were not found before.
    fn add(&self, boxes: &mut FoundBoxes, found: Boxes, is_rough: bool) {
        for (before, found) in [(&mut boxes.faces, found.faces), (&mut boxes.weak, found.weak)] {
            for detection in found {
                if !before.iter().any(|other| self.is_same(&other.detection, &detection)) {
                    before.push(FoundFace { detection, is_rough });
                }
            }
        }
    }

    fn is_same(&self, a: &Detection, b: &Detection) -> bool {
        a.bounds.iou(&b.bounds) > self.overlap
    }

    fn check(&mut self, picture: &Mat, faces: &[FoundFace]) -> Result<ShadowCheck, PictureError> {
        let mut check = ShadowCheck::default();
        for whole in self.search_whole(picture)?.faces {
            let bounds = whole.detection.bounds;
            if longer(&bounds) >= self.sizes.min {
                check.faces += 1;
                let is_found = faces.iter().any(|face| face.detection.bounds.iou(&bounds) >= SAME_FACE);
                check.missed += u32::from(!is_found);
            }
        }
        Ok(check)
    }
}

fn fine(faces: Vec<Detection>, weak: Vec<Detection>) -> FoundBoxes {
    let fine = |found: Vec<Detection>| {
        found.into_iter().map(|detection| FoundFace { detection, is_rough: false }).collect()
    };
    FoundBoxes { faces: fine(faces), weak: fine(weak) }
}

fn luma_grid(picture: &Mat) -> Result<LumaGrid, PictureError> {
    let pixels = picture.data_bytes().map_err(PictureError::unreadable)?;
    Ok(LumaGrid::new(pixels, picture.cols().max(0) as usize, picture.rows().max(0) as usize))
}
