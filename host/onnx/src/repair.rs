//! The changes that are made to a model. None changes what the network computes.

use std::collections::{BTreeMap, HashSet};

use crate::array::{Array, dequantize, read_integers};
use crate::proto::{Graph, Node, Tensor, ValueInfo};

/// What was changed, for the user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Quantised constants that became 32-bit floats.
    pub folded: usize,
    /// Inputs that no node reads, or that have a constant of the same name.
    pub stale_inputs: usize,
    /// Reshapes that fixed the batch to one.
    pub freed_reshapes: usize,
}

/// Replaces every DequantizeLinear (and Reshape) of constants by its result.
pub fn fold_constants(graph: &mut Graph, repairs: &mut Repairs) {
    let mut arrays: BTreeMap<String, Array> = BTreeMap::new();
    let mut shapes: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let quantised_names: HashSet<&String> =
        graph.node.iter().filter(|n| n.operator() == "DequantizeLinear").flat_map(|n| &n.input).collect();
    for tensor in &graph.initializer {
        let Some(name) = &tensor.name else { continue };
        if let Some(integers) = read_integers(tensor) {
            shapes.insert(name.clone(), integers);
        } else if quantised_names.contains(name)
            && let Some(array) = Array::read(tensor)
        {
            arrays.insert(name.clone(), array);
        }
    }
    let mut folded: Vec<(String, Array)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept = Vec::new();
    for node in std::mem::take(&mut graph.node) {
        let result = match node.operator() {
            "DequantizeLinear" => fold_dequantize(&node, &arrays),
            "Reshape" => fold_reshape(&node, &folded, &places, &shapes),
            _ => None,
        };
        match (result, node.output.first()) {
            (Some(array), Some(output)) => {
                repairs.folded += usize::from(node.operator() == "DequantizeLinear");
                places.insert(output.clone(), folded.len());
                folded.push((output.clone(), array));
            }
            _ => kept.push(node),
        }
    }
    graph.node = kept;
    let read = read_names(graph);
    let new =
        folded.iter().filter(|(name, _)| read.contains(name)).map(|(name, array)| array.to_tensor(name));
    let new: Vec<Tensor> = new.collect();
    graph.initializer.extend(new);
}

fn fold_dequantize(node: &Node, arrays: &BTreeMap<String, Array>) -> Option<Array> {
    let at = |place: usize| node.input.get(place).and_then(|name| arrays.get(name));
    let has_zero = node.input.get(2).is_some_and(|name| !name.is_empty());
    let zero = at(2);
    if has_zero && zero.is_none() {
        return None;
    }
    dequantize(node, at(0)?, at(1)?, zero)
}

fn fold_reshape(
    node: &Node,
    folded: &[(String, Array)],
    places: &BTreeMap<String, usize>,
    shapes: &BTreeMap<String, Vec<i64>>,
) -> Option<Array> {
    let (_, array) = folded.get(*places.get(node.input.first()?)?)?;
    array.reshape(shapes.get(node.input.get(1)?)?)
}

/// Removes constants that no node reads, and inputs that no node reads or that have a constant of the same name.
pub fn remove_unused(graph: &mut Graph, repairs: &mut Repairs) {
    let read = read_names(graph);
    graph.initializer.retain(|tensor| tensor.name.as_ref().is_some_and(|name| read.contains(name)));
    let constants: HashSet<String> = graph.initializer.iter().filter_map(|t| t.name.clone()).collect();
    let before = graph.input.len();
    graph.input.retain(|input| {
        input.name.as_ref().is_some_and(|name| read.contains(name) && !constants.contains(name))
    });
    repairs.stale_inputs += before - graph.input.len();
    // The shapes of tensors between the nodes, some of which were removed or vary now.
    graph.value_info.clear();
}

/// Makes each DequantizeLinear with a single scale one that ONNX Runtime runs: it refuses a block size for a single block, and a
/// scale of several dimensions without a block size.
pub fn simplify_single_scales(graph: &mut Graph) {
    let is_single = |tensor: &&mut Tensor| tensor.dims.iter().all(|size| *size == 1);
    let parameters: HashSet<String> = graph
        .node
        .iter()
        .filter(|node| node.operator() == "DequantizeLinear")
        .flat_map(|node| node.input.iter().skip(1).cloned())
        .collect();
    let mut single = HashSet::new();
    for tensor in graph.initializer.iter_mut().filter(is_single) {
        if let Some(name) = tensor.name.as_ref().filter(|name| parameters.contains(*name)) {
            single.insert(name.clone());
            tensor.dims.clear();
        }
    }
    for node in graph.node.iter_mut().filter(|node| node.operator() == "DequantizeLinear") {
        if node.input.get(1).is_some_and(|scale| single.contains(scale)) {
            node.attribute.retain(|attribute| attribute.name.as_deref() != Some("block_size"));
        }
    }
}

