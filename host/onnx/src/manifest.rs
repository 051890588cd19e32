//! The manifest of a model: a TOML file beside its ONNX files.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// The content of `NAME.toml` in the models' folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The model's name in the host's TOML, and the name of the manifest's file.
    pub name: String,
    /// What the model computes.
    pub kind: Kind,
    /// The licence of the file, an SPDX expression, or `unknown`. For display only.
    pub licence: String,
    /// Where the model comes from. For display only.
    pub source: String,
    /// The name of the input tensor: float32, `[n, 3, height, width]`.
    pub input: String,
    /// The order of the colour planes.
    pub channels: Channels,
    /// What is subtracted from the pixels (0 to 255) of each plane, in the order of `channels`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mean: [f32; 3],
    /// What the difference is multiplied by.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub scale: f32,
    /// How a detector's outputs are read; only of a detector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Outputs>,
    /// The names of the output tensors, in the order in which [`Outputs`] lists them; only of a detector.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tensors: Vec<String>,
    /// The length of an embedding; only of an embedder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<usize>,
    /// Exact rewrites of the same network; the first is the reference.
    pub variants: Vec<Variant>,
}

/// What a model computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// From a picture to faces with five landmarks.
    Detector,
    /// From an aligned face of 112 × 112 pixels to an embedding.
    Embedder,
}

/// The order of the three colour planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// A family of detectors, whose outputs mean the same. All have outputs at the strides 8, 16 and 32, and five landmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outputs {
    /// YuNet: 12 tensors; for each stride the class scores, then the object scores, the boxes, the landmarks.
    Yunet,
    /// SCRFD: 9 tensors; for each stride the scores, then the boxes, the landmarks.
    Scrfd,
    /// RetinaFace (PyTorch): 3 tensors for all strides together; boxes, scores, landmarks.
    Retinaface,
}

impl Outputs {
    /// The number of output tensors.
    pub fn tensors(self) -> usize {
        match self {
            Self::Yunet => 12,
            Self::Scrfd => 9,
            Self::Retinaface => 3,
        }
    }
}

/// One ONNX file of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The file's name, in the manifest's folder.
    pub file: String,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// A manifest of pixels as they are, without outputs and variants.
    pub fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            licence: "unknown".into(),
            source: String::new(),
            input: "input".into(),
            channels: Channels::Rgb,
            mean: [0.0; 3],
            scale: 1.0,
            outputs: None,
            tensors: Vec::new(),
            dimension: None,
            variants: Vec::new(),
        }
    }

    /// Checks the manifest of the file `name`.toml.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to write instead.
    pub fn check(&self, name: &str) -> Result<(), String> {
        if self.name != name {
            return Err(format!("its name is `{}`; it must be the name of its file, `{name}`", self.name));
        }
        match self.kind {
            Kind::Embedder => self.check_embedder()?,
            Kind::Detector => self.check_detector()?,
        }
        if !self.mean.iter().all(|m| m.is_finite()) || !self.scale.is_finite() || self.scale == 0.0 {
            return Err("`mean` and `scale` must be finite numbers, and `scale` not 0".into());
        }
        if self.variants.is_empty() {
            return Err("it needs at least one [[variants]] with `file` and `sha256`".into());
        }
        let plain = |file: &str| Path::new(file).file_name().is_some_and(|name| name == file);
        match self.variants.iter().find(|v| !plain(&v.file)) {
            Some(v) => Err(format!("`{}` must be the name of a file in the manifest's own folder", v.file)),
            None => Ok(()),
        }
    }

    fn check_embedder(&self) -> Result<(), String> {
        if self.dimension.is_none_or(|d| d == 0) {
            return Err("an embedder needs `dimension`, the length of its embedding".into());
        }
        if self.outputs.is_some() || !self.tensors.is_empty() {
            return Err("`outputs` and `tensors` are only for detectors".into());
        }
        Ok(())
    }

    fn check_detector(&self) -> Result<(), String> {
        let Some(outputs) = self.outputs else {
            return Err("a detector needs `outputs`: \"yunet\", \"scrfd\" or \"retinaface\"".into());
        };
        if self.tensors.len() != outputs.tensors() {
            return Err(format!(
                "`tensors` must name the {} output tensors; it names {}",
                outputs.tensors(),
                self.tensors.len()
            ));
        }
        if self.dimension.is_some() {
            return Err("`dimension` is only for embedders".into());
        }
        Ok(())
    }
}

fn is_zero(mean: &[f32; 3]) -> bool {
    *mean == [0.0; 3]
}

fn one() -> f32 {
    1.0
}

// serde passes a reference.
fn is_one(scale: &f32) -> bool {
    *scale == 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedder() -> Manifest {
        let variants = vec![Variant { file: "m.onnx".into(), sha256: "0".into() }];
        Manifest { dimension: Some(512), variants, ..Manifest::new("m", Kind::Embedder) }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let mut manifest = embedder();
        (manifest.mean, manifest.scale) = ([127.5; 3], 1.0 / 127.5);
        let text = toml::to_string(&manifest).unwrap();
        assert_eq!(toml::from_str::<Manifest>(&text).unwrap(), manifest);
        let plain = toml::to_string(&embedder()).unwrap();
        assert!(!plain.contains("mean") && !plain.contains("tensors"), "{plain}");
    }

    #[test]
    fn an_invalid_manifest_says_what_is_wrong() {
        let detector = Manifest { kind: Kind::Detector, dimension: None, ..embedder() };
        let yunet = Manifest { outputs: Some(Outputs::Yunet), ..detector.clone() };
        for (manifest, expected) in [
            (Manifest { name: "x".into(), ..embedder() }, "must be the name of its file"),
            (Manifest { dimension: None, ..embedder() }, "needs `dimension`"),
            (Manifest { outputs: Some(Outputs::Scrfd), ..embedder() }, "only for detectors"),
            (detector, "a detector needs `outputs`"),
            (yunet.clone(), "must name the 12 output tensors"),
            (Manifest { tensors: vec!["t".into(); 12], dimension: Some(1), ..yunet }, "only for embedders"),
            (Manifest { scale: 0.0, ..embedder() }, "`scale` not 0"),
            (Manifest { mean: [f32::NAN; 3], ..embedder() }, "finite"),
            (Manifest { variants: Vec::new(), ..embedder() }, "at least one [[variants]]"),
        ] {
            let error = manifest.check("m").unwrap_err();
            assert!(error.contains(expected), "`{error}` does not say `{expected}`");
        }
        embedder().check("m").unwrap();
    }
}
