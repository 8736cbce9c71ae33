"""Keeping samples inside full scale, which integer formats need."""

from collections.abc import Iterable
from typing import Literal, get_args

from torch import Tensor

from demucs.errors import ConfigError

ClipMode = Literal["rescale", "clamp", "tanh", "none"]
CLIP_MODES: tuple[str, ...] = get_args(ClipMode)
HEADROOM = 1.01


def common_gain(stems: Iterable[Tensor]) -> float:
    """The one gain, at most 1, that keeps the loudest sample of all `stems` off full scale.

    Scaling every stem of a track by it keeps their balance and their sum, up to that gain.

    >>> round(common_gain([Tensor([[0.5]]), Tensor([[-2.0]])]), 3)
    0.495
    """
    return gain_for(max((float(stem.abs().max()) for stem in stems if stem.numel()), default=0.0))


def gain_for(peak: float) -> float:
    """The gain, at most 1, that keeps samples of this magnitude off full scale."""
    return 1.0 / max(HEADROOM * peak, 1.0)


def share_residual(mixture: Tensor, stems: Tensor) -> Tensor:
    """Gives every stem an equal share of what all of them together lack of the mixture.

    Their sum is the mixture then. It is the projection on the stems that add up to it, which
    moves them the least.

    Args:
        mixture: `[..., C, T]`.
        stems: `[..., S, C, T]`, never modified.

    >>> share_residual(Tensor([[3.0]]), Tensor([[[1.0]], [[0.0]]])).flatten().tolist()
    [2.0, 1.0]
    """
    return stems + ((mixture - stems.sum(-3)) / stems.shape[-3]).unsqueeze(-3)


def prevent_clipping(wav: Tensor, mode: str = "rescale") -> Tensor:
    """`wav` `[C, T]` made to fit full scale; never modified itself.

    Args:
        wav: samples, full scale at 1.
        mode: "rescale" divides by the peak where it is too high, "clamp" cuts, "tanh" bends,
            "none" (or None, as the public `save_audio` allows) leaves the samples alone.

    Raises:
        ConfigError: an unknown mode.
    """
    if mode is None or mode == "none":
        return wav
    if mode == "rescale":
        gain = common_gain([wav])
        return wav * gain if gain < 1 else wav
    if mode == "clamp":
        return wav.clamp(-0.99, 0.99)
    if mode == "tanh":
        return wav.tanh()
    raise ConfigError(f"Unknown clip mode {mode!r}: choose one of {', '.join(CLIP_MODES)}.")
