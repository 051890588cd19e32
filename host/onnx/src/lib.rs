//! Models as files: repairs of ONNX models, and their manifests. Nothing here runs a model.
//!
//! [`import`] takes the bytes of an ONNX file and returns the files for the models' folder:
//!
//! 1. It folds quantised constants to 32-bit floats, and removes unused constants and inputs (`repair`).
//! 2. It lets the batch of an embedder, and the picture's size of a detector, vary (`repair`).
//! 3. It finds out how pixels go in and how outputs are read (`describe`), for the [`Manifest`].
//! 4. It writes a second variant without PRelu (`repair`), which some processors run faster.
//!
//! The same input gives the same bytes. The set-up uses this for the shipped models (`prepare-shipped-models`), and `everyframe
//! model import` for others; the latter also runs the result.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod array;
mod describe;
mod manifest;
pub mod proto;
mod repair;

pub use manifest::{Channels, Kind, Manifest, Outputs, Variant};
pub use repair::Repairs;

use prost::Message as _;
use sha2::{Digest as _, Sha256};

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not an ONNX model.
    #[error("not an ONNX model: {0}")]
    NotOnnx(String),
    /// The model has parts that this version does not understand.
    #[error("the model has {0}; export it again without, for example with onnxruntime's `optimize_model`")]
    Unsupported(&'static str),
    /// The model does not have exactly one input.
    #[error("the model must have one input, the picture; it has: {0}")]
    Inputs(String),
    /// The input is not a picture.
    #[error("the model's input must be 32-bit floats of shape [n, 3, height, width]; it is [{0}]")]
    InputShape(String),
    /// The outputs are of no known family.
    #[error(
        "the model's outputs are not known: {0}. Known detectors: YuNet (12 outputs), SCRFD with landmarks (9), RetinaFace \
         (3: boxes, scores, landmarks). An embedder has one output"
    )]
    Outputs(String),
}

/// What the user says about a model.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The model's name in the host's TOML.
    pub name: String,
    /// What it computes.
    pub kind: Kind,
    /// Its licence, an SPDX expression, or `unknown`.
    pub licence: String,
    /// Where it comes from.
    pub source: String,
    /// The order of the colour planes, if it is not the usual one of the model's family.
    pub channels: Option<Channels>,
    /// Mean and scale of the pixels, if they are not the usual ones of the model's family.
    pub normalisation: Option<([f32; 3], f32)>,
    /// The version of the operator set to declare, if the file declares a newer one than its operators need. Quantising tools
    /// do so, and providers may refuse it.
    pub opset: Option<i64>,
}

/// An imported model.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The manifest, with all variants. `dimension` is missing if an embedder does not state it.
    pub manifest: Manifest,
    /// The files of `manifest.variants`, in their order: name and bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// The original, changed only where ONNX Runtime would refuse it: without stale inputs, and with plain single scales.
    /// Its output is what that of the files is compared with.
    pub original: Vec<u8>,
    /// Height and width of the original's input; none where it varies.
    pub original_size: [Option<usize>; 2],
    /// What was changed.
    pub repairs: Repairs,
}

/// Repairs an ONNX model and describes it.
///
/// # Errors
///
/// See [`ImportError`]: show the message, which says what a model must have.
pub fn import(bytes: &[u8], options: &ImportOptions) -> Result<Imported, ImportError> {
    let mut model = proto::Model::decode(bytes).map_err(|e| ImportError::NotOnnx(e.to_string()))?;
    let original = strip_original(&model);
    let graph = model.graph.as_mut().ok_or_else(|| ImportError::NotOnnx("it has no graph".into()))?;
    if !graph.sparse_initializer.is_empty() {
        return Err(ImportError::Unsupported("sparse constants"));
    }
    if graph.initializer.iter().any(|tensor| !tensor.external_data.is_empty()) {
        return Err(ImportError::Unsupported("weights in another file"));
    }
    let mut repairs = Repairs::default();
    repair::fold_constants(graph, &mut repairs);
    repair::remove_unused(graph, &mut repairs);
    let mut manifest = Manifest::new(&options.name, options.kind);
    manifest.licence.clone_from(&options.licence);
    manifest.source.clone_from(&options.source);
    let input = describe::find_input(graph)?;
    manifest.input = input.name.clone().unwrap_or_default();
    let side = |place: usize| {
        let size = input.dimensions().get(place)?.dim_value?;
        usize::try_from(size).ok().filter(|size| *size > 0)
    };
    let original_size = [side(2), side(3)];
    match options.kind {
        Kind::Detector => {
            describe::describe_detector(graph, &mut manifest)?;
            repair::free_picture_size(graph);
        }
        Kind::Embedder => {
            describe::describe_embedder(graph, &mut manifest)?;
            repair::free_batch(graph, &mut repairs);
        }
    }
    manifest.channels = options.channels.unwrap_or(manifest.channels);
    (manifest.mean, manifest.scale) = options.normalisation.unwrap_or((manifest.mean, manifest.scale));
    if let Some(version) = options.opset {
        let opset = proto::OperatorSetId { domain: Some(String::new()), version: Some(version) };
        model.opset_import.retain(|o| o.domain.as_deref().is_some_and(|domain| !domain.is_empty()));
        model.opset_import.insert(0, opset);
    }
    let mut files = vec![(format!("{}.onnx", options.name), model.encode_to_vec())];
    if model.graph.as_mut().map_or(0, repair::split_prelu) > 0 {
        files.push((format!("{}.split-prelu.onnx", options.name), model.encode_to_vec()));
    }
    manifest.variants = files
        .iter()
        .map(|(file, bytes)| Variant { file: file.clone(), sha256: format!("{:x}", Sha256::digest(bytes)) })
        .collect();
    Ok(Imported { manifest, files, original, original_size, repairs })
}

/// The original, changed only where ONNX Runtime would refuse it: without stale inputs, and with plain single scales. Its output is
/// what the repaired model's is compared with.
fn strip_original(model: &proto::Model) -> Vec<u8> {
    let mut model = model.clone();
    if let Some(graph) = &mut model.graph {
        repair::remove_unused(graph, &mut Repairs::default());
        repair::simplify_single_scales(graph);
    }
    model.encode_to_vec()
}

#[cfg(test)]
mod tests;
