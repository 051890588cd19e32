//! The seam to the pictures of frames.

use everyframe_types::face::Rect;
use std::sync::Arc;

/// Pictures of frames, with masked parts painted over.
pub trait PictureSource: Send + Sync {
    /// The picture of a frame, or of the part around a face in it, as JPEG of a size to send; none if there is none, or it cannot be
    /// shown. Blocks.
    fn picture(&self, partition: i32, offset: i64, face: Option<&Rect>) -> Option<Arc<Vec<u8>>>;
}
