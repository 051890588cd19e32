//! The strangers of all cameras. Unknown-person rules share views of them in the strangers topic, and every host follows it.
//!
//! - `record`: the records of the topic
//! - `index`: the views, the merged ids and the look-up of one moment
//! - `shared`: the records that a judged frame causes
//! - `follow`: reads the topic, follows it, and forgets what expires

mod follow;
mod index;
mod record;
mod shared;

pub use follow::{Strangers, read_strangers};
pub use index::{StrangerIndex, StrangerIndexWriter};
#[cfg(test)]
pub(crate) use record::tests as tests_support;
pub use record::{MovedVisit, StrangerChange, StrangerMerge, StrangerRecord, StrangerView};
pub use shared::{JudgedFrame, shared_strangers};
