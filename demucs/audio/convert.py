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
_EXACT = 2**24  # samples up to which julius, which counts in float32, gives the exact length
_LONG = 2**20  # samples of a longer signal that are resampled at a time


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

    >>> convert_audio(torch.ones(1, 8000), 8000, 16000, channels=2).shape
    torch.Size([2, 16000])
    """
    wav = convert_channels(wav, channels)
    if from_rate == to_rate > 0:
        return wav
    resampler = Resampler(from_rate, to_rate)
    if resampler.length(wav.shape[-1]) <= _EXACT:
        return resampler(wav)
    blocks = BlockResampler(from_rate, to_rate)
    parts = [blocks.push(part) for part in torch.split(wav, _LONG, dim=-1)]
    return torch.cat([*parts, blocks.finish()], dim=-1)


class Resampler:
    """Resamples whole signals `[..., T]` to `[..., floor(T * to_rate / from_rate)]`.

    Raises:
        AudioError: a rate that is not positive.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        if from_rate <= 0 or to_rate <= 0:
            raise AudioError(
                f"Cannot resample from {from_rate} Hz to {to_rate} Hz: give positive rates."
            )
        common = math.gcd(from_rate, to_rate)
        self.old, self.new = from_rate // common, to_rate // common
        few = self.old * self.new <= MAX_FILTERS
        self._filters = julius.ResampleFrac(self.old, self.new) if few else None

    def length(self, length: int) -> int:
        """Samples that come out of so many."""
        return length * self.new // self.old

    def __call__(self, wav: Tensor) -> Tensor:
        if self._filters is None:
            return interpolate(wav, self.old, self.new)
        resampled: Tensor = self._filters.to(wav)(wav)
        return resampled


class BlockResampler:
    """Resamples a signal that comes in blocks; the result is that of the whole.

    What is held of the signal is what the interpolation still needs, some milliseconds of it.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._resampler = Resampler(from_rate, to_rate)
        old, new = self._resampler.old, self._resampler.new
        # Samples come in groups: `old` of the signal go with `new` of the result. The kernel
        # reaches so many groups before and after its own.
        self._groups = math.ceil(ZEROS * max(1.0, old / new) / ROLLOFF / old) + 1
        self._parts: list[Tensor] = []
        self._held = self._first = self._done = 0  # samples; groups from the beginning

    def push(self, block: Tensor) -> Tensor:
        """Takes the next block `[..., n]`; returns what is finished, maybe nothing."""
        self._parts.append(block)
        self._held += block.shape[-1]
        complete = self._first + self._held // self._resampler.old - self._groups
        if complete <= self._done:
            return block[..., :0]
        held = self._joined()
        out = self._resampler(held)[..., self._position(self._done) : self._position(complete)]
        first = max(0, complete - self._groups)
        rest = held[..., (first - self._first) * self._resampler.old :].clone()
        self._parts, self._held, self._first, self._done = [rest], rest.shape[-1], first, complete
        return out

    def finish(self) -> Tensor:
        """The end of the result, once the last block was pushed; at least one has to be."""
        return self._resampler(self._joined())[..., self._position(self._done) :]

    def _joined(self) -> Tensor:
        return self._parts[0] if len(self._parts) == 1 else torch.cat(self._parts, dim=-1)

    def _position(self, group: int) -> int:
        """Where a group begins in the result of the samples that are held."""
        return (group - self._first) * self._resampler.new


def convert_channels(wav: Tensor, channels: int) -> Tensor:
    """The channel half of `convert_audio`.

    >>> convert_channels(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 1).tolist()
    [[0.5, 0.5]]
    """
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
