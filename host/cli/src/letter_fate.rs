//! Replays and drops dead letters, marks them, and deletes those that nobody needs.

use super::ask::confirm;
use super::letter_choice::{Choice, Parked, fates};
use super::{DONE, FAILED, WRONG_INPUT};
use anyhow::{Result, bail};
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Observer, Producer, Reader, Record, delete_before, read_at, watermarks};
use everyframe_types::dead_letter::{
    FATE, LETTER, Letter, LetterAction, LetterActions, OFFSET, PARTITION, Place, TOPIC,
};
use everyframe_types::record::{CAPTURED_AT, IncomingRecord as _, REPLAY_OF, SEQUENCE, SESSION, SOURCE};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Letters that are put through before they are marked: what a command that is killed may put through twice.
const BATCH: usize = 100;
/// Bytes of a batch, if it has large frames.
const BATCH_BYTES: usize = 32 << 20;
const ACKNOWLEDGED: Duration = Duration::from_secs(60);
/// How much older than the oldest frame a mark must be to be of no more use: clocks differ.
const MARGIN: Duration = Duration::from_secs(3600);

/// How a command goes about it.
#[derive(Clone, Copy)]
pub struct Manner {
    /// Do not ask.
    pub yes: bool,
    /// The counts as JSON.
    pub json: bool,
}

impl Manner {
    /// Asks on a terminal; elsewhere nobody can answer.
    fn agreed(self, question: &str) -> Result<Option<u8>> {
        if self.yes {
            return Ok(None);
        }
        match confirm(question)? {
            Some(true) => Ok(None),
            Some(false) => Ok(Some(FAILED)),
            None => {
                eprintln!("everyframe: {question}? Standard input is not a terminal; pass --yes to confirm");
                Ok(Some(WRONG_INPUT))
            }
        }
    }
}

/// `replay`
pub fn replay(config: &Config, choice: &Choice, again: bool, manner: Manner) -> Result<u8> {
    let fates = fates(config)?;
    let is_meant = |fate: Option<LetterAction>| match fate {
        None => true,
        Some(LetterAction::Replayed) => again,
        Some(LetterAction::Dropped) => false,
    };
    let chosen = Chosen { config, choice, fates: &fates, is_meant: &is_meant };
    let (letters, bytes) = chosen.count()?;
    let question = format!("put {letters} parked frames ({bytes} bytes) through again");
    if letters > 0
        && let Some(code) = manner.agreed(&question)?
    {
        return Ok(code);
    }
    let producer = Producer::new(&config.kafka)?;
    let mut marks = Marks::new(config, &producer, LetterAction::Replayed);
    let mut frames = HashSet::new();
    // Frames that cannot be replayed, and why. The others are replayed.
    let mut left: BTreeMap<Place, String> = BTreeMap::new();
    let mut batch_bytes = 0;
    let mut sent = Sent::default();
    let settle = |sent: &mut Sent, marks: &mut Marks<'_>, left: &mut BTreeMap<Place, String>| {
        let refused = sent.wait(&producer)?;
        left.extend(refused.into_iter().map(|(frame, error)| (frame, error.to_string())));
        marks.waiting.retain(|(_, _, frame)| !left.contains_key(frame));
        marks.send()
    };
    chosen.each(|letter| {
        // A frame that was parked twice is put through once.
        if !frames.contains(&letter.frame) {
            match read_frame_bytes(config, letter)? {
                Ok(bytes) => {
                    batch_bytes += bytes.len();
                    put_through(config, &producer, letter, &bytes, &mut sent);
                    frames.insert(letter.frame);
                    left.remove(&letter.frame);
                }
                Err(why) => {
                    left.insert(letter.frame, why);
                }
            }
        }
        marks.add(letter);
        if marks.waiting.len() >= BATCH || batch_bytes >= BATCH_BYTES {
            batch_bytes = 0;
            return settle(&mut sent, &mut marks, &mut left);
        }
        Ok(())
    })?;
    settle(&mut sent, &mut marks, &mut left)?;
    for (frame, why) in &left {
        eprintln!("everyframe: frame {frame} is not replayed: {why}");
    }
    frames.retain(|frame| !left.contains_key(frame));
    let marked = marks.marked;
    let deleted = tidy(config)?;
    report(manner, "replayed", frames.len() as u64, marked, deleted);
    Ok(if left.is_empty() { DONE } else { FAILED })
}

/// `drop`
pub fn drop(config: &Config, choice: &Choice, manner: Manner) -> Result<u8> {
    let fates = fates(config)?;
    let chosen = Chosen { config, choice, fates: &fates, is_meant: &|fate| fate.is_none() };
    let (letters, bytes) = chosen.count()?;
    let question = format!("drop {letters} dead letters ({bytes} bytes) for good");
    if letters > 0
        && let Some(code) = manner.agreed(&question)?
    {
        return Ok(code);
    }
    let producer = Producer::new(&config.kafka)?;
    let mut marks = Marks::new(config, &producer, LetterAction::Dropped);
    let mut frames = HashSet::new();
    chosen.each(|letter| {
        frames.insert(letter.frame);
        marks.add(letter);
        if marks.waiting.len() >= BATCH { marks.send() } else { Ok(()) }
    })?;
    marks.send()?;
    let marked = marks.marked;
    let deleted = tidy(config)?;
    report(manner, "dropped", frames.len() as u64, marked, deleted);
    Ok(DONE)
}

