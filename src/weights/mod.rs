//! Models from weights trained elsewhere: a `state_dict` of PyTorch's in a safetensors file, with
//! the architecture it belongs to.

mod convert;
mod error;
mod fit;
mod go_on;
mod known;
mod layout;
mod names;
mod options;
mod rename;
mod sequence;

use std::sync::Arc;

use serde_json::{Value, json};

pub use error::Error;

use self::options::Options;
use crate::artifact::{Model, TensorFile, in_order_of_classes, reorder};
use crate::features::{
    FeatureSet, MAX_CLASSES, Origin, OutputScale, Profile, Scale, Target, Task, positive_by_name,
};
use crate::memory;
use crate::nn::{
    Activation, Architecture, DenseSpec, EmbeddingSpec, LayerSpec, Network, OrdinalSpec, Pace, Stop,
};
use crate::training::read_architecture;

/// What `neural.import_weights` is given.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The bytes of the safetensors file.
    pub weights: &'a [u8],
    /// The name of a shipped architecture, or JSON.
    pub architecture: &'a str,
    /// `classification` or `regression`.
    pub task: &'a str,
    /// A JSON array of the features in call order.
    pub features: &'a Value,
    /// The classes or labels in the order of the network's outputs; none for a regression.
    pub classes: Option<&'a [String]>,
    /// The options.
    pub options: &'a Value,
    /// Bytes that the parameters may take.
    pub memory: usize,
    /// Asked whether to go on.
    pub stop: &'a dyn Stop,
}

/// What came of it.
#[derive(Debug)]
pub struct Imported {
    /// The model.
    pub model: Model,
    /// Whether it is to be deployed.
    pub deploy: bool,
    /// What was understood that may have been meant otherwise.
    pub remark: Option<Remark>,
}

/// What whoever imports is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// What was chosen.
    Notice(String),
    /// What was chosen against the usual order.
    Warning(String),
}

/// Builds the network and gives it the weights.
///
/// # Errors
/// Whatever of the source is wrong: each tensor that is missing, surplus or of another shape is
/// named. Bytes of any origin give an error or a model.
pub fn import(source: &Source<'_>) -> Result<Imported, Error> {
    let options = Options::parse(source.options)?;
    let task = Task::parse(source.task)?;
    let architecture = read_architecture(source.architecture)?;
    let file = TensorFile::read_until(source.weights, source.stop)?;
    let pace = Pace::new(source.stop);
    let mut renamed = rename::apply(&file, &options.rename, &pace)?;
    let told = sequence::completed(
        source.features,
        &architecture,
        &renamed,
        options.layout,
        &pace,
    );
    let mut features =
        FeatureSet::told(&told, &|name, only| architecture.embedding_of(name, only))?;
    let target = target(source, &options, task, &architecture)?;
    let head = target.head();
    let written = architecture.layers.len();
    let architecture = architecture.resolve(head)?;
    let before_output = match architecture.layers.as_slice() {
        [.., before, _] if architecture.layers.len() > written => before.name.clone(),
        _ => None,
    };
    let architecture =
        own_vocabularies(architecture, &features)?.with_embeddings(&features.embeddings())?;
    let network = Network::build(&architecture, &features.inputs(), head, Some(source.memory))?;
    // The parameters, and a tensor's on their way to where they go.
    memory::ask_for_many(
        network
            .parameter_count()
            .saturating_mul(2 * size_of::<f32>()),
    )?;
    if options.layout.is_some() {
        let parameters = network.parameters().iter();
        names::translate(&mut renamed, parameters.map(|p| p.name.as_str()), &pace)?;
    }
    let read = fit::parameters(
        &network,
        &features,
        &fit::Given {
            file: &file,
            tensors: &renamed,
            layout: (options.layout, options.flatten),
            before_output: before_output.as_deref(),
            pace: &pace,
        },
    )?;
    let mut parameters = read.parameters;
    features.embed_levels_alone(&read.exact);
    let target = in_order_of_classes(target, &network);
    reorder(&network, &target, &mut parameters);
    let remark = positive_remark(&options, &target, network.output_units());
    Ok(Imported {
        model: Model {
            architecture: network.architecture().clone(),
            features,
            target,
            parameters,
            training: json!({
                "imported": "weights",
                "extension_version": env!("CARGO_PKG_VERSION"),
            }),
            scores: Profile::None,
            optimizer_state: None,
            quantization: None,
        },
        deploy: options.deploy,
        remark,
    })
}

