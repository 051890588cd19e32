//! An anchor: a picture that was searched as a whole, with which later pictures of its camera are compared.

use super::motion::LumaGrid;
use everyframe_types::face::Detection;

/// A picture that was searched as a whole.
#[derive(Debug, Clone, Default)]
pub struct Anchor {
    /// Width and height at full size, pixels.
    pub(super) size: (u32, u32),
    /// The brightness of the searched picture.
    pub(super) grid: LumaGrid,
    /// Its faces, in pixels of the searched picture, best score first.
    pub(super) detections: Vec<Detection>,
    /// Its weak detections, likewise.
    pub(super) weak: Vec<Detection>,
}
