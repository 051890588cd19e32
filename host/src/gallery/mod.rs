//! The enrolled people: the compacted topic, and the index made from it.

mod index;
mod topic;

pub use index::Index;
pub use topic::{Gallery, GalleryError, Sample, read, remove, store};
