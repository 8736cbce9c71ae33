"""The distortion filters of BSS Eval: least squares on all stems, delayed by up to 511 samples.

Vincent, Gribonval and Févotte, "Performance Measurement in Blind Audio Source Separation" (2006);
with several channels, Vincent, Sawada, Bofill, Makino and Rosca (2007). An estimate is projected on
the span of the reference channels and their delays. The normal equations need correlations at few
lags only, so these are added up over short blocks instead of transforming whole songs.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.fft
import scipy.linalg
from numpy.typing import NDArray

TAPS = 512
BLOCK = 8192  # samples of a transform
BLOCKS = 16  # at a time
BINS = 256  # at a time: what is worked on stays in the cache
RIDGES = (0, 1e-14, 1e-13, 1e-12)  # of the largest on the diagonal, until it is definite
EPSILON = float(np.finfo(np.float64).eps)  # on the diagonal, as museval has it

Array = NDArray[Any]


def correlations(references: Array, others: Array, threads: int = 1) -> Array:
    """Sums over time of `references[i, t] * others[j, t + lag]`.

    Args:
        references: `[I, T]`, float64.
        others: `[J, T]`.
        threads: that share the blocks.

    Returns:
        `[I, J, 2 * TAPS - 1]`, for the lags from -(TAPS - 1) to TAPS - 1.
    """

    def share(first: int) -> Array:
        """Of every so many-th group of blocks."""
        total = np.zeros((BLOCK // 2 + 1, len(references), len(others)), np.complex128)
        for start in range(first * group, references.shape[-1], threads * group):
            heard = _stretch(references, start, group).reshape(len(references), BLOCKS, step)
            around = _stretch(others, start - reach, group + 2 * reach)
            blocks = np.lib.stride_tricks.sliding_window_view(around, BLOCK, axis=-1)[:, ::step]
            _add_products(total, scipy.fft.rfft(heard, BLOCK), scipy.fft.rfft(blocks, BLOCK))
        return total

    reach = TAPS - 1
    step = BLOCK - 2 * reach
    group = BLOCKS * step
    with ThreadPoolExecutor(threads) as pool:
        total = sum(pool.map(share, range(threads)))
    correlation: Array = scipy.fft.irfft(total, BLOCK, axis=0)[: 2 * reach + 1]
    by_pair: Array = correlation.transpose(1, 2, 0)
    return by_pair


def _add_products(total: Array, ones: Array, others: Array) -> None:
    """Adds to `[F, I, J]` what `conj([I, N, F])` and `[J, N, F]` make, summed over N."""
    for low in range(0, len(total), BINS):
        bins = slice(low, low + BINS)
        left = ones[:, :, bins].transpose(2, 0, 1).conj().copy()
        right = others[:, :, bins].transpose(2, 0, 1).copy()
        total[bins] += left @ right.transpose(0, 2, 1)


def _stretch(signals: Array, start: int, size: int) -> Array:
    """`signals[:, start : start + size]`, with zeros where there is nothing."""
    part = signals[:, max(start, 0) : start + size]
    before = max(-start, 0)
    if part.shape[-1] == size:
        return part
    return np.pad(part, ((0, 0), (before, size - before - part.shape[-1])))


def normal_matrix(auto: Array) -> Array:
    """`[I * TAPS, I * TAPS]` of the products of delayed references, from their correlations.

    Entry ((i, k), (j, l)) is the product of reference i delayed by k and reference j delayed by l,
    which is their correlation at the lag k - l.
    """
    size = len(auto)
    matrix: Array = np.empty((size, TAPS, size, TAPS))
    # Row k of a pair's block is its correlation from the lag k down: windows of the reversed one.
    rows = np.lib.stride_tricks.sliding_window_view(auto[:, :, ::-1], TAPS, axis=-1)[:, :, ::-1]
    for first, others in enumerate(rows):
        matrix[first] = others.transpose(1, 0, 2)
    matrix = matrix.reshape(size * TAPS, size * TAPS)
    matrix[np.diag_indices(len(matrix))] += EPSILON
    return matrix


def solve(matrix: Array, right: Array) -> Array:
    """The solution `[N, R]` of the normal equations, for `right` `[N, R]`.

    By Cholesky's method. Where the matrix is singular (a mono stem in two channels, twice the same
    stem, bands without any sound) many filters give the same projection, and elimination any of
    them, with numbers so large that the projection itself is lost. There, as little as rounding
    leaves is added to the diagonal: of all filters it takes small ones.
    """
    largest = float(matrix.diagonal().max())
    for share in RIDGES:
        try:
            moved = matrix
            if share:
                moved = matrix.copy()
                moved[np.diag_indices(len(moved))] += share * largest
            factor = scipy.linalg.cho_factor(moved.T, check_finite=False)  # .T: symmetric, no copy
            taps: Array = scipy.linalg.cho_solve(factor, right, check_finite=False)
            return taps
        except np.linalg.LinAlgError:
            continue
    return np.linalg.lstsq(matrix, right, rcond=None)[0]


def distortion_filters(
    references: Array, estimates: Array, threads: int = 1
) -> tuple[Array, Array]:
    """The filters that bring the references nearest to each estimate.

    Args:
        references, estimates: `[S, C, T]`, float64.
        threads: for the correlations.

    Returns:
        `[S, C, S, C, TAPS]`: from all references (third and fourth axis) to each channel of each
        estimate; and `[S, C, C, TAPS]`: from its own reference's channels alone.
    """
    stems, channels, frames = references.shape
    rows = references.reshape(stems * channels, frames)
    both = np.concatenate([rows, estimates.reshape(stems * channels, frames)])
    correlated = correlations(rows, both, threads)
    auto, cross = np.split(correlated, 2, axis=1)
    # A filter's tap k multiplies the reference k samples earlier: only lags of 0 and more.
    right = cross[:, :, TAPS - 1 :].transpose(0, 2, 1).reshape(len(rows) * TAPS, len(rows))
    matrix = normal_matrix(auto)
    shape = (stems, channels, TAPS, stems, channels)
    everything = solve(matrix, right).reshape(shape).transpose(3, 4, 0, 1, 2)
    own = []
    width = channels * TAPS
    for stem in range(stems):
        part = slice(stem * width, (stem + 1) * width)
        columns = slice(stem * channels, (stem + 1) * channels)
        alone = solve(matrix[part, part], right[part, columns])
        own.append(alone.reshape(channels, TAPS, channels).transpose(2, 0, 1))
    return everything, np.stack(own)