/// The names of all tensors that a node reads, also in the graphs of its attributes, and of the outputs.
fn read_names(graph: &Graph) -> HashSet<String> {
    fn collect(graph: &Graph, names: &mut HashSet<String>) {
        for node in &graph.node {
            names.extend(node.input.iter().cloned());
            for attribute in &node.attribute {
                attribute.g.iter().chain(&attribute.graphs).for_each(|inner| collect(inner, names));
            }
        }
        names.extend(graph.output.iter().filter_map(|output| output.name.clone()));
    }
    let mut names = HashSet::new();
    collect(graph, &mut names);
    names
}

/// Lets the batch of an embedder vary: in its input, its outputs, and in each Reshape to `[1, …]`, which keeps the batch then.
pub fn free_batch(graph: &mut Graph, repairs: &mut Repairs) {
    for value in graph.input.iter_mut().chain(&mut graph.output) {
        free_dimension(value, 0, "n");
    }
    let shapes: HashSet<&String> =
        graph.node.iter().filter(|n| n.operator() == "Reshape").filter_map(|n| n.input.get(1)).collect();
    for tensor in &mut graph.initializer {
        if !tensor.name.as_ref().is_some_and(|name| shapes.contains(name)) {
            continue;
        }
        let Some(mut shape) = read_integers(tensor) else { continue };
        if shape.len() > 1 && shape.first() == Some(&1) {
            shape[0] = 0;
            tensor.int64_data.clear();
            tensor.raw_data = Some(shape.iter().flat_map(|d| d.to_le_bytes()).collect());
            repairs.freed_reshapes += 1;
        }
    }
}

/// Lets height and width of a detector's input vary, and the number of cells in its outputs.
pub fn free_picture_size(graph: &mut Graph) {
    for input in &mut graph.input {
        free_dimension(input, 2, "height");
        free_dimension(input, 3, "width");
    }
    for output in &mut graph.output {
        let name = format!("cells_{}", output.name.as_deref().unwrap_or_default());
        // `[cells, k]`, or `[batch, cells, k]`.
        let cells = output.dimensions().len().saturating_sub(2);
        free_dimension(output, cells, &name);
    }
}

/// Gives a dimension a name in place of its size. A dimension that has no size stays as it is.
fn free_dimension(value: &mut ValueInfo, place: usize, name: &str) {
    let Some(dimension) = value.dimensions_mut().and_then(|all| all.get_mut(place)) else { return };
    if dimension.dim_value.take().is_some() || dimension.dim_param.is_none() {
        dimension.dim_param = Some(name.to_owned());
    }
}

/// Replaces PRelu by `s*x + (1-s)*relu(x)`: the same function, in operators that ONNX Runtime has optimised. Returns the number
/// of PRelus that were replaced; one whose slope is no constant stays.
pub fn split_prelu(graph: &mut Graph) -> usize {
    let slopes: BTreeMap<String, Array> = graph
        .initializer
        .iter()
        .filter_map(|tensor| Some((tensor.name.clone()?, Array::read(tensor)?)))
        .collect();
    let (mut nodes, mut replaced) = (Vec::new(), HashSet::new());
    for node in std::mem::take(&mut graph.node) {
        let (("PRelu", [x, slope], [y]), Some(array)) = (
            (node.operator(), &node.input[..], &node.output[..]),
            node.input.get(1).and_then(|name| slopes.get(name)),
        ) else {
            nodes.push(node);
            continue;
        };
        let mut s = array.clone();
        if s.shape.len() == 1 && s.values.len() > 1 {
            s.shape.extend([1, 1]);
        }
        let rest = Array { values: s.values.iter().map(|v| 1.0 - v).collect(), ..s.clone() };
        let name = |part: &str| format!("{y}_{part}");
        let (slope_name, rest_name) = (name("slope"), name("rest"));
        let (relu, line, bend) = (name("relu"), name("line"), name("bend"));
        graph.initializer.extend([s.to_tensor(&slope_name), rest.to_tensor(&rest_name)]);
        nodes.extend([
            Node::simple("Relu", &[x], &relu),
            Node::simple("Mul", &[x, &slope_name], &line),
            Node::simple("Mul", &[&relu, &rest_name], &bend),
            Node::simple("Add", &[&line, &bend], y),
        ]);
        replaced.insert(slope.clone());
    }
    graph.node = nodes;
    let read = read_names(graph);
    graph.initializer.retain(|tensor| {
        tensor.name.as_ref().is_none_or(|name| !replaced.contains(name) || read.contains(name))
    });
    replaced.len()
}
