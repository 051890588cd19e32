//! Tests of all families by encoders that are written from the published formulas of training, the reverse of the decoders.

use super::*;
use crate::manifest::Kind;
use crate::yunet::non_max_suppression;
use everyframe_types::face::{Point, Rect};

/// Height and width of the input.
const SIZE: (usize, usize) = (96, 160);

/// Three faces of different sizes in the input; landmarks as in a frontal face.
fn faces() -> Vec<Detection> {
    let face = |x: f32, y: f32, side: f32, score: f32| {
        let at = |across: f32, down: f32| Point { x: x + across * side, y: y + down * side * 1.25 };
        let landmarks = [at(0.3, 0.4), at(0.7, 0.4), at(0.5, 0.6), at(0.35, 0.8), at(0.65, 0.8)];
        Detection { bounds: Rect { x, y, width: side, height: 1.25 * side }, landmarks, score }
    };
    vec![face(10.0, 12.0, 14.0, 0.9), face(60.0, 20.0, 48.0, 0.8), face(120.0, 50.0, 25.0, 0.7)]
}

fn manifest(outputs: Outputs) -> Manifest {
    // Not in alphabetical order, so that the names decide and not the order of the answer.
    let tensors = (0..outputs.tensors()).map(|place| format!("t{}", outputs.tensors() - place)).collect();
    Manifest { outputs: Some(outputs), tensors, ..Manifest::new("m", Kind::Detector) }
}

/// Zeroed outputs: the length of each tensor, in the order of the family.
fn zeroed(manifest: &Manifest, lengths: &[usize]) -> Vec<Tensor> {
    let tensors = manifest.tensors.iter().zip(lengths);
    tensors.map(|(name, length)| Tensor { name: name.clone(), values: vec![0.0; *length] }).collect()
}

fn cells(stride: usize) -> usize {
    (SIZE.0 / stride) * (SIZE.1 / stride)
}

fn centre(face: &Detection) -> (f32, f32) {
    (face.bounds.x + face.bounds.width / 2.0, face.bounds.y + face.bounds.height / 2.0)
}

/// The stride that a detector would find a face of this size at.
fn level(face: &Detection) -> usize {
    [20.0, 40.0].iter().filter(|limit| face.bounds.width > **limit).count()
}

fn encode_scrfd(manifest: &Manifest) -> Vec<Tensor> {
    let lengths = [1, 4, 10].map(|each| STRIDES.map(|stride| 2 * each * cells(stride))).concat();
    let mut answer = zeroed(manifest, &lengths);
    for (number, face) in faces().iter().enumerate() {
        let level = level(face);
        let stride = STRIDES[level];
        let (x, y) = centre(face);
        let (column, row) = ((x / stride as f32).floor(), (y / stride as f32).floor());
        let (anchor_x, anchor_y) = (column * stride as f32, row * stride as f32);
        // One of the two anchors.
        let anchor = 2 * (row as usize * (SIZE.1 / stride) + column as usize) + number % 2;
        let Rect { x: left, y: top, width, height } = face.bounds;
        let sides = [anchor_x - left, anchor_y - top, left + width - anchor_x, top + height - anchor_y];
        answer[level].values[anchor] = face.score;
        for (i, side) in sides.iter().enumerate() {
            answer[3 + level].values[4 * anchor + i] = side / stride as f32;
        }
        for (i, point) in face.landmarks.iter().enumerate() {
            answer[6 + level].values[10 * anchor + 2 * i] = (point.x - anchor_x) / stride as f32;
            answer[6 + level].values[10 * anchor + 2 * i + 1] = (point.y - anchor_y) / stride as f32;
        }
    }
    answer
}

fn encode_retinaface(manifest: &Manifest) -> Vec<Tensor> {
    let total: usize = STRIDES.iter().map(|stride| 2 * cells(*stride)).sum();
    let mut answer = zeroed(manifest, &[4 * total, 2 * total, 10 * total]);
    answer[1].values.chunks_exact_mut(2).for_each(|scores| scores[0] = 1.0);
    for (number, face) in faces().iter().enumerate() {
        let level = level(face);
        let stride = STRIDES[level];
        let (x, y) = centre(face);
        let (column, row) = ((x / stride as f32).floor(), (y / stride as f32).floor());
        let before: usize = STRIDES[..level].iter().map(|stride| 2 * cells(*stride)).sum();
        let anchor = before + 2 * (row as usize * (SIZE.1 / stride) + column as usize) + number % 2;
        // `match` and `encode` of Pytorch_Retinaface: centre and side of the prior box.
        let side = [[16.0, 32.0], [64.0, 128.0], [256.0, 512.0]][level][number % 2];
        let (prior_x, prior_y) = ((column + 0.5) * stride as f32, (row + 0.5) * stride as f32);
        let bounds = [
            (x - prior_x) / (0.1 * side),
            (y - prior_y) / (0.1 * side),
            (face.bounds.width / side).ln() / 0.2,
            (face.bounds.height / side).ln() / 0.2,
        ];
        answer[0].values[4 * anchor..4 * anchor + 4].copy_from_slice(&bounds);
        answer[1].values[2 * anchor..2 * anchor + 2].copy_from_slice(&[1.0 - face.score, face.score]);
        for (i, point) in face.landmarks.iter().enumerate() {
            answer[2].values[10 * anchor + 2 * i] = (point.x - prior_x) / (0.1 * side);
            answer[2].values[10 * anchor + 2 * i + 1] = (point.y - prior_y) / (0.1 * side);
        }
    }
    answer
}

