//! The enrolled people: the compacted topic, and the index made from it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod alike;
mod index;
mod topic;

pub use alike::{AlikePeople, NEARLY_THE_SAME, find_alike_id, find_alike_people};
pub use index::Index;
pub use topic::{Gallery, GalleryError, Sample, parse_person, read, remove, store};
