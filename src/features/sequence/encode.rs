//! Sequences to network inputs.

use serde::{Deserialize, Serialize};

use super::instance;
use crate::features::column::Column;
use crate::features::error::Error;
use crate::features::rows::arrays::Real;
use crate::features::scales::lanes::{Lanes, Pairs, Scaling, scaled};
use crate::features::treatment::{Encodes, Strip, other_shape};

/// Inputs behind the steps that outputs are turned back by.
pub(super) const LEVELS: usize = 2;

/// Encodes the sequences of one feature.
#[derive(Clone, Debug)]
pub(in crate::features) struct SequenceEncoder(Box<Plan>);

#[derive(Clone, Debug)]
struct Plan {
    column: Box<str>,
    steps: Steps,
}

/// Which whole numbers the steps of a sequence can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Those below this one.
    pub known: usize,
    /// Whether all others count as one more, rather than as an error.
    pub other: bool,
}

impl Tokens {
    /// How many an embedding needs vectors for.
    pub fn vocabulary(self) -> usize {
        self.known + usize::from(self.other)
    }
}

/// How steps are encoded.
#[derive(Clone, Debug)]
pub(in crate::features) enum Steps {
    Numbers {
        lanes: Lanes,
        /// 1 / clip², 0 without a clip.
        bend: f32,
    },
    /// Numbers of which each sequence's own level is taken.
    Instances {
        lanes: Pairs<f64>,
        /// As of numbers.
        bend: f32,
        /// Which of a step's numbers the level behind the steps is of; `None`: there is none.
        turned_back: Option<usize>,
    },
    Tokens(Tokens),
}

impl SequenceEncoder {
    pub fn new(column: &Column, steps: Steps) -> SequenceEncoder {
        SequenceEncoder(Box::new(Plan {
            column: column.name.as_str().into(),
            steps,
        }))
    }
}

impl Encodes for SequenceEncoder {
    fn array<T: Real>(&self, array: &[T], inputs: &mut [f32]) -> Result<(), Error> {
        let plan = &*self.0;
        match &plan.steps {
            Steps::Numbers { lanes, bend } => {
                let (array, steps) = plan.last_steps(array, lanes.len(), inputs)?;
                match lanes {
                    Lanes::Single(lanes) => encode_steps(array, steps, lanes, *bend),
                    Lanes::Double(lanes) => encode_steps(array, steps, lanes, *bend),
                }
            }
            Steps::Instances {
                lanes,
                bend,
                turned_back,
            } => {
                let room = inputs.len() - turned_back.map_or(0, |_| LEVELS.min(inputs.len()));
                let (inputs, level) = inputs.split_at_mut(room);
                let (array, steps) = plan.last_steps(array, lanes.center.len(), inputs)?;
                instance::encode(array, steps, lanes, *bend, |feature, found| {
                    if *turned_back == Some(feature) {
                        level.copy_from_slice(&[found.mean as f32, found.deviation as f32]);
                    }
                });
            }
            Steps::Tokens(tokens) => {
                let (array, steps) = plan.last_steps(array, 1, inputs)?;
                for (token, to) in array.iter().zip(steps) {
                    *to = plan.token(token.double(), *tokens)?;
                }
            }
        }
        Ok(())
    }

    fn strip(&self, strip: Strip<'_>) -> Result<(), Error> {
        strip.each_array(self)
    }

    fn size_bytes(&self) -> usize {
        match &self.0.steps {
            Steps::Numbers { lanes, .. } => lanes.size_bytes(),
            Steps::Instances { lanes, .. } => 2 * size_of_val::<[f64]>(&lanes.center),
            Steps::Tokens(_) => 0,
        }
    }
}

impl Plan {
    /// The last steps of a sequence, as many as there is room for behind their number, which is
    /// written, and their places; the others are zero.
    fn last_steps<'a, 'b, T>(
        &self,
        array: &'a [T],
        features: usize,
        inputs: &'b mut [f32],
    ) -> Result<(&'a [T], &'b mut [f32]), Error> {
        let Some((count, room)) = inputs.split_first_mut() else {
            return Err(other_shape(&self.column));
        };
        if array.is_empty() || !array.len().is_multiple_of(features) {
            return Err(other_shape(&self.column));
        }
        let array = &array[array.len().saturating_sub(room.len())..];
        *count = (array.len() / features) as f32;
        let (steps, rest) = room.split_at_mut(array.len());
        rest.fill(0.0);
        Ok((array, steps))
    }

    fn token(&self, token: f64, tokens: Tokens) -> Result<f32, Error> {
        let column = &self.column;
        if !(token >= 0.0 && token.fract() == 0.0) {
            return Err(Error::invalid(format!(
                "a sequence in column \"{column}\" has {token} where a token is read"
            ))
            .with_hint("An embedding reads whole numbers from 0 on."));
        }
        if token < tokens.known as f64 {
            return Ok(token as f32);
        }
        match tokens.other {
            true => Ok(tokens.known as f32),
            false => Err(Error::invalid(format!(
                "a sequence in column \"{column}\" has the token {token}, but the embedding's \
                 vocabulary is {}",
                tokens.known
            ))
            .with_hint("Tokens are below the vocabulary; raise it, or number the tokens from 0.")),
        }
    }
}

fn encode_steps<T: Real>(array: &[T], steps: &mut [f32], lanes: &Pairs<impl Scaling>, bend: f32) {
    let features = lanes.center.len();
    let steps = steps.chunks_exact_mut(features);
    for (from, to) in array.chunks_exact(features).zip(steps) {
        let pairs = lanes.center.iter().zip(&lanes.factor);
        for ((x, value), (c, f)) in to.iter_mut().zip(from).zip(pairs) {
            *x = scaled(*value, *c, *f, bend);
        }
    }
}
