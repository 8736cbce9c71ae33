"""Levels of the stems, the limiter of the mixture, and 16-bit rounding."""

import numpy as np
from scipy import ndimage

from demucs.demo_songs import ranges
from demucs.demo_songs.tones import Wave, decibels

FULL_SCALE = 32768  # of 16-bit samples
STEM_PEAK = 0.999  # of a stem by itself
_BLOCK = 4096  # samples over which a level is measured
_LIMITER_SECONDS = 0.012


def active_rms(wave: Wave) -> float:
    """RMS of `[C, T]` over the blocks that are within 35 dB of the loudest; 0 for silence."""
    power = np.mean(wave**2, axis=0)
    edges = np.arange(0, len(power), _BLOCK)
    blocks = np.add.reduceat(power, edges, dtype=np.float64) / np.diff(np.append(edges, len(power)))
    loud = blocks[blocks > blocks.max() * 10.0**-3.5]
    return float(np.sqrt(loud.mean())) if len(loud) else 0.0


def balance(rng: np.random.Generator, stems: dict[str, Wave]) -> dict[str, Wave]:
    """Scales the stems `[C, T]` to levels drawn around `ranges.STEM_LEVEL_DB`."""
    scaled = {}
    for name, wave in stems.items():
        spread = rng.uniform(-ranges.STEM_SPREAD_DB, ranges.STEM_SPREAD_DB)
        level = decibels(ranges.STEM_LEVEL_DB[name] + spread)
        scaled[name] = wave * np.float32(level / max(active_rms(wave), 1e-9))
    return scaled


def master(rng: np.random.Generator, stems: dict[str, Wave], samplerate: int) -> dict[str, Wave]:
    """Brings the sum of the stems to a drawn RMS below a peak.

    The limiter's gain is computed on the sum (and on stems above full scale) and applied to every
    stem alike, so the stems still add up to the mixture.
    """
    mixture = np.sum(list(stems.values()), axis=0)
    ceiling = decibels(ranges.PEAK_DB)
    target = decibels(float(rng.uniform(*ranges.MASTER_RMS_DB)))
    peak = np.max(np.abs(mixture), axis=0)
    highest = ceiling * decibels(ranges.MAX_LIMITING_DB) / max(float(peak.max()), 1e-9)
    gain = min(target / max(active_rms(mixture), 1e-9), highest)
    needed = np.minimum(1.0, ceiling / np.maximum(peak * gain, 1e-9))
    for wave in stems.values():  # a stem's own peak may be higher, where others cancel it
        alone = np.max(np.abs(wave), axis=0)
        needed = np.minimum(needed, STEM_PEAK / np.maximum(alone * gain, 1e-9))
    width = 2 * max(1, int(_LIMITER_SECONDS * samplerate / 2)) + 1
    lowest = ndimage.minimum_filter1d(needed, width, mode="nearest")
    # An average of minima over the same window is never above what a sample needs.
    smooth = ndimage.uniform_filter1d(lowest, width, mode="nearest", output=np.float64)
    curve = (gain * smooth).astype(np.float32)
    return {name: wave * curve for name, wave in stems.items()}


def quantize(stems: dict[str, Wave]) -> dict[str, Wave]:
    """Rounds stems to multiples of 1/32768 and adds their exact sum as `mixture`."""
    integers = {name: np.rint(wave * FULL_SCALE).astype(np.int32) for name, wave in stems.items()}
    total = np.sum(list(integers.values()), axis=0)
    rounded = {"mixture": total, **integers}
    peak = max(int(np.abs(wave).max(initial=0)) for wave in rounded.values())
    assert peak < FULL_SCALE, "the limiter left a peak"
    return {name: (wave / FULL_SCALE).astype(np.float32) for name, wave in rounded.items()}
