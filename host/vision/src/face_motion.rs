//! The motion of one tracked face: at constant velocity between two frames. It uses only the frames' own time.

use everyframe_types::face::Rect;

/// The error of a detected centre, face sides (standard deviation). This and the next constant were tried
/// out on synthetic sequences (tests/fixtures/tracks).
const POSITION_ERROR: f32 = 0.05;
/// By how much a face's velocity changes in a second, face sides/s (standard deviation).
const VELOCITY_CHANGE: f32 = 1.0;
/// The velocity of a new face is unknown, face sides/s (standard deviation). A face is about 0.2 m long, so a walker has 7.
const FIRST_VELOCITY: f32 = 7.0;
/// No face is faster, face sides/s.
const MAX_SPEED: f32 = 20.0;

/// Where a face was last, and how fast it moves: a Kalman filter of its centre.
#[derive(Debug, Clone)]
pub(super) struct FaceMotion {
    bounds: Rect,
    /// When the face was there, Unix milliseconds.
    at: i64,
    /// Pixels/s, to the right and down.
    velocity: (f32, f32),
    variance: Variance,
}

/// How uncertain place and velocity are, in either direction.
#[derive(Debug, Clone, Copy)]
struct Variance {
    /// Face sides².
    position: f32,
    /// The covariance of position and velocity, face sides²/s.
    both: f32,
    /// (Face sides/s)².
    velocity: f32,
}

impl FaceMotion {
    /// A face that was detected for the first time, at a time in Unix milliseconds.
    pub fn new(bounds: Rect, at: i64) -> Self {
        let variance = Variance {
            position: POSITION_ERROR * POSITION_ERROR,
            both: 0.0,
            velocity: FIRST_VELOCITY * FIRST_VELOCITY,
        };
        Self { bounds, at, velocity: (0.0, 0.0), variance }
    }

    /// Where the face is at a time, Unix milliseconds. It does not move while time stands still or goes back.
    pub fn predict(&self, at: i64) -> Rect {
        let seconds = seconds_between(self.at, at);
        let Rect { x, y, .. } = self.bounds;
        Rect { x: x + self.velocity.0 * seconds, y: y + self.velocity.1 * seconds, ..self.bounds }
    }

    /// Takes the box in which the face was detected at a time, Unix milliseconds.
    pub fn update(&mut self, bounds: Rect, at: i64) {
        let seconds = seconds_between(self.at, at);
        let (predicted, detected, side) = (centre(&self.predict(at)), centre(&bounds), side(&bounds));
        let error = (detected.0 - predicted.0, detected.1 - predicted.1);
        let step = error.0.hypot(error.1);
        // Such a step is no motion.
        if !(step.is_finite() && side.is_finite()) || side <= 0.0 || step > 2.0 * side {
            *self = Self::new(bounds, at);
            return;
        }
        let mut lag = 0.0;
        if seconds > 0.0 {
            let Variance { position, both, velocity } = self.variance;
            let change = VELOCITY_CHANGE * VELOCITY_CHANGE * seconds;
            let position = position + seconds * (2.0 * both + seconds * (velocity + change / 3.0));
            let both = both + seconds * (velocity + change / 2.0);
            let velocity = velocity + change;
            let measured = position + POSITION_ERROR * POSITION_ERROR;
            let (gain, velocity_gain) = (position / measured, both / measured);
            lag = 1.0 - gain;
            self.variance = Variance {
                position: lag * position,
                both: lag * both,
                velocity: (velocity - velocity_gain * both).max(0.0),
            };
            self.velocity.0 += velocity_gain * error.0;
            self.velocity.1 += velocity_gain * error.1;
        }
        let excess = (self.velocity.0.hypot(self.velocity.1) / (MAX_SPEED * side)).max(1.0);
        self.velocity = (self.velocity.0 / excess, self.velocity.1 / excess);
        self.bounds = Rect { x: bounds.x - lag * error.0, y: bounds.y - lag * error.1, ..bounds };
        self.at = at;
    }
}

/// The side of a square with the area of the box, pixels.
pub(super) fn side(bounds: &Rect) -> f32 {
    (bounds.width * bounds.height).sqrt()
}

/// The middle of a box, pixels.
pub(super) fn centre(bounds: &Rect) -> (f32, f32) {
    (bounds.x + bounds.width / 2.0, bounds.y + bounds.height / 2.0)
}

/// From one time to another, both Unix milliseconds; 0 if time goes back, and at most the longest `lost_after_ms`.
fn seconds_between(from: i64, to: i64) -> f32 {
    to.saturating_sub(from).clamp(0, 3_600_000) as f32 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn square(x: f32) -> Rect {
        Rect { x, y: 50.0, width: 100.0, height: 100.0 }
    }

    #[test]
    fn a_walking_face_is_predicted_by_its_time() {
        let mut motion = FaceMotion::new(square(0.0), 1000);
        assert_eq!(motion.predict(1300), square(0.0));
        // 300 pixels a second, at uneven times.
        for at in [1100, 1150, 1300, 1400] {
            motion.update(square(0.3 * (at - 1000) as f32), at);
        }
        let predicted = motion.predict(1900);
        assert!((predicted.x - 270.0).abs() < 5.0, "{predicted:?}");
        assert_eq!((predicted.y, predicted.width), (50.0, 100.0));
    }

    #[test]
    fn a_face_that_stops_is_predicted_near_its_place() {
        let mut motion = FaceMotion::new(square(0.0), 0);
        for n in 1..=10 {
            motion.update(square(40.0 * n.min(6) as f32), 100 * n);
            let predicted = motion.predict(100 * n + 100);
            assert!(n < 6 || (predicted.x - 240.0).abs() < 50.0, "{predicted:?}");
        }
    }

    #[test]
    fn time_that_stands_still_or_goes_back_moves_no_face() {
        let mut motion = FaceMotion::new(square(0.0), 1000);
        motion.update(square(30.0), 1100);
        motion.update(square(60.0), 1100);
        assert_eq!((motion.predict(1100), motion.predict(900)), (square(60.0), square(60.0)));
        motion.update(square(70.0), 500);
        assert_eq!(motion.predict(500), square(70.0));
    }

    proptest! {
        #[test]
        fn a_prediction_is_finite_and_bounded(
            steps in prop::collection::vec((any::<i64>(), any::<f32>(), 0f32..1e4), 1..12),
            until in 0i64..2000,
        ) {
            let mut motion = FaceMotion::new(square(0.0), 0);
            for (at, x, width) in steps {
                let bounds = Rect { x, y: -x, width, height: width };
                motion.update(bounds, at);
                let to = motion.predict(at.saturating_add(until));
                if x.is_finite() {
                    let limit = 2.0 * width * (1.01 * MAX_SPEED + 1.0) + x.abs() * 1e-5;
                    prop_assert!((to.x - x).abs() <= limit && (to.y + x).abs() <= limit, "{:?} {:?}", bounds, to);
                }
            }
        }
    }
}
