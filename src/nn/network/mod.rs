//! A network that is built: its nodes in the order of computation, its parameters in one buffer.

mod build;
pub(super) mod flattened;
pub(super) mod widen;

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::nn::architecture::Architecture;
use crate::nn::base::error::Error;
use crate::nn::base::lengths::Steps;
use crate::nn::base::random::{Random, stream};
use crate::nn::base::shape::Shape;
use crate::nn::base::stop::{Never, Pace, Stop};
use crate::nn::kernels::activation::Activation;
use crate::nn::layer::head::Head;
use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::{
    Backward, Forward, InputGradients, Inputs, Layer, Operation, Source, Wanted,
};

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
    pub(super) fan_in: usize,
    pub(super) fan_out: usize,
    pub(super) initializer: Option<Initializer>,
    pub(super) start: Option<f32>,
}

/// A step of the computation.
#[derive(Debug)]
pub struct Node {
    pub(super) name: String,
    pub(super) layer: Box<dyn Layer>,
    pub(super) sources: Vec<Source>,
    pub(super) parameters: Range<usize>,
    pub(super) trainable: bool,
    /// Whether this node or one before it learns.
    pub(super) learns: bool,
    pub(super) wanted: Vec<Wanted>,
    /// The shape of its rows.
    pub(super) shape: Shape,
    /// How many steps of its rows are there; the rest is kept zero.
    pub(super) steps: Steps,
    /// The same of each source.
    pub(super) source_steps: Vec<Steps>,
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
    pub(super) fn layer(&self) -> &dyn Layer {
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
    pub(super) architecture: Architecture,
    pub(super) head: Head,
    pub(super) input_width: usize,
    pub(super) nodes: Vec<Node>,
    /// Output width of every node.
    pub(super) widths: Vec<usize>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) output_activation: Activation,
}

/// The buffers of a forward and a backward pass.
#[derive(Debug)]
pub struct Workspace {
    rows: usize,
    values: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    saved: Vec<Vec<f32>>,
    prepared: Vec<Vec<f32>>,
    scratch: Vec<f32>,
    stop: Box<dyn Stop + Send>,
    times: Option<Vec<NodeTime>>,
}

/// How long a node's passes have taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeTime {
    /// The forward passes.
    pub forward: Duration,
    /// The backward passes.
    pub backward: Duration,
}

impl Workspace {
    /// The workspace with a clock: passes add up the time of each node.
    #[must_use]
    pub fn timed(mut self) -> Self {
        self.times = Some(vec![NodeTime::default(); self.values.len()]);
        self
    }

    /// How long the passes so far took, node by node; empty without a clock.
    pub fn times(&self) -> &[NodeTime] {
        self.times.as_deref().unwrap_or_default()
    }

    /// Lets passes end early, with whatever result, once `stop` is set: it is looked at between two
    /// nodes, and within those that take long.
    pub fn stop_with(&mut self, stop: impl Stop + Send + 'static) {
        self.stop = Box::new(stop);
    }
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

    /// Bytes of a [`Workspace`] for this many rows.
    pub fn workspace_bytes(&self, rows: usize) -> usize {
        let per_row: usize = self
            .nodes
            .iter()
            .zip(&self.widths)
            .map(|(node, width)| {
                let gradient = if node.learns { *width } else { 0 };
                width + gradient + node.layer.saved_per_row()
            })
            .fold(0, usize::saturating_add);
        let prepared = self.nodes.iter().map(|node| node.layer.prepared());
        per_row
            .saturating_mul(rows)
            .saturating_add(self.scratch(rows))
            .saturating_add(prepared.fold(0, usize::saturating_add))
            .saturating_mul(size_of::<f32>())
    }

    /// Working memory that its layers share, in values.
    fn scratch(&self, rows: usize) -> usize {
        let each = self.nodes.iter().map(|node| node.layer.scratch(rows));
        each.max().unwrap_or(0)
    }

