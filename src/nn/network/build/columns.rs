//! What input layers read: the features they choose, in columns of the input.

use std::ops::Range;

use super::{Builder, Slot};
use crate::nearest::{nearest, perhaps};
use crate::nn::architecture::LayerSpec;
use crate::nn::architecture::input::{InputFeature, InputForm};
use crate::nn::base::error::Error;
use crate::nn::base::lengths::Lengths;
use crate::nn::base::shape::Shape;
use crate::nn::layer::Source;
use crate::nn::layers::{ConcatSpec, Select};

impl Builder<'_> {
    /// The columns of the named features, or of all that are not levels.
    pub(super) fn columns(
        &mut self,
        spec: &LayerSpec,
        names: Option<&[String]>,
    ) -> Result<Slot, Error> {
        let mut chosen: Vec<usize> = Vec::new();
        match names {
            None => {
                let is_level = |f: &InputFeature| {
                    matches!(f.form, InputForm::Level { .. } | InputForm::Numbers(0))
                };
                chosen.extend((0..self.features.len()).filter(|f| !is_level(&self.features[*f])));
                if !self.only_numbers(&chosen) {
                    // Sequences and images that are read elsewhere are not meant here.
                    chosen.retain(|f| {
                        self.only_numbers(&[*f]) || !self.named.contains(&self.features[*f].name)
                    });
                }
            }
            Some(names) => {
                for name in names {
                    let Some(&place) = self.places.get(name.as_str()) else {
                        return Err(self.unknown_feature(spec, name));
                    };
                    if chosen.contains(&place) {
                        return Err(Error::layer(
                            spec.label(),
                            format!("names the feature \"{name}\" twice"),
                            "Name each feature once.",
                        ));
                    }
                    chosen.push(place);
                }
            }
        }
        if let ([place], true) = (
            chosen.as_slice(),
            names.is_some() || !self.only_numbers(&chosen),
        ) {
            return Ok(self.feature(*place));
        }
        if let Some(level) = chosen
            .iter()
            .find(|f| self.features[**f].vocabulary().is_some())
        {
            return Err(Error::layer(
                spec.label(),
                format!(
                    "mixes the embedded feature \"{}\" with others",
                    self.features[*level].name
                ),
                "Give each embedded feature an input layer of its own.",
            ));
        }
        if !self.only_numbers(&chosen) {
            return self.joined_columns(spec, &chosen);
        }
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for feature in chosen {
            let start = self.starts[feature];
            let end = start + self.features[feature].width();
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ if start == end => {}
                _ => ranges.push(start..end),
            }
        }
        let width = ranges.iter().map(ExactSizeIterator::len).sum();
        let shape = Shape::Vector(width);
        if let [] | [_] = ranges.as_slice() {
            let start = ranges.first().map_or(0, |range| range.start);
            return Ok(Slot {
                source: Source::Columns { start, width },
                shape,
                level: None,
                lengths: None,
            });
        }
        self.push(spec, Box::new(Select { ranges, width }), &[], shape, None)
    }

    fn only_numbers(&self, features: &[usize]) -> bool {
        let is_number = |f: &usize| matches!(self.features[*f].form, InputForm::Numbers(_));
        features.iter().all(is_number)
    }

    /// A feature by itself, in its own shape.
    fn feature(&self, place: usize) -> Slot {
        let feature = &self.features[place];
        let column = self.starts[place];
        let is_sequence = matches!(
            feature.form,
            InputForm::Sequence { .. } | InputForm::LeveledSequence { .. }
        );
        Slot {
            source: Source::Columns {
                // The number of steps stands before them.
                start: column + usize::from(is_sequence),
                width: feature.shape().size(),
            },
            shape: feature.shape(),
            level: feature.vocabulary(),
            lengths: is_sequence.then_some(Lengths::Column(column)),
        }
    }

    /// Sequences, or images, joined to one.
    fn joined_columns(&mut self, spec: &LayerSpec, chosen: &[usize]) -> Result<Slot, Error> {
        let slots: Vec<Slot> = chosen.iter().map(|place| self.feature(*place)).collect();
        let mixed = slots.iter().position(|slot| {
            std::mem::discriminant(&slot.shape) != std::mem::discriminant(&slots[0].shape)
        });
        if let Some(other) = mixed {
            return Err(Error::layer(
                spec.label(),
                format!(
                    "reads feature \"{}\", {}, and feature \"{}\", {}, which cannot be joined",
                    self.features[chosen[0]].name,
                    slots[0].shape,
                    self.features[chosen[other]].name,
                    slots[other].shape
                ),
                "Give each an input layer, {\"type\": \"input\", \"name\": \"a\", \"features\": \
                 [\"column\"]}, and join what comes of them by concat.",
            ));
        }
        let joined = LayerSpec::new(ConcatSpec).named(spec.name());
        Ok(self.build(&joined, &slots, None)?.0)
    }

    fn unknown_feature(&self, spec: &LayerSpec, name: &str) -> Error {
        let name: String = name.chars().take(64).collect();
        let known = self.features.iter().map(|feature| feature.name.as_str());
        Error::layer(
            spec.label(),
            format!("names the feature \"{name}\", which there is not"),
            perhaps(
                nearest(&name, known),
                "Name columns of the query that are features of the model.",
            ),
        )
    }
}
