//! Vectors to network inputs.

use crate::features::column::Column;
use crate::features::error::Error;
use crate::features::rows::arrays::Real;
use crate::features::scales::clip::bend;
use crate::features::scales::lanes::{Lanes, Pairs, Scaling, scaled};
use crate::features::treatment::{Encodes, Strip, other_shape};
use crate::nn::processor::{Processor, Task};

/// Encodes the vectors of one feature.
#[derive(Clone, Debug)]
pub(in crate::features) struct VectorEncoder(Box<Plan>);

#[derive(Clone, Debug)]
struct Plan {
    column: Box<str>,
    lanes: Lanes,
    /// 1 / clip², 0 without a clip.
    bend: f32,
    /// The encoded stand-ins for a missing number and for the two infinities.
    missing: Box<[f32]>,
    low: Box<[f32]>,
    high: Box<[f32]>,
}

impl VectorEncoder {
    /// Of vectors of such numbers, with stand-ins for a missing number and for the two infinities,
    /// the negative one first.
    pub fn new(
        column: &Column,
        lanes: Lanes,
        clip: Option<f64>,
        stand_ins: [&[f64]; 3],
    ) -> VectorEncoder {
        let bend = bend(clip);
        let [missing, low, high] = stand_ins.map(|values| lanes.encoded(values, bend));
        VectorEncoder(Box::new(Plan {
            column: column.name.as_str().into(),
            lanes,
            bend,
            missing,
            low,
            high,
        }))
    }
}

impl Encodes for VectorEncoder {
    fn array<T: Real>(&self, array: &[T], inputs: &mut [f32]) -> Result<(), Error> {
        let plan = &*self.0;
        if array.is_empty() {
            inputs.copy_from_slice(&plan.missing);
            return Ok(());
        }
        if array.len() != inputs.len() {
            return Err(other_shape(&plan.column));
        }
        let (bend, stand_ins) = (
            plan.bend,
            [&plan.missing[..], &plan.low[..], &plan.high[..]],
        );
        match &plan.lanes {
            Lanes::Single(lanes) => Processor::detect().run(EncodeVector {
                array,
                inputs,
                lanes,
                bend,
                stand_ins,
            }),
            Lanes::Double(lanes) => Processor::detect().run(EncodeVector {
                array,
                inputs,
                lanes,
                bend,
                stand_ins,
            }),
        }
        Ok(())
    }

    fn strip(&self, strip: Strip<'_>) -> Result<(), Error> {
        strip.each_array(self)
    }

    fn size_bytes(&self) -> usize {
        self.0.lanes.size_bytes() + 3 * size_of_val::<[f32]>(&self.0.missing)
    }
}

/// The numbers of a vector.
struct EncodeVector<'a, T, P> {
    array: &'a [T],
    inputs: &'a mut [f32],
    lanes: &'a Pairs<P>,
    bend: f32,
    /// For a missing number, and for the two infinities.
    stand_ins: [&'a [f32]; 3],
}

impl<T: Real, P: Scaling> Task for EncodeVector<'_, T, P> {
    #[inline(always)]
    fn run(self) {
        let count = self.inputs.len();
        // Slices of one known length, so that the loop needs no checks.
        let array = &self.array[..count];
        let (center, factor) = (&self.lanes.center[..count], &self.lanes.factor[..count]);
        let [missing, low, high] = self.stand_ins.map(|values| &values[..count]);
        for i in 0..count {
            let value = array[i].double();
            let x = scaled(array[i], center[i], factor[i], self.bend);
            let x = if value == f64::INFINITY { high[i] } else { x };
            let x = if value == f64::NEG_INFINITY {
                low[i]
            } else {
                x
            };
            self.inputs[i] = if value.is_nan() { missing[i] } else { x };
        }
    }
}
