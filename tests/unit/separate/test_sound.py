"""The three ways to separate a file hear the same of it: all of it, in time, left on the left.

The network's stems are known fractions of the mixture, so what should come out is known.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from demucs import api
from demucs.api import Separator
from demucs.nn import allocator
from demucs.separate import main
from tests.unit.sound_files import RATE, Samples, alone, encoded, lag, noise, snr

FRAMES = 12_000
FRACTIONS = {"drums": 0.25, "vocals": 0.75}


class Fractions(nn.Module):
    """A quarter and three quarters of the mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.sources = list(FRACTIONS)
        self.audio_channels, self.samplerate, self.segment = 2, RATE, 0.5

    def forward(self, mix: Tensor) -> Tensor:
        return torch.stack([mix * share for share in FRACTIONS.values()], dim=1)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(api, "_load", lambda *_: Fractions())
    monkeypatch.setattr(allocator, "return_large_blocks", lambda: False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def by_file(path: Path) -> dict[str, Samples]:
    _, stems = Separator(Fractions(), shifts=0).separate_audio_file(path)
    return {name: stem.numpy().T for name, stem in stems.items()}


def by_blocks(path: Path) -> dict[str, Samples]:
    blocks = list(Separator(Fractions(), shifts=0).separate_blocks(path))
    assert blocks[-1].start + blocks[-1].stems.shape[-1] == blocks[-1].total
    stems = torch.cat([block.stems for block in blocks], dim=-1)
    return {name: stem.numpy().T for name, stem in zip(FRACTIONS, stems, strict=True)}


def by_command(path: Path) -> dict[str, Samples]:
    main(["-n", "fake", "-d", "cpu", "--shifts", "0", "--float32", str(path)])
    folder = next(iter(Path("separated/fake").iterdir()))
    return {
        name: soundfile.read(folder / f"{name}.wav", dtype="float32", always_2d=True)[0]
        for name in FRACTIONS
    }


WAYS = {"file": by_file, "blocks": by_blocks, "command": by_command}


def joined(*parts: tuple[str, int]) -> tuple[bytes, Samples]:
    """Files one after the other, and what should come out; mono is left and right."""
    content = b"".join(
        encoded(kind, FRAMES, count, seed=k) for k, (kind, count) in enumerate(parts)
    )
    sounds = [alone(kind, FRAMES, count, seed=k) for k, (kind, count) in enumerate(parts)]
    wide = [np.repeat(sound, 2, axis=1) if sound.shape[1] == 1 else sound for sound in sounds]
    return content, np.concatenate(wide)


def announced(length: int) -> tuple[bytes, Samples]:
    content = encoded("wav", FRAMES)
    place = content.index(b"data") + 4
    changed = content[:place] + length.to_bytes(4, "little") + content[place + 4 :]
    return changed, noise(FRAMES)


SOUNDS: dict[str, Callable[[], tuple[bytes, Samples]]] = {
    "plain.wav": lambda: joined(("wav", 2)),
    "mono.flac": lambda: joined(("flac", 1)),
    "joined.mp3": lambda: joined(("mp3", 2), ("mp3", 2)),
    "turns.mp3": lambda: joined(("untagged.mp3", 1), ("untagged.mp3", 2)),
    "chained.ogg": lambda: joined(("ogg", 2), ("ogg", 2), ("ogg", 1)),
    "joined.flac": lambda: joined(("flac", 2), ("flac", 2)),
    "joined.wav": lambda: joined(("wav", 1), ("wav", 2)),
    "piped.flac": lambda: (encoded("pipe.flac", FRAMES), noise(FRAMES)),
    "piped_rf64.wav": lambda: (encoded("pipe.rf64.wav", FRAMES), noise(FRAMES)),
    "two_billion.wav": lambda: announced(2 * 10**9),
    "too_large.wav": lambda: announced(4 * FRAMES + 44),
    "zero.wav": lambda: announced(0),
    "alac.m4a": lambda: joined(("m4a", 2)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SOUNDS)
def test_what_is_heard_is_what_is_there(place: Path, name: str, way: str) -> None:
    content, expected = SOUNDS[name]()
    (place / name).write_bytes(content)
    stems = WAYS[way](place / name)
    for stem, share in FRACTIONS.items():
        assert stems[stem].shape == expected.shape
        for channel in (0, 1):
            # Models hear the mixture without its mean, which each stem is given back.
            wanted = share * (expected[:, channel] - expected.mean()) + expected.mean()
            got = stems[stem][:, channel]
            assert lag(wanted, got) == 0
            assert snr(wanted, got) > 90


@pytest.mark.parametrize("way", WAYS)
def test_of_surround_left_and_right_are_separated(place: Path, way: str) -> None:
    wav = noise(FRAMES, 6)
    vorbis_order = wav[:, [0, 2, 1, 4, 5, 3]]  # left, centre, right, rear, rear, low
    soundfile.write("surround.ogg", vorbis_order, RATE, compression_level=0.0)
    stems = WAYS[way](place / "surround.ogg")
    for channel in (0, 1):
        assert snr(0.75 * wav[:, channel], stems["vocals"][:, channel]) > 10
        assert snr(0.75 * wav[:, 2], stems["vocals"][:, channel]) < 5


def test_mp3_stems_are_as_long_as_the_track_and_in_time(place: Path) -> None:
    soundfile.write("song.wav", noise(FRAMES), RATE)
    main(["-n", "fake", "-d", "cpu", "--shifts", "0", "--mp3", "song.wav"])
    for stem, share in FRACTIONS.items():
        stored = Path(f"separated/fake/song/{stem}.mp3")
        other, _ = soundfile.read(stored, dtype="float32")
        ours = by_file(stored)["vocals"] / 0.75
        assert other.shape == ours.shape == (FRAMES, 2)
        for channel in (0, 1):
            assert lag(share * noise(FRAMES)[:, channel], other[:, channel]) == 0
            assert lag(share * noise(FRAMES)[:, channel], ours[:, channel]) == 0
