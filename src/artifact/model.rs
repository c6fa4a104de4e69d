//! A trained model, all of it: what a stored version and an exported file hold.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::container::{Pieces, TensorFile, TensorSource};
use super::error::{Error, clip};
use super::tensor_values::{finite, read_values, take};
use super::{integer_weights, output_order};
use crate::features::{FeatureSet, Profile, Target};
use crate::memory;
use crate::nn::{
    Architecture, Head, Network, Never, OptimizerSpec, OptimizerState, Pace, Parameter,
    ParameterKind, Quantization, Stop,
};

/// The newest format this release reads, and writes of models that earlier ones would misread: those
/// that are quantised, or have sequences that are normalised by themselves.
pub const FORMAT: u64 = 2;
/// The format of all other models, which earlier releases read, too.
const PLAIN_FORMAT: u64 = 1;
/// The one metadata key of our files.
pub const METADATA_KEY: &str = "pg_neural";
/// What stands before the names of tensors that are not parameters.
const OPTIMIZER_PREFIX: &str = "pg_neural.optimizer.";
/// Most JSON values in a description, so that a short text cannot grow into a large tree.
const MAX_VALUES: usize = 4_000_000;
/// Work of a look at a tensor's name, in multiply-adds.
const VISIT: usize = 64;
/// Bytes that a byte of a description may take once it is read.
const TREE: usize = 16;

/// A trained model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The network's architecture with nothing left open.
    pub architecture: Architecture,
    /// The features in call order, as fitted.
    pub features: FeatureSet,
    /// What is predicted, and how the outputs are read.
    pub target: Target,
    /// The network's parameters, in the order of [`Network::parameters`].
    pub parameters: Vec<f32>,
    /// How it was trained: an object of options, seed, rows, metrics.
    pub training: Value,
    /// How its scores were distributed among the training rows.
    pub scores: Profile,
    /// What the optimizer remembered, when it was asked to keep it.
    pub optimizer_state: Option<OptimizerState>,
    /// The layers that are computed in 8 bits, of a quantised model. Their parameters are rounded to
    /// what 8 bits can say, and are whole numbers in a file.
    pub quantization: Option<Quantization>,
}

/// The metadata's JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description<A, F, T, S, V> {
    format: u64,
    architecture: A,
    features: F,
    target: T,
    scores: S,
    training: V,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    optimizer: Option<OptimizerDescription>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantization: Option<Quantization>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OptimizerDescription {
    settings: OptimizerSpec,
    step: u64,
}

impl Model {
    /// Lets these layers be computed in 8 bits, and rounds their weights to what these can say. What
    /// the optimizer kept goes: a training does not go on from rounded weights.
    ///
    /// # Errors
    /// [`Error::Damaged`] for layers that cannot be.
    pub fn quantize(&mut self, quantization: Quantization) -> Result<(), Error> {
        self.quantization = Some(quantization);
        self.optimizer_state = None;
        let network = self.network()?;
        network.round_quantized(&mut self.parameters);
        Ok(())
    }

    /// What the target demands of the network's output.
    pub fn head(&self) -> Head {
        self.target.head()
    }

    /// The network that the parameters are for.
    ///
    /// # Errors
    /// [`Error::Damaged`] when architecture, features, target and parameters do not fit together.
    pub fn network(&self) -> Result<Network, Error> {
        let network = self.build(size_of_val(self.parameters.as_slice()))?;
        let (expected, found) = (network.parameter_count(), self.parameters.len());
        if expected != found {
            return Err(Error::damaged(
                "the model",
                format!("its network has {expected} parameters, and {found} are there"),
            ));
        }
        Ok(network)
    }

    fn build(&self, memory_limit: usize) -> Result<Network, Error> {
        let inputs = self.features.inputs();
        let mut network =
            Network::build(&self.architecture, &inputs, self.head(), Some(memory_limit))
                .map_err(|e| Error::damaged("the architecture", e.to_string()))?;
        if let Some(quantization) = &self.quantization {
            network
                .quantize(quantization)
                .map_err(|e| Error::damaged("the quantisation", e.to_string()))?;
        }
        Ok(network)
    }

