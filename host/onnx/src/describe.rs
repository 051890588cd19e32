//! What a model is, by its inputs, outputs and operators.

use crate::ImportError;
use crate::manifest::{Channels, Manifest, Outputs};
use crate::proto::{Graph, ValueInfo, data_type};

/// The strides of the detectors, pixels.
const STRIDES: [usize; 3] = [8, 16, 32];
/// InsightFace looks for a normalisation within the network among its first operators, too (`arcface_onnx.py`).
const FIRST_OPERATORS: usize = 8;

/// The one input: float32, four dimensions, three planes.
///
/// # Errors
///
/// The model has no input of this kind, or several inputs: show the message.
pub fn find_input(graph: &Graph) -> Result<&ValueInfo, ImportError> {
    let [input] = &graph.input[..] else {
        let names = graph.input.iter().filter_map(|input| input.name.clone()).collect::<Vec<_>>();
        return Err(ImportError::Inputs(names.join(", ")));
    };
    let kind = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).and_then(|t| t.elem_type);
    let planes = input.dimensions().get(1).and_then(|d| d.dim_value);
    if kind != Some(data_type::FLOAT) || input.dimensions().len() != 4 || planes.is_some_and(|n| n != 3) {
        let shape = input.dimensions().iter().map(|d| d.dim_value.map_or("?".into(), |n| n.to_string()));
        return Err(ImportError::InputShape(shape.collect::<Vec<_>>().join(", ")));
    }
    Ok(input)
}

/// Sets how a detector's pixels are given to it and how its outputs are read.
///
/// # Errors
///
/// The outputs are those of no supported detector: show the message.
pub fn describe_detector(graph: &Graph, manifest: &mut Manifest) -> Result<(), ImportError> {
    let outputs: Vec<(&str, Option<i64>)> = graph
        .output
        .iter()
        .map(|output| {
            let last = output.dimensions().last().and_then(|dimension| dimension.dim_value);
            (output.name.as_deref().unwrap_or_default(), last)
        })
        .collect();
    let named = |name: &str| outputs.iter().any(|(output, _)| *output == name);
    let yunet: Vec<String> = ["cls", "obj", "bbox", "kps"]
        .iter()
        .flat_map(|kind| STRIDES.map(|stride| format!("{kind}_{stride}")))
        .collect();
    let with_last = |wanted: i64| -> Vec<String> {
        outputs.iter().filter(|(_, last)| *last == Some(wanted)).map(|(name, _)| (*name).to_owned()).collect()
    };
    if yunet.iter().all(|name| named(name)) {
        manifest.outputs = Some(Outputs::Yunet);
        manifest.tensors = yunet;
        manifest.channels = Channels::Bgr;
        return Ok(());
    }
    let (one, two, four, ten) = (with_last(1), with_last(2), with_last(4), with_last(10));
    let unknown = outputs.iter().all(|(_, last)| last.is_none());
    if outputs.len() == 9 && (unknown || (one.len(), four.len(), ten.len()) == (3, 3, 3)) {
        manifest.outputs = Some(Outputs::Scrfd);
        // InsightFace exports them in this order, with the strides ascending.
        manifest.tensors = if unknown {
            outputs.iter().map(|(name, _)| (*name).to_owned()).collect()
        } else {
            [one, four, ten].concat()
        };
        (manifest.channels, manifest.mean, manifest.scale) = (Channels::Rgb, [127.5; 3], 1.0 / 128.0);
        return Ok(());
    }
    if outputs.len() == 3 && (four.len(), two.len(), ten.len()) == (1, 1, 1) {
        manifest.outputs = Some(Outputs::Retinaface);
        manifest.tensors = [four, two, ten].concat();
        // The means of the three planes, as in Pytorch_Retinaface's `detect.py`.
        (manifest.channels, manifest.mean) = (Channels::Bgr, [104.0, 117.0, 123.0]);
        return Ok(());
    }
    let list = outputs.iter().map(|(name, last)| match last {
        Some(last) => format!("{name} [… {last}]"),
        None => format!("{name} [… ?]"),
    });
    Err(ImportError::Outputs(list.collect::<Vec<_>>().join(", ")))
}

/// Sets how an embedder's pixels are given to it, and the length of its embedding if the model states it.
///
/// # Errors
///
/// The model has not exactly one output: show the message.
pub fn describe_embedder(graph: &Graph, manifest: &mut Manifest) -> Result<(), ImportError> {
    let [output] = &graph.output[..] else {
        let names = graph.output.iter().filter_map(|output| output.name.clone()).collect::<Vec<_>>();
        return Err(ImportError::Outputs(names.join(", ")));
    };
    let dimension = output.dimensions().last().and_then(|dimension| dimension.dim_value);
    manifest.dimension = dimension.and_then(|d| usize::try_from(d).ok());
    manifest.channels = Channels::Rgb;
    let first = || graph.node.iter().take(FIRST_OPERATORS);
    let normalises = first().any(|n| n.operator() == "Sub") && first().any(|n| n.operator() == "Mul");
    if !normalises {
        (manifest.mean, manifest.scale) = ([127.5; 3], 1.0 / 127.5);
    }
    Ok(())
}
