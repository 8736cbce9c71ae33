"""A part of a file as a file of its own, with some of its bytes replaced."""

import io
import os
from collections.abc import Iterable
from pathlib import Path


class Region(io.RawIOBase):
    """Bytes `start` to `end` of a file, read only.

    Args:
        path: the file.
        start, end: places in it.
        patches: bytes to read in place of those in the file, by place in the region.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(
        self, path: Path, start: int, end: int, patches: Iterable[tuple[int, bytes]] = ()
    ) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._start, self._length = start, end - start
        self._patches, self._place = tuple(patches), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._length}[whence]
        self._place = max(0, origin + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._length - self._place))
        self._file.seek(self._start + self._place)
        data = bytearray(self._file.read(wanted))
        for place, patch in self._patches:
            for offset, byte in enumerate(patch, place - self._place):
                if 0 <= offset < len(data):
                    data[offset] = byte
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
