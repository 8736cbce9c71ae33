"""The metrics by name: which belong together, their titles, and the definition of every number.

Nothing here computes; the formulas are in `ratios`, `bss_eval`, `spectral` and `perceptual`.
"""

from typing import Any

from numpy.typing import NDArray

EPSILON = 1e-7  # of nSDR

# What one can ask for, and the values that it brings.
GROUPS = {
    "nsdr": ("nsdr",),
    "sdr": ("sdr",),
    "isr": ("isr",),
    "sir": ("sir",),
    "sar": ("sar",),
    "si_sdr": ("si_sdr",),
    "l1_freq": ("l1_freq",),
    "fullness": ("bleedless", "fullness"),
    "log_wmse": ("log_wmse",),
}
METRICS = tuple(GROUPS)
VALUES = tuple(value for group in GROUPS.values() for value in group)
BSS_METRICS = ("sdr", "isr", "sir", "sar")  # only the first needs no distortion filters
TITLES = {
    "nsdr": "nSDR",
    "sdr": "SDR",
    "isr": "ISR",
    "sir": "SIR",
    "sar": "SAR",
    "si_sdr": "SI-SDR",
    "l1_freq": "L1-freq",
    "log_wmse": "log-WMSE",
}

_BSS = (
    "BSS Eval v4, as the museval package defines it (Stöter, Liutkus and Ito, 2018): distortion "
    "filters of 512 taps for the whole track, windows of 1 s without overlap; a track's value is "
    "the median over its windows"
)
DEFINITIONS = {
    "nsdr": (
        "nSDR in dB: 10 log10((sum of s^2 + 1e-7) / (sum of (s - estimate)^2 + 1e-7)), sums over "
        "all samples and channels of the whole track; mean over tracks. The SDR of the Music "
        "Demixing Challenges (Mitsufuji et al., arXiv:2108.13559), called uSDR by BSRNN "
        "(arXiv:2209.15174)"
    ),
    "baseline": "nSDR in dB of the unprocessed mixture taken as the estimate of every stem",
    "sdr": f"signal to distortion ratio in dB, {_BSS}; mean over tracks of these medians",
    "sdr_med": (
        "the same SDR in dB, median over tracks of the medians over windows: what papers report "
        "on MUSDB18 (BSRNN's cSDR)"
    ),
    "isr": "image to spatial distortion ratio in dB, as sdr",
    "sir": "source to interference ratio in dB, as sdr",
    "sar": "source to artefacts ratio in dB, as sdr",
    "si_sdr": (
        "scale-invariant SDR in dB: 10 log10(|a s|^2 / |a s - estimate|^2) with a = <estimate, s> "
        "/ |s|^2, over all samples and channels of the whole track, means not removed; mean over "
        "tracks (Le Roux et al., arXiv:1811.02508)"
    ),
    "l1_freq": (
        "0 to 100, no unit, higher is better: 100 / (1 + 10 d), d the mean absolute difference of "
        "STFT magnitudes (2048 samples, hop 1024, no window, not scaled); mean over tracks (the "
        "L1Freq metric of the Music-Source-Separation-Training project)"
    ),
    "bleedless": (
        "0 to 100, no unit, higher is better: 100 / (1 + d), d the mean of what the estimate has "
        "too much, over the bins of a spectrogram of 512 mel bands in dB (Hann windows of 4096 "
        "samples, hop 1024, at most 80 dB below its peak) where it has too much; mean over tracks "
        "(the same project)"
    ),
    "fullness": "the same of what the estimate has too little, over bins where it has too little",
    "log_wmse": (
        "-4 log(mean square of the error, weighted by the ear's sensitivity, relative to the "
        "mixture's, errors below -68 dB left out), no unit, higher is better, at most 73.7; mean "
        "over tracks (Jordal, package log-wmse-audio-quality)"
    ),
    "med": "NAME_med is the median over tracks where NAME is the mean",
    "mean": "mean over the stems of the column above it; values that are missing are left out",
    "interval": (
        "95 % of 2000 bootstrap samples of the tracks (percentiles): how far the number would move "
        "with other songs of the same kind; too narrow with fewer than about ten songs"
    ),
    "windows": (
        "per-window values are of each second of a track; of the spectral metrics, of the frames "
        "centred in it"
    ),
}


def title(name: str) -> str:
    """How a table calls a value or an aggregate: `sdr_med` stays as papers' tables know it."""
    return TITLES.get(name, name)


# By metric: its values for the track `[S]`, and for its windows `[S, N]`; NaN where there is none.
Measured = dict[str, tuple[NDArray[Any], NDArray[Any]]]


def window_count(frames: int, samplerate: int) -> int:
    """Whole seconds in so many samples, as museval counts them; a shorter track is one window.

    >>> window_count(3 * 44100 + 10, 44100), window_count(100, 44100)
    (3, 1)
    """
    size = min(samplerate, frames)
    return (frames - size) // size + 1
