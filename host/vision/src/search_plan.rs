//! The search plan of a frame: which parts of it to search for faces, and at which scale, given what changed since an earlier
//! frame that was searched as a whole. Pure arithmetic. Positions are pixels of the picture in which faces are detected.
//!
//! A small changed part is searched at full scale. A large one shows somebody who is near, whose face is large, so it is
//! searched at a reduced scale, unless the earlier search found a face there that the reduced search might miss. Where nothing
//! changed, the earlier detections are still right. Decision record 21 has the measurements.

use super::motion::{BLOCK, BlockRect, ChangedBlocks};
use everyframe_types::face::{Detection, Rect};

/// The least longer side of a face that the detector finds reliably, pixels of its input: of 100 people (ORL, in the street
/// scene) it finds 66 at 24 pixels, 91 at 30, 99 at 35.
const NEEDED: f32 = 33.6;
/// A face of at least this size is found at a reduced scale of 0.3.
const LARGE: f32 = 112.0;
/// A changed part with a side of at least this many large faces is searched at the reduced scale.
const LARGE_PART: f32 = 1.7;
/// A changed part may touch a face found before: its box is enlarged by this share of its sides on each side.
const AROUND: f32 = 0.25;
/// Pixels searched around changed blocks. A part grows further to [`SIZE_STEP`].
const MARGIN: f32 = 8.0;
/// The sides of a part are rounded up to a multiple of this, pixels of the input: the detector's input is padded to it anyway.
const SIZE_STEP: f32 = 32.0;
/// Two parts are searched as one if that costs at most so many more pixels of input: each inference has a fixed cost.
const JOIN: f32 = 4096.0;
/// If the parts together cost more than this share of the whole picture, the whole picture is searched.
const MAX_SHARE: f32 = 0.6;

/// The sizes of faces that matter, pixels of the searched picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FaceSizes {
    /// A smaller face need not be found in every frame.
    pub min: f32,
    /// A face of at least this size is found at the reduced scale.
    pub large: f32,
}

impl FaceSizes {
    /// The sizes for a `min_face` in pixels of the frame, which has `scale` times as many pixels in each direction.
    pub fn new(min_face: u32, scale: f32) -> Self {
        let min = min_face as f32 / scale.max(1.0);
        Self { min, large: min.max(LARGE) }
    }

    /// The reduced scale.
    fn reduced(self) -> f32 {
        (NEEDED / self.large).min(1.0)
    }
}

/// A part of the picture to be searched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    /// Pixels of the picture, whole numbers, inside it.
    pub bounds: Rect,
    /// Pixels of the detector's input for each pixel of the picture, at most 1.
    pub scale: f32,
}

/// How to search a frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SearchPlan {
    /// The whole picture, at full scale.
    Whole,
    /// These parts. Detections of the earlier search stay valid where nothing changed.
    Parts(Vec<Part>),
}

/// Plans the search of a picture of `width` × `height` pixels. `changed` are its blocks that differ from the earlier picture,
/// in which `earlier` was found.
pub(super) fn plan_search(
    (width, height): (f32, f32),
    changed: &ChangedBlocks,
    earlier: &[Detection],
    sizes: FaceSizes,
) -> SearchPlan {
    let picture = Rect { x: 0.0, y: 0.0, width, height };
    let mut parts: Vec<Part> = Vec::new();
    for group in changed.widened().groups() {
        let bounds = with_margin(group, &picture);
        let touched: Vec<&Rect> = earlier
            .iter()
            .map(|face| &face.bounds)
            .filter(|face| longer(face) >= sizes.min && overlaps(&enlarge(face, AROUND), &bounds))
            .collect();
        let side = longer(&bounds) - 2.0 * MARGIN;
        if side < sizes.min && touched.is_empty() {
            continue;
        }
        let has_smaller = touched.iter().any(|face| longer(face) < sizes.large);
        let is_large = side >= LARGE_PART * sizes.large || touched.len() > usize::from(has_smaller);
        let scale = if is_large && !has_smaller { sizes.reduced() } else { 1.0 };
        let all = touched.iter().fold(bounds, |all, face| union(&all, &enlarge(face, AROUND)));
        parts.push(rounded(&all, scale, &picture));
    }
    join(&mut parts, &picture);
    let cost: f32 = parts.iter().map(Part::cost).sum();
    if cost > MAX_SHARE * width * height { SearchPlan::Whole } else { SearchPlan::Parts(parts) }
}

