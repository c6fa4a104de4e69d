//! Sums over a row with a fixed order, so that their bits are the same on every processor.
//!
//! Value i goes to lane i mod 16 and the lanes are halved; of a long row, blocks are added up in
//! double precision. To be inlined into a [`Task`](super::processor::Task).

/// Lanes of the sums.
const LANES: usize = 16;
/// Values whose sum is taken in single precision.
const BLOCK: usize = 1024;

/// The sum of `f` of each value.
#[inline(always)]
pub(in crate::nn) fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for x in x.chunks(BLOCK) {
        let mut lanes = [0.0; LANES];
        let (blocks, rest) = x.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                lanes[i] += f(block[i]);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane += f(x);
        }
        total += halved(lanes);
    }
    total
}

/// The sum of `f` of each pair of values of two rows of the same length.
#[inline(always)]
pub(in crate::nn) fn sum_of_pairs(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    let mut total = 0.0;
    for (x, y) in x.chunks(BLOCK).zip(y.chunks(BLOCK)) {
        let mut lanes = [0.0; LANES];
        let (x, x_rest) = x.as_chunks::<LANES>();
        let (y, y_rest) = y.as_chunks::<LANES>();
        for (x, y) in x.iter().zip(y) {
            for i in 0..LANES {
                lanes[i] += f(x[i], y[i]);
            }
        }
        for (lane, (&x, &y)) in lanes.iter_mut().zip(x_rest.iter().zip(y_rest)) {
            *lane += f(x, y);
        }
        total += halved(lanes);
    }
    total
}

/// Sums that are taken at the same time, so that one addition need not wait for the other.
const WIDE: usize = 4 * LANES;

/// The sum of `f` of each value, in another order than [`sum`]: value i goes to lane i mod 64. To be
/// taken of planes that are shorter than some thousand values.
#[inline(always)]
pub(in crate::nn) fn wide_sum(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut lanes = [0.0; WIDE];
    let (blocks, rest) = x.as_chunks::<WIDE>();
    for block in blocks {
        for i in 0..WIDE {
            lanes[i] += f(block[i]);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += f(x);
    }
    narrowed(lanes)
}

/// The sum of each value of `x`, and that of `f` of each pair of values of `x` and `y`, as
/// [`wide_sum`].
#[inline(always)]
pub(in crate::nn) fn wide_sums(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> (f64, f64) {
    let (mut plain, mut of_pairs) = ([0.0; WIDE], [0.0; WIDE]);
    let (x, x_rest) = x.as_chunks::<WIDE>();
    let (y, y_rest) = y.as_chunks::<WIDE>();
    for (x, y) in x.iter().zip(y) {
        for i in 0..WIDE {
            plain[i] += x[i];
            of_pairs[i] += f(x[i], y[i]);
        }
    }
    let lanes = plain.iter_mut().zip(&mut of_pairs);
    for ((plain, of_pairs), (&x, &y)) in lanes.zip(x_rest.iter().zip(y_rest)) {
        *plain += x;
        *of_pairs += f(x, y);
    }
    (narrowed(plain), narrowed(of_pairs))
}

#[inline(always)]
fn narrowed(lanes: [f32; WIDE]) -> f64 {
    let mut sums = [0.0; LANES];
    for (i, sum) in sums.iter_mut().enumerate() {
        *sum = (lanes[i] + lanes[i + 2 * LANES]) + (lanes[i + LANES] + lanes[i + 3 * LANES]);
    }
    halved(sums)
}

#[inline(always)]
fn halved(mut lanes: [f32; LANES]) -> f64 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    f64::from(lanes[0])
}
