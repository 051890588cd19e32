//! Throughput and processor time of the last minutes, in steps. Pure.

use everyframe_types::event::Timings;
use std::collections::VecDeque;

/// Length of a step, milliseconds.
pub const STEP_MS: i64 = 5000;
/// The steps that are kept: ten minutes.
const MAX_STEPS: usize = 120;

/// What was processed in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Step {
    /// When it began, Unix milliseconds.
    pub at: i64,
    /// Results that were read.
    pub frames: u64,
    /// Faces on them.
    pub faces: u64,
    /// The sum of their processor times, milliseconds.
    pub decode_ms: f64,
    /// Detection.
    pub detect_ms: f64,
    /// Embedding.
    pub embed_ms: f64,
    /// Rules.
    pub rules_ms: f64,
}

/// The last steps, oldest first.
#[derive(Debug, Default)]
pub struct Throughput(VecDeque<Step>);

impl Throughput {
    /// Adds a result that was read at `now`.
    pub fn add(&mut self, faces: usize, timings: &Timings, now: i64) {
        let step = self.step(now);
        step.frames += 1;
        step.faces += faces as u64;
        step.decode_ms += timings.decode_ms;
        step.detect_ms += timings.detect_ms;
        step.embed_ms += timings.embed_ms;
        step.rules_ms += timings.rules_ms;
    }

    /// The complete steps before `now`, oldest first.
    pub fn steps(&self, now: i64) -> impl Iterator<Item = &Step> {
        let current = now - now.rem_euclid(STEP_MS);
        let oldest = current - STEP_MS * MAX_STEPS as i64;
        self.0.iter().filter(move |step| (oldest..current).contains(&step.at))
    }

    fn step(&mut self, now: i64) -> &mut Step {
        let at = now - now.rem_euclid(STEP_MS);
        if self.0.back().is_none_or(|last| last.at < at) {
            if self.0.len() > MAX_STEPS {
                self.0.pop_front();
            }
            self.0.push_back(Step { at, ..Step::default() });
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_steps_are_shown() {
        let mut throughput = Throughput::default();
        let timings = Timings { decode_ms: 1.0, ..Timings::default() };
        for at in [5000, 6000, 10_000] {
            throughput.add(2, &timings, at);
        }
        let steps: Vec<(i64, u64, u64, f64)> =
            throughput.steps(10_001).map(|it| (it.at, it.frames, it.faces, it.decode_ms)).collect();
        assert_eq!(steps, [(5000, 2, 4, 2.0)]);
    }

    #[test]
    fn old_steps_are_dropped() {
        let mut throughput = Throughput::default();
        (0..500).for_each(|step| throughput.add(1, &Timings::default(), step * STEP_MS));
        assert!(throughput.0.len() <= MAX_STEPS + 1);
        assert_eq!(throughput.steps(499 * STEP_MS).count(), MAX_STEPS);
    }
}
