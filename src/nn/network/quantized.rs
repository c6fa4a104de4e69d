//! Networks of which some layers are computed in 8 bits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::graph::{Network, Node};
use crate::nn::base::error::Error;
use crate::nn::kernels::integer::{self, InputScale};
use crate::nn::layer::Quantizable;

/// Which layers of a network are computed in 8 bits, by their names, with the scales of their inputs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantization {
    /// The layers; with several members those of each.
    pub layers: BTreeMap<String, InputScale>,
}

impl Node {
    /// Whether it is computed in 8 bits.
    pub fn is_quantized(&self) -> bool {
        self.quantized.is_some()
    }
}

impl Network {
    /// Lets these layers be computed in 8 bits.
    ///
    /// # Errors
    /// A layer that is not there, or that cannot be computed so, or a scale that is none.
    pub fn quantize(&mut self, quantization: &Quantization) -> Result<(), Error> {
        let mut found = 0;
        for i in 0..self.nodes.len() {
            let node = &self.nodes[i];
            let Some(&input) = quantization.layers.get(&node.name) else {
                continue;
            };
            let asked = node.layer.quantizable();
            let asked = asked.filter(|asked| {
                input.is_valid() && asked.is_dynamic == (input == InputScale::Dynamic)
            });
            let Some(asked) = asked else {
                return Err(cannot_be_quantized(&node.name));
            };
            let places: Vec<usize> = self.integer_parameters(i, &asked).collect();
            for place in places {
                self.parameters[place].is_integer = true;
            }
            self.nodes[i].quantized = Some(input);
            found += 1;
        }
        if found < quantization.layers.len() {
            let is_node = |name: &&String| self.nodes.iter().any(|node| node.name == **name);
            let unknown = quantization.layers.keys().find(|name| !is_node(name));
            return Err(cannot_be_quantized(unknown.map_or("", String::as_str)));
        }
        Ok(())
    }

    /// Whether these parameters of a node could be kept in 8 bits, and it computed so; and if it is
    /// asked for a scale for all rows, which its inputs then decide.
    pub(in crate::nn) fn quantizable(
        &self,
        node: usize,
        parameters: &[f32],
    ) -> Option<Quantizable> {
        let asked = self.nodes[node].layer.quantizable()?;
        let fits = self.integer_parameters(node, &asked).all(|place| {
            let range = self.parameters[place].range.clone();
            integer::can_round(&parameters[range])
        });
        fits.then_some(asked)
    }

    /// Rounds the parameters of the layers that are computed in 8 bits to what 8 bits can say.
    pub fn round_quantized(&self, parameters: &mut [f32]) {
        for parameter in self.parameters.iter().filter(|p| p.is_integer) {
            let columns = parameter.columns();
            for row in parameters[parameter.range.clone()].chunks_mut(columns) {
                integer::round(row);
            }
        }
    }

    /// The places among the network's parameters of a node's weights that would be in 8 bits.
    fn integer_parameters<'a>(
        &'a self,
        node: usize,
        asked: &'a Quantizable,
    ) -> impl Iterator<Item = usize> + use<'a> {
        let range = &self.nodes[node].parameters;
        let first = self
            .parameters
            .partition_point(|parameter| parameter.range.start < range.start);
        asked.weights.iter().map(move |weight| first + weight)
    }
}

fn cannot_be_quantized(name: &str) -> Error {
    Error::layer(
        format!("layer \"{name}\""),
        "cannot be computed in 8 bits",
        "Leave it as it is: it has too few inputs or outputs, or is of another kind.",
    )
}
