//! When a live picture was taken: the time of its packet, set against the clock of this machine.

/// Packet times that go back by more than this have started anew, microseconds.
const RESTART: i64 = 1_000_000;
/// Packet times that run ahead of the clock, or fall behind it for a whole window, by more than this have jumped, microseconds.
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
            let behind = state.least - state.offset;
            // This machine's clock was set forward, or else the camera's clock is slower, or its pictures now take longer.
            state.offset += if behind > JUMP { behind } else { behind.clamp(0, SLEW) };
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
    fn a_clock_that_is_set_forward_is_followed_after_two_windows() {
        let hour = 3600 * SECOND;
        let set = |second: i64| second * SECOND + if second < 100 { 0 } else { hour };
        let packets: Vec<(i64, i64)> = (0..200).map(|second| (second * SECOND, set(second))).collect();
        let times = times(&packets);
        assert_eq!(times[110], 110 * SECOND, "the packet may only be late");
        assert_eq!(times[165..], packets[165..].iter().map(|(_, arrived)| *arrived).collect::<Vec<_>>());
    }

    #[test]
    fn packets_that_are_late_for_a_while_keep_their_times() {
        let late = |second: i64| second * SECOND + if (40..65).contains(&second) { 12 * SECOND } else { 0 };
        let packets: Vec<(i64, i64)> = (0..200).map(|second| (second * SECOND, late(second))).collect();
        assert_eq!(times(&packets), packets.iter().map(|(packet, _)| *packet).collect::<Vec<_>>());
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
