//! Faces: detections, embeddings, candidates and tracks.

use std::sync::Arc;
use zeroize::Zeroize as _;

/// A point in pixels of the full-size frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// Pixels from the left.
    pub x: f32,
    /// Pixels from the top.
    pub y: f32,
}

/// A box in pixels of the full-size frame.
#[derive(
    Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Rect {
    /// Left edge, pixels.
    pub x: f32,
    /// Upper edge, pixels.
    pub y: f32,
    /// Width, pixels.
    pub width: f32,
    /// Height, pixels.
    pub height: f32,
}

impl Rect {
    /// Intersection over union with another box, 0 to 1.
    pub fn iou(&self, other: &Rect) -> f32 {
        let width = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let height = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        let shared = width.max(0.0) * height.max(0.0);
        let union = self.width * self.height + other.width * other.height - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }
}

/// A detected face.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// The bounding box.
    pub bounds: Rect,
    /// Right eye, left eye, nose tip, right and left corner of the mouth (the person's right and left).
    pub landmarks: [Point; 5],
    /// The detector's score, 0 to 1.
    pub score: f32,
}

/// The unit vector of a face, shape `[n]`; `n` is given by the model. Embeddings are compared by cosine similarity.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Arc<[f32]>);

impl Embedding {
    /// Scales `values` to unit length; none if they have no direction (all zero, or not finite).
    pub fn from_raw(values: &[f32]) -> Option<Self> {
        let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        (norm.is_finite() && norm > f32::EPSILON).then(|| Self(values.iter().map(|v| v / norm).collect()))
    }

    /// The values; the sum of their squares is 1.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// Cosine similarity, −1 to 1; 0 for embeddings of different lengths.
    pub fn similarity(&self, other: &Embedding) -> f32 {
        if self.0.len() != other.0.len() {
            return 0.0;
        }
        self.0.iter().zip(other.0.iter()).map(|(a, b)| a * b).sum()
    }
}

impl Drop for Embedding {
    /// Overwrites the memory when the last copy is dropped: an erased template must not stay in it.
    fn drop(&mut self) {
        if let Some(values) = Arc::get_mut(&mut self.0) {
            values.zeroize();
        }
    }
}

/// A person of the gallery who may be this face.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Candidate {
    /// The person's id.
    pub person: String,
    /// Cosine similarity of the person's best sample, −1 to 1.
    pub similarity: f32,
}

/// An enrolled person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The id.
    pub id: String,
    /// The display name; the id if none was given.
    pub name: String,
    /// The number of enrolled samples.
    pub samples: u32,
}

/// One face followed through the frames of one camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// Unique for the camera.
    pub id: u64,
    /// When its first frame was taken, Unix milliseconds.
    pub started_at: i64,
}

/// A detected face with everything that rules get.
#[derive(Debug, Clone)]
pub struct Face {
    /// Its index in the frame's list of faces.
    pub index: u32,
    /// The detection.
    pub detection: Detection,
    /// How well it can be recognised, 0 to 1.
    pub quality: f32,
    /// The track of the face.
    pub track: Track,
    /// The embedding of this frame, or the cached one of the track.
    pub embedding: Option<Embedding>,
    /// The most similar people of the gallery, best first.
    pub candidates: Vec<Candidate>,
    /// The names of the camera's zones that the face is in.
    pub zones: Vec<String>,
}

/// A stranger that some camera saw recently.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentStranger {
    /// The stranger's id.
    pub id: String,
    /// Cosine similarity of the most similar view, −1 to 1.
    pub similarity: f32,
    /// When a camera first saw the stranger, Unix milliseconds.
    pub first_seen_at: i64,
    /// When a camera last shared a view of the stranger, Unix milliseconds.
    pub last_seen_at: i64,
    /// Number of visits, as the latest view says.
    pub visits: u32,
}

/// The people that rules can look up: those of the gallery, and the strangers of all cameras. Calls come from guest code, so they
/// must be fast and must not block. Without other methods, no stranger is known.
pub trait People: Send + Sync {
    /// Finds a person of the gallery by id.
    fn find(&self, person: &str) -> Option<Person>;

    /// The `count` strangers of all cameras most similar to a face, best first, without those who have expired at `now` (frame
    /// time, Unix milliseconds).
    fn recent_strangers(&self, _face: &Embedding, _count: usize, _now: i64) -> Vec<RecentStranger> {
        Vec::new()
    }

    /// The stranger with whom this one was merged.
    fn merged_into(&self, _stranger: &str) -> Option<String> {
        None
    }

    /// When somebody last forgot or split this stranger by hand, Unix milliseconds.
    fn changed_at(&self, _stranger: &str) -> Option<i64> {
        None
    }

    /// True if the stranger was erased. Nothing may name it any more.
    fn is_erased(&self, _stranger: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_overlap_by_their_shared_area() {
        let a = Rect { x: 0.0, y: 0.0, width: 2.0, height: 2.0 };
        let b = Rect { x: 1.0, y: 0.0, width: 2.0, height: 2.0 };
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&Rect { x: 5.0, ..b }), 0.0);
        assert_eq!(Rect::default().iou(&Rect::default()), 0.0);
    }

    #[test]
    fn a_vector_without_direction_is_no_embedding() {
        assert!(Embedding::from_raw(&[0.0; 4]).is_none());
        assert!(Embedding::from_raw(&[f32::NAN, 1.0]).is_none());
        let unit = Embedding::from_raw(&[3.0, 4.0]).map(|e| e.values().to_vec());
        assert_eq!(unit, Some(vec![0.6, 0.8]));
    }
}
