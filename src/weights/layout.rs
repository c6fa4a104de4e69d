//! How other libraries lay out what PyTorch has as [out, in] and [out, in, height, width].

use std::collections::HashMap;

use safetensors::Dtype;

use super::convert;
use super::error::Error;
use crate::artifact::{Tensor, TensorFile};
use crate::nn::{Flattened, InputFeature, Network, Parameter, ParameterKind};

/// The layout that the user says a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// PyTorch's own.
    Pytorch,
    /// Linear layers as [in, out], convolutions as [height, width, in, out]: Keras, Flax; Burn but
    /// for its convolutions, which are PyTorch's.
    InOut,
    /// Convolutions as [out, height, width, in]: MLX.
    ChannelsLast,
}

impl Layout {
    /// The layouts by name.
    pub(super) const NAMES: &[&str] = &["pytorch", "in_out", "channels_last"];

    /// The layout of that name.
    pub(super) fn parse(name: &str) -> Option<Layout> {
        [Layout::Pytorch, Layout::InOut, Layout::ChannelsLast]
            .into_iter()
            .zip(Layout::NAMES)
            .find_map(|(layout, known)| (*known == name).then_some(layout))
    }
}

/// In which order a convolved sequence's values come once it is flattened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flatten {
    /// As PyTorch has them behind `nn.Conv1d`, all steps of a feature, then the next feature.
    FeaturesFirst,
    /// Step after step.
    StepsFirst,
}

/// Of each axis of a parameter, which of the file's it is.
type Axes = &'static [usize];

/// How the tensors of a file become parameters.
pub(super) struct Arrangement {
    layout: Layout,
    /// Whether convolutions lie as PyTorch's, whatever the linear layers do.
    convolutions_as_here: bool,
    /// Weights whose columns are put in another order.
    flattened: HashMap<String, Flattened>,
}

impl Arrangement {
    /// The arrangement for a file whose tensors are `found` by the parameters' names.
    ///
    /// # Errors
    /// Signs of another library without the option that says how it lays out its tensors, or a
    /// network for which no rule is known.
    pub(super) fn new(
        (layout, flatten): (Option<Layout>, Option<Flatten>),
        file: &TensorFile<'_>,
        network: &Network,
        inputs: &[InputFeature],
        found: &HashMap<&str, &Tensor<'_>>,
    ) -> Result<Arrangement, Error> {
        if layout.is_none() {
            refuse_signs(file, network, found)?;
        }
        let layout = layout.unwrap_or(Layout::Pytorch);
        let weights = || {
            network
                .parameters()
                .iter()
                .filter_map(|parameter| Some((parameter, *found.get(parameter.name.as_str())?)))
        };
        let gru = |parameter: &&Parameter| matches!(parameter.kind, ParameterKind::RecurrentInput { units } if parameter.shape.first() == Some(&(3 * units)));
        if let (Layout::InOut, Some(gru)) = (layout, { network.parameters() }.iter().find(gru)) {
            return Err(Error::invalid(
                format!(
                    "the option \"layout\": \"in_out\" cannot bring \"{}\" in order",
                    gru.name
                ),
                "Keras has the gates of a GRU in another order, too (z, r, h for r, z, n): save \
                 this layer as PyTorch has it, and the others transposed.",
            ));
        }
        let as_here = |(parameter, tensor): (&Parameter, &Tensor<'_>)| {
            let axes = axes(Layout::InOut, parameter.kind, parameter.shape.len());
            parameter.shape.len() > 2
                && tensor.shape == parameter.shape
                && axes.is_some_and(|axes| permuted(&tensor.shape, axes) != parameter.shape)
        };
        let convolutions_as_here =
            layout == Layout::InOut && (is_burn(file) || weights().any(as_here));
        let flattened = match layout {
            Layout::Pytorch => {
                let convolved = |flattened| matches!(flattened, Flattened::Convolved { .. });
                let flattened = network.flattened(inputs, convolved)?;
                match (flatten, flattened.keys().min()) {
                    (None, Some(weight)) => return Err(undecided(weight)),
                    (Some(Flatten::FeaturesFirst), _) => flattened,
                    _ => HashMap::new(),
                }
            }
            _ if convolutions_as_here => HashMap::new(),
            _ => network.flattened(inputs, |flattened| {
                matches!(flattened, Flattened::Image { .. })
            })?,
        };
        Ok(Arrangement {
            layout,
            convolutions_as_here,
            flattened,
        })
    }

