//! Takes some pictures of many: at most so many a second.

/// A picture may be early by this share of the step: cameras are not punctual.
const EARLY: f64 = 0.25;

/// Decides by the time of each picture.
#[derive(Debug, Clone)]
pub(super) struct RateLimit {
    /// From one picture to the next, milliseconds.
    step: f64,
    due: Option<f64>,
}

impl RateLimit {
    /// At most `rate` pictures a second.
    pub fn new(rate: f64) -> Self {
        Self { step: 1000.0 / rate, due: None }
    }

    /// True if a picture of this time, in milliseconds, is taken.
    pub fn takes(&mut self, time: f64) -> bool {
        let due = self.due.unwrap_or(time);
        // Times that go back have started anew.
        if time + EARLY * self.step < due && time > due - 2.0 * self.step {
            return false;
        }
        let is_punctual = (time - due).abs() < self.step;
        self.due = Some(if is_punctual { due + self.step } else { time + self.step });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::RateLimit;
    use proptest::prelude::*;

    fn taken(rate: f64, times: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut limit = RateLimit::new(rate);
        times.filter(|time| limit.takes(*time)).collect()
    }

    #[test]
    fn pictures_are_taken_at_the_rate() {
        let times = taken(5.0, (0..295).map(|number| f64::from(number) * 33.3));
        assert_eq!(times.len(), 50);
        assert!(times.windows(2).all(|pair| (150.0..250.0).contains(&(pair[1] - pair[0]))), "{times:?}");
        assert_eq!(
            taken(30.0, (0..10).map(|number| f64::from(number) * 40.0)).len(),
            10,
            "all of a slower one"
        );
    }

    #[test]
    fn an_unpunctual_camera_loses_no_picture() {
        let times = (0..100).map(|number| f64::from(number) * 100.0 + f64::from(number * 7 % 20));
        assert_eq!(taken(10.0, times).len(), 100);
    }

    #[test]
    fn times_that_start_anew_are_followed() {
        assert_eq!(
            taken(1.0, [0.0, 500.0, 1000.0, 90_000.0, 90_500.0, 10.0, 1010.0].into_iter()),
            [0.0, 1000.0, 90_000.0, 10.0, 1010.0]
        );
    }

    proptest! {
        #[test]
        fn no_more_are_taken_than_the_rate_allows(steps in prop::collection::vec(1.0f64..200.0, 1..300), rate in 0.5f64..30.0) {
            let mut now = 0.0;
            let times: Vec<f64> = steps.iter().map(|step| { now += step; now }).collect();
            let count = taken(rate, times.iter().copied()).len() as f64;
            prop_assert!(count <= (now - times[0]) / 1000.0 * rate + 2.0);
        }
    }
}