fn encode_yunet(manifest: &Manifest) -> Vec<Tensor> {
    let lengths = [1, 1, 4, 10].map(|each| STRIDES.map(|stride| each * cells(stride))).concat();
    let mut answer = zeroed(manifest, &lengths);
    for face in &faces() {
        let level = level(face);
        let stride = STRIDES[level] as f32;
        let (x, y) = centre(face);
        let (column, row) = ((x / stride).floor(), (y / stride).floor());
        let cell = row as usize * (SIZE.1 / STRIDES[level]) + column as usize;
        answer[level].values[cell] = face.score;
        answer[3 + level].values[cell] = face.score;
        let bounds = [
            x / stride - column,
            y / stride - row,
            (face.bounds.width / stride).ln(),
            (face.bounds.height / stride).ln(),
        ];
        answer[6 + level].values[4 * cell..4 * cell + 4].copy_from_slice(&bounds);
        for (i, point) in face.landmarks.iter().enumerate() {
            answer[9 + level].values[10 * cell + 2 * i] = point.x / stride - column;
            answer[9 + level].values[10 * cell + 2 * i + 1] = point.y / stride - row;
        }
    }
    answer
}

fn encode(outputs: Outputs, manifest: &Manifest) -> Vec<Tensor> {
    match outputs {
        Outputs::Yunet => encode_yunet(manifest),
        Outputs::Scrfd => encode_scrfd(manifest),
        Outputs::Retinaface => encode_retinaface(manifest),
    }
}

#[test]
fn encoded_faces_are_decoded_in_all_families() {
    for outputs in [Outputs::Yunet, Outputs::Scrfd, Outputs::Retinaface] {
        let manifest = manifest(outputs);
        let mut answer = encode(outputs, &manifest);
        answer.reverse();
        let found = OutputDecoder::new(&manifest).decode(&answer, SIZE, 0.5).unwrap();
        let found = non_max_suppression(found, 0.3);
        assert_eq!(found.len(), 3, "{outputs:?}");
        let close = |a: f32, b: f32| (a - b).abs() < 1e-3;
        for (is, should) in found.iter().zip(&faces()) {
            let (a, b) = (is.bounds, should.bounds);
            assert!(close(is.score, should.score), "{outputs:?}: {is:?}");
            assert!(close(a.x, b.x) && close(a.y, b.y), "{outputs:?}: {a:?} is not {b:?}");
            assert!(close(a.width, b.width) && close(a.height, b.height), "{outputs:?}: {a:?} is not {b:?}");
            for (p, q) in is.landmarks.iter().zip(&should.landmarks) {
                assert!(close(p.x, q.x) && close(p.y, q.y), "{outputs:?}: {p:?} is not {q:?}");
            }
        }
    }
}

#[test]
fn a_score_below_the_floor_is_no_face() {
    for outputs in [Outputs::Yunet, Outputs::Scrfd, Outputs::Retinaface] {
        let manifest = manifest(outputs);
        let answer = encode(outputs, &manifest);
        let count = |score: f32| OutputDecoder::new(&manifest).decode(&answer, SIZE, score).unwrap().len();
        assert_eq!((count(0.75), count(0.85), count(0.95)), (2, 1, 0), "{outputs:?}");
    }
}

#[test]
fn values_that_are_not_finite_are_no_faces() {
    for outputs in [Outputs::Yunet, Outputs::Scrfd, Outputs::Retinaface] {
        let manifest = manifest(outputs);
        for broken in [f32::NAN, f32::INFINITY] {
            let mut answer = encode(outputs, &manifest);
            let last = answer.len() - 1;
            for tensor in &mut answer[last.saturating_sub(2)..] {
                tensor.values.fill(broken);
            }
            let found = OutputDecoder::new(&manifest).decode(&answer, SIZE, 0.5).unwrap();
            assert!(found.iter().all(is_finite), "{outputs:?}");
        }
    }
}

fn is_finite(face: &Detection) -> bool {
    crate::yunet::is_finite(face) && face.score.is_finite()
}

#[test]
fn outputs_of_another_model_are_an_error() {
    let manifest = manifest(Outputs::Scrfd);
    let decode = |answer: &[Tensor], size| {
        OutputDecoder::new(&manifest).decode(answer, size, 0.5).unwrap_err().to_string()
    };
    let answer = encode_scrfd(&manifest);
    assert!(decode(&answer[1..], SIZE).contains("no output `t9`"));
    assert!(decode(&answer, (SIZE.0, 320)).contains("instead of"));
}
