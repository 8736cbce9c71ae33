"""Checks of a caller's arguments, with errors that say what to give instead.

Numbers of NumPy are taken as Python's; truth values are not numbers, and text is not one either.
"""

import math
import os
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import torch

from demucs.errors import ConfigError


def whole_number(name: str, value: object, least: int, remedy: str) -> int:
    """`value` as an int.

    Args:
        name: of the argument, for the message.
        value: what was given.
        least: the smallest that is allowed.
        remedy: what to give instead, for the message.

    Raises:
        ConfigError: it is not a whole number, or below `least`.

    >>> whole_number("shifts", np.int64(2), 0, "give 0 or more")
    2
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ConfigError(f"{name}={value!r}: {remedy}.")
    return int(value)


def number(name: str, value: object, remedy: str) -> float:
    """`value` as a finite float.

    Raises:
        ConfigError: it is not a number, not finite, or has no meaning as a float.

    >>> number("overlap", np.float32(0.25), "give a share")
    0.25
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ConfigError(f"{name}={value!r}: {remedy}.")
    return float(value)


def flag(name: str, value: object) -> bool:
    """`value` as a bool.

    Raises:
        ConfigError: it is not one.
    """
    if not isinstance(value, bool | np.bool_):
        raise ConfigError(f"{name}={value!r}: give True or False.")
    return bool(value)


def path_of(name: str, value: object) -> Path:
    """`value` as a path.

    Raises:
        ConfigError: it is not the name of a file or folder.
    """
    if not isinstance(value, str | bytes | os.PathLike) or not os.fspath(value):
        raise ConfigError(f"{name}={value!r}: give the name of a file or folder (str or Path).")
    text = os.fsdecode(value)
    if "\0" in text:
        raise ConfigError(f"{name}={text!r}: a name has no NUL character.")
    return Path(text)


def samplerate_of(name: str, value: object) -> int:
    """`value` as a sample rate in Hz.

    Raises:
        ConfigError: it is not one.
    """
    return whole_number(name, value, 1, "give a sample rate in Hz as a whole number, such as 44100")


def shifts_of(value: object) -> int:
    """`value` as a number of random delays.

    Raises:
        ConfigError: it is not a whole number of 0 or more.
    """
    return whole_number("shifts", value, 0, "give 0 (no random shift) or a positive whole number")


def threads_of(name: str, value: object) -> int:
    """`value` as a number of threads.

    Raises:
        ConfigError: it is not a whole number of 0 or more.
    """
    return whole_number(name, value, 0, "give 0 (no threads) or a positive whole number")


def overlap_of(value: object) -> float:
    """`value` as a share in [0, 1).

    Raises:
        ConfigError: it is not one.
    """
    remedy = "give a share in [0, 1), such as 0.25"
    overlap = number("overlap", value, remedy)
    if not 0 <= overlap < 1:
        raise ConfigError(f"overlap={value!r}: {remedy}.")
    return overlap


def segment_of(value: object) -> float | None:
    """`value` as seconds; None stays None.

    Raises:
        ConfigError: it is not a positive number.
    """
    if value is None:
        return None
    remedy = "give seconds above 0, or None for the model's own"
    seconds = number("segment", value, remedy)
    if seconds <= 0:
        raise ConfigError(f"segment={value!r}: {remedy}.")
    return seconds


def batch_of(value: object) -> int | None:
    """`value` as a number of chunks; None stays None.

    Raises:
        ConfigError: it is not a positive whole number.
    """
    remedy = "give a positive number of chunks, or None to choose it by the memory"
    return None if value is None else whole_number("batch", value, 1, remedy)


def pick_device(device: str | torch.device | None) -> torch.device:
    """The device that is meant: by default CUDA where there is one, else the CPU.

    Raises:
        ConfigError: no such device, or not on this machine.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if not isinstance(device, str | torch.device):
            raise TypeError(f"it is of the type {type(device).__name__}")
        chosen = torch.device(device)
        if chosen.type == "meta":
            raise RuntimeError("it does not compute")
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"Cannot use the device {str(device)!r}: {reason.rstrip('.')}. Choose cpu, or cuda on "
            "a machine with an NVIDIA GPU."
        ) from None
    return chosen
