//! Imports a model: repairs it, compares it with the original on real faces, and writes it into a models' folder.

use std::path::{Path, PathBuf};

use opencv::core::{BorderTypes, Mat, MatTraitConst, MatTraitConstManual, Scalar, copy_make_border};

use super::align::SIDE;
use super::decode::Decoder;
use super::detector::{Detector, Search};
use super::embedder::Embedder;
use super::error::{PictureError, VisionError};
use super::header;
use super::manifest::Kind;
use super::models::{VerifiedModel, models_folder};
use super::network::{Network, Tensor};
use super::outputs::{OutputDecoder, STRIDES};
use super::preprocess::Planes;
use super::probe::compare_detections;
use super::runtime::Runtime;
use super::worker::Worker;
use super::yunet::non_max_suppression;
use everyframe_config::{Provider, VisionSettings};
use everyframe_onnx::{ImportError, ImportOptions, Imported, Repairs, import};
use everyframe_types::face::Embedding;

/// The least cosine of an embedding to that of the original. The repairs change nothing but the order of additions.
const SAME_EMBEDDING: f32 = 0.9999;
/// Height and width at which a detector is compared if the original takes any.
const ANY_SIZE: usize = 640;
/// Other heights and widths at which a detector must run.
const OTHER_SIZES: [(usize, usize); 2] = [(384, 640), (96, 160)];
/// Detections of a lower score are not compared.
const MIN_SCORE: f32 = 0.5;
/// The overlap of two boxes of one face.
const SAME_FACE: f32 = 0.3;

/// Why a model was not imported. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ModelImportError {
    /// The file, or the folder, cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The file is no model that can be imported.
    #[error(transparent)]
    Model(#[from] ImportError),
    /// ONNX Runtime, or the detector that finds the faces, cannot be used.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// There is a model of this name.
    #[error("{0} exists; give another --name, or remove it first")]
    Exists(PathBuf),
    /// The model does not run as the host would run it.
    #[error("the repaired model does not run: {0}")]
    DoesNotRun(String),
    /// The repaired model differs from the original.
    #[error("the repaired model differs from the original on {picture}: {reason}; please report this")]
    Differs {
        /// The picture.
        picture: PathBuf,
        /// How it differs.
        reason: String,
    },
    /// There is nothing to compare with.
    #[error("no face found in the pictures of {0}; give a folder of pictures with faces (--pictures)")]
    NoFaces(PathBuf),
}

/// An imported model, for display.
#[derive(Debug, Clone)]
pub struct ModelImportReport {
    /// The manifest's file.
    pub manifest: PathBuf,
    /// The manifest as TOML.
    pub text: String,
    /// What was changed in the model.
    pub repairs: Repairs,
    /// The number of faces on which it was compared.
    pub faces: usize,
    /// Why the original was not compared; none if it was. The variants were then only compared with each other.
    pub original_refused: Option<String>,
    /// Of an embedder: the least cosine to the original's embedding.
    pub least_cosine: Option<f32>,
}

/// Imports the model in `file` into the folder `into`, as `options` describe it. `pictures` is a folder with pictures of faces. The
/// configured detector finds the faces for an embedder.
///
/// # Errors
///
/// See [`ModelImportError`]: nothing was written; the message says what to do.
pub fn import_model(
    settings: &VisionSettings,
    cache: &Path,
    file: &Path,
    options: &ImportOptions,
    (into, pictures): (&Path, &Path),
) -> Result<ModelImportReport, ModelImportError> {
    let path = into.join(format!("{}.toml", options.name));
    if path.exists() {
        return Err(ModelImportError::Exists(path));
    }
    let bytes = std::fs::read(file).map_err(in_file(file))?;
    let mut imported = import(&bytes, options)?;
    let runtime = Runtime::load(settings, cache)?;
    let paths = list_pictures(pictures).map_err(in_file(pictures))?;
    let verified = match options.kind {
        Kind::Detector => verify_detector(&runtime, settings, &imported, &paths)?,
        Kind::Embedder => {
            imported.manifest.dimension = Some(measure_dimension(&runtime, &imported)?);
            let (detector, _) = VerifiedModel::load(
                &runtime,
                (&models_folder(settings, cache), cache),
                (&settings.detector.model, Kind::Detector),
                (settings.detector.provider, settings.detector.max_side),
            )?;
            verify_embedder(&runtime, settings, &imported, &detector, &paths)?
        }
    };
    if verified.faces == 0 {
        return Err(ModelImportError::NoFaces(pictures.into()));
    }
    imported.manifest.check(&options.name).map_err(ModelImportError::DoesNotRun)?;
    let text =
        toml::to_string(&imported.manifest).map_err(|e| ModelImportError::DoesNotRun(e.to_string()))?;
    std::fs::create_dir_all(into).map_err(in_file(into))?;
    // The manifest comes last: without it, the host does not see the other files.
    for (name, bytes) in &imported.files {
        let path = into.join(name);
        std::fs::write(&path, bytes).map_err(in_file(&path))?;
    }
    std::fs::write(&path, &text).map_err(in_file(&path))?;
    Ok(ModelImportReport {
        manifest: path,
        text,
        repairs: imported.repairs,
        faces: verified.faces,
        original_refused: verified.original_refused,
        least_cosine: verified.least_cosine,
    })
}

