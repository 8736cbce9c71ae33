"""Which engine repitches, and that the log says so."""

import logging
import pickle
import re
from pathlib import Path

import pytest
import torch

from demucs.data import AugmentConfig, Track, TrainingSet, training_loader
from demucs.data.repitch import Job, find_repitcher
from demucs.data.repitch.builtin import BuiltIn
from demucs.data.repitch.library import SoundTouchLibrary
from demucs.data.repitch.program import SoundStretch

RATE = 8000
SOURCES = ("drums", "vocals")
FRAMES = 4 * RATE


class Noise:
    """A reader of noise."""

    def read(self, source: str, start: int = 0, frames: int | None = None) -> torch.Tensor:
        random = torch.Generator().manual_seed(SOURCES.index(source))
        stop = FRAMES if frames is None else min(FRAMES, start + frames)
        return torch.randn(2, FRAMES, generator=random)[:, start:stop]


def training_set(repitch_proba: float = 1) -> TrainingSet:
    track = Track("song", SOURCES, RATE, 2, FRAMES, 0.0, 1.0, Noise())  # type: ignore[arg-type]
    config = AugmentConfig(remix_group=2, repitch_proba=repitch_proba)
    return TrainingSet([track], segment=0.5, shift=0.1, seed=3, augment=config)


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without library and program; the folder where the next one is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("demucs.data.repitch.library.NAMES", ("libNoSuchThing.so",))
    return tmp_path


def program(folder: Path, body: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "soundstretch"
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_the_library_comes_first(caplog: pytest.LogCaptureFixture) -> None:
    found = SoundTouchLibrary.find()
    if found is None:
        pytest.skip("SoundTouch's library is not installed (apt install soundstretch)")
    with caplog.at_level(logging.INFO, logger="demucs"):
        assert find_repitcher().engine == found
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "repitch by SoundTouch" in caplog.text
    assert found.library in caplog.text


def test_the_program_comes_second(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if SoundStretch.find() is None:
        pytest.skip("soundstretch is not installed (apt install soundstretch)")
    monkeypatch.setattr("demucs.data.repitch.library.NAMES", ("libNoSuchThing.so",))
    with caplog.at_level(logging.INFO, logger="demucs"):
        found = find_repitcher().engine
    assert isinstance(found, SoundStretch)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert f"repitch by the program {found.program}" in caplog.text


def test_without_both_our_own_code_trains_and_the_log_warns(
    nothing: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = training_set()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "repitch by our own code" in caplog.text
    assert "apt install soundstretch" in caplog.text
    example = data[0, 0]
    assert example.shape == (2, 2, round(0.4 * RATE))
    assert example.std() > 0.1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("cat > /dev/null; echo 'too old' >&2; exit 3", r"exit code 3 \(too old\)"),
        ("cat > /dev/null; echo hello", "6 bytes that are not a wav"),
        ("head -c 200; cat > /dev/null", "a tone of level 0.71 came out at 0"),
    ],
)
def test_a_program_that_fails_is_passed_over_with_its_message_once(
    nothing: Path, caplog: pytest.LogCaptureFixture, body: str, reason: str
) -> None:
    path = program(nothing, body)
    assert find_repitcher().engine == BuiltIn()
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert caplog.records[0].getMessage().startswith(f"repitch does without the program {path}")
    assert len(re.findall(reason, caplog.text)) == 1


def test_a_local_build_comes_before_path(nothing: Path) -> None:
    program(nothing, "exit 0")
    local = program(nothing / "soundtouch" / "build", "exit 0")
    assert SoundStretch.find() == SoundStretch(local)


def test_no_engine_is_sought_where_nothing_is_repitched(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="demucs"):
        training_set(repitch_proba=0)
    assert "repitch" not in caplog.text


@pytest.mark.parametrize("library", [True, False])
def test_processes_that_read_give_the_same_batches(
    library: bool, request: pytest.FixtureRequest
) -> None:
    if not library:
        request.getfixturevalue("nothing")
    data = training_set()
    pickle.loads(pickle.dumps(data._repitcher))  # as for processes that are not forked
    batches = {
        workers: torch.stack(
            list(training_loader(data, batch_size=2, epoch=1, num_workers=workers, max_batches=3))
        )
        for workers in (0, 2)
    }
    assert torch.equal(batches[0], batches[2])


def test_one_call_stretches_an_example_and_vocals_alone_are_speech(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = training_set()
    calls: list[list[Job]] = []

    def noted(jobs: list[Job], samplerate: int) -> list[torch.Tensor]:
        calls.append(jobs)
        return [job.wav[:, : job.frames] for job in jobs]

    monkeypatch.setattr(data, "_repitcher", noted)
    for position in range(8):
        assert len(data[0, position]) == 2
    assert [[job.speech for job in jobs] for jobs in calls] == [[False, True]] * 8
    # Remixed: the stems of an example may come from two segments, with two stretches.
    assert any(drums.stretch != vocals.stretch for drums, vocals in calls)
