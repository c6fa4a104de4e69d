//! What convolutions of steps and of images share: settings and parameters.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::windows::KERNEL;
use crate::nn::base::error::Error;
use crate::nn::base::lengths::Window;
use crate::nn::kernels::activation::Activation;
use crate::nn::layer::ParameterSpec;
use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::Site;

/// Most values of a filter, and most values that a row's windows take when they are laid out.
pub(super) const MAX_LAID_OUT: usize = 1 << 26;

/// The settings' names.
pub(super) const SETTINGS: &[&str] = &[
    "filters",
    "kernel_size",
    "strides",
    "padding",
    "dilation",
    "groups",
    "activation",
    "use_bias",
    "kernel_initializer",
    "bias_initializer",
];

/// A convolution over N axes as its settings say.
#[derive(Debug, Clone)]
pub(super) struct Filters<const N: usize> {
    pub windows: [Window; N],
    pub filters: usize,
    pub groups: usize,
    pub activation: Activation,
    pub use_bias: bool,
    kernel_initializer: Option<Initializer>,
    bias_initializer: Option<Initializer>,
}

impl<const N: usize> Filters<N> {
    pub fn read(settings: &Settings<'_>) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            windows: KERNEL.read(settings)?,
            filters: settings.required_count("filters")?,
            groups: settings.count("groups")?.unwrap_or(1),
            activation: settings.activation()?.unwrap_or_default(),
            use_bias: settings.flag("use_bias")?.unwrap_or(true),
            kernel_initializer: settings.initializer("kernel_initializer")?,
            bias_initializer: settings.initializer("bias_initializer")?,
        }))
    }

    pub fn write(&self, settings: &mut Map<String, Value>) {
        settings.insert("filters".to_owned(), json!(self.filters));
        KERNEL.write(&self.windows, settings);
        if self.groups > 1 {
            settings.insert("groups".to_owned(), json!(self.groups));
        }
        if self.activation != Activation::Linear {
            Settings::write_activation(self.activation, settings);
        }
        if !self.use_bias {
            settings.insert("use_bias".to_owned(), json!(false));
        }
        for (name, initializer) in [
            ("kernel_initializer", self.kernel_initializer),
            ("bias_initializer", self.bias_initializer),
        ] {
            if let Some(initializer) = initializer {
                settings.insert(name.to_owned(), json!(initializer.name()));
            }
        }
    }

    /// Refuses groups that do not divide the filters, and the input's `channels`, here called
    /// `what`.
    pub fn check_groups(&self, site: &Site<'_>, channels: usize, what: &str) -> Result<(), Error> {
        let Self {
            groups, filters, ..
        } = *self;
        if channels.is_multiple_of(groups) && filters.is_multiple_of(groups) {
            return Ok(());
        }
        Err(site.error(
            format!("its {groups} groups do not divide {channels} {what} and {filters} filters"),
            format!("\"groups\" must divide both the {what} that the layer reads and \"filters\"."),
        ))
    }

    /// The error of windows that would take more memory than can be.
    pub fn too_large(&self, site: &Site<'_>) -> Error {
        site.error(
            format!("its windows take more than {MAX_LAID_OUT} values a row"),
            "Make \"kernel_size\" or the layer's input smaller, or \"strides\" larger.",
        )
    }

    /// Weights of a filter that sees so many channels.
    pub fn taps(&self, channels: usize) -> usize {
        let sizes = self.windows.iter().map(|window| window.size);
        sizes.fold(channels, usize::saturating_mul)
    }

    /// The parameters, named and laid out as in PyTorch, over so many channels.
    pub fn parameters(&self, channels: usize) -> Vec<ParameterSpec> {
        let mut shape = vec![self.filters, channels / self.groups];
        shape.extend(self.windows.iter().map(|window| window.size));
        let weight = ParameterSpec {
            name: "weight".into(),
            shape,
            kind: ParameterKind::Weight,
            fan_in: self.taps(channels / self.groups),
            // Keras's count, which does not look at the groups.
            fan_out: self.taps(self.filters),
            initializer: self.kernel_initializer,
            start: None,
        };
        weight.with_bias(self.filters, self.use_bias, self.bias_initializer)
    }

    /// The parameters' values: weight and bias.
    pub fn split<'a>(&self, parameters: &'a [f32]) -> (&'a [f32], Option<&'a [f32]>) {
        match self.use_bias {
            true => {
                let (weight, bias) = parameters.split_at(parameters.len() - self.filters);
                (weight, Some(bias))
            }
            false => (parameters, None),
        }
    }

    /// [`Filters::split`] of a gradient; without a bias its part is empty.
    pub fn split_mut<'a>(&self, gradient: &'a mut [f32]) -> (&'a mut [f32], &'a mut [f32]) {
        let bias = if self.use_bias { self.filters } else { 0 };
        gradient.split_at_mut(gradient.len() - bias)
    }
}
