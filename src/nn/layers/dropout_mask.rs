//! Dropout told from a value's place alone, so that the backward pass finds the same values dropped
//! without anything having been kept.

use crate::nn::base::random::Random;

/// Which values are dropped, and what the others are multiplied by.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn) struct DropoutMask {
    key: [u32; 2],
    /// The first place, for parts of what the mask covers.
    first: u32,
    bound: u32,
    scale: f32,
}

impl DropoutMask {
    /// Numbers that [`DropoutMask::draw`] keeps.
    pub const KEPT: usize = 2;

    /// A mask that drops each value with probability `rate`, noted in `kept`; none where nothing
    /// is to be dropped.
    pub fn draw(rate: f32, random: Option<&mut Random>, kept: &mut [f32]) -> Option<Self> {
        let drawn = match random {
            Some(random) if rate > 0.0 => [random.next_u32() | 1, random.next_u32()],
            _ => [0, 0],
        };
        for (kept, drawn) in kept.iter_mut().zip(drawn) {
            *kept = f32::from_bits(drawn);
        }
        Self::restore(rate, kept)
    }

    /// The mask that was noted.
    pub fn restore(rate: f32, kept: &[f32]) -> Option<Self> {
        let key = [kept[0].to_bits(), kept[1].to_bits()];
        // A key that was drawn is odd.
        (key[0] != 0).then(|| Self {
            key,
            first: 0,
            bound: (f64::from(rate) * 4_294_967_296.0) as u32,
            scale: 1.0 / (1.0 - rate),
        })
    }

    /// The mask from this place on.
    pub fn from(mut self, place: usize) -> Self {
        self.first = self.first.wrapping_add(place as u32);
        self
    }

    /// What the value at a place is multiplied by: 0 or 1 / (1 - rate).
    #[inline(always)]
    pub fn factor(&self, place: usize) -> f32 {
        let place = self.first.wrapping_add(place as u32);
        let bits = mixed(mixed(place.wrapping_add(self.key[0])) ^ self.key[1]);
        if bits < self.bound { 0.0 } else { self.scale }
    }
}

/// A permutation of 32 bits in which each bit depends on all; the constants are those that Wellons'
/// "hash prospector" found to leave the least bias.
#[inline(always)]
fn mixed(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x21f0_aaad);
    x ^= x >> 15;
    x = x.wrapping_mul(0xd35a_2d97);
    x ^ (x >> 15)
}
