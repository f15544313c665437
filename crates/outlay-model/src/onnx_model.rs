//! From an ONNX graph to a model: shapes are inferred, and every node becomes an operator.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead, Seek};

use crate::error::Error;
use crate::graph::{
    Block, BlockKind, Family, Kind, Model, Operator, Positions, Sample, SampleUnit, Split,
};
use crate::net::{Input, pointwise};
use crate::onnx::{Declared, Graph, Node, Side, Tensor, read_graph};

/// Largest number of elements that a tensor may have; larger ones are taken for damage.
const MOST: u64 = 1_000_000_000_000;

/// Pointwise operations: each reads its inputs and writes its output.
const POINTWISE: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "CumSum",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "Max",
    "Mean",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pow",
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Where",
];

/// Operations that move numbers and compute none.
const MOVES: &[&str] = &[
    "Transpose",
    "Concat",
    "Split",
    "Slice",
    "Pad",
    "Expand",
    "Tile",
    "Resize",
    "Upsample",
    "Gather",
    "GatherElements",
    "GatherND",
    "ScatterElements",
    "ScatterND",
    "DepthToSpace",
    "SpaceToDepth",
    "Trilu",
    "OneHot",
    "ConstantOfShape",
    "Range",
    "TopK",
    "ArgMax",
    "ArgMin",
    "NonZero",
];

/// Operations that change the name of numbers, or run once before training.
const FREE: &[&str] = &[
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Shape",
    "Size",
    "Constant",
];

/// Sums, means and maxima over parts of a tensor.
fn reduces(operation: &str) -> bool {
    operation.starts_with("Reduce")
        || matches!(
            operation,
            "MaxPool" | "AveragePool" | "LpPool" | "GlobalAveragePool" | "GlobalMaxPool"
        )
}

/// What is known of a value.
#[derive(Clone, Debug, Default)]
struct Value {
    /// Sides, where they are known.
    sides: Option<Vec<u64>>,
    /// Whole numbers, where the value is a shape in the making.
    numbers: Option<Vec<i64>>,
    /// Fractions, where they are few constants.
    fractions: Option<Vec<f32>>,
    /// Whether it depends on no input.
    constant: bool,
}

fn elements(sides: &[u64]) -> u64 {
    sides
        .iter()
        .fold(1, |product: u64, &side| product.saturating_mul(side))
}

/// Builds a model from an ONNX file.
///
/// # Errors
/// [`Error`] where the file is damaged, or its sizes are absurd.
pub(crate) fn read_onnx(
    input: &mut (impl BufRead + Seek),
    length: u64,
    file: &str,
    wanted: &Input,
) -> Result<Model, Error> {
    let graph = read_graph(input, length, file)?;
    Reader::new(&graph, file, wanted)?.model()
}

struct Reader<'a> {
    graph: &'a Graph,
    file: &'a str,
    values: HashMap<&'a str, Value>,
    tensors: HashMap<&'a str, &'a Tensor>,
    counted: HashSet<&'a str>,
    batch: u64,
    sample: Sample,
    notes: Vec<String>,
    unknown: BTreeMap<String, u64>,
    /// Operators with their positions and how often each stands there, in the order of their first node.
    operators: Vec<(BlockKind, Positions, Operator, u64)>,
    places: HashMap<String, usize>,
}

