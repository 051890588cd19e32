//! Frames are put to a rule one after another, as in a lane.

use super::{Entry, Scenario, ScenarioFrame};
use everyframe_rules::{CallCost, RuleFailure, RuleOutput, RuleRunner, RuleState};
use everyframe_types::face::People;
use std::sync::Arc;

/// What became of one frame.
#[derive(Debug)]
pub struct Ran {
    /// The answer; a frame on which the rule failed would have been parked.
    pub got: Result<Vec<Entry>, RuleFailure>,
    /// Where it is not what was expected.
    pub differences: Vec<Difference>,
}

impl Ran {
    /// True if the rule answered, and as expected.
    pub fn is_as_expected(&self) -> bool {
        self.got.is_ok() && self.differences.is_empty()
    }
}

/// One entry that is not what was expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its place in the answer, from 1.
    pub place: usize,
    /// None: nothing was expected there.
    pub expected: Option<Entry>,
    /// None: nothing came.
    pub got: Option<Entry>,
}

/// Puts every frame to the rule, which remembers from frame to frame; one on which it fails leaves no trace.
pub fn run(scenario: &Scenario, rule: &RuleRunner<'_>) -> Vec<Ran> {
    let mut memory = RuleState::new();
    let put = |frame: &ScenarioFrame| {
        let got = ask(frame, &scenario.people, rule, &mut memory);
        let got = got.map(|(opinion, _)| Entry::of(&opinion));
        let differences = match (&frame.expect, &got) {
            (Some(expected), Ok(got)) => differences(expected, got),
            _ => Vec::new(),
        };
        Ran { got, differences }
    };
    scenario.frames.iter().map(put).collect()
}

/// Puts one frame to the rule.
///
/// # Errors
///
/// The rule failed.
pub fn ask(
    frame: &ScenarioFrame,
    people: &Arc<dyn People>,
    rule: &RuleRunner<'_>,
    memory: &mut RuleState,
) -> Result<(RuleOutput, CallCost), RuleFailure> {
    rule.ask(&frame.facts(), &frame.subjects, people, memory)
}

fn differences(expected: &[Entry], got: &[Entry]) -> Vec<Difference> {
    let entries = (0..expected.len().max(got.len())).map(|at| (at + 1, expected.get(at), got.get(at)));
    entries
        .filter(|(_, expected, got)| match (expected, got) {
            (Some(expected), Some(got)) => !expected.accepts(got),
            _ => true,
        })
        .map(|(place, expected, got)| Difference { place, expected: expected.cloned(), got: got.cloned() })
        .collect()
}