/// The part around a face in which to search it again for exact landmarks: at full scale, or about as large as it takes. With
/// 320 pixels of input the landmarks are as good as those of a full search; with 192 they are not (decision record 21).
pub(super) fn close_up(face: &Rect, (width, height): (f32, f32)) -> Part {
    const AROUND: f32 = 0.15;
    const LONGEST: f32 = 320.0;
    let around = enlarge(face, AROUND);
    let scale = (LONGEST / longer(&around).max(1.0)).min(1.0);
    rounded(&around, scale, &Rect { x: 0.0, y: 0.0, width, height })
}

/// True if the box lies in blocks that have not changed.
pub(super) fn is_unchanged(face: &Rect, changed: &ChangedBlocks) -> bool {
    let block = |at: f32| (at.max(0.0) / BLOCK as f32) as usize;
    !changed.intersects(BlockRect {
        left: block(face.x),
        top: block(face.y),
        right: block(face.x + face.width) + 1,
        bottom: block(face.y + face.height) + 1,
    })
}

/// The longer side of a box.
pub(super) fn longer(bounds: &Rect) -> f32 {
    bounds.width.max(bounds.height)
}

impl Part {
    /// Pixels of the detector's input.
    fn cost(&self) -> f32 {
        self.bounds.width * self.bounds.height * self.scale * self.scale
    }
}

/// Joins parts of one scale where that costs little.
fn join(parts: &mut Vec<Part>, picture: &Rect) {
    let mut first = 0;
    while first < parts.len() {
        let joined = (first + 1..parts.len()).find_map(|second| {
            let (a, b) = (parts[first], parts[second]);
            let both = rounded(&union(&a.bounds, &b.bounds), a.scale, picture);
            (a.scale == b.scale && both.cost() <= a.cost() + b.cost() + JOIN).then_some((second, both))
        });
        match joined {
            Some((second, both)) => {
                parts.swap_remove(second);
                parts[first] = both;
                // The larger part may now touch parts that were looked at before.
                first = 0;
            }
            None => first += 1,
        }
    }
}

/// The changed blocks of a group, with the margin. The group is of changed blocks and their neighbours; at the edge of the picture
/// there are no neighbours.
fn with_margin(group: BlockRect, picture: &Rect) -> Rect {
    const INWARDS: f32 = BLOCK as f32 - MARGIN;
    let first = |block: usize| if block == 0 { 0.0 } else { (block * BLOCK) as f32 + INWARDS };
    let end = |block: usize, edge: f32| {
        let end = (block * BLOCK) as f32;
        if end >= edge { edge } else { end - INWARDS }
    };
    let (x, y) = (first(group.left), first(group.top));
    let (right, bottom) = (end(group.right, picture.width), end(group.bottom, picture.height));
    Rect { x, y, width: right - x, height: bottom - y }
}

fn enlarge(face: &Rect, share: f32) -> Rect {
    let (across, down) = (face.width * share, face.height * share);
    Rect {
        x: face.x - across,
        y: face.y - down,
        width: face.width + 2.0 * across,
        height: face.height + 2.0 * down,
    }
}

fn overlaps(a: &Rect, b: &Rect) -> bool {
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}

fn union(a: &Rect, b: &Rect) -> Rect {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    let right = (a.x + a.width).max(b.x + b.width);
    let bottom = (a.y + a.height).max(b.y + b.height);
    Rect { x, y, width: right - x, height: bottom - y }
}

