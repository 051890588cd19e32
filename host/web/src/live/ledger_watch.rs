//! Polls the ends of the topics, and announces what changes without any record: the ledger, and cameras that have fallen silent.

use super::events::EventKind;
use super::state::{Live, Retention};
use crate::views::Place;
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Observer, RecordReader};
use everyframe_pipeline::lag::{Sampler, sentence};
use everyframe_pipeline::observe::{AlarmThreshold, Alarms};
use everyframe_types::machine::unix_ms;
use everyframe_types::record::{NOTICE, REFUSED, REPLAY_OF};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the offsets are polled.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How often silent cameras are searched for.
const CAMERAS_INTERVAL: Duration = Duration::from_millis(500);
/// The most records of one poll that are read because they have no result.
const MAX_SUSPECTS: usize = 50;

/// Follows the ledger until `stop` is set.
///
/// # Errors
///
/// The brokers do not answer: call it again after a pause.
pub fn watch_ledger(config: &Config, live: &Live, stop: &AtomicBool) -> Result<(), BrokerError> {
    let mut sampler = Sampler::new(config)?;
    let mut alarms = Alarms::default();
    let mut records = RecordReader::new(&config.kafka)?;
    let dead_letters = Observer::new(&config.kafka, &config.topics.dead_letters)?;
    let mut last_poll = None::<Instant>;
    while !stop.load(Ordering::Relaxed) {
        let now = unix_ms();
        let changed = live.write().cameras.take_changes(now);
        for id in changed {
            let state = live.read();
            if let Some((_, camera)) = state.cameras.iter().find(|(other, _)| *other == id) {
                live.send(EventKind::Camera, Some(&id), || state.camera_view(&id, camera, now));
            }
        }
        if last_poll.is_none_or(|last| last.elapsed() >= POLL_INTERVAL) {
            last_poll = Some(Instant::now());
            poll_offsets(config, live, &mut sampler, &mut alarms, &mut records)?;
            let oldest = dead_letters.ends()?.into_iter().map(|(partition, (oldest, _))| (partition, oldest));
            live.write().dead_letters.forget_before(&oldest.collect());
        }
        std::thread::sleep(CAMERAS_INTERVAL);
    }
    Ok(())
}

fn poll_offsets(
    config: &Config,
    live: &Live,
    sampler: &mut Sampler,
    alarms: &mut Alarms,
    records: &mut RecordReader,
) -> Result<(), BrokerError> {
    let sampled = sampler.sample()?;
    let kept = sampled.iter().map(|it| (it.partition, (it.oldest, it.next))).collect();
    let committed = sampled.iter().filter_map(|it| Some((it.partition, it.committed?))).collect();
    let threshold = AlarmThreshold::new(&config.observe, sampler.retention());
    alarms.update(&sampled, threshold, unix_ms());
    let danger = alarms.most_urgent(&sampled);
    let retention = Retention { danger: danger.map(sentence), is_known: sampler.retention().is_some() };
    let suspects = {
        let mut state = live.write();
        state.ledger.set_offsets(&kept, &committed);
        state.retention = Some(retention);
        if state.is_complete { state.ledger.suspects(MAX_SUSPECTS) } else { Vec::new() }
    };
    for Place { partition, offset } in suspects {
        // An agent's notice, and a replayed frame, which is counted where it first was.
        let found = records.read(&config.topics.frames, partition, offset)?;
        let mut state = live.write();
        match found
            .is_some_and(|it| [REFUSED, NOTICE, REPLAY_OF].iter().any(|name| it.header(name).is_some()))
        {
            true => state.ledger.add_no_frame(Place { partition, offset }),
            false => state.ledger.add_checked(Place { partition, offset }),
        }
    }
    let state = live.read();
    live.send(EventKind::Ledger, None, || state.ledger_summary(unix_ms()));
    Ok(())
}
