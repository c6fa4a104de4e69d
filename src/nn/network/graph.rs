//! A network's nodes in the order of computation, and its parameters in one buffer.

use std::ops::Range;

use crate::nn::architecture::Architecture;
use crate::nn::base::error::Error;
use crate::nn::base::lengths::Steps;
use crate::nn::base::random::{Random, stream};
use crate::nn::base::shape::Shape;
use crate::nn::base::stop::{Pace, Stop};
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::integer::InputScale;
use crate::nn::layer::head::Head;
use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::{Layer, Operation, Source, Wanted};

/// A parameter of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// The name, PyTorch's: the layer's name, a dot, `weight` or `bias`.
    pub name: String,
    /// The shape, in PyTorch's layout.
    pub shape: Vec<usize>,
    /// Where it lies in the flat buffer.
    pub range: Range<usize>,
    /// Whether training changes it.
    pub trainable: bool,
    /// What it is for.
    pub kind: ParameterKind,
    /// Whether it is kept in 8 bits, with a scale for each of its rows: those of a quantised layer.
    pub is_integer: bool,
    pub(in crate::nn) fan_in: usize,
    pub(in crate::nn) fan_out: usize,
    pub(in crate::nn) initializer: Option<Initializer>,
    pub(in crate::nn) start: Option<f32>,
}

impl Parameter {
    /// Values of each of its rows: one for each of the first dimension.
    pub(crate) fn columns(&self) -> usize {
        self.shape.iter().skip(1).product::<usize>().max(1)
    }

    /// What is wrong with these values of it, which are finite; nothing with most.
    pub fn fault(&self, values: &[f32]) -> Option<&'static str> {
        let edges = self.shape.last().copied().unwrap_or_default().max(1);
        let ascend = || values.chunks(edges).all(<[f32]>::is_sorted);
        let orderly = self.kind != ParameterKind::Fitted || ascend();
        (!orderly).then_some("the edges of a number's bins do not ascend")
    }
}

/// A step of the computation.
#[derive(Debug)]
pub struct Node {
    pub(in crate::nn) name: String,
    pub(in crate::nn) layer: Box<dyn Layer>,
    pub(in crate::nn) sources: Vec<Source>,
    pub(in crate::nn) parameters: Range<usize>,
    pub(in crate::nn) trainable: bool,
    /// Whether this node or one before it learns.
    pub(in crate::nn) learns: bool,
    pub(in crate::nn) wanted: Vec<Wanted>,
    /// The shape of its rows.
    pub(in crate::nn) shape: Shape,
    /// How many steps of its rows are there; the rest is kept zero.
    pub(in crate::nn) steps: Steps,
    /// The same of each source.
    pub(in crate::nn) source_steps: Vec<Steps>,
    /// Of a node that is computed in 8 bits, the scale of its input.
    pub(in crate::nn) quantized: Option<InputScale>,
}

impl Node {
    /// The layer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does outside training; for the last node without the network's
    /// [`Network::output_activation`].
    pub fn operation(&self) -> Operation {
        self.layer.operation()
    }

    /// What computes it.
    pub(in crate::nn) fn layer(&self) -> &dyn Layer {
        &*self.layer
    }

    /// Multiplications that a row takes in a forward pass, about.
    pub fn products(&self) -> usize {
        self.layer.products()
    }

    /// How many of its inputs are given a gradient.
    pub fn inputs_that_learn(&self) -> usize {
        self.wanted
            .iter()
            .filter(|wanted| !matches!(wanted, Wanted::No))
            .count()
    }

    /// What it reads.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The shape of its rows.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Where its parameters lie in the network's flat buffer.
    pub fn parameters(&self) -> Range<usize> {
        self.parameters.clone()
    }
}

/// A network: the nodes in the order of computation, and where the parameters lie.
#[derive(Debug)]
pub struct Network {
    pub(in crate::nn) architecture: Architecture,
    pub(in crate::nn) head: Head,
    pub(in crate::nn) input_width: usize,
    pub(in crate::nn) nodes: Vec<Node>,
    /// Output width of every node.
    pub(in crate::nn) widths: Vec<usize>,
    pub(in crate::nn) parameters: Vec<Parameter>,
    pub(in crate::nn) output_activation: Activation,
}

