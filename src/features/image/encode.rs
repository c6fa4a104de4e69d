//! Images to network inputs.

use crate::features::column::Column;
use crate::features::error::Error;
use crate::features::rows::arrays::Real;
use crate::features::scales::clip::LIMIT;
use crate::features::treatment::{Encodes, Strip, other_shape};
use crate::nn::processor::{Processor, Task};

/// Encodes the images of one feature.
#[derive(Clone, Debug)]
pub(in crate::features) struct ImageEncoder(Box<Plan>);

#[derive(Clone, Debug)]
struct Plan {
    column: Box<str>,
    lines: Box<[Line]>,
}

/// Of one channel what its values are multiplied by, and what is added.
pub(super) type Line = (f64, f64);

impl ImageEncoder {
    pub fn new(column: &Column, lines: Box<[Line]>) -> ImageEncoder {
        ImageEncoder(Box::new(Plan {
            column: column.name.as_str().into(),
            lines,
        }))
    }
}

impl Encodes for ImageEncoder {
    fn array<T: Real>(&self, array: &[T], inputs: &mut [f32]) -> Result<(), Error> {
        let lines = &self.0.lines;
        if array.len() != inputs.len() {
            return Err(other_shape(&self.0.column));
        }
        let area = (inputs.len() / lines.len().max(1)).max(1);
        let planes = array.chunks_exact(area).zip(inputs.chunks_exact_mut(area));
        for ((from, to), &(factor, offset)) in planes.zip(lines) {
            Processor::detect().run(EncodePlane {
                from,
                to,
                factor,
                offset,
            });
        }
        Ok(())
    }

    fn strip(&self, strip: Strip<'_>) -> Result<(), Error> {
        strip.each_array(self)
    }

    fn size_bytes(&self) -> usize {
        size_of_val::<[Line]>(&self.0.lines)
    }
}

/// One channel of an image.
struct EncodePlane<'a, T> {
    from: &'a [T],
    to: &'a mut [f32],
    factor: f64,
    offset: f64,
}

impl<T: Real> Task for EncodePlane<'_, T> {
    #[inline(always)]
    fn run(self) {
        let limit = f64::from(LIMIT);
        for (x, &value) in self.to.iter_mut().zip(self.from) {
            *x = (value.double() * self.factor + self.offset).clamp(-limit, limit) as f32;
        }
    }
}