fn in_file(path: &Path) -> impl FnOnce(std::io::Error) -> ModelImportError {
    let path = path.to_owned();
    |error| ModelImportError::File { path, error }
}

/// All pictures in a folder and its subfolders, sorted: files that end in `.jpg`, `.jpeg`, `.png` or `.webp`.
///
/// # Errors
///
/// A folder cannot be read.
pub fn list_pictures(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
            if path.is_dir() {
                folders.push(path);
            } else if extension.is_some_and(|e| ["jpg", "jpeg", "png", "webp"].contains(&e.as_str())) {
                pictures.push(path);
            }
        }
    }
    pictures.sort();
    Ok(pictures)
}

/// What the comparison found.
struct Verified {
    faces: usize,
    original_refused: Option<String>,
    least_cosine: Option<f32>,
}

/// The networks of the repaired variants, on the reference provider.
fn load_variants(runtime: &Runtime, imported: &Imported) -> Result<Vec<Box<dyn Network>>, ModelImportError> {
    let load = |(file, bytes): &(String, Vec<u8>)| {
        let network = runtime.network(bytes, &imported.manifest.input, Provider::Cpu);
        network.map_err(|reason| ModelImportError::DoesNotRun(format!("{file}: {reason}")))
    };
    imported.files.iter().map(load).collect()
}

/// Runs an embedder on a black crop: the length of its output is that of an embedding.
fn measure_dimension(runtime: &Runtime, imported: &Imported) -> Result<usize, ModelImportError> {
    let wrong = |side: &Option<usize>| side.is_some_and(|side| side != SIDE);
    if imported.original_size.iter().any(wrong) {
        return Err(ModelImportError::DoesNotRun(format!(
            "an embedder must take aligned faces of {SIDE} × {SIDE} pixels; this one takes {:?}",
            imported.original_size
        )));
    }
    let mut variants = load_variants(runtime, imported)?;
    let mut planes = Planes::for_model(&imported.manifest);
    planes.reshape(1, (SIDE, SIDE), 1);
    let mut length = 0;
    for network in &mut variants {
        let answer = network.run(&planes).map_err(|e| ModelImportError::DoesNotRun(e.to_string()))?;
        length = answer.first().map_or(0, |tensor| tensor.values.len());
    }
    Ok(length)
}

fn verify_embedder(
    runtime: &Runtime,
    settings: &VisionSettings,
    imported: &Imported,
    detector: &VerifiedModel,
    pictures: &[PathBuf],
) -> Result<Verified, ModelImportError> {
    let manifest = &imported.manifest;
    let worker = |network: Box<dyn Network>| -> Result<Worker, ModelImportError> {
        let finder = detector.detector(runtime, settings)?;
        Ok(Worker::new(finder, Embedder::new(network, manifest), settings))
    };
    let mut variants =
        load_variants(runtime, imported)?.into_iter().map(worker).collect::<Result<Vec<_>, _>>()?;
    let original = runtime.network(&imported.original, &manifest.input, Provider::Cpu);
    let (mut original, mut original_refused) = match original.map(worker) {
        Ok(original) => (Some(original?), None),
        Err(reason) => (None, Some(reason.trim_end().to_owned())),
    };
    let mut verified = Verified { faces: 0, original_refused: None, least_cosine: None };
    for path in pictures {
        let Ok(bytes) = std::fs::read(path) else { continue };
        let Some(Ok(seen)) = variants.first_mut().map(|worker| worker.detect(&bytes, &[])) else { continue };
        let does_not_run = |e: PictureError| ModelImportError::DoesNotRun(e.to_string());
        // The original may take a single face only.
        let mut reference = Vec::new();
        if let Some(worker) = &mut original {
            for face in &seen.detections {
                match worker.embed(&bytes, &[], &seen, std::slice::from_ref(face)) {
                    Ok(one) => reference.extend(one),
                    Err(error) => {
                        original_refused = Some(error.to_string().trim_end().to_owned());
                        break;
                    }
                }
            }
        }
        if original_refused.is_some() {
            original = None;
            reference.clear();
        }
        for worker in &mut variants {
            // All faces of the picture in one batch, which the repair has made possible.
            let embeddings = worker.embed(&bytes, &[], &seen, &seen.detections).map_err(does_not_run)?;
            if reference.is_empty() {
                reference = embeddings;
                continue;
            }
            let least = compare_embeddings(&reference, &embeddings)
                .map_err(|reason| ModelImportError::Differs { picture: path.clone(), reason })?;
            verified.least_cosine = Some(verified.least_cosine.map_or(least, |before| before.min(least)));
        }
        verified.faces += seen.detections.len();
    }
    verified.original_refused = original_refused;
    Ok(verified)
}

