//! The gallery topic: its key is `person/sample`, its value one template as JSON. A tombstone erases the template.

use super::index::{Index, IndexWriter};
use super::sample::Sample;
use super::similar_people::{Template, find_similar_people};
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Producer, Reader, Record};
use everyframe_types::face::Embedding;
use everyframe_types::id;
use everyframe_types::id::{MAX_BYTES, clean, clean_name, printable};
use everyframe_types::record::IncomingRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the broker may take to acknowledge a record.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why the gallery cannot be used, or a person's id is invalid.
#[derive(Debug, thiserror::Error)]
pub enum GalleryError {
    /// The topic cannot be read or written.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The text is not a valid person id.
    #[error(
        "`{id}` cannot be a person's id: it {fault}; use 1 to {MAX_BYTES} bytes without `/`, control and invisible characters"
    )]
    BadId {
        /// The text, made printable.
        id: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The thread that follows a topic cannot be started.
    #[error("cannot start the thread that follows the gallery or the strangers topic: {0}")]
    Thread(#[from] std::io::Error),
}

/// A sample as JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    person: String,
    name: String,
    model: String,
    #[serde(with = "crate::template_text")]
    embedding: Embedding,
    quality: f32,
    source: String,
    enrolled_at: i64,
    /// Base64 of a JPEG.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    thumbnail: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    stranger: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    negative: bool,
}

/// Writes a sample to the gallery topic and waits for the acknowledgement. `id` identifies it among the person's samples: a
/// sample with the same id is replaced.
///
/// # Errors
///
/// [`GalleryError::BadId`]: ask for another id. [`GalleryError::Broker`]: the sample may not be stored; try again.
pub fn store_sample(producer: &Producer, topic: &str, id: &str, sample: &Sample) -> Result<(), GalleryError> {
    let value = Value {
        person: parse_person_id(&sample.person)?,
        name: sample.name.clone(),
        model: sample.model.clone(),
        embedding: sample.embedding.clone(),
        quality: sample.quality,
        source: sample.source.clone(),
        enrolled_at: sample.enrolled_at,
        thumbnail: BASE64.encode(&sample.thumbnail),
        stranger: sample.stranger.clone(),
        negative: sample.negative,
    };
    let value = serde_json::to_vec(&value).map_err(|error| BrokerError::Other(error.to_string()))?;
    let key = record_key(&sample.person, id)?;
    let record = Record { topic, key: Some(key.as_bytes()), value: Some(&value), ..Record::default() };
    Ok(producer.send_and_wait(record, TIMEOUT)?)
}

/// Erases all samples of a person with tombstones, and returns their number. This includes samples under another form of the
/// id (decomposed, or with a space at its end).
///
/// # Errors
///
/// The brokers do not answer, or refuse this user. Some samples may be erased already; try again.
pub fn remove_person(config: &Config, producer: &Producer, person: &str) -> Result<usize, GalleryError> {
    let topic = config.topics.gallery.as_str();
    let samples = read_samples(config)?;
    let person = clean(person);
    let keys = samples.iter().filter(|(_, sample)| sample.person == person).map(|(key, _)| key);
    let mut removed = 0;
    for key in keys {
        erase_sample(producer, topic, key)?;
        removed += 1;
    }
    Ok(removed)
}

/// Renames a person, and returns the number of samples.
///
/// # Errors
///
/// The brokers do not answer, or refuse this user. Some samples may have the new name already; try again.
pub fn rename_person(
    config: &Config,
    producer: &Producer,
    person: &str,
    name: &str,
) -> Result<usize, GalleryError> {
    move_samples(config, producer, person, |sample| sample.name = name.to_owned())
}

/// Gives all samples of a person to another person, whose name they get. Returns their number.
///
/// # Errors
///
/// As [`rename_person`]. Some samples may have moved already; try again.
pub fn merge_people(
    config: &Config,
    producer: &Producer,
    person: &str,
    into: (&str, &str),
) -> Result<usize, GalleryError> {
    move_samples(config, producer, person, |sample| {
        (sample.person, sample.name) = (into.0.to_owned(), into.1.to_owned());
    })
}

/// Changes all samples of a person. One that belongs to another person afterwards is stored there before it is erased here.
fn move_samples(
    config: &Config,
    producer: &Producer,
    person: &str,
    change: impl Fn(&mut Sample),
) -> Result<usize, GalleryError> {
    let topic = config.topics.gallery.as_str();
    let person = clean(person);
    let mut moved = 0;
    for (key, mut sample) in read_samples(config)? {
        if sample.person != person {
            continue;
        }
        change(&mut sample);
        let id = key.rsplit_once('/').map_or(key.as_str(), |(_, id)| id);
        store_sample(producer, topic, id, &sample)?;
        if record_key(&sample.person, id)? != key {
            erase_sample(producer, topic, &key)?;
        }
        moved += 1;
    }
    Ok(moved)
}

