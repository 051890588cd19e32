//! The models in use, and how each is run here.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::VisionError;
use super::machine;
use super::manifest::{Kind, Manifest, Model};
use super::network::Network;
use super::probe::Probe;
use super::providers::{self, Measured};
use super::runtime::Runtime;
use everyframe_config::Provider;

/// The two models.
#[derive(Debug, Clone)]
pub struct Models {
    /// What finds faces.
    pub detector: ModelInUse,
    /// What embeds them.
    pub embedder: ModelInUse,
}

/// A model, and how it is run here. For showing; `name` and `sha256` also identify embeddings.
#[derive(Debug, Clone)]
pub struct ModelInUse {
    /// The manifest's name.
    pub name: String,
    /// Checksum of the first variant, hexadecimal: the identity of the model. Its other variants are exact rewrites
    /// of one network, so their embeddings can be compared; those of another model never can.
    pub sha256: String,
    /// The licence, an SPDX expression.
    pub licence: String,
    /// The engine that was chosen.
    pub provider: Provider,
    /// The file that was chosen.
    pub variant: String,
    /// Everything that was tried on this machine, with its time or why it is no option.
    pub measured: Vec<Measured>,
}

impl fmt::Display for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "detector {}, embedder {}", self.detector, self.embedder)
    }
}

impl fmt::Display for ModelInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.variant, self.provider)?;
        let chosen = |m: &&Measured| m.variant == self.variant && m.provider == self.provider;
        match self.measured.iter().find(chosen).and_then(|m| m.milliseconds) {
            Some(milliseconds) => write!(f, " ({milliseconds:.1} ms)"),
            None => Ok(()),
        }
    }
}

/// A model which is ready to be loaded again for each worker.
pub(super) struct Ready {
    pub manifest: Manifest,
    bytes: Arc<[u8]>,
    provider: Provider,
}

impl Ready {
    /// Reads and verifies a model, and chooses how to run it: measured now, or remembered in `cache`.
    pub fn prepare(
        runtime: &Runtime,
        (folder, cache): (&Path, &Path),
        (name, kind): (&str, Kind),
        wanted: Provider,
    ) -> Result<(Self, ModelInUse), VisionError> {
        let model = Model::read(folder, name, kind)?;
        let measured = measured(runtime, &model, cache)?;
        let refused = |tried: &Measured| {
            let reason = tried.refused.as_deref().unwrap_or("no answer");
            format!("{} with {}: {reason}", tried.variant, providers::name(tried.provider))
        };
        let Some(chosen) = providers::choose(&measured, wanted).cloned() else {
            let tried = measured.iter().filter(|m| wanted == Provider::Auto || m.provider == wanted);
            let reason = tried.map(refused).collect::<Vec<_>>().join("; ");
            let provider = providers::name(wanted);
            return Err(VisionError::Provider { model: name.into(), provider, reason });
        };
        let Manifest { variants, licence, .. } = &model.manifest;
        let place = variants.iter().position(|v| v.file == chosen.variant).unwrap_or_default();
        let in_use = ModelInUse {
            name: name.into(),
            sha256: variants[0].sha256.to_ascii_lowercase(),
            licence: licence.clone(),
            provider: chosen.provider,
            variant: chosen.variant,
            measured,
        };
        let bytes = model.bytes[place].clone();
        Ok((Self { manifest: model.manifest, bytes, provider: chosen.provider }, in_use))
    }

    /// A session of its own for one worker.
    pub fn network(&self, runtime: &Runtime) -> Result<Box<dyn Network>, VisionError> {
        runtime.network(&self.bytes, &self.manifest.input, self.provider).map_err(|reason| {
            let provider = providers::name(self.provider);
            VisionError::Provider { model: self.manifest.name.clone(), provider, reason }
        })
    }
}

fn measured(runtime: &Runtime, model: &Model, cache: &Path) -> Result<Vec<Measured>, VisionError> {
    let file = cache.join("providers.json");
    let key = machine::key(model, &runtime.library);
    if let Some(remembered) = providers::recall(&file, &key) {
        return Ok(remembered);
    }
    let variants: Vec<String> = model.manifest.variants.iter().map(|v| v.file.clone()).collect();
    let probe = Probe::new(&model.manifest)?;
    let measured = providers::measure(&variants, &probe, |place, provider| {
        runtime.network(&model.bytes[place], &model.manifest.input, provider)
    });
    // A read-only cache costs a second at each start, no more.
    if let Err(error) = providers::remember(&file, &key, &measured) {
        tracing::warn!("{} can't be written ({error}); measured again next time", file.display());
    }
    Ok(measured)
}
