"""Stretching through SoundTouch's library, by its C interface.

It gives the very samples that the program of the same version gives: the same settings in the same
order, and the result cut to the 32-bit integers that the program writes.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from demucs.data.augment import Stretch
from demucs.errors import AudioError

NAMES = (
    "libSoundTouchDll.so.1",
    "libSoundTouchDll.so",
    "libSoundTouchDLL.so",
    "libSoundTouchDll.dylib",
    "libSoundTouchDLL.dylib",
    "SoundTouchDLL_x64.dll",
)
LOCAL_BUILD = os.path.join(".", "soundtouch", "build")
FULL_SCALE = np.float32(2.0**31)
BLOCK = 8192  # frames given at a time, so that its queues stay small and in the cache

# Numbers of settings in the C interface, and the values that soundstretch uses.
MUSIC = {2: 0, 0: 1}  # no quick seek, anti-alias filter
SPEECH = {3: 40, 4: 15, 5: 8}  # sequence, seek window and overlap in ms


@dataclass(frozen=True)
class SoundTouchLibrary:
    """The engine that calls the library `library` in this process, without Python's lock."""

    library: str

    @classmethod
    def find(cls) -> "SoundTouchLibrary | None":
        """Looks in ./soundtouch/build, where the system keeps libraries, and beside Python."""
        for folder in (os.path.abspath(LOCAL_BUILD), "", os.path.join(sys.prefix, "lib")):
            for name in NAMES:
                path = os.path.join(folder, name)
                if _load(path) is not None:
                    return cls(path)
        return None

    def at_once(self, threads: int) -> int:
        """As many as there are threads: the library works without Python's lock."""
        return threads

    def describe(self) -> str:
        """What it is, for the log."""
        version = _checked(self.library).soundtouch_getVersionString().decode()
        return f"SoundTouch {version} (the library {self.library})"

    def stretch(
        self,
        wav: NDArray[np.float32],
        samplerate: int,
        stretch: Stretch,
        frames: int,
        *,
        speech: bool,
    ) -> NDArray[np.float32]:
        """Stretches `[T, C]` within ±0.5 to at most `[frames, C]`.

        Raises:
            AudioError: the library is gone or has no memory.
        """
        api = _checked(self.library)
        got = np.empty((frames, wav.shape[1]), dtype=np.float32)
        filled = 0
        with _instance(api) as handle:
            api.soundtouch_setSampleRate(handle, samplerate)
            api.soundtouch_setChannels(handle, wav.shape[1])
            api.soundtouch_setTempoChange(handle, round(stretch.tempo, 6))  # as the program is told
            api.soundtouch_setPitchSemiTones(handle, stretch.pitch)
            for setting, value in (MUSIC | SPEECH if speech else MUSIC).items():
                api.soundtouch_setSetting(handle, setting, value)
            for start in range(0, len(wav), BLOCK):
                block = wav[start : start + BLOCK]
                api.soundtouch_putSamples(handle, block.ctypes.data, len(block))
                filled += _receive(api, handle, got[filled:])
                if filled == frames:
                    break
            else:
                api.soundtouch_flush(handle)
                filled += _receive(api, handle, got[filled:])
        got = got[:filled]
        got *= FULL_SCALE
        np.trunc(got, out=got)
        got /= FULL_SCALE
        return got


def _receive(api: ctypes.CDLL, handle: int, room: NDArray[np.float32]) -> int:
    """Takes what is ready and fits into `room` `[T, C]`; how many frames."""
    taken = 0
    while taken < len(room):
        space = room[taken:]
        count = int(api.soundtouch_receiveSamples(handle, space.ctypes.data, len(space)))
        if count == 0:
            break
        taken += count
    return taken


@contextmanager
def _instance(api: ctypes.CDLL) -> Iterator[int]:
    handle = api.soundtouch_createInstance()
    if not handle:
        raise AudioError(
            "SoundTouch's library gave no instance, for want of memory: lower misc.num_workers"
        )
    try:
        yield handle
    finally:
        api.soundtouch_destroyInstance(handle)


def _checked(path: str) -> ctypes.CDLL:
    api = _load(path)
    if api is None:
        raise AudioError(f"SoundTouch's library {path} can no longer be loaded: install it anew")
    return api


@cache
def _load(path: str) -> ctypes.CDLL | None:
    """The library at `path` with its C interface, or None.

    It may be compiled so that loading it switches the loading thread to arithmetic without
    subnormal numbers (Debian's is), which would change the sums of a training step. So it is
    loaded by a thread that ends there.
    """
    libraries: list[ctypes.CDLL] = []
    loading = Thread(target=lambda: libraries.extend(_declared(path)))
    loading.start()
    loading.join()
    return libraries[0] if libraries else None


def _declared(path: str) -> list[ctypes.CDLL]:
    pointer, integer, unsigned = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint
    try:
        api = ctypes.CDLL(path)
        for name, result, arguments in (
            ("createInstance", pointer, []),
            ("destroyInstance", None, [pointer]),
            ("getVersionString", ctypes.c_char_p, []),
            ("setSampleRate", None, [pointer, unsigned]),
            ("setChannels", None, [pointer, unsigned]),
            ("setTempoChange", None, [pointer, ctypes.c_float]),
            ("setPitchSemiTones", None, [pointer, ctypes.c_float]),
            ("setSetting", integer, [pointer, integer, integer]),
            ("putSamples", None, [pointer, pointer, unsigned]),
            ("receiveSamples", unsigned, [pointer, pointer, unsigned]),
            ("flush", None, [pointer]),
        ):
            function = getattr(api, f"soundtouch_{name}")
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return []
    return [api]
