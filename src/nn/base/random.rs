//! The one source of random numbers: ChaCha8, with conversions of our own.
//!
//! A model must be reproducible from its seed for as long as it is kept, so nothing here depends
//! on the conversions of the `rand` crate, which may change between its versions, nor on the
//! platform's mathematics library. Independent uses of one seed take different streams.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Where the streams of each use begin. A use may count up from its own start; 2^56 fit.
pub mod stream {
    /// Initial weights: one stream for a whole network.
    pub const INITIALISE: u64 = 1 << 56;
    /// Which rows are held out for validation.
    pub const SPLIT: u64 = 2 << 56;
    /// The order of the rows: one stream an epoch.
    pub const ORDER: u64 = 3 << 56;
    /// Dropout: one stream a shard of a training step.
    pub const DROPOUT: u64 = 4 << 56;
    /// Samples drawn while fitting features.
    pub const SAMPLE: u64 = 5 << 56;
    /// Images varied while training: one stream a shard of a training step.
    pub const AUGMENT: u64 = 6 << 56;
    /// Rows mixed for a network that learns from others: one stream a row.
    pub const MIX: u64 = 7 << 56;
}

/// A reproducible sequence of random numbers, a function of seed and stream alone.
#[derive(Clone, Debug)]
pub struct Random {
    generator: ChaCha8Rng,
    /// The second of a pair of normal numbers, which come two at a time.
    spare: Option<f64>,
}

impl Random {
    /// The sequence of this seed and stream. Different streams of one seed are independent.
    pub fn new(seed: u64, stream: u64) -> Random {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..24].copy_from_slice(b"pg_neural random");
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(stream);
        Random {
            generator,
            spare: None,
        }
    }

    /// 32 random bits.
    #[inline]
    pub fn next_u32(&mut self) -> u32 {
        self.generator.next_u32()
    }

    /// 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// Uniform in [0, 1), a multiple of 2^-24.
    #[inline]
    pub fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    #[inline]
    pub fn uniform_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in 0..n, without bias; 0 when `n` is 0.
    ///
    /// Lemire, "Fast Random Integer Generation in an Interval" (2019).
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        if (product as u64) < n {
            let rejected = n.wrapping_neg() % n;
            while (product as u64) < rejected {
                product = u128::from(self.next_u64()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }

    /// Uniform in 0..n, without bias; 0 when `n` is 0. Takes half the random bits of
    /// [`Self::below`].
    #[inline]
    pub fn below_u32(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        let mut product = u64::from(self.next_u32()) * u64::from(n);
        if (product as u32) < n {
            let rejected = n.wrapping_neg() % n;
            while (product as u32) < rejected {
                product = u64::from(self.next_u32()) * u64::from(n);
            }
        }
        (product >> 32) as u32
    }

    /// Normal with mean 0 and standard deviation 1, by Marsaglia's polar method.
    pub fn normal_f32(&mut self) -> f32 {
        if let Some(spare) = self.spare.take() {
            return spare as f32;
        }
        loop {
            let u = 2.0 * self.uniform_f64() - 1.0;
            let v = 2.0 * self.uniform_f64() - 1.0;
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                let factor = (-2.0 * ln(s) / s).sqrt();
                self.spare = Some(v * factor);
                return (u * factor) as f32;
            }
        }
    }

    /// Puts the items in a uniformly random order, of which there must be fewer than 2^32.
    /// Faster than [`Self::shuffle`], and another order.
    pub(crate) fn shuffle_small(&mut self, items: &mut [u32]) {
        for last in (1..items.len()).rev() {
            let other = self.below_u32(last as u32 + 1) as usize;
            items.swap(last, other);
        }
    }

    /// Puts the items in a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// The natural logarithm of a positive normal number, from basic operations only, so that it
/// has the same bits everywhere. Its error is a few units in the last place.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh z with |z| < 0.172; what the series leaves out is below 1e-18.
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let mut sum = 0.0;
    for k in (0..12).rev() {
        sum = sum * square + 1.0 / f64::from(2 * k + 1);
    }
    2.0 * z * sum + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_stream_give_the_same_numbers_for_ever() {
        let mut random = Random::new(42, stream::ORDER);
        assert_eq!(
            [random.next_u64(), random.next_u64()],
            [15_108_751_962_584_621_262, 16_895_036_622_311_321_204]
        );
        assert_eq!(random.below(1000), 175);
        assert_eq!(random.uniform_f32().to_bits(), 1_061_872_656);
        assert_eq!(random.normal_f32().to_bits(), 3_183_581_049);
        let mut items = [0, 1, 2, 3, 4, 5, 6, 7];
        random.shuffle(&mut items);
        assert_eq!(items, [6, 1, 3, 2, 0, 5, 7, 4]);
    }

    #[test]
    fn streams_and_seeds_differ() {
        let first = |seed, stream| Random::new(seed, stream).next_u64();
        assert_ne!(first(1, 0), first(1, 1));
        assert_ne!(first(1, 0), first(2, 0));
        assert_eq!(first(1, 7), first(1, 7));
    }

    #[test]
    fn below_reaches_every_value_about_equally_often() {
        let mut random = Random::new(1, 0);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[random.below(7) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&count| (9_500..10_500).contains(&count)),
            "{counts:?}"
        );
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn normal_numbers_have_their_moments() {
        let mut random = Random::new(3, 0);
        let drawn: Vec<f64> = (0..200_000)
            .map(|_| f64::from(random.normal_f32()))
            .collect();
        let moment = |power| drawn.iter().map(|x| x.powi(power)).sum::<f64>() / drawn.len() as f64;
        assert!(moment(1).abs() < 0.01);
        assert!((moment(2) - 1.0).abs() < 0.015);
        assert!(moment(3).abs() < 0.04);
        assert!((moment(4) - 3.0).abs() < 0.1);
    }

    #[test]
    fn the_logarithm_is_that_of_the_library() {
        for x in [1e-300, 1e-9, 0.1, 0.5, 0.7, 0.99999, 1.0, 1.5, 3.0, 1e200] {
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs(), "{x}");
        }
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<u32> = (0..1000).collect();
        Random::new(9, 9).shuffle(&mut items);
        assert!(items.windows(2).any(|pair| pair[0] > pair[1]));
        items.sort_unstable();
        assert!(items.iter().copied().eq(0..1000));
    }
}
