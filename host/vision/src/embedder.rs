//! The embedder: from aligned crops to embeddings.

use super::align::{CROP_BYTES, SIDE};
use super::error::PictureError;
use super::manifest::Manifest;
use super::network::{Network, StageTimes};
use super::preprocess::Planes;
use everyframe_telemetry::cpu_timer::CpuTimer;
use everyframe_types::face::Embedding;

/// The largest batch of crops.
const BATCH: usize = 8;

/// SFace, or another model for 112 × 112 crops that are aligned to the same template.
pub(super) struct Embedder {
    network: Box<dyn Network>,
    dimension: usize,
    planes: Planes,
}

impl Embedder {
    pub fn new(network: Box<dyn Network>, manifest: &Manifest) -> Self {
        let dimension = manifest.dimension.unwrap_or_default();
        Self { network, dimension, planes: Planes::for_model(manifest) }
    }

    /// Embeds crops (112 × 112 BGR), in their order; none where the output has no direction.
    ///
    /// # Errors
    ///
    /// Inference failed, or its output has the wrong length: a fault of the host, retry.
    pub fn embed(
        &mut self,
        crops: &[[u8; CROP_BYTES]],
    ) -> Result<(Vec<Option<Embedding>>, StageTimes), PictureError> {
        let mut embeddings = Vec::with_capacity(crops.len());
        let mut took = StageTimes::default();
        for batch in crops.chunks(BATCH) {
            let mut cpu_timer = CpuTimer::start();
            self.planes.reshape(batch.len(), (SIDE, SIDE), 1);
            for (index, crop) in batch.iter().enumerate() {
                self.planes.write(index, crop);
            }
            took.prepare += cpu_timer.lap();
            let answer = self.network.run(&self.planes)?;
            took.infer += cpu_timer.lap();
            let values = answer.first().map(|tensor| tensor.values.as_slice()).unwrap_or_default();
            if self.dimension == 0 || values.len() != batch.len() * self.dimension {
                return Err(PictureError::Inference(format!(
                    "the embedder returned {} numbers for {} faces; its manifest says {} each",
                    values.len(),
                    batch.len(),
                    self.dimension
                )));
            }
            embeddings.extend(values.chunks_exact(self.dimension).map(Embedding::from_raw));
            took.decode_outputs += cpu_timer.lap();
        }
        Ok((embeddings, took))
    }
}
