"""The stems of a track as files: written block by block, with one gain, all of them or none."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import torch
from torch import Tensor

from demucs.audio.encoding import Encoder, Encoding, check_finite, unwritable
from demucs.audio.levels import gain_for, prevent_clipping
from demucs.errors import AudioError
from demucs.files import atomic_paths
from demucs.process.cores import core_count

BLOCK = 2**18  # frames copied at a time


@dataclass(frozen=True)
class StemFile:
    """Where and how a stem is written; `tag` is called with the finished file and the path."""

    path: Path
    encoding: Encoding
    tag: Callable[[Path], None] | None = None


class StemWriter(AbstractContextManager["StemWriter"]):
    """Writes the stems of one track, whose files appear together once the `with` block succeeds.

    With `clip="rescale"` the gain is known only at the end: until then stems to be written as
    integers are spooled as float32 to unlinked temporary files in the output folder. Stems written
    as floats are never scaled, bent or cut.

    Args:
        files: by the name of the stem.
        samplerate: Hz.
        channels: of every stem.
        length: samples of the track.
        clip: "rescale" turns all stems down alike, "clamp", "tanh" and "none" are those of
            `demucs.audio.prevent_clipping`.

    Attributes:
        gain: after the end, the factor of all stems that are not floats; 1 unless `clip` is
            "rescale" and the loudest sample of all of them was above full scale.

    Raises:
        ConfigError: a format that cannot hold what is asked of it, or an unknown `clip`.
        AudioError: a file cannot be written, or a sample is infinite or not a number.
    """

    def __init__(
        self,
        files: Mapping[str, StemFile],
        samplerate: int,
        channels: int,
        length: int,
        clip: str = "rescale",
    ) -> None:
        self.gain = 1.0
        self._files, self._clip = dict(files), clip
        self._format = (samplerate, channels)
        self._length, self._peak = length, 0.0
        self._stack = ExitStack()
        prevent_clipping(torch.zeros(1, 1), clip)  # is it known?
        for writer in self._files.values():
            writer.encoding.check(writer.path, channels)

    def __enter__(self) -> "StemWriter":
        paths = [one.path for one in self._files.values()]
        try:
            temporary = self._stack.enter_context(atomic_paths(paths))
            self._temporary = dict(zip(self._files, temporary, strict=True))
            self._spools: dict[str, _Spool] = {}
            self._encoders: dict[str, Encoder] = {}
            for name, one in self._files.items():
                if self._clip == "rescale" and not one.encoding.float32:
                    spool = _Spool(one.path, self._format[1])
                    self._spools[name] = self._stack.enter_context(spool)
                else:
                    self._encoders[name] = self._stack.enter_context(self._encoder(name))
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            if isinstance(error, OSError):
                raise unwritable(_named(error, paths), error) from error
            raise
        return self

    def _encoder(self, name: str) -> Encoder:
        one = self._files[name]
        return Encoder(
            one.path, self._temporary[name], *self._format, one.encoding, frames=self._length
        )

    def write(self, stems: Mapping[str, Tensor]) -> None:
        """Appends a block `[C, n]` to every stem."""
        for name, one in self._files.items():
            block = stems[name].detach().cpu()
            if name in self._spools:
                check_finite(one.path, block)
                if block.numel():
                    self._peak = max(self._peak, float(block.abs().max()))
                self._spools[name].write(block)
            elif one.encoding.float32:
                self._encoders[name].write(block)
            else:
                self._encoders[name].write(prevent_clipping(block, self._clip))

    def _finish(self) -> None:
        """Encodes what was spooled, one stem a thread but for mp3, whose encoder takes turns."""
        self.gain = gain_for(self._peak)
        for encoder in self._encoders.values():
            encoder.__exit__(None, None, None)
        alone = any(self._files[name].path.suffix.lower() == ".mp3" for name in self._spools)
        workers = min(len(self._spools), 1 if alone else core_count())
        if workers:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(self._encode, self._spools))
        for name, one in self._files.items():
            if one.tag is not None:
                try:
                    one.tag(self._temporary[name])
                except OSError as error:
                    raise unwritable(one.path, error) from error

    def _encode(self, name: str) -> None:
        with self._encoder(name) as encoder, self._spools[name] as spool:
            for block in spool.blocks():
                encoder.write(block * self.gain if self.gain < 1 else block)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                self._finish()
            except BaseException as failure:
                self._stack.__exit__(type(failure), failure, failure.__traceback__)
                raise
        try:
            self._stack.__exit__(kind, error, trace)
        except OSError as failure:
            if failure is error:
                raise
            paths = [writer.path for writer in self._files.values()]
            raise unwritable(_named(failure, paths), failure) from failure


def _named(error: OSError, paths: Sequence[Path]) -> Path:
    """The file that an error is about: that of its second name, as of a rename, or its first."""
    for name in (error.filename2, error.filename):
        for path in paths:
            if name is not None and os.fspath(path) == os.fspath(name):
                return path
    return paths[0]


class _Spool(AbstractContextManager["_Spool"]):
    """A stem in a temporary file without a name, which goes whatever ends the program.

    Args:
        path: the file that it will become, in whose folder it lies.
    """

    def __init__(self, path: Path, channels: int) -> None:
        self._path, self._channels = path, channels
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115

    def write(self, block: Tensor) -> None:
        samples = np.ascontiguousarray(block.float().numpy().T)
        try:
            self._file.write(samples.tobytes())
        except OSError as error:
            raise unwritable(self._path, error) from error

    def blocks(self) -> Iterator[Tensor]:
        """All of it again, `[C, n]` each."""
        try:
            self._file.seek(0)
        except OSError as error:  # the last block did not fit on the disk
            raise unwritable(self._path, error) from error
        while data := self._file.read(4 * self._channels * BLOCK):
            samples = np.frombuffer(bytearray(data), dtype=np.float32)
            yield torch.from_numpy(samples.reshape(-1, self._channels)).T

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except OSError as failure:
            if kind is None:
                raise AudioError(str(unwritable(self._path, failure))) from failure
