"""What `demucs.separate.main` does when things go wrong on the way."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from demucs import api
from demucs.api import Block
from demucs.nn import allocator
from demucs.separate import main


class FakeSeparator:
    """Separates every file into silence, but for those whose names are errors."""

    samplerate = 8000
    sources = ("drums", "vocals")

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def separate_blocks(self, file: Path, consistency: bool) -> Iterator[Block]:
        errors: dict[str, BaseException] = {
            "memory": RuntimeError("out of memory: 3 GB"),
            "bug": ZeroDivisionError("surprise"),
            "stop": KeyboardInterrupt(),
        }
        if file.stem in errors:
            raise errors[file.stem]
        wav = torch.full((2, 100), torch.nan if file.stem == "diverged" else 0.1)
        for start in (0, 100):
            yield Block(start, 200, wav, torch.stack([wav, wav]))


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(api, "Separator", FakeSeparator)
    monkeypatch.setattr(allocator, "return_large_blocks", lambda: False)  # is for the whole process
    yield
    logging.getLogger("demucs").setLevel(logging.NOTSET)


def run(out: Path, *tracks: str) -> int:
    try:
        main(["-o", str(out), "-n", "fake", "-d", "cpu", *tracks])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_success_returns(tmp_path: Path) -> None:
    assert run(tmp_path, "a.wav", "a.wav") == 0
    written = sorted(path.name for path in (tmp_path / "fake" / "a").iterdir())
    assert written == ["drums.wav", "vocals.wav"]


def test_one_surprise_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "bug.wav", "memory.wav", "diverged.wav", "good.wav") == 1
    written = sorted(path.name for path in (tmp_path / "fake").rglob("*.wav"))
    assert written == ["drums.wav", "vocals.wav"]
    errors = capsys.readouterr().err
    assert "bug.wav: ZeroDivisionError: surprise" in errors
    assert "memory.wav: RuntimeError: out of memory: 3 GB; try a shorter --segment" in errors
    assert "NaN or infinite" in errors
    assert "3 of 4 tracks" in errors
    assert "Traceback" not in errors


def test_verbose_says_where_an_error_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "-v", "bug.wav") == 1
    assert "Traceback" in capsys.readouterr().err


def test_verbose_says_what_was_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert run(tmp_path, "-v", "good.wav") == 0
    assert "model fake on cpu" in caplog.text
    assert "good.wav: 0.0 s of audio in 0." in caplog.text
    caplog.clear()
    assert run(tmp_path, "good.wav") == 0
    assert not caplog.records


def test_useless_flags_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--mp3-preset", "5", "good.wav") == 0
    told = capsys.readouterr().err
    assert "demucs: --mp3-bitrate and --mp3-preset are for mp3, and not for .wav" in told


def test_an_interrupt_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "stop.wav", "good.wav") == 130
    assert "interrupted" in capsys.readouterr().err
    assert not (tmp_path / "fake" / "good").exists()


def test_json_into_a_link_or_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "kept.json")
    assert run(tmp_path, "a.wav", "--json", str(tmp_path / "link.json")) == 0
    assert (tmp_path / "link.json").is_symlink()
    assert '"done": 1' in (tmp_path / "kept.json").read_text()
    assert run(tmp_path, "a.wav", "--json", "/dev/null") == 0
    assert Path("/dev/null").is_char_device()
    if Path("/dev/full").is_char_device():
        assert run(tmp_path, "a.wav", "--json", "/dev/full") == 1
        assert Path("/dev/full").is_char_device()
        assert "Cannot write --json /dev/full" in capsys.readouterr().err


def test_an_empty_name_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "") == 2
    assert "the name of a track is empty" in capsys.readouterr().err


def test_a_closed_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert run(tmp_path, "-") == 1
    assert "standard input is closed" in capsys.readouterr().err