/// Erases one sample with a tombstone; `key` is its record key, `person/sample`.
///
/// # Errors
///
/// The brokers do not acknowledge it: try again.
pub fn erase_sample(producer: &Producer, topic: &str, key: &str) -> Result<(), GalleryError> {
    Ok(producer.send_and_wait(Record { topic, key: Some(key.as_bytes()), ..Record::default() }, TIMEOUT)?)
}

/// Reads all samples in the gallery topic, by record key.
///
/// # Errors
///
/// The brokers do not answer, or refuse this user: show the message, which says what to do.
pub fn read_samples(config: &Config) -> Result<BTreeMap<String, Sample>, GalleryError> {
    let mut reader = Reader::from_start(&config.kafka, &config.topics.gallery)?;
    let mut samples = BTreeMap::new();
    while let Some(record) = reader.next()? {
        match parse_record(&record) {
            Some((key, Some(sample))) => drop(samples.insert(key.to_owned(), sample)),
            Some((key, None)) => drop(samples.remove(key)),
            None => {}
        }
    }
    Ok(samples)
}

/// The gallery of a running host: it is read in full before the first frame, and follows the topic from then on.
pub struct Gallery {
    index: Arc<ArcSwap<Index>>,
    stop: Arc<AtomicBool>,
    follower: Option<JoinHandle<()>>,
}

impl Gallery {
    /// Reads the topic to its end, and starts a thread that follows it. `model` is the SHA-256 of the embedding model in use.
    ///
    /// # Errors
    ///
    /// The brokers do not answer, or the thread cannot be started: do not take in frames.
    pub fn follow(config: &Config, model: &str) -> Result<Self, GalleryError> {
        let mut reader = Reader::from_start(&config.kafka, &config.topics.gallery)?;
        let mut writer = IndexWriter::new(model);
        while let Some(record) = reader.next()? {
            apply_record(&mut writer, &record);
        }
        let index = Arc::new(ArcSwap::from_pointee(writer.index().clone()));
        let others = writer.left_out_count();
        if others > 0 {
            tracing::warn!(
                others,
                "some samples are of another embedding model and are not compared; enrol these people again"
            );
        }
        let stop = Arc::new(AtomicBool::new(false));
        let follower = std::thread::Builder::new().name("gallery".into()).spawn({
            let (index, stop, model) = (index.clone(), stop.clone(), model.to_owned());
            move || {
                warn_of_similar_people(writer.index(), &model);
                while !stop.load(Ordering::Relaxed) {
                    match reader.follow(Duration::from_millis(250)) {
                        Ok(Some(record)) => {
                            apply_record(&mut writer, &record);
                            apply_waiting_records(&mut writer, &reader);
                            index.store(Arc::new(writer.index().clone()));
                            tracing::info!(people = writer.index().people_count(), "gallery changed");
                        }
                        Ok(None) => {}
                        Err(error) => tracing::debug!(%error, "gallery: Kafka does not answer; trying again"),
                    }
                }
            }
        })?;
        Ok(Self { index, stop, follower: Some(follower) })
    }

    /// The current index.
    pub fn index(&self) -> Arc<Index> {
        self.index.load_full()
    }
}

impl Drop for Gallery {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(follower) = self.follower.take() {
            let _ = follower.join();
        }
    }
}

/// How long records are applied before the index is published, while more are waiting. Each time, the blocks that change next
/// are copied.
const PUBLISH_AFTER: Duration = Duration::from_millis(250);

fn apply_waiting_records(writer: &mut IndexWriter, reader: &Reader) {
    let since = Instant::now();
    while let Ok(Some(record)) = reader.follow(Duration::ZERO) {
        apply_record(writer, &record);
        if since.elapsed() > PUBLISH_AFTER {
            return;
        }
    }
}

/// The most samples that a host compares with each other when it starts. 5,000 take a second of one core.
const MAX_COMPARED: usize = 5000;
/// The most pairs that are logged.
const MAX_LOGGED: usize = 20;

/// Warns of people whom a matching policy cannot distinguish.
fn warn_of_similar_people(index: &Index, model: &str) {
    if index.template_count() > MAX_COMPARED {
        return tracing::info!(
            "the gallery is too large to search for people who look alike at the start; `everyframe gallery list` does it"
        );
    }
    let template = |(person, values)| Template { person, model, values };
    let similar = find_similar_people(index.templates().map(template));
    similar.iter().take(MAX_LOGGED).for_each(|pair| tracing::warn!("{pair}"));
    if similar.len() > MAX_LOGGED {
        tracing::warn!(
            "{} more pairs of people look alike; `everyframe gallery list` shows them",
            similar.len() - MAX_LOGGED
        );
    }
}

/// Normalises and checks a person's id that a user typed.
///
/// # Errors
///
/// The text is not a valid id: show the message and ask for another one.
pub fn parse_person_id(text: &str) -> Result<String, GalleryError> {
    let bad = |fault: String| GalleryError::BadId { id: printable(text), fault };
    match id::parse(text, MAX_BYTES) {
        Ok(id) if id.contains('/') => Err(bad("has a `/`".into())),
        Ok(id) => Ok(id),
        Err(fault) => Err(bad(fault.to_string())),
    }
}