    /// The shape that a tensor has once it is laid out as PyTorch has the parameter.
    pub(super) fn shape(&self, parameter: &Parameter, tensor: &Tensor<'_>) -> Vec<usize> {
        match self.axes(parameter) {
            Some(axes) if axes.len() == tensor.shape.len() => permuted(&tensor.shape, axes),
            _ => tensor.shape.clone(),
        }
    }

    /// The shape that the file should have for a parameter of this shape.
    pub(super) fn in_file(&self, parameter: &Parameter, shape: &[usize]) -> Vec<usize> {
        match self.axes(parameter) {
            Some(axes) if axes.len() == shape.len() => {
                let mut own = vec![0; shape.len()];
                for (size, axis) in shape.iter().zip(axes) {
                    own[*axis] = *size;
                }
                own
            }
            _ => shape.to_vec(),
        }
    }

    fn axes(&self, parameter: &Parameter) -> Option<Axes> {
        if self.convolutions_as_here && parameter.shape.len() > 2 {
            return None;
        }
        axes(self.layout, parameter.kind, parameter.shape.len())
    }

    /// Appends a tensor's values in PyTorch's order.
    pub(super) fn append(&self, parameter: &Parameter, tensor: &Tensor<'_>, into: &mut Vec<f32>) {
        let start = into.len();
        convert::append(tensor, into);
        if let Some(axes) = self.axes(parameter) {
            let turned = transposed(&into[start..], &tensor.shape, axes);
            into.truncate(start);
            into.extend(turned);
        }
        let order = match self.flattened.get(&parameter.name) {
            None => return,
            // From [places][channels] to [channels][places].
            Some(&Flattened::Image { channels, places }) => [places, channels],
            // From [features][steps] to [steps][features].
            Some(&Flattened::Convolved { steps, features }) => [features, steps],
        };
        for row in into[start..].chunks_exact_mut(order[0] * order[1]) {
            let turned = transposed(row, &order, &[1, 0]);
            row.copy_from_slice(&turned);
        }
    }
}

/// Of each axis of a parameter, which of the file's it is; `None`: they are the same.
fn axes(layout: Layout, kind: ParameterKind, rank: usize) -> Option<Axes> {
    let is_weight = matches!(
        kind,
        ParameterKind::Weight | ParameterKind::Recurrent | ParameterKind::RecurrentInput { .. }
    );
    match (layout, rank) {
        _ if !is_weight => None,
        (Layout::InOut, 2) => Some(&[1, 0]),
        (Layout::InOut, 3) => Some(&[2, 1, 0]),
        (Layout::InOut, 4) => Some(&[3, 2, 0, 1]),
        (Layout::ChannelsLast, 3) => Some(&[0, 2, 1]),
        (Layout::ChannelsLast, 4) => Some(&[0, 3, 1, 2]),
        _ => None,
    }
}

fn permuted(shape: &[usize], axes: Axes) -> Vec<usize> {
    axes.iter().map(|axis| shape[*axis]).collect()
}

/// The values of an array of this shape, its axes in another order.
fn transposed(values: &[f32], shape: &[usize], axes: &[usize]) -> Vec<f32> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut turned = Vec::with_capacity(values.len());
    let mut place = vec![0; axes.len()];
    for _ in 0..values.len() {
        let at: usize = { place.iter().zip(axes) }
            .map(|(i, axis)| i * strides[*axis])
            .sum();
        turned.push(values[at]);
        for (i, axis) in place.iter_mut().zip(axes).rev() {
            *i += 1;
            if *i < shape[*axis] {
                break;
            }
            *i = 0;
        }
    }
    turned
}

