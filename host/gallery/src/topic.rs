//! The gallery's topic: key `person/sample`, value one template; a tombstone erases.

use super::{Index, find_alike_people};
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use everyframe_config::Config;
use everyframe_kafka::{BrokerError, Producer, Reader, Record};
use everyframe_types::face::Embedding;
use everyframe_types::id;
use everyframe_types::id::{MAX_BYTES, clean, clean_name, printable};
use everyframe_types::record::IncomingRecord as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Why the gallery cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GalleryError {
    /// The topic cannot be read or written.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// A text that cannot be a person's id.
    #[error(
        "`{id}` cannot be a person's id: it {fault}; use 1 to {MAX_BYTES} bytes without `/`, control and invisible characters"
    )]
    BadId {
        /// The text, fit to be shown.
        id: String,
        /// What is wrong.
        fault: String,
    },
    /// The thread that follows the topic cannot be started.
    #[error("cannot start the gallery's thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// One template: a person's embedding from one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The person's id.
    pub person: String,
    /// The name to show.
    pub name: String,
    /// The embedding model's sha256.
    pub model: String,
    /// The template.
    pub embedding: Embedding,
    /// The face's quality in the picture, 0 to 1.
    pub quality: f32,
    /// The picture's file name.
    pub source: String,
    /// Unix milliseconds.
    pub enrolled_at: i64,
}

/// How a sample is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    person: String,
    name: String,
    model: String,
    /// Base64 of little-endian 32-bit floats.
    embedding: String,
    quality: f32,
    source: String,
    enrolled_at: i64,
}

/// Writes a sample. `id` names it among the person's samples: the same picture twice is one sample.
pub fn store(producer: &Producer, topic: &str, id: &str, sample: &Sample) -> Result<(), GalleryError> {
    let bytes: Vec<u8> = sample.embedding.values().iter().flat_map(|value| value.to_le_bytes()).collect();
    let value = Value {
        person: parse_person(&sample.person)?,
        name: sample.name.clone(),
        model: sample.model.clone(),
        embedding: BASE64.encode(bytes),
        quality: sample.quality,
        source: sample.source.clone(),
        enrolled_at: sample.enrolled_at,
    };
    let value = serde_json::to_vec(&value).map_err(|error| BrokerError::Other(error.to_string()))?;
    let key = key(&sample.person, id)?;
    let record = Record { topic, key: Some(key.as_bytes()), value: Some(&value), ..Record::default() };
    Ok(producer.send_and_wait(record, TIMEOUT)?)
}

/// Erases all samples of a person, and returns how many there were. This includes samples under another form of the id
/// (decomposed, or with a space at its end).
pub fn remove(config: &Config, producer: &Producer, person: &str) -> Result<usize, GalleryError> {
    let topic = config.topics.gallery.as_str();
    let samples = read(config)?;
    let person = clean(person);
    let keys = samples.iter().filter(|(_, sample)| sample.person == person).map(|(key, _)| key);
    let mut removed = 0;
    for key in keys {
        producer.send_and_wait(Record { topic, key: Some(key.as_bytes()), ..Record::default() }, TIMEOUT)?;
        removed += 1;
    }
    Ok(removed)
}

/// All samples as they are now, by key.
pub fn read(config: &Config) -> Result<BTreeMap<String, Sample>, GalleryError> {
    let mut reader = Reader::from_start(&config.kafka, &config.topics.gallery)?;
    let mut samples = BTreeMap::new();
    read_up(&mut reader, &mut samples)?;
    Ok(samples)
}

fn read_up(reader: &mut Reader, samples: &mut BTreeMap<String, Sample>) -> Result<(), GalleryError> {
    while let Some(record) = reader.next()? {
        apply(samples, record.key(), record.value());
    }
    Ok(())
}

/// The gallery as a running host sees it: read in full before the first frame, followed from then on.
pub struct Gallery {
    index: Arc<ArcSwap<Index>>,
    stop: Arc<AtomicBool>,
    follower: Option<JoinHandle<()>>,
}

impl Gallery {
    /// Reads the topic to its end, and follows it. `model` is the sha256 of the embedding model in use.
    pub fn follow(config: &Config, model: &str) -> Result<Self, GalleryError> {
        let mut reader = Reader::from_start(&config.kafka, &config.topics.gallery)?;
        let mut samples = BTreeMap::new();
        read_up(&mut reader, &mut samples)?;
        let index = Arc::new(ArcSwap::from_pointee(Index::new(samples.values(), model)));
        let others = samples.values().filter(|sample| sample.model != model).count();
        if others > 0 {
            tracing::warn!(
                others,
                "samples of another embedding model are not compared: enrol these people again"
            );
        }
        let stop = Arc::new(AtomicBool::new(false));
        let follower = std::thread::Builder::new().name("gallery".into()).spawn({
            let (index, stop, model) = (index.clone(), stop.clone(), model.to_owned());
            move || {
                warn_of_alike_people(&samples);
                while !stop.load(Ordering::Relaxed) {
                    match reader.follow(Duration::from_millis(250)) {
                        Ok(Some(record)) => {
                            apply(&mut samples, record.key(), record.value());
                            // What came together is taken in together.
                            while let Ok(Some(record)) = reader.follow(Duration::ZERO) {
                                apply(&mut samples, record.key(), record.value());
                            }
                            index.store(Arc::new(Index::new(samples.values(), &model)));
                            tracing::info!(people = index.load().people().len(), "gallery changed");
                        }
                        Ok(None) => {}
                        Err(error) => tracing::debug!(%error, "gallery: waiting for Kafka"),
                    }
                }
            }
        })?;
        Ok(Self { index, stop, follower: Some(follower) })
    }

