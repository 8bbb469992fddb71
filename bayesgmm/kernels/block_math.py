"""Vectorised arithmetic on one block of rows: exponentials, logarithms, uniforms, whitening, weighted sums of squares.

numba has no vector mathematics library here, so `exp` and `log` are range-reduced polynomials that the compiler
can vectorise. These are the inner loops of `kernels.row_pass` and `kernels.allocation`.
"""

from __future__ import annotations

import numpy as np

from bayesgmm.kernels.compiled import compiled

__all__ = ["BLOCK", "FAST", "accumulate", "exp_block", "log_block", "take_from_span", "uniform_block", "whiten"]

BLOCK = 256  # rows at a time
# Not full fastmath: infinities and NaN must keep their meaning.
FAST = {"contract", "reassoc", "nsz", "arcp"}

_LOG2E = 1.4426950408889634
_LN2_HI = 6.93147180369123816490e-01
_LN2_LO = 1.90821492927058770002e-10
# Adding this constant rounds to an integer and leaves that integer, plus the exponent bias, in the low bits.
_ROUND = 6755399441055744.0
_ROUND_BIASED = _ROUND + 1023.0
_EXP_MIN = -708.0
_MANTISSA = (1 << 52) - 1
_ONE_BITS = 1023 << 52
# SplitMix64 (Steele, Lea and Flood 2014).
_GOLDEN, _MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S12, _S27, _S30, _S31 = np.uint64(12), np.uint64(27), np.uint64(30), np.uint64(31)
_ONE_BITS_U = np.uint64(_ONE_BITS)


@compiled(fastmath={"contract"})
def exp_block(values, buffer, bits, n):
    """Replace values[:n] (all <= 0) by their exponentials; relative error 3e-16, zero below -708."""
    for b in range(n):
        x = max(values[b], _EXP_MIN)
        t = x * _LOG2E + _ROUND_BIASED
        buffer[b] = t
        whole = t - _ROUND_BIASED
        r = (x - whole * _LN2_HI) - whole * _LN2_LO
        p = 1.0 / 479001600.0
        p = p * r + 1.0 / 39916800.0
        p = p * r + 1.0 / 3628800.0
        p = p * r + 1.0 / 362880.0
        p = p * r + 1.0 / 40320.0
        p = p * r + 1.0 / 5040.0
        p = p * r + 1.0 / 720.0
        p = p * r + 1.0 / 120.0
        p = p * r + 1.0 / 24.0
        p = p * r + 1.0 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        p = p * r + 1.0
        values[b] = p if values[b] >= _EXP_MIN else (0.0 if values[b] < _EXP_MIN else values[b])
    for b in range(n):
        bits[b] = bits[b] << 52
    for b in range(n):
        values[b] *= buffer[b]


@compiled(fastmath={"contract"})
def log_block(values, out, buffer, bits, n):
    """out[:n] = log(values[:n]) for finite values >= 1 (NaN stays NaN)."""
    for b in range(n):
        buffer[b] = values[b]
    for b in range(n):
        mantissa = (bits[b] & _MANTISSA) | _ONE_BITS
        out[b] = float(bits[b] >> 52) - 1023.0
        bits[b] = mantissa
    for b in range(n):
        m = buffer[b]
        e = out[b]
        high = m > 1.4142135623730951
        m = 0.5 * m if high else m
        e = e + 1.0 if high else e
        f = (m - 1.0) / (m + 1.0)
        g = f * f
        p = 1.0 / 23.0
        p = p * g + 1.0 / 21.0
        p = p * g + 1.0 / 19.0
        p = p * g + 1.0 / 17.0
        p = p * g + 1.0 / 15.0
        p = p * g + 1.0 / 13.0
        p = p * g + 1.0 / 11.0
        p = p * g + 1.0 / 9.0
        p = p * g + 1.0 / 7.0
        p = p * g + 1.0 / 5.0
        p = p * g + 1.0 / 3.0
        out[b] = e * _LN2_HI + (2.0 * f + (2.0 * f * g * p + e * _LN2_LO)) + 0.0 * values[b]


@compiled
def uniform_block(key, start, out, bits, n):
    """out[:n] = uniforms start..start+n in [0, 1) of the 64-bit `key`; `bits` is out seen as unsigned integers."""
    first = key + np.uint64(start) * _GOLDEN
    for b in range(n):
        x = first + np.uint64(b) * _GOLDEN
        x = (x ^ (x >> _S30)) * _MIX_1
        x = (x ^ (x >> _S27)) * _MIX_2
        bits[b] = ((x ^ (x >> _S31)) >> _S12) | _ONE_BITS_U
    for b in range(n):
        out[b] -= 1.0


