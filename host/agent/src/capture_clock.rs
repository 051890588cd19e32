//! When a live picture was taken: the time of its packet, set against the clock of this machine.

/// Packet times that go back by more than this have started anew, microseconds.
const RESTART: i64 = 1_000_000;
/// Packet times that run ahead of the clock by more than this have jumped, microseconds.
const JUMP: i64 = 10_000_000;
/// How often the clocks are compared, microseconds.
const WINDOW: i64 = 30_000_000;
/// The most by which a comparison moves the times, microseconds: a clock that is wrong by one thousandth.
const SLEW: i64 = 30_000;

/// Converts packet times to Unix times.
///
/// The packet that was the least late decides: no picture can arrive before it was taken, and a queue on the way only adds to
/// its delay. So a picture that was late in the network, or waited for a slow agent, keeps the time at which it was taken.
#[derive(Debug, Clone, Default)]
pub(super) struct CaptureClock {
    state: Option<State>,
}

#[derive(Debug, Clone)]
struct State {
    /// Unix time minus packet time.
    offset: i64,
    last: i64,
    /// The least difference since `since`.
    least: i64,
    since: i64,
}

impl CaptureClock {
    /// Takes note of a packet with this time that arrived at this Unix time; both in microseconds.
    pub fn observe(&mut self, packet: i64, arrived: i64) {
        let difference = arrived.saturating_sub(packet);
        let anew = State { offset: difference, last: packet, least: difference, since: arrived };
        let Some(state) = &mut self.state else {
            self.state = Some(anew);
            return;
        };
        // Packets of pictures that refer to later ones are out of order by less.
        if packet < state.last - RESTART || difference < state.offset - JUMP {
            *state = anew;
            return;
        }
        state.last = state.last.max(packet);
        state.offset = state.offset.min(difference);
        state.least = state.least.min(difference);
        if arrived - state.since >= WINDOW {
            // The camera's clock is slower than this one, or its pictures now take longer.
            state.offset += (state.least - state.offset).clamp(0, SLEW);
            (state.least, state.since) = (difference, arrived);
        }
    }

    /// The Unix time of a picture with this packet time, microseconds; none before the first packet.
    pub fn time_of(&self, packet: i64) -> Option<i64> {
        Some(packet.saturating_add(self.state.as_ref()?.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;
    const START: i64 = 1_700_000_000 * SECOND;

    /// The times of packets, given as packet time and arrival; microseconds since `START`.
    fn times(packets: &[(i64, i64)]) -> Vec<i64> {
        let mut clock = CaptureClock::default();
        packets
            .iter()
            .map(|(packet, arrived)| {
                clock.observe(*packet, START + arrived);
                clock.time_of(*packet).unwrap() - START
            })
            .collect()
    }

    #[test]
    fn a_late_packet_keeps_its_time() {
        assert_eq!(times(&[(700, 0), (40_700, 40_000), (80_700, 9_000_000)]), [0, 40_000, 80_000]);
    }

    #[test]
    fn the_least_late_packet_sets_the_clock() {
        // The first packets of a connection come at once.
        assert_eq!(times(&[(0, 0), (2 * SECOND, 10), (4 * SECOND, 2 * SECOND)]), [0, 10, 2 * SECOND]);
    }

    #[test]
    fn times_that_start_anew_are_set_anew() {
        let restarted = times(&[(50 * SECOND, 0), (51 * SECOND, SECOND), (0, 5 * SECOND)]);
        assert_eq!(restarted, [0, SECOND, 5 * SECOND]);
        let jumped = times(&[(0, 0), (3600 * SECOND, SECOND), (3601 * SECOND, 2 * SECOND)]);
        assert_eq!(jumped, [0, SECOND, 2 * SECOND]);
    }

    #[test]
    fn a_slow_clock_is_followed() {
        // One second too slow in an hour, for a day.
        let hours = 24;
        let packets: Vec<(i64, i64)> =
            (0..hours * 3600).map(|second| (second * (SECOND - 278), second * SECOND)).collect();
        let last = times(&packets).pop().unwrap();
        let expected = (hours * 3600 - 1) * SECOND;
        assert!((last - expected).abs() < SECOND / 10, "{}", last - expected);
    }

    proptest! {
        #[test]
        fn no_picture_is_from_the_future(packets in prop::collection::vec((any::<i32>(), 0i64..1000), 1..50)) {
            let mut clock = CaptureClock::default();
            let mut now = START;
            for (packet, wait) in packets {
                now += wait;
                clock.observe(packet.into(), now);
                prop_assert!(clock.time_of(packet.into()).unwrap() <= now);
            }
        }
    }
}
