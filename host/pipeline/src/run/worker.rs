//! The threads that run the models.

use super::lane_cell::Job;
use super::prepared::{detect, embed};
use super::rule_judge::RuleJudge;
use crossbeam_channel::{Receiver, RecvError};
use everyframe_vision::{Worker, WorkerStats};
use std::sync::atomic::{AtomicBool, Ordering};

/// Works until `ended` is set or the queues close. Embedding goes first: it finishes frames that were begun. Returns where
/// the time went.
pub(super) fn run_worker(
    mut worker: Worker,
    judge: &RuleJudge,
    detect_jobs: &Receiver<Job>,
    embed_jobs: &Receiver<Job>,
    ended: &AtomicBool,
) -> WorkerStats {
    while !ended.load(Ordering::Relaxed) {
        let job = crossbeam_channel::select_biased! {
            recv(embed_jobs) -> job => job,
            recv(detect_jobs) -> job => job,
        };
        match job {
            Ok(Job::Detect { cell, search }) => {
                let detected = detect(&mut worker, &judge.active_rules.load().site, search);
                cell.set_detected(detected);
            }
            Ok(Job::Embed { cell, frame, prepared }) => {
                let offset = frame.position.offset;
                let ready = embed(&mut worker, &judge.active_rules.load().site, frame, *prepared);
                cell.set_embedded(offset, ready);
            }
            Err(RecvError) => break,
        }
    }
    worker.stats()
}
