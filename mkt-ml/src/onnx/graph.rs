//! Puts a graph together: constants, operators, names that are not given twice.

use super::proto::{
    Attribute, DOUBLE, Dimension, Extent, Graph, INT64, Node, STRING, Shape, Tensor, TensorType, Type, UINT8,
    ValueInfo,
};

/// The operator set of trees and category codes; the other one has no name.
pub(super) const ML: &str = "ai.onnx.ml";

/// A graph that grows.
#[derive(Debug, Default)]
pub(super) struct Builder {
    graph: Graph,
}

impl Builder {
    pub(super) fn finish(mut self, name: &str) -> Graph {
        name.clone_into(&mut self.graph.name);
        self.graph
    }

    /// A column of the table to score: as many rows as are asked, one cell each.
    pub(super) fn input(&mut self, name: &str, element: i32) -> String {
        self.graph.input.push(described(name, element));
        name.to_owned()
    }

    /// Gives a value to the outside under `name`.
    pub(super) fn output(&mut self, value: String, name: &str, element: i32) {
        let node = operator("Identity", "", vec![value], vec![name.to_owned()], Vec::new());
        self.graph.node.push(node);
        self.graph.output.push(described(name, element));
    }

    /// An operator with one result, whose name is returned.
    pub(super) fn add(&mut self, kind: &str, inputs: Vec<String>, attributes: Vec<Attribute>) -> String {
        self.add_of(kind, "", inputs, attributes)
    }

    pub(super) fn add_of(
        &mut self,
        kind: &str,
        domain: &str,
        inputs: Vec<String>,
        attributes: Vec<Attribute>,
    ) -> String {
        // Columns may be called anything: what is made here begins in a way of its own.
        let result = format!("mkt:{}:{kind}", self.graph.node.len());
        self.graph.node.push(operator(kind, domain, inputs, vec![result.clone()], attributes));
        result
    }

    pub(super) fn numbers(&mut self, values: &[f64], dims: &[usize]) -> String {
        self.constant(doubles(values, dims))
    }

    pub(super) fn number(&mut self, value: f64) -> String {
        self.numbers(&[value], &[])
    }

    pub(super) fn integers(&mut self, values: &[i64]) -> String {
        self.constant(Tensor {
            dims: vec![values.len() as i64],
            data_type: INT64,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Tensor::default()
        })
    }

    pub(super) fn text(&mut self, value: &str) -> String {
        self.constant(Tensor {
            data_type: STRING,
            string_data: vec![value.as_bytes().to_vec()],
            ..Tensor::default()
        })
    }

    fn constant(&mut self, tensor: Tensor) -> String {
        let name = format!("mkt:constant:{}", self.graph.initializer.len());
        self.graph.initializer.push(Tensor { name: name.clone(), ..tensor });
        name
    }
}

fn operator(
    kind: &str,
    domain: &str,
    input: Vec<String>,
    output: Vec<String>,
    attribute: Vec<Attribute>,
) -> Node {
    let name = output.first().cloned().unwrap_or_default();
    Node { input, output, name, op_type: kind.to_owned(), attribute, domain: domain.to_owned() }
}

fn described(name: &str, element: i32) -> ValueInfo {
    let extent = |value| Dimension { value: Some(value) };
    let dim = vec![extent(Extent::Parameter("rows".to_owned())), extent(Extent::Value(1))];
    let tensor_type = Some(TensorType { elem_type: element, shape: Some(Shape { dim }) });
    ValueInfo { name: name.to_owned(), r#type: Some(Type { tensor_type }) }
}

pub(super) fn doubles(values: &[f64], dims: &[usize]) -> Tensor {
    Tensor {
        dims: dims.iter().map(|dim| *dim as i64).collect(),
        data_type: DOUBLE,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..Tensor::default()
    }
}

pub(super) fn bytes(values: &[u8]) -> Tensor {
    Tensor {
        dims: vec![values.len() as i64],
        data_type: UINT8,
        raw_data: values.to_vec(),
        ..Tensor::default()
    }
}

pub(super) fn int(name: &str, i: i64) -> Attribute {
    Attribute { name: name.to_owned(), i, r#type: Attribute::INT, ..Attribute::default() }
}

pub(super) fn ints(name: &str, ints: Vec<i64>) -> Attribute {
    Attribute { name: name.to_owned(), ints, r#type: Attribute::INTS, ..Attribute::default() }
}

pub(super) fn tensor(name: &str, t: Tensor) -> Attribute {
    Attribute { name: name.to_owned(), t: Some(t), r#type: Attribute::TENSOR, ..Attribute::default() }
}

pub(super) fn strings<'a>(name: &str, strings: impl IntoIterator<Item = &'a str>) -> Attribute {
    let strings = strings.into_iter().map(|text| text.as_bytes().to_vec()).collect();
    Attribute { name: name.to_owned(), strings, r#type: Attribute::STRINGS, ..Attribute::default() }
}
