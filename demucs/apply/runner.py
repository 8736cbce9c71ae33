"""Batches of chunks through the networks, while other batches are copied.

A GPU is given batches of chunks. While it works on one, the next is uploaded and the last one's
stems are downloaded, summed and written: one thread feeds the GPU, the caller's does the rest.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import Tensor

from demucs.apply.copies import Sent, Transfer, transfer_between
from demucs.apply.memory import MemoryGuard, cropped, seconds_at_once, separate_chunk
from demucs.apply.plan import Pass, Reporter
from demucs.errors import is_out_of_memory


@dataclass(frozen=True)
class Chunk:
    """One chunk of a pass and what its network hears."""

    pass_: Pass
    offset: int
    length: int
    window: Tensor  # [B, C, padded], the chunk and its context
    before: int  # samples of context before the chunk

    @property
    def kind(self) -> tuple[int, int]:
        """Chunks of one kind can be in one batch: the same network, inputs of the same length."""
        return self.pass_.sub_model.index, self.window.shape[-1]


C = TypeVar("C", bound=Chunk)
Item = TypeVar("Item")
Result = TypeVar("Result")
_Stems = Callable[[], list[Tensor]]  # waits for them
_Done = tuple[list[tuple[int, C]], list[_Stems]]


def batches(
    chunks: Iterable[C], size: Callable[[], int], networks: int
) -> Iterator[list[tuple[int, C]]]:
    """Chunks of one kind, at most `size()` of them, each with its place in `chunks`.

    The chunks of `networks` follow each other in turn, so that many times `size()` are held until
    the first of them goes in a batch that is not full.
    """
    kinds: dict[tuple[int, int], list[tuple[int, C]]] = {}
    for index, chunk in enumerate(chunks):
        kinds.setdefault(chunk.kind, []).append((index, chunk))
        full = len(kinds[chunk.kind]) >= size()
        if full or sum(map(len, kinds.values())) >= size() * networks:
            yield from _split(kinds.pop(chunk.kind if full else next(iter(kinds))), size)
    for same in kinds.values():
        yield from _split(same, size)


def _split(same: list[tuple[int, C]], size: Callable[[], int]) -> Iterator[list[tuple[int, C]]]:
    """`size()` may have become smaller since they were collected."""
    while same:
        count = size()
        yield same[:count]
        same = same[count:]


class Runner(AbstractContextManager["Runner"]):
    """Separates chunks on one device; to be used in a `with` block.

    Args:
        passes: all that there are.
        device: where the networks are.
        home: where the windows are, and the stems are to be.
        examples: mixtures that each window is of.
        batch: chunks at a time; None: what `default_batch` says.
        workers: on a CPU, threads that each work on a batch.
        report: called when the work on a chunk begins and when its stems are ready.
        guard: remembers what fits the memory of the device.
    """

    def __init__(
        self,
        passes: Sequence[Pass],
        device: torch.device,
        home: torch.device,
        examples: int,
        batch: int | None,
        workers: int,
        report: Reporter,
        guard: MemoryGuard,
    ) -> None:
        self._device, self._guard, self._report = device, guard, report
        self._batch = batch or default_batch(passes, device, examples)
        self._networks = len({pass_.sub_model.index for pass_ in passes})
        self._transfer: Transfer = transfer_between(home, device)
        threads = 1 if self._transfer.overlaps else workers if device.type == "cpu" else 0
        self._ahead = 2 if self._transfer.overlaps else threads
        self._pool = ThreadPoolExecutor(threads) if threads else None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            # An interrupt does not wait for the chunks that are being separated.
            interrupted = isinstance(error, KeyboardInterrupt)
            self._pool.shutdown(wait=not interrupted, cancel_futures=error is not None)

    def run(self, chunks: Iterable[C]) -> Iterator[tuple[C, Tensor]]:
        """Each chunk with its stems `[B, S, C, length]`, in the order of `chunks`."""
        early: dict[int, tuple[C, Tensor]] = {}
        following = 0
        sent = self._sent(chunks)
        if self._pool is None:
            results: Iterable[_Done[C]] = map(self._separate, sent)
        else:
            results = ordered_map(self._separate, sent, self._pool, self._ahead)
        for batch, parts in results:
            stems = (each for part in parts for each in part())
            for index, chunk in batch:
                early[index] = chunk, next(stems)
                self._report(_callback_items(chunk, "end"))
            # Stems are hundreds of megabytes, and the next ones are worked on meanwhile.
            del batch, parts, stems, chunk
            while following in early:
                yield early.pop(following)
                following += 1

    def _size(self) -> int:
        return min(self._batch, self._guard.batch or self._batch)

    def _sent(self, chunks: Iterable[C]) -> Iterator[tuple[list[tuple[int, C]], Sent | None]]:
        for batch in batches(chunks, self._size, self._networks):
            yield batch, self._upload([chunk for _, chunk in batch])

    def _upload(self, chunks: Sequence[Chunk]) -> Sent | None:
        """The windows on their way; None if these chunks will not fit the memory of the device."""
        limit = self._guard.limit
        if limit is not None and any(chunk.length > limit for chunk in chunks):
            return None
        try:
            return self._transfer.upload([chunk.window for chunk in chunks])
        except Exception as error:
            self._smaller(chunks, error)
        return None

    def _separate(self, sent: tuple[list[tuple[int, C]], Sent | None]) -> _Done[C]:
        """A batch through its network, in smaller ones where the memory does not suffice."""
        batch, windows = sent
        for _, chunk in batch:
            self._report(_callback_items(chunk, "start"))
        chunks = [chunk for _, chunk in batch]
        with torch.no_grad(), self._transfer.computing():
            stems = self._launched(chunks, windows)
            return batch, self._in_smaller_batches(chunks) if stems is None else [stems]

    def _in_smaller_batches(self, chunks: Sequence[Chunk]) -> list[_Stems]:
        """The stems of chunks that do not fit the memory together, in order."""
        if len(chunks) == 1:
            return [self._shortened(chunks[0])]
        parts: list[_Stems] = []
        while chunks:
            count = min(self._size(), max(1, len(chunks) - 1))  # fewer than did not fit
            some, chunks = chunks[:count], chunks[count:]
            stems = self._launched(some, self._upload(some))
            parts += self._in_smaller_batches(some) if stems is None else [stems]
        return parts

    def _launched(self, chunks: Sequence[Chunk], sent: Sent | None) -> _Stems | None:
        """One batch; on a GPU this returns before it is done. None: it does not fit the memory."""
        if sent is None:
            return None
        try:
            stems: Tensor = chunks[0].pass_.sub_model.module(self._transfer.received(sent))
            fetch = self._transfer.download(stems)
        except Exception as error:
            self._smaller(chunks, error)
            fetch = None
        if fetch is None:
            self._guard.clear(self._device)  # out of the `except`, whose traceback holds tensors
            return None

        def wait() -> list[Tensor]:
            each = fetch().chunk(len(chunks))
            return [cropped(stems, chunk.length) for stems, chunk in zip(each, chunks, strict=True)]

        return wait

    def _shortened(self, chunk: Chunk) -> _Stems:
        stems = separate_chunk(
            chunk.pass_.sub_model,
            chunk.window,
            chunk.before,
            chunk.length,
            self._device,
            self._guard,
        )
        return lambda: [stems]

    def _smaller(self, chunks: Sequence[Chunk], error: Exception) -> None:
        """Notes that these were too much; raises `error` if it is another one."""
        if not is_out_of_memory(error):
            raise error
        if len(chunks) > 1:
            self._guard.halve_batch(len(chunks))
        else:
            self._guard.halve(chunks[0].length, chunks[0].pass_.sub_model.samplerate, error)


def default_batch(passes: Sequence[Pass], device: torch.device, examples: int) -> int:
    """Chunks at a time: on a GPU as many as `seconds_at_once` allows, elsewhere one.

    Args:
        examples: mixtures that a chunk is cut from.
    """
    longest = max(pass_.size / pass_.sub_model.samplerate for pass_ in passes)
    return max(1, int(seconds_at_once(device) / (longest * examples)))


def _callback_items(chunk: Chunk, state: str) -> dict[str, Any]:
    """The items of a callback's dict that describe a chunk."""
    sub_model, shift = chunk.pass_.sub_model.index, chunk.pass_.shift_index
    place = {"model_idx_in_bag": sub_model, "shift_idx": shift, "segment_offset": chunk.offset}
    return {**place, "state": state}


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    pool: ThreadPoolExecutor | None,
    ahead: int,
) -> Iterator[Result]:
    """`map(function, items)`, at most `ahead` results early in the threads of `pool`."""
    if pool is None:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
            waiting.append(pool.submit(function, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