impl Network {
    /// Length of an encoded row.
    pub fn input_width(&self) -> usize {
        self.input_width
    }

    /// Number of values the network gives for a row: the mean over its members' of as many.
    pub fn output_units(&self) -> usize {
        self.logits() / self.members()
    }

    /// Length of a row of [`Network::forward`]'s result: the output units of each member.
    pub fn logits(&self) -> usize {
        self.widths.last().copied().unwrap_or(0)
    }

    /// How many networks stand side by side in this one, each with parameters of its own.
    ///
    /// With more than one, the nodes are those of the first member, then those of the second and
    /// so on, and a `concat` of their outputs at the end.
    pub fn members(&self) -> usize {
        self.architecture.members.max(1)
    }

    /// The parameters of each member, in the order they lie in the buffer.
    pub fn member_parameters(&self) -> impl Iterator<Item = &[Parameter]> {
        let each = self.parameters.len() / self.members();
        self.parameters.chunks_exact(each.max(1))
    }

    /// What turns each member's logits into its result: sigmoid or softmax for classes, else linear.
    pub fn output_activation(&self) -> Activation {
        self.output_activation
    }

    /// The task the network was built for.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The architecture with nothing left open: names, output layer, vocabularies.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The nodes, each reading earlier ones only; the last is the output.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Output width of every node, in the order of [`Network::nodes`].
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// The parameters, in the order they lie in the buffer.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Length of the parameter buffer.
    pub fn parameter_count(&self) -> usize {
        self.parameters.last().map_or(0, |last| last.range.end)
    }

    /// Starting values of all parameters: a function of the architecture, the seed and the
    /// initializer. A layer's own initializer goes before the given one.
    pub fn initialise(&self, seed: u64, initializer: Initializer) -> Vec<f32> {
        self.start(seed, initializer, &Pace::endless())
    }

    /// [`Network::initialise`] that ends early once `stop` is set.
    ///
    /// # Errors
    /// [`Error::Interrupted`] then.
    pub fn initialise_until(
        &self,
        seed: u64,
        initializer: Initializer,
        stop: &dyn Stop,
    ) -> Result<Vec<f32>, Error> {
        let pace = Pace::new(stop);
        let values = self.start(seed, initializer, &pace);
        match pace.is_stopped() {
            true => Err(Error::Interrupted),
            false => Ok(values),
        }
    }

    /// Whether this initializer decides how some weights start, beside those whose layer says so.
    pub fn is_started_by(&self, initializer: Initializer) -> bool {
        self.parameters.iter().any(|parameter| {
            let is_open = parameter.initializer.is_none() && parameter.start.is_none();
            is_open && initializer.starts(parameter.kind)
        })
    }

    fn start(&self, seed: u64, initializer: Initializer, pace: &Pace<'_>) -> Vec<f32> {
        let mut values = vec![0.0; self.parameter_count()];
        for (i, parameter) in self.parameters.iter().enumerate() {
            let values = &mut values[parameter.range.clone()];
            if let Some(start) = parameter.start {
                values.fill(start);
                continue;
            }
            let mut random = Random::new(seed, stream::INITIALISE + i as u64);
            parameter.initializer.unwrap_or(initializer).fill(
                parameter.kind,
                parameter.fan_in,
                parameter.fan_out,
                &mut random,
                values,
                pace,
            );
        }
        values
    }

    /// Multiplications that a row takes, about; of all members.
    pub fn products(&self) -> usize {
        let each = self.nodes.iter().map(|node| node.layer.products());
        each.fold(0, usize::saturating_add)
    }

    /// Where the parameters of a member lie in the buffer.
    pub fn member_range(&self, member: usize) -> Range<usize> {
        let each = self.parameter_count() / self.members();
        member * each..(member + 1) * each
    }
}
