//! The times of a recording's pictures, since its first one.

use std::collections::VecDeque;

/// A container time beyond this counts as unknown, milliseconds (30 years): FFmpeg's "unknown" is a huge number.
const MAX_KNOWN_MS: f64 = 1e12;
/// A container time that goes back by more than this has restarted (a counter wrapped, or a file has two recordings); one that
/// goes back by less is out of order. Milliseconds.
const RESTART_MS: f64 = 1000.0;
/// The step to a picture without a time is estimated from this many earlier steps.
const STEPS: usize = 9;

/// Converts container times into times that start at 0 and never go back, milliseconds.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    /// The step from one picture to the next by the recording's rate, milliseconds.
    step: f64,
    /// The last steps between pictures with a time, milliseconds.
    steps: VecDeque<f64>,
    /// The offset that is subtracted from container times, and the last container time; milliseconds.
    container: Option<(f64, f64)>,
    /// The time of the last picture, milliseconds.
    last: Option<f64>,
}

impl Timeline {
    /// Starts the times of a recording with `rate` frames per second.
    pub fn new(rate: f64) -> Self {
        Self { step: 1000.0 / rate, steps: VecDeque::new(), container: None, last: None }
    }

    /// Called when the recording starts again: its times continue.
    pub fn start_over(&mut self) {
        self.container = None;
    }

    /// The time of the next picture, whose container time is `position`; both in milliseconds.
    pub fn advance(&mut self, position: f64) -> f64 {
        // OpenCV reports 0 for the decoder's last pictures, which have no time.
        let guess = self.last.map_or(0.0, |last| last + self.usual_step());
        let is_known = position.is_finite() && position.abs() < MAX_KNOWN_MS;
        let time = match self.container {
            _ if !is_known => guess,
            Some((start, last)) if position > last => {
                self.steps.truncate(STEPS - 1);
                self.steps.push_front(position - last);
                self.container = Some((start, position));
                (position - start).max(self.last.unwrap_or(0.0))
            }
            Some((_, last)) if position == 0.0 || position == last => guess,
            Some((_, last)) if last - position <= RESTART_MS => self.last.unwrap_or(guess),
            _ => {
                self.container = Some((position - guess, position));
                guess
            }
        };
        self.last = Some(time);
        time
    }

    /// The median of the last steps, on which a pause has no effect. The rate is the second choice: some containers have none, and
    /// for a variable rate it is an average.
    fn usual_step(&self) -> f64 {
        let mut steps: Vec<f64> = self.steps.iter().copied().collect();
        steps.sort_by(f64::total_cmp);
        steps.get(steps.len().saturating_sub(1) / 2).copied().unwrap_or(self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(rate: f64, positions: &[f64]) -> Vec<f64> {
        let mut timeline = Timeline::new(rate);
        positions.iter().map(|position| timeline.advance(*position)).collect()
    }

    #[test]
    fn times_start_at_the_first_picture() {
        assert_eq!(times(3.4, &[0.0, 100.0, 200.0, 1900.0]), [0.0, 100.0, 200.0, 1900.0]);
        assert_eq!(times(10.0, &[200.0, 300.0, 450.0]), [0.0, 100.0, 250.0]);
        assert_eq!(times(10.0, &[-200.0, -100.0, 0.0, 100.0]), [0.0, 100.0, 200.0, 300.0]);
    }

    #[test]
    fn without_times_the_rate_is_used() {
        let unknown = -368_934_881_474_191_032_320.0;
        assert_eq!(times(10.0, &[0.0; 4]), [0.0, 100.0, 200.0, 300.0]);
        assert_eq!(times(25.0, &[unknown; 3]), [0.0, 40.0, 80.0]);
        assert_eq!(times(25.0, &[f64::NAN, f64::INFINITY, -f64::INFINITY]), [0.0, 40.0, 80.0]);
    }

    #[test]
    fn pictures_without_a_time_follow_the_others() {
        // Variable rate, 3.4 on average.
        assert_eq!(times(3.4, &[0.0, 100.0, 200.0, 0.0, 0.0]), [0.0, 100.0, 200.0, 300.0, 400.0]);
        // After a pause of ten seconds.
        assert_eq!(times(10.0, &[0.0, 100.0, 10_100.0, 0.0]), [0.0, 100.0, 10_100.0, 10_200.0]);
    }

    #[test]
    fn times_continue_after_a_counter_restarts() {
        assert_eq!(times(10.0, &[5000.0, 5100.0, 40.0, 140.0, 340.0]), [0.0, 100.0, 200.0, 300.0, 500.0]);
    }

    #[test]
    fn pictures_out_of_order_do_not_go_back() {
        assert_eq!(times(10.0, &[0.0, 300.0, 100.0, 200.0, 600.0]), [0.0, 300.0, 300.0, 300.0, 600.0]);
    }

    #[test]
    fn times_continue_when_a_recording_starts_again() {
        let mut timeline = Timeline::new(10.0);
        let mut round = || {
            timeline.start_over();
            [0.0, 100.0, 250.0].map(|position| timeline.advance(position))
        };
        assert_eq!(round(), [0.0, 100.0, 250.0]);
        assert_eq!(round(), [350.0, 450.0, 600.0]);
    }

    proptest! {
        #[test]
        fn time_never_goes_back(
            rate in 0.1f64..1000.0,
            positions in prop::collection::vec(prop_oneof![any::<f64>(), -1e5..1e5, Just(0.0)], 1..60),
        ) {
            let times = times(rate, &positions);
            prop_assert_eq!(times[0], 0.0);
            prop_assert!(times.is_sorted());
            prop_assert!(times.iter().all(|time| time.is_finite()));
        }
    }
}
