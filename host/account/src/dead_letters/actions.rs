//! Replays and drops dead letters, marks them, and deletes those that nobody needs.

use super::DeadLetterError;
use super::filter::{DeadLetter, Filter, read_actions};
use everyframe_config::Config;
use everyframe_kafka::{
    BrokerError, Observer, Producer, Reader, Record, RecordReader, delete_before, watermarks,
};
use everyframe_types::dead_letter::{
    FATE, LETTER, Letter, LetterAction, LetterActions, OFFSET, PARTITION, Place, TOPIC,
};
use everyframe_types::machine::unix_ms;
use everyframe_types::record::{
    CALLBACK, CAPTURED_AT, IncomingRecord as _, REPLAY_OF, SEQUENCE, SESSION, SOURCE,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Dead letters whose frames are sent before they are marked. A command that is killed may send so many twice.
const BATCH: usize = 100;
/// Bytes of a batch, if it has large frames.
const BATCH_BYTES: usize = 32 << 20;
/// How long a broker may take to acknowledge a batch.
const ACKNOWLEDGED: Duration = Duration::from_secs(60);
/// A mark is deleted when it is older than the oldest frame by so much: clocks differ.
const MARGIN: Duration = Duration::from_secs(3600);

/// What was done with the selected dead letters.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ActionReport {
    /// Frames that were replayed or dropped.
    pub frames: u64,
    /// Dead letters that were marked.
    pub marked: u64,
    /// Records of the dead-letter topic that were deleted.
    pub deleted: u64,
    /// Frames that could not be replayed, and why. The others were.
    pub failed: BTreeMap<Place, String>,
}

/// The dead letters that an action is about.
pub struct Selection<'a> {
    config: &'a Config,
    filter: &'a Filter,
    action: LetterAction,
    /// Also those that were replayed before.
    again: bool,
    done: LetterActions,
}

impl<'a> Selection<'a> {
    /// Selects the open dead letters that pass the filter; with `again` also those that were replayed before.
    ///
    /// # Errors
    ///
    /// The brokers do not answer.
    pub fn to_replay(config: &'a Config, filter: &'a Filter, again: bool) -> Result<Self, DeadLetterError> {
        let done = read_actions(config)?;
        Ok(Self { config, filter, action: LetterAction::Replayed, again, done })
    }

    /// Selects the open dead letters that pass the filter.
    ///
    /// # Errors
    ///
    /// The brokers do not answer.
    pub fn to_drop(config: &'a Config, filter: &'a Filter) -> Result<Self, DeadLetterError> {
        let done = read_actions(config)?;
        Ok(Self { config, filter, action: LetterAction::Dropped, again: false, done })
    }

    fn for_each(
        &self,
        mut visit: impl FnMut(&DeadLetter<'_>) -> Result<(), DeadLetterError>,
    ) -> Result<(), DeadLetterError> {
        self.filter.for_each(self.config, |letter| {
            let is_selected = match self.done.get(letter.place) {
                None => true,
                Some((LetterAction::Replayed, _)) => self.again,
                Some((LetterAction::Dropped, _)) => false,
            };
            if is_selected { visit(letter) } else { Ok(()) }
        })
    }

    /// Counts the dead letters and their bytes.
    ///
    /// # Errors
    ///
    /// The brokers do not answer.
    pub fn count(&self) -> Result<(u64, usize), DeadLetterError> {
        let (mut letters, mut bytes) = (0, 0);
        self.for_each(|letter| {
            letters += 1;
            bytes += letter.record.value().map_or(0, <[u8]>::len);
            Ok(())
        })?;
        Ok((letters, bytes))
    }

    /// Does what the selection is for: replays the frames or drops the dead letters, marks these, and deletes the records
    /// that nobody needs any more.
    ///
    /// # Errors
    ///
    /// The brokers do not answer, or acknowledged too little: run it again. A frame that was replayed and not yet marked
    /// is then replayed twice, under the same id.
    pub fn apply(&self) -> Result<ActionReport, DeadLetterError> {
        let producer = Producer::new(&self.config.kafka)?;
        let mut marks = Marks::new(self.config, &producer, self.action);
        let (frames, failed) = match self.action {
            LetterAction::Replayed => self.replay(&producer, &mut marks)?,
            LetterAction::Dropped => (self.drop(&mut marks)?, BTreeMap::new()),
        };
        let marked = marks.marked;
        let deleted = delete_unneeded(self.config)?;
        Ok(ActionReport { frames, marked, deleted, failed })
    }

    fn drop(&self, marks: &mut Marks<'_>) -> Result<u64, DeadLetterError> {
        let mut frames = HashSet::new();
        self.for_each(|letter| {
            frames.insert(letter.frame);
            marks.add(letter);
            if marks.waiting.len() >= BATCH { marks.send() } else { Ok(()) }
        })?;
        marks.send()?;
        Ok(frames.len() as u64)
    }

    fn replay(
        &self,
        producer: &Producer,
        marks: &mut Marks<'_>,
    ) -> Result<(u64, BTreeMap<Place, String>), DeadLetterError> {
        let mut frames = HashSet::new();
        let mut failed: BTreeMap<Place, String> = BTreeMap::new();
        let mut batch_bytes = 0;
        let mut sent = Sent::default();
        let finish_batch = |sent: &mut Sent, marks: &mut Marks<'_>, failed: &mut BTreeMap<Place, String>| {
            let refused = sent.wait(producer)?;
            failed.extend(refused.into_iter().map(|(frame, error)| (frame, error.to_string())));
            marks.waiting.retain(|(_, _, frame)| !failed.contains_key(frame));
            marks.send()
        };
        self.for_each(|letter| {
            // A frame that was parked twice is replayed once.
            if !frames.contains(&letter.frame) {
                match read_frame_bytes(self.config, letter)? {
                    Ok(bytes) => {
                        batch_bytes += bytes.len();
                        send_frame(self.config, producer, letter, &bytes, &mut sent);
                        frames.insert(letter.frame);
                        failed.remove(&letter.frame);
                    }
                    Err(why) => {
                        failed.insert(letter.frame, why);
                    }
                }
            }
            marks.add(letter);
            if marks.waiting.len() >= BATCH || batch_bytes >= BATCH_BYTES {
                batch_bytes = 0;
                return finish_batch(&mut sent, marks, &mut failed);
            }
            Ok(())
        })?;
        finish_batch(&mut sent, marks, &mut failed)?;
        frames.retain(|frame| !failed.contains_key(frame));
        Ok((frames.len() as u64, failed))
    }
}