/// The architecture without the vocabularies that embeddings of categories are said to have: as many
/// as there are levels, PyTorch's `num_embeddings`, where the network here has two more.
///
/// # Errors
/// A vocabulary that is not the number of the feature's levels.
fn own_vocabularies(
    mut architecture: Architecture,
    features: &FeatureSet,
) -> Result<Architecture, Error> {
    for (name, levels) in features.embedded_levels() {
        let readers = architecture.first_readers(name, features.features.len() == 1);
        for layer in &mut architecture.layers {
            let reads = |reader: &LayerSpec| reader.name == layer.name;
            let Some(embedding) = layer.get::<EmbeddingSpec>() else {
                continue;
            };
            match embedding.vocabulary {
                Some(given) if readers.iter().any(reads) && given < levels + 2 => {
                    if given != levels {
                        return Err(Error::invalid(
                            format!(
                                "layer \"{}\" has a vocabulary of {given}, but feature \"{name}\" \
                                 has {levels} levels",
                                layer.name.as_deref().unwrap_or_default(),
                            ),
                            "Give the feature a level for each of the embedding's vectors, in \
                             their order.",
                        ));
                    }
                    layer.kind = Arc::new(EmbeddingSpec {
                        vocabulary: None,
                        ..*embedding
                    });
                }
                _ => {}
            }
        }
    }
    Ok(architecture)
}

/// What the network predicts.
fn target(
    source: &Source<'_>,
    options: &Options,
    task: Task,
    architecture: &Architecture,
) -> Result<Target, Error> {
    if task == Task::Regression {
        for (given, what) in [
            (source.classes.is_some(), "classes"),
            (
                options.positive_class.is_some(),
                "option \"positive_class\"",
            ),
            (options.threshold.is_some(), "option \"threshold\""),
            (options.multi_label, "option \"multi_label\""),
        ] {
            if given {
                return Err(Error::invalid(
                    format!("{what} goes with the task 'classification'"),
                    "Leave it out for a regression.",
                ));
            }
        }
        let outputs = options
            .outputs
            .unwrap_or_else(|| written_outputs(architecture));
        if outputs > MAX_CLASSES {
            return Err(Error::invalid(
                format!(
                    "the last layer has {outputs} units, and a regression has at most \
                     {MAX_CLASSES} outputs"
                ),
                "Import the network in parts, each with some of the outputs.",
            ));
        }
        return Ok(Target::Regression {
            column: String::new(),
            sql_type: if outputs == 1 {
                "double precision"
            } else {
                "double precision[]"
            }
            .into(),
            origin: Origin::Float,
            scale: match (&options.target_mean, &options.target_std) {
                (None, None) => Scale::None,
                _ => Scale::Standard,
            },
            outputs: scales(options, outputs)?,
            array: outputs > 1,
            quantiles: Vec::new(),
            family: None,
        });
    }
    let (scaled, several) = (
        options.target_mean.is_some() || options.target_std.is_some(),
        options.outputs.is_some(),
    );
    if scaled || several {
        let what = if several {
            "outputs"
        } else {
            "target_mean and target_std"
        };
        return Err(Error::invalid(
            format!("option \"{what}\" goes with the task 'regression'"),
            "Leave it out: the classes tell how many outputs there are.",
        ));
    }
    let classes = source.classes.unwrap_or_default();
    let least = if options.multi_label { 1 } else { 2 };
    if !(least..=MAX_CLASSES).contains(&classes.len()) {
        return Err(Error::invalid(
            format!(
                "{} classes are given, and a classification has from {least} to {MAX_CLASSES}",
                classes.len()
            ),
            "Name them in the order of the network's outputs: classes => ARRAY['no', 'yes'].",
        ));
    }
    if let Some(twice) = (1..classes.len()).find(|&i| classes[..i].contains(&classes[i])) {
        return Err(Error::invalid(
            format!("the class \"{}\" is given twice", classes[twice]),
            "Give each class once.",
        ));
    }
    let threshold = options.threshold.unwrap_or(0.5);
    let positive = positive(options, classes)?;
    if options.multi_label {
        return Ok(Target::Labels {
            column: String::new(),
            sql_type: "text[]".into(),
            origin: Origin::Text,
            labels: classes.to_vec(),
            threshold,
            counts: Vec::new(),
            rows: 0,
        });
    }
    Ok(Target::Classes {
        column: String::new(),
        sql_type: "text".into(),
        origin: Origin::Text,
        classes: classes.to_vec(),
        positive,
        threshold,
        counts: Vec::new(),
        outputs_as_classes: false,
        ordered: is_ordered(architecture, classes),
    })
}

