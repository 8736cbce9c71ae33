"""One side of `bench_data.py`, in a process of its own.

    PYTHON data_sides.py SIDE FOLDER BATCH OVERRIDE ...

SIDE is ours, public, or public-BACKEND: then torchaudio reads by that one of its backends.

Answers a line of JSON to each line `CASE BATCHES` on standard input: that many batches were made as
CASE says, with seconds by the clock and of the processor (its children's too), the part of the
clock's that went into reading and into repitching, and how many examples they were. Settings are
those of `conf/config.yaml` with the overrides. In each answer the share of repitched examples is
exactly what the case asks for: draws that give another share are passed over beforehand.
"""

import dataclasses
import functools
import itertools
import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

CONF = Path(__file__).resolve().parents[1] / "conf"
CASES = {"default": None, "no repitch": 0.0, "repitch in each": 1.0, "augmentation": 0.0}
IN_MEMORY = "augmentation"  # the case whose songs are held in memory
LIMIT = 2000  # draws that are tried for the wanted share


class Clock:
    """Seconds that named parts of the work took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, name: str, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = call()
        self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - began
        return result


def processor_seconds() -> float:
    """Processor time of this process and of those it waited for."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


class Public:
    """`Wavset`, `RepitchedWrapper`, `distrib.loader` and the solver's augmentation, on the CPU."""

    def __init__(self, plain: dict[str, Any], folder: Path, batch: int, clock: Clock) -> None:
        from demucs import wav

        self.plain, self.batch, self.clock = plain, batch, clock
        dset = plain["dset"]
        sources, segment = dset["sources"], dset["segment"]
        metadata = wav.build_metadata(folder / "train", sources, dset["normalize"])
        self.songs = wav.Wavset(
            folder / "train", metadata, sources, segment=segment, shift=dset["shift"],
            samplerate=dset["samplerate"], channels=dset["channels"], normalize=dset["normalize"],
        )  # fmt: skip
        self.shift = int(dset["samplerate"] * dset["shift"])
        self.seeds = itertools.count()

    def about(self) -> str:
        import torchaudio

        return f"torch {torch.__version__}, torchaudio {torchaudio.__version__}"

    def prepare(self, case: str, batches: int) -> Callable[[], Iterator[Tensor]]:
        repitch = dict(self.plain["augment"]["repitch"])
        repitch["proba"] = repitch["proba"] if CASES[case] is None else CASES[case]
        songs: Any = _Timed(self.songs, self.clock, "read")
        if case == IN_MEMORY:
            songs = [self.songs[index % len(self.songs)] for index in range(self.batch)]
        songs = _Repeated(songs, batches * self.batch)
        seed = self._seed(repitch, batches)

        def run() -> Iterator[Tensor]:
            random.seed(seed)
            whole = _Timed(self._wrapped(songs, repitch), self.clock, "read, repitch")
            yield from self._batches(whole, self.shift)

        return run

    def _wrapped(self, songs: Any, repitch: dict[str, Any]) -> Any:
        """As the public training does it: without repitching, without its wrapper."""
        from demucs.repitch import RepitchedWrapper

        vocals = [self.plain["dset"]["sources"].index("vocals")]
        return RepitchedWrapper(songs, vocals=vocals, **repitch) if repitch["proba"] else songs

    def _batches(self, songs: Any, shift: int) -> Iterator[Tensor]:
        from demucs import augment, distrib

        options = self.plain["augment"]
        steps = [augment.Shift(shift, same=options["shift_same"])]
        if options["flip"]:
            steps += [augment.FlipChannels(), augment.FlipSign()]
        steps += [augment.Scale(**options["scale"]), augment.Remix(**options["remix"])]
        change = torch.nn.Sequential(*steps)
        loader = distrib.loader(
            songs, batch_size=self.batch, shuffle=True, num_workers=0, drop_last=True
        )
        for stems in loader:
            yield change(stems)

    def _seed(self, repitch: dict[str, Any], batches: int) -> int:
        """The next one that repitches the wanted share, found with short silence as songs."""
        from demucs import repitch as room

        wanted = round(repitch["proba"] * batches * self.batch)
        stems = len(self.plain["dset"]["sources"])
        songs = _Repeated([torch.zeros(stems, 2, 100)], batches * self.batch)
        real, state, calls = room.repitch, torch.get_rng_state(), []
        room.repitch = lambda stream, *_, **__: calls.append(1) or stream
        try:
            for seed in itertools.islice(self.seeds, LIMIT):
                calls.clear()
                random.seed(seed)
                for _ in self._batches(self._wrapped(songs, repitch), 8):
                    pass
                if len(calls) == wanted * stems:
                    return seed
        finally:
            room.repitch = real
            torch.set_rng_state(state)
        raise SystemExit(f"no seed repitches {wanted} examples of {batches * self.batch}")