    /// The shape that an embedding has in a file without the vectors, all zero, for other levels and
    /// for none, if it came from elsewhere without these.
    fn of_levels_alone(&self, parameter: &Parameter) -> Option<[usize; 2]> {
        match *parameter.shape.as_slice() {
            [rows, units]
                if parameter.kind == ParameterKind::Embedding
                    && rows > 2
                    && self.features.embeds_levels_alone(rows - 2) =>
            {
                Some([rows - 2, units])
            }
            _ => None,
        }
    }

    /// The model as a safetensors file; equal models give equal bytes.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a model that [`Model::from_bytes`] would refuse.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.in_pieces(|pieces| pieces.concat())
    }

    /// Hands on what [`Model::to_bytes`] gives, without a copy of the parameters.
    ///
    /// # Errors
    /// As there.
    pub fn in_pieces<R>(&self, take: impl FnOnce(&Pieces<'_>) -> R) -> Result<R, Error> {
        let network = self.network()?;
        self.validate()?;
        // The file, and beside it a copy of each tensor in turn.
        let buffers = self.optimizer_state.iter().flat_map(|state| &state.buffers);
        let values = self.parameters.len() + buffers.map(Vec::len).sum::<usize>();
        memory::ask_for_many(values.saturating_mul(3 * size_of::<f32>()))?;
        let reordered: Vec<(usize, Vec<f32>)> = output_order::swapped(&network, &self.target)
            .into_iter()
            .filter_map(|range| {
                let mut values = self.parameters.get(range.clone())?.to_vec();
                output_order::swap(&mut values);
                Some((range.start, values))
            })
            .collect();
        let integers = integer_weights::of(&network, &self.parameters)?;
        let mut tensors: Vec<TensorSource<'_>> = integers.scales().collect();
        for parameter in network.parameters().iter().filter(|p| !p.is_integer) {
            let start = parameter.range.start;
            let values = match reordered.iter().find(|(at, _)| *at == start) {
                Some((_, values)) => values,
                None => self
                    .parameters
                    .get(parameter.range.clone())
                    .unwrap_or_default(),
            };
            let part = || format!("tensor \"{}\"", clip(&parameter.name));
            finite(values.iter().copied()).map_err(|why| Error::damaged(part(), why))?;
            let shape = match self.of_levels_alone(parameter) {
                Some(shape) if values[shape[0] * shape[1]..].iter().all(|v| *v == 0.0) => {
                    shape.to_vec()
                }
                _ => parameter.shape.clone(),
            };
            tensors.push(TensorSource {
                name: parameter.name.as_str().into(),
                values: &values[..shape.iter().product()],
                shape,
            });
        }
        if let Some(state) = &self.optimizer_state {
            if !state.fits(&state.optimizer, self.parameters.len()) {
                let why = "its buffers do not fit the parameters";
                return Err(Error::damaged("the optimizer's state", why));
            }
            for (name, values) in state.optimizer.buffer_names().iter().zip(&state.buffers) {
                let part = || format!("the optimizer's buffer \"{name}\"");
                finite(values.iter().copied()).map_err(|why| Error::damaged(part(), why))?;
                tensors.push(TensorSource {
                    name: format!("{OPTIMIZER_PREFIX}{name}").into(),
                    shape: vec![values.len()],
                    values,
                });
            }
        }
        let description = Description {
            format: match self.is_plain() {
                false => FORMAT,
                true => PLAIN_FORMAT,
            },
            architecture: self.architecture.to_json(),
            features: &self.features,
            target: &self.target,
            scores: &self.scores,
            training: &self.training,
            optimizer: self
                .optimizer_state
                .as_ref()
                .map(|state| OptimizerDescription {
                    settings: state.optimizer,
                    step: state.step,
                }),
            quantization: self.quantization.clone(),
        };
        let text = serde_json::to_string(&description)
            .map_err(|e| Error::damaged("the model's description", e.to_string()))?;
        bounded(&text)?;
        let integers = &integers.tensors;
        TensorFile::pieces(METADATA_KEY, text, &tensors, integers).map(|pieces| take(&pieces))
    }

    /// Reads a model from bytes of any origin.
    ///
    /// Memory taken is in proportion to the bytes given, whatever they claim.
    ///
    /// # Errors
    /// Any of [`Error`]'s, naming the part at fault.
    pub fn from_bytes(bytes: &[u8]) -> Result<Model, Error> {
        Model::from_bytes_until(bytes, &Never)
    }

    /// [`Model::from_bytes`] that ends early once `stop` is set.
    ///
    /// # Errors
    /// As [`Model::from_bytes`], and [`Error::Interrupted`].
    pub fn from_bytes_until(bytes: &[u8], stop: &dyn Stop) -> Result<Model, Error> {
        let file = TensorFile::read_until(bytes, stop)?;
        Model::read(file, bytes.len(), true, stop).map(|(model, _)| model)
    }

    /// Checks a file whose header may stand elsewhere than its tensors, as [`Model::from_bytes`]
    /// does. The model that comes back has no parameters, which stay where they are; the network is
    /// the one that they are for. It ends early once `stop` is set.
    ///
    /// # Errors
    /// As there, and [`Error::Interrupted`].
    pub fn check(header: &[u8], data: &[u8], stop: &dyn Stop) -> Result<(Model, Network), Error> {
        let file = TensorFile::read_parts_until(header, data, stop)?;
        Model::read(file, header.len() + data.len(), false, stop)
    }

    /// The same of a header alone, behind which so many bytes follow: all is checked but whether the
    /// tensors' values are finite.
    ///
    /// # Errors
    /// As there.
    pub(super) fn check_header(
        header: &[u8],
        length: usize,
        stop: &dyn Stop,
    ) -> Result<(Model, Network), Error> {
        let file = TensorFile::read_header_until(header, length, stop)?;
        Model::read(file, header.len().saturating_add(length), false, stop)
    }

    fn read(
        file: TensorFile<'_>,
        size: usize,
        keep: bool,
        stop: &dyn Stop,
    ) -> Result<(Model, Network), Error> {
        let pace = Pace::new(stop);
        let TensorFile {
            metadata,
            mut tensors,
            ..
        } = file;
        let text = metadata.get(METADATA_KEY).ok_or(Error::Foreign)?;
        check_format(text)?;
        bounded(text)?;
        memory::ask_for_many(text.len().saturating_mul(TREE))?;
        let read: Description<Value, FeatureSet, Target, Profile, Value> =
            serde_json::from_str(text)
                .map_err(|e| Error::damaged("the model's description", e.to_string()))?;
        let mut model = Model {
            architecture: Architecture::from_json(&read.architecture)
                .map_err(|e| Error::damaged("the architecture", e.to_string()))?,
            features: read.features,
            target: read.target,
            parameters: Vec::new(),
            training: read.training,
            scores: read.scores,
            optimizer_state: None,
            quantization: read.quantization,
        };
        if (read.format == PLAIN_FORMAT) != model.is_plain() {
            let why = "its format is not that of what it describes";
            return Err(Error::damaged("the model's description", why));
        }
        model.validate()?;
        integer_weights::check_order(&tensors)?;
        // The file's own size bounds the parameters, and the buffers are bounded by them.
        let network = model.build(match model.quantization {
            Some(_) => size.saturating_mul(size_of::<f32>()),
            None => size,
        })?;
        let mut parameters = Vec::new();
        if keep {
            memory::ask_for_many(size_of::<f32>().saturating_mul(network.parameter_count()))?;
            parameters.reserve_exact(network.parameter_count());
        }
        for parameter in network.parameters() {
            // Of very many tensors, one is long looked for.
            if pace.spend(tensors.len().saturating_mul(VISIT)) {
                return Err(Error::Interrupted);
            }
            let tensor = take(&mut tensors, &parameter.name)?;
            // Where no parameters are kept, of these some values are looked at all the same.
            let mut fitted = Vec::new();
            let into = match parameter.kind {
                _ if keep => Some(&mut parameters),
                ParameterKind::Fitted => Some(&mut fitted),
                _ => None,
            };
            match model.of_levels_alone(parameter) {
                _ if parameter.is_integer => {
                    let scales = take(&mut tensors, &integer_weights::scale_name(parameter))?;
                    integer_weights::read(&tensor, &scales, parameter, into, &pace)?;
                }
                Some(shape) if tensor.shape == shape => read_values(&tensor, &shape, into, &pace)?,
                _ => read_values(&tensor, &parameter.shape, into, &pace)?,
            }
            let values = match keep {
                true => parameters.get(parameter.range.start..),
                false => Some(fitted.as_slice()),
            };
            if let Some(why) = parameter.fault(values.unwrap_or_default()) {
                let part = format!("tensor \"{}\"", clip(&parameter.name));
                return Err(Error::damaged(part, why));
            }
            if keep {
                parameters.resize(parameter.range.end, 0.0);
            }
        }
        if keep {
            output_order::reorder(&network, &model.target, &mut parameters);
        }
        model.parameters = parameters;
        if let Some(OptimizerDescription { settings, step }) = read.optimizer {
            if let Some((name, ..)) = settings.out_of_range() {
                let why = format!("its {name} is out of range");
                return Err(Error::damaged("the optimizer's state", why));
            }
            let mut buffers = Vec::new();
            for name in settings.buffer_names() {
                let tensor = take(&mut tensors, &format!("{OPTIMIZER_PREFIX}{name}"))?;
                let shape = [network.parameter_count()];
                let mut buffer = Vec::new();
                if keep {
                    buffer.reserve_exact(tensor.data.len() / size_of::<f32>());
                }
                read_values(&tensor, &shape, keep.then_some(&mut buffer), &pace)?;
                if keep {
                    buffers.push(buffer);
                }
            }
            model.optimizer_state = Some(OptimizerState {
                optimizer: settings,
                step,
                buffers,
            });
        }
        if let Some(surplus) = tensors.first() {
            let why = "the model has no such parameter";
            return Err(Error::damaged(
                format!("tensor \"{}\"", clip(&surplus.name)),
                why,
            ));
        }
        Ok((model, network))
    }

    /// Whether earlier releases read it as it is meant.
    fn is_plain(&self) -> bool {
        self.quantization.is_none() && !self.features.has_instances()
    }

    /// Checks what is neither architecture nor tensor.
    fn validate(&self) -> Result<(), Error> {
        let damaged = |part: &str, e: crate::features::Error| Error::damaged(part, e.to_string());
        self.features
            .validate()
            .map_err(|e| damaged("the features", e))?;
        self.target
            .validate()
            .map_err(|e| damaged("the target", e))?;
        let fits = match &self.scores {
            Profile::None => true,
            Profile::Deciles { deciles, .. } => {
                matches!(deciles.len(), 0 | 11) && deciles.iter().all(|d| d.is_finite())
            }
            Profile::Levels(counts) => counts.len() == self.target.classes().len(),
        };
        if !fits {
            return Err(Error::damaged(
                "the scores' profile",
                "it does not fit the target",
            ));
        }
        if !self.training.is_object() {
            return Err(Error::damaged(
                "the training's record",
                "it is not a JSON object",
            ));
        }
        Ok(())
    }
}

/// Refuses newer files before their unknown fields are stumbled over.
fn check_format(text: &str) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let Format { format } = serde_json::from_str(text)
        .map_err(|e| Error::damaged("the model's description", e.to_string()))?;
    match format {
        PLAIN_FORMAT..=FORMAT => Ok(()),
        newer if newer > FORMAT => Err(Error::Newer {
            format,
            known: FORMAT,
        }),
        _ => Err(Error::damaged(
            "the model's description",
            "its format never existed",
        )),
    }
}

/// Refuses a description whose tree could be much larger than its text.
fn bounded(text: &str) -> Result<(), Error> {
    // Every value but the first follows one of these; those inside of texts count, too.
    let values = text.bytes().filter(|byte| b",:[{".contains(byte)).count();
    if values > MAX_VALUES {
        return Err(Error::damaged(
            "the model's description",
            format!("it has more than {MAX_VALUES} values"),
        ));
    }
    Ok(())
}