/// The frame that a record is about, and why the record was refused, if it was.
type Answer = (Place, Result<(), BrokerError>);

/// Records that were sent and not waited for.
struct Sent {
    count: usize,
    sender: Sender<Answer>,
    answers: Receiver<Answer>,
}

impl Default for Sent {
    fn default() -> Self {
        let (sender, answers) = channel();
        Self { count: 0, sender, answers }
    }
}

impl Sent {
    /// Queues a record about this frame.
    fn send(&mut self, producer: &Producer, frame: Place, record: Record<'_>) {
        self.count += 1;
        let sender = self.sender.clone();
        producer.send(record, Box::new(move |result| std::mem::drop(sender.send((frame, result)))));
    }

    /// Waits for all answers. Returns the frames whose records the topic refused for their size or content.
    ///
    /// # Errors
    ///
    /// A record was not acknowledged for another reason: run the command again.
    fn wait(&mut self, producer: &Producer) -> Result<Vec<(Place, BrokerError)>, DeadLetterError> {
        producer.flush(ACKNOWLEDGED)?;
        let (count, mut refused, mut failed, mut safe) = (self.count, Vec::new(), None, 0);
        for (frame, result) in self.answers.try_iter() {
            match result {
                Ok(()) => safe += 1,
                Err(error @ BrokerError::Unfit { .. }) => refused.push((frame, error)),
                Err(error) => failed = Some(error),
            }
        }
        self.count = 0;
        let missing = count - safe - refused.len();
        if missing > 0 {
            let reason = failed.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
            return Err(DeadLetterError::NotAcknowledged { missing, count, reason });
        }
        Ok(refused)
    }
}

/// The bytes of a letter's frame, or why they cannot be read. Those of a partial letter come from the frames topic.
///
/// # Errors
///
/// The brokers do not answer.
fn read_frame_bytes<'a>(
    config: &Config,
    letter: &'a DeadLetter<'_>,
) -> Result<Result<Cow<'a, [u8]>, String>, DeadLetterError> {
    let Some(partial) = &letter.partial else {
        return Ok(Ok(letter.record.value().unwrap_or_default().into()));
    };
    let at = &partial.at;
    if *at.topic != *config.topics.frames {
        return Ok(Err(format!("the whole frame is at {at}, and not in this configuration's frames topic")));
    }
    Ok(match RecordReader::new(&config.kafka)?.read(&at.topic, at.partition, at.offset)? {
        Some(found) if partial.matches(&found.value) => Ok(found.value.into()),
        Some(_) => Err(format!("the record at {at} is another one: its length or checksum differs")),
        None => Err(format!(
            "its {} bytes were too large for the dead letters, and retention has deleted the frame at {at}",
            partial.bytes
        )),
    })
}

