//! Elementary functions in `f32` that give the same bits on every processor.
//!
//! Each is a fixed sequence of additions, multiplications, divisions and fused multiply-adds, all
//! of them correctly rounded by IEEE 754, so that a model answers alike on AVX-512, AVX2, NEON and
//! where `mul_add` is a call into the C library. They are branch-free: inlined into a loop that is
//! compiled for a vector unit (see [`super::processor`]) they become vector code. Outside of such a
//! loop `mul_add` is a slow call on x86-64.
//!
//! Relative errors are below 2e-7 (4e-7 asserted) against exact results; `tests/core/polynomials.py` makes the
//! coefficients. NaN gives NaN, infinities give the limit.

/// Adding it rounds a number of up to 2^22 to an integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has few enough bits for its product with an exponent to be exact.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;

/// A polynomial by Horner's rule, the highest coefficient first.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[0];
    for &c in &coefficients[1..] {
        sum = sum.mul_add(x, c);
    }
    sum
}

/// `x` within bounds; NaN stays NaN.
#[inline(always)]
fn bounded(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

/// 2^n for n in -126..=127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `(e^r - 1, n)` with `x = n ln 2 + r` and `|r| <= ln 2 / 2`.
#[inline(always)]
fn reduced_exp_m1(x: f32) -> (f32, i32) {
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = (-n).mul_add(LN_2_LOW, (-n).mul_add(LN_2_HIGH, x));
    let q = polynomial(
        r,
        [
            1.991_562_3e-4,
            1.394_204_6e-3,
            8.333_27e-3,
            4.166_634_4e-2,
            0.166_666_67,
            0.5,
        ],
    );
    (
        q.mul_add(r * r, r),
        shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32,
    )
}

/// e^x.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (p, n) = reduced_exp_m1(bounded(x, -104.0, 89.0));
    // In two steps: 2^n itself may lie outside of what an f32 can hold.
    let half = n >> 1;
    let scale = power_of_two(half);
    p.mul_add(scale, scale) * power_of_two(n.wrapping_sub(half))
}

/// e^x - 1 without cancellation near 0, for x up to 64 (larger ones count as 64).
#[inline(always)]
pub(in crate::nn) fn exp_m1_bounded(x: f32) -> f32 {
    let (p, n) = reduced_exp_m1(bounded(x, -64.0, 64.0));
    let scale = power_of_two(n);
    p.mul_add(scale, scale - 1.0)
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let e = exp_m1_bounded(2.0 * x.abs());
    (e / (e + 2.0)).copysign(x)
}

/// The logistic function, 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
}

/// ln(1 + x) for x in 0..=1, without cancellation near 0: 2 artanh(x / (2 + x)).
#[inline(always)]
fn ln_1p_unit(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let z = s * s;
    let p = polynomial(
        z,
        [
            0.243_009_34,
            0.214_276_58,
            0.286_168_84,
            0.399_988_77,
            0.666_666_75,
        ],
    );
    (s * z).mul_add(p, 2.0 * s)
}

/// ln(1 + e^x), called softplus.
#[inline(always)]
pub fn ln_1p_exp(x: f32) -> f32 {
    let positive = if x > 0.0 { x } else { 0.0 };
    positive + ln_1p_unit(exp(-x.abs()))
}

/// The cosine of so many turns, cos 2πt. Only the fraction of a turn counts, which beyond 2^21 turns no
/// number tells well: what lies farther out counts as that. The error is below 3e-7, not relative to
/// the result.
#[inline(always)]
pub fn cos_turns(t: f32) -> f32 {
    let t = bounded(t, -2_097_152.0, 2_097_152.0);
    let part = t - ((t + ROUND) - ROUND);
    // The sine of what is left to a quarter of a turn.
    let s = 0.25 - part.abs();
    let p = polynomial(
        s * s,
        [
            -14.394_304,
            42.009_83,
            -76.704_285,
            81.605_225,
            -41.341_7,
            6.283_185_5,
        ],
    );
    s * p
}

/// The error function.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let magnitude = x.abs();
    let z = x * x;
    let near = polynomial(
        z,
        [
            -5.976_896e-4,
            4.990_981e-3,
            -2.676_556_8e-2,
            0.112_818_025,
            -0.376_124_95,
            0.128_379_15,
        ],
    )
    .mul_add(x, x);
    // Farther out -ln erfc is close to a polynomial; beyond 4 the result is 1 in f32.
    let t = if magnitude > 4.0 { 4.0 } else { magnitude };
    let p = polynomial(
        t,
        [
            -2.135_320_8e-4,
            3.211_311_3e-3,
            -2.287_859_1e-2,
            0.105_244_64,
            0.635_730_9,
            0.128_510_76,
        ],
    );
    let far = (1.0 - exp(-p.mul_add(t, t))).copysign(x);
    if magnitude > 0.93 { far } else { near }
}
