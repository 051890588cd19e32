//! The gallery: the enrolled people and their templates.
//!
//! - [`read_samples`], [`store_sample`] and [`remove_person`] read and write the compacted gallery topic.
//! - [`Gallery`] follows the topic in a running host and keeps an [`Index`] of it up to date with an [`IndexWriter`].
//! - [`Strangers`] follows the strangers topic: the views of strangers that unknown-person rules share with all cameras.
//! - [`find_similar_people`] reports people who are easily taken for each other, and [`find_odd_samples`] samples that look unlike
//!   the others of their person.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod block;
mod index;
mod kernels;
#[cfg(test)]
#[path = "../benches/search/made_up.rs"]
mod made_up;
mod odd_samples;
mod sample;
mod sign_code;
mod similar_people;
mod strangers;
mod template_text;
mod topic;

pub use index::{Index, IndexWriter};
pub use odd_samples::{OddSample, find_odd_samples};
pub use sample::Sample;
pub use similar_people::{NEARLY_THE_SAME, SimilarPeople, Template, find_similar_id, find_similar_people};
pub use strangers::{
    JudgedFrame, MovedVisit, StrangerChange, StrangerIndex, StrangerIndexWriter, StrangerMerge,
    StrangerRecord, StrangerView, Strangers, read_strangers, shared_strangers,
};
pub use topic::{
    Gallery, GalleryError, erase_sample, merge_people, parse_person_id, parse_record, read_samples,
    remove_person, rename_person, store_sample,
};
