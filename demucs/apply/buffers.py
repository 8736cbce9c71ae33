"""What is held of a signal that comes in blocks, and of the stems that leave in blocks."""

from collections import deque
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from demucs.apply.chunks import window
from demucs.errors import ConfigError


class Sums:
    """Weighted sums of stems over the part of the track that is not finished."""

    def __init__(self, stems: int, channels: int) -> None:
        self._start = 0
        self._sums = torch.zeros(stems, channels, 0)

    def add(self, stems: Tensor, start: int) -> None:
        """Adds `stems` `[S, C, n]`, whose first sample lies at `start`, maybe before the track."""
        skip = max(0, self._start - start)
        stems, begin = stems[..., skip:], start + skip - self._start
        missing = begin + stems.shape[-1] - self._sums.shape[-1]
        if missing > 0:
            self._sums = nn.functional.pad(self._sums, (0, missing))
        self._sums[..., begin : begin + stems.shape[-1]] += stems

    def pop(self, end: int) -> tuple[int, Tensor]:
        """Takes out what lies before sample `end`: its first sample and the stems."""
        start, count = self._start, max(0, end - self._start)
        done, rest = self._sums[..., :count].clone(), self._sums[..., count:].clone()
        self._start, self._sums = start + done.shape[-1], rest
        return start, done


class Signal:
    """The mixture, of which a stretch is held: what chunks and unfinished blocks still need."""

    def __init__(self, blocks: Iterable[Tensor], total: int, mean: float, scale: float) -> None:
        self._blocks = iter(blocks)
        self.total, self._mean, self._scale = total, mean, scale
        self._held: deque[Tensor] = deque()
        self._start = self._end = self._popped = self._needed = 0
        self._pull()
        self.channels = int(self._held[0].shape[0])

    def _pull(self) -> None:
        block = next(self._blocks, None)
        if block is None or block.dim() != 2 or self._end + block.shape[-1] > self.total:
            found = self._end if block is None else f"blocks of shape {list(block.shape)}"
            raise ConfigError(
                f"The mixture was to have {self.total} samples, [channels, samples] a block, and "
                f"has {found}: was its file changed meanwhile? Start again."
            )
        self._held.append(block)
        self._end += block.shape[-1]

    def _stretch(self, start: int, end: int) -> Tensor:
        """The samples from `start` to `end`, both inside the track and not forgotten."""
        while self._end < end:
            self._pull()
        parts, position = [], self._start
        for block in self._held:
            low, high = max(0, start - position), min(block.shape[-1], end - position)
            if low < high:
                parts.append(block[:, low:high])
            position += block.shape[-1]
        return torch.cat(parts, dim=-1) if parts else self._held[0][:, :0].clone()

    def window(self, start: int, length: int) -> Tensor:
        """What the model hears, `[C, length]`: zero outside of the track."""
        first, last = max(0, start), min(self.total, start + length)
        heard = (self._stretch(first, max(first, last)) - self._mean) / self._scale
        return window(heard, start - first, length)

    def pop(self, start: int, length: int) -> Tensor:
        """The mixture of a finished block, `[C, length]`."""
        block = self._stretch(start, start + length)
        self._popped = start + length
        self._release()
        return block

    def forget(self, before: int) -> None:
        """Says that no chunk needs what lies before this sample."""
        self._needed = max(self._needed, before)
        self._release()

    def _release(self) -> None:
        keep = min(self._popped, self._needed)
        while len(self._held) > 1 and self._start + self._held[0].shape[-1] <= keep:
            self._start += self._held.popleft().shape[-1]