fn clip(a: &Rect, picture: &Rect) -> Rect {
    let (x, y) = (a.x.clamp(0.0, picture.width), a.y.clamp(0.0, picture.height));
    let right = (a.x + a.width).clamp(x, picture.width);
    let bottom = (a.y + a.height).clamp(y, picture.height);
    Rect { x, y, width: right - x, height: bottom - y }
}

/// The part around these bounds whose sides, in pixels of the input, are multiples of the step where the picture allows it.
///
/// At full scale, it also begins at a multiple of the step. Then the detector's cells lie where they lie in a search of the whole
/// picture, and faces get almost the same scores.
fn rounded(bounds: &Rect, scale: f32, picture: &Rect) -> Part {
    let bounds = clip(bounds, picture);
    let grid = if scale < 1.0 { 1.0 } else { SIZE_STEP };
    let side = |at: f32, length: f32, limit: f32| {
        let start = (at / grid).floor() * grid;
        let wanted = ((at + length - start) * scale / SIZE_STEP).ceil() * SIZE_STEP / scale;
        (start, wanted.ceil().min(limit - start))
    };
    let (x, width) = side(bounds.x, bounds.width, picture.width);
    let (y, height) = side(bounds.y, bounds.height, picture.height);
    Part { bounds: Rect { x, y, width, height }, scale }
}

#[cfg(test)]
mod tests {
    use super::super::motion::LumaGrid;
    use super::*;
    use proptest::prelude::*;

    const SIZE: (usize, usize) = (960, 540);
    const SIZES: FaceSizes = FaceSizes { min: 24.0, large: LARGE };

    /// The blocks that change when these rectangles (x, y, width, height) appear in a plain scene.
    fn changed(rectangles: &[(usize, usize, usize, usize)]) -> ChangedBlocks {
        let grid = |rectangles: &[(usize, usize, usize, usize)]| {
            let mut bytes = vec![90; 3 * SIZE.0 * SIZE.1];
            for (x, y, width, height) in rectangles {
                for row in *y..(y + height).min(SIZE.1) {
                    let end = (x + width).min(SIZE.0);
                    bytes[3 * (row * SIZE.0 + x)..3 * (row * SIZE.0 + end)].fill(200);
                }
            }
            LumaGrid::new(&bytes, SIZE.0, SIZE.1)
        };
        grid(rectangles).changed_since(&grid(&[])).unwrap()
    }

    fn face(x: f32, y: f32, side: f32) -> Detection {
        let bounds = Rect { x, y, width: side, height: side };
        Detection { bounds, landmarks: Default::default(), score: 0.9 }
    }

    fn plan(rectangles: &[(usize, usize, usize, usize)], earlier: &[Detection]) -> Vec<Part> {
        match plan_search((SIZE.0 as f32, SIZE.1 as f32), &changed(rectangles), earlier, SIZES) {
            SearchPlan::Whole => panic!("the whole picture"),
            SearchPlan::Parts(parts) => parts,
        }
    }

    fn contains(part: &Part, bounds: &Rect) -> bool {
        union(&part.bounds, bounds) == part.bounds
    }