/// Queues the frame as it first came: its bytes, its camera, its number, and which frame it is.
fn send_frame(config: &Config, producer: &Producer, letter: &DeadLetter<'_>, bytes: &[u8], sent: &mut Sent) {
    let identity = format!("{}/{}", config.topics.frames, letter.frame);
    let given = [SESSION, SEQUENCE, CAPTURED_AT, SOURCE, CALLBACK]
        .into_iter()
        .filter_map(|name| Some((name, letter.record.header(name)?.as_bytes())));
    let headers: Vec<(&str, &[u8])> = given.chain([(REPLAY_OF, identity.as_bytes())]).collect();
    let record = Record {
        topic: &config.topics.frames,
        key: Some(letter.camera.as_bytes()),
        // A letter of a record without a value has none either.
        value: letter.record.value().map(|_| bytes),
        headers: &headers,
        ..Record::default()
    };
    sent.send(producer, letter.frame, record);
}

/// Marks that are written once their frames are acknowledged.
struct Marks<'a> {
    config: &'a Config,
    producer: &'a Producer,
    action: LetterAction,
    waiting: Vec<(String, Place, Place)>,
    marked: u64,
}

impl<'a> Marks<'a> {
    fn new(config: &'a Config, producer: &'a Producer, action: LetterAction) -> Self {
        Self { config, producer, action, waiting: Vec::new(), marked: 0 }
    }

    fn add(&mut self, letter: &DeadLetter<'_>) {
        self.waiting.push((letter.camera.clone(), letter.place, letter.frame));
    }

    fn send(&mut self) -> Result<(), DeadLetterError> {
        let mut sent = Sent::default();
        for (camera, letter, frame) in &self.waiting {
            let (partition, offset) = (frame.partition.to_string(), frame.offset.to_string());
            let letter = letter.to_string();
            let headers: [(&str, &[u8]); 5] = [
                (FATE, self.action.name().as_bytes()),
                (LETTER, letter.as_bytes()),
                (TOPIC, self.config.topics.frames.as_bytes()),
                (PARTITION, partition.as_bytes()),
                (OFFSET, offset.as_bytes()),
            ];
            let topic = &self.config.topics.dead_letters;
            let record =
                Record { topic, key: Some(camera.as_bytes()), headers: &headers, ..Record::default() };
            sent.send(self.producer, *frame, record);
        }
        if let Some((_, error)) = sent.wait(self.producer)?.into_iter().next() {
            return Err(error.into());
        }
        self.marked += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }
}

/// Deletes from each partition of the dead-letter topic the records before the first open dead letter and before the first
/// mark that the audit still needs, one that is younger than the oldest frame. Returns how many offsets that were.
fn delete_unneeded(config: &Config) -> Result<u64, DeadLetterError> {
    let topic = &config.topics.dead_letters;
    let done = read_actions(config)?;
    let kept = watermarks(&config.kafka, topic)?;
    let needed_from = oldest_frame(config)?.saturating_sub(MARGIN.as_millis() as i64);
    let mut before: BTreeMap<i32, u64> =
        kept.iter().map(|(partition, (oldest, _))| (*partition, *oldest)).collect();
    let mut closed = HashSet::new();
    let mut reader = Reader::from_start(&config.kafka, topic)?;
    while let Some(record) = reader.next()? {
        let place = Place::of_record(&record);
        if closed.contains(&place.partition) {
            continue;
        }
        let may_go = match Letter::parse(&record) {
            Letter::Parked(_) => done.get(place).is_some(),
            Letter::Mark(mark) => mark.at < needed_from,
            Letter::Deleted { .. } => false,
            Letter::Other => true,
        };
        if may_go {
            before.insert(place.partition, place.offset + 1);
        } else {
            closed.insert(place.partition);
        }
        if closed.len() == kept.len() {
            break;
        }
    }
    before.retain(|partition, offset| kept.get(partition).is_some_and(|(oldest, _)| *oldest < *offset));
    let count = before
        .iter()
        .map(|(partition, offset)| offset - kept.get(partition).map_or(0, |(oldest, _)| *oldest));
    let count = count.sum();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(DeadLetterError::Runtime)?;
    match runtime.block_on(delete_before(&config.kafka, topic, &before)) {
        Ok(()) => Ok(count),
        // Deleting is a right of its own, and what is marked is done with: retention takes it.
        Err(error @ BrokerError::Unreachable { .. }) => Err(error.into()),
        Err(error) => {
            tracing::warn!("dead letters that are done with stay until retention deletes them: {error}");
            Ok(0)
        }
    }
}

/// The timestamp of the oldest frame that is there, Unix milliseconds; now if there is none.
fn oldest_frame(config: &Config) -> Result<i64, DeadLetterError> {
    let observer = Observer::new(&config.kafka, &config.topics.frames)?;
    let mut first = observer.ends()?;
    first.retain(|_, (oldest, next)| oldest < next);
    let first: BTreeMap<i32, u64> =
        first.into_iter().map(|(partition, (oldest, _))| (partition, oldest)).collect();
    let oldest = observer.peek(&first)?;
    // One that did not answer might be the oldest: then nothing may go.
    if oldest.len() < first.len() {
        return Ok(0);
    }
    let age = oldest.values().map(|first| first.age).max().unwrap_or_default();
    Ok(unix_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}
