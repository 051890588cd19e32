//! Which dead letters a command is about.

use super::when;
use anyhow::Result;
use everyframe_config::Config;
use everyframe_kafka::{Reader, Received};
use everyframe_types::dead_letter::{Letter, LetterActions, Partial, Place, REASON};
use everyframe_types::id;
use everyframe_types::record::IncomingRecord as _;

/// All of those given must hold; without any, all letters are meant.
#[derive(clap::Args, Clone, Default)]
pub struct Choice {
    /// Only of this camera.
    #[arg(long, value_name = "ID", value_parser = clean_camera_id)]
    camera: Option<String>,
    /// Only those parked for this reason: `truncated`, `rule-timed-out`, …
    #[arg(long)]
    reason: Option<String>,
    /// Only those parked since: a duration back from now (2h, 30m) or an RFC 3339 time.
    #[arg(long, value_name = "TIME", value_parser = when::time)]
    since: Option<i64>,
    /// Only those parked before: the same.
    #[arg(long, value_name = "TIME", value_parser = when::time)]
    until: Option<i64>,
    /// Only of the frame that stood here in the frames topic.
    #[arg(long, value_name = "PARTITION/OFFSET", value_parser = place)]
    at: Option<Place>,
}

/// A camera's id from the command line, made valid in the same way as a record's key, so that it finds the camera.
pub fn clean_camera_id(text: &str) -> Result<String, String> {
    Some(id::clean(text)).filter(|id| !id.is_empty()).ok_or_else(|| "give the id of a camera".into())
}

/// A place as it is given on the command line.
pub fn place(text: &str) -> Result<Place, String> {
    Place::parse(text).ok_or_else(|| "give partition and offset of the frame, such as 3/1042".into())
}

/// A letter that was chosen.
pub struct Parked<'a> {
    /// Where the letter stands.
    pub place: Place,
    /// Where its frame stood.
    pub frame: Place,
    /// The camera.
    pub camera: String,
    /// Set if the letter holds only the beginning of its frame's bytes.
    pub partial: Option<Partial>,
    /// The record.
    pub record: Received<'a>,
}

impl Choice {
    /// The letters of one frame.
    pub fn at(frame: Place) -> Self {
        Self { at: Some(frame), ..Self::default() }
    }

    /// Calls `visit` with each letter, marked or not, in the order of the topic.
    pub fn each(&self, config: &Config, mut visit: impl FnMut(&Parked<'_>) -> Result<()>) -> Result<()> {
        let topic = &config.topics.dead_letters;
        let mut reader = match self.since {
            Some(since) => Reader::since(&config.kafka, topic, since.max(0))?,
            None => Reader::from_start(&config.kafka, topic)?,
        };
        while let Some(record) = reader.next()? {
            let Letter::Parked(frame) = Letter::parse(&record) else { continue };
            let camera = everyframe_types::record::camera_id(record.key(), record.partition());
            let parked_at = record.timestamp();
            let is_meant = self.camera.as_ref().is_none_or(|given| *given == camera)
                && self.reason.as_deref().is_none_or(|given| record.header(REASON) == Some(given))
                && self.since.is_none_or(|since| parked_at >= since)
                && self.until.is_none_or(|until| parked_at < until)
                && self.at.is_none_or(|at| at == frame);
            if is_meant {
                let (place, partial) = (Place::of_record(&record), Partial::parse(&record));
                visit(&Parked { place, frame, camera, partial, record })?;
            }
        }
        Ok(())
    }
}

/// All marks. They come after their letters, so that the topic is read for them first.
pub fn fates(config: &Config) -> Result<LetterActions> {
    let mut fates = LetterActions::default();
    let mut reader = Reader::from_start(&config.kafka, &config.topics.dead_letters)?;
    while let Some(record) = reader.next()? {
        if let Letter::Mark(mark) = Letter::parse(&record) {
            fates.add(&mark);
        }
    }
    Ok(fates)
}
