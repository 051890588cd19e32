//! Evaluates a rule on the frames of a scenario in order, as a lane does.

use super::{Entry, Scenario, ScenarioFrame};
use everyframe_rules::{CallCost, RuleFailure, RuleOutput, RuleRunner, RuleState};
use everyframe_types::face::People;
use std::sync::Arc;

/// The result of one frame.
#[derive(Debug)]
pub struct FrameResult {
    /// The rule's output. A host would park a frame on which the rule failed.
    pub got: Result<Vec<Entry>, RuleFailure>,
    /// The entries that differ from the expected ones.
    pub differences: Vec<Difference>,
}

impl FrameResult {
    /// True if the rule succeeded and its output is as expected.
    pub fn is_as_expected(&self) -> bool {
        self.got.is_ok() && self.differences.is_empty()
    }
}

/// One entry that differs from the expected one.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The entry's position in the output, from 1.
    pub place: usize,
    /// None: no entry was expected at this position.
    pub expected: Option<Entry>,
    /// None: the output has no entry at this position.
    pub got: Option<Entry>,
}

/// Evaluates the rule on every frame. Its state is kept from frame to frame; a frame on which it fails does not change it.
pub fn run_scenario(scenario: &Scenario, rule: &RuleRunner<'_>) -> Vec<FrameResult> {
    let mut state = RuleState::new();
    let evaluate = |frame: &ScenarioFrame| {
        let got = evaluate_frame(frame, &scenario.people, rule, &mut state);
        let got = got.map(|(output, _)| Entry::from_output(&output));
        let differences = match (&frame.expect, &got) {
            (Some(expected), Ok(got)) => find_differences(expected, got),
            _ => Vec::new(),
        };
        FrameResult { got, differences }
    };
    scenario.frames.iter().map(evaluate).collect()
}

/// Evaluates the rule on one frame.
///
/// # Errors
///
/// The rule failed. Its state did not change, and the next frame can be evaluated.
pub fn evaluate_frame(
    frame: &ScenarioFrame,
    people: &Arc<dyn People>,
    rule: &RuleRunner<'_>,
    state: &mut RuleState,
) -> Result<(RuleOutput, CallCost), RuleFailure> {
    rule.evaluate(&frame.facts(), &frame.subjects, people, state)
}

fn find_differences(expected: &[Entry], got: &[Entry]) -> Vec<Difference> {
    let entries = (0..expected.len().max(got.len())).map(|at| (at + 1, expected.get(at), got.get(at)));
    entries
        .filter(|(_, expected, got)| match (expected, got) {
            (Some(expected), Some(got)) => !expected.matches(got),
            _ => true,
        })
        .map(|(place, expected, got)| Difference { place, expected: expected.cloned(), got: got.cloned() })
        .collect()
}
