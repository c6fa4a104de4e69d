//! One step of a sequence as a vector; no parameters.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer};

/// The type `select_step`.
pub(in crate::nn) const SELECT_STEP: LayerType = LayerType {
    name: "select_step",
    aliases: &["selectstep"],
    settings: &["index"],
    rank: Rank::Sequence,
    read: |_, settings| SelectStep::read(settings),
};

/// Rows [rows, steps, features] to rows [rows, features]. A step that a row does not have is zero.
#[derive(Debug, Clone, Copy)]
struct SelectStep {
    /// From 0 on or, if negative, from the end of the row's own steps.
    index: i64,
    features: usize,
}

impl SelectStep {
    fn read(settings: &Settings<'_>) -> Result<Arc<dyn Spec>, Error> {
        // 3.0 is a whole number, too.
        let number = match settings.get("index") {
            None => -1.0,
            Some(index) => index.as_f64().unwrap_or(f64::NAN),
        };
        if number.fract() == 0.0 && number.abs() <= 1e9 {
            return Ok(Arc::new(SelectStep {
                index: number as i64,
                features: 0,
            }));
        }
        Err(settings.error(
            "\"index\" must be a whole number",
            "Count the steps from 0, or from -1 for a row's last one.",
        ))
    }

    /// Which of so many steps it is.
    fn step(&self, steps: usize) -> Option<usize> {
        let steps = steps as i64;
        let step = if self.index < 0 {
            steps + self.index
        } else {
            self.index
        };
        (0..steps).contains(&step).then_some(step as usize)
    }
}

impl Spec for SelectStep {
    fn type_name(&self) -> &'static str {
        SELECT_STEP.name
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        settings.insert("index".into(), self.index.into());
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let (steps, features) = site.sequence()?;
        if self.step(steps).is_none() {
            return Err(site.error(
                format!("selects step {} of a sequence of {steps} steps", self.index),
                format!("Give an \"index\" from -{steps} to {}.", steps - 1),
            ));
        }
        let layer = SelectStep { features, ..*self };
        Ok(Built::Layer {
            layer: Box::new(layer),
            shape: Shape::Vector(features),
            lengths: LengthRule::Drop,
        })
    }
}

impl Layer for SelectStep {
    fn forward(&self, pass: Forward<'_>) {
        let input = pass.inputs.view(0);
        for (row, output) in pass.output.chunks_exact_mut(self.features).enumerate() {
            match self.step(pass.inputs.steps(0, row)) {
                Some(step) => {
                    output.copy_from_slice(&input.row(row)[step * self.features..][..self.features])
                }
                None => output.fill(0.0),
            }
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let inputs = pass.inputs;
        let Some((target, add)) = pass.input_gradients.get(0) else {
            return;
        };
        if !add {
            target.fill(0.0);
        }
        let width = target.len() / pass.rows;
        let rows = target.chunks_exact_mut(width);
        for (row, (target, gradient)) in rows
            .zip(pass.gradient.chunks_exact(self.features))
            .enumerate()
        {
            if let Some(step) = self.step(inputs.steps(0, row)) {
                let target = &mut target[step * self.features..][..self.features];
                target.iter_mut().zip(gradient).for_each(|(t, g)| *t += g);
            }
        }
    }

    fn pack(&self, _: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(*self))
    }
}

impl Packed for SelectStep {
    fn size_bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn forward(&self, pass: PackedPass<'_>) {
        pass.for_each_row(|x, steps, y| {
            let y = &mut y[..self.features];
            match self.step(steps) {
                Some(step) => y.copy_from_slice(&x[step * self.features..][..self.features]),
                None => y.fill(0.0),
            }
        });
    }
}