fn record_key(person: &str, id: &str) -> Result<String, GalleryError> {
    Ok(format!("{}/{id}", parse_person_id(person)?))
}

fn apply_record(writer: &mut IndexWriter, record: &impl IncomingRecord) {
    match parse_record(record) {
        Some((key, Some(sample))) => writer.store(key, &sample),
        Some((key, None)) => writer.erase(key),
        None => {}
    }
}

/// A record's key and its sample; a tombstone has none. Logs and skips a record that is neither.
pub fn parse_record(record: &impl IncomingRecord) -> Option<(&str, Option<Sample>)> {
    let Some(key) = record.key().and_then(|key| std::str::from_utf8(key).ok()) else {
        tracing::warn!("ignoring a gallery record without a readable key");
        return None;
    };
    let Some(value) = record.value() else { return Some((key, None)) };
    let sample = parse_sample(value);
    if sample.is_none() {
        tracing::warn!(key = printable(key), "ignoring a gallery record that is not a template");
    }
    Some((key, Some(sample?)))
}

fn parse_sample(value: &[u8]) -> Option<Sample> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let person = Some(clean(&value.person)).filter(|person| !person.is_empty())?;
    let name =
        Some(clean_name(&value.name)).filter(|name| !name.is_empty()).unwrap_or_else(|| person.clone());
    Some(Sample {
        person,
        name,
        model: value.model,
        embedding: value.embedding,
        quality: value.quality,
        source: value.source,
        enrolled_at: value.enrolled_at,
        // A person is recognised without a picture, too.
        thumbnail: BASE64.decode(value.thumbnail).unwrap_or_default(),
        stranger: value.stranger.map(|stranger| clean(&stranger)).filter(|stranger| !stranger.is_empty()),
        negative: value.negative,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key and value of a record.
    struct Written<'a>(Option<&'a [u8]>, Option<&'a [u8]>);

    impl IncomingRecord for Written<'_> {
        fn partition(&self) -> i32 {
            0
        }

        fn offset(&self) -> i64 {
            0
        }

        fn timestamp(&self) -> i64 {
            0
        }

        fn key(&self) -> Option<&[u8]> {
            self.0
        }

        fn value(&self) -> Option<&[u8]> {
            self.1
        }

        fn header(&self, _: &str) -> Option<&str> {
            None
        }
    }

    fn template() -> String {
        BASE64.encode([1.0f32, 0.0].map(f32::to_le_bytes).concat())
    }

    #[test]
    fn the_last_record_counts_and_a_tombstone_erases() {
        let mut writer = IndexWriter::new("m");
        let record = |name: &str| {
            let embedding = template();
            format!(
                r#"{{"person":"ann","name":"{name}","model":"m","embedding":"{embedding}","quality":1,"source":"","enrolledAt":0}}"#
            )
        };
        apply_record(&mut writer, &Written(Some(b"ann/1"), Some(record("Ann").as_bytes())));
        apply_record(&mut writer, &Written(Some(b"ann/1"), Some(record("Anne").as_bytes())));
        assert_eq!(
            writer.index().find("ann").map(|person| (person.name, person.samples)),
            Some(("Anne".into(), 1))
        );
        apply_record(&mut writer, &Written(Some(b"ann/2"), Some(b"no template")));
        apply_record(&mut writer, &Written(None, Some(record("Ann").as_bytes())));
        assert_eq!(writer.index().template_count(), 1);
        apply_record(&mut writer, &Written(Some(b"ann/1"), None));
        assert_eq!(writer.index().people_count(), 0);
    }

    #[test]
    fn ids_and_names_of_records_are_made_valid() {
        let embedding = template();
        let sample = |person: &str, name: &str| {
            let value = serde_json::json!({
                "person": person, "name": name, "model": "m", "embedding": embedding, "quality": 1, "source": "",
                "enrolledAt": 0,
            });
            parse_sample(value.to_string().as_bytes()).map(|sample| (sample.person, sample.name))
        };
        let of = |person: &str, name: &str| Some((person.to_owned(), name.to_owned()));
        assert_eq!(sample("Jose\u{301} ", " Jose\u{301}"), of("Jos\u{e9}", "Jos\u{e9}"));
        assert_eq!(sample("a\x1b[2J", "\u{202e}b\n"), of("a\u{fffd}[2J", "\u{fffd}b"));
        assert_eq!(sample("ann", " "), of("ann", "ann"));
        assert_eq!(sample(" ", "Ann"), None);
    }

    #[test]
    fn an_id_that_would_break_keys_is_refused() {
        assert_eq!(record_key("ann", "1").unwrap(), "ann/1");
        assert_eq!(record_key(" Jose\u{301}", "1").unwrap(), "Jos\u{e9}/1");
        for wrong in ["a/b", "", " ", "a\nb", "a\u{202e}", &"x".repeat(129)] {
            assert!(record_key(wrong, "1").is_err(), "{wrong:?}");
        }
    }
}