impl<'a> Reader<'a> {
    fn new(graph: &'a Graph, file: &'a str, wanted: &Input) -> Result<Self, Error> {
        let tensors: HashMap<&str, &Tensor> = graph
            .tensors
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor))
            .collect();
        let mut out = Self {
            graph,
            file,
            values: HashMap::new(),
            tensors,
            counted: HashSet::new(),
            batch: 1,
            sample: Sample {
                unit: SampleUnit::Input,
                positions: Some(1),
                ..Sample::default()
            },
            notes: Vec::new(),
            unknown: BTreeMap::new(),
            operators: Vec::new(),
            places: HashMap::new(),
        };
        for tensor in &graph.tensors {
            out.sane(&tensor.name, &tensor.dims)?;
            out.values.insert(
                &tensor.name,
                Value {
                    sides: Some(tensor.dims.clone()),
                    numbers: tensor.values.clone(),
                    fractions: tensor.fractions.clone(),
                    constant: true,
                },
            );
        }
        let mut first = true;
        for declared in &graph.inputs {
            // Old files list their weights among the inputs.
            if out.tensors.contains_key(declared.name.as_str()) {
                continue;
            }
            let sides = out.input_sides(declared, wanted, first)?;
            first = false;
            out.values.insert(
                &declared.name,
                Value {
                    sides,
                    ..Value::default()
                },
            );
        }
        Ok(out)
    }

    fn sane(&self, name: &str, sides: &[u64]) -> Result<(), Error> {
        if elements(sides) > MOST {
            return Err(Error::Contradiction {
                file: self.file.to_owned(),
                what: format!(
                    "tensor `{}` has the sides {sides:?}; no tensor is larger than {MOST} elements",
                    crate::config::shown(name)
                ),
            });
        }
        Ok(())
    }

    /// Sides of an input; names that stand for numbers get one, and a note.
    fn input_sides(
        &mut self,
        declared: &Declared,
        wanted: &Input,
        first: bool,
    ) -> Result<Option<Vec<u64>>, Error> {
        let Some(sides) = &declared.sides else {
            return Ok(None);
        };
        let picture = sides.len() == 4 && declared.element != 7;
        let mut out = Vec::new();
        for (index, side) in sides.iter().enumerate() {
            let height = picture && index == 2;
            let width = picture && index == 3;
            let number = match side {
                Side::Number(_) if height && wanted.height_px.is_some() => {
                    wanted.height_px.unwrap_or(1)
                }
                Side::Number(_) if width && wanted.width_px.is_some() => {
                    wanted.width_px.unwrap_or(1)
                }
                Side::Number(number) => *number,
                Side::Named(_) if index == 0 => 1,
                Side::Named(name) => {
                    let number = if height {
                        wanted.height_px.unwrap_or(224)
                    } else if width {
                        wanted.width_px.or(wanted.height_px).unwrap_or(224)
                    } else {
                        wanted.caption_tokens.unwrap_or(128)
                    };
                    let note = format!(
                        "Input `{}` leaves side {index} (`{}`) open: {number} is assumed.",
                        crate::config::shown(&declared.name),
                        crate::config::shown(name)
                    );
                    if self.notes.len() < 4 {
                        self.notes.push(note);
                    }
                    number
                }
            };
            out.push(number);
        }
        self.sane(&declared.name, &out)?;
        if first {
            self.batch = out.first().copied().unwrap_or(1).max(1);
            if picture {
                self.sample.unit = SampleUnit::Image;
                self.sample.height_px = out[2];
                self.sample.width_px = out[3];
            }
        }
        Ok(Some(out))
    }

    fn value(&self, name: &str) -> Value {
        self.values.get(name).cloned().unwrap_or_default()
    }

    fn sides(&self, name: &str) -> Option<Vec<u64>> {
        self.values.get(name).and_then(|value| value.sides.clone())
    }

    /// Parameters of a node's weights that no earlier node has counted.
    fn weights(&mut self, node: &'a Node) -> u64 {
        let statistics = node.operation == "BatchNormalization";
        let mut total = 0u64;
        for (index, name) in node.inputs.iter().enumerate() {
            if statistics && index >= 3 {
                continue;
            }
            if let Some(tensor) = self.tensors.get(name.as_str())
                && tensor.fractional()
                && tensor.elements() > 1
                && self.counted.insert(name)
            {
                total = total.saturating_add(tensor.elements());
            }
        }
        total
    }

    fn put(&mut self, kind: BlockKind, positions: u64, operator: Operator) {
        // One sample's share of the positions of the file's own batch.
        let positions = Positions::Fixed((positions / self.batch).max(1));
        let key = format!("{kind:?} {positions:?} {operator:?}");
        match self.places.get(&key) {
            Some(&place) => self.operators[place].3 += 1,
            None => {
                self.places.insert(key, self.operators.len());
                self.operators.push((kind, positions, operator, 1));
            }
        }
    }

    /// A node that only reads and writes: all its elements at one position.
    fn put_pointwise(&mut self, node: &'a Node, outputs: &[u64], saves: bool) {
        let parameters = self.weights(node);
        let share = |count: u64, batch: u64| (count / batch).max(1);
        let read: u64 = node
            .inputs
            .iter()
            .filter(|name| !self.value(name).constant)
            .filter_map(|name| self.sides(name))
            .map(|sides| elements(&sides))
            .fold(0, u64::saturating_add);
        let batch = self.batch;
        let (read, written) = (share(read, batch), share(elements(outputs), batch));
        let mut operator = pointwise(&node.operation, read, written, if saves { read } else { 0 });
        operator.parameters = parameters;
        self.put(BlockKind::Layer, batch, operator);
    }

    fn model(mut self) -> Result<Model, Error> {
        let graph = self.graph;
        let declared: HashMap<&str, &Declared> = graph
            .values
            .iter()
            .map(|declared| (declared.name.as_str(), declared))
            .collect();
        for node in &graph.nodes {
            let inputs: Vec<Value> = node.inputs.iter().map(|name| self.value(name)).collect();
            let constant =
                node.operation != "RandomNormal" && inputs.iter().all(|input| input.constant);
            let mut outputs = infer(node, &inputs);
            for (index, name) in node.outputs.iter().enumerate() {
                if outputs.len() <= index {
                    outputs.push(Value::default());
                }
                let output = &mut outputs[index];
                // What the file says of a value counts where inference knows nothing.
                if output.sides.is_none()
                    && let Some(sides) = declared.get(name.as_str()).and_then(|d| d.sides.as_ref())
                {
                    output.sides = Some(
                        sides
                            .iter()
                            .enumerate()
                            .map(|(index, side)| match side {
                                Side::Number(number) => *number,
                                Side::Named(_) if index == 0 => self.batch,
                                Side::Named(_) => 1,
                            })
                            .collect(),
                    );
                }
                if let Some(sides) = &output.sides {
                    self.sane(name, sides)?;
                }
                output.constant = constant;
            }
            let shape = outputs.first().and_then(|value| value.sides.clone());
            if constant {
                // Weights that reach the graph through constant nodes (folded positions) are weights all the same.
                let parameters = self.weights(node);
                if parameters > 0 {
                    let mut operator = pointwise(&node.operation, 0, 0, 0);
                    operator.parameters = parameters;
                    self.put(BlockKind::Layer, 1, operator);
                }
            } else {
                self.node(node, &inputs, shape.as_deref());
            }
            for (name, value) in node.outputs.iter().zip(outputs) {
                self.values.insert(name, value);
            }
        }
        if !self.unknown.is_empty() {
            let list: Vec<String> = self
                .unknown
                .iter()
                .map(|(name, n)| format!("{} ({n})", crate::config::shown(name)))
                .collect();
            self.notes.push(format!(
                "Operators not known, priced as passes over their inputs and outputs (a lower bound): {}.",
                list.join(", ")
            ));
        }
        let hidden = self
            .operators
            .iter()
            .filter_map(|(_, _, operator, _)| match operator.kind {
                Kind::MatMul { outputs, .. } | Kind::ImageConvolution { outputs, .. } => {
                    Some(outputs)
                }
                _ => None,
            })
            .max()
            .unwrap_or(1);
        let blocks = self
            .operators
            .into_iter()
            .map(|(kind, positions, operator, repeat)| Block {
                name: operator.name.clone(),
                kind,
                repeat,
                positions,
                operators: vec![operator],
            })
            .collect();
        // Graphs are mostly called `main_graph`; the file's own name says more.
        let stem = std::path::Path::new(self.file).file_stem();
        let name = stem.map_or_else(
            || graph.name.clone(),
            |stem| stem.to_string_lossy().into_owned(),
        );
        Ok(Model {
            name: crate::config::shown(&name),
            architecture: "ONNX".to_owned(),
            family: Family::Vision,
            hidden,
            vocabulary: 0,
            max_sequence_tokens: Some(1),
            sample: self.sample,
            blocks,
            notes: self.notes,
        })
    }

    fn node(&mut self, node: &'a Node, inputs: &[Value], shape: Option<&[u64]>) {
        let operation = node.operation.as_str();
        if FREE.contains(&operation) {
            return;
        }
        let input = |index: usize| inputs.get(index).and_then(|value| value.sides.clone());
        let known = shape.map(<[u64]>::to_vec);
        match (operation, input(0), input(1), known) {
            ("Conv" | "ConvTranspose" | "ConvInteger" | "QLinearConv", Some(from), _, Some(to))
                if from.len() >= 3 && to.len() >= 3 =>
            {
                // QLinearConv has its weights after scale and zero point.
                let weight = if operation == "QLinearConv" {
                    input(3)
                } else {
                    input(1)
                };
                let taps = weight
                    .map_or(1, |sides| elements(&sides[2.min(sides.len())..]))
                    .max(1);
                let backwards = operation == "ConvTranspose";
                let points = |sides: &[u64]| elements(&sides[2..]).max(1);
                let (at, other) = if backwards {
                    (points(&from), points(&from))
                } else {
                    (points(&to), points(&from))
                };
                let parameters = self.weights(node);
                let batch = to[0].max(1);
                self.put(
                    BlockKind::Layer,
                    at.saturating_mul(batch),
                    Operator {
                        name: operation.to_owned(),
                        kind: Kind::ImageConvolution {
                            inputs: from[1].max(1),
                            outputs: to[1].max(1),
                            taps,
                            groups: u64::try_from(node.integer("group", 1))
                                .unwrap_or(1)
                                .clamp(1, from[1].max(1)),
                            stride_area: (other / at.max(1)).max(1),
                        },
                        parameters,
                    },
                );
            }
            ("MatMul" | "Gemm" | "MatMulInteger" | "FusedMatMul", Some(a), Some(b), Some(to))
                if !a.is_empty() && b.len() >= 2 && !to.is_empty() =>
            {
                let transposed = operation == "Gemm" && node.integer("transA", 0) != 0;
                let inner = if transposed { a[0] } else { a[a.len() - 1] };
                let outputs = to[to.len() - 1];
                let parameters = self.weights(node);
                self.put(
                    BlockKind::Layer,
                    elements(&to[..to.len() - 1]),
                    Operator {
                        name: operation.to_owned(),
                        kind: Kind::MatMul {
                            inputs: inner.max(1),
                            outputs: outputs.max(1),
                            split: Split::Replicated,
                        },
                        parameters,
                    },
                );
            }
            ("LSTM" | "GRU" | "RNN", Some(from), Some(weight), _)
                if from.len() == 3 && weight.len() == 3 =>
            {
                // Products with the input and with the state before it, for all gates, in each direction.
                let hidden = u64::try_from(node.integer("hidden_size", 1))
                    .unwrap_or(1)
                    .max(1);
                let parameters = self.weights(node);
                let gates = weight[1].max(1);
                self.put(
                    BlockKind::Layer,
                    from[0]
                        .saturating_mul(from[1])
                        .saturating_mul(weight[0].max(1)),
                    Operator {
                        name: operation.to_owned(),
                        kind: Kind::MatMul {
                            inputs: weight[2].saturating_add(hidden).max(1),
                            outputs: gates,
                            split: Split::Replicated,
                        },
                        parameters,
                    },
                );
            }
            (
                "BatchNormalization" | "InstanceNormalization" | "GroupNormalization",
                Some(from),
                _,
                _,
            ) if from.len() >= 2 => {
                let parameters = self.weights(node);
                let width = from[1].max(1);
                let at = elements(&from) / width;
                self.put(
                    BlockKind::Layer,
                    at,
                    Operator {
                        name: operation.to_owned(),
                        kind: Kind::GroupNorm { width },
                        parameters,
                    },
                );
            }
            (
                "LayerNormalization"
                | "RMSNormalization"
                | "SimplifiedLayerNormalization"
                | "LpNormalization",
                Some(from),
                _,
                _,
            ) if !from.is_empty() => {
                let parameters = self.weights(node);
                let width = from[from.len() - 1].max(1);
                self.put(
                    BlockKind::Layer,
                    elements(&from) / width,
                    Operator {
                        name: operation.to_owned(),
                        kind: Kind::Norm { width },
                        parameters,
                    },
                );
            }
            ("Gather", Some(table), _, Some(to))
                if inputs[0].constant && table.len() == 2 && to.len() >= 2 =>
            {
                let parameters = self.weights(node);
                self.put(
                    BlockKind::Embedding,
                    elements(&to[..to.len() - 1]),
                    Operator {
                        name: "Gather".to_owned(),
                        kind: Kind::Embedding {
                            rows: table[0],
                            width: table[1].max(1),
                            split: false,
                        },
                        parameters,
                    },
                );
            }
            (_, first, _, known) => {
                // Where the shape is not known, an output is as large as the largest input.
                let largest = inputs
                    .iter()
                    .filter_map(|value| value.sides.clone())
                    .max_by_key(|sides| elements(sides));
                let sides = known.or(largest).or(first).unwrap_or_default();
                let named = POINTWISE.contains(&operation)
                    || MOVES.contains(&operation)
                    || reduces(operation)
                    || ["Conv", "MatMul", "Gemm"].contains(&operation);
                if !named || shape.is_none() {
                    let label = if node.domain.is_empty() || node.domain == "ai.onnx" {
                        operation.to_owned()
                    } else {
                        format!("{}.{operation}", node.domain)
                    };
                    *self.unknown.entry(label).or_default() += 1;
                }
                // A shape in the making is no work.
                if shape.is_some() && elements(&sides) <= 16 {
                    return;
                }
                self.put_pointwise(node, &sides, POINTWISE.contains(&operation));
            }
        }
    }
}

