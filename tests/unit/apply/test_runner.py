"""Several chunks at once give what one at a time gives, whatever the order and the memory."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from demucs.apply import apply_model
from demucs.apply import runner as batches
from demucs.apply.copies import Direct, Sent, Streams
from demucs.apply.memory import MemoryGuard
from demucs.apply.plan import Reporter, plan, sub_models_of
from demucs.apply.runner import Chunk, Runner, default_batch
from demucs.apply.stream import apply_blocks
from demucs.errors import ConfigError

CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


class Placed(nn.Module):
    """Stems that depend on where a sample lies in its chunk; notes how many it is given."""

    def __init__(self, segment: float = 1.0, wants: int = 16, room: int = 10**6) -> None:
        super().__init__()
        self.sources = ["a", "b"]
        self.audio_channels, self.samplerate, self.segment = 2, 100, segment
        self.wants, self.room = wants, room
        self.shapes: list[tuple[int, int]] = []

    def valid_length(self, length: int) -> int:
        return -(-length // self.wants) * self.wants

    def forward(self, mix: Tensor) -> Tensor:
        self.shapes.append((len(mix), mix.shape[-1]))
        if mix.shape[0] * mix.shape[-1] > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        ramp = torch.linspace(0.5, 1.5, mix.shape[-1], device=mix.device)
        return torch.stack([mix * ramp, mix.flip(-1)], dim=1)


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.models = nn.ModuleList([Placed(1.0), Placed(0.7, wants=100), Placed(1.3, 1)])
        self.weights = [[1.0, 0.5], [2.0, 0.1], [0.3, 1.0]]


def signal(length: int, *other: int) -> Tensor:
    return torch.randn(*other, 2, length, generator=torch.Generator().manual_seed(0))


def blocks(model: nn.Module, mix: Tensor, **options: Any) -> Tensor:
    found = apply_blocks(model, mix.split(90, dim=-1), mix.shape[-1], **options)
    return torch.cat([block.stems for block in found], dim=-1)


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
@pytest.mark.parametrize("workers", [0, 2])
def test_the_stems_do_not_depend_on_the_batch(batch: int, workers: int) -> None:
    mix, options = signal(930), {"shifts": 2, "seed": 3, "num_workers": workers}
    for model in (Placed(), Bag()):
        expected = apply_model(model, mix[None], shifts=2, seed=3)[0]
        torch.testing.assert_close(blocks(model, mix, batch=batch, **options), expected)
        whole = apply_model(model, mix[None], batch=batch, **options)[0]
        torch.testing.assert_close(whole, expected)
    two = signal(300, 2)
    expected = apply_model(Placed(), two, shifts=0)
    assert torch.equal(apply_model(Placed(), two, shifts=0, batch=batch), expected)


def test_batches_are_full_where_chunks_are_alike() -> None:
    model = Placed(wants=1)
    apply_model(model, signal(1000, 1), shifts=0, batch=4)
    # 14 chunks every 75 samples, of which the last is shorter
    assert model.shapes == [(4, 100), (4, 100), (4, 100), (1, 100), (1, 25)]
    bag = Bag()
    blocks(bag, signal(1000), shifts=0, batch=4)
    most = [max(count for count, _ in one.shapes) for one in bag.models]  # type: ignore[union-attr]
    assert most == [4, 4, 4]  # though the chunks of three networks follow each other in turn


def test_a_batch_that_does_not_fit_is_halved(caplog: pytest.LogCaptureFixture) -> None:
    mix, model, guard = signal(2000), Placed(wants=1, room=250), MemoryGuard()
    expected = blocks(Placed(wants=1), mix, shifts=0)
    for _ in range(2):  # the next file begins with what fits
        torch.testing.assert_close(blocks(model, mix, shifts=0, batch=8, guard=guard), expected)
    assert (guard.batch, guard.limit) == (2, None)
    assert [count for count, _ in model.shapes if count > 2] == [8, 4]  # not tried again
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(": ")[1].split(".")[0] for line in said] == [
        "continuing with 4",
        "continuing with 2",
    ]
    assert "--batch 2" in said[-1]


def test_then_chunks_are_shortened() -> None:
    guard = MemoryGuard()
    model = Placed(wants=1, room=60)
    stems = blocks(model, signal(500), shifts=0, batch=2, guard=guard)
    assert (guard.batch, guard.limit) == (1, 50)
    assert stems.shape == (2, 2, 500)
    assert torch.isfinite(stems).all()
    with pytest.raises(torch.OutOfMemoryError, match="--device cpu"):
        blocks(Placed(wants=1, room=3), signal(500), batch=2)


def test_other_errors_of_a_batch_are_told_at_once() -> None:
    class Broken(Placed):
        def forward(self, mix: Tensor) -> Tensor:
            super().forward(mix)
            raise RuntimeError("shapes do not match")

    model = Broken()
    with pytest.raises(RuntimeError, match="shapes"):
        apply_model(model, signal(900, 1), batch=4)
    assert len(model.shapes) == 1


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_of_none_is_refused(batch: int) -> None:
    with pytest.raises(ConfigError, match=f"batch={batch}"):
        apply_model(Placed(), signal(10, 1), batch=batch)


class Slow(Direct):
    """Stands in for the streams of a GPU: says what happens when, and where."""

    overlaps = True

    def __init__(self, full: int = 10**6) -> None:
        super().__init__(CPU, CPU)
        self.events: list[str] = []
        self.threads: dict[str, set[int]] = {"upload": set(), "compute": set(), "fetch": set()}
        self.full = full
        self.computed = threading.Semaphore(0)

    def _note(self, what: str, number: float) -> None:
        self.events.append(f"{what} {number:g}")
        self.threads[what].add(threading.get_ident())

    def upload(self, windows: Sequence[Tensor]) -> Sent:
        if len(windows) > self.full:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self._note("upload", float(windows[0].max()))
        return super().upload(windows)

    @contextmanager
    def computing(self) -> Iterator[None]:
        yield

    def download(self, stems: Tensor) -> Callable[[], Tensor]:
        number = float(stems.max())
        self._note("compute", number)

        def fetch() -> Tensor:
            self._note("fetch", number)
            return stems

        return fetch


class Same(nn.Module):
    sources, audio_channels, samplerate, segment = ("a",), 1, 100, 1.0

    def forward(self, mix: Tensor) -> Tensor:
        return mix[:, None]


def steps() -> Tensor:
    """Six chunks of the numbers 1 to 6."""
    return torch.arange(1.0, 7.0).repeat_interleave(100)[None]


def test_one_batch_is_on_its_way_while_the_last_is_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Slow()
    monkeypatch.setattr(batches, "transfer_between", lambda home, device: slow)
    options: dict[str, Any] = {"shifts": 0, "overlap": 0, "batch": 1}
    found = list(apply_blocks(Same(), steps().split(100, dim=-1), 600, **options))
    torch.testing.assert_close(torch.cat([one.stems for one in found], -1)[0], steps())
    place = {event: index for index, event in enumerate(slow.events)}
    for number in range(1, 6):
        # When the stems of a batch are waited for, the next one has been sent, and not all.
        assert place[f"upload {number + 1}"] < place[f"fetch {number}"]
        assert place[f"compute {number}"] < place[f"compute {number + 1}"]
    for number in range(1, 4):
        assert place[f"fetch {number}"] < place[f"upload {number + 3}"]
    (computing,) = slow.threads[
        "compute"
    ]  # one thread feeds the device, the caller's does the rest
    assert slow.threads["upload"] == slow.threads["fetch"] == {threading.get_ident()}
    assert computing != threading.get_ident()


def test_no_room_for_what_is_sent_halves_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, guard = Slow(full=2), MemoryGuard()
    monkeypatch.setattr(batches, "transfer_between", lambda home, device: slow)
    stems = apply_model(Same(), steps()[None], shifts=0, overlap=0, batch=6, guard=guard)
    torch.testing.assert_close(stems[0, 0], steps())
    assert guard.batch is not None
    assert guard.batch <= 2


def test_giving_up_ends_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "transfer_between", lambda home, device: Slow())
    before = threading.active_count()
    stream = apply_blocks(Same(), steps().split(100, dim=-1), 600, shifts=0, batch=2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before

    def abort(_: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_model(Same(), steps()[None], shifts=0, callback=abort)
    deadline = time.monotonic() + 30  # an interrupt does not wait for what a thread is at
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() == before


def test_a_cpu_works_on_one_chunk_at_a_time() -> None:
    members = sub_models_of(Placed(40.0), 2, None, 0.25)
    passes = plan(members, 10**5, 0, random.Random(0))
    assert default_batch(passes, CPU, 1) == 1


def test_a_gpu_is_given_as_much_audio_as_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "seconds_at_once", lambda device: 160.0)
    for segment, expected in ((40, 4), (7.8, 20), (200, 1)):
        members = sub_models_of(Placed(segment), 2, None, 0.25)
        passes = plan(members, 10**6, 0, random.Random(0))
        assert default_batch(passes, torch.device("cuda"), 1) == expected
        assert default_batch(passes, torch.device("cuda"), 4) == max(1, expected // 4)


@needs_gpu
@pytest.mark.parametrize("batch", [1, 3])
def test_a_gpu_gives_what_the_cpu_gives(batch: int) -> None:
    mix = signal(1500)
    expected = blocks(Bag(), mix, shifts=2)
    found = blocks(Bag(), mix, shifts=2, batch=batch, device="cuda")
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    there = apply_model(Bag(), mix[None].cuda(), shifts=2, batch=batch)
    assert there.device.type == "cuda"
    torch.testing.assert_close(there[0].cpu(), expected, rtol=1e-5, atol=1e-5)


@needs_gpu
def test_streams_bring_everything_there_and_back() -> None:
    streams = Streams(torch.device("cuda"))
    for number in range(50):  # pinned memory is used again and again
        windows = [torch.full((1, 2, 10**5), float(number + index)) for index in range(3)]
        sent = streams.upload(windows)
        with streams.computing():
            fetch = streams.download(streams.received(sent) * 2)
        assert torch.equal(fetch(), torch.cat(windows) * 2)


def test_the_runner_keeps_the_order_of_the_chunks() -> None:
    bag = Bag()
    passes = plan(sub_models_of(bag, 2, None, 0.25), 700, 1, random.Random(1))
    chunks = [
        Chunk(one, offset, length, torch.zeros(1, 2, one.sub_model.context(length)[0]), 0)
        for one in passes
        for offset, length in one.chunks()
    ]
    chunks.sort(key=lambda chunk: chunk.pass_.start + chunk.offset)
    report = Reporter(None, None, {})
    with Runner(passes, CPU, CPU, 1, 4, 0, report, MemoryGuard()) as runner:
        found = [chunk for chunk, _ in runner.run(chunks)]
    assert [id(one) for one in found] == [id(one) for one in chunks]
