//! ONNX files: the parts of the protobuf messages that shapes and counts need, read without their weights.
//!
//! Field numbers are those of `onnx.proto` (ONNX 1.17). Weights are stepped over, so that a file of gigabytes costs
//! no memory; a length that a file claims is checked against what is left of it before anything is read.

use std::io::{BufRead, Seek, SeekFrom};

use crate::error::Error;

/// Most nodes, tensors or attributes of a graph, and the longest text that is kept.
const MOST: usize = 1_000_000;
/// Longest tensor whose numbers are kept, in bytes: those that hold shapes.
const KEPT_BYTES: u64 = 4096;

/// A tensor's shape, and its numbers where they are few whole numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tensor {
    pub name: String,
    pub dims: Vec<u64>,
    /// Element type as ONNX numbers it (1: float32, 7: int64, 10: float16, 16: bfloat16).
    pub element: u64,
    pub values: Option<Vec<i64>>,
    /// Fractions, where they are few: the scales of a resize.
    pub fractions: Option<Vec<f32>>,
}

impl Tensor {
    pub fn elements(&self) -> u64 {
        self.dims
            .iter()
            .fold(1, |product, &side| product.saturating_mul(side))
    }

    /// Whether the elements are fractions, and so may be trained.
    pub fn fractional(&self) -> bool {
        matches!(self.element, 1 | 10 | 11 | 16..=20)
    }
}

/// An attribute of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attribute {
    pub name: String,
    pub integer: Option<i64>,
    pub integers: Vec<i64>,
    pub tensor: Option<Tensor>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Node {
    pub operation: String,
    pub domain: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Vec<Attribute>,
}

impl Node {
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    pub fn integer(&self, name: &str, default: i64) -> i64 {
        self.attribute(name)
            .and_then(|attribute| attribute.integer)
            .unwrap_or(default)
    }

    pub fn integers(&self, name: &str) -> Vec<i64> {
        self.attribute(name)
            .map_or_else(Vec::new, |attribute| attribute.integers.clone())
    }
}

/// A side of an input: a number, or a name that stands for one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Side {
    Number(u64),
    Named(String),
}

/// The declared shape of an input, an output or a value between.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Declared {
    pub name: String,
    pub element: u64,
    /// `None`: not even the number of sides is known.
    pub sides: Option<Vec<Side>>,
}

/// A graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Graph {
    pub name: String,
    pub nodes: Vec<Node>,
    pub tensors: Vec<Tensor>,
    pub inputs: Vec<Declared>,
    pub values: Vec<Declared>,
}

/// Reads protobuf fields between two places of a file.
struct Wire<'a, R> {
    input: &'a mut R,
    at: u64,
    file: &'a str,
}

/// What a field holds.
#[derive(Clone, Copy)]
enum Held {
    Number(u64),
    /// So many bytes, from here.
    Bytes(u64),
}