/// The least cosine of two embeddings of the same face.
fn compare_embeddings(one: &[Option<Embedding>], other: &[Option<Embedding>]) -> Result<f32, String> {
    if one.len() != other.len() {
        return Err(format!("{} embeddings instead of {}", other.len(), one.len()));
    }
    let mut least: f32 = 1.0;
    for (one, other) in one.iter().zip(other) {
        match (one, other) {
            (Some(one), Some(other)) => least = least.min(one.similarity(other)),
            (None, None) => {}
            _ => return Err("one of the two gives no embedding".into()),
        }
    }
    if least >= SAME_EMBEDDING {
        Ok(least)
    } else {
        Err(format!("cosine {least:.5}, wanted {SAME_EMBEDDING}"))
    }
}

fn verify_detector(
    runtime: &Runtime,
    settings: &VisionSettings,
    imported: &Imported,
    pictures: &[PathBuf],
) -> Result<Verified, ModelImportError> {
    let manifest = &imported.manifest;
    let [height, width] = imported.original_size.map(|side| side.unwrap_or(ANY_SIZE));
    let mut variants = load_variants(runtime, imported)?;
    let original = runtime.network(&imported.original, &manifest.input, Provider::Cpu);
    let (mut original, mut original_refused) = match original {
        Ok(original) => (Some(original), None),
        Err(reason) => (None, Some(reason.trim_end().to_owned())),
    };
    let (outputs, mut planes) = (OutputDecoder::new(manifest), Planes::for_model(manifest));
    let find = |answer: &[Tensor], size| {
        outputs.decode(answer, size, MIN_SCORE).map(|found| non_max_suppression(found, SAME_FACE))
    };
    let does_not_run = |e: PictureError| ModelImportError::DoesNotRun(e.to_string());
    let mut decoder = Decoder::new(settings);
    let mut faces = 0;
    for path in pictures {
        let Ok(bytes) = std::fs::read(path) else { continue };
        let Ok(picture) = fit_picture(&mut decoder, settings, &bytes, (height, width)) else { continue };
        let pixels = picture.data_bytes().map_err(VisionError::from)?;
        planes.reshape(1, (height, width), 1);
        planes.write(0, pixels);
        let mut reference = None;
        if let Some(network) = &mut original {
            match network.run(&planes).and_then(|answer| find(answer, (height, width))) {
                Ok(found) => reference = Some(found),
                Err(error) => original_refused = Some(error.to_string().trim_end().to_owned()),
            }
        }
        if original_refused.is_some() {
            original = None;
        }
        for network in &mut variants {
            let answer = network.run(&planes).map_err(does_not_run)?;
            let found = find(answer, (height, width)).map_err(does_not_run)?;
            let reference = reference.get_or_insert_with(|| found.clone());
            compare_detections(reference, &found)
                .map_err(|reason| ModelImportError::Differs { picture: path.clone(), reason })?;
        }
        faces += reference.map_or(0, |found| found.len());
    }
    for size in OTHER_SIZES {
        let [_, _, widest] = STRIDES;
        planes.reshape(1, size, widest);
        for network in &mut variants {
            let answer = network.run(&planes).map_err(does_not_run)?;
            find(answer, size).map_err(does_not_run)?;
        }
    }
    // As the host searches pictures of cameras.
    let parts = load_variants(runtime, imported)?.into_iter().next();
    if let Some((whole, parts)) = variants.into_iter().next().zip(parts) {
        let detector = Detector::new(whole, parts, manifest, settings);
        check_detection(detector, settings, &mut decoder, pictures)?;
    }
    Ok(Verified { faces, original_refused, least_cosine: None })
}

/// Searches the pictures at their own size, as a host does.
fn check_detection(
    mut detector: Detector,
    settings: &VisionSettings,
    decoder: &mut Decoder,
    pictures: &[PathBuf],
) -> Result<(), ModelImportError> {
    for path in pictures {
        let Ok(bytes) = std::fs::read(path) else { continue };
        let Ok(header) = header::inspect(&bytes, settings.max_pixels) else { continue };
        let side = settings.detector.max_side;
        let Ok(decoded) = decoder.decode_within(&bytes, header, &[], side) else { continue };
        let found = detector.detect(decoded.pixels, Search::AllSizes);
        found.map_err(|e| ModelImportError::DoesNotRun(e.to_string()))?;
    }
    Ok(())
}

/// The picture, scaled down to fit into a height and width, with black on the right and below.
fn fit_picture(
    decoder: &mut Decoder,
    settings: &VisionSettings,
    bytes: &[u8],
    (height, width): (usize, usize),
) -> Result<Mat, PictureError> {
    let header = header::inspect(bytes, settings.max_pixels)?;
    let side = u32::try_from(height.min(width)).unwrap_or(u32::MAX);
    let decoded = decoder.decode_within(bytes, header, &[], side)?;
    let missing = |side: usize, has: i32| i32::try_from(side).unwrap_or(i32::MAX).saturating_sub(has).max(0);
    let (below, right) = (missing(height, decoded.pixels.rows()), missing(width, decoded.pixels.cols()));
    let mut picture = Mat::default();
    let border = BorderTypes::BORDER_CONSTANT as i32;
    copy_make_border(decoded.pixels, &mut picture, 0, below, 0, right, border, Scalar::default())
        .map_err(PictureError::unreadable)?;
    Ok(picture)
}