    /// The index as it is now.
    pub fn now(&self) -> Arc<Index> {
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

/// The most samples that a host compares with each other when it starts. That takes a second of one core.
const MOST_COMPARED: usize = 5000;
/// The most pairs that are named.
const NAMED: usize = 20;

/// Warns of people whom a matching policy cannot tell apart.
fn warn_of_alike_people(samples: &BTreeMap<String, Sample>) {
    if samples.len() > MOST_COMPARED {
        return tracing::info!(
            "the gallery is too large to be compared at the start: `everyframe gallery list` names people who look alike"
        );
    }
    let alike = find_alike_people(samples.values());
    alike.iter().take(NAMED).for_each(|pair| tracing::warn!("{pair}"));
    if alike.len() > NAMED {
        tracing::warn!(
            "{} more pairs of people look alike: see `everyframe gallery list`",
            alike.len() - NAMED
        );
    }
}

/// Normalises and checks a person's id that somebody typed.
///
/// # Errors
///
/// It cannot be an id: ask for another.
pub fn parse_person(text: &str) -> Result<String, GalleryError> {
    let bad = |fault: String| GalleryError::BadId { id: printable(text), fault };
    match id::parse(text, MAX_BYTES) {
        Ok(id) if id.contains('/') => Err(bad("has a `/`".into())),
        Ok(id) => Ok(id),
        Err(fault) => Err(bad(fault.to_string())),
    }
}

fn key(person: &str, id: &str) -> Result<String, GalleryError> {
    Ok(format!("{}/{id}", parse_person(person)?))
}

fn apply(samples: &mut BTreeMap<String, Sample>, key: Option<&[u8]>, value: Option<&[u8]>) {
    let Some(key) = key.and_then(|key| std::str::from_utf8(key).ok()) else {
        return tracing::warn!("a gallery record without a readable key is left out");
    };
    match value.map(parse) {
        None => drop(samples.remove(key)),
        Some(Some(sample)) => drop(samples.insert(key.to_owned(), sample)),
        Some(None) => {
            tracing::warn!(key = printable(key), "a gallery record that is no template is left out")
        }
    }
}

fn parse(value: &[u8]) -> Option<Sample> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let bytes = BASE64.decode(value.embedding).ok()?;
    let numbers: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    let person = Some(clean(&value.person)).filter(|person| !person.is_empty())?;
    let name =
        Some(clean_name(&value.name)).filter(|name| !name.is_empty()).unwrap_or_else(|| person.clone());
    Some(Sample {
        person,
        name,
        model: value.model,
        embedding: Embedding::from_raw(&numbers)?,
        quality: value.quality,
        source: value.source,
        enrolled_at: value.enrolled_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_of_a_key_counts_and_a_tombstone_erases() {
        let mut samples = BTreeMap::new();
        let record = |name: &str| {
            let embedding = BASE64.encode([1.0f32, 0.0].map(f32::to_le_bytes).concat());
            format!(
                r#"{{"person":"ann","name":"{name}","model":"m","embedding":"{embedding}","quality":1,"source":"","enrolledAt":0}}"#
            )
        };
        apply(&mut samples, Some(b"ann/1"), Some(record("Ann").as_bytes()));
        apply(&mut samples, Some(b"ann/1"), Some(record("Anne").as_bytes()));
        assert_eq!(samples["ann/1"].name, "Anne");
        apply(&mut samples, Some(b"ann/2"), Some(b"no template"));
        assert_eq!(samples.len(), 1);
        apply(&mut samples, Some(b"ann/1"), None);
        assert!(samples.is_empty());
    }

    #[test]
    fn ids_and_names_of_foreign_records_are_made_valid() {
        let embedding = BASE64.encode([1.0f32, 0.0].map(f32::to_le_bytes).concat());
        let sample = |person: &str, name: &str| {
            let value = serde_json::json!({
                "person": person, "name": name, "model": "m", "embedding": embedding, "quality": 1, "source": "",
                "enrolledAt": 0,
            });
            parse(value.to_string().as_bytes()).map(|sample| (sample.person, sample.name))
        };
        let of = |person: &str, name: &str| Some((person.to_owned(), name.to_owned()));
        assert_eq!(sample("Jose\u{301} ", " Jose\u{301}"), of("Jos\u{e9}", "Jos\u{e9}"));
        assert_eq!(sample("a\x1b[2J", "\u{202e}b\n"), of("a\u{fffd}[2J", "\u{fffd}b"));
        assert_eq!(sample("ann", " "), of("ann", "ann"));
        assert_eq!(sample(" ", "Ann"), None);
    }

    #[test]
    fn an_id_that_would_break_keys_is_refused() {
        assert_eq!(key("ann", "1").unwrap(), "ann/1");
        assert_eq!(key(" Jose\u{301}", "1").unwrap(), "Jos\u{e9}/1");
        for wrong in ["a/b", "", " ", "a\nb", "a\u{202e}", &"x".repeat(129)] {
            assert!(key(wrong, "1").is_err(), "{wrong:?}");
        }
    }
}
