//! The seam between the lanes and the rules.

use super::prepared::Ready;
use crate::publish::Outcome;
use everyframe_rules::{RuleFailure, RuleState};
use everyframe_types::judgement::StateChange;
use everyframe_vision::EmbeddingCache;
use std::collections::HashMap;
use std::sync::Arc;

/// What judging keeps of one lane from frame to frame.
#[derive(Default)]
pub(super) struct LaneMemory {
    /// By camera, the tracks and their embeddings.
    pub embedding_caches: HashMap<Arc<str>, EmbeddingCache>,
    pub state: RuleState,
    /// The erasures whose traces are deleted from `state`, with the last round of each.
    pub erased: HashMap<String, u32>,
    /// The tracker's ids of tracks that ended because of an erasure, by camera: their faces are embedded again.
    pub ended: HashMap<Arc<str>, Vec<u64>>,
    /// Deletions of erasures that are not published yet: they go with the next judged frame.
    pub deletions: Vec<StateChange>,
}

/// Judges frames.
pub(super) trait Judge: Send + Sync {
    /// Judges a frame. Frames of one lane come in order.
    ///
    /// # Errors
    ///
    /// The error of a rule with `on_failure = "stop"`: judge the frame again later.
    fn judge(&self, ready: &Ready, memory: &mut LaneMemory) -> Result<Outcome, RuleFailure>;

    /// True if a rule of this name is active: the state of other rules is not restored.
    fn has_rule(&self, name: &str) -> bool;

    /// A number that changes when other rules become active.
    fn rules_version(&self) -> u64;
}
