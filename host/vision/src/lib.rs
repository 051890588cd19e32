//! From an encoded picture to embedded faces.
//!
//! A [`Vision`] is loaded once for the process; each worker thread has a [`Worker`] of its own. A frame is decoded
//! and its faces detected by any worker, its faces are followed by its camera's [`Tracker`] in frame order, and
//! those faces that the tracker says are embedded, by any worker again.
//!
//! All positions and sizes are pixels of the full-size picture, turned upright if it has an EXIF orientation.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod align;
mod decode;
mod detector;
mod embedder;
mod error;
mod header;
mod jpeg;
mod machine;
mod manifest;
mod models;
mod network;
mod orientation;
mod preprocess;
mod probe;
mod providers;
mod quality;
mod runtime;
#[cfg(test)]
mod test_images;
mod thumbnail;
mod track;
mod worker;
mod yunet;

use std::path::Path;
use std::sync::Arc;

pub use decode::{DecodedPicture, PictureDecoder, check_header, check_whole};
pub use error::{PictureError, VisionError};
pub use models::{ModelInUse, Models};
pub use providers::Measured;
pub use quality::quality;
pub use thumbnail::Thumbnail;
pub use track::{Followed, TrackedFace, TrackedFrame, Tracker};
pub use worker::{Detections, EnrolmentView, Spent, Times, Turn, Worker};

use detector::Detector;
use embedder::Embedder;
use everyframe_config::VisionSettings;
use manifest::Kind;
use models::Ready;
use runtime::Runtime;

/// The runtime and the verified models of this process.
pub struct Vision {
    runtime: Arc<Runtime>,
    detector: Ready,
    embedder: Ready,
    models: Models,
    settings: VisionSettings,
}

impl Vision {
    /// Loads ONNX Runtime, verifies the models, and chooses how to run them.
    ///
    /// `cache` is the folder where `make setup` puts runtime and models, and where it is remembered what is fastest
    /// here. The first time on a machine takes a second or two, for measuring.
    ///
    /// # Errors
    /// See [`VisionError`]: each says what to do.
    pub fn load(settings: &VisionSettings, cache: &Path) -> Result<Self, VisionError> {
        // Workers are the parallelism: OpenCV's own threads would only get in their way.
        opencv::core::set_num_threads(1)?;
        let runtime = Runtime::load(settings, cache)?;
        let folder = settings.models.clone().unwrap_or_else(|| cache.join("models"));
        let prepare = |model, provider| Ready::prepare(&runtime, (folder.as_path(), cache), model, provider);
        let (detector, detector_in_use) =
            prepare((&settings.detector.model, Kind::Detector), settings.detector.provider)?;
        let (embedder, embedder_in_use) =
            prepare((&settings.embedder.model, Kind::Embedder), settings.embedder.provider)?;
        let models = Models { detector: detector_in_use, embedder: embedder_in_use };
        Ok(Self { runtime, detector, embedder, models, settings: settings.clone() })
    }

    /// A worker with sessions and buffers of its own. Takes about half a second and the memory of both models.
    ///
    /// # Errors
    /// If ONNX Runtime can't make another session.
    pub fn worker(&self) -> Result<Worker, VisionError> {
        let detector = self.detector.network(&self.runtime)?;
        let embedder = self.embedder.network(&self.runtime)?;
        Ok(Worker::new(
            Detector::new(detector, &self.detector.manifest, &self.settings.detector),
            Embedder::new(embedder, &self.embedder.manifest),
            &self.settings,
        ))
    }

    /// The models in use and how they are run.
    pub fn models(&self) -> &Models {
        &self.models
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vision_is_shared_and_a_worker_moves_to_its_thread() {
        fn shared<T: Send + Sync>() {}
        fn moved<T: Send>() {}
        shared::<Vision>();
        shared::<Detections>();
        moved::<Worker>();
        moved::<Tracker>();
    }
}
