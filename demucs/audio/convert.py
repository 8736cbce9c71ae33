"""Changing the number of channels and the sample rate of a signal."""

import math

import julius
import torch
from torch import Tensor

from demucs.errors import AudioError

ZEROS = 24  # zero crossings of the interpolation kernel on either side, as in julius
ROLLOFF = 0.945  # share of the Nyquist frequency that is kept, as in julius
MAX_FILTERS = 4_000_000  # old x new rate, in lowest terms, up to which julius keeps all its filters
_BLOCK = 16_384  # output samples interpolated at a time


def convert_audio(wav: Tensor, from_rate: int, to_rate: int, channels: int) -> Tensor:
    """Converts a signal to a number of channels and a sample rate.

    Args:
        wav: `[..., C, T]`, never modified.
        from_rate: sample rate of `wav`, Hz.
        to_rate: sample rate wanted, Hz.
        channels: one copies the channel to all, to one averages them, and of more channels than
            wanted the first are kept (left and right of a surround mix).

    Returns:
        `[..., channels, T']`; `wav` itself if there is nothing to do.

    Raises:
        AudioError: a rate that is not positive, or two or more channels to be turned into more.
    """
    wav = convert_channels(wav, channels)
    if from_rate <= 0 or to_rate <= 0:
        raise AudioError(
            f"Cannot resample from {from_rate} Hz to {to_rate} Hz: give positive rates."
        )
    if from_rate == to_rate:
        return wav
    common = math.gcd(from_rate, to_rate)
    if (from_rate // common) * (to_rate // common) <= MAX_FILTERS:
        resampled: Tensor = julius.resample_frac(wav, from_rate, to_rate)
        return resampled
    return interpolate(wav, from_rate, to_rate)


def convert_channels(wav: Tensor, channels: int) -> Tensor:
    """The channel half of `convert_audio`."""
    present = wav.shape[-2]
    if present == channels:
        return wav
    if channels == 1:
        return wav.mean(-2, keepdim=True)
    if present == 1:
        return wav.expand(*wav.shape[:-2], channels, wav.shape[-1]).contiguous()
    if present > channels:
        return wav[..., :channels, :]
    raise AudioError(
        f"Cannot make {channels} channels out of {present}: only mono is copied to more channels."
    )


def interpolate(wav: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Windowed-sinc resampling between rates with next to no common divisor.

    Polyphase filters (`julius`) need memory for old x new coefficients in lowest terms, which is
    gigabytes for rates such as 44101 Hz. Here each output sample has its own kernel, computed
    where it is needed: slower, in constant memory, the same numbers.

    Args:
        wav: `[..., T]`.

    Returns:
        `[..., floor(T * to_rate / from_rate)]`.
    """
    cutoff = ROLLOFF * min(from_rate, to_rate) / from_rate  # of the input's Nyquist frequency
    reach = math.ceil(ZEROS / cutoff)
    length = wav.shape[-1] * to_rate // from_rate
    edges = [wav[..., :1], wav[..., -1:]]
    before, after = (edge.expand(*wav.shape[:-1], reach + 1) for edge in edges)
    padded = torch.cat([before, wav, after], dim=-1)
    taps = torch.arange(-reach, reach + 1, device=wav.device)
    blocks = []
    for begin in range(0, length, _BLOCK):
        outputs = torch.arange(begin, min(begin + _BLOCK, length), device=wav.device)
        whole, rest = outputs * from_rate // to_rate, (outputs * from_rate % to_rate).double()
        distance = (taps - rest[:, None] / to_rate) * cutoff  # [N, taps], in zero crossings
        hann = torch.cos(distance.clamp(-ZEROS, ZEROS) / ZEROS * math.pi / 2) ** 2
        kernel = (torch.sinc(distance) * hann).to(wav)
        kernel = kernel / kernel.sum(-1, keepdim=True)
        blocks.append((padded[..., whole[:, None] + taps + reach + 1] * kernel).sum(-1))
    return torch.cat(blocks, dim=-1) if blocks else wav[..., :0]
