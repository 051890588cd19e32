//! Follows the gallery in a running host.

use crate::gallery_reader::{GalleryChange, GalleryReader};
use crate::index::{Index, IndexWriter};
use crate::person_keys::Erasures;
use crate::similar_people::{Template, find_similar_people};
use crate::topic::GalleryError;
use arc_swap::ArcSwap;
use everyframe_config::Config;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The gallery of a running host: it is read in full before the first frame, and follows the topic from then on.
pub struct Gallery {
    index: Arc<ArcSwap<Index>>,
    erasures: Arc<ArcSwap<Erasures>>,
    failure: Arc<OnceLock<GalleryError>>,
    stop: Arc<AtomicBool>,
    follower: Option<JoinHandle<()>>,
}

impl Gallery {
    /// Reads the topic to its end, and starts a thread that follows it. `model` is the SHA-256 of the embedding model in use.
    ///
    /// # Errors
    ///
    /// The brokers do not answer, a key is missing, or the thread cannot be started: do not take in frames.
    pub fn follow(config: &Config, model: &str) -> Result<Self, GalleryError> {
        let mut reader = GalleryReader::from_start(config)?;
        let mut writer = IndexWriter::new(model);
        while let Some(change) = reader.next_change()? {
            apply_change(&mut writer, &change);
        }
        let erasures = Arc::new(ArcSwap::from_pointee(Erasures::new(reader.notices().cloned().collect())));
        let failure = Arc::new(OnceLock::new());
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
            let (erasures, failure) = (erasures.clone(), failure.clone());
            move || {
                warn_of_similar_people(writer.index(), &model);
                while !stop.load(Ordering::Relaxed) {
                    match follow_once(&mut reader, &mut writer, &index, &erasures) {
                        Ok(()) => {}
                        Err(error) if error.is_wrong_key() => return drop(failure.set(error)),
                        Err(error) => tracing::debug!(%error, "gallery: Kafka does not answer; trying again"),
                    }
                }
            }
        })?;
        Ok(Self { index, erasures, failure, stop, follower: Some(follower) })
    }

    /// The erasures of the last time.
    pub fn erasures(&self) -> Arc<Erasures> {
        self.erasures.load_full()
    }

    /// Why the gallery is not followed any more: a key is missing. Stop; who was enrolled since would be taken for unknown.
    pub fn failure(&self) -> Option<&GalleryError> {
        self.failure.get()
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

/// How long one wait for a change is.
const WAIT: Duration = Duration::from_millis(250);

/// Waits for a change, and applies it and those that wait behind it.
fn follow_once(
    reader: &mut GalleryReader,
    writer: &mut IndexWriter,
    index: &ArcSwap<Index>,
    erasures: &ArcSwap<Erasures>,
) -> Result<(), GalleryError> {
    let mut next = reader.follow(WAIT)?;
    let (since, has_news) = (Instant::now(), next.is_some());
    while let Some(change) = next {
        apply_change(writer, &change);
        next = if since.elapsed() > PUBLISH_AFTER { None } else { reader.follow(Duration::ZERO)? };
    }
    if has_news {
        index.store(Arc::new(writer.index().clone()));
        tracing::info!(people = writer.index().people_count(), "gallery changed");
    }
    if reader.refresh_notices()? {
        erasures.store(Arc::new(Erasures::new(reader.notices().cloned().collect())));
    }
    Ok(())
}

pub(crate) fn apply_change(writer: &mut IndexWriter, change: &GalleryChange) {
    match &change.sample {
        Some(sample) => writer.store(&change.key, sample),
        None => writer.erase(&change.key),
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
