"""The form of a network that inference runs: by device and precision, plain, fast or mixed."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from demucs.errors import ConfigError
from demucs.nn.fast.model import FastHDemucs
from demucs.nn.hdemucs import HDemucs
from demucs.nn.mixed import Mixed

CPU_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
GPU_PRECISIONS = ("fp32", "tf32", "bf16")


def inference_form(
    model: nn.Module, precision: str | None = None, device: torch.device | None = None
) -> nn.Module:
    """The form of a network, or of the networks of a bag, that runs on a device.

    Args:
        model: a network, or a bag, which has `with_networks`.
        precision: None is fp32 on a CPU, and on a GPU what `gpu_form` says.
        device: None is the CPU.

    Raises:
        ConfigError: see `cpu_form` and `gpu_form`.
    """
    bag: Any = model
    if hasattr(model, "with_networks"):
        return bag.with_networks([inference_form(m, precision, device) for m in bag.models])  # type: ignore[no-any-return]
    if device is None or device.type == "cpu":
        return cpu_form(model, precision or "fp32")
    return gpu_form(model, precision, device)


def cpu_form(model: nn.Module, precision: str = "fp32") -> nn.Module:
    """A faster form of `model` for a CPU, which computes the same in evaluation mode.

    Args:
        model: is not changed; later changes to it have no effect on the form.
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
    if precision not in CPU_PRECISIONS:
        raise ConfigError(f"precision={precision!r}: choose {' or '.join(CPU_PRECISIONS)}.")
    if precision == "bf16" and not has_bf16():
        raise ConfigError(
            "precision=bf16 needs a processor that multiplies bfloat16 (avx512_bf16 or amx_bf16), "
            "which this one does not: it would be slower than fp32. Use fp32."
        )
    if isinstance(model, FastHDemucs):
        if model.dtype != CPU_PRECISIONS[precision]:
            raise ConfigError(
                f"The network is already prepared in {model.dtype}, not in {precision}: give the "
                "plain network."
            )
        return model
    if type(model) is not HDemucs:
        if precision == "bf16":
            raise ConfigError(
                f"precision=bf16: {type(model).__name__} has no bf16 form on a CPU; use fp32."
            )
        return model
    return FastHDemucs(model, CPU_PRECISIONS[precision])


def gpu_form(network: nn.Module, precision: str | None, device: torch.device) -> nn.Module:
    """The form of `network` that runs on a GPU; precision None: tf32 if the GPU has it, else fp32.

    Raises:
        ConfigError: a precision that this GPU, or this kind of device, does not have.
    """
    if device.type != "cuda":
        if precision in (None, "fp32"):
            return network
        raise ConfigError(
            f"precision={precision} is for the cpu or a CUDA GPU; on {device} give none (fp32)."
        )
    recent = torch.cuda.get_device_capability(device) >= (8, 0)
    precision = precision or ("tf32" if recent else "fp32")
    if precision not in GPU_PRECISIONS:
        raise ConfigError(f"precision={precision!r}: choose {' or '.join(GPU_PRECISIONS)}.")
    if precision != "fp32" and not recent:
        raise ConfigError(
            f"precision={precision} needs a GPU of the Ampere generation or later, and "
            f"{torch.cuda.get_device_name(device)} is older: use fp32."
        )
    return Mixed(network, precision)


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware, and oneDNN may have it do so."""
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # as under ONEDNN_MAX_CPU_ISA=AVX2
        return False
    flags = ("avx512_bf16", "amx_bf16")
    if hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        return any(bool(capabilities.get(name)) for name in flags)
    try:
        cpu_flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return any(name in cpu_flags for name in flags)
