//! A frame is judged again from its result, which holds everything but embeddings.

use super::FrameFacts;
use super::error::RuleFailure;
use super::evaluate::RuleOutput;
use super::load::Rules;
use super::rule_state::RuleState;
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
    pub(super) fn stand_in(
        &self,
        rule: &str,
        opinion: RuleOutput,
        missed: &[u32],
        now: &[Subject],
    ) -> RuleOutput {
        let before = |index: u32| self.subjects.iter().find(|subject| subject.face.index == index);
        match opinion {
            RuleOutput::Decisions(decisions) => {
                let stand_in = |(index, decision)| match before(index) {
                    Some(before) if missed.contains(&index) => (index, before.decision.clone()),
                    _ => (index, decision),
                };
                RuleOutput::Decisions(decisions.into_iter().map(stand_in).collect())
            }
            RuleOutput::Strangers(_) if !missed.is_empty() || self.blind.contains(rule) => {
                let unknown = now.iter().filter(|subject| subject.decision == Decision::Unknown);
                let named = unknown.filter_map(|subject| {
                    let index = subject.face.index;
                    Some((index, before(index)?.stranger.clone()?))
                });
                RuleOutput::Strangers(named.collect())
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
        state: &mut RuleState,
        before: &Before<'_>,
    ) -> Result<Judgement, RuleFailure> {
        self.judge_or_rejudge(frame, faces, people, state, Some(before))
    }
}
