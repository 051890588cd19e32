//! Lists the models of a folder, and measures the models in use on a folder of people.

use std::path::{Path, PathBuf};

use super::Vision;
use super::error::{PictureError, VisionError};
use super::manifest::{Kind, Model, list_models};
use super::model_import::list_pictures;
use super::models::{ModelInUse, VerifiedModel, models_folder};
use super::runtime::Runtime;
use everyframe_config::{Provider, VisionSettings};

/// A model of the models' folder, for display.
#[derive(Debug)]
pub struct ModelEntry {
    /// The manifest's name.
    pub name: String,
    /// What it computes; none if the manifest cannot be read.
    pub kind: Option<Kind>,
    /// True if the configuration names it.
    pub configured: bool,
    /// How it runs on this machine, or why it does not.
    pub state: Result<ModelInUse, VisionError>,
}

/// Lists all models of the models' folder, each with its fastest provider. A model that was never measured on this machine is
/// measured now.
///
/// # Errors
///
/// ONNX Runtime cannot be loaded. An error of one model is in its entry.
pub fn list_model_entries(settings: &VisionSettings, cache: &Path) -> Result<Vec<ModelEntry>, VisionError> {
    let runtime = Runtime::load(settings, cache)?;
    let folder = models_folder(settings, cache);
    let entry = |name: String| {
        let manifest = Model::read_manifest(&folder, &name);
        let kind = manifest.as_ref().ok().map(|manifest| manifest.kind);
        let used = [
            (Kind::Detector, &settings.detector.model, settings.detector.provider),
            (Kind::Embedder, &settings.embedder.model, settings.embedder.provider),
        ];
        let used = used.iter().find(|(used, model, _)| Some(*used) == kind && **model == name);
        let provider = used.map_or(Provider::Auto, |(_, _, provider)| *provider);
        let state = manifest.and_then(|manifest| {
            let folders = (folder.as_path(), cache);
            let how = (provider, settings.detector.max_side);
            Ok(VerifiedModel::load(&runtime, folders, (&name, manifest.kind), how)?.1)
        });
        ModelEntry { configured: used.is_some(), name, kind, state }
    };
    Ok(list_models(&folder).into_iter().map(entry).collect())
}

/// What the detector finds in a folder of pictures.
#[derive(Debug, Default)]
pub struct DetectionRate {
    /// Pictures that were searched.
    pub pictures: usize,
    /// Those with exactly one face.
    pub one_face: usize,
    /// Those with several faces.
    pub several_faces: usize,
    /// Those without a face.
    pub without_face: Vec<PathBuf>,
    /// Files that are no pictures, and why.
    pub refused: Vec<(PathBuf, PictureError)>,
    /// Faces that were embedded.
    pub embedded: usize,
}

/// Detects and embeds the faces of all pictures in a folder and its subfolders.
///
/// # Errors
///
/// The folder cannot be read, or no session can be created. An error of one picture is counted.
pub fn measure_detection(vision: &Vision, folder: &Path) -> Result<DetectionRate, DetectionRateError> {
    let unreadable = |error| DetectionRateError::Folder { path: folder.to_owned(), error };
    let mut worker = vision.worker()?;
    let mut rate = DetectionRate::default();
    for path in list_pictures(folder).map_err(unreadable)? {
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        let seen = match worker.detect_for_enrolment(&bytes, &[]) {
            Ok(view) => view.detections,
            Err(error) => {
                rate.refused.push((path, error));
                continue;
            }
        };
        rate.pictures += 1;
        match seen.detections.len() {
            0 => rate.without_face.push(path),
            1 => rate.one_face += 1,
            _ => rate.several_faces += 1,
        }
        let embeddings = worker.embed(&bytes, &[], &seen, &seen.detections);
        rate.embedded += embeddings.unwrap_or_default().iter().flatten().count();
    }
    Ok(rate)
}

/// Why a folder cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum DetectionRateError {
    /// The folder or a file of it cannot be read.
    #[error("{path}: {error}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The models cannot be used.
    #[error(transparent)]
    Vision(#[from] VisionError),
}
