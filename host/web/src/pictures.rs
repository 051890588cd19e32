//! Pictures of frames, straight from the frames topic while retention keeps them. Masked parts are painted over.

use crate::problem::Problem;
use crate::views::Place;
use axum::http::StatusCode;
use everyframe_config::{Config, HidingMethod, Polygon, Site};
use everyframe_kafka::{BrokerError, RecordReader};
use everyframe_notify::PictureSource;
use everyframe_types::face::Rect;
use everyframe_types::record::camera_id;
use everyframe_vision::{DrawnBox, HiddenParts, PictureError, PictureRenderer};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most bytes of frames, and of rendered pictures, that are kept for the next request: browsers show the same ones.
const CACHE_BYTES: usize = 32 << 20;
/// Requests for the same frame wait for each other, so that it is read and rendered once. Others share this many locks.
const LOCKS: usize = 32;
/// Side of the picture of a face, pixels.
const CROP_SIDE: u32 = 240;
/// The longer side of a picture that is attached to a message, pixels.
const ATTACHED_SIDE: u32 = 1280;

/// A frame as it was sent.
#[derive(Debug)]
pub struct StoredFrame {
    /// The camera's id.
    pub camera: String,
    /// The encoded picture.
    pub bytes: Vec<u8>,
}

/// Reads frames and renders them.
pub struct Pictures {
    config: Config,
    site: Site,
    /// Readers and renderers that nobody uses at the moment.
    idle: Mutex<Vec<Tools>>,
    frames: Mutex<Cache<Place, StoredFrame>>,
    /// Without boxes.
    rendered: Mutex<Cache<PictureKey, Vec<u8>>>,
    locks: [Mutex<()>; LOCKS],
}

/// A frame, and the longer side of its picture, pixels; full size if none.
type PictureKey = (Place, Option<u32>);

struct Tools {
    reader: RecordReader,
    renderer: PictureRenderer,
}

