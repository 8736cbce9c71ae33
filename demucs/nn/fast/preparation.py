"""From a trained network to the one that inference runs."""

from pathlib import Path

import torch
from torch import nn

from demucs.errors import ConfigError
from demucs.nn.fast.model import FastHDemucs
from demucs.nn.hdemucs import HDemucs

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def prepare(model: nn.Module, precision: str = "fp32") -> nn.Module:
    """A network that computes on a CPU what `model` computes in evaluation mode, faster.

    Args:
        model: is read and left as it is; later changes to it are not followed.
        precision: "fp32" gives the same stems up to rounding (100 dB and more); "bf16" works
            with bfloat16 inside, for processors that multiply it.

    Returns:
        An inference-only network with the same `sources`, `audio_channels`, `samplerate` (Hz) and
        `segment` (seconds), `[B, C, T]` → `[B, S, C, T]`. A network that has no fast form
        (anything but `HDemucs`) is returned itself.

    Raises:
        ConfigError: another precision, or bf16 without such a processor or for a network that
            has no fast form.
    """
    if precision == "tf32":
        raise ConfigError("precision=tf32 is for a CUDA GPU: on the cpu use fp32 or bf16.")
    if precision not in PRECISIONS:
        raise ConfigError(f"precision={precision!r}: choose {' or '.join(PRECISIONS)}.")
    if precision == "bf16" and not has_bf16():
        raise ConfigError(
            "precision=bf16 needs a processor that multiplies bfloat16 (avx512_bf16 or amx_bf16), "
            "and this one does not: it would be slower than fp32. Use fp32."
        )
    if isinstance(model, FastHDemucs):
        if model.dtype != PRECISIONS[precision]:
            raise ConfigError(f"The network was prepared in {model.dtype}: prepare the plain one.")
        return model
    if type(model) is not HDemucs:
        if precision == "bf16":
            raise ConfigError(f"precision=bf16: {type(model).__name__} has no such form; use fp32.")
        return model
    return FastHDemucs(model, PRECISIONS[precision])


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware, and oneDNN may have it do so."""
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # as under ONEDNN_MAX_CPU_ISA=AVX2
        return False
    wanted = ("avx512_bf16", "amx_bf16")
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return any(bool(found.get(name)) for name in wanted)
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return any(name in words for name in wanted)
