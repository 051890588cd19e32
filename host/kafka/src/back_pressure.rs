//! Decides when a partition is paused because its lane holds too many bytes. Pure.

use std::collections::BTreeSet;

/// What to do with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Fetch nothing more of it.
    Pause,
    /// Fetch it again.
    Resume,
}

/// The partitions that are paused. A partition is paused when its lane is full, and resumed when the lane is half empty.
/// librdkafka drops what it has fetched ahead for a paused partition, so the two marks are well apart.
#[derive(Debug, Default)]
pub struct BackPressure {
    paused: BTreeSet<i32>,
}

impl BackPressure {
    /// Forgets the partitions that are no longer assigned.
    pub fn retain(&mut self, assigned: &BTreeSet<i32>) {
        self.paused.retain(|partition| assigned.contains(partition));
    }

    /// The change for a partition whose lane holds `bytes` of at most `limit`; none if it stays as it is.
    pub fn update(&mut self, partition: i32, bytes: usize, limit: usize) -> Option<Flow> {
        if bytes >= limit && self.paused.insert(partition) {
            Some(Flow::Pause)
        } else if bytes <= limit / 2 && self.paused.remove(&partition) {
            Some(Flow::Resume)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_lane_is_paused_until_it_is_half_empty() {
        let mut pressure = BackPressure::default();
        let mut update = |bytes| pressure.update(3, bytes, 100);
        assert_eq!([99, 100, 200, 51, 99].map(&mut update), [None, Some(Flow::Pause), None, None, None]);
        assert_eq!([50, 0, 100].map(&mut update), [Some(Flow::Resume), None, Some(Flow::Pause)]);
    }

    #[test]
    fn a_partition_that_comes_back_is_not_paused() {
        let mut pressure = BackPressure::default();
        assert_eq!(pressure.update(3, 100, 100), Some(Flow::Pause));
        pressure.retain(&BTreeSet::from([1]));
        assert_eq!(pressure.update(3, 0, 100), None);
        assert_eq!(pressure.update(3, 100, 100), Some(Flow::Pause));
    }
}