/// Shapes of the outputs of a node, and their numbers where they are shapes themselves.
fn infer(node: &Node, inputs: &[Value]) -> Vec<Value> {
    let sides = |index: usize| inputs.get(index).and_then(|value| value.sides.as_ref());
    let numbers = |index: usize| inputs.get(index).and_then(|value| value.numbers.as_ref());
    let shaped = |sides: Option<Vec<u64>>| {
        vec![Value {
            sides,
            ..Value::default()
        }]
    };
    let computed = |values: Option<Vec<i64>>, scalar: bool| {
        vec![Value {
            sides: values.as_ref().map(|values| {
                if scalar {
                    Vec::new()
                } else {
                    vec![values.len() as u64]
                }
            }),
            numbers: values,
            ..Value::default()
        }]
    };
    let unit_axes = |rank: usize, list: &[i64]| -> Vec<usize> {
        list.iter()
            .filter_map(|&axis| {
                usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok()
            })
            .collect()
    };
    let axes = |rank: usize| -> Option<Vec<usize>> {
        let given = node.integers("axes");
        if given.is_empty() {
            numbers(1).map(|list| unit_axes(rank, list))
        } else {
            Some(unit_axes(rank, &given))
        }
    };
    match node.operation.as_str() {
        "Constant" => match node.attribute("value").and_then(|a| a.tensor.as_ref()) {
            Some(tensor) => vec![Value {
                sides: Some(tensor.dims.clone()),
                numbers: tensor.values.clone(),
                fractions: tensor.fractions.clone(),
                constant: true,
            }],
            None => match node.attribute("value_int").and_then(|a| a.integer) {
                Some(value) => computed(Some(vec![value]), true),
                None => match node.attribute("value_ints") {
                    Some(list) => computed(Some(list.integers.clone()), false),
                    None => shaped(Some(Vec::new())),
                },
            },
        },
        "Shape" => {
            let list = sides(0).map(|sides| {
                let rank = sides.len() as i64;
                let place = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
                let (start, end) = (
                    place(node.integer("start", 0)),
                    place(node.integer("end", rank)),
                );
                sides[start.min(end)..end]
                    .iter()
                    .map(|&side| i64::try_from(side).unwrap_or(i64::MAX))
                    .collect()
            });
            computed(list, false)
        }
        "Size" => computed(sides(0).map(|sides| vec![elements(sides) as i64]), true),
        "Identity" | "Cast" | "CastLike" | "Dropout" => inputs
            .first()
            .cloned()
            .map_or_else(Vec::new, |value| vec![value]),
        "Reshape" => {
            let target = numbers(1);
            shaped(sides(0).zip(target).and_then(|(from, target)| {
                let mut out: Vec<u64> = Vec::new();
                let mut open = None;
                for (index, &side) in target.iter().enumerate() {
                    match side {
                        0 => out.push(*from.get(index)?),
                        -1 => {
                            open = Some(index);
                            out.push(1);
                        }
                        side => out.push(u64::try_from(side).ok()?),
                    }
                }
                if let Some(index) = open {
                    out[index] = elements(from) / elements(&out).max(1);
                }
                Some(out)
            }))
            .into_iter()
            .map(|value| Value {
                numbers: numbers(0).cloned(),
                ..value
            })
            .collect()
        }
        "Flatten" => shaped(sides(0).map(|sides| {
            let axis = node.integer("axis", 1);
            let at = (if axis < 0 {
                axis + sides.len() as i64
            } else {
                axis
            })
            .clamp(0, sides.len() as i64) as usize;
            vec![elements(&sides[..at]), elements(&sides[at..])]
        })),
        "Unsqueeze" => {
            let out = sides(0).and_then(|sides| {
                let extra = if node.integers("axes").is_empty() {
                    numbers(1).map_or(0, Vec::len)
                } else {
                    node.integers("axes").len()
                };
                let mut places = axes(sides.len() + extra)?;
                places.sort_unstable();
                let mut out = sides.clone();
                for place in places {
                    if place > out.len() {
                        return None;
                    }
                    out.insert(place, 1);
                }
                Some(out)
            });
            vec![Value {
                sides: out,
                numbers: numbers(0).cloned(),
                ..Value::default()
            }]
        }
        "Squeeze" => {
            let out = sides(0).map(|sides| {
                let places = axes(sides.len());
                sides
                    .iter()
                    .enumerate()
                    .filter(|(index, side)| match &places {
                        Some(places) => !places.contains(index),
                        None => **side != 1,
                    })
                    .map(|(_, side)| *side)
                    .collect()
            });
            vec![Value {
                sides: out,
                numbers: numbers(0).cloned(),
                ..Value::default()
            }]
        }
        "Transpose" => shaped(sides(0).and_then(|sides| {
            let order = node.integers("perm");
            if order.is_empty() {
                return Some(sides.iter().rev().copied().collect());
            }
            order
                .iter()
                .map(|&from| {
                    usize::try_from(from)
                        .ok()
                        .and_then(|from| sides.get(from).copied())
                })
                .collect()
        })),
        "Concat" => {
            if inputs.iter().all(|input| input.numbers.is_some()) && !inputs.is_empty() {
                let list = inputs
                    .iter()
                    .filter_map(|input| input.numbers.clone())
                    .flatten()
                    .take(4096)
                    .collect();
                return computed(Some(list), false);
            }
            shaped((|| {
                let mut out = sides(0)?.clone();
                let axis = node.integer("axis", 0);
                let at = usize::try_from(if axis < 0 {
                    axis + out.len() as i64
                } else {
                    axis
                })
                .ok()?;
                let mut total = 0u64;
                for index in 0..inputs.len() {
                    total = total.saturating_add(*sides(index)?.get(at)?);
                }
                *out.get_mut(at)? = total;
                Some(out)
            })())
        }
        "Gather" => {
            let axis = node.integer("axis", 0);
            if let (Some(from), Some(indices)) = (numbers(0), numbers(1)) {
                let list: Option<Vec<i64>> = indices
                    .iter()
                    .map(|&index| {
                        let at = if index < 0 {
                            index + from.len() as i64
                        } else {
                            index
                        };
                        usize::try_from(at)
                            .ok()
                            .and_then(|at| from.get(at).copied())
                    })
                    .collect();
                let scalar = sides(1).is_some_and(Vec::is_empty);
                return computed(list, scalar);
            }
            shaped(sides(0).zip(sides(1)).and_then(|(from, indices)| {
                let at = usize::try_from(if axis < 0 {
                    axis + from.len() as i64
                } else {
                    axis
                })
                .ok()?;
                if at >= from.len() {
                    return None;
                }
                let mut out = from[..at].to_vec();
                out.extend(indices);
                out.extend(&from[at + 1..]);
                Some(out)
            }))
        }
        "Slice" => slice(node, inputs),
        "Split" => {
            let axis = node.integer("axis", 0);
            let Some(from) = sides(0) else {
                return Vec::new();
            };
            let Ok(at) = usize::try_from(if axis < 0 {
                axis + from.len() as i64
            } else {
                axis
            }) else {
                return Vec::new();
            };
            let Some(&whole) = from.get(at) else {
                return Vec::new();
            };
            let given = node.integers("split");
            let parts: Vec<u64> = match (given.is_empty(), numbers(1)) {
                (false, _) => given
                    .iter()
                    .map(|&part| u64::try_from(part).unwrap_or(0))
                    .collect(),
                (true, Some(list)) => list
                    .iter()
                    .map(|&part| u64::try_from(part).unwrap_or(0))
                    .collect(),
                (true, None) => vec![whole / node.outputs.len().max(1) as u64; node.outputs.len()],
            };
            parts
                .into_iter()
                .map(|part| {
                    let mut out = from.clone();
                    out[at] = part;
                    Value {
                        sides: Some(out),
                        ..Value::default()
                    }
                })
                .collect()
        }
        "Expand" => shaped(sides(0).zip(numbers(1)).and_then(|(from, target)| {
            let target: Option<Vec<u64>> = target
                .iter()
                .map(|&side| u64::try_from(side).ok())
                .collect();
            broadcast(from, &target?)
        })),
        "GatherElements" => shaped(sides(1).cloned()),
        "ConstantOfShape" => {
            let sides: Option<Vec<u64>> = numbers(0)
                .and_then(|list| list.iter().map(|&side| u64::try_from(side).ok()).collect());
            let fill = match node.attribute("value").and_then(|a| a.tensor.as_ref()) {
                None => Some(0),
                Some(tensor) => tensor
                    .values
                    .as_ref()
                    .and_then(|values| values.first().copied()),
            };
            let numbers = sides
                .as_ref()
                .map(|sides| elements(sides))
                .filter(|n| *n <= 1024)
                .and_then(|n| fill.map(|fill| vec![fill; n as usize]));
            vec![Value {
                sides,
                numbers,
                ..Value::default()
            }]
        }
        "Range" => {
            let list =
                numbers(0)
                    .zip(numbers(1))
                    .zip(numbers(2))
                    .and_then(|((start, limit), step)| {
                        let (start, limit, step) =
                            (*start.first()?, *limit.first()?, *step.first()?);
                        let n = limit.checked_sub(start)?.checked_div(step)?;
                        (0..=1024)
                            .contains(&n)
                            .then(|| (0..n).map(|index| start + index * step).collect())
                    });
            computed(list, false)
        }
        "Conv" | "ConvTranspose" | "ConvInteger" | "QLinearConv" | "MaxPool" | "AveragePool"
        | "LpPool" => shaped(window(node, inputs)),
        "GlobalAveragePool" | "GlobalMaxPool" => shaped(sides(0).map(|sides| {
            sides
                .iter()
                .enumerate()
                .map(|(index, &side)| if index < 2 { side } else { 1 })
                .collect()
        })),
        "MatMul" | "MatMulInteger" | "FusedMatMul" => {
            shaped(sides(0).zip(sides(1)).and_then(|(a, b)| {
                if a.is_empty() || b.is_empty() {
                    return None;
                }
                let (rows, columns) = (&a[..a.len() - 1], b[b.len() - 1]);
                if b.len() <= 2 {
                    let mut out = rows.to_vec();
                    out.push(columns);
                    return Some(out);
                }
                let row = if a.len() >= 2 { a[a.len() - 2] } else { 1 };
                let mut out = broadcast(&a[..a.len().saturating_sub(2)], &b[..b.len() - 2])?;
                out.extend([row, columns]);
                Some(out)
            }))
        }
        "Gemm" => shaped(sides(0).zip(sides(1)).and_then(|(a, b)| {
            if a.len() != 2 || b.len() != 2 {
                return None;
            }
            let rows = if node.integer("transA", 0) == 0 {
                a[0]
            } else {
                a[1]
            };
            let columns = if node.integer("transB", 0) == 0 {
                b[1]
            } else {
                b[0]
            };
            Some(vec![rows, columns])
        })),
        "LSTM" | "GRU" | "RNN" => shaped(sides(0).zip(sides(1)).and_then(|(from, weight)| {
            let hidden = u64::try_from(node.integer("hidden_size", 1)).ok()?;
            Some(vec![
                *from.first()?,
                *weight.first()?,
                *from.get(1)?,
                hidden,
            ])
        })),
        name if name.starts_with("Reduce") || name == "ArgMax" || name == "ArgMin" => {
            shaped(sides(0).map(|sides| {
                let keep = node.integer("keepdims", 1) != 0;
                let places = if name.starts_with("Arg") {
                    Some(unit_axes(sides.len(), &[node.integer("axis", 0)]))
                } else {
                    axes(sides.len())
                };
                sides
                    .iter()
                    .enumerate()
                    .filter_map(|(index, &side)| {
                        let reduced = places.as_ref().is_none_or(|places| places.contains(&index));
                        match (reduced, keep) {
                            (false, _) => Some(side),
                            (true, true) => Some(1),
                            (true, false) => None,
                        }
                    })
                    .collect()
            }))
        }
        "Resize" | "Upsample" => shaped(sides(0).and_then(|from| {
            // Sizes are the fourth input of a resize, scales its third, or the second of an upsample.
            if let Some(sizes) = numbers(3).filter(|sizes| sizes.len() == from.len()) {
                return sizes.iter().map(|&side| u64::try_from(side).ok()).collect();
            }
            let scales = [2, 1]
                .iter()
                .filter_map(|&index| inputs.get(index).and_then(|value| value.fractions.as_ref()))
                .find(|scales| scales.len() == from.len())?;
            from.iter()
                .zip(scales)
                .map(|(&side, &scale)| {
                    let side = side as f64 * f64::from(scale);
                    (1.0..1e9).contains(&side).then_some(side as u64)
                })
                .collect()
        })),
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Min" | "Max"
            if numbers(0).is_some() && numbers(1).is_some() =>
        {
            let (a, b) = (numbers(0), numbers(1));
            let list = a.zip(b).and_then(|(a, b)| {
                let n = a.len().max(b.len());
                if a.is_empty() || b.is_empty() {
                    return None;
                }
                (0..n)
                    .map(|index| {
                        let (a, b) = (a[index % a.len()], b[index % b.len()]);
                        match node.operation.as_str() {
                            "Add" => a.checked_add(b),
                            "Sub" => a.checked_sub(b),
                            "Mul" => a.checked_mul(b),
                            "Mod" => a.checked_rem_euclid(b),
                            "Min" => Some(a.min(b)),
                            "Max" => Some(a.max(b)),
                            _ => a.checked_div(b),
                        }
                    })
                    .collect()
            });
            let scalar = sides(0).is_some_and(Vec::is_empty) && sides(1).is_some_and(Vec::is_empty);
            computed(list, scalar)
        }
        "Equal" | "Where" if numbers(0).is_some() && numbers(1).is_some() => {
            // Exporters choose between a side and minus one this way.
            let list = match node.operation.as_str() {
                "Equal" => numbers(0)
                    .zip(numbers(1))
                    .map(|(a, b)| a.iter().zip(b).map(|(a, b)| i64::from(a == b)).collect()),
                _ => numbers(0)
                    .zip(numbers(1))
                    .zip(numbers(2))
                    .map(|((test, yes), no)| {
                        test.iter()
                            .zip(yes.iter().zip(no))
                            .map(|(&test, (&yes, &no))| if test == 0 { no } else { yes })
                            .collect()
                    }),
            };
            computed(list, false)
        }
        "BatchNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "LayerNormalization"
        | "RMSNormalization"
        | "SimplifiedLayerNormalization"
        | "LpNormalization"
        | "CumSum"
        | "Trilu"
        | "ScatterElements"
        | "ScatterND" => shaped(sides(0).cloned()),
        name if POINTWISE.contains(&name) => {
            let mut out: Option<Vec<u64>> = Some(Vec::new());
            for index in 0..inputs.len() {
                out = match (out, sides(index)) {
                    (Some(out), Some(sides)) => broadcast(&out, sides),
                    _ => None,
                };
            }
            shaped(out)
        }
        _ => shaped(None),
    }
}

