"""Batches of an epoch, the same on any number of workers and processes."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from threading import Thread
from types import TracebackType
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from demucs.data.batch import Batch
from demucs.data.checks import check_batch
from demucs.data.examples import TrainingSet
from demucs.data.mixed_set import MixedSet
from demucs.errors import ConfigError, DemucsError
from demucs.process.children import PATIENCE, end_all, settle, signals_held

Index: TypeAlias = "tuple[int, int]"
Examples: TypeAlias = TrainingSet | MixedSet
Found: TypeAlias = Tensor | Batch

_DIED = "DataLoader worker"  # how the message of torch begins


class ReaderError(DemucsError):
    """A reader, that is a process which reads audio, ended without an error of its own."""


class EpochSampler(Sampler["list[Index]"]):
    """Yields this rank's share of each global batch, as a list of (epoch, position).

    Global batch b is positions `[b * batch_size, (b + 1) * batch_size)`, and rank r takes the
    r-th part of it. Every rank gets the same number of batches; what does not fill a global
    batch is left to the next epoch's shuffle.

    Args:
        examples: positions in an epoch.
        batch_size: of the global batch, over all ranks.
        epoch: number of the epoch.
        start_batch: batches of this epoch that were already seen.
        max_batches: length of the epoch at most, counted from its start.

    Raises:
        ConfigError: batch_size does not divide by world_size or exceeds the examples; rank or
            start_batch out of range.
    """

    def __init__(
        self,
        examples: int,
        *,
        batch_size: int,
        epoch: int,
        start_batch: int = 0,
        rank: int = 0,
        world_size: int = 1,
        max_batches: int | None = None,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank={rank} is not within a world of {world_size} processes")
        check_batch(batch_size, world_size, examples)
        self.batches = examples // batch_size
        if max_batches is not None:
            self.batches = min(self.batches, max_batches)
        if not 0 <= start_batch <= self.batches:
            raise ConfigError(
                f"start_batch={start_batch}, but the epoch has {self.batches} batches: the dataset "
                "or batch_size changed since; start the next epoch, with start_batch=0"
            )
        self.batch_size, self.epoch, self.start_batch = batch_size, epoch, start_batch
        self.rank, self.share = rank, batch_size // world_size

    def __len__(self) -> int:
        return self.batches - self.start_batch

    def __iter__(self) -> Iterator[list[Index]]:
        for batch in range(self.start_batch, self.batches):
            first = batch * self.batch_size + self.rank * self.share
            yield [(self.epoch, first + place) for place in range(self.share)]


class TrainingLoader(AbstractContextManager["TrainingLoader"]):
    """Iterates over the batches of one epoch; `len` is how many are left.

    A batch is `[B, S, C, T]`, or a `Batch` where not all stems are certain. In a `with` block no
    reader is left once the block is, however that happens.
    """

    def __init__(self, loader: "DataLoader[Found | DemucsError]") -> None:
        self.loader = loader
        self._batches: Iterator[Found | DemucsError] | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Found]:
        self.close()
        with signals_held():
            self._batches = iter(self.loader)  # starts the readers
        try:
            for batch in self._batches:
                if isinstance(batch, DemucsError):
                    raise batch
                yield batch
        finally:
            self.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the readers; torch has a reader's death raise wherever the main thread is.

        Raises:
            ReaderError: a reader was ended from outside.
        """
        self.close()
        if isinstance(error, RuntimeError) and str(error).startswith(_DIED):
            reason = str(error).splitlines()[0].rstrip(".")
            raise ReaderError(
                f"a process that reads audio ended ({reason}), perhaps for its memory or that of "
                "/dev/shm: use fewer of them (misc.num_workers) or smaller batches, or give the "
                "job more memory; the same command continues from the last saved state"
            ) from error

    def close(self) -> None:
        """Ends the readers of the present iteration; kills those that do not end by themselves."""
        batches, self._batches = self._batches, None
        readers = getattr(batches, "_workers", ())
        if not readers:
            return
        if batches._worker_pids_set:  # type: ignore[union-attr]
            # From here on the death of a reader is no error.
            torch._C._remove_worker_pids(id(batches))
            batches._worker_pids_set = False  # type: ignore[union-attr]
        # In a thread: it waits for locks, which a reader that was killed may have held.
        Thread(target=batches._shutdown_workers, daemon=True).start()  # type: ignore[union-attr]
        end_all(readers, PATIENCE)