    /// Multiplications that a row takes, about; of all members.
    pub fn products(&self) -> usize {
        let each = self.nodes.iter().map(|node| node.layer.products());
        each.fold(0, usize::saturating_add)
    }

    /// Whether a row's result depends, in training, on the others of its batch: a batch must then be
    /// computed as a whole, by [`Network::forward`] and [`Network::backward`] of all its rows.
    pub fn couples_rows(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| node.trainable && node.layer.couples_rows())
    }

    /// Buffers for passes over at most `rows` rows.
    pub fn workspace(&self, rows: usize) -> Workspace {
        let buffers = |width: &dyn Fn(usize) -> usize| {
            (0..self.nodes.len())
                .map(|node| vec![0.0; rows * width(node)])
                .collect()
        };
        Workspace {
            rows,
            values: buffers(&|node| self.widths[node]),
            gradients: buffers(&|node| {
                if self.nodes[node].learns {
                    self.widths[node]
                } else {
                    0
                }
            }),
            saved: buffers(&|node| self.nodes[node].layer.saved_per_row()),
            prepared: self
                .nodes
                .iter()
                .map(|node| vec![0.0; node.layer.prepared()])
                .collect(),
            scratch: vec![0.0; self.scratch(rows)],
            stop: Box::new(Never),
            times: None,
        }
    }

    /// Computes the logits of `rows` rows: [rows, members, output_units], before
    /// [`Network::output_activation`].
    ///
    /// `parameters` is the flat buffer, `x` holds rows of `input_width` values. `dropout` is given
    /// in training only.
    ///
    /// # Panics
    /// If a buffer is shorter than these sizes, or the workspace is for fewer rows.
    pub fn forward<'w>(
        &self,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        workspace: &'w mut Workspace,
        dropout: Option<&mut Random>,
    ) -> &'w [f32] {
        self.prepare(parameters, workspace);
        self.compute(0..self.nodes.len(), parameters, x, rows, workspace, dropout)
    }

    /// Brings parameters into the form in which [`Network::forward_member`] takes them, which it
    /// otherwise would do for each block of rows.
    ///
    /// # Panics
    /// If there are fewer parameters than the network has, or the workspace is another network's.
    pub fn prepare(&self, parameters: &[f32], workspace: &mut Workspace) {
        for (node, prepared) in self.nodes.iter().zip(&mut workspace.prepared) {
            let own = &parameters[node.parameters.clone()];
            node.layer.prepare(own, prepared);
        }
    }

    /// [`Network::forward`] of one member, [rows, output_units], after [`Network::prepare`] with the
    /// same parameters.
    ///
    /// # Panics
    /// As [`Network::forward`], and if there is no such member.
    pub fn forward_member<'w>(
        &self,
        member: usize,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        workspace: &'w mut Workspace,
        dropout: Option<&mut Random>,
    ) -> &'w [f32] {
        let nodes = self.member_nodes(member);
        self.compute(nodes, parameters, x, rows, workspace, dropout)
    }

    fn member_nodes(&self, member: usize) -> Range<usize> {
        let each = self.nodes.len() / self.members();
        member * each..(member + 1) * each
    }

    /// Where the parameters of a member lie in the buffer.
    pub fn member_range(&self, member: usize) -> Range<usize> {
        let each = self.parameter_count() / self.members();
        member * each..(member + 1) * each
    }

    fn compute<'w>(
        &self,
        nodes: Range<usize>,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        workspace: &'w mut Workspace,
        mut dropout: Option<&mut Random>,
    ) -> &'w [f32] {
        assert!(
            rows <= workspace.rows,
            "the workspace is for {} rows",
            workspace.rows
        );
        if rows == 0 {
            return &[];
        }
        let last = nodes.end - 1;
        let pace = Pace::new(&*workspace.stop);
        for i in nodes {
            if pace.look() {
                break;
            }
            let begin = workspace.times.is_some().then(Instant::now);
            let node = &self.nodes[i];
            let (earlier, own) = workspace.values.split_at_mut(i);
            let saved = rows * node.layer.saved_per_row();
            let output = &mut own[0][..rows * self.widths[i]];
            node.layer.forward(Forward {
                rows,
                parameters: &parameters[node.parameters.clone()],
                prepared: &workspace.prepared[i],
                inputs: self.inputs(node, x, earlier),
                output,
                saved: &mut workspace.saved[i][..saved],
                scratch: &mut workspace.scratch,
                random: dropout.as_deref_mut(),
                frozen: !node.trainable,
                pace: &pace,
            });
            node.steps
                .mask(x, self.input_width, output, self.widths[i], rows);
            if let (Some(times), Some(begin)) = (&mut workspace.times, begin) {
                times[i].forward += begin.elapsed();
            }
        }
        &workspace.values[last][..rows * self.widths[last]]
    }

    /// Adds to `gradients` (as long as the parameters) those of a loss whose gradient with
    /// respect to the logits is `dlogits`, after [`Network::forward`] with the same parameters,
    /// rows and workspace. The ranges of frozen parameters stay as they are.
    ///
    /// # Panics
    /// As [`Network::forward`].
    pub fn backward(
        &self,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        dlogits: &[f32],
        gradients: &mut [f32],
        workspace: &mut Workspace,
    ) {
        let nodes = 0..self.nodes.len();
        self.propagate(nodes, parameters, x, rows, dlogits, gradients, workspace);
    }

    /// [`Network::backward`] after [`Network::forward_member`].
    ///
    /// # Panics
    /// As [`Network::forward_member`].
    #[expect(
        clippy::too_many_arguments,
        reason = "those of backward, and the member"
    )]
    pub fn backward_member(
        &self,
        member: usize,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        dlogits: &[f32],
        gradients: &mut [f32],
        workspace: &mut Workspace,
    ) {
        let nodes = self.member_nodes(member);
        self.propagate(nodes, parameters, x, rows, dlogits, gradients, workspace);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "those of backward, and the nodes"
    )]
    fn propagate(
        &self,
        nodes: Range<usize>,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        dlogits: &[f32],
        gradients: &mut [f32],
        workspace: &mut Workspace,
    ) {
        let last = nodes.end - 1;
        if rows == 0 || !self.nodes[last].learns {
            return;
        }
        workspace.gradients[last][..dlogits.len()].copy_from_slice(dlogits);
        let pace = Pace::new(&*workspace.stop);
        for i in nodes.rev().filter(|&i| self.nodes[i].learns) {
            if pace.look() {
                break;
            }
            let begin = workspace.times.is_some().then(Instant::now);
            let node = &self.nodes[i];
            let (earlier, own) = workspace.gradients.split_at_mut(i);
            let saved = rows * node.layer.saved_per_row();
            let size = rows * self.widths[i];
            let gradient = &mut own[0][..size];
            node.steps
                .mask(x, self.input_width, gradient, self.widths[i], rows);
            node.layer.backward(Backward {
                rows,
                parameters: &parameters[node.parameters.clone()],
                inputs: self.inputs(node, x, &workspace.values[..i]),
                output: &workspace.values[i][..size],
                saved: &mut workspace.saved[i][..saved],
                scratch: &mut workspace.scratch,
                gradient,
                parameter_gradient: node
                    .trainable
                    .then(|| &mut gradients[node.parameters.clone()]),
                input_gradients: InputGradients {
                    gradients: earlier,
                    sources: &node.sources,
                    wanted: &node.wanted,
                    rows,
                    widths: &self.widths,
                },
                pace: &pace,
            });
            if let (Some(times), Some(begin)) = (&mut workspace.times, begin) {
                times[i].backward += begin.elapsed();
            }
        }
    }

    fn inputs<'a>(&'a self, node: &'a Node, x: &'a [f32], values: &'a [Vec<f32>]) -> Inputs<'a> {
        Inputs {
            x,
            x_width: self.input_width,
            values,
            widths: &self.widths,
            sources: &node.sources,
            steps: &node.source_steps,
        }
    }
}
