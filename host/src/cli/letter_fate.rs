//! Replays and drops dead letters, marks them, and deletes those that nobody needs.

use super::ask::confirm;
use super::letter_choice::{Choice, Parked, fates};
use super::{DONE, FAILED, WRONG_INPUT};
use crate::audit::{FATE, Fate, Fates, LETTER, Letter, Place};
use crate::config::Config;
use crate::intake::{CAPTURED_AT, REPLAY_OF, SEQUENCE, SESSION};
use crate::kafka::{BrokerError, Observer, Producer, Reader, Record, delete_before, watermarks};
use crate::publish::{OFFSET, PARTITION, TOPIC};
use anyhow::{Result, bail};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
                eprintln!("everyframe: {question}: nobody is there to ask; give --yes");
                Ok(Some(WRONG_INPUT))
            }
        }
    }
}

/// `replay`
pub fn replay(config: &Config, choice: &Choice, again: bool, manner: Manner) -> Result<u8> {
    let fates = fates(config)?;
    let is_meant = |fate: Option<Fate>| match fate {
        None => true,
        Some(Fate::Replayed) => again,
        Some(Fate::Dropped) => false,
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
    let mut marks = Marks::new(config, &producer, Fate::Replayed);
    let mut frames = HashSet::new();
    let mut batch_bytes = 0;
    let sent = Acknowledged::default();
    chosen.each(|letter| {
        // A frame that was parked twice is put through once.
        if frames.insert(letter.frame) {
            batch_bytes += letter.record.value().map_or(0, <[u8]>::len);
            put_through(config, &producer, letter, &sent);
        }
        marks.add(letter);
        if marks.waiting.len() >= BATCH || batch_bytes >= BATCH_BYTES {
            sent.wait(&producer)?;
            marks.send()?;
            batch_bytes = 0;
        }
        Ok(())
    })?;
    sent.wait(&producer)?;
    marks.send()?;
    let marked = marks.marked;
    let deleted = tidy(config)?;
    report(manner, "replayed", frames.len() as u64, marked, deleted);
    Ok(DONE)
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
    let mut marks = Marks::new(config, &producer, Fate::Dropped);
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
    fates: &'a Fates,
    is_meant: &'a dyn Fn(Option<Fate>) -> bool,
}

impl Chosen<'_> {
    fn each(&self, mut visit: impl FnMut(&Parked<'_>) -> Result<()>) -> Result<()> {
        self.choice.each(self.config, |letter| {
            let fate = self.fates.of(letter.place).map(|(fate, _)| fate);
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

/// Counts what is sent, and what of it is acknowledged.
#[derive(Default)]
struct Acknowledged {
    sent: AtomicU64,
    done: Arc<AtomicU64>,
}

impl Acknowledged {
    fn send(&self, producer: &Producer, record: Record<'_>) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let done = self.done.clone();
        producer.send(
            record,
            Box::new(move |result| match result {
                Ok(()) => {
                    done.fetch_add(1, Ordering::Release);
                }
                Err(error) => tracing::error!("{error}"),
            }),
        );
    }

    /// An error if any of it is not safe.
    fn wait(&self, producer: &Producer) -> Result<()> {
        producer.flush(ACKNOWLEDGED)?;
        let (sent, done) = (self.sent.load(Ordering::Relaxed), self.done.load(Ordering::Acquire));
        if done < sent {
            bail!(
                "{} of {sent} records were not taken; what was is marked, run the command again",
                sent - done
            );
        }
        Ok(())
    }
}

/// The frame as it came: its bytes, its camera, its number, and which frame it is.
fn put_through(config: &Config, producer: &Producer, letter: &Parked<'_>, sent: &Acknowledged) {
    let identity = format!("{}/{}", config.topics.frames, letter.frame);
    let given = [SESSION, SEQUENCE, CAPTURED_AT]
        .into_iter()
        .filter_map(|name| Some((name, letter.record.header(name)?.as_bytes())));
    let headers: Vec<(&str, &[u8])> = given.chain([(REPLAY_OF, identity.as_bytes())]).collect();
    let record = Record {
        topic: &config.topics.frames,
        key: Some(letter.camera.as_bytes()),
        value: letter.record.value(),
        headers: &headers,
        ..Record::default()
    };
    sent.send(producer, record);
}

/// Marks to be written, once what they say is true.
struct Marks<'a> {
    config: &'a Config,
    producer: &'a Producer,
    fate: Fate,
    waiting: Vec<(String, Place, Place)>,
    marked: u64,
}

impl<'a> Marks<'a> {
    fn new(config: &'a Config, producer: &'a Producer, fate: Fate) -> Self {
        Self { config, producer, fate, waiting: Vec::new(), marked: 0 }
    }

    fn add(&mut self, letter: &Parked<'_>) {
        self.waiting.push((letter.camera.clone(), letter.place, letter.frame));
    }

    fn send(&mut self) -> Result<()> {
        let sent = Acknowledged::default();
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
            sent.send(self.producer, record);
        }
        sent.wait(self.producer)?;
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
        let place = Place::of(&record);
        if closed.contains(&place.partition) {
            continue;
        }
        let may_go = match Letter::read(&record) {
            Letter::Parked(_) => fates.of(place).is_some(),
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