def training_loader(
    dataset: Examples,
    *,
    batch_size: int,
    epoch: int,
    seed: int | None = None,
    start_batch: int = 0,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
    max_batches: int | None = None,
    pin_memory: bool | None = None,
) -> TrainingLoader:
    """Batches `[batch_size / world_size, S, C, T]` of one epoch for one rank.

    Args:
        dataset: the examples.
        batch_size: the global batch.
        epoch: number of the epoch, 0 or more.
        seed: replaces that of the dataset.
        start_batch: where to resume in the middle of an epoch.
        rank: of this process.
        world_size: number of processes.
        num_workers: processes that read; 0 reads in this one.
        max_batches: shortens the epoch.
        pin_memory: page-locked batches; by default where CUDA is there.

    Raises:
        ConfigError: see `EpochSampler`.
        AudioError: while iterating; names the file that could not be read.
    """
    if seed is not None:
        dataset = dataset.with_seed(seed)
    sampler = EpochSampler(
        len(dataset),
        batch_size=batch_size,
        epoch=epoch,
        start_batch=start_batch,
        rank=rank,
        world_size=world_size,
        max_batches=max_batches,
    )
    loader: DataLoader[Found | DemucsError] = DataLoader(
        _Guarded(dataset),
        batch_sampler=sampler,
        num_workers=num_workers,
        collate_fn=_as_it_is,
        worker_init_fn=partial(_settle, parent=os.getpid()),
        pin_memory=torch.cuda.is_available() if pin_memory is None else pin_memory,
    )
    return TrainingLoader(loader)


class _Guarded(Dataset["Found | DemucsError"]):
    """Hands an error over as a batch, so it reaches the user without a worker's traceback."""

    def __init__(self, dataset: Examples) -> None:
        self.dataset = dataset

    def __getitems__(self, indices: Sequence[Index]) -> Found | DemucsError:
        """The whole batch, which PyTorch's loader asks for at once."""
        try:
            if isinstance(self.dataset, TrainingSet):
                return _read_in_place(self.dataset, indices)
            return Batch.stack([self.dataset[index] for index in indices])
        except DemucsError as error:
            return type(error)(str(error))


def _read_in_place(dataset: TrainingSet, indices: Sequence[Index]) -> Tensor:
    """`[B, S, C, T]`, each stem written where it is to stand."""
    batch = _room((len(indices), *dataset.shape))
    for example, index in zip(batch, indices, strict=True):
        dataset.read(*dataset.cuts(*index), out=example)
    return batch


def _room(shape: tuple[int, ...]) -> Tensor:
    """Memory for a batch: in a reader's process, such as the process it reads for sees too."""
    if get_worker_info() is None:
        return torch.empty(shape)
    count = math.prod(shape)
    storage = torch.UntypedStorage._new_shared(4 * count, device="cpu")  # type: ignore[no-untyped-call]
    return torch.empty(0).set_(storage, 0, shape)  # type: ignore[call-overload, no-any-return]


def _as_it_is(batch: Any) -> Any:
    return batch


def _settle(worker: int, *, parent: int) -> None:
    """A reader has one thread, and leaves signals to the process `parent` that it reads for.

    PyTorch has a reader die of SIGTERM, which a scheduler sends to every process of a job, and the
    process that waits for it with an error, before it could save.
    """
    torch.set_num_threads(1)
    settle(parent)