class Ours:
    """`TrainingSet` and `training_loader`, in which a batch is finished when it is read."""

    def __init__(self, plain: dict[str, Any], folder: Path, batch: int, clock: Clock) -> None:
        from demucs.data import TrainingSet
        from demucs.data.tracks import tracks_in
        from demucs.nn.allocator import tune_allocator
        from demucs.training import read_config

        tune_allocator()  # as a training does before its readers are started
        run = read_config(plain)
        self.batch, self.clock, self.epochs = batch, clock, itertools.count()
        dset = run.options.dset
        tracks = tracks_in(
            folder / "train", sources=dset.sources, samplerate=dset.samplerate,
            channels=dset.channels,
        )  # fmt: skip
        self.sets = {}
        for case, proba in CASES.items():
            kind = _InMemory if case == IN_MEMORY else _TimedReader
            heard = [dataclasses.replace(t, reader=kind(t.reader, clock)) for t in tracks]
            augment = run.augment
            if proba is not None:
                augment = dataclasses.replace(augment, repitch_proba=proba)
            data = TrainingSet(
                heard, segment=dset.segment, shift=dset.shift, seed=run.options.seed,
                augment=augment, normalize=dset.normalize and case != IN_MEMORY,
            )  # fmt: skip
            if data._repitcher is not None:
                data._repitcher = _TimedRepitcher(data._repitcher, clock)
            self.sets[case] = data

    def about(self) -> str:
        from demucs.data.repitch import find_repitcher

        return f"torch {torch.__version__}, repitch by {find_repitcher().engine.describe()}"

    def prepare(self, case: str, batches: int) -> Callable[[], Iterator[Tensor]]:
        from demucs.data import training_loader

        data = self.sets[case]
        wanted = round(data.augment.repitch_proba * batches * self.batch) * len(data.sources)
        places = range(batches * self.batch)
        for epoch in itertools.islice(self.epochs, LIMIT):
            cuts = itertools.chain.from_iterable(data.cuts(epoch, place)[0] for place in places)
            if sum(cut.stretch is not None for cut in cuts) == wanted:
                break
        else:
            raise SystemExit(f"no epoch repitches {wanted} stems in its {len(places)} examples")
        options = {"batch_size": self.batch, "epoch": epoch, "max_batches": batches}
        return lambda: iter(training_loader(data, num_workers=0, pin_memory=False, **options))


class _Timed:
    """A dataset whose examples are timed."""

    def __init__(self, songs: Any, clock: Clock, name: str) -> None:
        self.songs, self.clock, self.name = songs, clock, name

    def __len__(self) -> int:
        return len(self.songs)

    def __getitem__(self, index: int) -> Tensor:
        return self.clock.add(self.name, lambda: self.songs[index])


class _Repeated:
    """`length` examples, spread over a dataset."""

    def __init__(self, songs: Any, length: int) -> None:
        self.songs, self.length = songs, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        if not 0 <= index < self.length:
            raise IndexError(index)
        return self.songs[index * 7 % len(self.songs)]


class _TimedReader:
    """A reader of songs whose reading is timed."""

    def __init__(self, reader: Any, clock: Clock) -> None:
        self.reader, self.clock = reader, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)

    def read(self, source: str, start: int = 0, frames: int | None = None) -> Tensor:
        return self.clock.add("read", lambda: self.reader.read(source, start, frames))


class _InMemory(_TimedReader):
    """A reader that has read everything."""

    def __init__(self, reader: Any, clock: Clock) -> None:
        super().__init__(reader, clock)
        self.stems: dict[str, Tensor] = {}

    def read(self, source: str, start: int = 0, frames: int | None = None) -> Tensor:
        if source not in self.stems:
            self.stems[source] = self.reader.read(source)
        stop = None if frames is None else start + frames
        return self.stems[source][:, start:stop]


class _TimedRepitcher:
    """A repitcher that is timed."""

    def __init__(self, repitch: Any, clock: Clock) -> None:
        self.repitch, self.clock = repitch, clock

    def __call__(self, *arguments: Any) -> list[Tensor]:
        return self.clock.add("repitch", lambda: self.repitch(*arguments))


def measured(side: Public | Ours, case: str, batches: int) -> dict[str, float]:
    """Makes `batches` batches; what it took."""
    run = side.prepare(case, batches)
    side.clock.seconds.clear()
    used, began = processor_seconds(), time.perf_counter()
    examples = frames = 0
    for stems in run():
        examples, frames = examples + len(stems), stems.shape[-1]
        del stems
    wall, used = time.perf_counter() - began, processor_seconds() - used
    parts = side.clock.seconds
    read = parts.get("read", 0)
    both = parts.get("read, repitch", read + parts.get("repitch", 0))
    return {"wall": wall, "processor": used, "read": read, "repitch": both - read,
            "rest": wall - both, "examples": examples, "frames": frames}  # fmt: skip


def main(name: str, folder: str, batch: str, *overrides: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what either side prints is none
    torch.set_num_threads(1)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", list(overrides))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    kind, _, backend = name.partition("-")
    if backend:
        import torchaudio

        torchaudio.load = functools.partial(torchaudio.load, backend=backend)
    side = {"ours": Ours, "public": Public}[kind](plain, Path(folder), int(batch), Clock())
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = side.about() if request == "about" else measured(side, *request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
