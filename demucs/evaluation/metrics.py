"""nSDR, and the definition of every number that an evaluation prints."""

import torch
from torch import Tensor

from demucs.errors import ConfigError

EPSILON = 1e-7
METRICS = ("nsdr", "sdr")  # what one can ask for; "sdr" brings the four of BSS Eval
BSS_METRICS = ("sdr", "isr", "sir", "sar")

_BSS = (
    "BSS Eval v4, as the museval package defines it: distortion filters of 512 taps for the whole "
    "track, windows of 1 s "
    "without overlap; a track's value is the median over its windows"
)
DEFINITIONS = {
    "nsdr": (
        "nSDR in dB: 10 log10((sum of s^2 + 1e-7) / (sum of (s - estimate)^2 + 1e-7)), sums over "
        "all samples and channels of the whole track; mean over tracks"
    ),
    "baseline": "nSDR in dB of the unprocessed mixture taken as the estimate of every stem",
    "sdr": f"signal to distortion ratio in dB, {_BSS}; mean over tracks of these medians",
    "sdr_med": (
        "the same SDR in dB, median over tracks of the medians over windows (what papers report)"
    ),
    "isr": "image to spatial distortion ratio in dB, as sdr; isr_med: as sdr_med",
    "sir": "source to interference ratio in dB, as sdr; sir_med: as sdr_med",
    "sar": "source to artefacts ratio in dB, as sdr; sar_med: as sdr_med",
    "mean": "mean over the stems of the column above it; values that are missing are left out",
}


def nsdr(references: Tensor, estimates: Tensor) -> Tensor:
    """Signal to distortion ratio over the whole signal, in dB, as in the Music Demixing challenges.

    10·log10((Σ‖s‖² + 1e-7) / (Σ‖s − ŝ‖² + 1e-7)), summed over channels and samples. It is 0 dB for
    a silent estimate; for a silent reference it only measures how loud the estimate is.

    Args:
        references: true stems `[B, S, C, T]`.
        estimates: estimated stems, of the same shape.

    Returns:
        `[B, S]`, float32, in dB; NaN where the estimate holds NaN.

    Raises:
        ConfigError: the shapes differ or are not `[B, S, C, T]`.
    """
    if references.dim() != 4 or references.shape != estimates.shape:
        raise ConfigError(
            f"nSDR compares references {list(references.shape)} with estimates "
            f"{list(estimates.shape)}: give both as [batch, stems, channels, samples]."
        )
    # Millions of squares: float64 sums, where the device has them.
    dtype = torch.float32 if references.device.type == "mps" else torch.float64
    references, estimates = references.to(dtype), estimates.to(dtype)
    signal = references.square().sum(dim=(2, 3)) + EPSILON
    distortion = (references - estimates).square().sum(dim=(2, 3)) + EPSILON
    return (10 * torch.log10(signal / distortion)).float()