@compiled(fastmath=FAST)
def whiten(features, start, n, mean, scale, diagonal, centred, y, quadratic):
    """y = scale (x - mean) for rows start..start+n, and the squared norm of y."""
    n_features = features.shape[0]
    for b in range(n):
        quadratic[b] = 0.0
    if diagonal:
        for d in range(n_features):
            x, m, s, yd = features[d], mean[d], scale[d, d], y[d]
            for b in range(n):
                v = s * (x[start + b] - m)
                yd[b] = v
                quadratic[b] += v * v
        return
    for d in range(n_features):
        x, m, c = features[d], mean[d], centred[d]
        for b in range(n):
            c[b] = x[start + b] - m
    for d in range(n_features):
        yd = y[d]
        # Four columns at a time: one store for four multiply-adds.
        e = (d + 1) % 4
        if e == 0:
            e = 4
            s0, s1, s2, s3 = scale[d, 0], scale[d, 1], scale[d, 2], scale[d, 3]
            c0, c1, c2, c3 = centred[0], centred[1], centred[2], centred[3]
            for b in range(n):
                yd[b] = s0 * c0[b] + s1 * c1[b] + s2 * c2[b] + s3 * c3[b]
        elif e == 1:
            s0, c0 = scale[d, 0], centred[0]
            for b in range(n):
                yd[b] = s0 * c0[b]
        elif e == 2:
            s0, s1, c0, c1 = scale[d, 0], scale[d, 1], centred[0], centred[1]
            for b in range(n):
                yd[b] = s0 * c0[b] + s1 * c1[b]
        else:
            s0, s1, s2 = scale[d, 0], scale[d, 1], scale[d, 2]
            c0, c1, c2 = centred[0], centred[1], centred[2]
            for b in range(n):
                yd[b] = s0 * c0[b] + s1 * c1[b] + s2 * c2[b]
        while e <= d:
            s0, s1, s2, s3 = scale[d, e], scale[d, e + 1], scale[d, e + 2], scale[d, e + 3]
            c0, c1, c2, c3 = centred[e], centred[e + 1], centred[e + 2], centred[e + 3]
            for b in range(n):
                yd[b] += s0 * c0[b] + s1 * c1[b] + s2 * c2[b] + s3 * c3[b]
            e += 4
        for b in range(n):
            quadratic[b] += yd[b] * yd[b]


@compiled(fastmath=FAST)
def take_from_span(basis, n, along, y, quadratic):
    """Take from the columns of y (D, block) what lies in the span of the orthonormal rows of `basis` (M, D); squared
    norms anew."""
    m, n_features = basis.shape
    for a in range(m):
        for b in range(n):
            along[b] = 0.0
        for d in range(n_features):
            q, yd = basis[a, d], y[d]
            for b in range(n):
                along[b] += q * yd[b]
        for d in range(n_features):
            q, yd = basis[a, d], y[d]
            for b in range(n):
                yd[b] -= q * along[b]
    for b in range(n):
        quadratic[b] = 0.0
    for d in range(n_features):
        yd = y[d]
        for b in range(n):
            quadratic[b] += yd[b] * yd[b]


@compiled(fastmath=FAST)
def accumulate(y, r, n, diagonal, weighted, total, outer):
    """Add sum r y to total and sum r y y' (lower triangle; the diagonal alone if diagonal) to outer."""
    n_features = y.shape[0]
    for d in range(n_features):
        yd, wd = y[d], weighted[d]
        acc = 0.0
        square = 0.0
        for b in range(n):
            v = r[b] * yd[b]
            wd[b] = v
            acc += v
            square += v * yd[b]
        total[d] += acc
        outer[d, d] += square
    if diagonal:
        return
    # Tiles of two rows by four columns: six loads for eight multiply-adds.
    for d in range(1, n_features, 2):
        last = d + 1 == n_features
        w0 = weighted[d]
        w1 = w0 if last else weighted[d + 1]
        e = 0
        while e + 4 <= d:
            y0, y1, y2, y3 = y[e], y[e + 1], y[e + 2], y[e + 3]
            a0 = a1 = a2 = a3 = c0 = c1 = c2 = c3 = 0.0
            for b in range(n):
                a0 += w0[b] * y0[b]
                a1 += w0[b] * y1[b]
                a2 += w0[b] * y2[b]
                a3 += w0[b] * y3[b]
                c0 += w1[b] * y0[b]
                c1 += w1[b] * y1[b]
                c2 += w1[b] * y2[b]
                c3 += w1[b] * y3[b]
            outer[d, e] += a0
            outer[d, e + 1] += a1
            outer[d, e + 2] += a2
            outer[d, e + 3] += a3
            if not last:
                outer[d + 1, e] += c0
                outer[d + 1, e + 1] += c1
                outer[d + 1, e + 2] += c2
                outer[d + 1, e + 3] += c3
            e += 4
        while e < d:
            y0 = y[e]
            a0 = c0 = 0.0
            for b in range(n):
                a0 += w0[b] * y0[b]
                c0 += w1[b] * y0[b]
            outer[d, e] += a0
            if not last:
                outer[d + 1, e] += c0
            e += 1
        if not last:
            y0 = y[d]
            c0 = 0.0
            for b in range(n):
                c0 += w1[b] * y0[b]
            outer[d + 1, d] += c0