    #[test]
    fn a_small_change_is_searched_at_full_scale() {
        let parts = plan(&[(320, 160, 48, 48)], &[]);
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].scale, 1.0);
        assert_eq!((parts[0].bounds.width, parts[0].bounds.height), (96.0, 96.0));
        assert!(contains(&parts[0], &Rect { x: 312.0, y: 152.0, width: 64.0, height: 64.0 }));
    }

    #[test]
    fn a_large_change_is_searched_at_a_reduced_scale() {
        let parts = plan(&[(300, 100, 300, 400)], &[]);
        assert_eq!(parts.len(), 1);
        assert!((parts[0].scale - 0.3).abs() < 0.001, "{parts:?}");
    }

    #[test]
    fn a_change_at_the_edge_is_searched_to_the_edge() {
        for (x, y) in [(0, 0), (912, 0), (0, 492), (912, 492)] {
            let parts = plan(&[(x, y, 48, 48)], &[]);
            let changed = Rect { x: x as f32, y: y as f32, width: 48.0, height: 48.0 };
            assert!(parts.iter().any(|part| contains(part, &changed)), "{parts:?}");
        }
    }

    #[test]
    fn a_smaller_face_in_a_large_change_keeps_the_full_scale() {
        let parts = plan(&[(300, 100, 200, 240)], &[face(380.0, 120.0, 50.0)]);
        assert!(parts.iter().all(|part| part.scale == 1.0), "{parts:?}");
    }

    #[test]
    fn a_face_that_changes_in_part_is_searched_as_a_whole() {
        for side in [40.0, 200.0] {
            let earlier = face(320.0, 160.0, side);
            let parts = plan(&[(336, 176, 32, 32)], std::slice::from_ref(&earlier));
            assert_eq!(parts.len(), 1);
            assert!(contains(&parts[0], &earlier.bounds), "{parts:?}");
            assert_eq!(parts[0].scale < 1.0, side > LARGE);
        }
    }

    #[test]
    fn a_change_everywhere_needs_the_whole_picture() {
        let parts: Vec<_> = (0..7).flat_map(|i| [20, 200, 380].map(|y| (i * 136, y, 80, 100))).collect();
        let all = plan_search((960.0, 540.0), &changed(&parts), &[], SIZES);
        assert_eq!(all, SearchPlan::Whole);
    }

    #[test]
    fn a_face_is_reused_only_where_nothing_changed() {
        let changed = changed(&[(320, 160, 48, 48)]);
        assert!(is_unchanged(&face(500.0, 160.0, 60.0).bounds, &changed));
        assert!(!is_unchanged(&face(350.0, 190.0, 60.0).bounds, &changed));
        assert!(is_unchanged(&face(-500.0, 1e9, 60.0).bounds, &changed), "outside the picture");
    }

    #[test]
    fn sizes_follow_the_picture() {
        assert_eq!(FaceSizes::new(24, 1.0), SIZES);
        assert_eq!(FaceSizes::new(24, 2.0), FaceSizes { min: 12.0, large: LARGE });
        assert_eq!(FaceSizes::new(120, 1.0), FaceSizes { min: 120.0, large: 120.0 });
    }

    proptest! {
        /// Each changed part that may hold a face is searched, and every part lies in the picture.
        #[test]
        fn every_change_is_searched(
            rectangles in prop::collection::vec((0usize..900, 0usize..500, 32usize..200, 32usize..200), 1..6),
            faces in prop::collection::vec((0f32..900.0, 0f32..500.0, 10f32..300.0), 0..5),
        ) {
            let earlier: Vec<_> = faces.into_iter().map(|(x, y, side)| face(x, y, side)).collect();
            let picture = Rect { x: 0.0, y: 0.0, width: 960.0, height: 540.0 };
            if let SearchPlan::Parts(parts) = plan_search((960.0, 540.0), &changed(&rectangles), &earlier, SIZES) {
                for part in &parts {
                    prop_assert_eq!(clip(&part.bounds, &picture), part.bounds);
                    prop_assert!(part.bounds.width >= 1.0 && part.bounds.height >= 1.0);
                    let is_on_the_grid = |at: f32| at % SIZE_STEP == 0.0;
                    prop_assert!(part.scale < 1.0 || is_on_the_grid(part.bounds.x) && is_on_the_grid(part.bounds.y));
                }
                for (x, y, width, height) in rectangles {
                    let inner = Rect { x: x as f32, y: y as f32, width: width as f32, height: height as f32 };
                    let inner = clip(&inner, &picture);
                    // A changed strip at the edge may be too narrow for a block to count.
                    if inner.width < 32.0 || inner.height < 32.0 { continue; }
                    prop_assert!(parts.iter().any(|part| contains(part, &inner)), "{:?} {:?}", inner, parts);
                }
            }
        }
    }
}
