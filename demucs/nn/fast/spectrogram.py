"""Inverse STFT for one layout: a real FFT of each frame and four shifted additions.

PyTorch's own folds the frames by a general scatter, in one thread.
"""

import torch
from torch import Tensor

from demucs.nn.fast.layout import copy_by_frames
from demucs.nn.fast.tiles import tiles
from demucs.nn.spectrogram import hann


def inverse_stft(spectrum: Tensor, before: int, start: int, length: int) -> Tensor:
    """The signal with this STFT, from sample `start` on.

    Args:
        spectrum: complex `[C, nfft / 2, N]`, without the last frequency, which counts as zero; hop
            is nfft / 4, scale and window those of `demucs.nn.spectrogram.stft`.
        before: silent frames to imagine on each side, which count for the window's sum.
        start: first sample to give, counted from the centre of the first (silent) frame.
        length: samples to give.

    Returns:
        `[C, length]` in float32.
    """
    channels, bins, frames = spectrum.shape
    nfft, hop = 2 * bins, bins // 2
    window = hann(nfft, spectrum.real)
    signal = window.new_zeros(channels, frames + 3, hop)
    for first, last in tiles(frames, 4 * nfft * channels):
        spectra = spectrum.new_zeros(channels, last - first, bins + 1)
        copy_by_frames(spectra[..., :-1].transpose(-1, -2), spectrum[..., first:last])
        pieces = torch.fft.irfft(spectra, nfft, norm="ortho").mul_(window)
        _add_shifted(signal[:, first : last + 3], pieces.view(channels, -1, 4, hop))
    weight = window.new_zeros(1, frames + 2 * before + 3, hop)
    squares = window.square().view(1, 1, 4, hop)
    _add_shifted(weight, squares.expand(1, frames + 2 * before, 4, hop))
    offset = start + nfft // 2
    span = signal.view(channels, -1)[:, offset - before * hop :][:, :length]
    return span.div_(weight.view(-1)[offset : offset + length])


def _add_shifted(signal: Tensor, pieces: Tensor) -> None:
    """Adds quarters of frames `[C, N, 4, hop]` to `[C, N + 3, hop]`, each where it lies."""
    frames = pieces.shape[1]
    for index in range(4):
        signal[:, index : index + frames] += pieces[:, :, index]
