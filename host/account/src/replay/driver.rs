//! Reads a window of frames or results, judges each again and compares.

use super::comparison::{Comparison, Report, Side};
use super::judge::Judge;
use super::progress::{Progress, StopReason};
use super::stored::{self, Alerts, Past, Window};
use crate::audit::Offsets;
use everyframe_config::Config;
use everyframe_kafka::BrokerError;
use everyframe_pipeline::run::{ReprocessedFrame, Reprocessor, RunError};
use everyframe_rules::RuleFailure;
use everyframe_types::frame::Frame;
use everyframe_types::judgement::{Decision, Judgement, Subject};
use everyframe_types::record::{self, IncomingRecord as _};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Judges frames again and compares the answers.
pub struct Replay {
    /// Judges the frames as before; without it, the frames are compared with what was published.
    before: Option<Judge>,
    now: Judge,
    comparison: Comparison,
}

/// Why frames could not be judged again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The brokers do not answer.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The models or the gallery cannot be loaded.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// It took longer than it may.
    #[error("it took too long; choose a shorter window, or fewer cameras")]
    TooLong,
}

impl Replay {
    /// Compares `now` with `before`, or with what was published. The report has so many examples of each kind.
    pub fn new(before: Option<Judge>, now: Judge, examples: usize) -> Self {
        Self { before, now, comparison: Comparison::new(examples) }
    }

    /// Judges the published results again. `progress` tells how far it is, and ends it early.
    ///
    /// # Errors
    ///
    /// The brokers do not answer, or it was ended early.
    pub fn judge_results(
        mut self,
        config: &Config,
        window: &Window,
        progress: &Progress,
    ) -> Result<Report, ReplayError> {
        let alerts = self.published_alerts(config, window)?;
        self.comparison.report_mut().unreadable =
            stored::visit_results(config, window, progress, |past| -> Result<(), BrokerError> {
                let then = Some(Published { past: &past, alerts: &alerts });
                self.compare(&past, then, Judge::from_result);
                Ok(())
            })?;
        match progress.stop_reason() {
            Some(StopReason::Cancelled) => Err(ReplayError::Cancelled),
            Some(StopReason::TooLong) => Err(ReplayError::TooLong),
            None => Ok(self.comparison.finish()),
        }
    }

    /// Decodes the frames again, finds and embeds their faces, and judges them.
    ///
    /// # Errors
    ///
    /// The brokers do not answer, or the models cannot be loaded.
    pub fn judge_frames(
        mut self,
        config: &Config,
        window: &Window,
        cache: &Path,
    ) -> Result<Report, ReplayError> {
        let alerts = self.published_alerts(config, window)?;
        let mut then = HashMap::new();
        if self.before.is_none() {
            // A frame's result may come long after it.
            self.comparison.report_mut().unreadable = stored::visit_results(
                config,
                &window.with_tolerance(),
                &Progress::default(),
                |mut past| -> Result<(), BrokerError> {
                    past.subjects.iter_mut().for_each(|subject| subject.face.candidates.clear());
                    then.insert(past.place, past);
                    Ok(())
                },
            )?;
        }
        let mut reprocessor = Reprocessor::start(config, cache)?;
        let topic: Arc<str> = config.topics.frames.as_str().into();
        let mut seen: HashMap<i32, Offsets> = HashMap::new();
        let mut reader = window.open(&config.kafka, &topic)?;
        while let Some(record) = reader.next()? {
            if !window.includes_time(record.timestamp())
                || !window.includes_camera(&record::camera_id(record.key(), record.partition()))
            {
                continue;
            }
            let mut frame = record::parse_frame(&topic, &record);
            reprocessor.set_time(&mut frame);
            let frame = Arc::new(frame);
            let place = (frame.identity.partition, frame.identity.offset);
            let known = seen.entry(place.0).or_default();
            if !frame.is_frame() || known.contains(place.1.unsigned_abs()) {
                continue;
            }
            let Ok(reprocessed) = reprocessor.process(frame.clone()) else {
                self.comparison.report_mut().unseen += 1;
                continue;
            };
            known.insert(place.1.unsigned_abs());
            let past = past_of(&frame, reprocessed);
            let then = then.get(&place).map(|past| Published { past, alerts: &alerts });
            self.compare(&past, then, Judge::from_frame);
        }
        Ok(self.comparison.finish())
    }

    fn published_alerts(&self, config: &Config, window: &Window) -> Result<Alerts, BrokerError> {
        match self.before {
            Some(_) => Ok(Alerts::new()),
            None => stored::read_alerts(config, window),
        }
    }

    fn compare(&mut self, past: &Past, then: Option<Published<'_>>, judge: Judging) {
        let after = judge(&mut self.now, past);
        match (&mut self.before, then) {
            (Some(before), _) => match judge(before, past) {
                Ok(before) => {
                    let skipped: Vec<String> = before.skipped.iter().map(|it| it.rule.clone()).collect();
                    let side = Side { subjects: &before.subjects, alerts: &before.alerts, skipped: &skipped };
                    self.comparison.compare(past, &side, &after);
                }
                Err(_) => self.comparison.report_mut().without_result += 1,
            },
            (None, Some(Published { past: then, alerts })) => {
                let alerts = alerts.get(&then.place).map_or(&[][..], Vec::as_slice);
                let side = Side { subjects: &then.subjects, alerts, skipped: &then.skipped };
                self.comparison.compare(past, &side, &after);
            }
            (None, None) => self.comparison.report_mut().without_result += 1,
        }
    }
}

/// One of the ways to judge a frame.
type Judging = fn(&mut Judge, &Past) -> Result<Judgement, RuleFailure>;

/// What was published about a frame.
struct Published<'a> {
    past: &'a Past,
    alerts: &'a Alerts,
}

/// The frame as a result would hold it, before rules judged it.
fn past_of(frame: &Frame, reprocessed: ReprocessedFrame) -> Past {
    let undecided = || Decision::Undecided { reason: String::new() };
    let subjects =
        reprocessed.faces.into_iter().map(|face| Subject { face, decision: undecided(), stranger: None });
    Past {
        place: (frame.identity.partition, frame.identity.offset),
        camera: frame.camera.to_string(),
        session: frame.session.to_string(),
        sequence: frame.sequence,
        captured_at: frame.captured_at,
        size: reprocessed.size,
        subjects: subjects.collect(),
        skipped: Vec::new(),
    }
}
