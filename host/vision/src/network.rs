//! The seam between our arithmetic and a neural network: planes in, named tensors out. Tests use arithmetic fakes.

use std::time::Duration;

use super::error::PictureError;
use super::preprocess::Planes;

/// A loaded model, for one thread at a time.
pub(super) trait Network: Send {
    /// Runs the model on its one input. The next run overwrites the outputs.
    fn run(&mut self, input: &Planes) -> Result<&[Tensor], PictureError>;
}

/// One output of a model, flattened.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Tensor {
    pub name: String,
    pub values: Vec<f32>,
}

/// Processor time of one call, by stage.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StageTimes {
    /// Converting pixels to the input of the model.
    pub prepare: Duration,
    /// Inference.
    pub infer: Duration,
    /// Converting the output of the model.
    pub decode_outputs: Duration,
}

impl std::ops::AddAssign for StageTimes {
    fn add_assign(&mut self, other: Self) {
        self.prepare += other.prepare;
        self.infer += other.infer;
        self.decode_outputs += other.decode_outputs;
    }
}

/// A network made of arithmetic.
#[cfg(test)]
pub(super) struct Fake<F>(pub F, Vec<Tensor>);

#[cfg(test)]
impl<F: FnMut(&Planes) -> Vec<Tensor> + Send> Fake<F> {
    pub fn boxed(answer: F) -> Box<Self> {
        Box::new(Self(answer, Vec::new()))
    }
}

#[cfg(test)]
impl<F: FnMut(&Planes) -> Vec<Tensor> + Send> Network for Fake<F> {
    fn run(&mut self, input: &Planes) -> Result<&[Tensor], PictureError> {
        self.1 = (self.0)(input);
        Ok(&self.1)
    }
}
