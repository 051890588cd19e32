//! The protocol of lanes, batches, commits and tenures under random faults: hosts are killed, frozen and woken, partitions
//! change hands, answers get lost, transactions time out, at any step. Kafka is simulated; the lanes and the outbox are
//! the product's own.
//!
//! `PROTOCOL_SCHEDULES=N` sets how many schedules are tried; a failure names its seed, `PROTOCOL_SEED=N` runs only that one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod host;
mod kafka;

use host::{Host, next_state};
use kafka::Kafka;

/// Chance, the same for the same seed (xorshift64*).
pub struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % end
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A precaution that is left out, to see that the simulation notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omission {
    /// Offsets are offered without looking whether the partitions are still ours.
    OwnershipCheck,
    /// What rules remember is read while a transaction is open.
    SettledState,
    /// A batch of which it is not known whether it counts is sent again.
    GivingUp,
    /// Reading begins while a transaction may still move the offset.
    StableOffsets,
}

const PARTITIONS: usize = 3;
const FRAMES: i64 = 8;
const FAULTY_STEPS: usize = 600;

/// One schedule; the first rule that it breaks.
fn run(seed: u64, transactional: bool, omission: Option<Omission>) -> Result<(), String> {
    let mut random = Random::new(seed);
    let mut kafka = Kafka::new(PARTITIONS, FRAMES);
    // Producers with a name of their own, or one that outlives a restart.
    let named = random.one_in(2);
    let mut next = 0;
    let mut start = |kafka: &mut Kafka, place: usize| {
        next += 1;
        let producer = if named { place } else { 100 + next };
        Host::start(next, producer, transactional, omission, kafka)
    };
    let mut hosts: Vec<(usize, Host)> = (0..2).map(|place| (place, start(&mut kafka, place))).collect();
    // Those who do not know that they are dead, and will not be told.
    let mut killed: Vec<usize> = Vec::new();
    for _ in 0..FAULTY_STEPS {
        let pick = random.below(hosts.len());
        match random.below(60) {
            0 => {
                let (place, host) = hosts.swap_remove(pick);
                killed.push(host.id());
                hosts.push((place, start(&mut kafka, place)));
            }
            1 => hosts[pick].1.is_frozen = true,
            2 | 3 => hosts[pick].1.is_frozen = false,
            4 if hosts.len() < 3 => {
                let place = (0..3).find(|place| hosts.iter().all(|(of, _)| of != place)).unwrap_or(2);
                hosts.push((place, start(&mut kafka, place)));
            }
            5 => kafka.time_out(random.below(100)),
            6..=9 => {
                let silent = hosts.iter().filter(|(_, host)| host.is_frozen).map(|(_, host)| host.id());
                let silent: Vec<usize> = silent.chain(killed.drain(..)).collect();
                silent.into_iter().for_each(|host| kafka.evict(host));
            }
            10..=15 => drop(kafka.deliver_marker(random.below(100))),
            _ if hosts[pick].1.is_frozen => {}
            _ => hosts[pick].1.step(&mut kafka, &mut random),
        }
        committed_is_published(&kafka)?;
    }
    settle(&mut kafka, &mut hosts, &killed, &mut random)?;
    every_frame_is_there(&kafka, transactional)
}

/// The faults end: everything must come to its end too.
fn settle(
    kafka: &mut Kafka,
    hosts: &mut [(usize, Host)],
    killed: &[usize],
    random: &mut Random,
) -> Result<(), String> {
    killed.iter().for_each(|host| kafka.evict(*host));
    hosts.iter_mut().for_each(|(_, host)| host.is_frozen = false);
    for step in 0..200_000 {
        // Nobody is left who would end what the dead left open but the coordinator.
        if step % 1000 == 999 {
            kafka.time_out(random.below(100));
        }
        kafka.deliver_marker(random.below(100));
        let pick = random.below(hosts.len());
        hosts[pick].1.step(kafka, random);
        committed_is_published(kafka)?;
        if kafka.committed == kafka.frames {
            while kafka.deliver_marker(0) {}
            return Ok(());
        }
    }
    Err(format!("stuck at {:?} of {:?}", kafka.committed, kafka.frames))
}

fn committed_is_published(kafka: &Kafka) -> Result<(), String> {
    for (partition, committed) in kafka.committed.iter().enumerate() {
        let published = kafka.published(partition);
        if let Some(lost) = (0..*committed).find(|offset| !published.contains(offset)) {
            return Err(format!("{partition}/{lost} is committed and was not published"));
        }
    }
    Ok(())
}

fn every_frame_is_there(kafka: &Kafka, exactly_once: bool) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        let results = kafka.readable(partition);
        let offsets: Vec<i64> = results.iter().map(|record| record.offset).collect();
        if exactly_once && !offsets.iter().copied().eq(0..FRAMES) {
            return Err(format!("partition {partition}: {offsets:?} instead of each once, in order"));
        }
        if let Some(lost) = (0..FRAMES).find(|offset| !offsets.contains(offset)) {
            return Err(format!("{partition}/{lost} has no result"));
        }
        let mut state = 0;
        for offset in 0..FRAMES {
            state = next_state(state, offset);
            let other = results.iter().find(|record| record.offset == offset && record.state != state);
            if exactly_once && other.is_some() {
                return Err(format!("{partition}/{offset} was judged with another memory"));
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

fn no_schedule_breaks(transactional: bool) {
    for seed in schedules(5_000) {
        if let Err(broken) = run(seed, transactional, None) {
            panic!("PROTOCOL_SEED={seed}: {broken}");
        }
    }
}

#[test]
fn with_transactions_every_frame_has_one_result_in_order_and_judged_with_the_right_memory() {
    no_schedule_breaks(true);
}

#[test]
fn without_transactions_every_frame_has_a_result_and_nothing_is_committed_before() {
    no_schedule_breaks(false);
}

/// Each precaution is needed, and the simulation strong enough to show it.
#[test]
fn each_precaution_that_is_left_out_breaks_something() {
    for omission in
        [Omission::OwnershipCheck, Omission::SettledState, Omission::GivingUp, Omission::StableOffsets]
    {
        let broken = schedules(20_000).any(|seed| run(seed, true, Some(omission)).is_err());
        assert!(broken, "{omission:?} was left out and nobody noticed");
    }
}