/// The shape that two shapes broadcast to.
fn broadcast(a: &[u64], b: &[u64]) -> Option<Vec<u64>> {
    let rank = a.len().max(b.len());
    let at = |sides: &[u64], index: usize| {
        (index + sides.len())
            .checked_sub(rank)
            .map_or(1, |place| sides[place])
    };
    (0..rank)
        .map(|index| match (at(a, index), at(b, index)) {
            (1, side) | (side, 1) => Some(side),
            (left, right) if left == right => Some(left),
            _ => None,
        })
        .collect()
}

/// Shape that a kernel leaves as it slides over an image.
fn window(node: &Node, inputs: &[Value]) -> Option<Vec<u64>> {
    let from = inputs.first()?.sides.as_ref()?;
    if from.len() < 3 || from.len() > 8 {
        return None;
    }
    let spatial = from.len() - 2;
    let weight = if node.operation == "QLinearConv" {
        3
    } else {
        1
    };
    let weight = inputs.get(weight).and_then(|value| value.sides.as_ref());
    let pools = node.operation.ends_with("Pool");
    let mut kernel = node.integers("kernel_shape");
    if kernel.len() != spatial {
        kernel = weight?
            .get(2..)?
            .iter()
            .map(|&side| i64::try_from(side).unwrap_or(i64::MAX))
            .collect();
    }
    if kernel.len() != spatial {
        return None;
    }
    let or_ones = |name: &str, default: i64, n: usize| {
        let list = node.integers(name);
        if list.len() == n {
            list
        } else {
            vec![default; n]
        }
    };
    let strides = or_ones("strides", 1, spatial);
    let dilations = or_ones("dilations", 1, spatial);
    let pads = or_ones("pads", 0, 2 * spatial);
    let extra = or_ones("output_padding", 0, spatial);
    let backwards = node.operation == "ConvTranspose";
    let channels = if pools {
        from[1]
    } else if backwards {
        let groups = u64::try_from(node.integer("group", 1)).ok()?;
        weight?.get(1)?.checked_mul(groups)?
    } else {
        *weight?.first()?
    };
    let up = node.integer("ceil_mode", 0) != 0;
    let mut out = vec![from[0], channels];
    for index in 0..spatial {
        let side = i64::try_from(from[index + 2]).ok()?;
        let stride = strides[index].max(1);
        let reach = dilations[index]
            .checked_mul(kernel[index].checked_sub(1)?)?
            .checked_add(1)?;
        let pad = pads[index].checked_add(pads[index + spatial])?;
        let side = if backwards {
            (side.checked_sub(1)?)
                .checked_mul(stride)?
                .checked_add(reach)?
                .checked_add(extra[index])?
                .checked_sub(pad)?
        } else {
            let room = side.checked_add(pad)?.checked_sub(reach)?;
            let same = node
                .attribute("auto_pad")
                .is_some_and(|_| node.integers("pads").is_empty());
            if same && !pools {
                side.checked_add(stride - 1)? / stride
            } else if up {
                room.checked_add(stride - 1)? / stride + 1
            } else {
                room / stride + 1
            }
        };
        out.push(u64::try_from(side).ok().filter(|side| *side > 0)?);
    }
    Some(out)
}

