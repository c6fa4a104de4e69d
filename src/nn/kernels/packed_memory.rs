//! Where packed weights lie: in memory of their own, or in a block that several processes share.
//!
//! A network is packed by asking a [`Packer`] for memory, node after node, each time with a
//! function that fills it from the node's parameters. How much is asked for, and in which order,
//! follows from the network alone. So what was packed once can be kept, one piece behind the other,
//! and given out again without its parameters: the functions that fill are then not called.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::packing::{Line, ZEROS};
use super::vector::LANES;
use crate::nn::base::error::Error;
use crate::nn::base::stop::{Pace, Stop};

/// The packed weights of a whole network, in memory that outlives whoever packed them.
#[derive(Clone)]
pub struct SharedWeights(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl SharedWeights {
    /// Takes bytes that a `Packer` handed out to be kept; they begin at a multiple of 64 bytes
    /// and stay as they are.
    pub fn new(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Self {
        Self(bytes)
    }

    /// Their size.
    pub fn size_bytes(&self) -> usize {
        (*self.0).as_ref().len()
    }

    /// All lines; none where the bytes do not begin at one.
    fn lines(&self) -> &[Line] {
        bytemuck::try_cast_slice((*self.0).as_ref()).unwrap_or_default()
    }
}

impl fmt::Debug for SharedWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedWeights({} bytes)", self.size_bytes())
    }
}

/// Lines of packed weights.
#[derive(Clone, Debug)]
pub(in crate::nn) enum Lines {
    Own(Box<[Line]>),
    /// Lines of a block that has them.
    Shared(SharedWeights, Range<usize>),
}

impl Lines {
    /// Bytes of memory of their own.
    pub fn own_bytes(&self) -> usize {
        match self {
            Lines::Own(lines) => size_of_val(&**lines),
            Lines::Shared(..) => 0,
        }
    }
}

impl Deref for Lines {
    type Target = [Line];

    #[inline]
    fn deref(&self) -> &[Line] {
        match self {
            Lines::Own(lines) => lines,
            Lines::Shared(weights, range) => &weights.lines()[range.clone()],
        }
    }
}

/// Values that predicting reads as they are: tables, norms' weights.
#[derive(Clone, Debug)]
pub(in crate::nn) struct Values {
    lines: Lines,
    count: usize,
}

impl Values {
    /// Bytes of memory of their own.
    pub fn own_bytes(&self) -> usize {
        self.lines.own_bytes()
    }
}

impl Deref for Values {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.count]
    }
}

/// Gives layers the memory for their packed weights.
pub struct Packer<'a> {
    memory: Memory<'a>,
    parameters: &'a [f32],
    pace: Pace<'a>,
    /// The parameters of the node whose turn it is.
    own: Range<usize>,
    /// Lines given out so far.
    lines: usize,
    /// Whether there were as many.
    complete: bool,
}

/// Bytes that are handed out to be kept at a time: a whole number of lines.
const PIECE: usize = 1 << 20;

/// Receives packed weights piece by piece.
pub type Keep<'a> = &'a mut dyn FnMut(&[u8]);

enum Memory<'a> {
    /// Each piece its own, and handed out to be kept.
    Own(Option<Keep<'a>>),
    Shared(SharedWeights),
}

impl<'a> Packer<'a> {
    /// Packs a network's parameters; what is packed goes to `keep`, too, if that is given.
    pub fn new(parameters: &'a [f32], keep: Option<Keep<'a>>) -> Self {
        Self {
            memory: Memory::Own(keep),
            parameters,
            pace: Pace::endless(),
            own: 0..parameters.len(),
            lines: 0,
            complete: true,
        }
    }

    /// Lets packing end early, with whatever weights, once `stop` is set.
    #[must_use]
    pub fn until(mut self, stop: &'a dyn Stop) -> Self {
        self.pace = Pace::new(stop);
        self
    }

    /// Asked whether to go on.
    pub(in crate::nn) fn stop(&self) -> &'a dyn Stop {
        self.pace.stop()
    }

    /// Whether it is to end: what was given out then is worth nothing.
    pub(in crate::nn) fn is_stopped(&self) -> bool {
        self.pace.is_stopped()
    }

    /// Gives out again what was packed.
    pub fn shared(weights: SharedWeights) -> Self {
        Self {
            memory: Memory::Shared(weights),
            parameters: &[],
            pace: Pace::endless(),
            own: 0..0,
            lines: 0,
            complete: true,
        }
    }

    /// From now on, functions that fill are given these parameters.
    pub(in crate::nn) fn node(&mut self, parameters: Range<usize>) {
        self.own = parameters;
    }

    /// Lines, zero until `fill` writes them from the node's parameters.
    pub(in crate::nn) fn lines(
        &mut self,
        count: usize,
        fill: impl FnOnce(&[f32], &mut [Line]),
    ) -> Lines {
        let range = self.lines..self.lines + count;
        self.lines = range.end;
        let keep = match &mut self.memory {
            Memory::Shared(weights) => {
                if range.end <= weights.lines().len() {
                    return Lines::Shared(weights.clone(), range);
                }
                // Whoever packs a network finds out at the end.
                self.complete = false;
                return Lines::Own(vec![ZEROS; count].into());
            }
            Memory::Own(keep) => keep,
        };
        let mut memory = vec![ZEROS; count].into_boxed_slice();
        if self.pace.spend_values(count * LANES / 4) {
            return Lines::Own(memory);
        }
        fill(&self.parameters[self.own.clone()], &mut memory);
        if let Some(keep) = keep {
            for piece in bytemuck::cast_slice(&memory).chunks(PIECE) {
                if self.pace.spend_values(piece.len()) {
                    break;
                }
                keep(piece);
            }
        }
        Lines::Own(memory)
    }

    /// Values, zero until `fill` writes them from the node's parameters.
    pub(in crate::nn) fn values(
        &mut self,
        count: usize,
        fill: impl FnOnce(&[f32], &mut [f32]),
    ) -> Values {
        let lines = self.lines(count.div_ceil(LANES), |own, lines| {
            fill(own, &mut bytemuck::cast_slice_mut(lines)[..count]);
        });
        Values { lines, count }
    }

    /// Number of the node's parameters.
    pub(in crate::nn) fn parameter_count(&self) -> usize {
        self.own.len()
    }

    /// All of the node's parameters as they are.
    pub(in crate::nn) fn copy_all(&mut self) -> Values {
        self.copy(0..self.parameter_count())
    }

    /// A part of the node's parameters as it is.
    pub(in crate::nn) fn copy(&mut self, range: Range<usize>) -> Values {
        self.values(range.len(), |own, values| {
            values.copy_from_slice(&own[range]);
        })
    }

    /// Bytes given out so far.
    pub(in crate::nn) fn size_bytes(&self) -> usize {
        self.lines * size_of::<Line>()
    }

    /// The block that was given out, if one was; an error where it is not this network's.
    pub(in crate::nn) fn finish(self) -> Result<Option<SharedWeights>, Error> {
        match self.memory {
            Memory::Own(_) => Ok(None),
            Memory::Shared(weights) => {
                let (expected, given) = (self.lines, weights.lines().len());
                match self.complete && expected == given {
                    true => Ok(Some(weights)),
                    false => Err(Error::PackedWeights { expected, given }),
                }
            }
        }
    }
}