impl<R: BufRead + Seek> Wire<'_, R> {
    fn damaged(&self, message: &str) -> Error {
        Error::Syntax {
            file: self.file.to_owned(),
            message: format!(
                "byte {}: {message}; it is cut short or no ONNX file",
                self.at
            ),
        }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let mut one = [0u8];
        self.input
            .read_exact(&mut one)
            .map_err(|_| self.damaged("the file ends inside a field"))?;
        self.at += 1;
        Ok(one[0])
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number has more than ten bytes"))
    }

    /// The next field before `end`: its number and what it holds.
    fn field(&mut self, end: u64) -> Result<Option<(u64, Held)>, Error> {
        if self.at == end {
            return Ok(None);
        }
        let key = self.varint()?;
        let held = match key & 7 {
            0 => Held::Number(self.varint()?),
            1 => {
                let mut value = 0u64;
                for shift in (0..64).step_by(8) {
                    value |= u64::from(self.byte()?) << shift;
                }
                Held::Number(value)
            }
            2 => Held::Bytes(self.varint()?),
            5 => {
                let mut value = 0u64;
                for shift in (0..32).step_by(8) {
                    value |= u64::from(self.byte()?) << shift;
                }
                Held::Number(value)
            }
            _ => return Err(self.damaged("a field of a kind that protobuf does not have")),
        };
        let length = match held {
            Held::Bytes(length) => length,
            Held::Number(_) => 0,
        };
        if self.at > end || length > end - self.at {
            return Err(self.damaged("a field claims more bytes than its message has"));
        }
        Ok(Some((key >> 3, held)))
    }

    fn skip(&mut self, held: Held) -> Result<(), Error> {
        if let Held::Bytes(length) = held {
            self.at += length;
            self.input
                .seek(SeekFrom::Start(self.at))
                .map_err(|error| self.damaged(&error.to_string()))?;
        }
        Ok(())
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, Error> {
        if length > MOST as u64 {
            return Err(self.damaged("a text of more than a million bytes"));
        }
        let mut out = vec![0u8; length as usize];
        self.input
            .read_exact(&mut out)
            .map_err(|_| self.damaged("the file ends inside a field"))?;
        self.at += length;
        Ok(out)
    }

    fn text(&mut self, held: Held) -> Result<String, Error> {
        match held {
            Held::Bytes(length) => Ok(String::from_utf8_lossy(&self.bytes(length)?).into_owned()),
            Held::Number(_) => Err(self.damaged("a number where a text belongs")),
        }
    }

    /// The end of a message that starts here.
    fn message(&self, held: Held) -> Result<u64, Error> {
        match held {
            Held::Bytes(length) => Ok(self.at + length),
            Held::Number(_) => Err(self.damaged("a number where a message belongs")),
        }
    }

    /// Whole numbers, one or packed.
    fn numbers(&mut self, held: Held, out: &mut Vec<i64>) -> Result<(), Error> {
        match held {
            Held::Number(value) => out.push(value as i64),
            Held::Bytes(length) => {
                let end = self.at + length;
                while self.at < end {
                    if out.len() >= MOST {
                        return Err(self.damaged("more than a million numbers in a list"));
                    }
                    let value = self.varint()?;
                    out.push(value as i64);
                }
                if self.at != end {
                    return Err(self.damaged("a list of numbers ends inside a number"));
                }
            }
        }
        Ok(())
    }

    fn tensor(&mut self, end: u64) -> Result<Tensor, Error> {
        let mut out = Tensor::default();
        let mut dims = Vec::new();
        let mut values = Vec::new();
        let mut fractions: Vec<f32> = Vec::new();
        let mut raw = None;
        while let Some((number, held)) = self.field(end)? {
            let small = matches!(held, Held::Bytes(length) if length <= KEPT_BYTES)
                || matches!(held, Held::Number(_));
            match (number, held) {
                (1, _) => self.numbers(held, &mut dims)?,
                (2, Held::Number(element)) => out.element = element,
                (4, Held::Bytes(length)) if small => fractions.extend(floats(&self.bytes(length)?)),
                (4, Held::Number(bits)) => fractions.push(f32::from_bits(bits as u32)),
                (5 | 7, _) if small && values.len() < 1024 => self.numbers(held, &mut values)?,
                (8, _) => out.name = self.text(held)?,
                (9, Held::Bytes(length)) if small => raw = Some(self.bytes(length)?),
                _ => self.skip(held)?,
            }
        }
        for side in dims {
            out.dims.push(
                u64::try_from(side).map_err(|_| self.damaged("a tensor with a negative side"))?,
            );
        }
        if out.dims.len() > 64 {
            return Err(self.damaged("a tensor of more than 64 sides"));
        }
        if let Some(raw) = raw {
            if out.element == 1 {
                fractions = floats(&raw);
            }
            values = match out.element {
                7 => raw
                    .chunks_exact(8)
                    .map(|chunk| i64::from_le_bytes(chunk.try_into().unwrap_or_default()))
                    .collect(),
                6 => raw
                    .chunks_exact(4)
                    .map(|chunk| {
                        i64::from(i32::from_le_bytes(chunk.try_into().unwrap_or_default()))
                    })
                    .collect(),
                _ => values,
            };
        }
        if out.element == 1 && !fractions.is_empty() && fractions.len() as u64 == out.elements() {
            out.fractions = Some(fractions);
        }
        if matches!(out.element, 6 | 7) && values.len() as u64 == out.elements() {
            out.values = Some(values);
        }
        Ok(out)
    }

    fn attribute(&mut self, end: u64) -> Result<Attribute, Error> {
        let mut out = Attribute::default();
        while let Some((number, held)) = self.field(end)? {
            match (number, held) {
                (1, _) => out.name = self.text(held)?,
                (3, Held::Number(value)) => out.integer = Some(value as i64),
                (5, _) => {
                    let end = self.message(held)?;
                    out.tensor = Some(self.tensor(end)?);
                }
                (8, _) => self.numbers(held, &mut out.integers)?,
                _ => self.skip(held)?,
            }
        }
        Ok(out)
    }

    fn node(&mut self, end: u64) -> Result<Node, Error> {
        let mut out = Node::default();
        while let Some((number, held)) = self.field(end)? {
            match number {
                1 => out.inputs.push(self.text(held)?),
                2 => out.outputs.push(self.text(held)?),
                4 => out.operation = self.text(held)?,
                7 => out.domain = self.text(held)?,
                5 => {
                    let end = self.message(held)?;
                    let attribute = self.attribute(end)?;
                    out.attributes.push(attribute);
                }
                _ => self.skip(held)?,
            }
            if out.inputs.len() + out.outputs.len() + out.attributes.len() > 100_000 {
                return Err(self.damaged("a node of more than 100000 inputs and outputs"));
            }
        }
        Ok(out)
    }

    fn declared(&mut self, end: u64) -> Result<Declared, Error> {
        let mut out = Declared::default();
        while let Some((number, held)) = self.field(end)? {
            match number {
                1 => out.name = self.text(held)?,
                2 => {
                    // TypeProto holds a tensor type, which holds the element type and the shape.
                    let end = self.message(held)?;
                    while let Some((number, held)) = self.field(end)? {
                        if number != 1 {
                            self.skip(held)?;
                            continue;
                        }
                        let end = self.message(held)?;
                        while let Some((number, held)) = self.field(end)? {
                            match (number, held) {
                                (1, Held::Number(element)) => out.element = element,
                                (2, _) => {
                                    let end = self.message(held)?;
                                    out.sides = Some(self.sides(end)?);
                                }
                                _ => self.skip(held)?,
                            }
                        }
                    }
                }
                _ => self.skip(held)?,
            }
        }
        Ok(out)
    }

    fn sides(&mut self, end: u64) -> Result<Vec<Side>, Error> {
        let mut out = Vec::new();
        while let Some((number, held)) = self.field(end)? {
            if number != 1 {
                self.skip(held)?;
                continue;
            }
            let end = self.message(held)?;
            let mut side = Side::Named(String::new());
            while let Some((number, held)) = self.field(end)? {
                match (number, held) {
                    (1, Held::Number(value)) if (value as i64) > 0 => side = Side::Number(value),
                    (2, _) => side = Side::Named(self.text(held)?),
                    _ => self.skip(held)?,
                }
            }
            out.push(side);
            if out.len() > 64 {
                return Err(self.damaged("a shape of more than 64 sides"));
            }
        }
        Ok(out)
    }

    fn graph(&mut self, end: u64) -> Result<Graph, Error> {
        let mut out = Graph::default();
        while let Some((number, held)) = self.field(end)? {
            match number {
                1 => {
                    let end = self.message(held)?;
                    let node = self.node(end)?;
                    out.nodes.push(node);
                }
                2 => out.name = self.text(held)?,
                5 => {
                    let end = self.message(held)?;
                    let tensor = self.tensor(end)?;
                    out.tensors.push(tensor);
                }
                11 => {
                    let end = self.message(held)?;
                    let declared = self.declared(end)?;
                    out.inputs.push(declared);
                }
                12 | 13 => {
                    let end = self.message(held)?;
                    let declared = self.declared(end)?;
                    out.values.push(declared);
                }
                _ => self.skip(held)?,
            }
            if out.nodes.len() + out.tensors.len() + out.values.len() > MOST {
                return Err(self.damaged("a graph of more than a million nodes and tensors"));
            }
        }
        Ok(out)
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap_or_default()))
        .collect()
}

/// Reads the graph of an ONNX file; `length` is the file's length in bytes.
///
/// # Errors
/// [`Error::Syntax`] with the place where the file stops making sense.
pub(crate) fn read_graph(
    input: &mut (impl BufRead + Seek),
    length: u64,
    file: &str,
) -> Result<Graph, Error> {
    let mut wire = Wire { input, at: 0, file };
    let mut graph = None;
    while let Some((number, held)) = wire.field(length)? {
        if number == 7 {
            let end = wire.message(held)?;
            graph = Some(wire.graph(end)?);
        } else {
            wire.skip(held)?;
        }
    }
    graph
        .filter(|graph| !graph.nodes.is_empty())
        .ok_or_else(|| Error::Syntax {
            file: file.to_owned(),
            message: "holds no graph of operators: no ONNX model".to_owned(),
        })
}