/// A slice: of a shape in the making, or of a tensor.
fn slice(node: &Node, inputs: &[Value]) -> Vec<Value> {
    let numbers = |index: usize, name: &str| -> Option<Vec<i64>> {
        let given = node.integers(name);
        if given.is_empty() {
            inputs.get(index).and_then(|value| value.numbers.clone())
        } else {
            Some(given)
        }
    };
    let out = (|| {
        let value = inputs.first()?;
        let from = value.sides.as_ref()?;
        let starts = numbers(1, "starts")?;
        let ends = numbers(2, "ends")?;
        let axes = numbers(3, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = numbers(4, "steps").unwrap_or_else(|| vec![1; starts.len()]);
        let mut sides = from.clone();
        let mut list = value.numbers.clone();
        for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let at = usize::try_from(if axis < 0 {
                axis + from.len() as i64
            } else {
                axis
            })
            .ok()?;
            let side = i64::try_from(*sides.get(at)?).ok()?;
            if step == 0 {
                return None;
            }
            let place = |at: i64| if at < 0 { at.saturating_add(side) } else { at };
            let taken: Vec<i64> = if step > 0 {
                let (start, end) = (place(start).clamp(0, side), place(end).clamp(0, side));
                let n = (end - start).max(0).checked_add(step - 1)? / step;
                if let Some(list) = &mut list
                    && at == 0
                {
                    *list = list
                        .get(start as usize..end.max(start) as usize)?
                        .iter()
                        .step_by(usize::try_from(step).ok()?)
                        .copied()
                        .collect();
                }
                vec![n]
            } else {
                list = None;
                let (start, end) = (
                    place(start).clamp(-1, side - 1),
                    place(end).clamp(-1, side - 1),
                );
                vec![
                    (start - end).max(0).checked_add(step.checked_neg()? - 1)?
                        / step.checked_neg()?,
                ]
            };
            sides[at] = u64::try_from(taken[0]).ok()?;
        }
        Some(Value {
            sides: Some(sides),
            numbers: list,
            ..Value::default()
        })
    })();
    vec![out.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    fn number(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3), varint(value)].concat()
    }

    fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
        [
            varint(field << 3 | 2),
            varint(content.len() as u64),
            content.to_vec(),
        ]
        .concat()
    }

    fn tensor(name: &str, element: u64, dims: &[u64], raw: &[u8]) -> Vec<u8> {
        let mut out: Vec<u8> = dims.iter().flat_map(|&side| number(1, side)).collect();
        out.extend(number(2, element));
        out.extend(bytes(8, name.as_bytes()));
        out.extend(bytes(9, raw));
        out
    }

    fn node(operation: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut out: Vec<u8> = inputs
            .iter()
            .flat_map(|name| bytes(1, name.as_bytes()))
            .collect();
        out.extend(bytes(2, output.as_bytes()));
        out.extend(bytes(4, operation.as_bytes()));
        out.extend(attributes.iter().flat_map(|attribute| bytes(5, attribute)));
        out
    }

    fn integers(name: &str, values: &[u64]) -> Vec<u8> {
        let mut out = bytes(1, name.as_bytes());
        out.extend(values.iter().flat_map(|&value| number(8, value)));
        out
    }

    fn input(name: &str, sides: &[Result<u64, &str>]) -> Vec<u8> {
        let sides: Vec<u8> = sides
            .iter()
            .flat_map(|side| {
                bytes(
                    1,
                    &match side {
                        Ok(value) => number(1, *value),
                        Err(name) => bytes(2, name.as_bytes()),
                    },
                )
            })
            .collect();
        let tensor = [number(1, 1), bytes(2, &sides)].concat();
        [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
    }

    /// A convolution of 3 x 3 with stride 2 from 3 to 16 channels, an activation, an operation of its maker's own,
    /// a mean and a product to 10 classes.
    fn file() -> Vec<u8> {
        let graph = [
            bytes(
                1,
                &node(
                    "Conv",
                    &["x", "w", "b"],
                    "c",
                    &[
                        integers("kernel_shape", &[3, 3]),
                        integers("strides", &[2, 2]),
                        integers("pads", &[1, 1, 1, 1]),
                    ],
                ),
            ),
            bytes(1, &node("Relu", &["c"], "r", &[])),
            bytes(1, &node("Sparkle", &["r"], "s", &[])),
            bytes(1, &node("GlobalAveragePool", &["r"], "p", &[])),
            bytes(1, &node("Flatten", &["p"], "f", &[])),
            bytes(1, &node("Gemm", &["f", "v"], "y", &[])),
            bytes(5, &tensor("w", 1, &[16, 3, 3, 3], &[0; 1728])),
            bytes(5, &tensor("b", 1, &[16], &[0; 64])),
            bytes(5, &tensor("v", 1, &[16, 10], &[0; 640])),
            bytes(11, &input("x", &[Err("batch"), Ok(3), Ok(32), Ok(32)])),
        ]
        .concat();
        [number(1, 8), bytes(7, &graph)].concat()
    }

    fn read(data: &[u8], wanted: &Input) -> Result<Model, Error> {
        let mut cursor = std::io::Cursor::new(data);
        read_onnx(&mut cursor, data.len() as u64, "net.onnx", wanted)
    }

    #[test]
    fn a_small_network_is_read() {
        let model = read(&file(), &Input::default()).unwrap();
        assert_eq!(model.name, "net");
        assert_eq!(model.parameters(), 16 * 27 + 16 + 160);
        let convolution = &model.blocks[0];
        assert_eq!(convolution.positions, Positions::Fixed(256));
        assert!(matches!(
            convolution.operators[0].kind,
            Kind::ImageConvolution {
                inputs: 3,
                outputs: 16,
                taps: 9,
                groups: 1,
                stride_area: 4
            }
        ));
        assert!(
            model.notes.iter().any(|note| note.contains("Sparkle (1)")),
            "{:?}",
            model.notes
        );
        // A picture of twice the side has four times the points.
        let larger = Input {
            height_px: Some(64),
            width_px: Some(64),
            ..Input::default()
        };
        let model = read(&file(), &larger).unwrap();
        assert_eq!(model.blocks[0].positions, Positions::Fixed(1024));
    }

    #[test]
    fn damage_is_refused_with_its_place() {
        let whole = file();
        for end in [0, 1, 2, 10, 100, whole.len() - 1] {
            let error = read(&whole[..end], &Input::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains("net.onnx"), "{error}");
        }
        // A tensor that claims 2^60 elements.
        let graph = [
            bytes(1, &node("Relu", &["w"], "y", &[])),
            bytes(5, &tensor("w", 1, &[1 << 30, 1 << 30], &[])),
        ]
        .concat();
        let error = read(&bytes(7, &graph), &Input::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("no tensor is larger"), "{error}");
        // A field that claims 2^60 bytes allocates nothing.
        let claim = [varint(7 << 3 | 2), varint(1 << 60)].concat();
        let error = read(&claim, &Input::default()).unwrap_err().to_string();
        assert!(error.contains("more bytes than"), "{error}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(3000))]
        #[test]
        fn changed_bytes_are_read_or_refused(
            changes in proptest::collection::vec((0usize..3000, 0u8..=255), 1..8),
            cut in 0usize..6000,
        ) {
            let mut data = file();
            for (at, byte) in changes {
                let at = at % data.len();
                data[at] = byte;
            }
            data.truncate(cut.max(1));
            if let Ok(model) = read(&data, &Input::default()) {
                let _ = model.parameters();
            }
        }
    }
}
