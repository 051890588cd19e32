//! The models in use, and the provider of each.

use std::fmt;
use std::path::{Path, PathBuf};

use super::detector::Detector;
use super::error::VisionError;
use super::gpu;
use super::machine;
use super::manifest::{Kind, Manifest, Model};
use super::network::Network;
use super::probe::{self, Probe};
use super::providers::{self, Measurement};
use super::runtime::Runtime;
use everyframe_config::{Provider, VisionSettings};

/// The two models.
#[derive(Debug, Clone)]
pub struct Models {
    /// The face detector.
    pub detector: ModelInUse,
    /// The face embedder.
    pub embedder: ModelInUse,
}

/// A model in use, for display. `name` and `sha256` also identify its embeddings.
#[derive(Debug, Clone)]
pub struct ModelInUse {
    /// The manifest's name.
    pub name: String,
    /// SHA-256 of the first variant, hexadecimal: the identity of the model. The other variants are exact rewrites of the same
    /// network, so their embeddings can be compared with each other; those of different models never can.
    pub sha256: String,
    /// The licence, an SPDX expression.
    pub licence: String,
    /// The chosen provider.
    pub provider: Provider,
    /// The chosen file.
    pub variant: String,
    /// All options that were tried on this machine, each with its time or why it cannot be used.
    pub measured: Vec<Measurement>,
}

impl fmt::Display for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "detector {}, embedder {}", self.detector, self.embedder)
    }
}

impl fmt::Display for ModelInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.variant, self.provider)?;
        let chosen = |m: &&Measurement| m.variant == self.variant && m.provider == self.provider;
        match self.measured.iter().find(chosen).and_then(|m| m.milliseconds) {
            Some(milliseconds) => write!(f, " ({milliseconds:.1} ms)"),
            None => Ok(()),
        }
    }
}

/// The models' folder: that of the settings, else that of the set-up in `cache`.
pub fn models_folder(settings: &VisionSettings, cache: &Path) -> PathBuf {
    settings.models.clone().unwrap_or_else(|| cache.join("models"))
}

/// A verified model, from which each worker gets a session.
pub(super) struct VerifiedModel {
    pub manifest: Manifest,
    bytes: Vec<u8>,
    provider: Provider,
}

impl VerifiedModel {
    /// Reads and verifies a model from `folder`, and chooses its provider. The times are measured, or read from `cache`.
    ///
    /// # Errors
    ///
    /// See [`VisionError`]: show the message.
    pub fn load(
        runtime: &Runtime,
        (folder, cache): (&Path, &Path),
        (name, kind): (&str, Kind),
        (wanted, max_side): (Provider, u32),
    ) -> Result<(Self, ModelInUse), VisionError> {
        let model = Model::read(folder, name, kind)?;
        let sizes = probe::input_sizes(kind, max_side);
        let measured = load_or_measure(runtime, &model, (cache, &sizes), wanted)?;
        let refused = |tried: &Measurement| {
            let reason = tried.refused.as_deref().unwrap_or("no answer");
            format!("{} with {}: {reason}", tried.variant, tried.provider)
        };
        let Some(chosen) = providers::choose_fastest(&measured, wanted).cloned() else {
            let tried = measured.iter().filter(|m| wanted == Provider::Auto || m.provider == wanted);
            let reason = tried.map(refused).collect::<Vec<_>>().join("; ");
            return Err(VisionError::Provider { model: name.into(), provider: wanted, reason });
        };
        let Manifest { variants, licence, .. } = &model.manifest;
        let variant = variants.iter().find(|v| v.file == chosen.variant).unwrap_or(&variants[0]);
        let bytes = model.read_variant(variant)?;
        let in_use = ModelInUse {
            name: name.into(),
            sha256: variants[0].sha256.to_ascii_lowercase(),
            licence: licence.clone(),
            provider: chosen.provider,
            variant: chosen.variant,
            measured,
        };
        Ok((Self { manifest: model.manifest, bytes, provider: chosen.provider }, in_use))
    }

    /// Creates a detector for one worker. Parts of pictures have many different sizes: OpenVINO compiles for 10 ms for each new size,
    /// and takes 1 ms more whenever the size changes. ONNX Runtime's own provider does neither and searches them, unless the
    /// operator has chosen a provider.
    ///
    /// # Errors
    ///
    /// As [`VerifiedModel::network`].
    pub fn detector(&self, runtime: &Runtime, settings: &VisionSettings) -> Result<Detector, VisionError> {
        let wanted = settings.detector.provider;
        let for_parts = if wanted == Provider::Auto { Provider::Cpu } else { wanted };
        let parts = self.network_on(runtime, for_parts)?;
        Ok(Detector::new(self.network(runtime)?, parts, &self.manifest, settings))
    }

    /// Creates a session for one worker.
    ///
    /// # Errors
    ///
    /// ONNX Runtime cannot create a session: show the message.
    pub fn network(&self, runtime: &Runtime) -> Result<Box<dyn Network>, VisionError> {
        self.network_on(runtime, self.provider)
    }

    fn network_on(&self, runtime: &Runtime, provider: Provider) -> Result<Box<dyn Network>, VisionError> {
        runtime.network(&self.bytes, &self.manifest.input, provider).map_err(|reason| VisionError::Provider {
            model: self.manifest.name.clone(),
            provider,
            reason,
        })
    }
}

/// The times of all options on this machine, measured now or before.
fn load_or_measure(
    runtime: &Runtime,
    model: &Model,
    (cache, sizes): (&Path, &[(i32, i32)]),
    wanted: Provider,
) -> Result<Vec<Measurement>, VisionError> {
    let variants: Vec<String> = model.manifest.variants.iter().map(|v| v.file.clone()).collect();
    let measure = |providers: &[Provider]| {
        let probe = Probe::new(&model.manifest, sizes)?;
        let files = model.manifest.variants.iter().map(|variant| model.read_variant(variant));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        Ok(providers::measure(&variants, providers, &probe, |place, provider| {
            runtime.network(&files[place], &model.manifest.input, provider)
        }))
    };
    // Whether a device can be used depends on its driver, which the key does not contain.
    if gpu::is_gpu(wanted) {
        return measure(&[Provider::Cpu, wanted]);
    }
    let file = cache.join("providers.json");
    let key = machine::key(&model.manifest, sizes, &runtime.library);
    if let Some(remembered) = providers::load_measurements(&file, &key) {
        return Ok(remembered);
    }
    let measured = measure(&providers::PROVIDERS)?;
    // A read-only cache is no reason to fail: measuring takes a second at each start.
    if let Err(error) = providers::save_measurements(&file, &key, &measured) {
        tracing::warn!(
            "{} cannot be written ({error}); the models are measured again at the next start",
            file.display()
        );
    }
    Ok(measured)
}