/// The positive one of two classes: the one asked for, else the one whose name says so, else the
/// second.
fn positive(options: &Options, classes: &[String]) -> Result<Option<usize>, Error> {
    let two = classes.len() == 2 && !options.multi_label;
    let place = |name: &str| classes.iter().position(|class| class == name);
    match &options.positive_class {
        Some(name) if two => place(name).map(Some).ok_or_else(|| {
            Error::invalid(
                format!("option \"positive_class\" is \"{name}\", which is no class"),
                format!("The classes are \"{}\" and \"{}\".", classes[0], classes[1]),
            )
        }),
        Some(_) => Err(Error::invalid(
            "option \"positive_class\" goes with two classes",
            "Leave it out.",
        )),
        None => Ok(two.then(|| positive_by_name(classes).unwrap_or(1))),
    }
}

/// Says which of two classes is the positive one, unless it was asked for. A single output is the
/// second one's elsewhere: where it is taken for the first one's, that is worth a warning.
fn positive_remark(options: &Options, target: &Target, units: usize) -> Option<Remark> {
    let class = target.positive_class()?;
    if options.positive_class.is_some() {
        return None;
    }
    let first = target.classes().first().map(String::as_str) == Some(class);
    let by_name = positive_by_name(target.classes()).is_some();
    Some(match (first, units) {
        (true, 1) => Remark::Warning(format!(
            "the network's output is taken for the logit of class \"{class}\", which is the positive \
             one by its name, though it is the first of the classes; option \"positive_class\" says \
             which it is"
        )),
        _ => Remark::Notice(format!(
            "the positive class is \"{class}\", {}: neural.predict gives its probability",
            if by_name { "by its name" } else { "the second" }
        )),
    })
}

/// The outputs of a regression as its last layer has them.
fn written_outputs(architecture: &Architecture) -> usize {
    let last = architecture.layers.last();
    match last.and_then(LayerSpec::get::<DenseSpec>) {
        Some(dense)
            if dense.is_output || matches!(dense.activation, None | Some(Activation::Linear)) =>
        {
            dense.units.unwrap_or(1)
        }
        _ => 1,
    }
}

/// Whether the classes have an order, which a last layer of type ordinal says.
fn is_ordered(architecture: &Architecture, classes: &[String]) -> bool {
    let last = architecture.layers.last();
    classes.len() > 2 && last.is_some_and(LayerSpec::is::<OrdinalSpec>)
}

fn scales(options: &Options, outputs: usize) -> Result<Vec<OutputScale>, Error> {
    let each = |key: &str, given: &Option<Vec<f64>>, default: f64| match given {
        None => Ok(vec![default; outputs]),
        Some(values) if values.len() == 1 => Ok(vec![values[0]; outputs]),
        Some(values) if values.len() == outputs => Ok(values.clone()),
        Some(values) => Err(Error::invalid(
            format!(
                "option \"{key}\" has {} numbers for {outputs} outputs",
                values.len()
            ),
            "Give one number, or one for each output.",
        )),
    };
    let centers = each("target_mean", &options.target_mean, 0.0)?;
    let divisors = each("target_std", &options.target_std, 1.0)?;
    let scales = centers.into_iter().zip(divisors);
    Ok(scales
        .map(|(center, divisor)| OutputScale { center, divisor })
        .collect())
}
