//! The only seam between our arithmetic and a neural network: planes in, named tensors out.

use std::time::Duration;

use super::PictureError;
use super::preprocess::Planes;

/// A loaded model. One thread at a time.
pub(super) trait Network: Send {
    /// Runs the model on its one input. The answer is overwritten by the next run.
    fn run(&mut self, input: &Planes) -> Result<&[Tensor], PictureError>;
}

/// One output of a model, flat.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Tensor {
    pub name: String,
    pub values: Vec<f32>,
}

/// What one call took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Took {
    /// From pixels to the input of the model.
    pub prepare: Duration,
    /// The model.
    pub infer: Duration,
    /// From the model's output to the answer.
    pub read: Duration,
}

/// A network made of arithmetic, for tests.
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
