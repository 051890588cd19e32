//! Judging a frame again from its stored result, which has no embeddings.

use super::evaluate::RuleOutput;
use everyframe_types::judgement::{Decision, Subject};
use std::collections::HashSet;

/// The stored judgement of a frame. It replaces the output of rules that request embeddings, which the result does not have.
pub struct PreviousJudgement<'a> {
    /// The faces with their decisions, by `face.index`.
    pub subjects: &'a [Subject],
    /// Unknown-person rules that are known to request embeddings. Without them they cannot recognise a stranger, not even in
    /// a frame for which they request none.
    pub blind: &'a HashSet<String>,
}

impl PreviousJudgement<'_> {
    /// Replaces the parts of a rule's output that depend on the embeddings of the faces `missing`. `current` has the
    /// decisions of the rules before it.
    pub(super) fn replace_output(
        &self,
        rule: &str,
        output: RuleOutput,
        missing: &[u32],
        current: &[Subject],
    ) -> RuleOutput {
        let previous = |index: u32| self.subjects.iter().find(|subject| subject.face.index == index);
        match output {
            RuleOutput::Decisions(decisions) => {
                let replace = |(index, decision)| match previous(index) {
                    Some(previous) if missing.contains(&index) => (index, previous.decision.clone()),
                    _ => (index, decision),
                };
                RuleOutput::Decisions(decisions.into_iter().map(replace).collect())
            }
            RuleOutput::Strangers(_) if !missing.is_empty() || self.blind.contains(rule) => {
                let unknown = current.iter().filter(|subject| subject.decision == Decision::Unknown);
                let strangers = unknown.filter_map(|subject| {
                    let index = subject.face.index;
                    Some((index, previous(index)?.stranger.clone()?))
                });
                RuleOutput::Strangers(strangers.collect())
            }
            output => output,
        }
    }
}