/// The last values, at most [`CACHE_BYTES`] of them.
struct Cache<K, V> {
    values: HashMap<K, (Arc<V>, usize)>,
    order: VecDeque<K>,
    bytes: usize,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum NoPicture {
    /// The brokers do not answer.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The frame is not there.
    #[error("the frame {partition}/{offset} is not in the frames topic: retention has deleted it, or it never was", partition = .0.partition, offset = .0.offset)]
    Gone(Place),
    /// The picture cannot be decoded.
    #[error("the picture cannot be shown: {0}")]
    Picture(#[from] PictureError),
}

impl From<NoPicture> for Problem {
    fn from(error: NoPicture) -> Self {
        match error {
            NoPicture::Broker(error) => error.into(),
            error @ NoPicture::Gone(_) => Self::new(StatusCode::GONE, error.to_string()),
            error @ NoPicture::Picture(_) => Self::unprocessable(error.to_string()),
        }
    }
}

impl Pictures {
    /// Pictures of the frames topic of this configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            site: Site::new(config),
            idle: Mutex::default(),
            frames: Mutex::new(Cache::new()),
            rendered: Mutex::new(Cache::new()),
            locks: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// The frame as it was sent. Blocks.
    ///
    /// # Errors
    ///
    /// See [`NoPicture`].
    pub fn frame(&self, place: Place) -> Result<Arc<StoredFrame>, NoPicture> {
        self.with_tools(place, |tools| self.read(tools, place))
    }

    /// The masks of a camera.
    pub fn masks_of(&self, camera: &str) -> Vec<&Polygon> {
        self.site.masks_of(camera)
    }

    /// A picture of a camera, with its masks, as a JPEG for people. Blocks.
    ///
    /// # Errors
    ///
    /// The picture cannot be decoded.
    pub fn mask(&self, camera: &str, encoded: &[u8]) -> Result<Vec<u8>, PictureError> {
        let mut renderer = PictureRenderer::new(&self.config.vision);
        let painted = self.site.masks_of(camera);
        let hidden = HiddenParts { painted: &painted, blurred: &[] };
        let rendered = renderer.render(encoded, hidden, None, &[])?;
        Ok(rendered.unwrap_or_else(|| encoded.to_vec()))
    }

    /// The frame as a JPEG for people, without what is in the parts `hidden`. Blocks.
    ///
    /// # Errors
    ///
    /// See [`NoPicture`].
    pub fn picture(
        &self,
        place: Place,
        max_side: Option<u32>,
        boxes: &[DrawnBox],
        hidden: &[Polygon],
    ) -> Result<Arc<Vec<u8>>, NoPicture> {
        self.with_tools(place, |tools| {
            let key = (place, max_side);
            let is_plain = boxes.is_empty() && hidden.is_empty();
            if is_plain && let Some(picture) = lock(&self.rendered).get(&key) {
                return Ok(picture);
            }
            let frame = self.read(tools, place)?;
            let (painted, blurred) = self.hidden_parts(&frame.camera, hidden);
            let hidden = HiddenParts { painted: &painted, blurred: &blurred };
            let rendered = tools.renderer.render(&frame.bytes, hidden, max_side, boxes)?;
            let picture = Arc::new(rendered.unwrap_or_else(|| frame.bytes.clone()));
            if is_plain {
                lock(&self.rendered).insert(key, picture.clone(), picture.len());
            }
            Ok(picture)
        })
    }

    /// The part of a frame around a face as a JPEG, without what is in the parts `hidden` of the frame. Blocks.
    ///
    /// # Errors
    ///
    /// See [`NoPicture`].
    pub fn crop(&self, place: Place, bounds: &Rect, hidden: &[Polygon]) -> Result<Vec<u8>, NoPicture> {
        self.with_tools(place, |tools| {
            let frame = self.read(tools, place)?;
            let (painted, blurred) = self.hidden_parts(&frame.camera, hidden);
            let hidden = HiddenParts { painted: &painted, blurred: &blurred };
            Ok(tools.renderer.crop(&frame.bytes, hidden, bounds, CROP_SIDE)?)
        })
    }

    /// What is painted over in a camera's picture, and what is blurred: its masks, and the parts `hidden`, as the configuration says.
    fn hidden_parts<'a>(
        &'a self,
        camera: &str,
        hidden: &'a [Polygon],
    ) -> (Vec<&'a Polygon>, Vec<&'a Polygon>) {
        let mut painted = self.site.masks_of(camera);
        match self.config.privacy.hide_by {
            HidingMethod::Painting => {
                painted.extend(hidden);
                (painted, Vec::new())
            }
            HidingMethod::Blur => (painted, hidden.iter().collect()),
        }
    }

    fn read(&self, tools: &mut Tools, place: Place) -> Result<Arc<StoredFrame>, NoPicture> {
        if let Some(frame) = lock(&self.frames).get(&place) {
            return Ok(frame);
        }
        let topic = &self.config.topics.frames;
        let record = tools.reader.read(topic, place.partition, place.offset)?;
        let record = record.filter(|record| !record.value.is_empty()).ok_or(NoPicture::Gone(place))?;
        let camera = camera_id(record.key.as_deref(), place.partition);
        let frame = Arc::new(StoredFrame { camera, bytes: record.value });
        lock(&self.frames).insert(place, frame.clone(), frame.bytes.len());
        Ok(frame)
    }

    fn with_tools<T>(
        &self,
        place: Place,
        work: impl FnOnce(&mut Tools) -> Result<T, NoPicture>,
    ) -> Result<T, NoPicture> {
        let _one = lock(&self.locks[place.offset.unsigned_abs() as usize % LOCKS]);
        let idle = lock(&self.idle).pop();
        let mut tools = match idle {
            Some(tools) => tools,
            None => Tools {
                reader: RecordReader::new(&self.config.kafka)?,
                renderer: PictureRenderer::new(&self.config.vision),
            },
        };
        let done = work(&mut tools);
        lock(&self.idle).push(tools);
        done
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PictureSource for Pictures {
    fn picture(&self, partition: i32, offset: i64, face: Option<&Rect>) -> Option<Arc<Vec<u8>>> {
        // Only who is in the picture says whom it may show, and a notifier does not know that.
        if self.config.privacy.hide_without_consent {
            return None;
        }
        let place = Place { partition, offset };
        let picture = match face {
            Some(bounds) => self.crop(place, bounds, &[]).map(Arc::new),
            None => self.picture(place, Some(ATTACHED_SIDE), &[], &[]),
        };
        let missing = |error: &NoPicture| {
            tracing::warn!(partition, offset, "a message is sent without its picture: {error}");
        };
        picture.inspect_err(missing).ok()
    }
}

impl<K: Copy + Eq + Hash, V> Cache<K, V> {
    fn new() -> Self {
        Self { values: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }

    fn get(&self, key: &K) -> Option<Arc<V>> {
        self.values.get(key).map(|(value, _)| value.clone())
    }

    fn insert(&mut self, key: K, value: Arc<V>, bytes: usize) {
        self.bytes += bytes;
        match self.values.insert(key, (value, bytes)) {
            Some((_, old)) => self.bytes -= old,
            None => self.order.push_back(key),
        }
        while self.bytes > CACHE_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some((_, old)) = self.values.remove(&oldest) {
                self.bytes -= old;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_in_bytes() {
        let mut cache = Cache::new();
        (0..100).for_each(|number| cache.insert(number, Arc::new(number), 1 << 20));
        cache.insert(99, Arc::new(7), 1 << 20);
        assert!(cache.bytes <= CACHE_BYTES && cache.values.len() == cache.order.len());
        assert_eq!((cache.get(&99).as_deref(), cache.get(&0)), (Some(&7), None));
    }
}
