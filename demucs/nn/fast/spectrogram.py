"""Inverse STFT for one layout: a real FFT of each frame and four shifted additions.

PyTorch's own folds the frames by a general scatter, in one thread.
"""

import torch
from torch import Tensor

from demucs.nn.spectrogram import hann


def frames_for(shape: tuple[int, ...], frames: int, bins: int) -> Tensor:
    """Zeros for the spectrum of each frame, complex `[*shape, frames, bins + 1]`.

    The last bin, which the network does not give, stays zero.
    """
    return torch.zeros(*shape, frames, bins + 1, dtype=torch.complex64)


def overlap_add(spectra: Tensor, before: int, start: int, length: int) -> Tensor:
    """The signal whose STFT frames are `spectra`, from sample `start` on.

    Args:
        spectra: complex `[..., N, nfft / 2 + 1]`; hop is nfft / 4, scale and window those of
            `demucs.nn.spectrogram.stft`.
        before: silent frames to imagine on each side, which count for the window's sum.
        start: first sample to give, counted from the centre of the first (silent) frame.
        length: samples to give.
    """
    *other, frames, bins = spectra.shape
    nfft = 2 * bins - 2
    hop = nfft // 4
    window = hann(nfft, spectra.real)
    pieces = torch.fft.irfft(spectra, nfft, norm="ortho").mul_(window)
    signal = _add_shifted(pieces.view(-1, frames, 4, hop))
    weight = _add_shifted(window.square().view(1, 1, 4, hop).expand(1, frames + 2 * before, 4, hop))
    first = start + nfft // 2 - before * hop
    signal = signal.view(*other, -1)[..., first : first + length]
    return signal.div_(weight.view(-1)[start + nfft // 2 :][:length])


def _add_shifted(pieces: Tensor) -> Tensor:
    """`[B, N, 4, hop]` quarters of frames → `[B, N + 3, hop]`, each added where it lies."""
    batch, frames, quarters, hop = pieces.shape
    out = pieces.new_zeros(batch, frames + quarters - 1, hop)
    for index in range(quarters):
        out[:, index : index + frames] += pieces[:, :, index]
    return out
