//! A detector with the outputs of SCRFD, imported and run by ONNX Runtime. No package has weights of SCRFD, so the network is
//! made here: its score is the brightness of a cell, and its boxes have a constant size.

use everyframe_onnx::proto::{
    Attribute, Dimension, Graph, Model, Node, OperatorSetId, Shape, Tensor, TensorType, Type, ValueInfo,
    data_type,
};
use everyframe_vision::{ImportOptions, Kind, Vision, import_model};
use opencv::core::{CV_8UC3, Mat, Rect, Scalar};
use opencv::imgproc;
use prost::Message as _;

use super::{cache, jpeg};
use everyframe_config::{Provider, VisionSettings};

/// The size of the exported network's input, as InsightFace exports it.
const SIDE: i64 = 640;
/// The distance of each side of a box from its centre, in strides.
const REACH: f32 = 1.5;

fn ints(name: &str, values: &[i64]) -> Attribute {
    // Type 7 is a list of integers.
    Attribute { name: Some(name.into()), ints: values.to_vec(), r#type: Some(7), ..Attribute::default() }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> Tensor {
    Tensor {
        dims: dims.to_vec(),
        data_type: Some(data_type::FLOAT),
        name: Some(name.into()),
        float_data: values.to_vec(),
        ..Tensor::default()
    }
}

fn value(name: &str, dims: &[i64]) -> ValueInfo {
    let dim = dims.iter().map(|d| Dimension { dim_value: Some(*d), ..Dimension::default() }).collect();
    let tensor_type = Some(TensorType { elem_type: Some(data_type::FLOAT), shape: Some(Shape { dim }) });
    ValueInfo {
        name: Some(name.into()),
        r#type: Some(Type { tensor_type, ..Type::default() }),
        ..ValueInfo::default()
    }
}

/// Adds one output: `k` numbers for each of two anchors of each cell. Each number is `weight` times the brightness, plus a bias.
fn add_output(graph: &mut Graph, (name, stride): (&str, i64), weight: f32, bias: &[f32]) {
    let k = bias.len() as i64;
    let named = |part: &str| format!("{name}_{part}");
    let [pooled, mapped, turned, weights, biases, shape] =
        ["pooled", "mapped", "turned", "weights", "biases", "shape"].map(named);
    let mut pool = Node::simple("AveragePool", &["x"], &pooled);
    pool.attribute = vec![ints("kernel_shape", &[stride, stride]), ints("strides", &[stride, stride])];
    let convolve = Node::simple("Conv", &[&pooled, &weights, &biases], &mapped);
    let mut turn = Node::simple("Transpose", &[&mapped], &turned);
    turn.attribute = vec![ints("perm", &[0, 2, 3, 1])];
    graph.node.extend([pool, convolve, turn, Node::simple("Reshape", &[&turned, &shape], name)]);
    let mut all = Vec::new();
    // The second anchor is silent: its score is far below zero.
    for (anchor, silent) in [0.0, -9.0].into_iter().enumerate() {
        all.extend(bias.iter().map(|b| if k == 1 { b + silent } else { *b }));
        assert_eq!(all.len(), (anchor + 1) * bias.len());
    }
    graph.initializer.extend([
        floats(&weights, &[2 * k, 3, 1, 1], &vec![weight / 3.0; 6 * bias.len()]),
        floats(&biases, &[2 * k], &all),
        Tensor {
            dims: vec![2],
            data_type: Some(data_type::INT64),
            int64_data: vec![-1, k],
            name: Some(shape),
            ..Tensor::default()
        },
    ]);
    let cells = 2 * (SIDE / stride) * (SIDE / stride);
    graph.output.push(value(name, &[cells, k]));
}

/// The network: a white cell of stride 32 scores 1, a black one -1; the other strides score nothing.
fn network() -> Vec<u8> {
    let mut graph = Graph { name: Some("scrfd".into()), ..Graph::default() };
    graph.input = vec![value("x", &[1, 3, SIDE, SIDE])];
    for (names, k) in [(["448", "471", "494"], 1), (["451", "474", "497"], 4), (["454", "477", "500"], 10)] {
        for (name, stride) in names.into_iter().zip([8, 16, 32]) {
            let (weight, bias) = match (k, stride) {
                (1, 32) => (1.0, vec![0.0]),
                (1, _) => (0.0, vec![-9.0]),
                (4, _) => (0.0, vec![REACH; 4]),
                _ => (0.0, vec![-0.5, -0.5, 0.5, -0.5, 0.0, 0.0, -0.4, 0.5, 0.4, 0.5]),
            };
            add_output(&mut graph, (name, stride), weight, &bias);
        }
    }
    let opset = OperatorSetId { domain: Some(String::new()), version: Some(13) };
    Model { ir_version: Some(8), graph: Some(graph), opset_import: vec![opset], ..Model::default() }
        .encode_to_vec()
}

/// A black picture with a white cell of stride 32, in this column and row.
fn picture(width: i32, height: i32, column: i32, row: i32) -> Vec<u8> {
    let mut picture =
        Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::all(0.0)).expect("a picture");
    let cell = Rect::new(32 * column, 32 * row, 32, 32);
    imgproc::rectangle(&mut picture, cell, Scalar::all(255.0), -1, imgproc::LINE_8, 0).expect("a cell");
    jpeg(&picture)
}

#[test]
fn a_detector_like_scrfd_is_imported_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    std::fs::create_dir(&models).unwrap();
    for file in ["sface-2021dec.toml", "sface-2021dec.onnx", "sface-2021dec.split-prelu.onnx"] {
        std::fs::copy(cache().join("models").join(file), models.join(file)).unwrap();
    }
    let file = folder.path().join("scrfd.onnx");
    std::fs::write(&file, network()).unwrap();
    std::fs::write(folder.path().join("cell.jpg"), picture(640, 480, 5, 3)).unwrap();
    let mut settings = VisionSettings { models: Some(models.clone()), ..VisionSettings::default() };
    let options = ImportOptions {
        name: "scrfd".into(),
        kind: Kind::Detector,
        licence: "unknown".into(),
        source: "a test".into(),
        channels: None,
        normalisation: None,
        opset: None,
    };
    let report = import_model(&settings, &cache(), &file, &options, (&models, folder.path())).unwrap();
    assert_eq!((report.faces, report.original_refused), (1, None));
    assert!(report.text.contains("outputs = \"scrfd\""), "{}", report.text);

    settings.detector.model = "scrfd".into();
    (settings.detector.provider, settings.embedder.provider) = (Provider::Cpu, Provider::Cpu);
    let mut worker = Vision::load(&settings, &cache()).unwrap().worker().unwrap();
    // Another size than that of the export.
    let seen = worker.detect(&picture(480, 300, 7, 4), &[]).unwrap();
    let [face] = &seen.detections[..] else { panic!("one face: {seen:?}") };
    let close = |a: f32, b: f32| (a - b).abs() < 0.01;
    // The anchor is the upper left corner of its cell.
    let (x, y) = (7.0 * 32.0, 4.0 * 32.0);
    let bounds = face.bounds;
    assert!(close(bounds.x, x - 48.0) && close(bounds.y, y - 48.0), "{bounds:?}");
    assert!(close(bounds.width, 96.0) && close(bounds.height, 96.0), "{bounds:?}");
    assert!(close(face.landmarks[0].x, x - 16.0) && close(face.landmarks[4].y, y + 16.0), "{face:?}");
    // White goes in as (255 - 127.5) / 128.
    assert!((face.score - 127.5 / 128.0).abs() < 0.02, "{face:?}");
}
