"""Tests of scripts/models.py on networks of three nodes, whose outputs can be computed by hand."""

import sys
import unittest
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1]))
import models  # noqa: E402


def network(nodes, constants, shape=(1, 2, 2, 2), stale=(), opset=21):
    """Returns a model from `x` to `y`, both of `shape`, with the unused inputs `stale`."""
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)  # noqa: E731
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", [value("x"), *map(value, stale)], [value("y")], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def answer(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


class Unfolding(unittest.TestCase):
    def test_each_block_of_weights_gets_its_own_scale_and_zero(self):
        quantised = np.array([[1, 2, 3, 4, 5]], np.int8)
        constants = {
            "q": quantised,
            "s": np.array([[1, 10, 100]], np.float32),
            "z": np.array([[0, 1, 2]], np.int8),
        }
        node = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=1, block_size=2)
        np.testing.assert_array_equal(models.dequantized(node, constants), [[1, 2, 20, 30, 300]])

    def test_one_scale_for_each_slice_of_the_axis(self):
        constants = {"q": np.array([[1, 2], [3, 4]], np.int8), "s": np.array([1, 10], np.float32)}
        node = helper.make_node("DequantizeLinear", ["q", "s"], ["w"], axis=0)
        np.testing.assert_array_equal(models.dequantized(node, constants), [[1, 2], [30, 40]])

    def test_folded_weights_take_the_place_of_the_nodes_and_stale_inputs_go(self):
        nodes = [
            helper.make_node("DequantizeLinear", ["q", "s"], ["flat"], axis=0),
            helper.make_node("Reshape", ["flat", "shape"], ["w"]),
            helper.make_node("Mul", ["x", "w"], ["y"]),
        ]
        constants = {
            "q": np.array([1, 2], np.int8),
            "s": np.array(3, np.float32),
            "shape": np.array([1, 2, 1, 1], np.int64),
        }
        model = network(nodes, constants, stale=["forgotten"])
        models.unfold(model)
        self.assertEqual([node.op_type for node in model.graph.node], ["Mul"])
        self.assertEqual([given.name for given in model.graph.input], ["x"])
        self.assertEqual([stored.name for stored in model.graph.initializer], ["w"])
        x = np.ones((1, 2, 2, 2), np.float32)
        np.testing.assert_array_equal(answer(model, x)[0, :, 0, 0], [3, 6])

    def test_a_dequantised_input_that_is_no_constant_stays(self):
        node = helper.make_node("DequantizeLinear", ["computed", "s"], ["y"])
        model = network([node], {"s": np.array(3, np.float32)})
        models.unfold(model)
        self.assertEqual([node.op_type for node in model.graph.node], ["DequantizeLinear"])


class SplittingPRelu(unittest.TestCase):
    def test_the_split_answers_as_prelu_does_on_both_sides_of_zero(self):
        for slope in (np.array([[[0.25]], [[-2]]], np.float32), np.array([0.5], np.float32)):
            nodes = [helper.make_node("PRelu", ["x", "slope"], ["y"])]
            model = network(nodes, {"slope": slope}, opset=models.OPSET)
            x = np.linspace(-5, 5, 8, dtype=np.float32).reshape(1, 2, 2, 2)
            before = answer(model, x)
            models.split_prelu(model)
            self.assertNotIn("PRelu", [node.op_type for node in model.graph.node])
            self.assertNotIn("slope", [stored.name for stored in model.graph.initializer])
            np.testing.assert_allclose(answer(model, x), before, rtol=1e-6)


class Manifests(unittest.TestCase):
    def test_a_manifest_names_each_variant_with_its_sum(self):
        import tempfile
        import tomllib

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "a.onnx")
            file.write_bytes(b"abc")
            said = tomllib.loads(models.manifest(models.NETWORKS[1], "data", [file, file]))
        self.assertEqual((said["kind"], said["dimension"], said["input"]), ("embedder", 128, "data"))
        known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, "abc"
        self.assertEqual(said["variants"], [{"file": "a.onnx", "sha256": known}] * 2)


if __name__ == "__main__":
    unittest.main()
