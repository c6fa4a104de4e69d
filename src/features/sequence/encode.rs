//! Sequences to network inputs.

use std::slice::ChunksExactMut;

use serde::{Deserialize, Serialize};

use crate::features::column::Column;
use crate::features::error::Error;
use crate::features::rows::arrays::Real;
use crate::features::scales::lanes::{Lanes, Pairs, Scaling, scaled};
use crate::features::treatment::{Encodes, Strip, other_shape};

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
            Steps::Tokens(tokens) => {
                let (array, steps) = plan.last_steps(array, 1, inputs)?;
                for (token, to) in array.iter().zip(steps) {
                    to[0] = plan.token(token.double(), *tokens)?;
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
    ) -> Result<(&'a [T], ChunksExactMut<'b, f32>), Error> {
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
        Ok((array, steps.chunks_exact_mut(features)))
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

fn encode_steps<T: Real>(
    array: &[T],
    steps: ChunksExactMut<'_, f32>,
    lanes: &Pairs<impl Scaling>,
    bend: f32,
) {
    for (from, to) in array.chunks_exact(lanes.center.len()).zip(steps) {
        let pairs = lanes.center.iter().zip(&lanes.factor);
        for ((x, value), (c, f)) in to.iter_mut().zip(from).zip(pairs) {
            *x = scaled(*value, *c, *f, bend);
        }
    }
}
