"""Makes the polynomials of src/nn/kernels/math.rs: near-minimax fits of the exact functions.

Needs numpy and mpmath. Prints each polynomial's largest weighted error and its coefficients in
f32, the lowest first.
"""

import mpmath as mp
import numpy as np

mp.mp.dps = 40


def fit(name, function, low, high, degree, weight):
    """Least squares on Chebyshev points, reweighted until the errors are level (Lawson)."""
    n = 4001
    x = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(n) + 0.5) / n)
    y = np.array([float(function(mp.mpf(float(v)))) for v in x])
    w = np.array([float(weight(v)) for v in x])
    powers = np.polynomial.polynomial.polyvander(x, degree)
    level, best = np.ones(n), (np.inf, None)
    for _ in range(200):
        s = np.sqrt(level) * w
        c = np.linalg.lstsq(powers * s[:, None], y * s, rcond=None)[0]
        error = np.abs((powers @ c - y) * w)
        best = min(best, (error.max(), c), key=lambda b: b[0])
        level *= error / error.max() + 1e-3
        level /= level.sum()
    print(f"{name}: {best[0]:.1e}", [str(np.float32(v)) for v in best[1]])


half_ln_2 = float(mp.log(2)) / 2 * 1.01
# e^r - 1 = r + r^2 q(r), error relative to r
fit("exp", lambda r: (mp.exp(r) - 1 - r) / r**2 if r else mp.mpf(1) / 2,
    -half_ln_2, half_ln_2, 5, abs)
# 2 artanh(s) = 2 s + s z p(z) with z = s^2
fit("ln_1p", lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z, 0, 1 / 9, 4, lambda z: z)
# erf(x) = x + x p(x^2)
fit("erf near", lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, 0, 0.93**2, 5, lambda z: 1)
# -ln erfc(t) = t + t p(t), the error weighted by its effect on erf
fit("erf far", lambda t: -mp.log(mp.erfc(t)) / t - 1, 0.92, 4.0, 5, lambda t: mp.erfc(t) * t)
# sin(2 pi s) = s p(s^2), a quarter of a turn to either side
fit("sine", lambda z: mp.sin(2 * mp.pi * mp.sqrt(z)) / mp.sqrt(z) if z else 2 * mp.pi,
    0, 1 / 16, 5, lambda z: 1)
