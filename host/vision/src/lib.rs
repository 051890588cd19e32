//! Vision: from an encoded picture to embedded faces.
//!
//! A [`Vision`] is loaded once for the process, and each worker thread has a [`Worker`] of its own. A frame goes through
//! these stages:
//!
//! 1. Any worker checks the header (`header`), decodes the picture (`decode`, `jpeg`, `orientation`) and detects its faces
//!    (`preprocess`, `detector`, `outputs` with `yunet`, `scrfd` and `retinaface`). Between two full searches of a camera, it
//!    searches only what changed (`motion`, `search_plan`, `frame_search`) since the last one, its [`Anchor`]. It aligns the
//!    faces (`align`), makes a [`Thumbnail`] of each and measures its [`Quality`].
//! 2. The [`Tracker`] of the camera assigns the faces to tracks (`face_motion`, `association`), in the order of the frames. It
//!    decides which faces to embed.
//! 3. Any worker embeds these faces (`embedder`).
//! 4. The [`EmbeddingCache`] of the camera gives each face an embedding: the new one, or that of its track, fused from several
//!    views of a small face.
//!
//! Models are described by manifests (`manifest`), imported (`model_import`) and checked (`model_check`). Each is run by the
//! provider that is fastest on this machine (`providers`, `probe`, `machine`, `gpu`). Only `runtime` names ONNX Runtime.
//!
//! All positions and sizes are pixels of the full-size picture, rotated upright if it has an EXIF orientation.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod align;
mod anchor;
mod association;
mod codecs;
mod decode;
mod detections;
mod detector;
mod embedder;
mod embedding_cache;
mod error;
mod face_motion;
mod frame_search;
mod gpu;
mod header;
mod jpeg;
mod machine;
mod manifest;
mod model_check;
mod model_import;
mod models;
mod motion;
mod network;
mod orientation;
mod outputs;
mod pnm;
mod portrait;
mod preprocess;
mod probe;
mod providers;
mod quality;
mod render;
mod retinaface;
mod runtime;
mod scrfd;
mod search_plan;
#[cfg(test)]
mod test_images;
mod thumbnail;
mod track;
mod worker;
mod yunet;

use std::path::Path;
use std::sync::Arc;

pub use anchor::Anchor;
pub use decode::{DecodedPicture, PictureDecoder, check_header, check_whole, decode_smallest, picture_size};
pub use detections::{DetectionTimes, Detections, ShadowCheck};
pub use embedding_cache::EmbeddingCache;
pub use error::{PictureError, VisionError};
pub use everyframe_onnx::{Channels, ImportOptions, Kind};
pub use model_check::{DetectionRate, DetectionRateError, ModelEntry, list_model_entries, measure_detection};
pub use model_import::{ModelImportError, ModelImportReport, import_model, list_pictures};
pub use models::{ModelInUse, Models, models_folder};
pub use portrait::{Degradation, Portrait};
pub use providers::Measurement;
pub use quality::{Quality, Weakness};
pub use render::{DrawnBox, HiddenParts, PictureRenderer};
pub use thumbnail::Thumbnail;
pub use track::{TrackUpdate, TrackedFace, TrackedFrame, Tracker};
pub use worker::{EnrolmentView, Rotation, Worker, WorkerStats};

use embedder::Embedder;
use everyframe_config::VisionSettings;
use models::VerifiedModel;
use runtime::Runtime;

/// The runtime and the verified models of this process.
pub struct Vision {
    runtime: Arc<Runtime>,
    detector: VerifiedModel,
    embedder: VerifiedModel,
    models: Models,
    settings: VisionSettings,
}

impl Vision {
    /// Loads ONNX Runtime, verifies the models, and chooses the fastest provider for each.
    ///
    /// `cache` is the folder of `make setup` with the runtime and the models. The measured times are stored there, too:
    /// the first start on a machine takes a second or two longer.
    ///
    /// # Errors
    ///
    /// See [`VisionError`]: show the message to the person who starts the host; it says what to do.
    pub fn load(settings: &VisionSettings, cache: &Path) -> Result<Self, VisionError> {
        // Workers run in parallel already; OpenCV's own threads would compete with them for cores.
        opencv::core::set_num_threads(1)?;
        let runtime = Runtime::load(settings, cache)?;
        let folder = models_folder(settings, cache);
        let max_side = settings.detector.max_side;
        let prepare = |model, provider| {
            VerifiedModel::load(&runtime, (folder.as_path(), cache), model, (provider, max_side))
        };
        let (detector, detector_in_use) =
            prepare((&settings.detector.model, Kind::Detector), settings.detector.provider)?;
        let (embedder, embedder_in_use) =
            prepare((&settings.embedder.model, Kind::Embedder), settings.embedder.provider)?;
        let models = Models { detector: detector_in_use, embedder: embedder_in_use };
        Ok(Self { runtime, detector, embedder, models, settings: settings.clone() })
    }

    /// Creates a worker with its own model sessions and buffers. This takes about half a second and the memory of both
    /// models.
    ///
    /// # Errors
    ///
    /// ONNX Runtime cannot create another session: show the message to the person who starts the host.
    pub fn worker(&self) -> Result<Worker, VisionError> {
        let detector = self.detector.detector(&self.runtime, &self.settings)?;
        let embedder = self.embedder.network(&self.runtime)?;
        Ok(Worker::new(detector, Embedder::new(embedder, &self.embedder.manifest), &self.settings))
    }

    /// The models in use, and their providers.
    pub fn models(&self) -> &Models {
        &self.models
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vision_is_sync_and_a_worker_is_send() {
        fn shared<T: Send + Sync>() {}
        fn moved<T: Send>() {}
        shared::<Vision>();
        shared::<Detections>();
        moved::<Worker>();
        moved::<Tracker>();
    }
}
