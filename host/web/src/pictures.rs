//! Pictures of frames, straight from the frames topic while retention keeps them. Masked parts are painted over.

use crate::problem::Problem;
use crate::views::Place;
use axum::http::StatusCode;
use everyframe_config::{Config, Site};
use everyframe_kafka::{BrokerError, RecordReader};
use everyframe_types::face::Rect;
use everyframe_types::record::camera_id;
use everyframe_vision::{DrawnBox, PictureError, PictureRenderer};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes of encoded frames that are kept for the next question.
const CACHE_BYTES: usize = 64 << 20;
/// Side of the picture of a face, pixels.
const CROP_SIDE: u32 = 240;

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
    cache: Mutex<Cache>,
}

struct Tools {
    reader: RecordReader,
    renderer: PictureRenderer,
}

#[derive(Default)]
struct Cache {
    frames: HashMap<Place, Arc<StoredFrame>>,
    order: VecDeque<Place>,
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
            cache: Mutex::default(),
        }
    }

    /// The frame as it was sent. Blocks.
    ///
    /// # Errors
    ///
    /// See [`NoPicture`].
    pub fn frame(&self, place: Place) -> Result<Arc<StoredFrame>, NoPicture> {
        self.with_tools(|tools| self.read(tools, place))
    }

    /// The frame as a JPEG for people. Blocks.
    ///
    /// # Errors
    ///
    /// See [`NoPicture`].
    pub fn picture(
        &self,
        place: Place,
        max_side: Option<u32>,
        boxes: &[DrawnBox],
    ) -> Result<Vec<u8>, NoPicture> {
        self.with_tools(|tools| {
            let frame = self.read(tools, place)?;
            let masks = self.site.masks_of(&frame.camera);
            let rendered = tools.renderer.render(&frame.bytes, &masks, max_side, boxes)?;
            Ok(rendered.unwrap_or_else(|| frame.bytes.clone()))
        })
    }

    /// The part of a frame around a face as a JPEG. Blocks.
    ///
    /// # Errors
    ///
    /// See [`NoPicture`].
    pub fn crop(&self, place: Place, bounds: &Rect) -> Result<Vec<u8>, NoPicture> {
        self.with_tools(|tools| {
            let frame = self.read(tools, place)?;
            let masks = self.site.masks_of(&frame.camera);
            Ok(tools.renderer.crop(&frame.bytes, &masks, bounds, CROP_SIDE)?)
        })
    }

    fn read(&self, tools: &mut Tools, place: Place) -> Result<Arc<StoredFrame>, NoPicture> {
        if let Some(frame) = self.cache().frames.get(&place) {
            return Ok(frame.clone());
        }
        let topic = &self.config.topics.frames;
        let record = tools.reader.read(topic, place.partition, place.offset)?;
        let record = record.filter(|record| !record.value.is_empty()).ok_or(NoPicture::Gone(place))?;
        let camera = camera_id(record.key.as_deref(), place.partition);
        let frame = Arc::new(StoredFrame { camera, bytes: record.value });
        self.cache().insert(place, frame.clone());
        Ok(frame)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_tools<T>(&self, work: impl FnOnce(&mut Tools) -> Result<T, NoPicture>) -> Result<T, NoPicture> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut tools = match idle {
            Some(tools) => tools,
            None => Tools {
                reader: RecordReader::new(&self.config.kafka)?,
                renderer: PictureRenderer::new(&self.config.vision),
            },
        };
        let done = work(&mut tools);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(tools);
        done
    }
}

impl Cache {
    fn insert(&mut self, place: Place, frame: Arc<StoredFrame>) {
        self.bytes += frame.bytes.len();
        if let Some(old) = self.frames.insert(place, frame) {
            self.bytes -= old.bytes.len();
        } else {
            self.order.push_back(place);
        }
        while self.bytes > CACHE_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(old) = self.frames.remove(&oldest) {
                self.bytes -= old.bytes.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_in_bytes() {
        let mut cache = Cache::default();
        for offset in 0..100 {
            let frame = StoredFrame { camera: "gate".into(), bytes: vec![0; 1 << 20] };
            cache.insert(Place { partition: 0, offset }, Arc::new(frame));
        }
        assert!(cache.bytes <= CACHE_BYTES && cache.frames.len() == cache.order.len());
        assert!(cache.frames.contains_key(&Place { partition: 0, offset: 99 }));
        assert!(!cache.frames.contains_key(&Place { partition: 0, offset: 0 }));
    }
}
