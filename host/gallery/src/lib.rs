//! The gallery: the enrolled people and their templates.
//!
//! - [`GalleryReader`] and [`GalleryWriter`] read and write the compacted gallery topic. If a key is configured, the templates of each
//!   person are encrypted by a key of their own, which is in the keys topic.
//! - [`Gallery`] follows the topic in a running host and keeps an [`Index`] of it up to date with an [`IndexWriter`].
//! - [`Strangers`] follows the strangers topic: the views of strangers that unknown-person rules share with all cameras.
//! - [`find_similar_people`] reports people who are easily taken for each other, and [`find_odd_samples`] samples that look unlike
//!   the others of their person.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod block;
mod erasure;
mod follow;
mod gallery_reader;
mod gallery_writer;
mod index;
mod kernels;
#[cfg(test)]
#[path = "../benches/search/made_up.rs"]
mod made_up;
mod odd_samples;
mod person_keys;
mod recognition_context;
mod sample;
mod sign_code;
mod similar_people;
mod strangers;
mod template_text;
mod topic;

pub use erasure::{
    PersonTraces, Remains, announce_erasure, destroy_keys, erase_traces, find_remains, find_traces,
    rewrap_keys,
};
pub use follow::Gallery;
pub use gallery_reader::{GalleryChange, GalleryReader, read_samples};
pub use gallery_writer::{
    GalleryWriter, encrypt_samples, erase_sample, merge_people, rename_person, set_terms, terms_by_person,
};
pub use index::{Index, IndexWriter};
pub use odd_samples::{OddSample, find_odd_samples};
pub use person_keys::{ErasureNotice, Erasures, check_keys};
pub use recognition_context::RecognitionContext;
pub use sample::{Sample, Terms};
pub use similar_people::{NEARLY_THE_SAME, SimilarPeople, Template, find_similar_id, find_similar_people};
pub use strangers::{
    JudgedFrame, MovedVisit, StrangerChange, StrangerIndex, StrangerIndexWriter, StrangerMerge,
    StrangerRecord, StrangerView, Strangers, read_strangers, shared_strangers,
};
pub use topic::{GalleryError, STRANGER_PREFIX, parse_new_person_id};
