//! The outputs of a regression turned back to the level of a sequence that was normalised by itself.

use super::{Builder, Slot};
use crate::nn::architecture::LayerSpec;
use crate::nn::architecture::input::{InputForm, LEVEL_COLUMNS};
use crate::nn::base::error::Error;
use crate::nn::base::shape::Shape;
use crate::nn::layer::Source;
use crate::nn::layer::head::Head;
use crate::nn::layers::TurnBack;

impl Builder<'_> {
    /// The output turned back by the leveled sequence among the features; the output itself where
    /// there is none.
    ///
    /// # Errors
    /// Several such sequences, or a task whose outputs have no unit.
    pub(super) fn turned_back(
        &mut self,
        layer: &LayerSpec,
        output: Slot,
        head: Head,
    ) -> Result<Slot, Error> {
        let features = self.features.iter().zip(&self.starts);
        let mut leveled = features
            .filter(|(feature, _)| matches!(feature.form, InputForm::LeveledSequence { .. }))
            .map(|(feature, start)| start + feature.width() - LEVEL_COLUMNS);
        let Some(start) = leveled.next() else {
            return Ok(output);
        };
        if leveled.next().is_some() || !matches!(head, Head::Regression { .. }) {
            return Err(Error::architecture(
                "the outputs cannot be turned back to the level of a sequence",
                "They are those of a regression, and turned back by one sequence.",
            ));
        }
        let level = Slot {
            source: Source::Columns {
                start,
                width: LEVEL_COLUMNS,
            },
            shape: Shape::Vector(LEVEL_COLUMNS),
            level: None,
            lengths: None,
        };
        let shape = output.shape;
        let mut name = format!("{} turned back", layer.name());
        let is_taken = |name: &str| {
            let full = format!("{}{name}", self.prefix);
            self.nodes.iter().any(|node| node.name == full)
        };
        while is_taken(&name) {
            name.push('+');
        }
        let mut named = layer.clone();
        named.name = Some(name);
        self.push(
            &named,
            Box::new(TurnBack {
                width: shape.size(),
            }),
            &[output, level],
            shape,
            None,
        )
    }
}
