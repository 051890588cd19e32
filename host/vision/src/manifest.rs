//! A model in the models' folder: its manifest and its verified files.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::VisionError;
use everyframe_onnx::Variant;
pub(super) use everyframe_onnx::{Channels, Kind, Manifest, Outputs};
use everyframe_types::hexadecimal::hexadecimal;

/// A manifest, and the folder of its files.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub manifest: Manifest,
    folder: PathBuf,
}

impl Model {
    /// Reads the manifest `name`.toml from `folder`, without its files. Its kind may be any.
    ///
    /// # Errors
    ///
    /// As [`Model::read`].
    pub fn read_manifest(folder: &Path, name: &str) -> Result<Manifest, VisionError> {
        let path = folder.join(format!("{name}.toml"));
        if !path.is_file() {
            let names = list_models(folder).join(", ");
            let known = if names.is_empty() { "(the folder has no manifests)".into() } else { names };
            return Err(VisionError::NoModel { name: name.into(), known, path });
        }
        let wrong = |reason: String| VisionError::Manifest { path: path.clone(), reason };
        let text = std::fs::read_to_string(&path).map_err(|e| wrong(e.to_string()))?;
        let manifest: Manifest = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        manifest.check(name).map_err(wrong)?;
        Ok(manifest)
    }

    /// Reads `name`.toml from `folder`.
    ///
    /// # Errors
    ///
    /// The file is missing or invalid, or of another kind: show the message.
    pub fn read(folder: &Path, name: &str, kind: Kind) -> Result<Self, VisionError> {
        let manifest = Self::read_manifest(folder, name)?;
        if manifest.kind != kind {
            let reason = format!("this model is of kind {:?}; choose one of kind {kind:?}", manifest.kind);
            return Err(VisionError::Manifest { path: folder.join(format!("{name}.toml")), reason });
        }
        Ok(Self { manifest, folder: folder.to_owned() })
    }

    /// Reads a variant, and verifies it. Sessions are created from these bytes, not from the file, so that what runs is what was
    /// verified.
    ///
    /// # Errors
    ///
    /// The file is missing, or differs from its checksum: show the message.
    pub fn read_variant(&self, variant: &Variant) -> Result<Vec<u8>, VisionError> {
        let path = self.folder.join(&variant.file);
        let bytes = std::fs::read(&path).map_err(|e| VisionError::Manifest {
            path: path.clone(),
            reason: format!("{e}; run `make setup`"),
        })?;
        let found = hexadecimal(&Sha256::digest(&bytes));
        if !found.eq_ignore_ascii_case(&variant.sha256) {
            return Err(VisionError::Checksum { path, expected: variant.sha256.clone(), found });
        }
        Ok(bytes)
    }
}

/// The names of all manifests in a folder, sorted; none if the folder cannot be read.
pub(super) fn list_models(folder: &Path) -> Vec<String> {
    let manifests = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_toml = |path: &PathBuf| path.extension().is_some_and(|e| e == "toml");
    let mut names: Vec<String> = manifests
        .map(|entry| entry.path())
        .filter(is_toml)
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sha256 of "abc", FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn folder(manifest: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("m.toml"), manifest).unwrap();
        std::fs::write(folder.path().join("m.onnx"), "abc").unwrap();
        folder
    }

    fn manifest(file: &str, sha256: &str) -> String {
        format!(
            "name = 'm'\nkind = 'embedder'\nlicence = 'MIT'\nsource = 'here'\ninput = 'data'\n\
             channels = 'rgb'\ndimension = 128\n[[variants]]\nfile = '{file}'\nsha256 = '{sha256}'\n"
        )
    }

    fn read(folder: &tempfile::TempDir, name: &str, kind: Kind) -> Result<Model, VisionError> {
        Model::read(folder.path(), name, kind)
    }

    #[test]
    fn a_model_is_read_with_its_verified_bytes() {
        let folder = folder(&manifest("m.onnx", &ABC.to_uppercase()));
        let model = read(&folder, "m", Kind::Embedder).unwrap();
        assert_eq!(model.manifest.channels, Channels::Rgb);
        assert_eq!(model.read_variant(&model.manifest.variants[0]).unwrap(), b"abc");
    }

    #[test]
    fn another_file_under_the_same_name_is_refused() {
        let folder = folder(&manifest("m.onnx", &ABC.replace('b', "c")));
        let model = read(&folder, "m", Kind::Embedder).unwrap();
        let error = model.read_variant(&model.manifest.variants[0]).unwrap_err();
        assert!(matches!(&error, VisionError::Checksum { found, .. } if found == ABC), "{error}");
    }

    #[test]
    fn a_missing_model_lists_the_existing_ones() {
        let folder = folder(&manifest("m.onnx", ABC));
        let error = read(&folder, "n", Kind::Embedder).unwrap_err().to_string();
        assert!(error.contains("no model `n`") && error.ends_with("choose one of: m"), "{error}");
    }

    #[test]
    fn an_invalid_manifest_says_what_is_wrong() {
        let good = manifest("m.onnx", ABC);
        for (text, kind, expected) in [
            (good.clone(), Kind::Detector, "choose one of kind Detector"),
            (good.replace("name = 'm'", "name = 'x'"), Kind::Embedder, "must be the name of its file"),
            (good.replace("dimension = 128\n", ""), Kind::Embedder, "needs `dimension`"),
            (good.replace("licence", "license"), Kind::Embedder, "unknown field `license`"),
            (manifest("../m.onnx", ABC), Kind::Embedder, "own folder"),
            (manifest("absent.onnx", ABC), Kind::Embedder, "run `make setup`"),
        ] {
            let folder = folder(&text);
            let read =
                read(&folder, "m", kind).and_then(|model| model.read_variant(&model.manifest.variants[0]));
            let error = read.unwrap_err().to_string();
            assert!(error.contains(expected), "`{error}` does not say `{expected}`");
        }
    }
}
