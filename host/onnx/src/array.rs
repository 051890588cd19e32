//! Arrays of numbers in a model, and the arithmetic of quantised weights.

use crate::proto::{Node, Tensor, data_type};

/// A constant of a model, as floats. Integers of up to 24 bits are exact.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The dimensions; empty for a single number.
    pub shape: Vec<usize>,
    /// The numbers, the last dimension varying fastest.
    pub values: Vec<f32>,
}

impl Array {
    /// Reads a tensor of 32-bit floats or of integers. None for other types, for data in another file, and for a tensor whose
    /// data do not fit its dimensions.
    pub fn read(tensor: &Tensor) -> Option<Self> {
        if tensor.data_location.unwrap_or(0) != 0 || !tensor.external_data.is_empty() {
            return None;
        }
        let shape: Vec<usize> =
            tensor.dims.iter().map(|d| usize::try_from(*d).ok()).collect::<Option<_>>()?;
        let raw = tensor.raw_data.as_deref();
        let values: Vec<f32> = match (tensor.data_type?, raw) {
            (data_type::FLOAT, Some(raw)) => {
                raw.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
            }
            (data_type::FLOAT, None) => tensor.float_data.clone(),
            (data_type::UINT8, Some(raw)) => raw.iter().map(|b| f32::from(*b)).collect(),
            (data_type::INT8, Some(raw)) => raw.iter().map(|b| f32::from(*b as i8)).collect(),
            (data_type::UINT16, Some(raw)) => {
                raw.as_chunks().0.iter().map(|b| f32::from(u16::from_le_bytes(*b))).collect()
            }
            (data_type::INT16, Some(raw)) => {
                raw.as_chunks().0.iter().map(|b| f32::from(i16::from_le_bytes(*b))).collect()
            }
            (data_type::INT32, Some(raw)) => {
                raw.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b) as f32).collect()
            }
            (
                data_type::UINT8 | data_type::INT8 | data_type::UINT16 | data_type::INT16 | data_type::INT32,
                None,
            ) => tensor.int32_data.iter().map(|v| *v as f32).collect(),
            _ => return None,
        };
        let whole = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))? == values.len();
        whole.then_some(Self { shape, values })
    }

    /// The array as a tensor of 32-bit floats.
    pub fn to_tensor(&self, name: &str) -> Tensor {
        Tensor {
            dims: self.shape.iter().map(|d| *d as i64).collect(),
            data_type: Some(data_type::FLOAT),
            name: Some(name.to_owned()),
            raw_data: Some(self.values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            ..Tensor::default()
        }
    }

    /// The same numbers in another shape, given as the operator Reshape takes it: 0 keeps a dimension, and -1 stands for what
    /// remains. None if the numbers do not fit.
    pub fn reshape(&self, wanted: &[i64]) -> Option<Self> {
        let mut shape = Vec::with_capacity(wanted.len());
        let mut free = None;
        for (place, size) in wanted.iter().enumerate() {
            match *size {
                0 => shape.push(*self.shape.get(place)?),
                -1 if free.is_none() => {
                    free = Some(place);
                    shape.push(1);
                }
                size => shape.push(usize::try_from(size).ok()?),
            }
        }
        let product = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
        if let Some(place) = free {
            *shape.get_mut(place)? = self.values.len().checked_div(product)?;
        }
        let whole = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))? == self.values.len();
        whole.then(|| Self { shape, values: self.values.clone() })
    }
}

/// The integers of a tensor of type int64, as Reshape takes its shape. None for other types.
pub fn read_integers(tensor: &Tensor) -> Option<Vec<i64>> {
    if tensor.data_type? != data_type::INT64 {
        return None;
    }
    Some(match &tensor.raw_data {
        Some(raw) => raw.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect(),
        None => tensor.int64_data.clone(),
    })
}

/// Computes a DequantizeLinear of constants: `(quantised - zero) * scale`. The scale is one number, one for each slice of the
/// axis, or one for each block of the axis (`block_size`; the last block may be shorter). None if the arrays do not fit.
pub fn dequantize(node: &Node, quantised: &Array, scale: &Array, zero: Option<&Array>) -> Option<Array> {
    let rank = quantised.shape.len() as i64;
    let axis = usize::try_from(node.int("axis").unwrap_or(1).rem_euclid(rank.max(1))).ok()?;
    let block = usize::try_from(node.int("block_size").unwrap_or(0)).ok()?;
    if zero.is_some_and(|zero| zero.values.len() != scale.values.len()) {
        return None;
    }
    let along = quantised.shape.get(axis).copied().unwrap_or(1);
    let inner: usize = quantised.shape.iter().skip(axis + 1).product();
    // How many scales there are along the axis, and how many values of the axis share one.
    let (scales, share) = match (block, scale.values.len()) {
        (0, 1) => (0, 1),
        (0, n) if n == along => (n, 1),
        (block, _) if block > 0 => {
            let mut expected = quantised.shape.clone();
            *expected.get_mut(axis)? = along.div_ceil(block);
            if scale.shape != expected {
                return None;
            }
            (along.div_ceil(block), block)
        }
        _ => return None,
    };
    let place = |index: usize| {
        let (outer, at, within) =
            (index / (along * inner).max(1), index / inner.max(1) % along.max(1), index % inner.max(1));
        match (scales, block) {
            (0, _) => 0,
            (_, 0) => at,
            (scales, _) => (outer * scales + at / share) * inner + within,
        }
    };
    let values = quantised.values.iter().enumerate().map(|(index, value)| {
        let place = place(index);
        let zero = zero.map_or(0.0, |zero| zero.values[place]);
        (value - zero) * scale.values[place]
    });
    Some(Array { shape: quantised.shape.clone(), values: values.collect() })
}
