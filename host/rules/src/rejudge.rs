//! A frame is judged again from its result, which holds everything but embeddings.

use super::FrameFacts;
use super::consult::Opinion;
use super::error::RuleFailure;
use super::load::Rules;
use super::memory::Memory;
use everyframe_types::face::{Face, People};
use everyframe_types::judgement::{Decision, Judgement, Subject};
use std::collections::HashSet;
use std::sync::Arc;

/// What was said of a frame's faces before: it stands where a rule asks for an embedding that is not there.
pub struct Before<'a> {
    /// The faces as they were decided upon, by `face.index`.
    pub subjects: &'a [Subject],
    /// Unknown-person rules that are known to ask for embeddings: without them they cannot say who somebody is, not
    /// even in a frame for which they ask for none.
    pub blind: &'a HashSet<String>,
}

impl Before<'_> {
    /// The opinion of a rule that did not get the embeddings of the faces `missed`; `now` is what has been decided.
    pub(super) fn stand_in(&self, rule: &str, opinion: Opinion, missed: &[u32], now: &[Subject]) -> Opinion {
        let before = |index: u32| self.subjects.iter().find(|subject| subject.face.index == index);
        match opinion {
            Opinion::Decisions(decisions) => {
                let stand_in = |(index, decision)| match before(index) {
                    Some(before) if missed.contains(&index) => (index, before.decision.clone()),
                    _ => (index, decision),
                };
                Opinion::Decisions(decisions.into_iter().map(stand_in).collect())
            }
            Opinion::Strangers(_) if !missed.is_empty() || self.blind.contains(rule) => {
                let unknown = now.iter().filter(|subject| subject.decision == Decision::Unknown);
                let named = unknown.filter_map(|subject| {
                    let index = subject.face.index;
                    Some((index, before(index)?.stranger.clone()?))
                });
                Opinion::Strangers(named.collect())
            }
            opinion => opinion,
        }
    }
}

impl Rules {
    /// Judges a frame again whose faces have no embeddings, as [`Rules::judge`] does. Where a matching policy or an
    /// unknown-person rule asks for one, what was said before stands; `blind` of the judgement names the rules that asked.
    ///
    /// # Errors
    ///
    /// A rule failed: the frame would be parked.
    pub fn rejudge(
        &self,
        frame: &FrameFacts<'_>,
        faces: Vec<Face>,
        people: &Arc<dyn People>,
        memory: &mut Memory,
        before: &Before<'_>,
    ) -> Result<Judgement, RuleFailure> {
        self.judge_or_rejudge(frame, faces, people, memory, Some(before))
    }
}
