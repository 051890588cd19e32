//! Tests on networks of a few nodes, whose outputs can be computed by hand.

use super::*;
use crate::array::{Array, dequantize};
use crate::proto::{
    Attribute, Dimension, Graph, Node, Shape, Tensor, TensorType, Type, ValueInfo, data_type,
};

fn int8(name: &str, dims: &[i64], values: &[i8]) -> Tensor {
    let raw = values.iter().map(|v| *v as u8).collect();
    let data_type = Some(data_type::INT8);
    Tensor {
        dims: dims.to_vec(),
        data_type,
        name: Some(name.into()),
        raw_data: Some(raw),
        ..Tensor::default()
    }
}

fn int64(name: &str, values: &[i64]) -> Tensor {
    Tensor {
        dims: vec![values.len() as i64],
        data_type: Some(data_type::INT64),
        int64_data: values.to_vec(),
        name: Some(name.into()),
        ..Tensor::default()
    }
}

fn floats(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    Array { shape: shape.to_vec(), values: values.to_vec() }.to_tensor(name)
}

fn value(name: &str, dims: &[i64]) -> ValueInfo {
    let dim = |size: &i64| match size {
        -1 => Dimension::default(),
        size => Dimension { dim_value: Some(*size), ..Dimension::default() },
    };
    let shape = Some(Shape { dim: dims.iter().map(dim).collect() });
    let tensor_type = Some(TensorType { elem_type: Some(data_type::FLOAT), shape });
    let r#type = Some(Type { tensor_type, ..Type::default() });
    ValueInfo { name: Some(name.into()), r#type, ..ValueInfo::default() }
}

fn with_ints(mut node: Node, attributes: &[(&str, i64)]) -> Node {
    node.attribute = attributes
        .iter()
        .map(|(name, i)| Attribute { name: Some((*name).into()), i: Some(*i), ..Attribute::default() })
        .collect();
    node
}

fn bytes(graph: Graph) -> Vec<u8> {
    proto::Model { ir_version: Some(8), graph: Some(graph), ..proto::Model::default() }.encode_to_vec()
}

fn options(kind: Kind) -> ImportOptions {
    let (licence, source) = ("MIT".into(), "here".into());
    ImportOptions {
        name: "m".into(),
        kind,
        licence,
        source,
        channels: None,
        normalisation: None,
        opset: None,
    }
}

fn decoded(bytes: &[u8]) -> Graph {
    proto::Model::decode(bytes).unwrap().graph.unwrap()
}

/// An embedder: a folded weight is multiplied, one PRelu, a Reshape that fixes the batch, a stale input.
fn embedder() -> Graph {
    Graph {
        node: vec![
            with_ints(Node::simple("DequantizeLinear", &["q", "s"], "flat"), &[("axis", 0)]),
            Node::simple("Reshape", &["flat", "weight_shape"], "w"),
            Node::simple("Mul", &["x", "w"], "product"),
            Node::simple("PRelu", &["product", "slope"], "bent"),
            Node::simple("Reshape", &["bent", "rows"], "y"),
        ],
        initializer: vec![
            int8("q", &[3], &[1, 2, 3]),
            floats("s", &[], &[0.5]),
            int64("weight_shape", &[1, -1, 1, 1]),
            floats("slope", &[3], &[0.25, 0.0, -2.0]),
            int64("rows", &[1, -1]),
            floats("unused", &[1], &[7.0]),
        ],
        input: vec![value("x", &[1, 3, 2, 2]), value("forgotten", &[4])],
        output: vec![value("y", &[1, 12])],
        ..Graph::default()
    }
}

#[test]
fn each_block_of_weights_has_its_own_scale_and_zero() {
    let node = with_ints(Node::default(), &[("axis", 1), ("block_size", 2)]);
    let array = |shape: &[usize], values: &[f32]| Array { shape: shape.to_vec(), values: values.to_vec() };
    let quantised = array(&[2, 5], &[1., 2., 3., 4., 5., 1., 1., 1., 1., 1.]);
    let scale = array(&[2, 3], &[1., 10., 100., 2., 3., 4.]);
    let zero = array(&[2, 3], &[0., 1., 2., 0., 0., 0.]);
    let found = dequantize(&node, &quantised, &scale, Some(&zero)).unwrap();
    assert_eq!(found.values, [1., 2., 20., 30., 300., 2., 2., 3., 3., 4.]);
    assert_eq!(dequantize(&node, &quantised, &array(&[2, 2], &[1.; 4]), None), None, "scales do not fit");
}

#[test]
fn blocks_along_the_first_axis_are_read_by_column() {
    let node = with_ints(Node::default(), &[("axis", 0), ("block_size", 2)]);
    let array = |shape: &[usize], values: &[f32]| Array { shape: shape.to_vec(), values: values.to_vec() };
    let quantised = array(&[3, 2], &[1., 1., 1., 1., 1., 1.]);
    let scale = array(&[2, 2], &[1., 2., 3., 4.]);
    let found = dequantize(&node, &quantised, &scale, None).unwrap();
    assert_eq!(found.values, [1., 2., 1., 2., 3., 4.]);
}

#[test]
fn one_scale_serves_a_slice_of_the_axis() {
    let array = |shape: &[usize], values: &[f32]| Array { shape: shape.to_vec(), values: values.to_vec() };
    let node = with_ints(Node::default(), &[("axis", 0)]);
    let quantised = array(&[2, 2], &[1., 2., 3., 4.]);
    let found = dequantize(&node, &quantised, &array(&[2], &[1., 10.]), None).unwrap();
    assert_eq!(found.values, [1., 2., 30., 40.]);
}

#[test]
fn constants_are_folded_and_stale_parts_are_removed() {
    let imported = import(&bytes(embedder()), &options(Kind::Embedder)).unwrap();
    assert_eq!(imported.repairs, Repairs { folded: 1, stale_inputs: 1, freed_reshapes: 1 });
    let graph = decoded(&imported.files[0].1);
    let operators: Vec<_> = graph.node.iter().map(Node::operator).collect();
    assert_eq!(operators, ["Mul", "PRelu", "Reshape"]);
    let names: Vec<_> = graph.initializer.iter().filter_map(|t| t.name.as_deref()).collect();
    assert_eq!(names, ["slope", "rows", "w"]);
    let weight = Array::read(&graph.initializer[2]).unwrap();
    assert_eq!(weight, Array { shape: vec![1, 3, 1, 1], values: vec![0.5, 1.0, 1.5] });
    assert_eq!(graph.input.len(), 1);
    let original = decoded(&imported.original);
    assert_eq!((original.input.len(), original.node.len()), (1, 5), "the original keeps its nodes");
}

#[test]
fn the_batch_of_an_embedder_varies() {
    let imported = import(&bytes(embedder()), &options(Kind::Embedder)).unwrap();
    let graph = decoded(&imported.files[0].1);
    for value in [&graph.input[0], &graph.output[0]] {
        let first = &value.dimensions()[0];
        assert_eq!((first.dim_value, first.dim_param.as_deref()), (None, Some("n")));
    }
    let rows = graph.initializer.iter().find(|t| t.name.as_deref() == Some("rows")).unwrap();
    assert_eq!(array::read_integers(rows), Some(vec![0, -1]));
    assert_eq!(imported.manifest.dimension, Some(12));
    assert_eq!(imported.original_size, [Some(2), Some(2)]);
}

#[test]
fn a_second_variant_computes_prelu_by_faster_operators() {
    let imported = import(&bytes(embedder()), &options(Kind::Embedder)).unwrap();
    let files: Vec<_> = imported.manifest.variants.iter().map(|v| v.file.as_str()).collect();
    assert_eq!(files, ["m.onnx", "m.split-prelu.onnx"]);
    let graph = decoded(&imported.files[1].1);
    let operators: Vec<_> = graph.node.iter().map(Node::operator).collect();
    assert_eq!(operators, ["Mul", "Relu", "Mul", "Mul", "Add", "Reshape"]);
    let constant = |name: &str| {
        let tensor = graph.initializer.iter().find(|t| t.name.as_deref() == Some(name));
        Array::read(tensor.unwrap()).unwrap()
    };
    let (slope, rest) = (constant("bent_slope"), constant("bent_rest"));
    assert_eq!(slope.shape, [3, 1, 1]);
    for x in [-4.0f32, 0.0, 3.0] {
        for (s, r) in slope.values.iter().zip(&rest.values) {
            assert_eq!(s * x + r * x.max(0.0), if x < 0.0 { s * x } else { x });
        }
    }
}

#[test]
fn an_embedder_that_normalises_gets_plain_pixels() {
    let plain = import(&bytes(embedder()), &options(Kind::Embedder)).unwrap().manifest;
    assert_eq!((plain.mean, plain.scale), ([127.5; 3], 1.0 / 127.5));
    let mut graph = embedder();
    graph.node.insert(0, Node::simple("Sub", &["x", "half"], "centred"));
    graph.node[3].input[0] = "centred".into();
    graph.initializer.push(floats("half", &[], &[127.5]));
    let own = import(&bytes(graph), &options(Kind::Embedder)).unwrap().manifest;
    assert_eq!((own.mean, own.scale), ([0.0; 3], 1.0));
    let given = ImportOptions { normalisation: Some(([1.0; 3], 2.0)), ..options(Kind::Embedder) };
    let given = import(&bytes(embedder()), &given).unwrap().manifest;
    assert_eq!((given.mean, given.scale), ([1.0; 3], 2.0));
}

/// A detector with these outputs: name and dimensions.
fn detector(outputs: &[(&str, &[i64])]) -> Vec<u8> {
    bytes(Graph {
        node: outputs.iter().map(|(name, _)| Node::simple("Relu", &["x"], name)).collect(),
        input: vec![value("x", &[1, 3, 640, 640])],
        output: outputs.iter().map(|(name, dims)| value(name, dims)).collect(),
        ..Graph::default()
    })
}

#[test]
fn scrfd_is_recognised_by_its_nine_outputs() {
    // The names and the order of InsightFace's det_10g.
    let known: [(&str, &[i64]); 9] = [
        ("448", &[12800, 1]),
        ("471", &[3200, 1]),
        ("494", &[800, 1]),
        ("451", &[12800, 4]),
        ("474", &[3200, 4]),
        ("497", &[800, 4]),
        ("454", &[12800, 10]),
        ("477", &[3200, 10]),
        ("500", &[800, 10]),
    ];
    let imported = import(&detector(&known), &options(Kind::Detector)).unwrap();
    let manifest = &imported.manifest;
    assert_eq!(manifest.outputs, Some(Outputs::Scrfd));
    assert_eq!(manifest.tensors, known.map(|(name, _)| name));
    assert_eq!((manifest.mean, manifest.scale, manifest.channels), ([127.5; 3], 1.0 / 128.0, Channels::Rgb));
    let graph = decoded(&imported.files[0].1);
    let name = |value: &ValueInfo, place: usize| value.dimensions()[place].dim_param.clone();
    assert_eq!(name(&graph.output[0], 0).as_deref(), Some("cells_448"));
    assert_eq!(name(&graph.input[0], 2).as_deref(), Some("height"));
    let varying = known.map(|(name, _)| (name, &[-1, -1][..]));
    let manifest = import(&detector(&varying), &options(Kind::Detector)).unwrap().manifest;
    assert_eq!((manifest.outputs, manifest.tensors[3].as_str()), (Some(Outputs::Scrfd), "451"));
}

#[test]
fn retinaface_is_recognised_by_its_three_outputs() {
    let known: [(&str, &[i64]); 3] =
        [("conf", &[1, 16800, 2]), ("landms", &[1, 16800, 10]), ("loc", &[1, 16800, 4])];
    let manifest = import(&detector(&known), &options(Kind::Detector)).unwrap().manifest;
    assert_eq!(manifest.outputs, Some(Outputs::Retinaface));
    assert_eq!(manifest.tensors, ["loc", "conf", "landms"]);
    assert_eq!((manifest.mean, manifest.channels), ([104.0, 117.0, 123.0], Channels::Bgr));
}

#[test]
fn an_unknown_model_is_refused_with_what_it_has() {
    let error = |bytes: &[u8], kind| import(bytes, &options(kind)).unwrap_err().to_string();
    let text = error(&detector(&[("a", &[1, 4]), ("b", &[1, 7])]), Kind::Detector);
    assert!(text.contains("a [… 4], b [… 7]"), "{text}");
    assert!(error(b"no model", Kind::Detector).starts_with("not an ONNX model"));
    assert!(error(&bytes(Graph::default()), Kind::Embedder).contains("must have one input"));
    let mut graph = embedder();
    graph.input[0] = value("x", &[1, 1, 2, 2]);
    assert!(error(&bytes(graph), Kind::Embedder).contains("it is [1, 1, 2, 2]"));
}

#[test]
fn a_wrong_declared_opset_can_be_corrected() {
    let options = ImportOptions { opset: Some(13), ..options(Kind::Embedder) };
    let imported = import(&bytes(embedder()), &options).unwrap();
    let model = proto::Model::decode(&imported.files[0].1[..]).unwrap();
    assert_eq!(model.opset_import[0].version, Some(13));
}

#[test]
fn a_block_size_with_a_single_scale_is_no_block() {
    let mut graph = embedder();
    graph.node[0] = with_ints(graph.node[0].clone(), &[("axis", 0), ("block_size", 4)]);
    graph.initializer[1] = floats("s", &[1], &[0.5]);
    let imported = import(&bytes(graph), &options(Kind::Embedder)).unwrap();
    let original = decoded(&imported.original);
    assert_eq!((original.node[0].int("block_size"), original.node[0].int("axis")), (None, Some(0)));
    assert!(original.initializer[1].dims.is_empty(), "a scale of one number, whatever its dimensions");
    let repaired = decoded(&imported.files[0].1);
    let weight = repaired.initializer.iter().find(|t| t.name.as_deref() == Some("w")).unwrap();
    assert_eq!(Array::read(weight).unwrap().values, [0.5, 1.0, 1.5]);
}

#[test]
fn a_damaged_model_never_panics() {
    let (whole, mut accepted) = (bytes(embedder()), 0);
    for cut in 0..whole.len() {
        accepted += usize::from(import(&whole[..cut], &options(Kind::Embedder)).is_ok());
    }
    assert_eq!(accepted, 0, "a part of a model is no model");
    for place in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[place] = value;
            for kind in [Kind::Embedder, Kind::Detector] {
                accepted += usize::from(import(&damaged, &options(kind)).is_ok());
            }
        }
    }
    assert!(accepted > 0, "some bytes are only names and weights");
}