/// What a tensor of the wrong shape looks like: the layouts in which it would be right.
pub(super) fn fitting(parameter: &Parameter, shape: &[usize]) -> Option<&'static str> {
    [Layout::InOut, Layout::ChannelsLast]
        .into_iter()
        .zip(&Layout::NAMES[1..])
        .find_map(|(layout, name)| {
            let axes = axes(layout, parameter.kind, shape.len())?;
            let fits = shape.len() == parameter.shape.len()
                && shape != parameter.shape
                && permuted(shape, axes) == parameter.shape;
            fits.then_some(*name)
        })
}

/// Whether a tensor of the right shape would have it in this layout, too.
pub(super) fn is_ambiguous(layout: &str, parameter: &Parameter, shape: &[usize]) -> bool {
    let axes = Layout::parse(layout).and_then(|l| axes(l, parameter.kind, shape.len()));
    shape == parameter.shape
        && shape.iter().any(|size| *size > 1)
        && axes.is_some_and(|axes| permuted(shape, axes) == parameter.shape)
}

fn is_burn(file: &TensorFile<'_>) -> bool {
    let said = |key: &str| file.metadata.get(key).is_some_and(|value| value == "burn");
    said("producer") || said("format")
}

/// Refuses files that another library wrote, whose layout its tensors' shapes need not show.
fn refuse_signs(
    file: &TensorFile<'_>,
    network: &Network,
    found: &HashMap<&str, &Tensor<'_>>,
) -> Result<(), Error> {
    let used = |least: usize| {
        network.parameters().iter().any(|parameter| {
            let tensor = found.get(parameter.name.as_str());
            parameter.shape.len() >= least
                && axes(Layout::InOut, parameter.kind, parameter.shape.len()).is_some()
                && tensor.is_some_and(|tensor| tensor.dtype != Dtype::BOOL)
        })
    };
    let is_mlx = file
        .metadata
        .get("format")
        .is_some_and(|value| value == "mlx");
    if is_burn(file) && used(2) {
        return Err(Error::invalid(
            "the file was written by Burn, which has linear layers as [in, out]",
            "Say so: options => '{\"layout\": \"in_out\"}'.",
        ));
    }
    if (is_mlx || file.null_metadata) && used(3) {
        return Err(Error::invalid(
            "the file was written by MLX, which has convolutions as [out, height, width, in]",
            "Say so: options => '{\"layout\": \"channels_last\"}', or \"pytorch\" if they are \
             transposed already.",
        ));
    }
    let ends = |name: &str| {
        let leaf = name.rsplit(['.', '/']).next().unwrap_or(name);
        matches!(
            leaf,
            "kernel" | "recurrent_kernel" | "Wx" | "Wh" | "gamma" | "beta"
        ) && leaf.len() < name.len()
    };
    let sign = |tensor: &&Tensor<'_>| {
        let of_mlx = tensor.name.ends_with("Wx") || tensor.name.ends_with("Wh");
        ends(&tensor.name) && (!of_mlx || used(3)) && tensor.name.len() > 2
    };
    match file.tensors.iter().find(sign).filter(|_| used(2)) {
        None => Ok(()),
        Some(tensor) => Err(Error::invalid(
            format!(
                "\"{}\" is a name of other libraries than PyTorch, and the shapes of square \
                 tensors do not show how they lie",
                tensor.name.chars().take(64).collect::<String>()
            ),
            "Say it by the option \"layout\": \"in_out\" for Keras, Flax and Burn, \
             \"channels_last\" for MLX, \"pytorch\" if all lie as PyTorch's.",
        )),
    }
}

fn undecided(weight: &str) -> Error {
    Error::invalid(
        format!(
            "\"{weight}\" is of a layer that reads a flattened sequence behind a convolution, \
             whose values may come in two orders"
        ),
        "Say which by the option \"flatten\": \"features_first\" where flatten follows nn.Conv1d, \
         \"steps_first\" where the network has put the steps first before it.",
    )
}
