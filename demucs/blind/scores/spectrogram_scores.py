"""Scores of a stem's spectrogram: bandwidth, holes and musical noise."""

import numpy as np
import torch
from torch import Tensor

from demucs.blind.quality import QUIET, Array
from demucs.blind.records import Measures
from demucs.blind.scores.agreement import level
from demucs.evaluation.metrics.definitions import window_count

FRAME = 2048  # samples of an STFT frame; the hop is a quarter
BAND = 9  # bins of a neighbourhood in frequency
HOLE_DB = -25.0  # a hole is that far below its neighbourhood
ROLLOFF = 0.95  # of the energy lies below the bandwidth


def spectral_sanity(mixture: Tensor, estimates: Tensor, samplerate: int) -> dict[str, Measures]:
    """Scores of spectrograms `[F, N]`, powers summed over channels.

    Returns:
        `holes`: share of the stem's energy-weighted neighbourhoods with a bin 25 dB below them;
        `musical_noise`: log of the kurtosis of the stem's powers over that of the mixture's, along
        time, mean over frequencies (after Uemura et al., IWAENC 2008: isolated tones raise it);
        `bandwidth`: below it lies 95 % of the energy, kHz.
    """
    powers = torch.stack([_power(wav) for wav in (mixture, *estimates)])
    whole = _measure(powers, samplerate)
    count = window_count(mixture.shape[-1], samplerate)
    hop = FRAME // 4
    parts = [
        _measure(
            powers[..., n * samplerate // hop : max(1, (n + 1) * samplerate // hop)], samplerate
        )
        for n in range(count)
    ]
    loud = level(estimates, samplerate)
    return {
        name: Measures(
            track=np.where(loud.track > QUIET, whole[name], np.nan),
            windows=np.where(
                loud.windows > QUIET, np.stack([wav[name] for wav in parts], axis=-1), np.nan
            ),
        )
        for name in whole
    }


def _power(wav: Tensor) -> Tensor:
    """`[C, T]` to `[F, N]`."""
    spectrum = torch.stft(
        wav.double(), FRAME, FRAME // 4, window=torch.hann_window(FRAME, dtype=torch.double),
        return_complex=True, pad_mode="constant",
    )  # fmt: skip
    return spectrum.abs().square().sum(0)


def _measure(powers: Tensor, samplerate: int) -> dict[str, Array]:
    """Of the mixture's and then the stems' `[1 + S, F, N]`; `[S]` each."""
    stems = powers[1:]
    kurtosis = _kurtosis(powers)
    return {
        "holes": _holes(stems).numpy(),
        "musical_noise": (kurtosis[1:] - kurtosis[0]).numpy(),
        "bandwidth": (_rolloff(stems) * samplerate / FRAME / 1000).numpy(),
    }


def _holes(powers: Tensor) -> Tensor:
    near = torch.nn.functional.avg_pool2d(
        powers[:, None], (BAND, 3), stride=1, padding=(BAND // 2, 1), count_include_pad=False
    )[:, 0]
    hole = (powers < near * 10 ** (HOLE_DB / 10)).double()
    weight = near.clamp(min=1e-20).sqrt()  # loud places count, but not only the loudest
    return (hole * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2))


def _kurtosis(powers: Tensor) -> Tensor:
    """Natural log of E[p²]/E[p]² along time, weighted by each frequency's amplitude."""
    mean = powers.mean(-1)
    ratio = powers.square().mean(-1) / mean.square().clamp(min=1e-30)
    weight = mean.sqrt()
    return (ratio.clamp(min=1e-9).log() * weight).sum(1) / weight.sum(1).clamp(min=1e-20)


def _rolloff(powers: Tensor) -> Tensor:
    energy = powers.sum(-1).cumsum(-1)
    return (energy < ROLLOFF * energy[:, -1:]).sum(-1).double()
