//! The protocol of lanes, batches, commits and assignments under random faults: hosts are killed, frozen and woken,
//! partitions change hands, answers get lost, transactions time out, at any step. Everything but Kafka, vision and the
//! rules is the product's own code.
//!
//! `PROTOCOL_SCHEDULES=N` sets how many schedules are tried; a failure names its seed, `PROTOCOL_SEED=N` runs only that one.

use super::in_memory_broker::{Faults, InMemoryBroker, Omission, Random};
use super::simulated_host::{Options, SimulatedHost, next_state};

const PARTITIONS: usize = 3;
const FRAMES: i64 = 8;
const FAULTY_STEPS: usize = 600;
const RESULTS: &str = "everyframe.results";
const STATE: &str = "everyframe.state";

/// One schedule; the first rule that it breaks.
fn run(seed: u64, is_transactional: bool, omission: Option<Omission>) -> Result<(), String> {
    let mut random = Random::new(seed);
    let broker = InMemoryBroker::new(PARTITIONS, FRAMES, Faults::Random(Random::new(seed ^ 0x5eed)));
    let options = Options { omission, ..Options::new(1 + random.below(4), is_transactional) };
    // Producers with an id of their own, or one that outlives a restart.
    let named = random.one_in(2);
    let mut next = 0;
    let mut start = |place: usize| {
        next += 1;
        SimulatedHost::start(next, if named { place } else { 100 + next }, &options, &broker)
    };
    let mut hosts: Vec<(usize, SimulatedHost)> = (0..2).map(|place| (place, start(place))).collect();
    // Killed hosts that the group has not noticed yet.
    let mut killed: Vec<usize> = Vec::new();
    let mut checked = vec![0; PARTITIONS];
    for _ in 0..FAULTY_STEPS {
        let pick = random.below(hosts.len());
        match random.below(60) {
            0 => {
                let (place, host) = hosts.swap_remove(pick);
                killed.push(host.id());
                hosts.push((place, start(place)));
            }
            1 => hosts[pick].1.is_frozen = true,
            2 | 3 => hosts[pick].1.is_frozen = false,
            4 if hosts.len() < 3 => {
                let place = (0..3).find(|place| hosts.iter().all(|(of, _)| of != place)).unwrap_or(2);
                hosts.push((place, start(place)));
            }
            5 => drop(broker.lock().time_out(random.below(100))),
            6..=9 => {
                let silent = hosts.iter().filter(|(_, host)| host.is_frozen).map(|(_, host)| host.id());
                let silent: Vec<usize> = silent.chain(killed.drain(..)).collect();
                silent.into_iter().for_each(|host| broker.lock().evict(host));
            }
            10..=15 => drop(broker.lock().deliver_marker(random.below(100))),
            _ if hosts[pick].1.is_frozen => {}
            _ => hosts[pick].1.step(&mut random),
        }
        committed_frames_are_published(&broker, &mut checked)?;
    }
    run_without_faults(&broker, &mut hosts, &killed, &mut checked, &mut random)?;
    every_frame_has_its_result(&broker, is_transactional)
}

/// The faults end: all frames must be finished.
fn run_without_faults(
    broker: &InMemoryBroker,
    hosts: &mut [(usize, SimulatedHost)],
    killed: &[usize],
    checked: &mut Vec<i64>,
    random: &mut Random,
) -> Result<(), String> {
    killed.iter().for_each(|host| broker.lock().evict(*host));
    hosts.iter_mut().for_each(|(_, host)| host.is_frozen = false);
    for step in 0..200_000 {
        // Only the coordinator ends what killed hosts left open.
        if step % 1000 == 999 {
            broker.lock().time_out(random.below(100));
        }
        broker.lock().deliver_marker(random.below(100));
        let pick = random.below(hosts.len());
        hosts[pick].1.step(random);
        committed_frames_are_published(broker, checked)?;
        if checked.iter().all(|committed| *committed == FRAMES) {
            // Readers wait for what killed hosts left open.
            while broker.lock().time_out(0) || broker.lock().deliver_marker(0) {}
            return Ok(());
        }
    }
    Err(format!("stuck at {:?} of {FRAMES}", broker.lock().committed))
}

fn committed_frames_are_published(broker: &InMemoryBroker, checked: &mut Vec<i64>) -> Result<(), String> {
    let broker = broker.lock();
    if broker.committed == *checked {
        return Ok(());
    }
    for (committed, partition) in broker.committed.iter().zip(0..) {
        let published = broker.published(RESULTS, partition);
        if let Some(lost) = (0..*committed).find(|offset| !published.contains(offset)) {
            return Err(format!("{partition}/{lost} is committed and was not published"));
        }
    }
    checked.clone_from(&broker.committed);
    Ok(())
}

fn every_frame_has_its_result(broker: &InMemoryBroker, exactly_once: bool) -> Result<(), String> {
    let broker = broker.lock();
    for partition in (0..).take(PARTITIONS) {
        let results = broker.readable(RESULTS, partition);
        let offsets: Vec<i64> = results.iter().map(|record| record.frame_offset()).collect();
        if exactly_once && !offsets.iter().copied().eq(0..FRAMES) {
            return Err(format!("partition {partition}: {offsets:?} instead of each once, in order"));
        }
        if let Some(lost) = (0..FRAMES).find(|offset| !offsets.contains(offset)) {
            return Err(format!("{partition}/{lost} has no result"));
        }
        let state = broker.readable(STATE, partition);
        let kept: Vec<&str> = state
            .iter()
            .filter(|record| record.value.is_some())
            .filter_map(|record| record.key.rsplit('/').next())
            .collect();
        let mut expected = 0;
        for offset in 0..FRAMES {
            expected = next_state(expected, offset);
            if exactly_once && kept[offset as usize] != expected.to_string() {
                return Err(format!("{partition}/{offset} was judged with other rule state"));
            }
        }
    }
    Ok(())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn schedules(default: u64) -> std::ops::Range<u64> {
    match number("PROTOCOL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PROTOCOL_SCHEDULES").unwrap_or(default),
    }
}

fn no_schedule_breaks(is_transactional: bool) {
    for seed in schedules(5_000) {
        if let Err(broken) = run(seed, is_transactional, None) {
            panic!("PROTOCOL_SEED={seed}: {broken}");
        }
    }
}

#[test]
fn with_transactions_each_frame_has_one_result_in_order() {
    no_schedule_breaks(true);
}

#[test]
fn without_transactions_no_frame_is_lost() {
    no_schedule_breaks(false);
}

/// Each precaution is needed, and the simulation is strong enough to show it.
#[test]
fn each_precaution_that_is_left_out_breaks_something() {
    for omission in
        [Omission::EndOfAssignment, Omission::SettledState, Omission::GivingUp, Omission::StableOffsets]
    {
        let broken = schedules(20_000).any(|seed| run(seed, true, Some(omission)).is_err());
        assert!(broken, "{omission:?} was left out and no schedule broke");
    }
}
