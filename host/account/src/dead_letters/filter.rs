//! Which dead letters an action is about.

use super::DeadLetterError;
use everyframe_config::Config;
use everyframe_kafka::{Reader, Received};
use everyframe_types::dead_letter::{Letter, LetterActions, Partial, Place, REASON};
use everyframe_types::record::{IncomingRecord as _, camera_id};
use std::collections::BTreeSet;

/// Conditions that a dead letter must meet, all of them. The default selects every dead letter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The camera's id.
    pub camera: Option<String>,
    /// Why the frame was parked: `truncated`, `rule-timed-out`.
    pub reason: Option<String>,
    /// The frame was parked at this time or later, Unix milliseconds.
    pub since: Option<i64>,
    /// The frame was parked before this time, Unix milliseconds.
    pub until: Option<i64>,
    /// Partitions and offsets of the frames in the frames topic; all frames if none is given.
    pub frames: BTreeSet<Place>,
}

/// A dead letter that the filter selects.
pub struct DeadLetter<'a> {
    /// Partition and offset of the dead letter.
    pub place: Place,
    /// Partition and offset of its frame in the frames topic.
    pub frame: Place,
    /// The camera's id.
    pub camera: String,
    /// Set if the dead letter holds only the first bytes of its frame.
    pub partial: Option<Partial>,
    /// The record.
    pub record: Received<'a>,
}

impl Filter {
    /// Selects the dead letters of these frames.
    pub fn of_frames(frames: impl IntoIterator<Item = Place>) -> Self {
        Self { frames: frames.into_iter().collect(), ..Self::default() }
    }

    /// Calls `visit` with each dead letter, marked or not, in the order of the topic.
    ///
    /// # Errors
    ///
    /// The brokers do not answer, or `visit` fails.
    pub fn for_each<E: From<DeadLetterError>>(
        &self,
        config: &Config,
        mut visit: impl FnMut(&DeadLetter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let topic = &config.topics.dead_letters;
        let reader = match self.since {
            Some(since) => Reader::since(&config.kafka, topic, since.max(0)),
            None => Reader::from_start(&config.kafka, topic),
        };
        let mut reader = reader.map_err(DeadLetterError::from)?;
        while let Some(record) = reader.next().map_err(DeadLetterError::from)? {
            let Letter::Parked(frame) = Letter::parse(&record) else { continue };
            let camera = camera_id(record.key(), record.partition());
            let parked_at = record.timestamp();
            let is_selected = self.camera.as_ref().is_none_or(|given| *given == camera)
                && self.reason.as_deref().is_none_or(|given| record.header(REASON) == Some(given))
                && self.since.is_none_or(|since| parked_at >= since)
                && self.until.is_none_or(|until| parked_at < until)
                && (self.frames.is_empty() || self.frames.contains(&frame));
            if is_selected {
                let (place, partial) = (Place::of_record(&record), Partial::parse(&record));
                visit(&DeadLetter { place, frame, camera, partial, record })?;
            }
        }
        Ok(())
    }
}

/// Reads what operators did with dead letters. Marks come after their dead letters, so the topic is read for them first.
///
/// # Errors
///
/// The brokers do not answer.
pub fn read_actions(config: &Config) -> Result<LetterActions, DeadLetterError> {
    let mut actions = LetterActions::default();
    let mut reader = Reader::from_start(&config.kafka, &config.topics.dead_letters)?;
    while let Some(record) = reader.next()? {
        if let Letter::Mark(mark) = Letter::parse(&record) {
            actions.add(&mark);
        }
    }
    Ok(actions)
}