fn report(manner: Manner, done: &str, frames: u64, letters: u64, deleted: u64) {
    if manner.json {
        println!("{}", serde_json::json!({ done: frames, "letters": letters, "deleted": deleted }));
    } else {
        println!("{done}: {frames} frames, {letters} dead letters marked, {deleted} records deleted");
    }
}

/// The letters that a command is about.
struct Chosen<'a> {
    config: &'a Config,
    choice: &'a Choice,
    fates: &'a LetterActions,
    is_meant: &'a dyn Fn(Option<LetterAction>) -> bool,
}

impl Chosen<'_> {
    fn each(&self, mut visit: impl FnMut(&Parked<'_>) -> Result<()>) -> Result<()> {
        self.choice.each(self.config, |letter| {
            let fate = self.fates.get(letter.place).map(|(fate, _)| fate);
            if (self.is_meant)(fate) { visit(letter) } else { Ok(()) }
        })
    }

    /// Letters and their bytes.
    fn count(&self) -> Result<(u64, usize)> {
        let (mut letters, mut bytes) = (0, 0);
        self.each(|letter| {
            letters += 1;
            bytes += letter.record.value().map_or(0, <[u8]>::len);
            Ok(())
        })?;
        Ok((letters, bytes))
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
    /// Sends a record about this frame.
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
    fn wait(&mut self, producer: &Producer) -> Result<Vec<(Place, BrokerError)>> {
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
            let why = failed.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
            bail!("{missing} of {count} records were not acknowledged: {why}; run the command again");
        }
        Ok(refused)
    }
}

/// The bytes of a letter's frame, or why they cannot be read. Those of a partial letter come from the frames topic.
///
/// # Errors
///
/// The brokers do not answer.
fn read_frame_bytes<'a>(config: &Config, letter: &'a Parked<'_>) -> Result<Result<Cow<'a, [u8]>, String>> {
    let Some(partial) = &letter.partial else {
        return Ok(Ok(letter.record.value().unwrap_or_default().into()));
    };
    let at = &partial.at;
    if *at.topic != *config.topics.frames {
        return Ok(Err(format!("the whole frame is at {at}, and not in this configuration's frames topic")));
    }
    Ok(match read_at(&config.kafka, &at.topic, at.partition, at.offset)? {
        Some(found) if partial.matches(&found) => Ok(found.into()),
        Some(_) => Err(format!("the record at {at} is another one: its length or checksum differs")),
        None => Err(format!(
            "its {} bytes were too large for the dead letters, and retention has deleted the frame at {at}",
            partial.bytes
        )),
    })
}

/// The frame as it came: its bytes, its camera, its number, and which frame it is.
fn put_through(config: &Config, producer: &Producer, letter: &Parked<'_>, bytes: &[u8], sent: &mut Sent) {
    let identity = format!("{}/{}", config.topics.frames, letter.frame);
    let given = [SESSION, SEQUENCE, CAPTURED_AT, SOURCE]
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

/// Marks to be written, once what they say is true.
struct Marks<'a> {
    config: &'a Config,
    producer: &'a Producer,
    fate: LetterAction,
    waiting: Vec<(String, Place, Place)>,
    marked: u64,
}

impl<'a> Marks<'a> {
    fn new(config: &'a Config, producer: &'a Producer, fate: LetterAction) -> Self {
        Self { config, producer, fate, waiting: Vec::new(), marked: 0 }
    }

    fn add(&mut self, letter: &Parked<'_>) {
        self.waiting.push((letter.camera.clone(), letter.place, letter.frame));
    }

    fn send(&mut self) -> Result<()> {
        let mut sent = Sent::default();
        for (camera, letter, frame) in &self.waiting {
            let (partition, offset) = (frame.partition.to_string(), frame.offset.to_string());
            let letter = letter.to_string();
            let headers: [(&str, &[u8]); 5] = [
                (FATE, self.fate.name().as_bytes()),
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

/// Deletes from each partition of the dead letters what comes before the first letter that is open and the first mark
/// that the audit still needs: one that is younger than the oldest frame. Tells how many offsets that were.
fn tidy(config: &Config) -> Result<u64> {
    let topic = &config.topics.dead_letters;
    let fates = fates(config)?;
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
            Letter::Parked(_) => fates.get(place).is_some(),
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
    match super::runtime()?.block_on(delete_before(&config.kafka, topic, &before)) {
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
fn oldest_frame(config: &Config) -> Result<i64> {
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
    Ok(super::when::now().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}
