//! Reads the gallery topic, and decrypts its templates.

use crate::person_keys::{ErasureNotice, PersonKeys};
use crate::sample::Sample;
use crate::topic::{GalleryError, parse_sample};
use everyframe_config::Config;
use everyframe_kafka::Reader;
use everyframe_privacy::{DataKeyId, KeyRing};
use everyframe_types::id::printable;
use everyframe_types::record::IncomingRecord;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// A change of the gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct GalleryChange {
    /// The record key, `person/sample`.
    pub key: String,
    /// The sample; none if it was erased.
    pub sample: Option<Sample>,
}

/// Reads the gallery topic with the keys of its people.
pub struct GalleryReader {
    reader: Reader,
    keys: PersonKeys,
}

impl GalleryReader {
    /// Reads from the oldest record on.
    ///
    /// # Errors
    ///
    /// The brokers do not answer; or a key is missing ([`GalleryError::is_wrong_key`]): stop.
    pub fn from_start(config: &Config) -> Result<Self, GalleryError> {
        Self::with_ring(config, Arc::new(KeyRing::load(&config.privacy)?))
    }

    pub(crate) fn with_ring(config: &Config, ring: Arc<KeyRing>) -> Result<Self, GalleryError> {
        // The keys after the end of the gallery is known: then a key that is not there was destroyed.
        let reader = Reader::from_start(&config.kafka, &config.topics.gallery)?;
        Ok(Self { reader, keys: PersonKeys::read(config, ring)? })
    }

    /// The next change; none when the topic is read to the end that it had when the reader was made.
    ///
    /// # Errors
    ///
    /// As [`GalleryReader::from_start`].
    pub fn next_change(&mut self) -> Result<Option<GalleryChange>, GalleryError> {
        while let Some(record) = self.reader.next()? {
            let keys = &self.keys;
            if let Some(change) = read_change(&record, |id, key, text| open_sample(keys, id, key, text))? {
                return Ok(Some(change));
            }
        }
        Ok(None)
    }

    /// Waits for the next change; none after `timeout`.
    ///
    /// # Errors
    ///
    /// As [`GalleryReader::from_start`]. Where Kafka does not answer, call it again.
    pub fn follow(&mut self, timeout: Duration) -> Result<Option<GalleryChange>, GalleryError> {
        let Some(record) = self.reader.follow(timeout)? else { return Ok(None) };
        let keys = &mut self.keys;
        read_change(&record, |id, key, text| {
            keys.wait_for(id)?;
            open_sample(keys, id, key, text)
        })
    }

    /// Reads the notices of erasures that have come. True if there may be new ones.
    ///
    /// # Errors
    ///
    /// As [`GalleryReader::from_start`].
    pub fn refresh_notices(&mut self) -> Result<bool, GalleryError> {
        self.keys.refresh(Duration::ZERO)
    }

    /// The notices of erasures that are kept.
    pub fn notices(&self) -> impl Iterator<Item = &ErasureNotice> {
        self.keys.notices()
    }

    pub(crate) fn into_keys(self) -> PersonKeys {
        self.keys
    }
}

/// Reads all samples in the gallery topic, by record key.
///
/// # Errors
///
/// The brokers do not answer, or refuse this user, or a key is missing: show the message, which says what to do.
pub fn read_samples(config: &Config) -> Result<BTreeMap<String, Sample>, GalleryError> {
    Ok(read_samples_and_keys(config, Arc::new(KeyRing::load(&config.privacy)?))?.0)
}

pub(crate) fn read_samples_and_keys(
    config: &Config,
    ring: Arc<KeyRing>,
) -> Result<(BTreeMap<String, Sample>, PersonKeys), GalleryError> {
    let mut reader = GalleryReader::with_ring(config, ring)?;
    let mut samples = BTreeMap::new();
    while let Some(GalleryChange { key, sample }) = reader.next_change()? {
        match sample {
            Some(sample) => drop(samples.insert(key, sample)),
            None => drop(samples.remove(&key)),
        }
    }
    Ok((samples, reader.into_keys()))
}

/// The text of an encrypted sample; none if its key was destroyed.
fn open_sample(
    keys: &PersonKeys,
    id: DataKeyId,
    key: &str,
    text: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, GalleryError> {
    let Some(data_key) = keys.get(id) else { return Ok(None) };
    match data_key.open(key, text) {
        Ok(json) => Ok(Some(json)),
        Err(error) => {
            tracing::error!(key = printable(key), "a gallery record is ignored: {error}");
            Ok(None)
        }
    }
}

/// A record as a change. Logs and skips a record that is none. A sample whose key was destroyed is erased.
fn read_change(
    record: &impl IncomingRecord,
    open: impl FnOnce(DataKeyId, &str, &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, GalleryError>,
) -> Result<Option<GalleryChange>, GalleryError> {
    let Some(key) = record.key().and_then(|key| std::str::from_utf8(key).ok()) else {
        tracing::warn!("ignoring a gallery record without a readable key");
        return Ok(None);
    };
    let erased = || Ok(Some(GalleryChange { key: key.to_owned(), sample: None }));
    let Some(value) = record.value() else { return erased() };
    let sample = match DataKeyId::of(value) {
        None => parse_sample(value),
        Some(id) => match open(id, key, value)? {
            Some(json) => parse_sample(&json),
            None => return erased(),
        },
    };
    if sample.is_none() {
        tracing::warn!(key = printable(key), "ignoring a gallery record that is not a template");
        return Ok(None);
    }
    Ok(Some(GalleryChange { key: key.to_owned(), sample }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follow::apply_change;
    use crate::index::IndexWriter;
    use crate::topic::format_sample;
    use everyframe_privacy::DataKey;

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

    fn sample(name: &str) -> Vec<u8> {
        let sample = Sample { name: name.into(), ..Sample::for_test("ann", "m", &[1.0, 0.0]) };
        format_sample(&sample).unwrap().to_vec()
    }

    fn apply(writer: &mut IndexWriter, key: Option<&[u8]>, value: Option<&[u8]>) {
        let change = read_change(&Written(key, value), |_, _, _| Ok(None)).unwrap();
        change.into_iter().for_each(|change| apply_change(writer, &change));
    }

    #[test]
    fn the_last_record_counts_and_a_tombstone_erases() {
        let mut writer = IndexWriter::new("m");
        apply(&mut writer, Some(b"ann/1"), Some(&sample("Ann")));
        apply(&mut writer, Some(b"ann/1"), Some(&sample("Anne")));
        let found = writer.index().find("ann").map(|person| (person.name, person.samples));
        assert_eq!(found, Some(("Anne".into(), 1)));
        apply(&mut writer, Some(b"ann/2"), Some(b"no template"));
        apply(&mut writer, None, Some(&sample("Ann")));
        assert_eq!(writer.index().template_count(), 1);
        apply(&mut writer, Some(b"ann/1"), None);
        assert_eq!(writer.index().people_count(), 0);
    }

    #[test]
    fn a_sample_whose_key_was_destroyed_is_erased() {
        let key = DataKey::generate().unwrap();
        let sealed = key.seal("ann/1", &sample("Ann")).unwrap();
        let record = Written(Some(b"ann/1"), Some(&sealed));
        let open = |_: DataKeyId, record_key: &str, text: &[u8]| Ok(Some(key.open(record_key, text)?));
        let change = read_change(&record, open).unwrap().unwrap();
        assert_eq!(change.sample.map(|sample| sample.name), Some("Ann".into()));
        let change = read_change(&record, |_, _, _| Ok(None)).unwrap();
        assert_eq!(change, Some(GalleryChange { key: "ann/1".into(), sample: None }));
    }
}
